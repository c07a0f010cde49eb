#include "converter/early_stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool pbitc_pass_record_make(struct pbitc_pass_record *record, size_t outputs, uint32_t limit)
{
    size_t rows = (size_t)limit + 1;
    *record = (struct pbitc_pass_record){.outputs = outputs, .limit = limit};
    record->sums =
        outputs <= SIZE_MAX / sizeof(int64_t) / rows ? calloc(rows * outputs, sizeof(int64_t)) : NULL;
    return record->sums != NULL;
}

void pbitc_pass_record_free(struct pbitc_pass_record *record)
{
    free(record->sums);
    record->sums = NULL;
}

void pbitc_pass_record_add(struct pbitc_pass_record *record, uint32_t done, const int64_t *sums)
{
    if (done > record->limit)
        return;
    record->passes = done;
    memcpy(record->sums + done * record->outputs, sums, record->outputs * sizeof(*sums));
}

/// The place of the largest number, `but` aside; `but` may be `count`: none.
static size_t find_largest(const int64_t *numbers, size_t count, size_t but)
{
    size_t best = but == 0 ? 1 : 0;
    for (size_t i = best + 1; i < count; i++) {
        if (i != but && numbers[i] > numbers[best])
            best = i;
    }
    return best;
}

struct pbitc_margin pbitc_pass_record_margin(const struct pbitc_pass_record *record)
{
    size_t outputs = record->outputs;
    const int64_t *last = record->sums + record->passes * outputs;
    size_t leader = find_largest(last, outputs, outputs), next = find_largest(last, outputs, leader);
    struct pbitc_margin margin = {.sum = (double)(last[leader] - last[next])};
    double mean = margin.sum / record->passes, before = 0;
    for (uint32_t pass = 1; pass <= record->passes; pass++) {
        const int64_t *sums = record->sums + pass * outputs;
        double now = (double)(sums[leader] - sums[next]), deviation = now - before - mean;
        margin.deviations += deviation * deviation;
        before = now;
    }
    return margin;
}

bool pbitc_margin_is_sure(struct pbitc_margin margin, double prior, double quantile)
{
    return margin.sum > quantile * sqrt(prior + margin.deviations);
}
