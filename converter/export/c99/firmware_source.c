// NAME.h and NAME.c: the network as constants and straight-line calls.
#include "converter/export/c99/firmware.h"
#include "converter/export/c99/firmware_calls.h"

#include "converter/export/golden.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

enum { BYTES_PER_LINE = 24 };

/// Writes a template in which @ stands for the name and % for the name in capitals.
static void write_template(const struct pbitc_firmware *firmware, const char *text, FILE *stream)
{
    for (; *text; text++) {
        if (*text == '@')
            fputs(firmware->name, stream);
        else if (*text == '%')
            fputs(firmware->macros, stream);
        else
            fputc(*text, stream);
    }
}

// ---- NAME.h

static void write_ports(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    uint64_t at = 0;
    for (uint32_t i = 0; i < model->input_count && model->input_count > 1; i++) {
        fprintf(stream, "#define %s_INPUT_%" PRIu32 " %" PRIu64 " /* where input %" PRIu32 " begins */\n",
                firmware->macros, i, at, i);
        at += pbit_model_input(model, i).elements;
    }
    at = 0;
    for (uint32_t i = 0; i < model->output_count && model->output_count > 1; i++) {
        fprintf(stream, "#define %s_OUTPUT_%" PRIu32 " %" PRIu64 " /* where output %" PRIu32 " begins */\n",
                firmware->macros, i, at, i);
        at += pbit_model_output(model, i).elements;
    }
}

static const char header_start[] = "#ifndef %_H\n#define %_H\n\n#include <stdint.h>\n\n"
                                   "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";

static const char header_api[] =
    "\n/* What one run needs; the caller owns it and need not clear it. The fields are private. */\n"
    "struct @_workspace {\n"
    "    const uint8_t *input;\n"
    "    int64_t *output;\n"
    "    uint32_t *votes;\n"
    "    uint64_t seed, image;\n"
    "    uint32_t draws, samples, done;\n"
    "    uint64_t arena[%_ARENA_BYTES / 8];\n"
    "};\n\n"
    "/* Results of the functions below. */\n"
    "enum { %_OK = 0, %_ERROR_ARGUMENT = 1, %_ERROR_DRAWS = 2, %_ERROR_SAMPLES = 3 };\n\n"
    "/* Runs one image through `samples` passes with %_DRAWS draws.\n"
    " * input: uint8_t[%_INPUT_BYTES], height x width x channels.\n"
    " * output: int64_t[%_OUTPUTS], receives the integer logits summed over the passes, in 1/65536.\n"
    " * seed, image: the same pair gives the same bits, here and on every other machine; number the images. "
    "*/\n"
    "int @_run(const uint8_t *input, int64_t *output, uint32_t samples, uint64_t seed, uint64_t image,\n"
    "    struct @_workspace *workspace);\n\n"
    "/* The same pass by pass, or some at a time. begin: draws 1..%_MAX_DRAWS, 0 for %_DRAWS; samples is the "
    "T\n"
    " * that may be reached. input and output stay with the caller until the run is over. */\n"
    "int @_begin(struct @_workspace *workspace, const uint8_t *input, int64_t *output, uint32_t draws,\n"
    "    uint32_t samples, uint64_t seed, uint64_t image);\n"
    "/* Makes up to `passes` more passes, %_PASSES_AT_ONCE of them at a time, and returns how many are "
    "done;\n"
    " * output then holds their sums. */\n"
    "uint32_t @_sample(struct @_workspace *workspace, uint32_t passes);\n"
    "/* After begin: counts[k] is increased in every pass whose largest logit is number k. The caller clears "
    "it. */\n"
    "void @_count_votes(struct @_workspace *workspace, uint32_t counts[%_CLASSES]);\n\n"
    "/* Runs pass by pass until the mean of the largest logit leads the next one by `margin` (in 1/65536), "
    "or\n"
    " * `samples` passes are done. Returns the passes done, 0 for a wrong argument. */\n"
    "uint32_t @_run_until(const uint8_t *input, int64_t *output, uint32_t samples, int64_t margin, "
    "uint64_t seed,\n"
    "                     uint64_t image, struct @_workspace *workspace);\n\n"
    "/* The number of the largest logit of the first output. */\n"
    "uint32_t @_best(const int64_t *output);\n\n"
    "/* @_selftest.c: 0 when the golden vectors come out bit by bit, else the number of the first wrong one. "
    "*/\n"
    "int @_selftest(struct @_workspace *workspace);\n\n"
    "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";

