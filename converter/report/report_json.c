// report.json, as converter/report/SCHEMA.md describes it.
#include "converter/file.h"
#include "converter/json.h"
#include "converter/report/accuracy_report.h"
#include "converter/report/base64.h"
#include "converter/report/report_tally.h"

#include <stdlib.h>

static void write_hash(struct pbitc_json *json, const char *key, uint64_t hash)
{
    char text[PBITC_HASH_TEXT];
    pbitc_json_string(json, key, pbitc_hash_text(hash, text));
}

static void write_count(struct pbitc_json *json, const char *key, uint64_t count)
{
    pbitc_json_integer(json, key, (int64_t)count);
}

static void write_interval(struct pbitc_json *json, struct pbitc_interval interval)
{
    pbitc_json_open_array(json, "interval");
    pbitc_json_real(json, NULL, interval.low);
    pbitc_json_real(json, NULL, interval.high);
    pbitc_json_close_array(json);
}

static void write_model(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->has_model) {
        pbitc_json_null(json, "model");
        return;
    }
    pbitc_json_open_object(json, "model");
    write_hash(json, "hash", report->model_hash);
    pbitc_json_string(json, "name", report->model_name);
    pbitc_json_string(json, "origin_hash", report->origin_hash);
    write_hash(json, "recipe_hash", report->recipe_hash);
    pbitc_json_close_object(json);
}

static void write_data(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    pbitc_json_open_object(json, "data");
    write_hash(json, "hash", report->data_hash);
    write_hash(json, "source_hash", report->source_hash);
    write_count(json, "first", report->first_image);
    write_count(json, "height", report->image_height);
    write_count(json, "width", report->image_width);
    write_count(json, "channels", report->image_channels);
    pbitc_json_close_object(json);
}

/// Which images of the whole were measured.
static void write_measured(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    char shard[64];
    snprintf(shard, sizeof(shard), "%zu/%zu", report->shard, report->shard_count);
    pbitc_json_bool(json, "partial", report->partial);
    pbitc_json_string(json, "shard", report->shard ? shard : NULL);
    pbitc_json_open_array(json, "measured");
    for (size_t i = 0; i < report->measured_count; i++) {
        pbitc_json_open_array(json, NULL);
        write_count(json, NULL, report->measured[i].first);
        write_count(json, NULL, report->measured[i].count);
        pbitc_json_close_array(json);
    }
    pbitc_json_close_array(json);
}

static void write_energy(struct pbitc_json *json, const struct pbitc_accuracy_cell *cell)
{
    if (!cell->has_energy) {
        pbitc_json_null(json, "energy");
        return;
    }
    pbitc_json_open_object(json, "energy");
    pbitc_json_real(json, "first", cell->first_energy);
    pbitc_json_real(json, "further", cell->further_energy);
    pbitc_json_real(json, "total", cell->energy);
    pbitc_json_close_object(json);
}

static void write_baseline(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->has_baseline) {
        pbitc_json_null(json, "baseline");
        return;
    }
    pbitc_json_open_object(json, "baseline");
    pbitc_json_real(json, "accuracy", report->baseline.accuracy);
    write_interval(json, report->baseline.interval);
    pbitc_json_real(json, "calibration_error", report->baseline.calibration_error);
    write_hash(json, "hash", report->baseline_hash);
    write_energy(json, &report->baseline);
    pbitc_json_close_object(json);
}

static void write_against_float(struct pbitc_json *json, const struct pbitc_accuracy_report *report,
                                const struct pbitc_accuracy_cell *cell)
{
    if (!report->has_baseline) {
        pbitc_json_null(json, "drop");
        pbitc_json_null(json, "agreement");
        pbitc_json_null(json, "paired");
        return;
    }
    pbitc_json_real(json, "drop", cell->drop);
    pbitc_json_real(json, "agreement", cell->agreement);
    pbitc_json_open_object(json, "paired");
    write_count(json, "better", cell->paired.better);
    write_count(json, "worse", cell->paired.worse);
    pbitc_json_real(json, "z", cell->paired.z);
    pbitc_json_real(json, "p_value", cell->paired.p_value);
    pbitc_json_close_object(json);
}

static void write_cell(struct pbitc_json *json, const struct pbitc_accuracy_report *report,
                       const struct pbitc_accuracy_cell *cell)
{
    pbitc_json_open_object(json, NULL);
    if (cell->bits)
        pbitc_json_integer(json, "bits", cell->bits);
    pbitc_json_integer(json, "samples", cell->samples);
    pbitc_json_integer(json, "draws", cell->draws);
    pbitc_json_integer(json, "draws_times_samples", (int64_t)cell->draws * cell->samples);
    pbitc_json_real(json, "accuracy", cell->accuracy);
    pbitc_json_open_array(json, "accuracy_by_seed");
    for (size_t seed = 0; seed < cell->seeds; seed++)
        pbitc_json_real(json, NULL, cell->by_seed[seed]);
    pbitc_json_close_array(json);
    write_interval(json, cell->interval);
    pbitc_json_real(json, "spread", cell->spread);
    write_against_float(json, report, cell);
    pbitc_json_real(json, "calibration_error", cell->calibration_error);
    write_energy(json, cell);
    if (cell->confidence > 0) {
        pbitc_json_real(json, "confidence", cell->confidence);
        pbitc_json_real(json, "deviation", cell->deviation);
        pbitc_json_real(json, "mean_samples", cell->mean_samples);
        pbitc_json_real(json, "kept", cell->kept);
    }
    pbitc_json_close_object(json);
}

