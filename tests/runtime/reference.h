// A second implementation of runtime/FORMAT.md, as slow and literal as it gets: what libpbit is compared
// with.
#ifndef PBIT_TESTS_REFERENCE_H
#define PBIT_TESTS_REFERENCE_H

#include <stdint.h>

struct reference_run {
    uint64_t seed, image;
    uint32_t draws, samples; ///< m, T
    uint32_t sampler;        ///< 1 iid, 2 stratified, 3 midpoint
};

/// `bytes` is a valid file. inputs and sums as in pbit_run.
void reference_execute(const uint8_t *bytes, const struct reference_run *run, const uint8_t *const *inputs,
                       int64_t *const *sums);

/// The 16 random bits of step `step` of lane `lane` (FORMAT.md, section 4); pass: t'.
uint32_t reference_random(uint64_t seed, uint64_t image, uint32_t layer, uint32_t pass, uint32_t lane,
                          uint32_t step);

/// v' of a neuron with random number r in pass t.
uint32_t reference_offset(uint32_t t, uint32_t rho, uint32_t r);

#endif
