// Where tensors live while a graph runs: one block of memory, in which a place is used again once nobody
// reads what was there.
#ifndef PBITC_MEMORY_PLAN_H
#define PBITC_MEMORY_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/// One tensor's memory. The caller sets bytes, first and last; the plan sets offset.
struct pbitc_placement {
    size_t bytes;       ///< 0: needs no memory
    size_t first, last; ///< steps from the one that writes it to the last that reads it
    size_t offset;      ///< a multiple of 64
};

/// Places all so that none overlap that live at the same time; `order` is room for `count` indices. Sets the
/// bytes of the whole block; false when they overflow.
bool pbitc_memory_plan(struct pbitc_placement *placements, size_t count, size_t *order, size_t *bytes);

#endif
