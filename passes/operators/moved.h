// What operators share that move elements and do not change them.
#ifndef PBITC_MOVED_H
#define PBITC_MOVED_H

#include "passes/operators/operator_support.h"

/// Output 0 has the element type of input 0. Always PBIT_OK.
static inline enum pbit_status pbitc_set_moved(struct pbitc_evaluation *evaluation,
                                               const struct pbitc_shape *shape)
{
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, shape);
    return PBIT_OK;
}

#endif
