// pbitc convert: from an ONNX model to a .pbit file.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/float_model.h"
#include "converter/json.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/recipe.h"
#include "converter/shapes.h"
#include "converter/threads.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/// More images than this do not move the measured ranges, only the time it takes. range= asks for others.
enum { CALIBRATION_IMAGES = 1000 };

struct arguments {
    struct pbitc_texts shapes;
    const char *output, *calibrate, *recipe, *without, *print_after, *draw_budget_text;
    double draw_budget;
    int64_t weights, group, draws, samples, threads;
    int neuron;  ///< enum pbitc_neuron
    int sampler; ///< index into sampler_names
    bool timing, blame, json;
};

static const char *const sampler_names[] = {"iid", "stratified", NULL};
static const enum pbit_sampler samplers[] = {PBIT_SAMPLER_IID, PBIT_SAMPLER_STRATIFIED};
enum { DEFAULT_SAMPLER = 1, DEFAULT_DRAWS = 8 };

static const struct pbitc_option options[] = {
    {"output", 'o', "FILE.pbit", "where to write the result", PBITC_OPTION_TEXT,
     offsetof(struct arguments, output), .required = true},
    {"calibrate", 0, "DATA",
     "images on which ranges are measured: the first 1000, or range=;\nnever test images. A quantized model "
     "can do without: its own scales\nsay the ranges",
     PBITC_OPTION_TEXT, offsetof(struct arguments, calibrate), .required = false},
    {"weights", 0, "BITS", "bits of a weight, 1..8 (4)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, weights), .minimum = 1, .maximum = 8},
    {"group", 0, "N", "weights per group along the fan-in; 0: one scale per output\nchannel (0)",
     PBITC_OPTION_INTEGER, offsetof(struct arguments, group), .minimum = 0, .maximum = 65536},
    {"draws", 0, "m", "default p-bits per neuron and pass, 1..255 (8)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"samples", 0, "T", "default passes of the network, 1..65535 (1)", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draw-budget", 0, "D",
     "draws per synapse and image, on average: each layer draws what it\nneeds, all together D; m is D / T "
     "then, if --draws does not say",
     PBITC_OPTION_TEXT, offsetof(struct arguments, draw_budget_text), .required = false},
    {"neuron", 0, "KIND", "what activations become: pbit, noisy (8 bits and noise) or exact\n(8 bits) (pbit)",
     PBITC_OPTION_CHOICE, offsetof(struct arguments, neuron), .choices = pbitc_neuron_names},
    {"sampler", 0, "NAME", "iid or stratified (stratified)", PBITC_OPTION_CHOICE,
     offsetof(struct arguments, sampler), .choices = sampler_names},
    {"recipe", 0, "R.json", "what to do differently in single layers, see below", PBITC_OPTION_TEXT,
     offsetof(struct arguments, recipe), .required = false},
    {"without", 0, "PASS,...", "leave out these passes or steps, of those marked with * below",
     PBITC_OPTION_TEXT, offsetof(struct arguments, without), .required = false},
    {"print-after", 0, "PASS", "print the graph after this pass, or after all", PBITC_OPTION_TEXT,
     offsetof(struct arguments, print_after), .required = false},
    {"timing", 0, NULL, "print how long each pass took", PBITC_OPTION_FLAG,
     offsetof(struct arguments, timing), .required = false},
    {"blame", 0, NULL, "print what each pass cost in output error", PBITC_OPTION_FLAG,
     offsetof(struct arguments, blame), .required = false},
    PBITC_SHAPE_OPTION(struct arguments, shapes),
    PBITC_THREADS_OPTION(struct arguments, threads),
    {"json", 0, NULL, "print the summary as JSON on standard output", PBITC_OPTION_FLAG,
     offsetof(struct arguments, json), .required = false},
};

static void print_details(FILE *stream)
{
    pbitc_dataset_help(stream);
    fputs("\nA recipe is JSON; keys that are left out follow the options above:\n"
          "  {\"layers\": {\"conv1\": {\"weights\": 4, \"group\": 64},\n"
          "              \"relu1\": {\"neuron\": \"pbit\", \"draws\": 2.5, \"rho\": 0.5}}}\n"
          "where draws is a factor of m and rho the noise amplitude, 0..1.\n\nPasses, in this order, and "
          "steps of the pass before them:\n",
          stream);
    size_t count;
    const struct pbitc_pass *passes = pbitc_passes(&count);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%c %-21s%s\n", passes[i].optional ? '*' : ' ', passes[i].name, passes[i].summary);
}

static const struct pbitc_usage usage = {
    .name = "convert",
    .operand = "MODEL.onnx",
    .summary = "Turns a trained ONNX model into a .pbit file: swaps its activations for p-bits, without "
               "retraining,\n"
               "and quantizes its weights. The file remembers the preprocessing of DATA.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .details = print_details,
};

/// Everything that a conversion holds on to.
struct conversion {
    const struct arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    const char *path; ///< of the model
    struct pbitc_model_file model;
    struct pbitc_recipe recipe;
    struct pbitc_dataset *dataset; ///< of the calibration images; NULL: none
    float *values;
    char *metadata;
    uint64_t without;    ///< pbitc_options
    bool lacks_images;   ///< nothing says the ranges of the model's values
    const uint8_t *file; ///< the result, in the graph's arena
    size_t file_bytes;
};

static enum pbit_status check_input(struct conversion *conversion)
{
    const struct pbitc_graph *graph = conversion->model.graph;
    const struct pbitc_value *input = graph->input_count ? graph->inputs[0] : NULL;
    int64_t elements = input ? pbitc_row_elements(&input->shape) : -1;
    if (elements < 0)
        return PBIT_OK; // the pipeline says what is wrong with such a model
    return pbitc_dataset_check_input(conversion->dataset, input->name, (size_t)elements,
                                     conversion->diagnostics);
}

/// Reads recipe and data. When they have faults, those of the model are listed along with them.
static enum pbit_status prepare(struct conversion *conversion)
{
    const struct arguments *arguments = conversion->arguments;
    struct pbitc_diagnostics *diagnostics = conversion->diagnostics;
    enum pbit_status recipe = PBIT_OK, data = PBIT_OK;
    if (arguments->recipe)
        recipe =
            pbitc_recipe_load(arguments->recipe, conversion->model.graph, diagnostics, &conversion->recipe);
    struct pbitc_data_request request = {.text = arguments->calibrate,
                                         .split = "train",
                                         .limit = CALIBRATION_IMAGES,
                                         .limit_without_range = true};
    if (arguments->calibrate)
        data = pbitc_dataset_load(&request, diagnostics, &conversion->dataset);
    if (arguments->calibrate && data == PBIT_OK)
        data = check_input(conversion);
    enum pbit_status status = recipe != PBIT_OK ? recipe : data;
    if (status != PBIT_OK && status != PBIT_ERROR_STOPPED) {
        pbitc_infer_shapes(conversion->model.graph, 1, diagnostics);
        pbitc_check_convertible(conversion->model.graph, diagnostics);
    }
    return status;
}

static enum pbit_status read_images(struct conversion *conversion)
{
    const struct pbitc_dataset *dataset = conversion->dataset;
    if (!dataset)
        return PBIT_OK;
    conversion->values = calloc(dataset->images, dataset->elements * sizeof(float));
    if (!conversion->values)
        return pbitc_report_memory(conversion->diagnostics);
    for (size_t i = 0; i < dataset->images; i++)
        pbitc_dataset_image(dataset, i, conversion->values + i * dataset->elements);
    return PBIT_OK;
}

static void write_operators(struct pbitc_json *json, const struct pbitc_graph *graph)
{
    size_t counts[PBITC_OPERATOR_COUNT] = {0};
    PBITC_FOR_EACH_NODE(node, graph) counts[node->op->id]++;
    pbitc_json_open_object(json, "operators");
    for (int id = 0; id < PBITC_OPERATOR_COUNT; id++) {
        if (counts[id])
            pbitc_json_integer(json, pbitc_operator_get((enum pbitc_operator_id)id)->name,
                               (int64_t)counts[id]);
    }
    pbitc_json_close_object(json);
}

/// What the ranges were measured on, and how those images were preprocessed.
static void write_data(struct pbitc_json *json, const struct pbitc_dataset *dataset)
{
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(json, "calibration");
    pbitc_json_integer(json, "images", (int64_t)dataset->images);
    pbitc_json_string(json, "hash", pbitc_hash_text(dataset->hash, hash));
    pbitc_json_close_object(json);
    pbitc_json_open_object(json, "data");
    for (int key = 0; key < PBITC_DATA_PREPROCESSING; key++) {
        if (dataset->keys.values[key])
            pbitc_json_string(json, pbitc_data_key_names[key], dataset->keys.values[key]);
    }
    pbitc_json_close_object(json);
}

static void write_metadata(struct pbitc_json *json, const struct conversion *conversion)
{
    const struct arguments *arguments = conversion->arguments;
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "tool", "pbitc " PBITC_VERSION);
    pbitc_json_open_object(json, "model");
    pbitc_json_string(json, "name", pbitc_path_name(conversion->path));
    pbitc_json_string(json, "hash", pbitc_hash_text(conversion->model.hash, hash));
    pbitc_json_close_object(json);
    write_operators(json, conversion->model.graph);
    pbitc_json_open_object(json, "options");
    pbitc_json_integer(json, "weights", arguments->weights);
    pbitc_json_integer(json, "group", arguments->group);
    pbitc_json_integer(json, "draws", arguments->draws);
    pbitc_json_integer(json, "samples", arguments->samples);
    if (arguments->draw_budget > 0)
        pbitc_json_real(json, "draw_budget", arguments->draw_budget);
    pbitc_json_string(json, "neuron", pbitc_neuron_names[arguments->neuron]);
    pbitc_json_string(json, "sampler", sampler_names[arguments->sampler]);
    if (arguments->without)
        pbitc_json_string(json, "without", arguments->without);
    if (conversion->recipe.json)
        pbitc_json_parsed(json, "recipe", conversion->recipe.json);
    pbitc_json_close_object(json);
    if (conversion->dataset)
        write_data(json, conversion->dataset);
    pbitc_json_close_object(json);
}

