// Accuracy reports that no run has made: any number of m, T, classes and layers, with plausible numbers.
#ifndef PBITC_TESTS_ODD_REPORTS_H
#define PBITC_TESTS_ODD_REPORTS_H

#include "converter/report/accuracy_report.h"
#include "passes/arena.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/// What a made report holds.
struct report_shape {
    size_t draws, samples; ///< numbers of m and T: 1, 2, 4, ... or, when `dense`, 1, 2, 3, ...
    bool dense;
    size_t seeds, images, classes, layers;
    double best, worst; ///< accuracies
    bool baseline, twins, energies;
    const char *name; ///< of the model and of the layers
};

static inline double made_accuracy(const struct report_shape *shape, uint32_t draws, uint32_t samples)
{
    double loss = 1 / (pow(draws, 1.4) * pow(samples, 0.6));
    return shape->best - (shape->best - shape->worst) * loss;
}

static inline void make_cell(const struct pbitc_accuracy_report *report, struct pbitc_accuracy_cell *cell,
                             const struct report_shape *shape, double accuracy)
{
    cell->accuracy = fmin(fmax(accuracy, 0), 1);
    cell->seeds = cell->bits ? 1 : shape->seeds;
    cell->by_seed = pbitc_arena_allocate(report->arena, cell->seeds, sizeof(double));
    for (size_t i = 0; i < cell->seeds; i++)
        cell->by_seed[i] = cell->accuracy;
    cell->interval = pbitc_wilson(cell->accuracy, report->measured_images);
    cell->drop = report->has_baseline ? report->baseline.accuracy - cell->accuracy : 0;
    cell->agreement = cell->accuracy;
    cell->calibration_error = 0.3 * (1 - cell->accuracy) + 0.01;
    cell->has_energy = shape->energies;
    if (!shape->energies)
        return;
    cell->first_energy = 4700 + 2038.0 * cell->draws;
    cell->further_energy = 2038.0 * cell->draws;
    if (cell->bits)
        cell->first_energy = 135000 * cell->bits / 32.0 + 4000;
    cell->energy = cell->first_energy + (cell->samples - 1) * cell->further_energy;
}

static inline void make_cells(struct pbitc_accuracy_report *report, const struct report_shape *shape)
{
    static const uint32_t bits[] = {1, 2, 3, 4, 8};
    report->cell_count = shape->draws * shape->samples;
    report->cells = pbitc_arena_allocate(report->arena, report->cell_count, sizeof(*report->cells));
    for (size_t i = 0; i < report->cell_count; i++) {
        struct pbitc_accuracy_cell *cell = &report->cells[i];
        size_t m = i / shape->samples, t = i % shape->samples;
        cell->draws = shape->dense ? (uint32_t)m + 1 : 1U << m;
        cell->samples = shape->dense ? (uint32_t)t + 1 : 1U << t;
        make_cell(report, cell, shape, made_accuracy(shape, cell->draws, cell->samples));
    }
    report->main_cell = report->cell_count - 1;
    report->twin_count = shape->twins ? PBITC_TWINS_LIMIT : 0;
    report->twins = pbitc_arena_allocate(report->arena, PBITC_TWINS_LIMIT, sizeof(*report->twins));
    for (size_t i = 0; i < report->twin_count; i++) {
        struct pbitc_accuracy_cell *twin = &report->twins[i];
        twin->bits = bits[i];
        twin->samples = 1;
        twin->draws = (1U << bits[i]) - 1;
        make_cell(report, twin, shape, shape->best - (shape->best - shape->worst) / (twin->draws + 1));
    }
}

static inline void make_layers(struct pbitc_accuracy_report *report, const struct report_shape *shape)
{
    report->layer_count = 2 * shape->layers;
    report->layers = pbitc_arena_allocate(report->arena, report->layer_count, sizeof(*report->layers));
    for (size_t i = 0; i < report->layer_count; i++) {
        struct pbitc_report_layer *layer = &report->layers[i];
        double place = (double)i / (double)report->layer_count;
        layer->name = pbitc_arena_format(report->arena, "%s/layer%zu", shape->name, i);
        layer->op = i % 2 ? "neuron" : "conv";
        layer->input = (int32_t)i - 1;
        layer->height = layer->width = 8;
        layer->channels = 32;
        layer->random = true;
        if (i % 2 == 0) {
            layer->fan_in = 288;
            layer->weight_bits = 4;
            layer->weights = 9216;
            layer->macs = 589824;
            continue;
        }
        layer->neurons = 2048;
        layer->draws = layer->has_levels = layer->has_loss = true;
        layer->draw_factor = 256;
        layer->elements = 2048 * report->measured_images;
        layer->levels = 8;
        layer->activity = 0.5 - 0.4 * place;
        layer->saturated_low = 0.3 + 0.5 * place;
        layer->saturated_high = 0.1 * (1 - place);
        layer->loss = 0.01 * (1 + place);
        layer->loss_share = 1.0 / (double)shape->layers;
    }
}

