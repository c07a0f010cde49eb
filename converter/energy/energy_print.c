#include "converter/energy/energy_print.h"

#include "converter/file.h"
#include "converter/json.h"
#include "converter/terminal.h"

#include <inttypes.h>
#include <string.h>

/// The deterministic networks that gains are over.
static const uint32_t twins[] = {32, 8, 4, 3, 1};
enum { TWIN_COUNT = sizeof(twins) / sizeof(twins[0]) };

struct totals {
    uint64_t weights, memory_bits, macs, neurons;
};

static struct totals sum_up(const struct pbitc_energy_network *network)
{
    struct totals totals = {0, 0, 0, 0};
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct pbitc_energy_layer *layer = &network->layers[i];
        totals.weights += layer->weights;
        totals.memory_bits += layer->memory_bits;
        totals.macs += layer->macs;
        totals.neurons += layer->kind == PBITC_ENERGY_NEURONS ? layer->neurons : 0;
    }
    return totals;
}

static void print_layers(const struct pbitc_energy_listing *listing, FILE *stream)
{
    const struct pbitc_energy_network *network = listing->network;
    size_t width = sizeof("layer") - 1;
    for (size_t i = 0; i < network->layer_count; i++) {
        size_t length = strlen(network->layers[i].name);
        width = length > width ? length : width;
    }
    fprintf(stream, "\nnJ per image at m = %" PRIu32 "\n%-*s  %-11s %9s %11s %7s %9s %5s %13s %13s %13s\n",
            listing->draws[0], (int)width, "layer", "type", "weights", "MACs", "fan-in", "neurons", "ones",
            "weights nJ", "first pass", "further pass");
    for (size_t i = 0; i < network->layer_count; i++) {
        const struct pbitc_energy_layer *layer = &network->layers[i];
        struct pbitc_energy energy =
            pbitc_energy_of_layer(network, layer, listing->constants, listing->draws[0]);
        bool binary = layer->kind == PBITC_ENERGY_SYNAPSES && layer->input_bits == PBITC_ENERGY_PBITS;
        char ones[16] = "";
        if (binary && layer->macs)
            snprintf(ones, sizeof(ones), "%.3f", layer->activity);
        pbitc_terminal_name(stream, layer->name, width);
        fprintf(stream,
                "  %-11s %9" PRIu64 " %11" PRIu64 " %7" PRIu64 " %9" PRIu64 " %5s %13.2f %13.2f %13.2f\n",
                layer->type, layer->weights, layer->macs, layer->fan_in,
                layer->kind == PBITC_ENERGY_SYNAPSES ? 0 : layer->neurons, ones, energy.weights,
                energy.first - energy.weights, energy.further);
    }
}

static void print_budgets(const struct pbitc_energy_listing *listing, FILE *stream)
{
    fputs("\nnJ per image, and gain over deterministic networks by the bits of their activations\n"
          "    m      T     m*T       first     further         all",
          stream);
    double twin_energy[TWIN_COUNT];
    for (int i = 0; i < TWIN_COUNT; i++) {
        twin_energy[i] = pbitc_energy_of_twin(listing->network, listing->constants, twins[i]);
        fprintf(stream, " %5" PRIu32 "-bit", twins[i]);
    }
    fputs("\ndeterministic                                           ", stream);
    for (int i = 0; i < TWIN_COUNT; i++)
        fprintf(stream, " %9.1f", twin_energy[i]);
    fputc('\n', stream);
    for (size_t m = 0; m < listing->draws_count; m++) {
        struct pbitc_energy energy =
            pbitc_energy_of_pbits(listing->network, listing->constants, listing->draws[m]);
        for (size_t t = 0; t < listing->samples_count; t++) {
            double total = pbitc_energy_total(energy, listing->samples[t]);
            fprintf(stream, "%5" PRIu32 "  %5" PRIu32 "  %6" PRIu64 "  %10.2f  %10.2f  %10.2f",
                    listing->draws[m], listing->samples[t], (uint64_t)listing->draws[m] * listing->samples[t],
                    energy.first, energy.further, total);
            for (int i = 0; i < TWIN_COUNT; i++)
                fprintf(stream, " %9.2f", twin_energy[i] / total);
            fputc('\n', stream);
        }
    }
}

