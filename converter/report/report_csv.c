#include "converter/report/accuracy_report.h"

#include <inttypes.h>

static void write_real(bool known, double value, FILE *stream)
{
    if (known)
        fprintf(stream, ",%.6f", value);
    else
        fputc(',', stream);
}

static void write_rows(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell *cell,
                       FILE *stream)
{
    for (size_t seed = 0; seed < cell->seeds; seed++) {
        fprintf(stream, "%" PRIu32 ",%" PRIu32 ",", cell->samples, cell->draws);
        if (cell->bits == 0)
            fprintf(stream, "%" PRIu64, report->first_seed + seed);
        fprintf(stream, ",%.6f,%.6f,%.6f,%.6f", cell->by_seed[seed], cell->accuracy, cell->interval.low,
                cell->interval.high);
        write_real(report->has_baseline, report->baseline.accuracy, stream);
        fprintf(stream, ",%zu,%" PRIu32 ",%.6f", report->measured_images, cell->bits, cell->spread);
        bool paired = report->has_baseline && cell != &report->baseline;
        write_real(paired, cell->drop, stream);
        write_real(paired, cell->agreement, stream);
        write_real(paired, cell->paired.p_value, stream);
        write_real(true, cell->calibration_error, stream);
        write_real(cell->has_energy, cell->energy, stream);
        fputc('\n', stream);
    }
}

/// One row per cell and seed, so that a spreadsheet can pivot, then one per deterministic twin and one for
/// the float model, whose `bits` are not 0; the baseline's accuracy stands in every row.
void pbitc_report_write_csv(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fputs("samples,draws,seed,accuracy,mean,low,high,baseline,images,bits,spread,drop,agreement,p_value,"
          "calibration_error,energy_nj\n",
          stream);
    for (size_t i = 0; i < report->cell_count; i++)
        write_rows(report, &report->cells[i], stream);
    for (size_t i = 0; i < report->twin_count; i++)
        write_rows(report, &report->twins[i], stream);
    if (report->has_baseline)
        write_rows(report, &report->baseline, stream);
}
