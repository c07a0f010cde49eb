#include "passes/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, BLOCK_BYTES = 64 * 1024 };

struct block {
    struct block *next;
    unsigned char *free;
    unsigned char *end;
};

struct pbitc_arena {
    const struct pbitc_allocator *allocator;
    struct block *blocks; ///< the one allocated from stands first
};

void *pbitc_allocate(const struct pbitc_allocator *allocator, size_t bytes)
{
    return allocator ? allocator->allocate(allocator->state, bytes) : malloc(bytes);
}

void pbitc_release(const struct pbitc_allocator *allocator, void *memory)
{
    if (allocator)
        allocator->release(allocator->state, memory);
    else
        free(memory);
}

struct pbitc_arena *pbitc_arena_create(const struct pbitc_allocator *allocator)
{
    struct pbitc_arena *arena = pbitc_allocate(allocator, sizeof(*arena));
    if (arena)
        *arena = (struct pbitc_arena){.allocator = allocator};
    return arena;
}

void pbitc_arena_destroy(struct pbitc_arena *arena)
{
    if (!arena)
        return;
    for (struct block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        pbitc_release(arena->allocator, block);
    }
    pbitc_release(arena->allocator, arena);
}

static unsigned char *align(unsigned char *pointer)
{
    return pointer + (-(uintptr_t)pointer & (ALIGNMENT - 1));
}

void *pbitc_arena_allocate(struct pbitc_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes ? bytes + ALIGNMENT - 1 : ALIGNMENT) & ~(size_t)(ALIGNMENT - 1);
    if (!arena->blocks || (size_t)(arena->blocks->end - arena->blocks->free) < bytes) {
        size_t room = (bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES) + ALIGNMENT;
        struct block *block = pbitc_allocate(arena->allocator, sizeof(*block) + room);
        if (!block)
            return NULL;
        block->free = align((unsigned char *)(block + 1));
        block->end = (unsigned char *)(block + 1) + room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = arena->blocks->free;
    arena->blocks->free += bytes;
    return memset(memory, 0, bytes);
}

char *pbitc_arena_copy_string(struct pbitc_arena *arena, const char *text, size_t length)
{
    char *copy = pbitc_arena_allocate(arena, length + 1, 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

char *pbitc_arena_format(struct pbitc_arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : pbitc_arena_allocate(arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

const struct pbitc_allocator *pbitc_arena_allocator(const struct pbitc_arena *arena)
{
    return arena->allocator;
}
