// RNN, GRU and LSTM. What the input contributes to the gates is one product for all steps; then the steps
// follow one another, for blocks of sequences at a time. No sum depends on the sequences beside it.
#include "passes/operators/recurrent.h"

#include "passes/operators/float_product.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { BLOCK = 8 }; ///< sequences that go from step to step together

/// What sets the cells apart. Functions are those of the attribute `activations`, for each direction.
static const struct {
    int gates, functions;
    const char *defaults[PBITC_MAX_FUNCTIONS];
} cells[] = {
    [PBITC_CELL_RNN] = {1, 1, {"Tanh"}},
    [PBITC_CELL_GRU] = {3, 2, {"Sigmoid", "Tanh"}},
    [PBITC_CELL_LSTM] = {4, 3, {"Sigmoid", "Tanh", "Tanh"}},
};

/// alpha and beta NAN: the function has none.
static const struct {
    const char *name;
    float alpha, beta;
} functions[PBITC_FUNCTION_COUNT] = {
    [PBITC_CELL_RELU] = {"Relu", NAN, NAN},
    [PBITC_CELL_TANH] = {"Tanh", NAN, NAN},
    [PBITC_CELL_SIGMOID] = {"Sigmoid", NAN, NAN},
    [PBITC_CELL_AFFINE] = {"Affine", 1, 0},
    [PBITC_CELL_LEAKY_RELU] = {"LeakyRelu", 0.01f, NAN},
    [PBITC_CELL_THRESHOLDED_RELU] = {"ThresholdedRelu", 1, NAN},
    [PBITC_CELL_SCALED_TANH] = {"ScaledTanh", 1, 1},
    [PBITC_CELL_HARD_SIGMOID] = {"HardSigmoid", 0.2f, 0.5f},
    [PBITC_CELL_ELU] = {"Elu", 1, NAN},
    [PBITC_CELL_SOFTSIGN] = {"Softsign", NAN, NAN},
    [PBITC_CELL_SOFTPLUS] = {"Softplus", NAN, NAN},
};

static enum pbitc_cell cell_of(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_LSTM)  ? PBITC_CELL_LSTM
           : pbitc_node_is(node, PBITC_OP_GRU) ? PBITC_CELL_GRU
                                               : PBITC_CELL_RNN;
}

/// Index of sequence `b` at `step` among the rows of X.
static int64_t row_of(const struct pbitc_recurrent *r, int64_t step, int64_t b)
{
    return r->batch_first ? b * r->steps + step : step * r->batch + b;
}

/// Index of the row of a state ([direction, batch, hidden], or batch first) of sequence `b`.
static int64_t state_row_of(const struct pbitc_recurrent *r, int direction, int64_t b)
{
    return r->batch_first ? b * r->directions + direction : direction * r->batch + b;
}

// ---- attributes and shapes

static enum pbit_status read_direction(struct pbitc_recurrent *r)
{
    const char *direction = pbitc_node_string(r->evaluation->node, "direction", "forward");
    r->reverse_first = strcmp(direction, "reverse") == 0;
    r->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    if (r->directions == 1 && !r->reverse_first && strcmp(direction, "forward") != 0)
        return PBITC_MALFORMED(r->evaluation, "unknown direction '%s'", direction);
    return PBIT_OK;
}

/// Takes the next value of the list, if the function has such a parameter and there is one.
static float next_parameter(const float *list, size_t count, size_t *next, float fallback)
{
    return !isnan(fallback) && *next < count ? list[(*next)++] : fallback;
}

