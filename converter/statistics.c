#include "converter/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pbitc_interval pbitc_wilson(double fraction, size_t count)
{
    if (count == 0)
        return (struct pbitc_interval){0, 1};
    double n = (double)count, z2 = PBITC_Z_95 * PBITC_Z_95;
    double center = fraction + z2 / (2 * n);
    double half = PBITC_Z_95 * sqrt(fraction * (1 - fraction) / n + z2 / (4 * n * n));
    // At 0 and 1 the formula's ends are 0 and 1, but for its rounding.
    return (struct pbitc_interval){fraction <= 0 ? 0 : (center - half) / (1 + z2 / n),
                                   fraction >= 1 ? 1 : (center + half) / (1 + z2 / n)};
}

double pbitc_two_proportion_z(double a, size_t count_a, double b, size_t count_b)
{
    double n_a = (double)count_a, n_b = (double)count_b;
    double pooled = (a * n_a + b * n_b) / (n_a + n_b);
    double variance = pooled * (1 - pooled) * (1 / n_a + 1 / n_b);
    return variance > 0 ? (b - a) / sqrt(variance) : 0;
}

double pbitc_normal(double z)
{
    return erfc(-z / sqrt(2)) / 2;
}

double pbitc_normal_quantile(double p)
{
    double low = -40, high = 40; // the distribution function is 0 and 1 there
    for (int step = 0; step < 64; step++) {
        double middle = (low + high) / 2;
        if (pbitc_normal(middle) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/// The last digits of erfc differ between C libraries.
static double round_6_digits(double value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.5e", value);
    return strtod(text, NULL);
}

/// The exact test visits pairs times sums of differences; beyond so many visits the normal one is as good.
#define EXACT_WORK 2e6

/// What the pairs that differ add up to.
struct pair_sums {
    uint64_t pairs, total; ///< number of pairs, sum of the sizes of their differences
    uint64_t up;           ///< sum of the differences above 0
    double squares;
};

/// P(sum of the differences above 0 < up) + P(= up) / 2 when fair coins toss the signs; -1 when out of
/// memory.
static double sign_tail(const uint64_t *better, const uint64_t *worse, size_t steps,
                        const struct pair_sums *sums)
{
    double *chances = calloc(sums->total + 1, sizeof(*chances)), tail = 0;
    if (!chances)
        return -1;
    uint64_t reach = 0;
    chances[0] = 1;
    for (uint64_t value = 1; value <= steps; value++) {
        for (uint64_t coin = better[value - 1] + worse[value - 1]; coin > 0; coin--) {
            reach += value;
            for (uint64_t sum = reach + 1; sum-- > 0;)
                chances[sum] = (chances[sum] + (sum >= value ? chances[sum - value] : 0)) / 2;
        }
    }
    for (uint64_t sum = 0; sum < sums->up; sum++)
        tail += chances[sum];
    tail += chances[sums->up] / 2;
    free(chances);
    return tail;
}

struct pbitc_paired pbitc_paired_test(const uint64_t *better, const uint64_t *worse, size_t steps)
{
    struct pbitc_paired result = {0, 0, 0, 1, 0.5};
    struct pair_sums sums = {0, 0, 0, 0};
    for (size_t i = 0; i < steps; i++) {
        uint64_t value = i + 1, pairs = better[i] + worse[i];
        result.better += better[i];
        result.worse += worse[i];
        sums.up += value * better[i];
        sums.total += value * pairs;
        sums.squares += (double)value * (double)value * (double)pairs;
    }
    sums.pairs = result.better + result.worse;
    if (sums.pairs == 0)
        return result;
    result.z = (2 * (double)sums.up - (double)sums.total) / sqrt(sums.squares);
    double tail = -1;
    if ((double)sums.pairs * (double)sums.total <= EXACT_WORK)
        tail = sign_tail(better, worse, steps, &sums);
    if (tail < 0)
        tail = pbitc_normal(result.z);
    double both = 2 * (tail < 0.5 ? tail : 1 - tail);
    result.p_fall = round_6_digits(tail);
    result.p_value = round_6_digits(both > 0 ? both : 0);
    return result;
}

size_t pbitc_holm(const double *p_values, size_t count, double error, unsigned char *significant)
{
    size_t refused = 0;
    memset(significant, 0, count);
    for (; refused < count; refused++) {
        size_t smallest = count;
        for (size_t i = 0; i < count; i++) {
            if (!significant[i] && (smallest == count || p_values[i] < p_values[smallest]))
                smallest = i;
        }
        if (p_values[smallest] > error / (double)(count - refused))
            break;
        significant[smallest] = 1;
    }
    return refused;
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double pbitc_median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_reals);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double pbitc_spread(const double *values, size_t count)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return count > 1 ? sqrt(squares / (double)(count - 1)) : 0;
}
