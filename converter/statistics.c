#include "converter/statistics.h"

#include <math.h>

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