static enum pbit_status read_activations(struct pbitc_recurrent *r)
{
    const struct pbitc_node *node = r->evaluation->node;
    const struct pbitc_attribute *names = pbitc_node_attribute(node, "activations");
    size_t alphas, betas, next_alpha = 0, next_beta = 0;
    const float *alpha = pbitc_node_floats(node, "activation_alpha", &alphas);
    const float *beta = pbitc_node_floats(node, "activation_beta", &betas);
    size_t per_direction = (size_t)cells[r->cell].functions;
    if (names && names->count && names->count != per_direction * (size_t)r->directions)
        return PBITC_MALFORMED(r->evaluation, "%zu activations for %d direction(s) of %zu", names->count,
                               r->directions, per_direction);
    for (size_t i = 0; i < per_direction * (size_t)r->directions; i++) {
        const char *name =
            names && names->count ? names->strings[i] : cells[r->cell].defaults[i % per_direction];
        int function = 0;
        while (function < PBITC_FUNCTION_COUNT && strcasecmp(functions[function].name, name) != 0)
            function++;
        if (function == PBITC_FUNCTION_COUNT)
            return PBITC_REFUSE(r->evaluation, NULL, "activation '%s' is not known", name);
        r->activations[i / per_direction][i % per_direction] = (struct pbitc_recurrent_activation){
            (enum pbitc_cell_function)function,
            next_parameter(alpha, alphas, &next_alpha, functions[function].alpha),
            next_parameter(beta, betas, &next_beta, functions[function].beta)};
    }
    return PBIT_OK;
}

static enum pbit_status require_shape(struct pbitc_recurrent *r, size_t index, const char *name,
                                      struct pbitc_shape expected)
{
    const struct pbitc_tensor *input = pbitc_input(r->evaluation, index);
    if (!input || pbitc_shape_equal(&input->shape, &expected))
        return PBIT_OK;
    return PBITC_MALFORMED(r->evaluation, "%s is %s, expected %s", name,
                           pbitc_shape_format(&input->shape).text, pbitc_shape_format(&expected).text);
}

static enum pbit_status require_floats(struct pbitc_recurrent *r)
{
    static const size_t floats[] = {PBITC_RECURRENT_X, PBITC_RECURRENT_W,         PBITC_RECURRENT_R,
                                    PBITC_RECURRENT_B, PBITC_RECURRENT_INITIAL_H, PBITC_RECURRENT_INITIAL_C,
                                    PBITC_RECURRENT_P};
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; !status && i < sizeof(floats) / sizeof(floats[0]); i++)
        if (pbitc_input(r->evaluation, floats[i]))
            status = pbitc_require_type(r->evaluation, floats[i], 1 << PBITC_FLOAT32);
    if (!status && pbitc_input(r->evaluation, PBITC_RECURRENT_SEQUENCE_LENS))
        status = pbitc_require_type(r->evaluation, PBITC_RECURRENT_SEQUENCE_LENS, PBITC_TYPES_INDEX);
    for (size_t i = PBITC_RECURRENT_X; !status && i <= PBITC_RECURRENT_R; i++)
        status = pbitc_require_rank(r->evaluation, i, 3, 3);
    return status;
}

static struct pbitc_shape state_shape(const struct pbitc_recurrent *r)
{
    return r->batch_first ? (struct pbitc_shape){3, {r->batch, r->directions, r->hidden}}
                          : (struct pbitc_shape){3, {r->directions, r->batch, r->hidden}};
}

static enum pbit_status require_shapes(struct pbitc_recurrent *r)
{
    int64_t d = r->directions;
    const struct {
        size_t index;
        const char *name;
        struct pbitc_shape shape;
    } expected[] = {
        {PBITC_RECURRENT_W, "W", {3, {d, r->columns, r->inputs}}},
        {PBITC_RECURRENT_R, "R", {3, {d, r->columns, r->hidden}}},
        {PBITC_RECURRENT_B, "B", {2, {d, 2 * r->columns}}},
        {PBITC_RECURRENT_SEQUENCE_LENS, "sequence_lens", {1, {r->batch}}},
        {PBITC_RECURRENT_INITIAL_H, "initial_h", state_shape(r)},
        {PBITC_RECURRENT_INITIAL_C, "initial_c", state_shape(r)},
        {PBITC_RECURRENT_P, "P", {2, {d, 3 * r->hidden}}},
    };
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; !status && i < sizeof(expected) / sizeof(expected[0]); i++)
        status = require_shape(r, expected[i].index, expected[i].name, expected[i].shape);
    return status;
}

