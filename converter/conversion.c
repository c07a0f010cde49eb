#include "converter/conversion.h"

#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/json.h"
#include "converter/progress.h"
#include "converter/threads.h"

#include <stdlib.h>

const char *const pbitc_sampler_choices[] = {"iid", "stratified", NULL};
static const enum pbit_sampler samplers[] = {PBIT_SAMPLER_IID, PBIT_SAMPLER_STRATIFIED};

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
static void write_data(struct pbitc_json *json, const struct pbitc_dataset *dataset, size_t images)
{
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(json, "calibration");
    pbitc_json_integer(json, "images", (int64_t)images);
    pbitc_json_string(json, "hash", pbitc_hash_text(dataset->hash, hash));
    pbitc_json_close_object(json);
    pbitc_json_open_object(json, "data");
    for (int key = 0; key < PBITC_DATA_PREPROCESSING; key++) {
        if (dataset->keys.values[key])
            pbitc_json_string(json, pbitc_data_key_names[key], dataset->keys.values[key]);
    }
    pbitc_json_close_object(json);
}

static void write_metadata(struct pbitc_json *json, const struct pbitc_conversion *conversion,
                           const struct pbitc_convert_arguments *arguments, size_t images)
{
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
    if (arguments->energy_budget > 0)
        pbitc_json_real(json, "energy_budget", arguments->energy_budget);
    if (arguments->size_budget > 0)
        pbitc_json_integer(json, "size_budget", arguments->size_budget);
    pbitc_json_string(json, "neuron", pbitc_neuron_names[arguments->neuron]);
    pbitc_json_string(json, "sampler", pbitc_sampler_choices[arguments->sampler]);
    if (arguments->without)
        pbitc_json_string(json, "without", arguments->without);
    if (conversion->recipe.json)
        pbitc_json_parsed(json, "recipe", conversion->recipe.json);
    pbitc_json_close_object(json);
    if (conversion->dataset)
        write_data(json, conversion->dataset, images);
    pbitc_json_close_object(json);
}

static enum pbit_status make_metadata(const struct pbitc_conversion *conversion,
                                      const struct pbitc_convert_arguments *arguments, size_t images,
                                      char **metadata)
{
    size_t size;
    FILE *stream = open_memstream(metadata, &size);
    if (!stream)
        return pbitc_report_memory(conversion->diagnostics);
    struct pbitc_json json = {.stream = stream};
    write_metadata(&json, conversion, arguments, images);
    bool failed = ferror(stream);
    return fclose(stream) != 0 || failed ? pbitc_report_memory(conversion->diagnostics) : PBIT_OK;
}

static struct pbitc_calibration describe_images(const struct pbitc_conversion *conversion, size_t images)
{
    const struct pbitc_dataset *dataset = conversion->dataset;
    struct pbitc_calibration calibration = {.values = conversion->values};
    if (dataset) {
        calibration.images = images;
        calibration.channels = dataset->normalized_channels;
    }
    if (dataset && dataset->pixels) {
        calibration.pixel_offset = dataset->offset;
        calibration.pixel_step = dataset->step;
    }
    return calibration;
}

static struct pbitc_options pass_options(const struct pbitc_conversion *conversion,
                                         const struct pbitc_convert_arguments *arguments, bool quiet)
{
    return (struct pbitc_options){
        .weight_bits = (int)arguments->weights,
        .group = (int)arguments->group,
        .draws = (uint32_t)arguments->draws,
        .samples = (uint32_t)arguments->samples,
        .budget = arguments->budget,
        .shares_bytes = arguments->size_budget > 0,
        .spare_bytes = arguments->spare_bytes,
        .neuron = (enum pbitc_neuron)arguments->neuron,
        .sampler = samplers[arguments->sampler],
        .threads = pbitc_threads(arguments->threads),
        .recipe = conversion->recipe.layers,
        .recipe_count = conversion->recipe.count,
        .without = conversion->without,
        .print_after = quiet ? NULL : arguments->print_after,
        .timing = arguments->timing && !quiet,
        .blame = arguments->blame && !quiet,
        .talk = stderr,
    };
}

enum pbit_status pbitc_conversion_run(const struct pbitc_conversion *conversion,
                                      const struct pbitc_convert_arguments *arguments,
                                      struct pbitc_graph *graph, size_t images, bool quiet,
                                      struct pbitc_converted *result)
{
    char *metadata = NULL;
    enum pbit_status status = make_metadata(conversion, arguments, images, &metadata);
    struct pbitc_options options = pass_options(conversion, arguments, quiet);
    struct pbitc_calibration calibration = describe_images(conversion, images);
    struct pbitc_progress progress = {.started = false};
    bool talks = options.print_after || options.timing || options.blame;
    struct pbitc_context context = {
        .options = &options,
        .calibration = &calibration,
        .layer_choices = conversion->choices,
        .metadata = metadata,
        .diagnostics = conversion->diagnostics,
        // A bar would run into what the passes print.
        .progress = talks ? pbitc_progress_watch : pbitc_progress_show,
        .progress_state = &progress,
    };
    if (status == PBIT_OK)
        status = pbitc_pipeline_run(graph, &context);
    pbitc_progress_clear(&progress);
    free(metadata);
    *result =
        (struct pbitc_converted){context.file, context.file_bytes, context.layer_choices, context.blame};
    return status;
}
