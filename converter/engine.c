#include "converter/engine.h"

#include "converter/data/readers.h"
#include "passes/operators/operator_support.h"
#include "passes/operators/processor.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 };

void *pbitc_engine_allocate(size_t bytes)
{
    return bytes > SIZE_MAX - ALIGNMENT ? NULL
                                        : aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
}

enum pbit_status pbitc_engine_create(const struct pbit_model *model, struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_engine *made)
{
    enum pbit_cpu cpu = pbitc_processor();
    *made = (struct pbitc_engine){NULL, NULL};
    if (!pbitc_processor_is_as_asked())
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, "PBIT_CPU", NULL, 0,
                            "unset it, or name one of scalar, avx2, avx512 and neon that this machine has",
                            "the kernels '%s' are not for this machine, whose best are '%s'",
                            getenv("PBIT_CPU"), pbit_cpu_name(pbit_cpu_present()));
    size_t bytes = pbit_engine_bytes(model, cpu);
    made->memory = pbitc_engine_allocate(bytes);
    if (!made->memory)
        return pbitc_report_memory(diagnostics);
    return pbit_engine_create(model, cpu, made->memory, bytes, &made->engine);
}

void pbitc_engine_destroy(struct pbitc_engine *made)
{
    free(made->memory);
    *made = (struct pbitc_engine){NULL, NULL};
}

struct shared {
    void (*work)(const void *job, uint32_t stage, uint32_t piece);
    const void *job;
};

_Static_assert(PBITC_WHOLE == PBIT_WHOLE, "what the engine takes for all pieces");

static void work_piece(void *state, uint32_t stage, uint32_t piece)
{
    const struct shared *shared = state;
    shared->work(shared->job, stage, piece);
}

void pbitc_engine_share(void *state, uint64_t cost, uint32_t stages, uint32_t pieces,
                        void (*work)(const void *job, uint32_t stage, uint32_t piece), const void *job)
{
    struct shared shared = {work, job};
    (void)state;
    pbitc_parallel_stages(cost, stages, pieces, work_piece, &shared);
}