void pbitc_firmware_write_header(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    const struct pbitc_firmware_plan *plan = firmware->plan;
    fprintf(stream, "/* %s: a network of p-bits. Written by pbitc %s from %s; see README.md. */\n",
            firmware->name, firmware->version, firmware->model_hash);
    write_template(firmware, header_start, stream);
    const char *macros = firmware->macros;
    fprintf(stream, "#define %s_INPUT_BYTES %" PRIu64 "\n", macros, pbitc_export_input_bytes(model));
    fprintf(stream, "#define %s_OUTPUTS %" PRIu64 "\n", macros, pbitc_export_output_elements(model));
    fprintf(stream, "#define %s_CLASSES %zu /* elements of the first output */\n", macros,
            pbit_model_output(model, 0).elements);
    write_ports(firmware, stream);
    fprintf(stream, "#define %s_DRAWS %" PRIu32 " /* m of %s_run */\n", macros, firmware->draws,
            firmware->name);
    fprintf(stream, "#define %s_MAX_DRAWS %" PRIu32 "\n", macros, pbit_model_max_draws(model));
    fprintf(stream, "#define %s_MAX_SAMPLES %" PRIu32 "\n", macros, firmware->samples);
    fprintf(stream, "#define %s_PASSES_AT_ONCE %" PRIu32 " /* each weight is fetched once for so many */\n",
            macros, plan->passes);
    fprintf(stream, "#define %s_ARENA_BYTES %" PRIu64 "\n", macros, plan->arena);
    fprintf(stream, "#define %s_TABLE_BYTES %" PRIu64 " /* of flash */\n", macros, plan->tables);
    write_template(firmware, header_api, stream);
}

// ---- the tables

/// Where the tables of the .pbit file come to lie; those that operations share are written once.
struct layout {
    struct pbitc_firmware_table *tables;
    uint32_t *places;
    size_t count;
    uint32_t bytes;
};

static bool place_tables(struct layout *layout, const struct pbit_model *model)
{
    size_t capacity = (size_t)model->operation_count * PBITC_FIRMWARE_TABLES;
    *layout = (struct layout){calloc(capacity, sizeof(*layout->tables)),
                              calloc(capacity, sizeof(*layout->places)), 0, 0};
    if (!layout->tables || !layout->places)
        return false;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        struct pbitc_firmware_table tables[PBITC_FIRMWARE_TABLES];
        pbitc_firmware_tables(model, &operation, tables);
        for (size_t t = 0; tables[t].bytes; t++) {
            size_t known = 0;
            while (known < layout->count && layout->tables[known].offset != tables[t].offset)
                known++;
            if (known == layout->count)
                layout->tables[layout->count++] = tables[t];
            else if (layout->tables[known].bytes < tables[t].bytes)
                layout->tables[known].bytes = tables[t].bytes;
        }
    }
    for (size_t t = 0; t < layout->count; t++) {
        layout->places[t] = layout->bytes;
        layout->bytes += (uint32_t)((layout->tables[t].bytes + 3) / 4 * 4);
    }
    return true;
}

static void free_layout(struct layout *layout)
{
    free(layout->tables);
    free(layout->places);
}

