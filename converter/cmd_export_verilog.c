// pbitc export --target verilog.
#include "converter/cmd_export.h"
#include "converter/command.h"
#include "converter/export/verilog/export_verilog.h"
#include "converter/export/verilog/verilog_cost.h"
#include "converter/export/verilog/verilog_twin.h"
#include "converter/file.h"
#include "converter/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 4, IMAGES = 3, SEED = 1, CLOCK_MHZ = 100 };

// ---- options

static bool parse_positive(const char *option, const char *text, double *value,
                           struct pbitc_diagnostics *diagnostics)
{
    if (pbitc_parse_real(text, value) && *value > 0)
        return true;
    pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, option, NULL, 0, NULL, "'%s' is no positive number", text);
    return false;
}

static int read_budget(const struct pbitc_export_arguments *arguments, struct pbitc_verilog *design,
                       struct pbitc_verilog_budget *budget, struct pbitc_diagnostics *diagnostics)
{
    bool good = true;
    design->clock_mhz = CLOCK_MHZ;
    if (arguments->clock)
        good = parse_positive("--clock", arguments->clock, &design->clock_mhz, diagnostics);
    budget->clock_mhz = design->clock_mhz;
    budget->luts = (uint64_t)arguments->luts;
    budget->parallel = arguments->parallel;
    if (arguments->frames)
        good = parse_positive("--fps", arguments->frames, &budget->frames_per_second, diagnostics) && good;
    if (arguments->tile & (arguments->tile - 1)) {
        pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, "--tile", NULL, 0, NULL,
                     "%" PRId64 " is no power of two", arguments->tile);
        good = false;
    }
    return good ? PBITC_EXIT_DONE : PBITC_EXIT_USAGE;
}

/// mac:BITS. Returns false when it is something else.
static bool read_twin(const char *text, uint32_t *bits, struct pbitc_diagnostics *diagnostics)
{
    char *end = NULL;
    unsigned long value =
        strncmp(text, "mac:", 4) == 0 && text[4] >= '1' && text[4] <= '9' ? strtoul(text + 4, &end, 10) : 0;
    if (value < PBITC_TWIN_BITS_LEAST || value > PBITC_TWIN_BITS_LIMIT || *end) {
        pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, "--twin", NULL, 0, NULL,
                     "'%s' is not mac:BITS with 2 to 32 bits", text);
        return false;
    }
    *bits = (uint32_t)value;
    return true;
}

/// At most T, and a power of two.
static uint32_t choose_tile(int64_t asked, uint32_t samples)
{
    uint32_t tile = asked ? (uint32_t)asked : TILE;
    while (tile > samples)
        tile /= 2;
    return tile;
}

// ---- golden vectors

static void fill_from_dataset(const void *dataset, const struct pbit_model *model, uint32_t image,
                              uint8_t *pixels)
{
    const struct pbitc_dataset *data = dataset;
    float *values = malloc(data->elements * sizeof(*values));
    if (!values) { // vectors of an image of zeros are golden too
        memset(pixels, 0, data->elements);
        return;
    }
    pbitc_dataset_image(data, image, values);
    pbit_input_quantize(model, 0, values, pixels);
    free(values);
}

static enum pbit_status choose_samples(const struct pbitc_export_arguments *arguments, uint32_t tile,
                                       uint32_t limit, struct pbitc_verilog_vectors *vectors,
                                       struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < arguments->vector_samples.count; i++) {
        int64_t samples = arguments->vector_samples.items[i];
        if (samples > limit)
            status = pbitc_report(diagnostics, PBIT_ERROR_RANGE, "--samples", NULL, 0, "raise --max-samples",
                                  "T = %" PRId64 " is above the register's %" PRIu32, samples, limit);
        vectors->samples[vectors->samples_count++] = (uint32_t)samples;
    }
    if (vectors->samples_count == 0) {
        vectors->samples[vectors->samples_count++] = 1;
        if (limit > 1)
            vectors->samples[vectors->samples_count++] = tile + 1 <= limit ? tile + 1 : limit;
    }
    return status;
}

