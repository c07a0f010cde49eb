// Folding as --parallel says.
#include "converter/export/verilog/verilog_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum pbit_status pbitc_verilog_fold(struct pbitc_verilog_plan *plan,
                                    const struct pbitc_verilog_budget *budget,
                                    struct pbitc_diagnostics *diagnostics)
{
    const char *text = budget->parallel ? budget->parallel : "";
    enum pbit_status status = PBIT_OK;
    while (*text) {
        size_t length = strcspn(text, "=");
        uint32_t neurons = 0, inputs = 0, found = 0;
        int used = 0;
        if (sscanf(text + length, "=%" SCNu32 "x%" SCNu32 "%n", &neurons, &inputs, &used) != 2)
            return pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, "--parallel", NULL, 0, NULL,
                                "'%s' is not LAYER=NEURONSxINPUTS", text);
        for (uint32_t s = 0; s < plan->stage_count; s++) {
            struct pbitc_verilog_stage *stage = &plan->stages[s];
            const char *name = pbitc_verilog_stage_name(plan, stage);
            if (stage->kind != PBITC_VERILOG_CONV || strlen(name) != length ||
                strncmp(name, text, length) != 0)
                continue;
            const char *problem = pbitc_verilog_folding_problem(stage, neurons, inputs);
            if (problem)
                status = pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, name, NULL, 0, NULL, "%s", problem);
            stage->neurons = neurons;
            stage->inputs = inputs;
            found++;
        }
        if (!found)
            status = pbitc_report(diagnostics, PBIT_ERROR_ARGUMENT, "--parallel", NULL, 0, NULL,
                                  "no layer '%.*s'", (int)length, text);
        text += length + (size_t)used;
        text += *text == ',';
    }
    if (status == PBIT_OK)
        pbitc_verilog_plan_derive(plan);
    return status;
}
