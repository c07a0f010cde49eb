// pbitc export: a .pbit file becomes something that runs elsewhere.
#include "converter/cmd_export.h"
#include "converter/command.h"
#include "converter/export/c99/export_c99.h"
#include "converter/export/verilog/export_verilog.h"
#include "converter/file.h"
#include "converter/json.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum {
    RAM_AIM = 22 * 1024, ///< what a plan may use where --ram-limit says nothing
    BYTES_LIMIT = INT32_MAX,
};

enum target { TARGET_C99, TARGET_VERILOG };
static const char *const targets[] = {"c99", "verilog", NULL};
static const char *const styles[] = {"theta", "lfsr-sigmoid", NULL};

static const struct pbitc_option options[] = {
    {"target", 0, "c99|verilog", "a folder of C for a microcontroller, or of Verilog for an FPGA",
     PBITC_OPTION_CHOICE, offsetof(struct pbitc_export_arguments, target), .required = true,
     .choices = targets},
    {"output", 'o', "DIR", "the folder to write; it must not exist yet", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_export_arguments, output), .required = false},
    {"prefix", 0, "NAME",
     "name of the functions and files, or of the top module (default: from the file's name)",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_export_arguments, prefix), .required = false},
    {"max-samples", 0, "T", "largest T that can be asked for (default: the file's)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_export_arguments, samples), .required = false, .minimum = 1,
     .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m",
     "p-bits per neuron and pass; c99: unless the caller asks for others (default: the file's)",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_export_arguments, draws), .required = false, .minimum = 1,
     .maximum = PBIT_DRAWS_LIMIT},
    {"ram-limit", 0, "BYTES", "c99: refuse to need more RAM (workspace and logits); plan for this much",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_export_arguments, ram_limit), .required = false,
     .minimum = 1, .maximum = BYTES_LIMIT},
    {"flash-limit", 0, "BYTES", "c99: refuse to need more flash (tables and code)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_export_arguments, flash_limit), .required = false, .minimum = 1,
     .maximum = BYTES_LIMIT},
    {"parallel", 0, "LAYER=NEURONSxINPUTS,...", "verilog: how wide layers are built; the others are 1x1",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_export_arguments, parallel), .required = false},
    {"budget-luts", 0, "N", "verilog: as fast as N LUTs allow", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_export_arguments, luts), .required = false, .minimum = 1, .maximum = BYTES_LIMIT},
    {"fps", 0, "F", "verilog: as small as F images per second at T of --max-samples allow", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_export_arguments, frames), .required = false},
    {"clock", 0, "MHZ", "verilog: clock of --fps and of the constraints (default 100)", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_export_arguments, clock), .required = false},
    {"tile", 0, "P",
     "verilog: passes for which a word of weights is read once: 1, 2, 4, 8 or 16 (default 4 or T)",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_export_arguments, tile), .required = false, .minimum = 1,
     .maximum = 16},
    {"twin", 0, "mac:BITS",
     "verilog: instead of p-bits, the same network with levels of BITS bits, 2..32, and multipliers",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_export_arguments, twin), .required = false},
    {"neuron-style", 0, "theta|lfsr-sigmoid",
     "verilog: theta gives libpbit's bits (default); lfsr-sigmoid, for comparison, others: an LFSR and 256 "
     "probabilities per layer, m = 1",
     PBITC_OPTION_CHOICE, offsetof(struct pbitc_export_arguments, style), .required = false,
     .choices = styles},
    {"data", 0, "DATA", "verilog: images of the golden vectors (default: noise)", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_export_arguments, data), .required = false},
    {"limit", 0, "N", "verilog: that many images (default 3)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_export_arguments, limit), .required = false, .minimum = 1, .maximum = 100000},
    {"samples", 0, "T,...",
     "verilog: each of them at these T (default: 1, one more than a tile, both if they fit)",
     PBITC_OPTION_INTEGERS, offsetof(struct pbitc_export_arguments, vector_samples), .required = false,
     .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"seed", 0, "S", "verilog: of the golden vectors (default 1)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_export_arguments, seed), .required = false, .minimum = 0, .maximum = INT64_MAX},
    {"verify", 0, NULL, "verilog: simulate with Verilator and Icarus, whichever are installed",
     PBITC_OPTION_FLAG, offsetof(struct pbitc_export_arguments, verify), .required = false},
    {"dry-run", 0, NULL, "print what it would need, layer by layer, and write nothing", PBITC_OPTION_FLAG,
     offsetof(struct pbitc_export_arguments, dry_run), .required = false},
    {"json", 0, NULL, "print that as JSON", PBITC_OPTION_FLAG, offsetof(struct pbitc_export_arguments, json),
     .required = false},
};

static const struct pbitc_usage usage = {
    .name = "export",
    .operand = "FILE.pbit",
    .summary = "Writes a folder that computes the bits of the .pbit file elsewhere: C99 for a "
               "microcontroller, without "
               "malloc,\n"
               "stdio, floating point or recursion; or synthesizable Verilog-2001 with testbench and golden "
               "vectors.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

// ---- --dry-run

static void print_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

static void print_plan(const struct pbitc_firmware *firmware)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    printf("%-6s %10s %10s %12s %12s %10s  %s\n", "per", "flash", "RAM", "additions", "multiplies",
           "p-bits/m", "layer");
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        printf("%-6s %10" PRIu64 " %10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %10" PRIu64 "  ",
               step->random ? "pass" : "image", step->cost.flash, step->live, step->cost.adds,
               step->cost.multiplies, step->cost.draws);
        print_name(pbitc_firmware_step_name(plan, step));
        putchar('\n');
    }
    printf("\nflash       %" PRIu64 " bytes: %" PRIu64 " of tables, at most %" PRIu64 " of code\n",
           plan->tables + plan->code, plan->tables, plan->code);
    printf("RAM         %" PRIu64 " bytes of workspace and logits, whatever m and T\n", plan->ram);
    printf("passes      %" PRIu32 " at a time: %s\n", plan->passes,
           plan->passes > 1 ? "weights outer" : "samples outer");
    printf("shared sums %s\n", plan->keep_sums ? "kept" : "computed again for each such group");
    printf("about       %" PRIu64 " instructions for T = 1, %" PRIu64 " for each further pass\n",
           plan->instructions_first, plan->instructions_next);
}