static enum pbit_status read_recurrent(struct pbitc_evaluation *evaluation, struct pbitc_recurrent *r)
{
    const struct pbitc_node *node = evaluation->node;
    *r = (struct pbitc_recurrent){.evaluation = evaluation, .cell = cell_of(node)};
    enum pbit_status status = read_direction(r);
    if (!status)
        status = read_activations(r);
    if (!status)
        status = require_floats(r);
    if (status)
        return status;
    r->batch_first = pbitc_node_int(node, "layout", 0) == 1;
    r->linear_before_reset = pbitc_node_int(node, "linear_before_reset", 0) != 0;
    r->input_forget = pbitc_node_int(node, "input_forget", 0) != 0;
    float clip = pbitc_node_float(node, "clip", 0);
    r->clip = clip > 0 ? clip : INFINITY;
    const int64_t *x = evaluation->inputs[PBITC_RECURRENT_X]->shape.dims;
    r->steps = x[r->batch_first];
    r->batch = x[!r->batch_first];
    r->inputs = x[2];
    r->hidden = evaluation->inputs[PBITC_RECURRENT_R]->shape.dims[2];
    if (__builtin_mul_overflow(r->hidden, cells[r->cell].gates, &r->columns) || r->columns > INT64_MAX / 2)
        return PBITC_MALFORMED(evaluation, "hidden size %lld", (long long)r->hidden);
    return require_shapes(r);
}

/// Floats of the states of one sequence: h, c, what h contributes to the gates, r * h.
static int64_t state_floats(const struct pbitc_recurrent *r)
{
    return 3 * r->hidden + r->columns;
}

static bool plan_scratch(struct pbitc_recurrent *r)
{
    int64_t rows, projected, states;
    return !__builtin_mul_overflow(r->steps, r->batch * r->directions, &rows) &&
           !__builtin_mul_overflow(rows, r->columns, &projected) &&
           !__builtin_mul_overflow(r->batch * r->directions, state_floats(r), &states) &&
           pbitc_add_scratch(r->evaluation, projected, sizeof(float)) &&
           pbitc_add_scratch(r->evaluation, states, sizeof(float));
}

enum pbit_status infer_recurrent(struct pbitc_evaluation *evaluation)
{
    struct pbitc_recurrent r;
    enum pbit_status status = read_recurrent(evaluation, &r);
    if (status)
        return status;
    const struct pbitc_shape state = state_shape(&r);
    const struct pbitc_shape sequence =
        r.batch_first ? (struct pbitc_shape){4, {r.batch, r.steps, r.directions, r.hidden}}
                      : (struct pbitc_shape){4, {r.steps, r.directions, r.batch, r.hidden}};
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &sequence);
    for (size_t i = 1; i < evaluation->output_count; i++)
        pbitc_set_output(evaluation, i, PBITC_FLOAT32, &state);
    return plan_scratch(&r) ? PBIT_OK : PBITC_REFUSE(evaluation, NULL, "the sequences are too large");
}

// ---- evaluation

/// The recurrent biases join those of the input, except for GRU's h gate when it is reset after the product.
static bool adds_recurrent_bias(const struct pbitc_recurrent *r, int64_t column)
{
    return !(r->cell == PBITC_CELL_GRU && r->linear_before_reset && column >= 2 * r->hidden);
}

/// Rows of X that one call projects.
enum { PROJECTED_ROWS = 16 };

static void project_rows(void *state, int64_t index, int worker)
{
    (void)worker;
    const struct pbitc_recurrent *r = state;
    int64_t rows = r->steps * r->batch, chunks = (rows + PROJECTED_ROWS - 1) / PROJECTED_ROWS;
    int64_t direction = index / chunks, first = index % chunks * PROJECTED_ROWS;
    int64_t count = rows - first < PROJECTED_ROWS ? rows - first : PROJECTED_ROWS;
    float *out = r->projected + (direction * rows + first) * r->columns;
    pbitc_multiply_transposed(
        count, r->columns, r->inputs, pbitc_recurrent_input(r, PBITC_RECURRENT_X) + first * r->inputs,
        pbitc_recurrent_input(r, PBITC_RECURRENT_W) + direction * r->columns * r->inputs, out, r->columns);
    const float *bias = pbitc_recurrent_input(r, PBITC_RECURRENT_B)
                            ? pbitc_recurrent_input(r, PBITC_RECURRENT_B) + direction * 2 * r->columns
                            : NULL;
    for (int64_t row = 0; bias && row < count; row++)
        for (int64_t c = 0; c < r->columns; c++)
            out[row * r->columns + c] += bias[c] + (adds_recurrent_bias(r, c) ? bias[r->columns + c] : 0);
}

