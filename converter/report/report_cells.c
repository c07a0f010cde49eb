#include "converter/report/accuracy_report.h"

#include <stdarg.h>
#include <string.h>

const struct pbitc_accuracy_cell *pbitc_report_find_cell(const struct pbitc_accuracy_report *report,
                                                         uint32_t samples, uint32_t draws)
{
    for (size_t i = 0; i < report->stop_count && samples == 0; i++) {
        if (report->stops[i].draws == draws)
            return &report->stops[i];
    }
    for (size_t i = 0; i < report->cell_count; i++) {
        if (report->cells[i].samples == samples && report->cells[i].draws == draws)
            return &report->cells[i];
    }
    return NULL;
}

bool pbitc_report_add_gate(struct pbitc_accuracy_report *report, struct pbitc_gate_outcome outcome,
                           const char *format, ...)
{
    struct pbitc_gate_outcome *gates =
        pbitc_arena_allocate(report->arena, report->gate_count + 1, sizeof(*gates));
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    outcome.message = pbitc_arena_copy_string(report->arena, text, strlen(text));
    if (!gates || !outcome.message)
        return false;
    if (report->gate_count)
        memcpy(gates, report->gates, report->gate_count * sizeof(*gates));
    gates[report->gate_count++] = outcome;
    report->gates = gates;
    return true;
}