/// The place of the table at an offset of the file; the offset may be 0.
static uint32_t place_of(const struct layout *layout, uint32_t offset)
{
    for (size_t i = 0; i < layout->count; i++)
        if (layout->tables[i].offset == offset)
            return layout->places[i];
    return 0;
}

static void write_bytes(const uint8_t *bytes, uint64_t count, FILE *stream)
{
    for (uint64_t i = 0; i < count; i++)
        fprintf(stream, "%s%u,", i % BYTES_PER_LINE ? "" : "\n    ", bytes[i]);
}

static void write_tables(const struct pbitc_firmware *firmware, const struct layout *layout, FILE *stream)
{
    static const uint8_t zeros[4] = {0};
    fprintf(stream,
            "/* Weights, multipliers, biases and tables, as runtime/FORMAT.md lays them out. */\n"
            "static const union {\n    uint32_t align;\n    uint8_t bytes[%" PRIu32 "];\n"
            "} tables = {.bytes = {",
            layout->bytes ? layout->bytes : 4);
    for (size_t i = 0; i < layout->count; i++) {
        uint64_t bytes = layout->tables[i].bytes;
        write_bytes(firmware->model->bytes + layout->tables[i].offset, bytes, stream);
        write_bytes(zeros, (4 - bytes % 4) % 4, stream);
    }
    fprintf(stream, "%s\n}};\n\nstatic const struct pbit_model model = {.bytes = tables.bytes};\n\n",
            layout->bytes ? "" : "0");
}

// ---- the records

static void write_tensors(const struct pbit_model *model, FILE *stream)
{
    fputs("static const struct pbit_tensor tensors[] = {\n", stream);
    for (uint32_t i = 0; i < model->tensor_count; i++) {
        struct pbit_tensor t = pbit_model_tensor(model, i);
        fprintf(stream,
                "    {.kind = %s, .draw_factor = %" PRIu32 ", .height = %" PRIu32 ", .width = %" PRIu32
                ", .channels = %" PRIu32 "},\n",
                t.kind == PBIT_FIXED ? "PBIT_FIXED" : "PBIT_LEVELS", t.draw_factor, t.height, t.width,
                t.channels);
    }
    fputs("};\n\n", stream);
}

static void write_window(const struct pbit_window *w, FILE *stream)
{
    fprintf(stream,
            ",\n     .window = {%" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32 ", %" PRIu32
            ", %" PRIu32 ", %" PRIu32 "}",
            w->kernel_y, w->kernel_x, w->stride_y, w->stride_x, w->pad_y, w->pad_x, w->dilation_y,
            w->dilation_x);
}

static const char *const kind_names[] = {
    [PBIT_OPERATION_CONV] = "CONV",       [PBIT_OPERATION_NEURON] = "NEURON",
    [PBIT_OPERATION_MAXPOOL] = "MAXPOOL", [PBIT_OPERATION_SUMPOOL] = "SUMPOOL",
    [PBIT_OPERATION_ADD] = "ADD",         [PBIT_OPERATION_CONCAT] = "CONCAT",
    [PBIT_OPERATION_PERMUTE] = "PERMUTE"};

