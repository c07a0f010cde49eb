// From what was counted to what is reported.
#include "converter/energy/energy_report.h"
#include "converter/report/accuracy_report.h"

#include <math.h>
#include <stdlib.h>

/// How far below the float model an accuracy may lie when no --target says otherwise.
#define TARGET_DROP 0.01
/// A difference of two decimal fractions is not the nearest binary one.
#define ROUNDING 1e-12

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    return b ? greatest_common_divisor(b, a % b) : a;
}

bool pbitc_cells_pair(size_t images, const struct pbitc_accuracy_cell *before,
                      const struct pbitc_accuracy_cell *after, struct pbitc_paired *paired)
{
    uint64_t divisor = greatest_common_divisor(before->seeds, after->seeds);
    uint64_t weight_before = after->seeds / divisor, weight_after = before->seeds / divisor;
    size_t steps = (size_t)(weight_before * before->seeds);
    uint64_t *better = calloc(steps, sizeof(*better)), *worse = calloc(steps, sizeof(*worse));
    bool good = better && worse;
    for (size_t i = 0; i < images && good; i++) {
        uint64_t old_share = weight_before * before->tally.correct_by_image[i];
        uint64_t new_share = weight_after * after->tally.correct_by_image[i];
        if (new_share > old_share)
            better[new_share - old_share - 1]++;
        else if (new_share < old_share)
            worse[old_share - new_share - 1]++;
    }
    if (good)
        *paired = pbitc_paired_test(better, worse, steps);
    free(better);
    free(worse);
    return good;
}

static double calibration_error(const struct pbitc_tally *tally)
{
    double error = 0, count = 0;
    for (int i = 0; i < PBITC_CALIBRATION_BINS; i++) {
        const struct pbitc_calibration_bin *bin = &tally->bins[i];
        error += fabs((double)bin->correct - (double)bin->confidence / PBITC_CONFIDENCE_UNIT);
        count += (double)bin->count;
    }
    return count > 0 ? error / count : 0;
}

static uint64_t total_correct(const struct pbitc_accuracy_cell *cell)
{
    uint64_t correct = 0;
    for (size_t seed = 0; seed < cell->seeds; seed++)
        correct += cell->tally.correct[seed];
    return correct;
}

static bool derive_cell(const struct pbitc_accuracy_report *report, struct pbitc_accuracy_cell *cell)
{
    double images = (double)report->measured_images, seeds = (double)cell->seeds, trials = images * seeds;
    double correct = (double)total_correct(cell);
    for (size_t seed = 0; seed < cell->seeds; seed++)
        cell->by_seed[seed] = (double)cell->tally.correct[seed] / images;
    cell->accuracy = correct / trials;
    cell->interval = pbitc_wilson(cell->accuracy, report->measured_images);
    cell->spread = pbitc_spread(cell->by_seed, cell->seeds);
    cell->calibration_error = calibration_error(&cell->tally);
    cell->mean_samples = cell->confidence > 0 ? (double)cell->tally.passes / trials : cell->samples;
    cell->kept = (double)cell->tally.kept / trials;
    if (!report->has_baseline)
        return true;
    // Counted, not subtracted: a drop of 40 in 2000 is exactly the 0.02 that a gate names.
    cell->drop = ((double)report->baseline.tally.correct[0] * seeds - correct) / trials;
    cell->agreement = (double)cell->tally.agreed / trials;
    return pbitc_cells_pair(report->images, &report->baseline, cell, &cell->paired);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static void derive_layers(struct pbitc_accuracy_report *report)
{
    double losses = 0;
    for (size_t i = 0; i < report->layer_count; i++) {
        struct pbitc_report_layer *layer = &report->layers[i];
        layer->activity = layer->levels ? share(layer->level_sum, layer->elements) / layer->levels : 0;
        layer->saturated_low = share(layer->zeros, layer->elements);
        layer->saturated_high = share(layer->full, layer->elements);
        layer->loss = share(report->measured_images - layer->loss_agreed, report->measured_images);
        layer->loss = layer->has_loss ? layer->loss : 0;
        losses += layer->loss;
    }
    for (size_t i = 0; i < report->layer_count; i++)
        report->layers[i].loss_share = losses > 0 ? report->layers[i].loss / losses : 0;
}

/// Of two cells that reach the target: the better choice by cost, then by accuracy.
static bool is_better(double cost, const struct pbitc_accuracy_cell *cell, double best_cost,
                      const struct pbitc_accuracy_cell *best)
{
    return !best || cost < best_cost || (cost == best_cost && cell->accuracy > best->accuracy);
}

static void derive_target(struct pbitc_accuracy_report *report)
{
    const struct pbitc_accuracy_cell *smallest = NULL, *cheapest = NULL;
    report->has_target = report->target_given || report->has_baseline;
    if (!report->target_given && report->has_baseline)
        report->target =
            report->baseline.accuracy > TARGET_DROP ? report->baseline.accuracy - TARGET_DROP : 0;
    report->smallest_cell = report->cheapest_cell = -1;
    for (size_t i = 0; i < report->cell_count && report->has_target; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        if (cell->accuracy + ROUNDING < report->target)
            continue;
        double budget = (double)cell->draws * cell->samples;
        if (is_better(budget, cell, smallest ? (double)smallest->draws * smallest->samples : 0, smallest)) {
            smallest = cell;
            report->smallest_cell = (int32_t)i;
        }
        if (cell->has_energy && is_better(cell->energy, cell, cheapest ? cheapest->energy : 0, cheapest)) {
            cheapest = cell;
            report->cheapest_cell = (int32_t)i;
        }
    }
}

bool pbitc_report_derive(struct pbitc_accuracy_report *report)
{
    bool good = !report->has_baseline || derive_cell(report, &report->baseline);
    for (size_t i = 0; i < report->cell_count && good; i++)
        good = derive_cell(report, &report->cells[i]);
    for (size_t i = 0; i < report->twin_count && good; i++)
        good = derive_cell(report, &report->twins[i]);
    for (size_t i = 0; i < report->stop_count && good; i++)
        good = derive_cell(report, &report->stops[i]);
    derive_layers(report);
    good = good && pbitc_report_derive_energy(report);
    derive_target(report);
    return good;
}
