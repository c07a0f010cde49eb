// An allocator that counts, and whose N-th call fails.
#ifndef PBITC_TESTS_FAILING_ALLOCATOR_H
#define PBITC_TESTS_FAILING_ALLOCATOR_H

#include "passes/arena.h"

#include <stdlib.h>

struct failing_allocator {
    struct pbitc_allocator allocator;
    size_t allocations; ///< calls that gave memory
    size_t releases;    ///< blocks given back
    size_t calls_left;  ///< calls until one fails
};

static inline void *failing_allocate(void *state, size_t bytes)
{
    struct failing_allocator *self = state;
    if (self->calls_left == 0)
        return NULL;
    self->calls_left--;
    void *memory = malloc(bytes);
    self->allocations += memory != NULL;
    return memory;
}

static inline void failing_release(void *state, void *memory)
{
    struct failing_allocator *self = state;
    self->releases += memory != NULL;
    free(memory);
}

/// `calls` allocations succeed, all later ones fail. The object must not move.
static inline void failing_allocator_start(struct failing_allocator *self, size_t calls)
{
    *self = (struct failing_allocator){.allocator = {failing_allocate, failing_release, self},
                                       .calls_left = calls};
}

#endif
