#include "converter/report/accuracy_report.h"

#include <inttypes.h>

static void print_interval(struct pbitc_interval interval, FILE *stream)
{
    fprintf(stream, "  %6.2f .. %6.2f", 100 * interval.low, 100 * interval.high);
}

void pbitc_report_write_text(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fprintf(stream, "%zu images", report->images);
    if (report->has_model)
        fprintf(stream, ", %zu seed%s", report->seed_count, report->seed_count == 1 ? "" : "s");
    fputs("; %, with 95 % intervals\n\n    m      T     m*T  accuracy          interval", stream);
    fputs(report->has_baseline && report->has_model ? "    drop   agreement\n" : "\n", stream);
    if (report->has_baseline) {
        fprintf(stream, "float                  %8.2f", 100 * report->baseline.accuracy);
        print_interval(report->baseline.interval, stream);
        fputc('\n', stream);
    }
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        fprintf(stream, "%5" PRIu32 "  %5" PRIu32 "  %6" PRIu64 "  %8.2f", cell->draws, cell->samples,
                (uint64_t)cell->draws * cell->samples, 100 * cell->accuracy);
        print_interval(cell->interval, stream);
        if (report->has_baseline)
            fprintf(stream, "  %6.2f  %10.2f", 100 * cell->drop, 100 * cell->agreement);
        fputc('\n', stream);
    }
}
