// Memory that lives and dies together: one arena per graph (see ir/graph.h).
#ifndef PBITC_ARENA_H
#define PBITC_ARENA_H

#include <stddef.h>

/// Where memory comes from. Tests pass one whose N-th call fails; everybody else passes NULL for malloc/free.
struct pbitc_allocator {
    void *(*allocate)(void *state, size_t bytes); ///< at least `bytes` bytes aligned for any type, or NULL
    void (*release)(void *state, void *memory);   ///< accepts NULL
    void *state;
};

void *pbitc_allocate(const struct pbitc_allocator *allocator, size_t bytes);
void pbitc_release(const struct pbitc_allocator *allocator, void *memory);

struct pbitc_arena;

/// A new, empty arena; NULL when out of memory. `allocator` (borrowed, must outlive the arena) may be NULL.
struct pbitc_arena *pbitc_arena_create(const struct pbitc_allocator *allocator);

/// Frees the arena and all that was allocated from it. Accepts NULL.
void pbitc_arena_destroy(struct pbitc_arena *arena);

/// `count` x `size` zeroed bytes aligned to 64; NULL when out of memory or when the product overflows.
/// A product of 0 gives a valid, unique pointer.
void *pbitc_arena_allocate(struct pbitc_arena *arena, size_t count, size_t size);

/// A copy of the first `length` bytes of `text`, closed by a NUL; NULL when out of memory.
char *pbitc_arena_copy_string(struct pbitc_arena *arena, const char *text, size_t length);

/// printf into arena memory; NULL when out of memory.
char *pbitc_arena_format(struct pbitc_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/// The allocator the arena was made with (NULL stands for malloc/free).
const struct pbitc_allocator *pbitc_arena_allocator(const struct pbitc_arena *arena);

#endif
