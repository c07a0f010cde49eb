#include "tests/converter/report_case.h"

#include "converter/energy/energy_report.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/// A number in 0..99 that depends on all of these.
static uint32_t toss(uint32_t salt, uint32_t image, uint32_t state, uint32_t seed)
{
    uint32_t hash = salt * 2654435761u ^ image * 2246822519u ^ state * 3266489917u ^ seed * 668265263u;
    hash = (hash ^ hash >> 15) * 2246822519u;
    hash = (hash ^ hash >> 13) * 3266489917u;
    return (hash ^ hash >> 16) % 100;
}

static uint32_t label_of(uint32_t image)
{
    return toss(1, image, 1000, 0) % CASE_CLASSES;
}

/// The label with a probability of `skill` per cent.
static uint32_t decide(uint32_t salt, uint32_t skill, uint32_t image, uint32_t state, uint32_t seed)
{
    bool right = toss(salt, image, state, seed) < skill;
    return (label_of(image) + !right) % CASE_CLASSES;
}

enum { FLOAT_STATE = 900, FLOAT_SKILL = 90 };

static uint32_t decide_in_float(uint32_t image)
{
    return decide(7, FLOAT_SKILL, image, FLOAT_STATE, 0);
}

static void count_image(struct pbitc_accuracy_cell *cell, uint32_t salt, uint32_t skill, uint32_t image,
                        uint32_t state)
{
    for (uint32_t seed = 0; seed < cell->seeds; seed++) {
        uint32_t decision =
            cell->bits == 32 ? decide_in_float(image) : decide(salt, skill, image, state, seed);
        uint32_t units = pbitc_confidence_units(toss(salt, image, state, seed + 50) / 99.0);
        struct pbitc_calibration_bin *bin = &cell->tally.bins[pbitc_confidence_bin(units)];
        bool correct = decision == label_of(image);
        cell->tally.correct[seed] += correct;
        cell->tally.correct_by_image[image] = (uint16_t)(cell->tally.correct_by_image[image] + correct);
        cell->tally.agreed += decision == decide_in_float(image);
        cell->tally.passes += cell->confidence > 0 ? 1 + toss(salt, image, state, seed + 80) % 2 : 0;
        cell->tally.kept += cell->confidence > 0 && decision % 2;
        bin->count++;
        bin->correct += correct;
        bin->confidence += units;
    }
}

static void make_cell(struct pbitc_accuracy_report *report, struct pbitc_accuracy_cell *cell,
                      uint32_t samples, uint32_t draws, uint32_t bits)
{
    *cell = (struct pbitc_accuracy_cell){
        .samples = samples, .draws = draws, .bits = bits, .seeds = bits ? 1 : CASE_SEEDS};
    ck_assert(pbitc_report_allocate_cell(report, cell));
}

static void make_layers(struct pbitc_accuracy_report *report)
{
    static const struct pbitc_report_layer layers[CASE_LAYERS] = {{.name = "first \"layer\"",
                                                                   .op = "conv",
                                                                   .input = -1,
                                                                   .height = 2,
                                                                   .width = 3,
                                                                   .channels = 4,
                                                                   .fan_in = 9,
                                                                   .weight_bits = 4,
                                                                   .weights = 36,
                                                                   .macs = 216},
                                                                  {.name = "relu",
                                                                   .op = "neuron",
                                                                   .input = 0,
                                                                   .height = 2,
                                                                   .width = 3,
                                                                   .channels = 4,
                                                                   .random = true,
                                                                   .neurons = 24,
                                                                   .draws = true,
                                                                   .draw_factor = 256,
                                                                   .amplitude = 128,
                                                                   .has_levels = true,
                                                                   .levels = 2,
                                                                   .has_loss = true},
                                                                  {.name = "last",
                                                                   .op = "conv",
                                                                   .input = 1,
                                                                   .height = 1,
                                                                   .width = 1,
                                                                   .channels = CASE_CLASSES,
                                                                   .random = true,
                                                                   .fan_in = 24,
                                                                   .weight_bits = 4,
                                                                   .weights = 96,
                                                                   .macs = 96}};
    report->layers = pbitc_arena_allocate(report->arena, CASE_LAYERS, sizeof(*layers));
    memcpy(report->layers, layers, sizeof(layers));
    report->layer_count = CASE_LAYERS;
}

