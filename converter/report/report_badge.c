// The result as a badge: what a shields.io endpoint reads, https://shields.io/badges/endpoint-badge.
#include "converter/json.h"
#include "converter/report/accuracy_report.h"

#include <inttypes.h>

enum { BADGE_SCHEMA = 1 };

static const char *choose_color(const struct pbitc_accuracy_report *report, size_t broken)
{
    if (broken)
        return "red";
    if (report->partial)
        return "lightgrey";
    return report->gate_count ? "brightgreen" : "blue";
}

void pbitc_report_write_badge(const struct pbitc_accuracy_report *report, FILE *stream)
{
    char accuracy[96], message[192];
    size_t broken = 0;
    for (size_t i = 0; i < report->gate_count; i++)
        broken += !report->gates[i].passed;
    if (report->has_model && report->cell_count) {
        const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
        snprintf(accuracy, sizeof(accuracy), "%.1f %% at m = %" PRIu32 ", T = %" PRIu32, 100 * cell->accuracy,
                 cell->draws, cell->samples);
    } else {
        snprintf(accuracy, sizeof(accuracy), "%.1f %%", 100 * report->baseline.accuracy);
    }
    if (broken)
        snprintf(message, sizeof(message), "%s, %zu of %zu gates failed", accuracy, broken,
                 report->gate_count);
    else
        snprintf(message, sizeof(message), "%s%s", accuracy, report->partial ? ", partial" : "");
    struct pbitc_json json = {.stream = stream, .indent = 1};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schemaVersion", BADGE_SCHEMA);
    pbitc_json_string(&json, "label", report->has_model ? "p-bit accuracy" : "accuracy");
    pbitc_json_string(&json, "message", message);
    pbitc_json_string(&json, "color", choose_color(report, broken));
    pbitc_json_close_object(&json);
}