static void write_cells(struct pbitc_json *json, const char *key, const struct pbitc_accuracy_report *report,
                        const struct pbitc_accuracy_cell *cells, size_t count)
{
    pbitc_json_open_array(json, key);
    for (size_t i = 0; i < count; i++)
        write_cell(json, report, &cells[i]);
    pbitc_json_close_array(json);
}

static void write_layer(struct pbitc_json *json, const struct pbitc_report_layer *layer)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "name", layer->name);
    pbitc_json_string(json, "op", layer->op);
    pbitc_json_integer(json, "input", layer->input);
    pbitc_json_integer(json, "height", layer->height);
    pbitc_json_integer(json, "width", layer->width);
    pbitc_json_integer(json, "channels", layer->channels);
    pbitc_json_bool(json, "random", layer->random);
    pbitc_json_integer(json, "fan_in", layer->fan_in);
    pbitc_json_integer(json, "weight_bits", layer->weight_bits);
    pbitc_json_integer(json, "weight_group", layer->weight_group);
    write_count(json, "weights", layer->weights);
    write_count(json, "macs", layer->macs);
    write_count(json, "neurons", layer->neurons);
    pbitc_json_bool(json, "draws", layer->draws);
    pbitc_json_bool(json, "multibit", layer->multibit);
    pbitc_json_integer(json, "draw_factor", layer->draw_factor);
    pbitc_json_integer(json, "amplitude", layer->amplitude);
    if (layer->has_levels) {
        pbitc_json_integer(json, "levels", layer->levels);
        pbitc_json_real(json, "activity", layer->activity);
        pbitc_json_real(json, "saturated_low", layer->saturated_low);
        pbitc_json_real(json, "saturated_high", layer->saturated_high);
        pbitc_json_open_array(json, "counted");
        write_count(json, NULL, layer->elements);
        write_count(json, NULL, layer->level_sum);
        write_count(json, NULL, layer->zeros);
        write_count(json, NULL, layer->full);
        pbitc_json_close_array(json);
    }
    if (layer->has_loss) {
        pbitc_json_real(json, "loss", layer->loss);
        pbitc_json_real(json, "loss_share", layer->loss_share);
        write_count(json, "loss_agreed", layer->loss_agreed);
    }
    pbitc_json_close_object(json);
}

static void write_pixels(struct pbitc_json *json, const struct pbitc_accuracy_report *report,
                         const uint8_t *pixels)
{
    if (!pixels)
        return;
    char *text =
        pbitc_base64_encode(pixels, report->image_height * report->image_width * report->image_channels);
    pbitc_json_string(json, "pixels", text);
    free(text);
}

static void write_main(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
    pbitc_json_open_object(json, "main");
    pbitc_json_integer(json, "samples", cell->samples);
    pbitc_json_integer(json, "draws", cell->draws);
    if (report->has_confusion) {
        pbitc_json_open_array(json, "confusion");
        for (size_t label = 0; label < report->classes; label++) {
            pbitc_json_open_array(json, NULL);
            for (size_t decision = 0; decision < report->classes; decision++)
                write_count(json, NULL, report->confusion[label * report->classes + decision]);
            pbitc_json_close_array(json);
        }
        pbitc_json_close_array(json);
    }
    write_count(json, "changed_total", report->changed_total);
    pbitc_json_open_array(json, "changed");
    for (size_t i = 0; i < report->changed_count; i++) {
        const struct pbitc_changed_image *image = &report->changed[i];
        pbitc_json_open_object(json, NULL);
        write_count(json, "index", image->index);
        pbitc_json_integer(json, "label", image->label);
        pbitc_json_integer(json, "float", image->float_decision);
        pbitc_json_integer(json, "decision", image->decision);
        write_pixels(json, report, image->pixels);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
    pbitc_json_close_object(json);
}

static void write_constants(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->energy_preset) {
        pbitc_json_null(json, "energy");
        return;
    }
    pbitc_json_open_object(json, "energy");
    pbitc_json_string(json, "preset", report->energy_preset);
    pbitc_json_open_object(json, "constants");
    for (size_t i = 0; i < report->energy_constant_count; i++)
        pbitc_json_real(json, report->energy_constants[i].name, report->energy_constants[i].value);
    pbitc_json_close_object(json);
    pbitc_json_close_object(json);
}

