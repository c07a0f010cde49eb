// What the examples need of a board: a serial port, the end of the program, and a count of instructions.
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

void board_put(char character); ///< to the serial port
uint8_t board_get(void);        ///< waits for a byte of the serial port
void board_exit(int code) __attribute__((noreturn));
/// Instructions executed since some start; under qemu with -icount shift=0. Resolution: 1 on RISC-V, 40 on
/// Arm.
uint32_t board_instructions(void);
uint32_t board_stack_used(void); ///< the most bytes of stack since the start

int main(void);

static inline void put_text(const char *text)
{
    while (*text)
        board_put(*text++);
}

static inline void put_number(uint32_t number)
{
    char digits[11];
    int at = 10;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put_text(digits + at);
}

static inline void put_hexadecimal(uint64_t number)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        board_put("0123456789abcdef"[number >> shift & 15]);
}

#endif