static enum pbit_status load_data(const struct pbitc_export_arguments *arguments,
                                  const struct pbitc_model_file *file, struct pbitc_verilog_vectors *vectors,
                                  struct pbitc_dataset **dataset, struct pbitc_diagnostics *diagnostics)
{
    struct pbit_port input = pbit_model_input(&file->pbit, 0);
    struct pbitc_data_keys remembered = pbitc_model_file_data_keys(file);
    struct pbitc_data_request request = {
        .text = arguments->data, .split = "test", .remembered = &remembered, .limit = vectors->images};
    if (file->pbit.input_count > 1)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, "--data", NULL, 0, "leave it away",
                            "the model has %" PRIu32 " inputs", file->pbit.input_count);
    enum pbit_status status = pbitc_dataset_load(&request, diagnostics, dataset);
    if (status == PBIT_OK)
        status = pbitc_dataset_check_input(*dataset, input.name, input.elements, diagnostics);
    if (status != PBIT_OK)
        return status;
    vectors->images = (uint32_t)(*dataset)->images;
    vectors->first_image = (*dataset)->first;
    vectors->dataset = *dataset;
    vectors->fill = fill_from_dataset;
    return PBIT_OK;
}

// ---- --dry-run

static void print_name(const char *name)
{
    for (; *name; name++)
        putchar((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name);
}

static uint64_t buffer_bits(const struct pbitc_verilog_stage *stage)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < stage->input_count; i++)
        bits += (uint64_t)stage->buffers[i].words * stage->buffers[i].lanes * stage->buffers[i].width *
                stage->buffers[i].tile;
    return bits;
}

static uint64_t memory_bits(const struct pbitc_verilog_stage *stage)
{
    return stage->weight_words * stage->weight_word_bits +
           stage->parameter_words * stage->parameter_word_bits + stage->table_words * stage->table_word_bits;
}

static void print_plan(const struct pbitc_verilog *design)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    printf("%-6s %-8s %10s %12s %12s %14s  %s\n", "per", "stage", "folding", "memory bits", "buffer bits",
           "cycles", "layer");
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[s];
        char folding[32] = "-";
        if (stage->kind == PBITC_VERILOG_CONV)
            snprintf(folding, sizeof(folding), "%" PRIu32 "x%" PRIu32, stage->neurons, stage->inputs);
        printf("%-6s %-8s %10s %12" PRIu64 " %12" PRIu64 " %14" PRIu64 "  ", stage->random ? "tile" : "image",
               pbitc_verilog_kind_name(stage->kind), folding, memory_bits(stage), buffer_bits(stage),
               pbitc_verilog_stage_cycles(stage, stage->random ? plan->tile : 1));
        print_name(pbitc_verilog_stage_name(plan, stage));
        putchar('\n');
    }
    printf("\ntile        %" PRIu32 " passes: a word of weights is read once for them\n", plan->tile);
    printf("draws m     %" PRIu32 "\n", plan->draws);
    struct pbitc_verilog_cost cost = pbitc_verilog_plan_cost(plan);
    printf("size        about %.0f LUTs, %.0f flip-flops, %g block RAMs (Xilinx 7 series)\n", cost.luts,
           cost.flip_flops, cost.block_rams);
    uint32_t shown[] = {1, plan->tile, plan->max_samples};
    for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
        if (i == 0 || shown[i] != shown[i - 1]) {
            uint64_t cycles = pbitc_verilog_cycles(plan, shown[i]);
            printf("cycles      %" PRIu64 " for T = %" PRIu32 ": %.0f images per second at %g MHz\n", cycles,
                   shown[i], design->clock_mhz * 1e6 / (double)cycles, design->clock_mhz);
        }
}

static void write_json(const struct pbitc_verilog *design)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    struct pbitc_json json = {.stream = stdout, .indent = 2};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "target", "verilog");
    pbitc_json_string(&json, "prefix", design->name);
    pbitc_json_integer(&json, "draws", plan->draws);
    pbitc_json_integer(&json, "max_samples", plan->max_samples);
    pbitc_json_integer(&json, "tile", plan->tile);
    struct pbitc_verilog_cost cost = pbitc_verilog_plan_cost(plan);
    pbitc_json_integer(&json, "luts", (int64_t)(cost.luts + 0.5));
    pbitc_json_integer(&json, "flip_flops", (int64_t)(cost.flip_flops + 0.5));
    pbitc_json_integer(&json, "half_block_rams", (int64_t)(2 * cost.block_rams + 0.5));
    pbitc_json_integer(&json, "cycles_one_pass", (int64_t)pbitc_verilog_cycles(plan, 1));
    pbitc_json_integer(&json, "cycles_max_samples", (int64_t)pbitc_verilog_cycles(plan, plan->max_samples));
    pbitc_json_open_array(&json, "stages");
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[s];
        pbitc_json_open_object(&json, NULL);
        pbitc_json_string(&json, "name", pbitc_verilog_stage_name(plan, stage));
        pbitc_json_string(&json, "kind", pbitc_verilog_kind_name(stage->kind));
        pbitc_json_bool(&json, "every_tile", stage->random);
        pbitc_json_integer(&json, "neurons", stage->neurons);
        pbitc_json_integer(&json, "inputs", stage->inputs);
        pbitc_json_integer(&json, "neurons_limit", stage->neurons_limit);
        pbitc_json_integer(&json, "inputs_limit", stage->inputs_limit);
        pbitc_json_integer(&json, "memory_bits", (int64_t)memory_bits(stage));
        pbitc_json_integer(&json, "buffer_bits", (int64_t)buffer_bits(stage));
        pbitc_json_integer(&json, "cycles",
                           (int64_t)pbitc_verilog_stage_cycles(stage, stage->random ? plan->tile : 1));
        pbitc_json_close_object(&json);
    }
    pbitc_json_close_array(&json);
    pbitc_json_close_object(&json);
}