static void write_choice(struct pbitc_json *json, const char *key, const struct pbitc_accuracy_report *report,
                         int32_t index)
{
    if (index < 0) {
        pbitc_json_null(json, key);
        return;
    }
    pbitc_json_open_object(json, key);
    pbitc_json_integer(json, "samples", report->cells[index].samples);
    pbitc_json_integer(json, "draws", report->cells[index].draws);
    pbitc_json_close_object(json);
}

static void write_target(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    if (!report->has_target) {
        pbitc_json_null(json, "target");
        return;
    }
    pbitc_json_open_object(json, "target");
    pbitc_json_real(json, "accuracy", report->target);
    pbitc_json_bool(json, "given", report->target_given);
    write_choice(json, "smallest", report, report->smallest_cell);
    write_choice(json, "cheapest", report, report->cheapest_cell);
    pbitc_json_close_object(json);
}

static void write_gates(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    pbitc_json_open_array(json, "gates");
    for (size_t i = 0; i < report->gate_count; i++) {
        const struct pbitc_gate_outcome *gate = &report->gates[i];
        pbitc_json_open_object(json, NULL);
        pbitc_json_string(json, "option", gate->option);
        pbitc_json_integer(json, "samples", gate->samples);
        pbitc_json_integer(json, "draws", gate->draws);
        pbitc_json_real(json, "bound", gate->bound);
        pbitc_json_real(json, "value", gate->value);
        pbitc_json_bool(json, "passed", gate->passed);
        pbitc_json_string(json, "message", gate->message);
        pbitc_json_close_object(json);
    }
    pbitc_json_close_array(json);
}

static void write_tally(struct pbitc_json *json, const char *key, const struct pbitc_accuracy_report *report,
                        const struct pbitc_accuracy_cell *cell)
{
    pbitc_json_open_object(json, key);
    pbitc_json_open_array(json, "correct");
    for (size_t seed = 0; seed < cell->seeds; seed++)
        write_count(json, NULL, cell->tally.correct[seed]);
    pbitc_json_close_array(json);
    write_count(json, "agreed", cell->tally.agreed);
    if (cell->confidence > 0) {
        write_count(json, "passes", cell->tally.passes);
        write_count(json, "kept", cell->tally.kept);
    }
    pbitc_json_open_array(json, "bins");
    for (int i = 0; i < PBITC_CALIBRATION_BINS; i++) {
        pbitc_json_open_array(json, NULL);
        write_count(json, NULL, cell->tally.bins[i].count);
        write_count(json, NULL, cell->tally.bins[i].correct);
        write_count(json, NULL, cell->tally.bins[i].confidence);
        pbitc_json_close_array(json);
    }
    pbitc_json_close_array(json);
    char *text = pbitc_tally_encode(report, cell);
    pbitc_json_string(json, "correct_by_image", text);
    free(text);
    pbitc_json_close_object(json);
}

static void write_tallies(struct pbitc_json *json, const char *key,
                          const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell *cells,
                          size_t count)
{
    pbitc_json_open_array(json, key);
    for (size_t i = 0; i < count; i++)
        write_tally(json, NULL, report, &cells[i]);
    pbitc_json_close_array(json);
}

static void write_counted(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    pbitc_json_open_object(json, "counted");
    if (report->has_baseline)
        write_tally(json, "baseline", report, &report->baseline);
    write_tallies(json, "cells", report, report->cells, report->cell_count);
    write_tallies(json, "twins", report, report->twins, report->twin_count);
    write_tallies(json, "early_stops", report, report->stops, report->stop_count);
    pbitc_json_close_object(json);
}

static void write_seeds(struct pbitc_json *json, const struct pbitc_accuracy_report *report)
{
    pbitc_json_open_array(json, "seeds");
    for (size_t seed = 0; seed < report->seed_count; seed++)
        write_count(json, NULL, report->first_seed + seed);
    pbitc_json_close_array(json);
}

void pbitc_report_write_json(const struct pbitc_accuracy_report *report, FILE *stream)
{
    struct pbitc_json json = {.stream = stream, .indent = 2};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", PBITC_REPORT_SCHEMA);
    pbitc_json_integer(&json, "revision", PBITC_REPORT_REVISION);
    pbitc_json_string(&json, "tool", report->tool);
    pbitc_json_string(&json, "command", report->command);
    write_model(&json, report);
    write_data(&json, report);
    write_count(&json, "images", report->images);
    write_measured(&json, report);
    write_count(&json, "classes", report->classes);
    write_seeds(&json, report);
    write_baseline(&json, report);
    write_cells(&json, "cells", report, report->cells, report->cell_count);
    write_cells(&json, "twins", report, report->twins, report->twin_count);
    write_cells(&json, "early_stops", report, report->stops, report->stop_count);
    pbitc_json_open_array(&json, "layers");
    for (size_t i = 0; i < report->layer_count; i++)
        write_layer(&json, &report->layers[i]);
    pbitc_json_close_array(&json);
    if (report->has_model)
        write_main(&json, report);
    write_constants(&json, report);
    write_target(&json, report);
    write_gates(&json, report);
    write_counted(&json, report);
    pbitc_json_close_object(&json);
}
