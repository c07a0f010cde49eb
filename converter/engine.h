// The runtime's fast executor for a command's model.
#ifndef PBITC_ENGINE_H
#define PBITC_ENGINE_H

#include "passes/diagnostics.h"

/// Images that a thread hands to the engine at a time: enough to fetch a weight of a dense layer once for
/// many, few enough to stay in its caches.
enum { PBITC_IMAGES_AT_ONCE = 8 };

struct pbitc_engine {
    const struct pbit_engine *engine;
    void *memory;
};

/// An engine for the best kernels of this machine, or for those that the environment variable PBIT_CPU names
/// (scalar, avx2, avx512, neon). `model` is borrowed. Reports a processor that is unknown or not there.
enum pbit_status pbitc_engine_create(const struct pbit_model *model, struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_engine *made);
void pbitc_engine_destroy(struct pbitc_engine *made); ///< accepts a zeroed one

/// pbit_options.share, with pbitc_parallel_stages. state: not looked at.
void pbitc_engine_share(void *state, uint64_t cost, uint32_t stages, uint32_t pieces,
                        void (*work)(const void *job, uint32_t stage, uint32_t piece), const void *job);

/// `bytes` bytes as engines and their workspaces want them; NULL when out of memory. For free().
void *pbitc_engine_allocate(size_t bytes);

#endif
