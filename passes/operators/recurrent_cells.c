// One step of the cells of RNN, GRU and LSTM, and the functions that they may have.
#include "passes/operators/recurrent.h"

#include "passes/operators/float_functions.h"

#include <math.h>
#include <string.h>

static float scalar_function(const struct pbitc_recurrent_activation *a, float x)
{
    switch (a->function) {
    case PBITC_CELL_RELU:
        return x > 0 ? x : 0;
    case PBITC_CELL_AFFINE:
        return a->alpha * x + a->beta;
    case PBITC_CELL_LEAKY_RELU:
        return x < 0 ? a->alpha * x : x;
    case PBITC_CELL_THRESHOLDED_RELU:
        return x > a->alpha ? x : 0;
    case PBITC_CELL_SCALED_TANH:
        return a->alpha * tanhf(a->beta * x);
    case PBITC_CELL_HARD_SIGMOID:
        return fminf(1, fmaxf(0, a->alpha * x + a->beta));
    case PBITC_CELL_ELU:
        return x < 0 ? a->alpha * expm1f(x) : x;
    case PBITC_CELL_SOFTSIGN:
        return x / (1 + fabsf(x));
    default: // SOFTPLUS
        return x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x));
    }
}

/// values[hidden], clipped, through the function.
static void activate(const struct pbitc_recurrent *r, const struct pbitc_recurrent_activation *activation,
                     float *values)
{
    if (isfinite(r->clip))
        for (int64_t i = 0; i < r->hidden; i++)
            values[i] = fminf(r->clip, fmaxf(-r->clip, values[i]));
    if (activation->function == PBITC_CELL_TANH)
        pbitc_tanh_floats(r->hidden, values, values);
    else if (activation->function == PBITC_CELL_SIGMOID)
        pbitc_sigmoid_floats(r->hidden, values, values);
    else
        for (int64_t i = 0; i < r->hidden; i++)
            values[i] = scalar_function(activation, values[i]);
}

const float *pbitc_recurrent_input(const struct pbitc_recurrent *r, size_t index)
{
    const struct pbitc_tensor *input = pbitc_input(r->evaluation, index);
    return input ? input->data : NULL;
}

void pbitc_step_rnn(const struct pbitc_recurrent_step *s)
{
    for (int64_t i = 0; i < s->r->hidden; i++)
        s->gates[i] += s->recurrent[i];
    activate(s->r, s->f, s->gates);
    memcpy(s->h, s->gates, (size_t)s->r->hidden * sizeof(float));
}

/// z and r, and for linear_before_reset what h contributes to the third gate.
void pbitc_open_gru(const struct pbitc_recurrent_step *s)
{
    const struct pbitc_recurrent *r = s->r;
    int64_t n = r->hidden;
    for (int64_t i = 0; i < 2 * n; i++)
        s->gates[i] += s->recurrent[i];
    activate(r, s->f, s->gates);
    activate(r, s->f, s->gates + n);
    const float *bias =
        pbitc_recurrent_input(r, PBITC_RECURRENT_B)
            ? pbitc_recurrent_input(r, PBITC_RECURRENT_B) + s->direction * 2 * r->columns + 5 * n
            : NULL;
    for (int64_t i = 0; r->linear_before_reset && i < n; i++)
        s->gates[2 * n + i] += s->gates[n + i] * (s->recurrent[2 * n + i] + (bias ? bias[i] : 0));
}

void pbitc_close_gru(const struct pbitc_recurrent_step *s)
{
    int64_t n = s->r->hidden;
    activate(s->r, s->g, s->gates + 2 * n);
    for (int64_t i = 0; i < n; i++)
        s->h[i] = (1 - s->gates[i]) * s->gates[2 * n + i] + s->gates[i] * s->h[i];
}

/// gates: i, o, f, c.
void pbitc_step_lstm(const struct pbitc_recurrent_step *s)
{
    const struct pbitc_recurrent *r = s->r;
    int64_t n = r->hidden;
    float *i_gate = s->gates, *o_gate = i_gate + n, *f_gate = o_gate + n, *c_gate = f_gate + n;
    const float *peephole = pbitc_recurrent_input(r, PBITC_RECURRENT_P)
                                ? pbitc_recurrent_input(r, PBITC_RECURRENT_P) + s->direction * 3 * n
                                : NULL;
    for (int64_t i = 0; i < 4 * n; i++)
        s->gates[i] += s->recurrent[i];
    for (int64_t i = 0; peephole && i < n; i++) {
        i_gate[i] += peephole[i] * s->c[i];
        f_gate[i] += peephole[2 * n + i] * s->c[i];
    }
    activate(r, s->f, i_gate);
    if (!r->input_forget)
        activate(r, s->f, f_gate);
    activate(r, s->g, c_gate);
    for (int64_t i = 0; i < n; i++)
        s->c[i] = (r->input_forget ? 1 - i_gate[i] : f_gate[i]) * s->c[i] + i_gate[i] * c_gate[i];
    for (int64_t i = 0; peephole && i < n; i++)
        o_gate[i] += peephole[n + i] * s->c[i];
    activate(r, s->f, o_gate);
    memcpy(s->h, s->c, (size_t)n * sizeof(float));
    const struct pbitc_recurrent unclipped = {.hidden = n, .clip = INFINITY};
    activate(&unclipped, s->h_function, s->h);
    for (int64_t i = 0; i < n; i++)
        s->h[i] *= o_gate[i];
}
