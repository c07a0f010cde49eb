#include "converter/report/accuracy_report.h"

struct pbitc_accuracy_report *pbitc_report_create(void)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    if (!arena)
        return NULL;
    struct pbitc_accuracy_report *report = pbitc_arena_allocate(arena, 1, sizeof(*report));
    if (report)
        report->arena = arena;
    else
        pbitc_arena_destroy(arena);
    return report;
}

void pbitc_report_destroy(struct pbitc_accuracy_report *report)
{
    if (report)
        pbitc_arena_destroy(report->arena);
}

bool pbitc_report_allocate_cell(struct pbitc_accuracy_report *report, struct pbitc_accuracy_cell *cell)
{
    struct pbitc_tally *tally = &cell->tally;
    tally->correct = pbitc_arena_allocate(report->arena, cell->seeds, sizeof(*tally->correct));
    tally->correct_by_image =
        pbitc_arena_allocate(report->arena, report->images, sizeof(*tally->correct_by_image));
    cell->by_seed = pbitc_arena_allocate(report->arena, cell->seeds, sizeof(*cell->by_seed));
    return tally->correct && tally->correct_by_image && cell->by_seed;
}

bool pbitc_report_set_measured(struct pbitc_accuracy_report *report, const uint8_t *mask)
{
    size_t ranges = 0, images = 0;
    for (size_t i = 0; i < report->images; i++) {
        ranges += mask[i] && (i == 0 || !mask[i - 1]);
        images += mask[i] != 0;
    }
    report->measured = pbitc_arena_allocate(report->arena, ranges, sizeof(*report->measured));
    if (!report->measured)
        return false;
    report->measured_count = 0;
    for (size_t i = 0; i < report->images; i++) {
        if (!mask[i])
            continue;
        if (i == 0 || !mask[i - 1])
            report->measured[report->measured_count++] = (struct pbitc_image_range){i, 0};
        report->measured[report->measured_count - 1].count++;
    }
    report->measured_images = images;
    report->partial = images < report->images;
    return true;
}

void pbitc_report_mark_measured(const struct pbitc_accuracy_report *report, uint8_t *mask)
{
    for (size_t i = 0; i < report->measured_count; i++) {
        for (size_t image = 0; image < report->measured[i].count; image++)
            mask[report->measured[i].first + image] = 1;
    }
}

struct pbitc_image_range pbitc_shard_range(size_t images, size_t shard, size_t count)
{
    // images * shard does not overflow: both come from 32-bit numbers.
    size_t first = (size_t)((uint64_t)images * (shard - 1) / count);
    return (struct pbitc_image_range){first, (size_t)((uint64_t)images * shard / count) - first};
}

uint32_t pbitc_confidence_units(double confidence)
{
    double units = confidence * PBITC_CONFIDENCE_UNIT + 0.5;
    return units >= PBITC_CONFIDENCE_UNIT ? PBITC_CONFIDENCE_UNIT : units > 0 ? (uint32_t)units : 0;
}

int pbitc_confidence_bin(uint32_t units)
{
    uint32_t bin = (uint32_t)((uint64_t)units * PBITC_CALIBRATION_BINS / PBITC_CONFIDENCE_UNIT);
    return bin < PBITC_CALIBRATION_BINS ? (int)bin : PBITC_CALIBRATION_BINS - 1;
}
