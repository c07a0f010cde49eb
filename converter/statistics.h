// The statistics of accuracies: how far a fraction of N images can be trusted, and whether two differ.
#ifndef PBITC_STATISTICS_H
#define PBITC_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/// Two-sided 95 % quantile of the normal distribution.
#define PBITC_Z_95 1.959963984540054
/// Chance that a comparison of many cells calls any fall real that is none.
#define PBITC_FAMILY_ERROR 0.05

struct pbitc_interval {
    double low, high;
};

/// Wilson score interval of a fraction (0..1) observed on `count` independent trials; 95 %. [0, 1] for 0
/// trials. For a mean over several seeds the trials are the images: seeds on the same images are no new
/// images.
struct pbitc_interval pbitc_wilson(double fraction, size_t count);

/// z of the pooled two-proportion test, positive when b > a; 0 when both are 0 or both are 1.
double pbitc_two_proportion_z(double a, size_t count_a, double b, size_t count_b);

/// Distribution function of the standard normal distribution.
double pbitc_normal(double z);
/// Its inverse: the z below which the fraction p of (0, 1) lies.
double pbitc_normal_quantile(double p);

/// Two measurements on the same images.
struct pbitc_paired {
    uint64_t better, worse; ///< images on which the second did better and worse than the first
    double z;               ///< below 0: the second did worse
    double p_value;         ///< two-sided, in 0..1
    double p_fall;          ///< one-sided: chance of a fall like this or a larger one when nothing changed
};

/// Tests whether the signs of the differences of pairs are tossed by a fair coin. better[v - 1] and
/// worse[v - 1] are the numbers of images that differ by +v and -v, v = 1..steps. With steps = 1 this is
/// McNemar's test; with more it weighs each image by how many of its seeds changed (Fisher's randomization of
/// signs), the images staying the units. Few pairs: exact, with half the probability of what was observed
/// (mid-p); many: normal. p_value and p_fall are rounded to 6 digits.
struct pbitc_paired pbitc_paired_test(const uint64_t *better, const uint64_t *worse, size_t steps);

/// Holm's step-down procedure: sets significant[i] for the hypotheses that are refused when none of `count`
/// true ones shall be refused with a probability above `error`. Returns how many are.
size_t pbitc_holm(const double *p_values, size_t count, double error, unsigned char *significant);

/// The middle value, or the mean of the two middle ones; sorts values[count], count > 0.
double pbitc_median(double *values, size_t count);

/// Standard deviation with n - 1; 0 for less than two values.
double pbitc_spread(const double *values, size_t count);

#endif
