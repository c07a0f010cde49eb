// qemu's RISC-V machine "virt": rv32imc, started in machine mode without a firmware of its own.
#include "board_start.h"

#define UART ((volatile uint8_t *)0x10000000)
#define TEST_DEVICE (*(volatile uint32_t *)0x100000)

enum { UART_STATUS = 5, UART_RECEIVED = 1, UART_CAN_SEND = 32, TEST_PASS = 0x5555, TEST_FAIL = 0x3333 };

void board_put(char character)
{
    while (!(UART[UART_STATUS] & UART_CAN_SEND)) {
    }
    UART[0] = (uint8_t)character;
}

uint8_t board_get(void)
{
    while (!(UART[UART_STATUS] & UART_RECEIVED)) {
    }
    return UART[0];
}

void board_exit(int code)
{
    TEST_DEVICE = code ? (uint32_t)code << 16 | TEST_FAIL : TEST_PASS;
    for (;;) {
    }
}

uint32_t board_instructions(void)
{
    uint32_t count;
    __asm__ volatile(".option push\n\t.option arch, +zicsr\n\tcsrr %0, minstret\n\t.option pop"
                     : "=r"(count));
    return count;
}

static void fault(void)
{
    put_text("fault\n");
    board_exit(99);
}

__attribute__((used)) static void start(void)
{
    prepare_memory();
    board_exit(main());
}

__attribute__((naked, used, section(".vectors"))) void _start(void)
{
    __asm__ volatile(".option push\n\t.option arch, +zicsr\n\t"
                     "la sp, stack_top\n\t"
                     "la t0, %0\n\t"
                     "csrw mtvec, t0\n\t"
                     "j %1\n\t.option pop"
                     :
                     : "i"(fault), "i"(start));
}