static void write_operation(const struct pbit_operation *o, const struct layout *layout, FILE *stream)
{
    fprintf(stream, "    {.kind = PBIT_OPERATION_%s", kind_names[o->kind]);
    switch (o->kind) {
    case PBIT_OPERATION_CONV:
        write_window(&o->window, stream);
        fprintf(stream,
                ",\n     .groups = %" PRIu32 ", .weight_bits = %" PRIu32 ", .weight_group = %" PRIu32
                ", .shift = %" PRIu32 ",\n     .weights = %" PRIu32 ", .multipliers = %" PRIu32
                ", .biases = %" PRIu32,
                o->groups, o->weight_bits, o->weight_group, o->shift, place_of(layout, o->weights),
                place_of(layout, o->multipliers), place_of(layout, o->biases));
        if (o->weight_group)
            fprintf(stream, ", .factors = %" PRIu32, place_of(layout, o->factors));
        if (o->zeros)
            fprintf(stream, ", .zeros = %" PRIu32, place_of(layout, o->zeros));
        break;
    case PBIT_OPERATION_SUMPOOL:
        fprintf(stream, ", .multipliers = %" PRIu32 ", .shift = %" PRIu32, o->multipliers, o->shift);
        write_window(&o->window, stream);
        break;
    case PBIT_OPERATION_MAXPOOL:
        write_window(&o->window, stream);
        break;
    case PBIT_OPERATION_NEURON:
        fprintf(stream,
                ", .neuron = %" PRIu32 ", .function = %" PRIu32 ", .layer = %" PRIu32
                ", .amplitude = %" PRIu32,
                o->neuron, o->function, o->layer, o->amplitude);
        if (o->function != PBIT_FUNCTION_LINEAR)
            fprintf(stream, ",\n     .table = %" PRIu32, place_of(layout, o->table));
        if (o->function == PBIT_FUNCTION_CURVE)
            fprintf(stream,
                    ", .curve_shift = %" PRIu32 ", .curve_segments = %" PRIu32
                    ", .curve_start = (int32_t)%" PRId64,
                    o->curve_shift, o->curve_segments, (int64_t)o->curve_start);
        break;
    case PBIT_OPERATION_PERMUTE:
        fprintf(stream, ", .table = %" PRIu32, place_of(layout, o->table));
        break;
    default:
        break;
    }
    fputs("},\n", stream);
}

// ---- NAME.c

static const char largest_text[] = "static uint32_t largest(const int32_t *z)\n"
                                   "{\n"
                                   "    uint32_t best = 0;\n"
                                   "    for (uint32_t i = 1; i < %_CLASSES; i++)\n"
                                   "        best = z[i] > z[best] ? i : best;\n"
                                   "    return best;\n"
                                   "}\n\n";

