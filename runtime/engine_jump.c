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

/// Steps are linear over the bits of a state: what they make of each is added up.
static void skip_power(struct pbit_lanes *lanes, const uint32_t jump[32])
{
    struct pbit_lanes made = {{0}};
    for (uint32_t bit = 0; bit < 32; bit++)
        for (uint32_t j = 0; j < PBIT_LANES; j++)
            made.state[j] ^= jump[bit] & (0u - (lanes->state[j] >> bit & 1));
    *lanes = made;
}

void pbit_lanes_skip(struct pbit_lanes *lanes, const uint32_t jump[PBIT_JUMPS][32], uint64_t steps)
{
    for (uint32_t i = 0; i < PBIT_JUMPS && steps >> i; i++)
        if (steps >> i & 1)
            skip_power(lanes, jump[i]);
}

void pbit_lanes_jump(const uint32_t jump[PBIT_JUMPS][32], uint64_t steps, uint32_t after[32])
{
    struct pbit_lanes bits;
    for (uint32_t bit = 0; bit < PBIT_LANES; bit++)
        bits.state[bit] = 1u << bit;
    pbit_lanes_skip(&bits, jump, steps);
    memcpy(after, bits.state, sizeof(bits.state));
}
