// Random numbers from the middle of a layer on, without those before them.
#include "runtime/engine.h"

void pbit_lanes_make_jumps(uint32_t jump[PBIT_JUMPS][32])
{
    struct pbit_lanes bits;
    for (uint32_t bit = 0; bit < PBIT_LANES; bit++) {
        bits.state[bit] = 1u << bit;
        pbit_lanes_next(&bits, bit);
    }
    memcpy(jump[0], bits.state, sizeof(bits.state));
    for (uint32_t i = 1; i < PBIT_JUMPS; i++) {
        pbit_lanes_skip(&bits, (const uint32_t(*)[32])jump, UINT64_C(1) << (i - 1));
        memcpy(jump[i], bits.state, sizeof(bits.state));
    }
}

void pbit_lanes_jump(const uint32_t jump[PBIT_JUMPS][32], uint64_t steps, uint32_t after[32])
{
    struct pbit_lanes bits;
    for (uint32_t bit = 0; bit < PBIT_LANES; bit++)
        bits.state[bit] = 1u << bit;
    pbit_lanes_skip(&bits, jump, steps);
    memcpy(after, bits.state, sizeof(bits.state));
}
