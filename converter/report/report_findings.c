// The few things that a reader of a report wants to know first.
#include "converter/file.h"
#include "converter/report/plot_support.h"
#include "converter/report/report_tables.h"

#include <inttypes.h>
#include <math.h>

const char *pbitc_report_name(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    char hash[PBITC_HASH_TEXT];
    if (report->has_model && *report->model_name)
        return report->model_name;
    return pbitc_arena_format(
        arena, "%s", pbitc_hash_text(report->has_model ? report->model_hash : report->baseline_hash, hash));
}

static struct pbitc_finding find_float(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    const struct pbitc_accuracy_cell *cell = &report->baseline;
    return (struct pbitc_finding){"Float model", pbitc_arena_format(arena, "%.2f %%", 100 * cell->accuracy),
                                  pbitc_arena_format(arena, "95 %% interval %.2f to %.2f",
                                                     100 * cell->interval.low, 100 * cell->interval.high),
                                  PBITC_ROW_PLAIN};
}

static struct pbitc_finding find_main(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
    struct pbitc_finding finding = {
        pbitc_arena_format(arena, "P-bits at m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples),
        pbitc_arena_format(arena, "%.2f %%", 100 * cell->accuracy), NULL, PBITC_ROW_MAIN};
    if (report->has_baseline)
        finding.note = pbitc_arena_format(
            arena, "%.2f points %s the float model; 95 %% interval %.2f to %.2f", 100 * fabs(cell->drop),
            cell->drop < 0 ? "above" : "below", 100 * cell->interval.low, 100 * cell->interval.high);
    else
        finding.note = pbitc_arena_format(arena, "95 %% interval %.2f to %.2f", 100 * cell->interval.low,
                                          100 * cell->interval.high);
    return finding;
}

/// "98.30 % (1 point below the float model)"
static const char *target_text(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    return pbitc_arena_format(arena, "the target is %.2f %%%s", 100 * report->target,
                              report->target_given ? "" : ", one point below the float model");
}

static struct pbitc_finding find_smallest(const struct pbitc_accuracy_report *report,
                                          struct pbitc_arena *arena)
{
    static const char name[] = "Smallest budget that holds the target";
    const char *target = target_text(report, arena);
    if (report->smallest_cell < 0)
        return (struct pbitc_finding){name, "none measured", target, PBITC_ROW_WRONG};
    const struct pbitc_accuracy_cell *cell = &report->cells[report->smallest_cell];
    return (struct pbitc_finding){
        name, pbitc_arena_format(arena, "m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples),
        target ? pbitc_arena_format(arena, "%.2f %%; %s", 100 * cell->accuracy, target) : NULL,
        PBITC_ROW_GOOD};
}

static struct pbitc_finding find_cheapest(const struct pbitc_accuracy_report *report,
                                          struct pbitc_arena *arena)
{
    char text[PBITC_NUMBER_TEXT];
    const struct pbitc_accuracy_cell *cell = &report->cells[report->cheapest_cell];
    struct pbitc_finding finding = {
        "Least energy that holds it",
        pbitc_arena_format(arena, "%s", pbitc_energy_text(cell->energy, 3, text)),
        pbitc_arena_format(arena, "per image, m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples),
        PBITC_ROW_GOOD};
    if (report->has_baseline && report->baseline.has_energy && cell->energy > 0)
        finding.note = pbitc_arena_format(
            arena, "per image, m = %" PRIu32 ", T = %" PRIu32 "; the float model costs %.3g times that",
            cell->draws, cell->samples, report->baseline.energy / cell->energy);
    return finding;
}

static struct pbitc_finding find_gates(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    size_t broken = 0;
    const char *message = NULL;
    for (size_t i = 0; i < report->gate_count; i++) {
        if (report->gates[i].passed)
            continue;
        broken++;
        message = message ? message : report->gates[i].message;
    }
    if (broken == 0)
        return (struct pbitc_finding){
            "Gates", report->gate_count == 1 ? "holds" : "all hold",
            pbitc_arena_format(arena, "%zu of %zu", report->gate_count, report->gate_count), PBITC_ROW_GOOD};
    return (struct pbitc_finding){"Gates",
                                  pbitc_arena_format(arena, "%zu of %zu broken", broken, report->gate_count),
                                  message, PBITC_ROW_WRONG};
}

static struct pbitc_finding find_basis(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena)
{
    char text[PBITC_NUMBER_TEXT];
    return (struct pbitc_finding){
        "Images", pbitc_arena_format(arena, "%s", pbitc_count_text(report->measured_images, text)),
        report->has_model
            ? pbitc_arena_format(arena, "%zu classes, %zu seed%s, %zu budgets", report->classes,
                                 report->seed_count, report->seed_count == 1 ? "" : "s", report->cell_count)
            : pbitc_arena_format(arena, "%zu classes", report->classes),
        report->partial ? PBITC_ROW_WRONG : PBITC_ROW_PLAIN};
}

size_t pbitc_report_findings(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena,
                             struct pbitc_finding findings[PBITC_FINDINGS_LIMIT])
{
    size_t count = 0;
    bool has_cells = report->has_model && report->cell_count;
    if (report->has_baseline)
        findings[count++] = find_float(report, arena);
    if (has_cells)
        findings[count++] = find_main(report, arena);
    if (has_cells && report->has_target)
        findings[count++] = find_smallest(report, arena);
    if (has_cells && report->has_target && report->cheapest_cell >= 0)
        findings[count++] = find_cheapest(report, arena);
    if (report->gate_count)
        findings[count++] = find_gates(report, arena);
    findings[count++] = find_basis(report, arena);
    for (size_t i = 0; i < count; i++) {
        if (!findings[i].name || !findings[i].value || !findings[i].note)
            return 0;
    }
    return count;
}
