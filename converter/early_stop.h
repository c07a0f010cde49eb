// When an image has had passes enough: a sequential test on the margin between the two leading outputs.
#ifndef PBITC_EARLY_STOP_H
#define PBITC_EARLY_STOP_H

#include "runtime/pbit.h"

#include <stdbool.h>

enum {
    PBITC_PILOT_IMAGES = 32, ///< how many images tell the variance to start from, at most
    PBITC_PILOT_PASSES = 4,  ///< passes of each of them
    PBITC_STOP_SAMPLES = 16, ///< the largest T where nobody names one
};

/// The outputs of one image so far, pass by pass.
struct pbitc_pass_record {
    size_t outputs;
    uint32_t passes, limit;
    int64_t *sums; ///< [limit + 1][outputs] after 0, 1, .. passes
};

/// Room for `limit` passes of `outputs` numbers. False when out of memory.
bool pbitc_pass_record_make(struct pbitc_pass_record *record, size_t outputs, uint32_t limit);
void pbitc_pass_record_free(struct pbitc_pass_record *record); ///< accepts a zeroed one

/// Takes the sums after pass number `done` (1-based); 1 begins another image. Passes beyond the limit are
/// ignored.
void pbitc_pass_record_add(struct pbitc_pass_record *record, uint32_t done, const int64_t *sums);

/// The leading output less the next one, in units of one pass's output: its sum over the passes, and the sum
/// of its squared deviations from its mean.
struct pbitc_margin {
    double sum, deviations;
};

/// At least one pass and two outputs. Of equal outputs the first leads.
struct pbitc_margin pbitc_pass_record_margin(const struct pbitc_pass_record *record);

/// Whether the sign of the margin is sure: with s^2 = (prior + deviations) / t after t passes, a variance
/// that starts from `prior` as if it had been seen once, the mean margin lies more than `quantile` standard
/// errors s / sqrt(t) above 0. The t cancel out: sum > quantile * sqrt(prior + deviations). The passes of the
/// stratified sampler spread less than independent ones would, which makes the test careful.
bool pbitc_margin_is_sure(struct pbitc_margin margin, double prior, double quantile);

#endif