static struct pbitc_accuracy_report *make_report(void)
{
    static const struct pbitc_energy_constants none = {.name = "none", .source = ""};
    struct pbitc_accuracy_report *report = pbitc_report_create();
    ck_assert_ptr_nonnull(report);
    report->tool = "pbitc 1.2.3";
    report->command = "pbitc eval 'a b.pbit'";
    report->images = CASE_IMAGES;
    report->classes = CASE_CLASSES;
    report->data_hash = UINT64_C(0xfedcba9876543210);
    report->source_hash = 5;
    report->first_image = 1000;
    report->image_height = report->image_width = 2;
    report->image_channels = 1;
    report->has_model = report->has_baseline = report->has_confusion = true;
    report->model_hash = 77;
    report->model_name = "a.onnx";
    report->origin_hash = "fnv1a64:0000000000000001";
    report->first_seed = 40;
    report->seed_count = CASE_SEEDS;
    make_cell(report, &report->baseline, 1, 0, 32);
    report->cells = pbitc_arena_allocate(report->arena, CASE_SAMPLES * CASE_DRAWS, sizeof(*report->cells));
    report->cell_count = CASE_SAMPLES * CASE_DRAWS;
    for (uint32_t i = 0; i < CASE_SAMPLES * CASE_DRAWS; i++)
        make_cell(report, &report->cells[i], 1 + i % CASE_SAMPLES, 1 + i / CASE_SAMPLES, 0);
    report->twins = pbitc_arena_allocate(report->arena, PBITC_TWINS_LIMIT, sizeof(*report->twins));
    report->twin_count = 1;
    make_cell(report, &report->twins[0], 1, 255, 8);
    report->stops = pbitc_arena_allocate(report->arena, CASE_DRAWS, sizeof(*report->stops));
    report->stop_count = CASE_DRAWS;
    for (uint32_t i = 0; i < CASE_DRAWS; i++) {
        make_cell(report, &report->stops[i], CASE_SAMPLES, 1 + i, 0);
        report->stops[i].confidence = 0.99;
        report->stops[i].deviation = 0.1;
    }
    report->main_cell = 2;
    make_layers(report);
    report->confusion =
        pbitc_arena_allocate(report->arena, CASE_CLASSES * CASE_CLASSES, sizeof(*report->confusion));
    report->changed = pbitc_arena_allocate(report->arena, PBITC_CHANGED_LIMIT, sizeof(*report->changed));
    ck_assert(pbitc_report_set_constants(report, &none));
    return report;
}

static void list_change(struct pbitc_accuracy_report *report, uint32_t image, uint32_t decision)
{
    if (decision == decide_in_float(image))
        return;
    report->changed_total++;
    uint8_t *pixels = NULL;
    if (report->changed_count < PBITC_THUMBNAIL_LIMIT) {
        pixels = pbitc_arena_allocate(report->arena, 4, 1);
        memset(pixels, (int)image, 4);
    }
    if (report->changed_count < PBITC_CHANGED_LIMIT)
        report->changed[report->changed_count++] = (struct pbitc_changed_image){
            1000 + image, label_of(image), decide_in_float(image), decision, pixels};
}

struct pbitc_accuracy_report *report_case(const uint8_t *mask, uint32_t salt, uint32_t skill)
{
    struct pbitc_accuracy_report *report = make_report();
    for (uint32_t image = 0; image < CASE_IMAGES; image++) {
        if (!mask[image])
            continue;
        count_image(&report->baseline, salt, skill, image, FLOAT_STATE);
        count_image(&report->twins[0], salt, skill, image, 500);
        for (uint32_t i = 0; i < report->cell_count; i++)
            count_image(&report->cells[i], salt, skill, image, i);
        for (uint32_t i = 0; i < report->stop_count; i++)
            count_image(&report->stops[i], salt, skill, image, 700 + i);
        for (uint32_t seed = 0; seed < CASE_SEEDS; seed++)
            report->confusion[label_of(image) * CASE_CLASSES + decide(salt, skill, image, 2, seed)]++;
        list_change(report, image, decide(salt, skill, image, 2, 0));
        report->layers[1].elements += 24;
        report->layers[1].level_sum += toss(salt, image, 600, 0) % 48;
        report->layers[1].zeros += toss(salt, image, 601, 0) % 10;
        report->layers[1].full += toss(salt, image, 602, 0) % 10;
        report->layers[1].loss_agreed += toss(salt, image, 603, 0) < 80;
    }
    ck_assert(pbitc_report_set_measured(report, mask));
    ck_assert(pbitc_report_derive(report));
    return report;
}

struct pbitc_accuracy_report *report_case_whole(uint32_t salt, uint32_t skill)
{
    uint8_t mask[CASE_IMAGES];
    memset(mask, 1, sizeof(mask));
    return report_case(mask, salt, skill);
}

char *report_case_text(const struct pbitc_accuracy_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stream);
    pbitc_report_write_json(report, stream);
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}
