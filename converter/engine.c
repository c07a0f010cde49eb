#include "converter/engine.h"

#include "converter/data/readers.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

void *pbitc_engine_allocate(size_t bytes)
{
    return bytes > SIZE_MAX - ALIGNMENT ? NULL
                                        : aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
}

static enum pbit_status choose(struct pbitc_diagnostics *diagnostics, enum pbit_cpu *cpu)
{
    const char *wanted = getenv("PBIT_CPU");
    *cpu = pbit_cpu_present();
    if (!wanted || !*wanted)
        return PBIT_OK;
    for (enum pbit_cpu known = PBIT_CPU_SCALAR; known <= pbit_cpu_present(); known++) {
        *cpu = known;
        if (strcmp(wanted, pbit_cpu_name(known)) == 0)
            return PBIT_OK;
    }
    return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, "PBIT_CPU", NULL, 0,
                        "unset it, or name one that this machine has: scalar, avx2, avx512",
                        "the kernels '%s' are not for this machine, whose best are '%s'", wanted,
                        pbit_cpu_name(pbit_cpu_present()));
}

enum pbit_status pbitc_engine_create(const struct pbit_model *model, struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_engine *made)
{
    enum pbit_cpu cpu;
    *made = (struct pbitc_engine){NULL, NULL};
    enum pbit_status status = choose(diagnostics, &cpu);
    if (status != PBIT_OK)
        return status;
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
