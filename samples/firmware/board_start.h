// What a board does before main: variables and the stack's paint. For board_*.c only.
#ifndef BOARD_START_H
#define BOARD_START_H

#include "board.h"

/// From the linker script; all 4-aligned.
extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[], stack_bottom[], stack_top[];

enum { STACK_PAINT = 0x5A5A5A5A };

static inline void prepare_memory(void)
{
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++)
        *to = *from++;
    for (uint32_t *to = bss_start; to < bss_end; to++)
        *to = 0;
    uint32_t here;
    for (volatile uint32_t *to = stack_bottom; (uintptr_t)to + 64 < (uintptr_t)&here; to++)
        *to = STACK_PAINT;
}

uint32_t board_stack_used(void)
{
    const volatile uint32_t *word = stack_bottom;
    while (word < stack_top && *word == STACK_PAINT)
        word++;
    return (uint32_t)((uintptr_t)stack_top - (uintptr_t)word);
}

#endif
