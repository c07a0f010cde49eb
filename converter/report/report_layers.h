// The layers of a report: what a .pbit file says of its operations.
#ifndef PBITC_REPORT_LAYERS_H
#define PBITC_REPORT_LAYERS_H

#include "converter/report/accuracy_report.h"
#include "passes/arena.h"
#include "runtime/pbit.h"

/// The layers of the file, in its order, with all that is known before anything is measured: `has_levels`,
/// `has_loss` and what they stand for are left to the caller. Everything, names included, is allocated in
/// `arena`. NULL when out of memory; else *count is model->operation_count.
struct pbitc_report_layer *pbitc_report_layers_describe(struct pbitc_arena *arena,
                                                        const struct pbit_model *model, size_t *count);

#endif