// ---- export

static int write_folder(const struct pbitc_export_arguments *arguments, const struct pbitc_verilog *design,
                        struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = pbitc_verilog_write_folder(design, arguments->output, diagnostics);
    int passed, failed;
    if (status == PBIT_OK && arguments->verify) {
        status = pbitc_verilog_verify(arguments->output, &passed, &failed, diagnostics);
        if (status == PBIT_OK && failed)
            return PBITC_EXIT_GATE;
    }
    return pbitc_exit_code(status);
}

static int export_plan(const struct pbitc_export_arguments *arguments, const struct pbitc_model_file *file,
                       const struct pbitc_verilog_budget *budget, struct pbitc_verilog *design,
                       struct pbitc_verilog_plan *plan, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_verilog_vectors vectors = {
        .images = arguments->limit ? (uint32_t)arguments->limit : IMAGES,
        .seed = arguments->seed >= 0 ? (uint64_t)arguments->seed : SEED,
    };
    struct pbitc_dataset *dataset = NULL;
    int code = PBITC_EXIT_DONE;
    enum pbit_status status = pbitc_verilog_fold(plan, budget, diagnostics);
    if (status == PBIT_OK)
        status = choose_samples(arguments, plan->tile, plan->max_samples, &vectors, diagnostics);
    if (status == PBIT_OK && arguments->data)
        status = load_data(arguments, file, &vectors, &dataset, diagnostics);
    design->vectors = &vectors;
    if (status != PBIT_OK)
        code = status == PBIT_ERROR_ARGUMENT ? PBITC_EXIT_USAGE : pbitc_exit_code(status);
    else if (arguments->dry_run && arguments->json)
        write_json(design);
    else if (arguments->dry_run)
        print_plan(design);
    else
        code = write_folder(arguments, design, diagnostics);
    pbitc_dataset_destroy(dataset);
    return code;
}

int pbitc_export_verilog(const struct pbitc_export_arguments *arguments, const struct pbitc_model_file *file,
                         const char *path, struct pbitc_diagnostics *diagnostics)
{
    const struct pbit_model *model = &file->pbit;
    char hash[PBITC_HASH_TEXT];
    struct pbitc_verilog_plan plan;
    struct pbitc_verilog design = {.model = model,
                                   .plan = &plan,
                                   .model_hash = pbitc_hash_text(file->hash, hash),
                                   .version = PBITC_VERSION};
    struct pbitc_verilog_budget budget = {0};
    int code = read_budget(arguments, &design, &budget, diagnostics);
    if (code != PBITC_EXIT_DONE)
        return code;
    uint32_t twin_bits = 0;
    if (arguments->twin && !read_twin(arguments->twin, &twin_bits, diagnostics))
        return PBITC_EXIT_USAGE;
    if (arguments->prefix)
        snprintf(design.name, sizeof(design.name), "%s", arguments->prefix);
    else
        pbitc_verilog_default_prefix(path, design.name);
    uint32_t draws = arguments->draws ? (uint32_t)arguments->draws : pbit_model_default_draws(model);
    uint32_t samples = arguments->samples ? (uint32_t)arguments->samples : pbit_model_max_samples(model);
    if (twin_bits) // every pass would give the same
        samples = 1;
    budget.samples = samples;
    bool lfsr = arguments->style != 0;
    struct pbitc_verilog_wish wish = {.draws = draws,
                                      .max_samples = samples,
                                      .tile = lfsr ? 1 : choose_tile(arguments->tile, samples),
                                      .twin_bits = twin_bits,
                                      .lfsr = lfsr};
    enum pbit_status status = pbitc_verilog_plan_make(&plan, model, &wish, diagnostics);
    code = status == PBIT_OK ? export_plan(arguments, file, &budget, &design, &plan, diagnostics)
                             : pbitc_exit_code(status);
    pbitc_verilog_plan_free(&plan);
    return code;
}