static enum pbit_status make_metadata(struct conversion *conversion)
{
    size_t size;
    FILE *stream = open_memstream(&conversion->metadata, &size);
    if (!stream)
        return pbitc_report_memory(conversion->diagnostics);
    struct pbitc_json json = {.stream = stream};
    write_metadata(&json, conversion);
    bool failed = ferror(stream);
    return fclose(stream) != 0 || failed ? pbitc_report_memory(conversion->diagnostics) : PBIT_OK;
}

static enum pbit_status run_passes(struct conversion *conversion)
{
    const struct arguments *arguments = conversion->arguments;
    const struct pbitc_dataset *dataset = conversion->dataset;
    struct pbitc_options pass_options = {
        .weight_bits = (int)arguments->weights,
        .group = (int)arguments->group,
        .draws = (uint32_t)arguments->draws,
        .samples = (uint32_t)arguments->samples,
        .draw_budget = arguments->draw_budget,
        .neuron = (enum pbitc_neuron)arguments->neuron,
        .sampler = samplers[arguments->sampler],
        .threads = pbitc_threads(arguments->threads),
        .recipe = conversion->recipe.layers,
        .recipe_count = conversion->recipe.count,
        .without = conversion->without,
        .print_after = arguments->print_after,
        .timing = arguments->timing,
        .blame = arguments->blame,
        .talk = stderr,
    };
    struct pbitc_calibration calibration = {.values = conversion->values};
    if (dataset) {
        calibration.images = dataset->images;
        calibration.channels = dataset->normalized_channels;
    }
    if (dataset && dataset->pixels) {
        calibration.pixel_offset = dataset->offset;
        calibration.pixel_step = dataset->step;
    }
    struct pbitc_progress progress = {.started = false};
    bool talks = arguments->print_after || arguments->timing || arguments->blame;
    struct pbitc_context context = {
        .options = &pass_options,
        .calibration = &calibration,
        .metadata = conversion->metadata,
        .diagnostics = conversion->diagnostics,
        // A bar would run into what the passes print.
        .progress = talks ? pbitc_progress_watch : pbitc_progress_show,
        .progress_state = &progress,
    };
    enum pbit_status status = pbitc_pipeline_run(conversion->model.graph, &context);
    pbitc_progress_clear(&progress);
    conversion->file = context.file;
    conversion->file_bytes = context.file_bytes;
    return status;
}

