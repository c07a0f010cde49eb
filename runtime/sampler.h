// Where the random numbers of a layer come from (FORMAT.md, section 4).
#ifndef PBIT_SAMPLER_H
#define PBIT_SAMPLER_H

#include "runtime/pbit.h"

/// The lanes of one layer, image and (iid) pass.
struct pbit_lanes {
    uint32_t state[PBIT_LANES];
};

/// fmix32((h ^ word) + 0x9E3779B9).
static inline uint32_t pbit_mix(uint32_t h, uint32_t word)
{
    h = (h ^ word) + 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}

/// What the layers of an image have in common.
static inline uint32_t pbit_hash_image(uint64_t seed, uint64_t image)
{
    uint32_t h = pbit_mix(0, (uint32_t)seed);
    h = pbit_mix(h, (uint32_t)(seed >> 32));
    h = pbit_mix(h, (uint32_t)image);
    return pbit_mix(h, (uint32_t)(image >> 32));
}

/// hash: pbit_hash_image. pass: 0 for the stratified sampler, t + 1 for iid.
static inline void pbit_lanes_begin(struct pbit_lanes *lanes, uint32_t hash, uint32_t layer, uint32_t pass)
{
    uint32_t h = pbit_mix(pbit_mix(hash, layer), pass);
    for (uint32_t j = 0; j < PBIT_LANES; j++) {
        uint32_t s = pbit_mix(h, j);
        lanes->state[j] = s ? s : 0x9E3779B9u; // xorshift never leaves 0
    }
}

static inline void pbit_lanes_seed(struct pbit_lanes *lanes, uint64_t seed, uint64_t image, uint32_t layer,
                                   uint32_t pass)
{
    pbit_lanes_begin(lanes, pbit_hash_image(seed, image), layer, pass);
}

/// One step of lane j: its next 16 random bits.
static inline uint32_t pbit_lanes_next(struct pbit_lanes *lanes, uint32_t j)
{
    uint32_t s = lanes->state[j];
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    lanes->state[j] = s;
    return s >> 16;
}

/// `steps` steps of every lane at once: they are linear over the bits of a state, so what they make of each
/// is added up. jump[i]: what 2^i steps make of each bit; there are enough of them.
static inline void pbit_lanes_skip(struct pbit_lanes *lanes, const uint32_t (*jump)[32], uint64_t steps)
{
    for (; steps; steps >>= 1, jump++) {
        struct pbit_lanes made = {{0}};
        if (!(steps & 1))
            continue;
        for (uint32_t bit = 0; bit < 32; bit++)
            for (uint32_t j = 0; j < PBIT_LANES; j++)
                made.state[j] ^= (*jump)[bit] & (0u - (lanes->state[j] >> bit & 1));
        *lanes = made;
    }
}

/// What pass t (0-based) contributes to the stratified sampler: bitrev16(t).
uint32_t pbit_sample_order(uint32_t sample);

/// v' of a neuron with random number r, 0..65535. rho: 0..256.
static inline uint32_t pbit_stratified_offset(uint32_t order, uint32_t rho, uint32_t r)
{
    return (uint32_t)(32768 + (((int32_t)rho * ((int32_t)(order ^ r) - 32768)) >> 8));
}

/// Level of a stratified p-bit: the number of its `levels` draws that are 1.
static inline uint32_t pbit_level_stratified(uint32_t probability, uint32_t levels, uint32_t offset)
{
    return (levels * probability + 65535u - offset) >> 16;
}

/// Level of a multi-bit neuron with noise n (0..65535) of amplitude a (0..65536).
static inline uint32_t pbit_level_multibit(uint32_t probability, uint32_t amplitude, uint32_t noise)
{
    int64_t moved = (int64_t)probability + ((int64_t)amplitude * ((int32_t)noise - 32768) >> 15);
    uint32_t clipped = moved < 0 ? 0 : moved > 65536 ? 65536 : (uint32_t)moved;
    return (255 * clipped + 32768) >> 16;
}

#endif