static const char functions_text[] =
    "static struct pbit_passes passes_of(const struct @_workspace *workspace, uint32_t count)\n"
    "{\n"
    "    return (struct pbit_passes){.draw = {.seed = workspace->seed,\n"
    "                                         .image = workspace->image,\n"
    "                                         .sample = workspace->done,\n"
    "                                         .sampler = SAMPLER},\n"
    "                                .draws = workspace->draws,\n"
    "                                .count = count};\n"
    "}\n"
    "\n"
    "int @_begin(struct @_workspace *workspace, const uint8_t *input, int64_t *output, uint32_t draws,\n"
    "            uint32_t samples, uint64_t seed, uint64_t image)\n"
    "{\n"
    "    struct pbit_passes passes;\n"
    "    if (!workspace || !input || !output)\n"
    "        return %_ERROR_ARGUMENT;\n"
    "    if (draws > %_MAX_DRAWS)\n"
    "        return %_ERROR_DRAWS;\n"
    "    if (samples < 1 || samples > %_MAX_SAMPLES)\n"
    "        return %_ERROR_SAMPLES;\n"
    "    workspace->input = input;\n"
    "    workspace->output = output;\n"
    "    workspace->votes = NULL;\n"
    "    workspace->seed = seed;\n"
    "    workspace->image = image;\n"
    "    workspace->draws = draws ? draws : %_DRAWS;\n"
    "    workspace->samples = samples;\n"
    "    workspace->done = 0;\n"
    "    for (uint32_t i = 0; i < %_OUTPUTS; i++)\n"
    "        output[i] = 0;\n"
    "    passes = passes_of(workspace, 1);\n"
    "    run_image(workspace, &passes);\n"
    "    return %_OK;\n"
    "}\n"
    "\n"
    "void @_count_votes(struct @_workspace *workspace, uint32_t counts[%_CLASSES])\n"
    "{\n"
    "    workspace->votes = counts;\n"
    "}\n"
    "\n"
    "uint32_t @_sample(struct @_workspace *workspace, uint32_t passes)\n"
    "{\n"
    "    uint32_t left = workspace->samples - workspace->done;\n"
    "    left = passes < left ? passes : left;\n"
    "    while (left > 0) {\n"
    "        uint32_t count = left < %_PASSES_AT_ONCE ? left : %_PASSES_AT_ONCE;\n"
    "        struct pbit_passes block = passes_of(workspace, count);\n"
    "        run_passes(workspace, &block);\n"
    "        for (uint32_t p = 0; p < count; p++)\n"
    "            add_outputs(workspace, p);\n"
    "        workspace->done += count;\n"
    "        left -= count;\n"
    "    }\n"
    "    return workspace->done;\n"
    "}\n"
    "\n"
    "int @_run(const uint8_t *input, int64_t *output, uint32_t samples, uint64_t seed, uint64_t image,\n"
    "          struct @_workspace *workspace)\n"
    "{\n"
    "    int error = @_begin(workspace, input, output, 0, samples, seed, image);\n"
    "    if (error == %_OK)\n"
    "        @_sample(workspace, samples);\n"
    "    return error;\n"
    "}\n"
    "\n"
    "uint32_t @_best(const int64_t *output)\n"
    "{\n"
    "    uint32_t best = 0;\n"
    "    for (uint32_t i = 1; i < %_CLASSES; i++)\n"
    "        best = output[i] > output[best] ? i : best;\n"
    "    return best;\n"
    "}\n"
    "\n"
    "/* Whether the mean of the largest logit leads every other one by the margin. */\n"
    "static int leads(const int64_t *output, int64_t margin)\n"
    "{\n"
    "    uint32_t best = @_best(output);\n"
    "    for (uint32_t i = 0; i < %_CLASSES; i++)\n"
    "        if (i != best && output[best] - output[i] < margin)\n"
    "            return 0;\n"
    "    return 1;\n"
    "}\n"
    "\n"
    "uint32_t @_run_until(const uint8_t *input, int64_t *output, uint32_t samples, int64_t margin, "
    "uint64_t seed,\n"
    "                     uint64_t image, struct @_workspace *workspace)\n"
    "{\n"
    "    uint32_t done = 0;\n"
    "    if (@_begin(workspace, input, output, 0, samples, seed, image) != %_OK)\n"
    "        return 0;\n"
    "    do\n"
    "        done = @_sample(workspace, 1);\n"
    "    while (done < samples && !leads(output, margin * (int64_t)done));\n"
    "    return done;\n"
    "}\n";

enum pbit_status pbitc_firmware_write_source(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    struct layout layout;
    if (!place_tables(&layout, model)) {
        free_layout(&layout);
        return PBIT_ERROR_MEMORY;
    }
    fprintf(
        stream,
        "/* %s: a network of p-bits. Written by pbitc %s from %s; see README.md. */\n#include \"%s.h\"\n\n"
        "#include \"pbit_dense.h\"\n#include \"pbit_stage.h\"\n\n#define SAMPLER %s\n\n",
        firmware->name, firmware->version, firmware->model_hash, firmware->name,
        pbit_model_sampler(model) == PBIT_SAMPLER_IID ? "PBIT_SAMPLER_IID" : "PBIT_SAMPLER_STRATIFIED");
    write_tables(firmware, &layout, stream);
    write_tensors(model, stream);
    fputs("static const struct pbit_operation operations[] = {\n", stream);
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        write_operation(&operation, &layout, stream);
    }
    fputs("};\n\n", stream);
    free_layout(&layout);
    pbitc_firmware_write_stages(firmware, stream);
    pbitc_firmware_write_steps(firmware, false, stream);
    pbitc_firmware_write_steps(firmware, true, stream);
    write_template(firmware, largest_text, stream);
    pbitc_firmware_write_sums(firmware, stream);
    write_template(firmware, functions_text, stream);
    return PBIT_OK;
}
