// The folder as a whole: names, and all files or none.
#include "converter/export/verilog/export_verilog.h"
#include "converter/export/verilog/verilog_scripts.h"
#include "converter/file.h"

#include <string.h>

// ---- names

/// Verilog-2001, and the words of SystemVerilog that tools take for keywords in .v files too.
static const char keywords[] =
    " always and assign automatic begin bit bool buf bufif0 bufif1 byte case casex casez cell chandle "
    "class cmos config const constraint cover deassign default defparam design disable do edge else end "
    "endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable endtask enum "
    "event export extends extern final for force foreach forever fork function generate genvar global "
    "highz0 highz1 if ifnone import incdir include initial inout input instance int integer interface "
    "join large let liblist library local localparam logic longint macromodule matches medium modport "
    "module nand negedge new nmos nor noshowcancelled not notif0 notif1 null or output package packed "
    "parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup "
    "pulsestyle_ondetect pulsestyle_onevent pure rand randc rcmos real realtime ref reg release repeat "
    "restrict return rnmos rpmos rtran rtranif0 rtranif1 scalared sequence shortint shortreal "
    "showcancelled signed small specify specparam static string strong strong0 strong1 struct super "
    "supply0 supply1 table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 "
    "tri tri0 tri1 triand trior trireg type typedef union unique unsigned use uwire var vectored "
    "virtual void wait wand weak weak0 weak1 while wildcard wire with within wor xnor xor ";

const char *pbitc_verilog_prefix_problem(const char *prefix)
{
    const char *problem = pbitc_prefix_problem(prefix);
    if (problem)
        return problem;
    if (pbitc_prefix_is_among(prefix, keywords))
        return "it is a keyword of Verilog or SystemVerilog";
    if (strncmp(prefix, "pbit_", 5) == 0 || strncmp(prefix, "mac_", 4) == 0 ||
        strncmp(prefix, "lfsr_", 5) == 0)
        return "the modules of the library begin with pbit_, mac_ and lfsr_";
    return NULL;
}

void pbitc_verilog_default_prefix(const char *path, char prefix[PBITC_EXPORT_PREFIX])
{
    pbitc_prefix_of_path(path, prefix);
    if (pbitc_verilog_prefix_problem(prefix))
        strcpy(prefix, "network");
}

// ---- files

struct file {
    const struct pbitc_verilog *design;
    const char *text; ///< of a template
    void (*write)(const struct pbitc_verilog *design, FILE *stream);
};

static enum pbit_status print_template(const void *state, FILE *stream)
{
    const struct file *file = state;
    pbitc_verilog_write_template(file->design, file->text, stream);
    return PBIT_OK;
}

static enum pbit_status print_file(const void *state, FILE *stream)
{
    const struct file *file = state;
    file->write(file->design, stream);
    return PBIT_OK;
}

static void write_synthesize(const struct pbitc_verilog *design, FILE *stream)
{
    pbitc_verilog_write_synthesize(design->name, stream);
}

static void write_vivado(const struct pbitc_verilog *design, FILE *stream)
{
    pbitc_verilog_write_vivado(design->name, stream);
}

static void write_xdc(const struct pbitc_verilog *design, FILE *stream)
{
    pbitc_verilog_write_xdc(design->clock_mhz, stream);
}

static void write_pcf(const struct pbitc_verilog *design, FILE *stream)
{
    pbitc_verilog_write_pcf(design->clock_mhz, stream);
}

static void write_lpf(const struct pbitc_verilog *design, FILE *stream)
{
    pbitc_verilog_write_lpf(design->clock_mhz, stream);
}

static enum pbit_status add_generated(const struct pbitc_verilog *design, struct pbitc_folder *folder)
{
    static const struct {
        const char *name;
        void (*write)(const struct pbitc_verilog *design, FILE *stream);
    } generated[] = {
        {"README.md", pbitc_verilog_write_readme},
        {"diagram.svg", pbitc_verilog_write_diagram},
        {"synthesize", write_synthesize},
        {"vivado.tcl", write_vivado},
        {"clock.xdc", write_xdc},
        {"ice40.pcf", write_pcf},
        {"ecp5.lpf", write_lpf},
    };
    char top[PBITC_EXPORT_PREFIX + 16];
    snprintf(top, sizeof(top), "rtl/%s.v", design->name);
    struct file file = {.design = design, .write = pbitc_verilog_write_top};
    enum pbit_status status = pbitc_folder_print(folder, top, print_file, &file);
    for (size_t i = 0; i < sizeof(generated) / sizeof(*generated) && status == PBIT_OK; i++) {
        file.write = generated[i].write;
        status = pbitc_folder_print(folder, generated[i].name, print_file, &file);
    }
    return status;
}

/// The relatives' modules stand in their folders only.
static bool is_needed(const struct pbitc_verilog_plan *plan, const char *path)
{
    if (strncmp(path, "rtl/lfsr_", 9) == 0)
        return plan->lfsr;
    if (strcmp(path, "rtl/mac_neuron.v") == 0)
        return plan->lfsr || plan->twin_bits;
    return strncmp(path, "rtl/mac_", 8) != 0 || plan->twin_bits;
}

static enum pbit_status make_files(const void *state, struct pbitc_folder *folder)
{
    const struct pbitc_verilog *design = state;
    static const char templates[] = "templates/";
    const size_t skip = sizeof(templates) - 1;
    enum pbit_status status = add_generated(design, folder);
    for (const struct pbitc_embedded *copy = pbitc_verilog_copies; copy->path && status == PBIT_OK; copy++) {
        struct file file = {.design = design, .text = copy->text};
        if (!is_needed(design->plan, copy->path))
            continue;
        if (strncmp(copy->path, templates, skip) == 0)
            status = pbitc_folder_print(folder, copy->path + skip, print_template, &file);
        else
            status = pbitc_folder_add(folder, copy->path, copy->text, strlen(copy->text), false);
    }
    if (status == PBIT_OK)
        status = pbitc_verilog_add_memories(design, folder);
    if (status == PBIT_OK)
        status = pbitc_verilog_add_vectors(design, folder);
    return status;
}

enum pbit_status pbitc_verilog_write_folder(const struct pbitc_verilog *design, const char *path,
                                            struct pbitc_diagnostics *diagnostics)
{
    return pbitc_folder_make(path, make_files, design, diagnostics);
}
