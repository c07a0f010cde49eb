#include "converter/compare.h"

#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/report/report_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// Both measurements of one cell, and the chance of such a fall when nothing changed.
struct comparison {
    const struct pbitc_accuracy_cell *before, *after;
    double chance;
};

static bool same_model(const struct pbitc_accuracy_report *a, const struct pbitc_accuracy_report *b)
{
    if (a->origin_hash[0] && b->origin_hash[0])
        return strcmp(a->origin_hash, b->origin_hash) == 0;
    return a->model_hash == b->model_hash;
}

/// Whether the earlier report has one of the cells.
static bool has_common(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_report *old)
{
    for (size_t i = 0; i < report->cell_count; i++) {
        if (pbitc_report_find_cell(old, report->cells[i].samples, report->cells[i].draws))
            return true;
    }
    return false;
}

static enum pbit_status check(const struct pbitc_accuracy_report *report,
                              const struct pbitc_accuracy_report *old, const char *path,
                              struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    char now[PBITC_HASH_TEXT], before[PBITC_HASH_TEXT];
    if (old->partial)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "complete it with --resume or 'pbitc report merge'",
                              "%s is partial: %zu of %zu images", path, old->measured_images, old->images);
    if (report->source_hash != old->source_hash)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "measure both on the same files",
                              "%s was measured on other data: %s there, %s here", path,
                              pbitc_hash_text(old->source_hash, before),
                              pbitc_hash_text(report->source_hash, now));
    if (!old->has_model)
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                            "compare with the report of a .pbit file", "%s is of an ONNX model in float",
                            path);
    if (!same_model(report, old))
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "compare files made from the same ONNX model; hold others with --min-accuracy",
                              "%s was measured with another model: %s %s there, %s %s here", path,
                              old->model_name, old->origin_hash, report->model_name, report->origin_hash);
    if (!has_common(report, old))
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "measure the same m and T",
                              "%s has no cell in common with this measurement", path);
    return status;
}

static bool compare_cell(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_report *old,
                         struct comparison *comparison)
{
    const struct pbitc_accuracy_cell *before = comparison->before, *after = comparison->after;
    if (report->data_hash == old->data_hash && report->first_image == old->first_image &&
        report->images == old->images) {
        struct pbitc_paired paired;
        bool good = pbitc_cells_pair(report->images, before, after, &paired);
        comparison->chance = good ? paired.p_fall : 1;
        return good;
    }
    comparison->chance =
        pbitc_normal(pbitc_two_proportion_z(before->accuracy, old->images, after->accuracy, report->images));
    return true;
}

static bool add_outcomes(struct pbitc_accuracy_report *report, const char *path,
                         const struct comparison *comparisons, size_t count, const unsigned char *falls)
{
    struct pbitc_gate_outcome outcome = {.option = pbitc_arena_format(report->arena, "--compare %s", path)};
    bool good = outcome.option != NULL, fell = false;
    for (size_t i = 0; i < count && good; i++) {
        if (!falls[i])
            continue;
        fell = true;
        outcome.samples = comparisons[i].after->samples;
        outcome.draws = comparisons[i].after->draws;
        outcome.bound = comparisons[i].before->accuracy;
        outcome.value = comparisons[i].after->accuracy;
        good = pbitc_report_add_gate(
            report, outcome, "T=%" PRIu32 " m=%" PRIu32 ": accuracy fell from %.4f to %.4f (p = %.2g)",
            outcome.samples, outcome.draws, outcome.bound, outcome.value, comparisons[i].chance);
    }
    if (good && !fell) {
        outcome.passed = true;
        good = pbitc_report_add_gate(report, outcome, "none of %zu cells fell by more than chance explains",
                                     count);
    }
    return good;
}

/// All cells that both have.
static size_t find_common(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_report *old,
                          struct comparison *comparisons)
{
    size_t count = 0;
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        const struct pbitc_accuracy_cell *before = pbitc_report_find_cell(old, cell->samples, cell->draws);
        if (before)
            comparisons[count++] = (struct comparison){before, cell, 1};
    }
    return count;
}

static enum pbit_status compare(struct pbitc_accuracy_report *report, const struct pbitc_accuracy_report *old,
                                const char *path, struct pbitc_diagnostics *diagnostics)
{
    struct comparison *comparisons = calloc(report->cell_count, sizeof(*comparisons));
    double *chances = calloc(report->cell_count, sizeof(*chances));
    unsigned char *falls = calloc(report->cell_count, sizeof(*falls));
    bool good = comparisons && chances && falls;
    size_t count = good ? find_common(report, old, comparisons) : 0;
    for (size_t i = 0; i < count && good; i++) {
        good = compare_cell(report, old, &comparisons[i]);
        chances[i] = comparisons[i].chance;
    }
    if (good) {
        pbitc_holm(chances, count, PBITC_FAMILY_ERROR, falls);
        good = add_outcomes(report, path, comparisons, count, falls);
    }
    free(comparisons);
    free(chances);
    free(falls);
    return good ? PBIT_OK : pbitc_report_memory(diagnostics);
}

enum pbit_status pbitc_report_compare(struct pbitc_accuracy_report *report, const char *path,
                                      struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_accuracy_report *old;
    enum pbit_status status = pbitc_report_read(path, diagnostics, &old);
    if (status == PBIT_OK)
        status = check(report, old, path, diagnostics);
    if (status == PBIT_OK)
        status = compare(report, old, path, diagnostics);
    pbitc_report_destroy(old);
    return status;
}

enum pbit_status pbitc_report_compare_check(const struct pbitc_accuracy_report *report, const char *path,
                                            struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_accuracy_report *old;
    enum pbit_status status = pbitc_report_read(path, diagnostics, &old);
    if (status == PBIT_OK)
        status = check(report, old, path, diagnostics);
    pbitc_report_destroy(old);
    return status;
}