/// Sequences first..first+count-1 in one direction.
struct block {
    const struct pbitc_recurrent *r;
    int direction;
    int64_t first, count;
    float *h, *c, *recurrent, *reset; ///< [count x hidden], [count x columns]
};

static int64_t length_of(const struct pbitc_recurrent *r, int64_t b)
{
    const struct pbitc_tensor *lengths = pbitc_input(r->evaluation, PBITC_RECURRENT_SEQUENCE_LENS);
    int64_t length = lengths ? pbitc_integer_at(lengths, b) : r->steps;
    return length < 0 ? 0 : length < r->steps ? length : r->steps;
}

/// The step of the sequence that comes `turn`th; -1 when it is over.
static int64_t step_at(const struct block *block, int64_t sequence, int64_t turn)
{
    int64_t length = length_of(block->r, block->first + sequence);
    bool reverse = block->direction == 1 || block->r->reverse_first;
    return turn >= length ? -1 : reverse ? length - 1 - turn : turn;
}

static struct pbitc_recurrent_step step_of(const struct block *block, int64_t sequence, int64_t at)
{
    const struct pbitc_recurrent *r = block->r;
    const struct pbitc_recurrent_activation *activations = r->activations[block->direction];
    int64_t row = block->direction * r->steps * r->batch + row_of(r, at, block->first + sequence);
    return (struct pbitc_recurrent_step){.r = r,
                                         .direction = block->direction,
                                         .f = &activations[0],
                                         .g = &activations[1],
                                         .h_function = &activations[2],
                                         .gates = r->projected + row * r->columns,
                                         .recurrent = block->recurrent + sequence * r->columns,
                                         .h = block->h + sequence * r->hidden,
                                         .c = block->c + sequence * r->hidden};
}

static void give_step(const struct block *block, int64_t sequence, int64_t at)
{
    const struct pbitc_recurrent *r = block->r;
    if (!pbitc_output_used(r->evaluation, 0))
        return;
    int64_t b = block->first + sequence;
    int64_t row = r->batch_first ? (b * r->steps + at) * r->directions + block->direction
                                 : (at * r->directions + block->direction) * r->batch + b;
    memcpy((float *)r->evaluation->outputs[0].data + row * r->hidden, block->h + sequence * r->hidden,
           (size_t)r->hidden * sizeof(float));
}

/// The third gate of GRU, when h is reset before the product.
static void multiply_reset(const struct block *block, int64_t turn)
{
    const struct pbitc_recurrent *r = block->r;
    int64_t n = r->hidden;
    const float *weights =
        pbitc_recurrent_input(r, PBITC_RECURRENT_R) + (block->direction * r->columns + 2 * n) * n;
    for (int64_t q = 0; q < block->count; q++) {
        int64_t at = step_at(block, q, turn);
        if (at < 0)
            continue;
        struct pbitc_recurrent_step step = step_of(block, q, at);
        for (int64_t i = 0; i < n; i++)
            block->reset[q * n + i] = step.gates[n + i] * step.h[i];
    }
    pbitc_multiply_transposed(block->count, n, n, block->reset, weights, block->recurrent + 2 * n,
                              r->columns);
    for (int64_t q = 0; q < block->count; q++) {
        int64_t at = step_at(block, q, turn);
        if (at < 0)
            continue;
        struct pbitc_recurrent_step step = step_of(block, q, at);
        for (int64_t i = 0; i < n; i++)
            step.gates[2 * n + i] += step.recurrent[2 * n + i];
    }
}

