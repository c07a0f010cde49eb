#include "runtime/sampler.h"

uint32_t pbit_sample_order(uint32_t sample)
{
    uint32_t t = sample;
    t = (t & 0x5555) << 1 | (t >> 1 & 0x5555);
    t = (t & 0x3333) << 2 | (t >> 2 & 0x3333);
    t = (t & 0x0F0F) << 4 | (t >> 4 & 0x0F0F);
    return (t & 0x00FF) << 8 | t >> 8;
}