static void write_json(const struct pbitc_firmware *firmware)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    struct pbitc_json json = {.stream = stdout, .indent = 2};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "target", targets[0]);
    pbitc_json_string(&json, "prefix", firmware->name);
    pbitc_json_integer(&json, "draws", firmware->draws);
    pbitc_json_integer(&json, "max_samples", firmware->samples);
    pbitc_json_integer(&json, "table_bytes", (int64_t)plan->tables);
    pbitc_json_integer(&json, "code_bytes", (int64_t)plan->code);
    pbitc_json_integer(&json, "ram_bytes", (int64_t)plan->ram);
    pbitc_json_integer(&json, "passes_at_once", plan->passes);
    pbitc_json_bool(&json, "shared_sums_kept", plan->keep_sums);
    pbitc_json_integer(&json, "instructions_first", (int64_t)plan->instructions_first);
    pbitc_json_integer(&json, "instructions_next", (int64_t)plan->instructions_next);
    pbitc_json_open_array(&json, "layers");
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        pbitc_json_open_object(&json, NULL);
        pbitc_json_string(&json, "name", pbitc_firmware_step_name(plan, step));
        pbitc_json_bool(&json, "every_pass", step->random);
        pbitc_json_integer(&json, "flash_bytes", (int64_t)step->cost.flash);
        pbitc_json_integer(&json, "ram_bytes", (int64_t)step->live);
        pbitc_json_integer(&json, "additions", (int64_t)step->cost.adds);
        pbitc_json_integer(&json, "multiplies", (int64_t)step->cost.multiplies);
        pbitc_json_integer(&json, "draws", (int64_t)step->cost.draws);
        pbitc_json_close_object(&json);
    }
    pbitc_json_close_array(&json);
    pbitc_json_close_object(&json);
}

// ---- checks

/// What is wrong with the command line beyond what the option table knows.
static int check_arguments(const struct pbitc_export_arguments *arguments)
{
    int code = PBITC_PARSED;
    bool verilog = arguments->target == TARGET_VERILOG;
    const char *problem = !arguments->prefix ? NULL
                          : verilog          ? pbitc_verilog_prefix_problem(arguments->prefix)
                                             : pbitc_firmware_prefix_problem(arguments->prefix);
    if (problem)
        code = pbitc_usage_error(usage.name, "--prefix: '%s' is no name for %s: %s", arguments->prefix,
                                 verilog ? "a module" : "functions", problem);
    if (verilog && (arguments->ram_limit || arguments->flash_limit))
        code = pbitc_usage_error(usage.name, "--ram-limit and --flash-limit go with --target c99");
    if (!verilog &&
        (arguments->parallel || arguments->luts || arguments->frames || arguments->clock || arguments->tile ||
         arguments->twin || arguments->style || arguments->data || arguments->limit ||
         arguments->vector_samples.count || arguments->seed >= 0 || arguments->verify))
        code = pbitc_usage_error(
            usage.name,
            "--parallel, --budget-luts, --fps, --clock, --tile, --twin, --neuron-style, --data, --limit, "
            "--samples, --seed and --verify go with --target verilog");
    if (arguments->twin && arguments->style)
        code = pbitc_usage_error(usage.name, "--twin has no p-bits whose --neuron-style could be chosen");
    if (arguments->verify && arguments->dry_run)
        code = pbitc_usage_error(usage.name, "--verify needs the folder that --dry-run does not write");
    if (!arguments->output && !arguments->dry_run)
        code = pbitc_usage_error(usage.name, "--output DIR is missing; --dry-run does without");
    if (arguments->json && !arguments->dry_run)
        code = pbitc_usage_error(usage.name, "--json goes with --dry-run");
    return code;
}

