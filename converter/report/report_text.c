#include "converter/report/accuracy_report.h"

#include <inttypes.h>

static void print_interval(struct pbitc_interval interval, FILE *stream)
{
    fprintf(stream, "  %6.2f .. %6.2f", 100 * interval.low, 100 * interval.high);
}

static void print_cell(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell *cell,
                       FILE *stream)
{
    fprintf(stream, "%5" PRIu32 "  %5" PRIu32 "  %6" PRIu64 "  %8.2f", cell->draws, cell->samples,
            (uint64_t)cell->draws * cell->samples, 100 * cell->accuracy);
    print_interval(cell->interval, stream);
    if (report->has_baseline)
        fprintf(stream, "  %6.2f  %10.2f", 100 * cell->drop, 100 * cell->agreement);
    fputc('\n', stream);
}

static void print_twins(const struct pbitc_accuracy_report *report, FILE *stream)
{
    if (report->twin_count)
        fputs("\nthe same weights, deterministic activations of 1, 2, 3, .. bits (m + 1 levels)\n", stream);
    for (size_t i = 0; i < report->twin_count; i++)
        print_cell(report, &report->twins[i], stream);
}

static void print_stops(const struct pbitc_accuracy_report *report, FILE *stream)
{
    if (report->stop_count == 0)
        return;
    fprintf(stream,
            "\nearly stop: passes until the decision is sure, at most %" PRIu32
            "\n    m  mean T  m*mean T  accuracy          interval%s  sure to  kept\n",
            report->stops[0].samples, report->has_baseline ? "    drop   agreement" : "");
    for (size_t i = 0; i < report->stop_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->stops[i];
        fprintf(stream, "%5" PRIu32 "  %6.2f  %8.2f  %8.2f", cell->draws, cell->mean_samples,
                cell->draws * cell->mean_samples, 100 * cell->accuracy);
        print_interval(cell->interval, stream);
        if (report->has_baseline)
            fprintf(stream, "  %6.2f  %10.2f", 100 * cell->drop, 100 * cell->agreement);
        fprintf(stream, "  %7g  %5.2f\n", 100 * cell->confidence, 100 * cell->kept);
    }
}

static void print_target(const struct pbitc_accuracy_report *report, FILE *stream)
{
    if (!report->has_target || report->cell_count == 0)
        return;
    fprintf(stream, "\naccuracy %.2f", 100 * report->target);
    if (!report->target_given)
        fputs(" (1 below the float model)", stream);
    if (report->smallest_cell < 0) {
        fputs(" is reached by no m and T measured\n", stream);
        return;
    }
    const struct pbitc_accuracy_cell *cell = &report->cells[report->smallest_cell];
    fprintf(stream, " is reached with m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples);
    if (report->cheapest_cell >= 0) {
        cell = &report->cells[report->cheapest_cell];
        fprintf(stream, "; at the least energy, %.6g nJ, with m = %" PRIu32 ", T = %" PRIu32, cell->energy,
                cell->draws, cell->samples);
    }
    fputc('\n', stream);
}

void pbitc_report_write_text(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fprintf(stream, "%zu images", report->measured_images);
    if (report->partial)
        fprintf(stream, " of %zu", report->images);
    if (report->has_model)
        fprintf(stream, ", %zu seed%s", report->seed_count, report->seed_count == 1 ? "" : "s");
    fputs("; %, with 95 % intervals\n\n    m      T     m*T  accuracy          interval", stream);
    fputs(report->has_baseline && report->has_model ? "    drop   agreement\n" : "\n", stream);
    if (report->has_baseline) {
        fprintf(stream, "float                  %8.2f", 100 * report->baseline.accuracy);
        print_interval(report->baseline.interval, stream);
        fputc('\n', stream);
    }
    for (size_t i = 0; i < report->cell_count; i++)
        print_cell(report, &report->cells[i], stream);
    print_stops(report, stream);
    print_twins(report, stream);
    print_target(report, stream);
}
