// qemu's mps2 machines: an385 (Cortex-M3), an386 (M4), an500 (M7).
#include "board_start.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum { UART = 0x40004000, UART_TX_FULL = 1, UART_RX_FULL = 2, UART_TX_AND_RX = 3, UART_DIVISOR = 16 };
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
enum {
    SYSTICK_ON_CORE_CLOCK = 5,
    SYSTICK_MAXIMUM = 0xFFFFFF,
    INSTRUCTIONS_PER_TICK = 40
}; // 25 MHz, 1 ns each

void board_put(char character)
{
    while (REGISTER(UART + 4u) & UART_TX_FULL) {
    }
    REGISTER(UART) = (uint8_t)character;
}

uint8_t board_get(void)
{
    while (!(REGISTER(UART + 4u) & UART_RX_FULL)) {
    }
    return (uint8_t)REGISTER(UART);
}

void board_exit(int code)
{
    // Semihosting call SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit.
    uint32_t block[2] = {0x20026, (uint32_t)code};
    register uint32_t operation __asm__("r0") = 0x20;
    register uint32_t *argument __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : : "r"(operation), "r"(argument) : "memory");
    for (;;) {
    }
}

uint32_t board_instructions(void)
{
    return (SYSTICK_MAXIMUM - SYSTICK_VALUE) * INSTRUCTIONS_PER_TICK;
}

static void start(void)
{
    prepare_memory();
    REGISTER(UART + 16u) = UART_DIVISOR;
    REGISTER(UART + 8u) = UART_TX_AND_RX;
    SYSTICK_RELOAD = SYSTICK_MAXIMUM;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ON_CORE_CLOCK;
    while (SYSTICK_VALUE == 0) { // the first tick loads it
    }
    board_exit(main());
}

static void fault(void)
{
    put_text("fault\n");
    board_exit(99);
}

extern void (*const vectors[16])(void);
__attribute__((section(".vectors"), used)) void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, start, fault, fault, fault, fault, fault,
};
