#include "converter/conversion_summary.h"

#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/file.h"
#include "converter/json.h"
#include "converter/report/report_layers.h"
#include "converter/terminal.h"

#include <inttypes.h>

/// What the result holds, as libpbit reads it.
struct summary {
    double mean_draws; ///< per synapse that reads p-bits and image
    uint64_t weight_layers, neuron_layers, weights;
    double ratio;
};

/// False when out of memory.
static bool sum_up(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                   const struct pbit_model *model, struct summary *summary)
{
    *summary = (struct summary){.ratio = (double)conversion->model.size / (double)made->converted.bytes};
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        summary->weight_layers += layer.kind == PBIT_OPERATION_CONV;
        summary->neuron_layers += layer.kind == PBIT_OPERATION_NEURON && layer.draws;
        summary->weights += layer.weights;
    }
    struct pbitc_energy_network network;
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    size_t count;
    const struct pbitc_report_layer *layers =
        arena ? pbitc_report_layers_describe(arena, model, &count) : NULL;
    bool good = layers && pbitc_energy_network_of_layers(layers, count, PBITC_ENERGY_EXACT,
                                                         PBITC_ENERGY_ACTIVITY, arena, &network);
    if (good)
        summary->mean_draws = pbitc_energy_mean_draws(&network, (uint32_t)conversion->arguments->draws) *
                              (double)conversion->arguments->samples;
    pbitc_arena_destroy(arena);
    return good;
}

static void print_summary(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                          const struct summary *summary)
{
    const struct pbitc_trial *best = made->search ? made->search->best : NULL;
    if (best)
        fprintf(stderr, "cheapest that holds: %" PRId64 "-bit weights, m = %" PRId64 "%s\n", best->weights,
                best->draws, best->draw_budget > 0 ? ", shared out by layer" : "");
    fprintf(stderr, conversion->dataset ? "calibrated on " : "calibrated by the model's own scales");
    if (best)
        fprintf(stderr, "the first %zu of ", made->images);
    if (conversion->dataset)
        pbitc_dataset_describe(conversion->dataset, stderr);
    fprintf(stderr,
            "\n%s: %zu bytes, the ONNX model has %zu (%.2f times as many)\n"
            "%" PRIu64 " layers with %" PRIu64 " weights, %" PRIu64 " layers of random neurons\n",
            conversion->arguments->output, made->converted.bytes, conversion->model.size, summary->ratio,
            summary->weight_layers, summary->weights, summary->neuron_layers);
    const struct pbitc_layer_draws *draws = made->converted.layer_draws;
    if (draws)
        fprintf(stderr, "%.2f draws per synapse on average", summary->mean_draws);
    for (const char *before = ": "; draws; draws = draws->next, before = ", ") {
        fputs(before, stderr);
        pbitc_terminal_name(stderr, draws->node, 0);
        fprintf(stderr, " %g", (double)draws->factor * (double)conversion->arguments->draws);
    }
    if (made->converted.layer_draws)
        fputc('\n', stderr);
}

static void write_search(struct pbitc_json *json, const struct pbitc_conversion *conversion,
                         const struct pbitc_search *search)
{
    pbitc_json_open_object(json, "search");
    pbitc_json_real(json, "target_drop", conversion->arguments->target);
    pbitc_json_bool(json, "labels", search->labels);
    pbitc_json_integer(json, "calibration_images", (int64_t)search->half);
    pbitc_json_real(json, "float_accuracy", search->float_accuracies[0]);
    pbitc_json_real(json, "held_out_float_accuracy", search->float_accuracies[1]);
    pbitc_json_open_array(json, "tried");
    for (const struct pbitc_trial *trial = search->trials; trial < search->trials + search->count; trial++) {
        pbitc_json_open_object(json, NULL);
        pbitc_json_integer(json, "weights", trial->weights);
        pbitc_json_integer(json, "draws", trial->draws);
        if (trial->draw_budget > 0)
            pbitc_json_real(json, "draw_budget", trial->draw_budget);
        if (trial->made) {
            pbitc_json_real(json, "draws_per_synapse", trial->mean_draws);
            pbitc_json_real(json, "energy", trial->energy);
            pbitc_json_real(json, "drop", trial->drops[0]);
        }
        if (trial->checked)
            pbitc_json_real(json, "held_out_drop", trial->drops[1]);
        pbitc_json_bool(json, "holds", trial->holds);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
    pbitc_json_integer(json, "chosen", search->best - search->trials);
    pbitc_json_close_object(json);
}

static void write_blame(struct pbitc_json *json, const struct pbitc_blame_line *line)
{
    pbitc_json_open_array(json, "blame");
    for (; line; line = line->next) {
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "cause", line->cause);
        pbitc_json_string(json, "name", line->name);
        pbitc_json_real(json, "relative_error", line->relative_error);
        pbitc_json_real(json, "agreement", line->agreement);
        if (line->hint)
            pbitc_json_string(json, "hint", line->hint);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_summary(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                          const struct summary *summary)
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
        pbitc_hash_text(pbitc_hash(PBITC_HASH_START, made->converted.file, made->converted.bytes), hash));
    pbitc_json_integer(&json, "file_bytes", (int64_t)made->converted.bytes);
    pbitc_json_real(&json, "ratio", summary->ratio);
    pbitc_json_integer(&json, "weight_layers", (int64_t)summary->weight_layers);
    pbitc_json_integer(&json, "weights", (int64_t)summary->weights);
    pbitc_json_integer(&json, "neuron_layers", (int64_t)summary->neuron_layers);
    pbitc_json_real(&json, "draws_per_synapse", summary->mean_draws);
    pbitc_json_integer(&json, "calibration_images", (int64_t)made->images);
    if (made->converted.blame)
        write_blame(&json, made->converted.blame);
    if (made->search)
        write_search(&json, conversion, made->search);
    pbitc_json_close_object(&json);
}

enum pbit_status pbitc_conversion_summarize(const struct pbitc_conversion *conversion,
                                            const struct pbitc_made *made, const struct pbit_model *model)
{
    struct summary summary;
    if (!sum_up(conversion, made, model, &summary))
        return pbitc_report_memory(conversion->diagnostics);
    print_summary(conversion, made, &summary);
    if (conversion->arguments->json)
        write_summary(conversion, made, &summary);
    return PBIT_OK;
}
