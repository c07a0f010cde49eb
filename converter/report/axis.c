#include "converter/report/axis.h"

#include <math.h>

/// Errors smaller than this have no place of their own.
#define SMALLEST_ERROR 1e-6

static double transform(enum pbitc_scale scale, double value)
{
    if (scale == PBITC_LOGARITHMIC)
        return log(value);
    if (scale == PBITC_ERROR_LOGARITHMIC)
        return -log(fmax(1 - value, SMALLEST_ERROR));
    return value;
}

struct pbitc_axis pbitc_axis_of_fractions(double low, double high, size_t images, double from, double to)
{
    double half_image = 0.5 / (double)(images ? images : 1), error = fmax(1 - high, half_image);
    if (high > 0.9 && 1 - low > 6 * error)
        return (struct pbitc_axis){PBITC_ERROR_LOGARITHMIC, 1 - fmin(1.15 * (1 - low), 1), 1 - error / 1.15,
                                   from, to};
    double room = fmax(0.06 * (high - low), 0.002);
    return (struct pbitc_axis){PBITC_LINEAR, fmax(low - room, 0), fmin(high + room, 1), from, to};
}

double pbitc_axis_place(const struct pbitc_axis *axis, double value)
{
    double low = transform(axis->scale, axis->low), high = transform(axis->scale, axis->high);
    double share = high > low ? (transform(axis->scale, value) - low) / (high - low) : 0.5;
    return axis->from + fmin(fmax(share, 0), 1) * (axis->to - axis->from);
}

static size_t add_tick(const struct pbitc_axis *axis, double value, double ticks[PBITC_TICKS_LIMIT],
                       size_t count)
{
    double slack = 1e-9 * fabs(axis->high);
    if (count < PBITC_TICKS_LIMIT && value >= axis->low - slack && value <= axis->high + slack)
        ticks[count++] = value;
    return count;
}

/// 1, 2 or 5 times a power of ten, so that 3 to 8 fit.
static double round_step(double range)
{
    double step = pow(10, floor(log10(range / 6)));
    double fitting = range / step; // 6 to 60
    return fitting > 40 ? 10 * step : fitting > 16 ? 5 * step : fitting > 8 ? 2 * step : step;
}

static size_t linear_ticks(const struct pbitc_axis *axis, double ticks[PBITC_TICKS_LIMIT])
{
    size_t count = 0;
    if (!(axis->high > axis->low))
        return add_tick(axis, axis->low, ticks, 0);
    double step = round_step(axis->high - axis->low);
    for (double n = ceil(axis->low / step - 1e-9) + 0.0;
         count < PBITC_TICKS_LIMIT && n * step <= axis->high + step / 1e6; n++)
        count = add_tick(axis, n * step, ticks, count);
    return count;
}

static size_t logarithmic_ticks(const struct pbitc_axis *axis, double ticks[PBITC_TICKS_LIMIT])
{
    static const double steps[] = {1, 2, 5};
    double decades = log10(axis->high / axis->low);
    size_t count = 0, used = decades > 3 ? 1 : 3;
    for (double power = pow(10, floor(log10(axis->low))); power <= axis->high && count < PBITC_TICKS_LIMIT;
         power *= 10) {
        for (size_t i = 0; i < used; i++)
            count = add_tick(axis, steps[i] * power, ticks, count);
    }
    return count;
}

/// Round errors; the wider the axis the fewer.
static size_t error_ticks(const struct pbitc_axis *axis, double ticks[PBITC_TICKS_LIMIT])
{
    static const double errors[] = {1, 0.7, 0.5, 0.3, 0.2}, powers[] = {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5};
    double width = transform(axis->scale, axis->high) - transform(axis->scale, axis->low);
    size_t step = width < 4 ? 1 : width < 7 ? 2 : sizeof(errors) / sizeof(errors[0]), count = 0;
    for (size_t i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) {
        for (size_t k = 0; k < sizeof(errors) / sizeof(errors[0]); k += step)
            count = add_tick(axis, 1 - errors[k] * powers[i], ticks, count);
    }
    return count;
}

size_t pbitc_axis_ticks(const struct pbitc_axis *axis, double ticks[PBITC_TICKS_LIMIT])
{
    size_t count = axis->scale == PBITC_LINEAR        ? linear_ticks(axis, ticks)
                   : axis->scale == PBITC_LOGARITHMIC ? logarithmic_ticks(axis, ticks)
                                                      : error_ticks(axis, ticks);
    if (count < 2 && axis->scale == PBITC_ERROR_LOGARITHMIC)
        count = linear_ticks(axis, ticks);
    return count;
}