/// A difference of two decimal fractions is not the nearest binary one.
#define ROUNDING 1e-12

const struct pbitc_accuracy_cell *pbitc_energy_find_cheapest(const struct pbitc_energy_listing *listing,
                                                             double *energy)
{
    const struct pbitc_accuracy_cell *cheapest = NULL;
    for (size_t i = 0; i < listing->report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &listing->report->cells[i];
        double total = pbitc_energy_total(
            pbitc_energy_of_pbits(listing->network, listing->constants, cell->draws), cell->samples);
        if (cell->accuracy + ROUNDING < listing->target || (cheapest && total >= *energy))
            continue;
        cheapest = cell;
        *energy = total;
    }
    return cheapest;
}

static void print_cheapest(const struct pbitc_energy_listing *listing, FILE *stream)
{
    double energy;
    const struct pbitc_accuracy_cell *cell = pbitc_energy_find_cheapest(listing, &energy);
    if (cell)
        fprintf(stream,
                "\naccuracy %g is reached at the least energy, %.2f nJ, with m = %" PRIu32 ", T = %" PRIu32
                ": %.4f on %zu images\n",
                listing->target, energy, cell->draws, cell->samples, cell->accuracy,
                listing->report->measured_images);
    else
        fprintf(stream, "\naccuracy %g is reached with no m and T of the report\n", listing->target);
}

void pbitc_energy_write_text(const struct pbitc_energy_listing *listing, FILE *stream)
{
    struct totals totals = sum_up(listing->network);
    struct pbitc_energy energy =
        pbitc_energy_of_pbits(listing->network, listing->constants, listing->draws[0]);
    const struct pbitc_energy_constants *constants = listing->constants;
    fprintf(stream, "%-12s%s%s%s\n%-12s", "constants", constants->name, *constants->source ? ": " : "",
            constants->source, "");
    for (int i = 0; i < PBITC_ENERGY_CONSTANTS; i++)
        fprintf(stream, "%s%s %.4g", i ? ", " : "", pbitc_energy_symbols[i],
                pbitc_energy_constant(constants, i));
    fprintf(stream,
            " pJ\n%-12s%s\n%-12s%" PRIu64 " in %" PRIu64 " bits: %.1f nJ\n%-12s%" PRIu64
            " MACs\n%-12s%" PRIu64 "\n",
            "convention", pbitc_energy_convention_names[listing->network->convention], "weights",
            totals.weights, totals.memory_bits, energy.weights, "synapses", totals.macs, "neurons",
            totals.neurons);
    print_layers(listing, stream);
    print_budgets(listing, stream);
    if (listing->has_target)
        print_cheapest(listing, stream);
}