static inline void make_confusion(struct pbitc_accuracy_report *report, const struct report_shape *shape)
{
    size_t classes = shape->classes;
    report->classes = classes;
    report->has_confusion = classes <= PBITC_CONFUSION_CLASSES;
    if (!report->has_confusion)
        return;
    report->confusion = pbitc_arena_allocate(report->arena, classes * classes, sizeof(uint64_t));
    for (size_t i = 0; i < classes * classes; i++)
        report->confusion[i] = i / classes == i % classes ? 190 + i % 7 : (i * 7919) % 5;
    report->changed_total = report->changed_count = report->measured_images < 5 ? report->measured_images : 5;
    report->changed = pbitc_arena_allocate(report->arena, report->changed_count, sizeof(*report->changed));
    report->image_height = report->image_width = 28;
    report->image_channels = 1;
    for (size_t i = 0; i < report->changed_count; i++) {
        uint8_t *pixels = pbitc_arena_allocate(report->arena, 28 * 28, 1);
        for (size_t k = 0; k < (size_t)28 * 28; k++)
            pixels[k] = (uint8_t)(k * (i + 1));
        report->changed[i] =
            (struct pbitc_changed_image){17 * i, 0, 0, (uint32_t)(classes - 1), i ? pixels : NULL};
    }
}

/// The report, in an arena of its own.
static inline struct pbitc_accuracy_report *make_report(const struct report_shape *shape)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    ck_assert_ptr_nonnull(arena);
    struct pbitc_accuracy_report *report = pbitc_arena_allocate(arena, 1, sizeof(*report));
    report->arena = arena;
    report->tool = "pbitc 0.1.0";
    report->command = pbitc_arena_format(arena, "pbitc eval '%s.pbit' --data idx:samples", shape->name);
    report->images = report->measured_images = shape->images;
    report->measured_count = 1;
    report->measured = pbitc_arena_allocate(arena, 1, sizeof(*report->measured));
    report->measured[0].count = shape->images;
    report->has_model = shape->draws > 0;
    report->model_name = shape->name;
    report->origin_hash = "";
    report->seed_count = shape->seeds;
    report->has_baseline = shape->baseline;
    report->smallest_cell = report->cheapest_cell = -1;
    if (shape->baseline) {
        report->baseline.samples = 1;
        report->baseline.bits = 32;
        make_cell(report, &report->baseline, shape, shape->best);
        report->has_target = true;
        report->target = shape->best - 0.01;
    }
    if (!report->has_model)
        return report;
    make_cells(report, shape);
    make_layers(report, shape);
    make_confusion(report, shape);
    if (shape->energies)
        report->energy_preset = "paper-sram";
    for (size_t i = 0; i < report->cell_count && report->smallest_cell < 0; i++) {
        if (report->has_target && report->cells[i].accuracy >= report->target)
            report->smallest_cell = report->cheapest_cell = (int32_t)i;
    }
    return report;
}

static inline void destroy_report(struct pbitc_accuracy_report *report)
{
    pbitc_arena_destroy(report->arena);
}

/// Reports at the edges of what can be measured.
static const struct report_shape odd_reports[] = {
    {6, 6, false, 5, 2000, 10, 4, 0.9935, 0.93, true, true, true, "cnn_relu"},
    {6, 6, false, 5, 10000, 10, 5, 0.855, 0.24, true, true, true, "vgg5"},
    {1, 1, false, 1, 100, 10, 2, 0.95, 0.9, true, true, true, "one_cell"},
    {1, 1, false, 1, 1, 1, 1, 1, 1, false, false, false, "one_image"},
    {3, 4, false, 2, 100, 10, 2, 0.8, 0.1, false, false, false, "no_baseline"},
    {3, 3, false, 1, 500, 1, 1, 1, 1, true, true, true, "all_right"},
    {3, 3, false, 1, 500, 2, 1, 0, 0, true, true, true, "all_wrong"},
    {24, 24, true, 3, 1000, 100, 80, 0.7, 0.01, true, true, true, "hundreds_of_cells"},
    {1, 8, false, 1, 1000, 1000, 0, 0.7, 0.3, true, false, true, "one_m_no_layers"},
    {8, 1, false, 1, 1000, 31, 3, 0.7, 0.3, true, true, true, "one_t"},
    {2, 2, false, 1, 50, 3, 2, 0.7, 0.3, true, true, true,
     "<script>alert(\"1\")</script>|&'\xff\x01`*\xe2\x82\xac a name that is far too long for any row of any "
     "picture"},
    {0, 0, false, 0, 300, 10, 0, 0.9, 0.9, true, false, false, "only_the_float_model"},
};
enum { ODD_REPORTS = sizeof(odd_reports) / sizeof(odd_reports[0]) };

#endif
