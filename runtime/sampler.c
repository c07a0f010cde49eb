#include "runtime/sampler.h"

static uint32_t fmix32(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}

static uint32_t mix(uint32_t h, uint32_t word)
{
    return fmix32((h ^ word) + 0x9E3779B9u);
}

void pbit_lanes_seed(struct pbit_lanes *lanes, uint64_t seed, uint64_t image, uint32_t layer, uint32_t pass)
{
    uint32_t h = mix(0, (uint32_t)seed);
    h = mix(h, (uint32_t)(seed >> 32));
    h = mix(h, (uint32_t)image);
    h = mix(h, (uint32_t)(image >> 32));
    h = mix(h, layer);
    h = mix(h, pass);
    for (uint32_t j = 0; j < PBIT_LANES; j++) {
        uint32_t s = mix(h, j);
        lanes->state[j] = s ? s : 0x9E3779B9u; // xorshift never leaves 0
    }
}

uint32_t pbit_sample_order(uint32_t sample)
{
    uint32_t t = sample;
    t = (t & 0x5555) << 1 | (t >> 1 & 0x5555);
    t = (t & 0x3333) << 2 | (t >> 2 & 0x3333);
    t = (t & 0x0F0F) << 4 | (t >> 4 & 0x0F0F);
    return (t & 0x00FF) << 8 | t >> 8;
}
