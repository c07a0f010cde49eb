#include "converter/conversion_summary.h"

#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/file.h"
#include "converter/json.h"
#include "converter/report/report_layers.h"
#include "converter/terminal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/// What the result holds, as libpbit reads it.
struct summary {
    double mean_draws; ///< per synapse that reads p-bits and image
    uint64_t weight_layers, neuron_layers, weights;
    double ratio;
    struct pbitc_arena *arena;
    struct pbitc_energy_constants constants;
    struct pbitc_energy_network network;
};

static enum pbit_status sum_up(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                               const struct pbit_model *model, struct summary *summary)
{
    *summary = (struct summary){.ratio = (double)conversion->model.size / (double)made->converted.bytes};
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        summary->weight_layers += layer.kind == PBIT_OPERATION_CONV;
        summary->neuron_layers += layer.kind == PBIT_OPERATION_NEURON && layer.draws;
        summary->weights += layer.weights;
    }
    const struct pbitc_convert_arguments *arguments = conversion->arguments;
    summary->arena = pbitc_arena_create(NULL);
    size_t count;
    const struct pbitc_report_layer *layers =
        summary->arena ? pbitc_report_layers_describe(summary->arena, model, &count) : NULL;
    if (!layers || !pbitc_energy_network_of_layers(layers, count, PBITC_ENERGY_EXACT, PBITC_ENERGY_ACTIVITY,
                                                   summary->arena, &summary->network))
        return pbitc_report_memory(conversion->diagnostics);
    summary->mean_draws =
        pbitc_energy_mean_draws(&summary->network, (uint32_t)arguments->draws) * (double)arguments->samples;
    return pbitc_energy_constants_choose(arguments->preset, arguments->constants, summary->arena,
                                         conversion->diagnostics, &summary->constants);
}

// ---- what allocate-draws chose

/// What a layer of the energy network is worth telling.
struct share {
    const struct pbitc_layer_choice *chosen; ///< NULL: it has no draws of its own
    uint32_t draws;                          ///< per pass, of p-bits that it makes or reads; 0: none
    double energy;                           ///< nJ per image
};

static struct share find_share(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                               const struct summary *summary, const struct pbitc_energy_layer *layer)
{
    const struct pbitc_convert_arguments *arguments = conversion->arguments;
    uint32_t draws = (uint32_t)arguments->draws;
    bool reads = layer->kind == PBITC_ENERGY_SYNAPSES && layer->input_bits == PBITC_ENERGY_PBITS;
    bool makes = layer->kind == PBITC_ENERGY_NEURONS && layer->output_bits == PBITC_ENERGY_PBITS;
    struct share share = {
        .draws = reads || makes ? pbitc_energy_draws(layer, draws) : 0,
        .energy =
            pbitc_energy_total(pbitc_energy_of_layer(&summary->network, layer, &summary->constants, draws),
                               (uint32_t)arguments->samples),
    };
    const struct pbitc_layer_choice *chosen = made->converted.choices;
    while (chosen && (strcmp(chosen->node, layer->name) != 0 ||
                      (chosen->weight_bits > 0) != (layer->kind == PBITC_ENERGY_SYNAPSES)))
        chosen = chosen->next;
    share.chosen = chosen;
    return share;
}

static double total_energy(const struct pbitc_conversion *conversion, const struct summary *summary)
{
    return pbitc_energy_total(
        pbitc_energy_of_pbits(&summary->network, &summary->constants, (uint32_t)conversion->arguments->draws),
        (uint32_t)conversion->arguments->samples);
}

/// Their errors as if independent.
static double expected_error(const struct pbitc_layer_choice *draws)
{
    double sum = 0;
    for (; draws; draws = draws->next)
        sum += draws->relative_error * draws->relative_error;
    return sqrt(sum);
}

static void print_shares(const struct pbitc_conversion *conversion, const struct pbitc_made *made,
                         const struct summary *summary)
{
    const struct pbitc_energy_network *network = &summary->network;
    size_t width = sizeof("layer") - 1;
    for (size_t i = 0; i < network->layer_count; i++) {
        size_t length = strlen(network->layers[i].name);
        width = length > width ? length : width;
    }
    fprintf(stderr, "%-*s  %-8s  bits  draws  nJ per image  expected error\n", (int)width, "layer", "type");
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct pbitc_energy_layer *layer = &network->layers[i];
        struct share share = find_share(conversion, made, summary, layer);
        pbitc_terminal_name(stderr, layer->name, width);
        // A precision of 0 leaves out zeros.
        fprintf(stderr, "  %-8s  %4.0" PRIu32 "  %5.0" PRIu32 "  %12.4g", layer->type,
                layer->kind == PBITC_ENERGY_SYNAPSES ? layer->weight_bits : 0, share.draws, share.energy);
        if (share.chosen)
            fprintf(stderr, "  %14.4f", share.chosen->relative_error);
        fputc('\n', stderr);
    }
    fprintf(stderr, "%.2f draws per synapse on average, %.6g nJ per image (%s), expected error %.4f\n",
            summary->mean_draws, total_energy(conversion, summary), summary->constants.name,
            expected_error(made->converted.choices));
}

static void write_shares(struct pbitc_json *json, const struct pbitc_conversion *conversion,
                         const struct pbitc_made *made, const struct summary *summary)
{
    pbitc_json_real(json, "energy", total_energy(conversion, summary));
    pbitc_json_string(json, "energy_preset", summary->constants.name);
    pbitc_json_real(json, "expected_error", expected_error(made->converted.choices));
    pbitc_json_open_array(json, "layers");
    for (size_t i = 0; i < summary->network.layer_count; i++) {
        const struct pbitc_energy_layer *layer = &summary->network.layers[i];
        struct share share = find_share(conversion, made, summary, layer);
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "name", layer->name);
        pbitc_json_string(json, "type", layer->type);
        if (layer->kind == PBITC_ENERGY_SYNAPSES)
            pbitc_json_integer(json, "weight_bits", layer->weight_bits);
        if (share.draws)
            pbitc_json_integer(json, "draws", share.draws);
        pbitc_json_real(json, "energy", share.energy);
        if (share.chosen)
            pbitc_json_real(json, "expected_error", share.chosen->relative_error);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

// ---- the summary

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
    if (made->converted.choices)
        print_shares(conversion, made, summary);
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
    if (made->converted.choices)
        write_shares(&json, conversion, made, summary);
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
    enum pbit_status status = sum_up(conversion, made, model, &summary);
    if (status == PBIT_OK)
        print_summary(conversion, made, &summary);
    if (status == PBIT_OK && conversion->arguments->json)
        write_summary(conversion, made, &summary);
    pbitc_arena_destroy(summary.arena);
    return status;
}