/// What the result holds, as libpbit reads it.
struct summary {
    uint64_t weight_layers, neuron_layers, weights;
    double ratio;
};

static struct summary sum_up(const struct conversion *conversion, const struct pbit_model *model)
{
    struct summary summary = {.ratio = (double)conversion->model.size / (double)conversion->file_bytes};
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        summary.weight_layers += layer.kind == PBIT_OPERATION_CONV;
        summary.neuron_layers += layer.kind == PBIT_OPERATION_NEURON && layer.draws;
        summary.weights += layer.weights;
    }
    return summary;
}

static void print_summary(const struct conversion *conversion, const struct summary *summary)
{
    fprintf(stderr, conversion->dataset ? "calibrated on " : "calibrated by the model's own scales");
    if (conversion->dataset)
        pbitc_dataset_describe(conversion->dataset, stderr);
    fprintf(stderr,
            "\n%s: %zu bytes, the ONNX model has %zu (%.2f times as many)\n"
            "%" PRIu64 " layers with %" PRIu64 " weights, %" PRIu64 " layers of random neurons\n",
            conversion->arguments->output, conversion->file_bytes, conversion->model.size, summary->ratio,
            summary->weight_layers, summary->weights, summary->neuron_layers);
}

static void write_summary(const struct conversion *conversion, const struct summary *summary)
{
    struct pbitc_json json = {.stream = stdout, .indent = 1};
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "tool", "pbitc " PBITC_VERSION);
    pbitc_json_string(&json, "model_hash", pbitc_hash_text(conversion->model.hash, hash));
    pbitc_json_integer(&json, "model_bytes", (int64_t)conversion->model.size);
    pbitc_json_string(
        &json, "file_hash",
        pbitc_hash_text(pbitc_hash(PBITC_HASH_START, conversion->file, conversion->file_bytes), hash));
    pbitc_json_integer(&json, "file_bytes", (int64_t)conversion->file_bytes);
    pbitc_json_real(&json, "ratio", summary->ratio);
    pbitc_json_integer(&json, "weight_layers", (int64_t)summary->weight_layers);
    pbitc_json_integer(&json, "weights", (int64_t)summary->weights);
    pbitc_json_integer(&json, "neuron_layers", (int64_t)summary->neuron_layers);
    pbitc_json_integer(&json, "calibration_images",
                       conversion->dataset ? (int64_t)conversion->dataset->images : 0);
    pbitc_json_close_object(&json);
}