/// The user's limits: a gate that names the layer in its way.
static int check_limits(const struct pbitc_export_arguments *arguments,
                        const struct pbitc_firmware_plan *plan, struct pbitc_diagnostics *diagnostics)
{
    int code = PBITC_EXIT_DONE;
    if (arguments->ram_limit && plan->ram > (uint64_t)arguments->ram_limit) {
        const struct pbitc_firmware_step *step = pbitc_firmware_largest_step(plan);
        pbitc_report(diagnostics, PBIT_ERROR_RANGE, pbitc_firmware_step_name(plan, step), NULL, 0,
                     "make this layer smaller, or raise the limit",
                     "--ram-limit %" PRId64 ": at least %" PRIu64 " bytes are needed, %" PRIu64
                     " of them in this layer",
                     arguments->ram_limit, plan->ram, step->live);
        code = PBITC_EXIT_GATE;
    }
    if (arguments->flash_limit && plan->tables + plan->code > (uint64_t)arguments->flash_limit) {
        const struct pbitc_firmware_step *step =
            pbitc_firmware_flash_step(plan, (uint64_t)arguments->flash_limit);
        pbitc_report(diagnostics, PBIT_ERROR_RANGE, pbitc_firmware_step_name(plan, step), NULL, 0,
                     "convert with narrower --weights, or raise the limit",
                     "--flash-limit %" PRId64 ": %" PRIu64
                     " bytes are needed, the limit is passed in this layer",
                     arguments->flash_limit, plan->tables + plan->code);
        code = PBITC_EXIT_GATE;
    }
    return code;
}

static void name_firmware(struct pbitc_firmware *firmware, const char *prefix, const char *path)
{
    if (prefix)
        snprintf(firmware->name, sizeof(firmware->name), "%s", prefix);
    else
        pbitc_firmware_default_prefix(path, firmware->name);
    for (size_t i = 0; i < sizeof(firmware->name); i++)
        firmware->macros[i] = (char)toupper((unsigned char)firmware->name[i]);
}

static int export_c99(const struct pbitc_export_arguments *arguments, const struct pbitc_model_file *file,
                      const char *path, struct pbitc_diagnostics *diagnostics)
{
    const struct pbit_model *model = &file->pbit;
    char hash[PBITC_HASH_TEXT];
    struct pbitc_firmware_plan plan;
    struct pbitc_firmware firmware = {
        .model = model,
        .plan = &plan,
        .draws = arguments->draws ? (uint32_t)arguments->draws : pbit_model_default_draws(model),
        .samples = arguments->samples ? (uint32_t)arguments->samples : pbit_model_max_samples(model),
        .model_hash = pbitc_hash_text(file->hash, hash),
        .version = PBITC_VERSION,
    };
    name_firmware(&firmware, arguments->prefix, path);
    enum pbit_status status = pbitc_firmware_plan_make(
        &plan, model, firmware.samples, arguments->ram_limit ? (uint64_t)arguments->ram_limit : RAM_AIM);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    int code = check_limits(arguments, &plan, diagnostics);
    if (plan.ram > BYTES_LIMIT || plan.tables > BYTES_LIMIT)
        code = pbitc_exit_code(pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, NULL,
                                            "the network needs more memory than a 32-bit core can have"));
    if (arguments->dry_run && arguments->json)
        write_json(&firmware);
    else if (arguments->dry_run)
        print_plan(&firmware);
    else if (code == PBITC_EXIT_DONE)
        code = pbitc_exit_code(pbitc_firmware_write_folder(&firmware, arguments->output, diagnostics));
    pbitc_firmware_plan_free(&plan);
    return code;
}

int pbitc_cmd_export(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_export_arguments arguments = {.seed = -1};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code == PBITC_PARSED)
        code = check_arguments(&arguments);
    if (code != PBITC_PARSED)
        return code;
    struct pbitc_model_file file;
    enum pbit_status status = pbitc_model_file_open(&file, path, diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    if (file.graph)
        status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                              "pbitc convert makes one of it", "%s is an ONNX model, not a .pbit file", path);
    else
        status = pbitc_model_file_check_budget(&file, arguments.draws, arguments.samples, diagnostics);
    if (status != PBIT_OK)
        code = pbitc_exit_code(status);
    else if (arguments.target == TARGET_VERILOG)
        code = pbitc_export_verilog(&arguments, &file, path, diagnostics);
    else
        code = export_c99(&arguments, &file, path, diagnostics);
    pbitc_model_file_close(&file);
    return code;
}
