// Measures accuracy over (m, T): the surface that eval prints.
#ifndef PBITC_SURFACE_H
#define PBITC_SURFACE_H

#include "converter/data/dataset.h"
#include "converter/progress.h"

struct pbitc_surface_request {
    const struct pbit_model *model;
    const struct pbitc_dataset *dataset;
    size_t samples_count, draws_count, seed_count;
    const uint32_t *samples;         ///< the list of T
    const uint32_t *draws;           ///< the list of m
    uint64_t first_seed;             ///< seeds first_seed .. first_seed + seed_count - 1
    const uint32_t *float_decisions; ///< [images], what the float model decides; may be NULL
    int threads;
    size_t batch; ///< images a worker takes at once; no result depends on it
};

/// One (m, T) and one seed.
struct pbitc_count {
    uint64_t correct; ///< images whose top-1 class is the label
    uint64_t agreed;  ///< images on which the float model decides the same
};

/// Where the request's `draws[m]`, `samples[t]` and `seed` stand in the counts.
size_t pbitc_surface_index(const struct pbitc_surface_request *request, size_t draws, size_t samples,
                           size_t seed);

/// counts[draws_count * samples_count * seed_count]. Reports data that does not fit. Errors: UNSUPPORTED,
/// FORMAT, RANGE, MEMORY, STOPPED.
enum pbit_status pbitc_surface_measure(const struct pbitc_surface_request *request,
                                       struct pbitc_progress *progress, struct pbitc_diagnostics *diagnostics,
                                       struct pbitc_count *counts);

#endif