static enum pbit_status finish(struct conversion *conversion)
{
    struct pbit_model model;
    if (pbit_model_open(&model, conversion->file, conversion->file_bytes) != PBIT_OK)
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_INTERNAL, NULL, NULL, 0, "report this bug",
                            "the passes made a file that libpbit refuses: %s",
                            pbit_model_problem(conversion->file, conversion->file_bytes));
    struct pbitc_file file = {conversion->arguments->output, conversion->file, conversion->file_bytes};
    enum pbit_status status = pbitc_files_write(&file, 1, conversion->diagnostics);
    if (status != PBIT_OK)
        return status;
    struct summary summary = sum_up(conversion, &model);
    print_summary(conversion, &summary);
    if (conversion->arguments->json)
        write_summary(conversion, &summary);
    return PBIT_OK;
}

static enum pbit_status convert(struct conversion *conversion)
{
    enum pbit_status status =
        pbitc_model_file_open(&conversion->model, conversion->path, conversion->diagnostics);
    if (status == PBIT_OK && !conversion->model.graph)
        status = pbitc_report(conversion->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                              "give the ONNX model it was made from", "%s is a .pbit file already",
                              conversion->path);
    if (status == PBIT_OK)
        status = pbitc_shapes_apply(conversion->model.graph, &conversion->arguments->shapes,
                                    conversion->diagnostics);
    if (status == PBIT_OK && !conversion->arguments->calibrate &&
        !pbitc_is_quantized(conversion->model.graph)) {
        conversion->lacks_images = true;
        return PBIT_ERROR_ARGUMENT;
    }
    if (status == PBIT_OK)
        status = prepare(conversion);
    if (status == PBIT_OK)
        status = read_images(conversion);
    if (status == PBIT_OK)
        status = make_metadata(conversion);
    if (status == PBIT_OK)
        status = run_passes(conversion);
    return status == PBIT_OK ? finish(conversion) : status;
}

