#include "converter/file.h"
#include "converter/report/accuracy_report.h"

#include <inttypes.h>

static void write_facts(const struct pbitc_accuracy_report *report, FILE *stream)
{
    char hash[PBITC_HASH_TEXT];
    fprintf(stream, "- tool: pbitc %s\n- images: %zu\n- data: `%s`\n", PBITC_VERSION, report->images,
            pbitc_hash_text(report->data_hash, hash));
    if (report->has_model)
        fprintf(stream, "- model: `%s`\n- seeds: %" PRIu64 " to %" PRIu64 "\n",
                pbitc_hash_text(report->model_hash, hash), report->first_seed,
                report->first_seed + report->seed_count - 1);
    if (report->has_baseline)
        fprintf(stream, "- float model: `%s`, accuracy %.2f %% (%.2f to %.2f)\n",
                pbitc_hash_text(report->baseline_hash, hash), 100 * report->baseline.accuracy,
                100 * report->baseline.interval.low, 100 * report->baseline.interval.high);
}

void pbitc_report_write_markdown(const struct pbitc_accuracy_report *report, FILE *stream)
{
    fputs("# Accuracy\n\n", stream);
    write_facts(report, stream);
    if (!report->has_model)
        return;
    fputs("\n| m | T | m x T | accuracy % | 95 % interval |", stream);
    fputs(report->has_baseline ? " drop | agreement % |\n|--:|--:|--:|--:|:-:|--:|--:|\n"
                               : "\n|--:|--:|--:|--:|:-:|\n",
          stream);
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        fprintf(stream, "| %" PRIu32 " | %" PRIu32 " | %" PRIu64 " | %.2f | %.2f to %.2f |", cell->draws,
                cell->samples, (uint64_t)cell->draws * cell->samples, 100 * cell->accuracy,
                100 * cell->interval.low, 100 * cell->interval.high);
        if (report->has_baseline)
            fprintf(stream, " %.2f | %.2f |", 100 * cell->drop, 100 * cell->agreement);
        fputc('\n', stream);
    }
}
