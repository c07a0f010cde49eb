#include "passes/round_weights.h"

#include <cblas.h>
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

/// Rounds with the steps as they are. left: float[n] of scratch.
static void round_with_steps(const struct pbitc_row *row, const float *weights,
                             const struct pbitc_statistics *statistics, float *left)
{
    size_t n = row->n;
    const float *factor = statistics->factor;
    for (size_t p = 0; p < n; p++)
        left[p] = weights[statistics->order[p]];
    for (size_t p = 0; p < n; p++) {
        size_t i = statistics->order[p];
        float step = pbitc_row_step(row, i);
        row->integers[i] = (int8_t)round_weight(left[p], step, row->bits);
        if (!factor)
            continue;
        float error = (left[p] - step * (float)row->integers[i]) / factor[p * n + p];
        for (size_t q = p + 1; q < n; q++)
            left[q] -= error * factor[p * n + q];
    }
}

// ---- few bits

/// gradient = covariance * (weights - rounded); left: float[n] of scratch.
static void find_gradient(const struct pbitc_row *row, const float *weights, const float *covariance,
                          float *left, float *gradient)
{
    for (size_t i = 0; i < row->n; i++)
        left[i] = weights[i] - pbitc_row_step(row, i) * (float)row->integers[i];
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)row->n, (int)row->n, 1, covariance, (int)row->n, left, 1, 0,
                gradient, 1);
}

/// Each integer becomes the best one beside the others as they are; how many changed.
static size_t improve_integers(const struct pbitc_row *row, const float *covariance, float *gradient)
{
    size_t n = row->n, changes = 0;
    for (size_t i = 0; i < n; i++) {
        float step = pbitc_row_step(row, i),
              wanted = (float)row->integers[i] + gradient[i] / (step * covariance[i * n + i]);
        int integer = round_weight(wanted, 1, row->bits), change = integer - row->integers[i];
        if (change == 0)
            continue;
        cblas_saxpy((int)n, -step * (float)change, covariance + i * n, 1, gradient, 1);
        row->integers[i] = (int8_t)integer;
        changes++;
    }
    return changes;
}

/// Each factor (without factors: the scale) becomes the best one for the integers as they are.
static void improve_steps(const struct pbitc_row *row, const float *covariance, float *gradient)
{
    size_t n = row->n;
    for (size_t first = 0; first < n; first += row->group) {
        size_t end = first + row->group < n ? first + row->group : n;
        double slope = 0, curvature = 0;
        for (size_t i = first; i < end; i++) {
            double sum = 0;
            for (size_t j = first; j < end; j++)
                sum += (double)covariance[i * n + j] * row->integers[j];
            curvature += sum * row->integers[i];
            slope += (double)gradient[i] * row->integers[i];
        }
        float before = pbitc_row_step(row, first);
        if (!(curvature > 0) || !(before + slope / curvature > 0))
            continue;
        float wanted = before + (float)(slope / curvature);
        if (row->factors)
            row->factors[first / row->group] = (uint8_t)fminf(fmaxf(rintf(wanted / *row->scale), 1), 255);
        else
            *row->scale = wanted;
        float change = pbitc_row_step(row, first) - before;
        for (size_t i = first; i < end; i++)
            cblas_saxpy((int)n, -change * (float)row->integers[i], covariance + i * n, 1, gradient, 1);
    }
}

/// Integers and steps in turn, each given the other, until nothing changes.
static void improve(const struct pbitc_row *row, const float *weights, const float *covariance,
                    float *scratch)
{
    enum { TURNS = 20 };
    float *gradient = scratch + row->n;
    find_gradient(row, weights, covariance, scratch, gradient);
    for (int turn = 0; turn < TURNS; turn++) {
        improve_steps(row, covariance, gradient);
        if (improve_integers(row, covariance, gradient) == 0)
            return;
    }
}

void pbitc_round_row(const struct pbitc_row *row, const float *weights,
                     const struct pbitc_statistics *statistics, float *scratch)
{
    bool improves = statistics->factor && statistics->covariance;
    choose_steps(row, weights, statistics->variance, scratch);
    if (improves && row->factors) { // room for wider steps
        for (size_t g = 0; g * row->group < row->n; g++)
            row->factors[g] = (uint8_t)((row->factors[g] + 1) / 2);
        *row->scale *= 2;
    }
    round_with_steps(row, weights, statistics, scratch);
    if (improves)
        improve(row, weights, statistics->covariance, scratch);
}
