#include "passes/interpreter/memory_plan.h"

#include <stdint.h>

static bool live_together(const struct pbitc_placement *a, const struct pbitc_placement *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/// The lowest gap among those placed (`order`, sorted by offset) that are alive with `placement`.
static bool find_place(const struct pbitc_placement *placements, const size_t *order, size_t placed,
                       struct pbitc_placement *placement)
{
    size_t offset = 0;
    for (size_t i = 0; i < placed; i++) {
        const struct pbitc_placement *other = &placements[order[i]];
        if (!live_together(placement, other))
            continue;
        if (other->offset >= offset && other->offset - offset >= placement->bytes)
            break;
        size_t end = other->offset + other->bytes;
        offset = end > offset ? end : offset;
    }
    placement->offset = offset;
    return offset <= SIZE_MAX / 4 - placement->bytes;
}

static void insert_by_offset(const struct pbitc_placement *placements, size_t *order, size_t placed,
                             size_t index)
{
    size_t at = placed;
    for (; at > 0 && placements[order[at - 1]].offset > placements[index].offset; at--)
        order[at] = order[at - 1];
    order[at] = index;
}

bool pbitc_memory_plan(struct pbitc_placement *placements, size_t count, size_t *order, size_t *bytes)
{
    size_t placed = 0;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct pbitc_placement *placement = &placements[i];
        if (placement->bytes == 0)
            continue;
        if (placement->bytes > SIZE_MAX / 8)
            return false;
        placement->bytes = (placement->bytes + 63) & ~(size_t)63;
        if (!find_place(placements, order, placed, placement))
            return false;
        insert_by_offset(placements, order, placed++, i);
        size_t end = placement->offset + placement->bytes;
        *bytes = end > *bytes ? end : *bytes;
    }
    return true;
}