static void take_turn(const struct block *block, int64_t turn)
{
    const struct pbitc_recurrent *r = block->r;
    pbitc_multiply_transposed(block->count, r->columns, r->hidden, block->h,
                              pbitc_recurrent_input(r, PBITC_RECURRENT_R) +
                                  block->direction * r->columns * r->hidden,
                              block->recurrent, r->columns);
    for (int64_t q = 0; q < block->count; q++) {
        int64_t at = step_at(block, q, turn);
        if (at < 0)
            continue;
        struct pbitc_recurrent_step step = step_of(block, q, at);
        (r->cell == PBITC_CELL_LSTM  ? pbitc_step_lstm
         : r->cell == PBITC_CELL_GRU ? pbitc_open_gru
                                     : pbitc_step_rnn)(&step);
    }
    if (r->cell == PBITC_CELL_GRU && !r->linear_before_reset)
        multiply_reset(block, turn);
    for (int64_t q = 0; q < block->count; q++) {
        int64_t at = step_at(block, q, turn);
        if (at < 0)
            continue;
        struct pbitc_recurrent_step step = step_of(block, q, at);
        if (r->cell == PBITC_CELL_GRU)
            pbitc_close_gru(&step);
        give_step(block, q, at);
    }
}

static void load_state(const struct block *block, size_t input, float *state)
{
    const struct pbitc_recurrent *r = block->r;
    const float *initial = pbitc_recurrent_input(r, input);
    for (int64_t q = 0; q < block->count; q++) {
        float *target = state + q * r->hidden;
        size_t bytes = (size_t)r->hidden * sizeof(float);
        if (initial)
            memcpy(target, initial + state_row_of(r, block->direction, block->first + q) * r->hidden, bytes);
        else
            memset(target, 0, bytes);
    }
}

static void give_state(const struct block *block, size_t output, const float *state)
{
    const struct pbitc_recurrent *r = block->r;
    if (!pbitc_output_used(r->evaluation, output))
        return;
    for (int64_t q = 0; q < block->count; q++)
        memcpy((float *)r->evaluation->outputs[output].data +
                   state_row_of(r, block->direction, block->first + q) * r->hidden,
               state + q * r->hidden, (size_t)r->hidden * sizeof(float));
}

static void run_block(void *state, int64_t index, int worker)
{
    (void)worker;
    const struct pbitc_recurrent *r = state;
    int64_t blocks = (r->batch + BLOCK - 1) / BLOCK;
    struct block block = {.r = r, .direction = (int)(index / blocks), .first = index % blocks * BLOCK};
    block.count = r->batch - block.first < BLOCK ? r->batch - block.first : BLOCK;
    block.h = r->states + (block.direction * r->batch + block.first) * state_floats(r);
    block.c = block.h + block.count * r->hidden;
    block.reset = block.c + block.count * r->hidden;
    block.recurrent = block.reset + block.count * r->hidden;
    load_state(&block, PBITC_RECURRENT_INITIAL_H, block.h);
    load_state(&block, PBITC_RECURRENT_INITIAL_C, block.c);
    memset(block.reset, 0, (size_t)(block.count * r->hidden) * sizeof(float));
    for (int64_t turn = 0; turn < r->steps; turn++)
        take_turn(&block, turn);
    give_state(&block, 1, block.h);
    give_state(&block, 2, block.c);
}

enum pbit_status evaluate_recurrent(struct pbitc_evaluation *evaluation)
{
    struct pbitc_recurrent r;
    enum pbit_status status = read_recurrent(evaluation, &r);
    if (status)
        return status;
    int64_t rows = r.steps * r.batch;
    r.states = evaluation->scratch;
    r.projected = r.states + r.directions * r.batch * state_floats(&r);
    if (pbitc_output_used(evaluation, 0) && pbitc_input(evaluation, PBITC_RECURRENT_SEQUENCE_LENS))
        memset(evaluation->outputs[0].data, 0,
               (size_t)(rows * r.directions * r.hidden) * sizeof(float)); // after the end of a sequence
    pbitc_parallel_for(evaluation->threads, r.directions * ((rows + PROJECTED_ROWS - 1) / PROJECTED_ROWS),
                       project_rows, &r);
    pbitc_parallel_for(evaluation->threads, r.directions * ((r.batch + BLOCK - 1) / BLOCK), run_block, &r);
    return PBIT_OK;
}
