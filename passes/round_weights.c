#include "passes/round_weights.h"

#include <math.h>
#include <string.h>

/// Integers that b bits can hold.
struct levels {
    int least, most;
};

static struct levels levels_of(int bits)
{
    return bits == 1 ? (struct levels){-1, 1} : (struct levels){-(1 << (bits - 1)), (1 << (bits - 1)) - 1};
}

static int round_weight(float weight, float step, int bits)
{
    if (bits == 1)
        return weight < 0 ? -1 : 1;
    struct levels levels = levels_of(bits);
    float level = rintf(weight / step);
    return level < (float)levels.least ? levels.least : level > (float)levels.most ? levels.most : (int)level;
}

// ---- steps

/// Error of rounding to the nearest, each weight counted by the variance of its input.
static double rounding_error(const float *weights, const float *variance, size_t n, float step, int bits)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = weights[i] - step * (float)round_weight(weights[i], step, bits);
        sum += difference * difference * variance[i];
    }
    return sum;
}

/// The step with the least error; 0 when all weights are 0.
static float choose_step(const float *weights, const float *variance, size_t n, int bits, bool clips)
{
    double largest = 0, total = 0, weight_total = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabsf(weights[i]));
        total += (double)fabsf(weights[i]) * variance[i];
        weight_total += variance[i];
    }
    if (bits == 1)
        return weight_total > 0 ? (float)(total / weight_total) : 0; // the mean is the best step for signs
    if (!(largest > 0))
        return 0;
    float widest = (float)largest / (float)levels_of(bits).most, best_step = widest;
    double best = rounding_error(weights, variance, n, widest, bits);
    for (int percent = 98; clips && percent >= 30; percent -= 2) {
        float step = widest * (float)percent / 100;
        double error = rounding_error(weights, variance, n, step, bits);
        if (error < best) {
            best = error;
            best_step = step;
        }
    }
    return best_step;
}

float pbitc_row_step(const struct pbitc_row *row, size_t i)
{
    return row->factors ? *row->scale * row->factors[i / row->group] : *row->scale;
}

/// steps: float[groups] of scratch.
static void choose_steps(const struct pbitc_row *row, const float *weights, const float *variance,
                         float *steps)
{
    float largest = 0;
    for (size_t first = 0; first < row->n; first += row->group) {
        size_t length = row->n - first < row->group ? row->n - first : row->group;
        float step = choose_step(weights + first, variance + first, length, row->bits, row->clips);
        steps[first / row->group] = step;
        largest = fmaxf(largest, step);
    }
    if (!(largest > 0))
        largest = 1; // a row of zeros
    *row->scale = row->factors ? largest / 255 : largest;
    for (size_t g = 0; row->factors && g * row->group < row->n; g++) {
        float factor = rintf(steps[g] / *row->scale);
        row->factors[g] = factor < 1 ? 1 : (uint8_t)factor;
    }
}

// ---- integers

/// Rounds with the steps as they are; the squared error of the sum over typical inputs. left: float[n] of
/// scratch.
static double round_with_steps(const struct pbitc_row *row, const float *weights,
                               const struct pbitc_statistics *statistics, float *left)
{
    size_t n = row->n;
    const float *factor = statistics->factor;
    double sum = 0;
    for (size_t p = 0; p < n; p++)
        left[p] = weights[statistics->order[p]];
    for (size_t p = 0; p < n; p++) {
        size_t i = statistics->order[p];
        float step = pbitc_row_step(row, i);
        row->integers[i] = (int8_t)round_weight(left[p], step, row->bits);
        float error = left[p] - step * (float)row->integers[i];
        if (!factor) {
            sum += (double)error * error * statistics->variance[i];
            continue;
        }
        error /= factor[p * n + p];
        sum += (double)error * error;
        for (size_t q = p + 1; q < n; q++)
            left[q] -= error * factor[p * n + q];
    }
    return sum;
}

/// Few levels are worth a search: how much wider or narrower than the best steps without compensation.
static const float stretches[] = {0.7f, 0.85f, 1.2f, 1.4f};
enum { STRETCHES = sizeof(stretches) / sizeof(*stretches), FEW_BITS = 3 };

void pbitc_round_row(const struct pbitc_row *row, const float *weights,
                     const struct pbitc_statistics *statistics, float *scratch)
{
    choose_steps(row, weights, statistics->variance, scratch);
    double least = round_with_steps(row, weights, statistics, scratch);
    if (!statistics->factor || !row->clips || row->bits > FEW_BITS)
        return;
    float chosen = *row->scale, best = chosen;
    for (int i = 0; i < STRETCHES; i++) {
        *row->scale = chosen * stretches[i];
        double error = round_with_steps(row, weights, statistics, scratch);
        if (error < least) {
            least = error;
            best = *row->scale;
        }
    }
    *row->scale = best;
    round_with_steps(row, weights, statistics, scratch);
}