static void write_layers(struct pbitc_json *json, const struct pbitc_energy_listing *listing)
{
    pbitc_json_open_array(json, "layers");
    for (size_t i = 0; i < listing->network->layer_count; i++) {
        const struct pbitc_energy_layer *layer = &listing->network->layers[i];
        struct pbitc_energy energy =
            pbitc_energy_of_layer(listing->network, layer, listing->constants, listing->draws[0]);
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "name", layer->name);
        pbitc_json_string(json, "type", layer->type);
        pbitc_json_bool(json, "random", layer->random);
        if (layer->kind == PBITC_ENERGY_SYNAPSES) {
            pbitc_json_integer(json, "weights", (int64_t)layer->weights);
            pbitc_json_integer(json, "weight_memory_bits", (int64_t)layer->memory_bits);
            pbitc_json_integer(json, "weight_bits", layer->weight_bits);
            pbitc_json_integer(json, "macs", (int64_t)layer->macs);
            pbitc_json_integer(json, "fan_in", (int64_t)layer->fan_in);
            pbitc_json_integer(json, "input_bits", layer->input_bits);
            pbitc_json_real(json, "activity", layer->activity);
        } else {
            pbitc_json_integer(json, "neurons", (int64_t)layer->neurons);
            pbitc_json_integer(json, "output_bits", layer->output_bits);
        }
        pbitc_json_real(json, "weight_energy", energy.weights);
        pbitc_json_real(json, "first", energy.first);
        pbitc_json_real(json, "further", energy.further);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_twins(struct pbitc_json *json, const struct pbitc_energy_listing *listing)
{
    pbitc_json_open_array(json, "deterministic");
    for (int i = 0; i < TWIN_COUNT; i++) {
        pbitc_json_open_object(json, NULL);
        pbitc_json_integer(json, "bits", twins[i]);
        pbitc_json_real(json, "energy", pbitc_energy_of_twin(listing->network, listing->constants, twins[i]));
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_cell(struct pbitc_json *json, const struct pbitc_energy_listing *listing,
                       struct pbitc_energy energy, uint32_t draws, uint32_t samples)
{
    double total = pbitc_energy_total(energy, samples);
    pbitc_json_open_object(json, NULL);
    pbitc_json_integer(json, "samples", samples);
    pbitc_json_integer(json, "draws", draws);
    pbitc_json_real(json, "first", energy.first);
    pbitc_json_real(json, "further", energy.further);
    pbitc_json_real(json, "energy", total);
    pbitc_json_open_object(json, "gain");
    for (int i = 0; i < TWIN_COUNT; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%" PRIu32, twins[i]);
        pbitc_json_real(json, key,
                        pbitc_energy_of_twin(listing->network, listing->constants, twins[i]) / total);
    }
    pbitc_json_close_object(json);
    pbitc_json_close_object(json);
}

static void write_cheapest(struct pbitc_json *json, const struct pbitc_energy_listing *listing)
{
    double energy;
    const struct pbitc_accuracy_cell *cell = pbitc_energy_find_cheapest(listing, &energy);
    if (!cell) {
        pbitc_json_null(json, "cheapest");
        return;
    }
    pbitc_json_open_object(json, "cheapest");
    pbitc_json_integer(json, "samples", cell->samples);
    pbitc_json_integer(json, "draws", cell->draws);
    pbitc_json_real(json, "accuracy", cell->accuracy);
    pbitc_json_real(json, "energy", energy);
    pbitc_json_close_object(json);
}

static void write_constants(struct pbitc_json *json, const struct pbitc_energy_constants *constants)
{
    pbitc_json_open_object(json, "constants");
    pbitc_json_string(json, "name", constants->name);
    pbitc_json_string(json, "source", constants->source);
    for (int i = 0; i < PBITC_ENERGY_CONSTANTS; i++)
        pbitc_json_real(json, pbitc_energy_symbols[i], pbitc_energy_constant(constants, i));
    pbitc_json_close_object(json);
}

void pbitc_energy_write_json(const struct pbitc_energy_listing *listing, FILE *stream)
{
    struct pbitc_json json = {.stream = stream, .indent = 2};
    char hash[PBITC_HASH_TEXT];
    struct totals totals = sum_up(listing->network);
    struct pbitc_energy energy =
        pbitc_energy_of_pbits(listing->network, listing->constants, listing->draws[0]);
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "hash", pbitc_hash_text(listing->model_hash, hash));
    write_constants(&json, listing->constants);
    pbitc_json_string(&json, "convention", pbitc_energy_convention_names[listing->network->convention]);
    pbitc_json_integer(&json, "weights", (int64_t)totals.weights);
    pbitc_json_real(&json, "weight_energy", energy.weights);
    pbitc_json_integer(&json, "macs", (int64_t)totals.macs);
    pbitc_json_integer(&json, "neurons", (int64_t)totals.neurons);
    write_layers(&json, listing);
    write_twins(&json, listing);
    pbitc_json_open_array(&json, "cells");
    for (size_t m = 0; m < listing->draws_count; m++) {
        energy = pbitc_energy_of_pbits(listing->network, listing->constants, listing->draws[m]);
        for (size_t t = 0; t < listing->samples_count; t++)
            write_cell(&json, listing, energy, listing->draws[m], listing->samples[t]);
    }
    pbitc_json_close_array(&json);
    if (listing->has_target) {
        pbitc_json_real(&json, "min_accuracy", listing->target);
        write_cheapest(&json, listing);
    }
    pbitc_json_close_object(&json);
}