static bool is_pass(const char *name)
{
    const struct pbitc_pass *pass = pbitc_pass_find(name);
    return pass && pass->run;
}

/// The passes of --without; false after a message when one cannot be left out.
static bool parse_without(const char *list, uint64_t *without)
{
    struct pbitc_options options = {.without = 0};
    bool ok = true;
    for (const char *name = list; name; name = strchr(name, ',') ? strchr(name, ',') + 1 : NULL) {
        char text[64];
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(name, ","), name);
        const struct pbitc_pass *pass = pbitc_pass_find(text);
        if (pass && pbitc_leave_out(&options, pass))
            continue;
        ok = false;
        pbitc_usage_error(
            usage.name,
            pass ? "--without: the pass '%s' is needed; --help marks those that can be left out with *"
                 : "--without: there is no pass '%s'; --help lists them",
            text);
    }
    *without = options.without;
    return ok;
}

/// Reads --draw-budget and settles m; false after a message.
static bool read_draw_budget(struct arguments *arguments)
{
    const char *text = arguments->draw_budget_text;
    double least = (double)arguments->samples, most = least * PBIT_DRAWS_LIMIT;
    if (!text) {
        arguments->draws = arguments->draws ? arguments->draws : DEFAULT_DRAWS;
        return true;
    }
    if (!pbitc_parse_real(text, &arguments->draw_budget) || arguments->draw_budget < least ||
        arguments->draw_budget > most) {
        pbitc_usage_error(usage.name, "--draw-budget: '%s' is not a number in %g..%g (T to 255 T)", text,
                          least, most);
        return false;
    }
    if (!arguments->draws)
        arguments->draws = (int64_t)round(arguments->draw_budget / least);
    return true;
}

int pbitc_cmd_convert(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {
        .weights = 4, .draws = 0, .samples = 1, .neuron = PBITC_NEURON_PBIT, .sampler = DEFAULT_SAMPLER};
    struct conversion conversion = {.arguments = &arguments, .diagnostics = diagnostics};
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &conversion.path);
    if (code != PBITC_PARSED)
        return code;
    if (arguments.print_after && strcmp(arguments.print_after, "all") != 0 && !is_pass(arguments.print_after))
        return pbitc_usage_error(usage.name, "--print-after: there is no pass '%s'; --help lists them",
                                 arguments.print_after);
    if (!parse_without(arguments.without, &conversion.without))
        return PBITC_EXIT_USAGE;
    if (!read_draw_budget(&arguments))
        return PBITC_EXIT_USAGE;
    if (arguments.blame && !arguments.calibrate)
        return pbitc_usage_error(usage.name, "--blame needs the images of --calibrate");
    enum pbit_status status = convert(&conversion);
    code = pbitc_exit_code(status);
    if (conversion.lacks_images)
        code = pbitc_usage_error(usage.name, "--calibrate DATA is missing");
    free(conversion.metadata);
    free(conversion.values);
    pbitc_dataset_destroy(conversion.dataset);
    pbitc_recipe_free(&conversion.recipe);
    pbitc_model_file_close(&conversion.model);
    return code;
}
