#include "converter/report/accuracy_report.h"

#include <inttypes.h>

/// One row per cell and seed, so that a spreadsheet can pivot; the baseline stands in every row.
void pbitc_report_write_csv(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fputs("samples,draws,seed,accuracy,mean,low,high,baseline,images\n", stream);
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        for (size_t seed = 0; seed < report->seed_count; seed++) {
            fprintf(stream, "%" PRIu32 ",%" PRIu32 ",%" PRIu64 ",%.6f,%.6f,%.6f,%.6f,", cell->samples,
                    cell->draws, report->first_seed + seed, cell->by_seed[seed], cell->accuracy,
                    cell->interval.low, cell->interval.high);
            if (report->has_baseline)
                fprintf(stream, "%.6f", report->baseline.accuracy);
            fprintf(stream, ",%zu\n", report->images);
        }
    }
    if (report->cell_count == 0 && report->has_baseline)
        fprintf(stream, ",,,,,,,%.6f,%zu\n", report->baseline.accuracy, report->images);
}
