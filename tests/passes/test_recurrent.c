// RNN, GRU and LSTM against the equations of the ONNX specification, written down one number at a time.
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

#include <math.h>

#define SHAPE(...)                                                                                           \
    (struct pbitc_shape)                                                                                     \
    {                                                                                                        \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                                                  \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }

enum { STEPS = 4, BATCH = 10, INPUTS = 3, HIDDEN = 5, MAX_GATES = 4 };

enum cell { RNN, GRU, LSTM };
static const char *const names[] = {"RNN", "GRU", "LSTM"};
static const int gate_counts[] = {1, 3, 4};

struct variant {
    enum cell cell;
    const char *direction;
    bool layout, bias, lengths, states, peepholes, linear_before_reset, input_forget;
    float clip;
};

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/// Tensors of one test, in the layout of the specification: [steps, batch, inputs], [directions, batch,
/// hidden].
struct tensors {
    int directions, gates;
    float x[STEPS][BATCH][INPUTS];
    float w[2][MAX_GATES * HIDDEN][INPUTS], r[2][MAX_GATES * HIDDEN][HIDDEN], b[2][2][MAX_GATES * HIDDEN];
    float p[2][3][HIDDEN], h[2][BATCH][HIDDEN], c[2][BATCH][HIDDEN];
    int lengths[BATCH];
    double y[STEPS][2][BATCH][HIDDEN], last_h[2][BATCH][HIDDEN], last_c[2][BATCH][HIDDEN];
};

static uint32_t state = 7;

static void fill(void *numbers, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(float); i++) {
        state = state * 1664525 + 1013904223;
        ((float *)numbers)[i] = (float)(state >> 8) / 8388608 - 1;
    }
}

/// What x and h contribute to row `row` of the gates.
static double gate(const struct tensors *t, const struct variant *v, int d, int row, const float *x,
                   const double *h)
{
    double sum = v->bias ? (double)t->b[d][0][row] + (double)t->b[d][1][row] : 0;
    for (int i = 0; i < INPUTS; i++)
        sum += (double)t->w[d][row][i] * (double)x[i];
    for (int i = 0; i < HIDDEN; i++)
        sum += (double)t->r[d][row][i] * h[i];
    return sum;
}

static double clipped(const struct variant *v, double x)
{
    return v->clip > 0 ? fmin(fmax(x, -(double)v->clip), (double)v->clip) : x;
}

static void step_gru(const struct tensors *t, const struct variant *v, int d, const float *x, double *h)
{
    double z[HIDDEN], reset[HIDDEN], masked[HIDDEN], candidate[HIDDEN], none[HIDDEN] = {0};
    for (int k = 0; k < HIDDEN; k++) {
        z[k] = sigmoid(clipped(v, gate(t, v, d, k, x, h)));
        reset[k] = sigmoid(clipped(v, gate(t, v, d, HIDDEN + k, x, h)));
    }
    for (int k = 0; k < HIDDEN; k++)
        masked[k] = reset[k] * h[k];
    for (int k = 0; k < HIDDEN; k++) {
        int row = 2 * HIDDEN + k;
        double sum = gate(t, v, d, row, x, v->linear_before_reset ? none : masked);
        if (v->linear_before_reset) { // Xt Wh + Wbh + rt (Ht-1 Rh + Rbh)
            double recurrent = v->bias ? (double)t->b[d][1][row] : 0;
            sum -= recurrent;
            for (int i = 0; i < HIDDEN; i++)
                recurrent += (double)t->r[d][row][i] * h[i];
            sum += reset[k] * recurrent;
        }
        candidate[k] = tanh(clipped(v, sum));
    }
    for (int k = 0; k < HIDDEN; k++)
        h[k] = (1 - z[k]) * candidate[k] + z[k] * h[k];
}

static void step_lstm(const struct tensors *t, const struct variant *v, int d, const float *x, double *h,
                      double *c)
{
    double out[HIDDEN];
    for (int k = 0; k < HIDDEN; k++) {
        double peephole[3] = {0};
        for (int i = 0; v->peepholes && i < 3; i++)
            peephole[i] = (double)t->p[d][i][k];
        double i = sigmoid(clipped(v, gate(t, v, d, k, x, h) + peephole[0] * c[k]));
        double f = sigmoid(clipped(v, gate(t, v, d, 2 * HIDDEN + k, x, h) + peephole[2] * c[k]));
        double candidate = tanh(clipped(v, gate(t, v, d, 3 * HIDDEN + k, x, h)));
        c[k] = (v->input_forget ? 1 - i : f) * c[k] + i * candidate;
        out[k] = sigmoid(clipped(v, gate(t, v, d, HIDDEN + k, x, h) + peephole[1] * c[k])) * tanh(c[k]);
    }
    memcpy(h, out, sizeof(out));
}

static void step_rnn(const struct tensors *t, const struct variant *v, int d, const float *x, double *h)
{
    double out[HIDDEN];
    for (int k = 0; k < HIDDEN; k++)
        out[k] = tanh(clipped(v, gate(t, v, d, k, x, h)));
    memcpy(h, out, sizeof(out));
}

static void compute(struct tensors *t, const struct variant *v)
{
    memset(t->y, 0, sizeof(t->y));
    for (int d = 0; d < t->directions; d++)
        for (int b = 0; b < BATCH; b++) {
            double h[HIDDEN] = {0}, c[HIDDEN] = {0};
            int length = v->lengths ? t->lengths[b] : STEPS;
            bool reverse = d == 1 || strcmp(v->direction, "reverse") == 0;
            for (int k = 0; v->states && k < HIDDEN; k++) {
                h[k] = (double)t->h[d][b][k];
                c[k] = (double)t->c[d][b][k];
            }
            for (int turn = 0; turn < length; turn++) {
                int at = reverse ? length - 1 - turn : turn;
                if (v->cell == LSTM)
                    step_lstm(t, v, d, t->x[at][b], h, c);
                else
                    (v->cell == GRU ? step_gru : step_rnn)(t, v, d, t->x[at][b], h);
                memcpy(t->y[at][d][b], h, sizeof(h));
            }
            memcpy(t->last_h[d][b], h, sizeof(h));
            memcpy(t->last_c[d][b], c, sizeof(c));
        }
}

static void add_floats(struct node_case *c, struct pbitc_shape shape, const float *numbers)
{
    memcpy(case_input(c, PBITC_FLOAT32, shape), numbers,
           (size_t)pbitc_shape_elements(&shape) * sizeof(float));
}

/// A tensor of rows [outer][BATCH][...], with the batch first where the layout is 1.
static void add_sequences(struct node_case *c, const struct variant *v, int outer, int inner,
                          const float *numbers)
{
    float *to =
        case_input(c, PBITC_FLOAT32, v->layout ? SHAPE(BATCH, outer, inner) : SHAPE(outer, BATCH, inner));
    for (int o = 0; o < outer; o++)
        for (int b = 0; b < BATCH; b++)
            memcpy(to + (v->layout ? b * outer + o : o * BATCH + b) * inner,
                   numbers + (o * BATCH + b) * inner, (size_t)inner * sizeof(float));
}

static struct node_case make_case(struct tensors *t, const struct variant *v)
{
    struct node_case c = case_create(names[v->cell]);
    int rows = t->gates * HIDDEN, d = t->directions;
    add_sequences(&c, v, STEPS, INPUTS, &t->x[0][0][0]);
    float w[2 * MAX_GATES * HIDDEN * INPUTS], r[2 * MAX_GATES * HIDDEN * HIDDEN], b[4 * MAX_GATES * HIDDEN];
    for (int i = 0; i < d; i++) {
        memcpy(w + i * rows * INPUTS, t->w[i], (size_t)(rows * INPUTS) * sizeof(float));
        memcpy(r + i * rows * HIDDEN, t->r[i], (size_t)(rows * HIDDEN) * sizeof(float));
        for (int k = 0; k < 2; k++)
            memcpy(b + (i * 2 + k) * rows, t->b[i][k], (size_t)rows * sizeof(float));
    }
    add_floats(&c, SHAPE(d, rows, INPUTS), w);
    add_floats(&c, SHAPE(d, rows, HIDDEN), r);
    v->bias ? add_floats(&c, SHAPE(d, 2 * rows), b) : case_omit(&c);
    if (v->lengths)
        memcpy(case_input(&c, PBITC_INT32, SHAPE(BATCH)), t->lengths, sizeof(t->lengths));
    else
        case_omit(&c);
    v->states ? add_sequences(&c, v, d, HIDDEN, &t->h[0][0][0]) : case_omit(&c);
    if (v->cell == LSTM) {
        v->states ? add_sequences(&c, v, d, HIDDEN, &t->c[0][0][0]) : case_omit(&c);
        v->peepholes ? add_floats(&c, SHAPE(d, 3 * HIDDEN), &t->p[0][0][0]) : case_omit(&c);
    }
    case_node(&c, v->cell == LSTM ? 3 : 2);
    ck_assert(pbitc_node_set_string(c.graph, c.node, "direction", v->direction));
    ck_assert(pbitc_node_set_int(c.graph, c.node, "hidden_size", HIDDEN));
    ck_assert(pbitc_node_set_int(c.graph, c.node, "layout", v->layout));
    if (v->clip > 0)
        ck_assert(pbitc_node_set_float(c.graph, c.node, "clip", v->clip));
    if (v->linear_before_reset)
        ck_assert(pbitc_node_set_int(c.graph, c.node, "linear_before_reset", 1));
    if (v->input_forget)
        ck_assert(pbitc_node_set_int(c.graph, c.node, "input_forget", 1));
    return c;
}

static void expect_state(const struct node_case *c, const struct variant *v, size_t output, int directions,
                         double (*expected)[BATCH][HIDDEN])
{
    const float *state = case_output(c, output)->data;
    for (int d = 0; d < directions; d++)
        for (int b = 0; b < BATCH; b++)
            for (int k = 0; k < HIDDEN; k++)
                ck_assert_double_eq_tol(
                    (double)state[(v->layout ? b * directions + d : d * BATCH + b) * HIDDEN + k],
                    expected[d][b][k], 1e-6);
}

static void check(const struct variant *v)
{
    static struct tensors t;
    fill(t.x, sizeof(t.x));
    fill(t.w, sizeof(t.w));
    fill(t.r, sizeof(t.r));
    fill(t.b, sizeof(t.b));
    fill(t.p, sizeof(t.p));
    fill(t.h, sizeof(t.h));
    fill(t.c, sizeof(t.c));
    for (int b = 0; b < BATCH; b++)
        t.lengths[b] = b % (STEPS + 1);
    t.gates = gate_counts[v->cell];
    t.directions = strcmp(v->direction, "bidirectional") == 0 ? 2 : 1;
    compute(&t, v);
    struct node_case c = make_case(&t, v);
    const float *y = case_run(&c)->data;
    for (int s = 0; s < STEPS; s++)
        for (int d = 0; d < t.directions; d++)
            for (int b = 0; b < BATCH; b++)
                for (int k = 0; k < HIDDEN; k++) {
                    int row =
                        v->layout ? (b * STEPS + s) * t.directions + d : (s * t.directions + d) * BATCH + b;
                    ck_assert_double_eq_tol((double)y[row * HIDDEN + k], t.y[s][d][b][k], 1e-6);
                }
    expect_state(&c, v, 1, t.directions, t.last_h);
    if (v->cell == LSTM)
        expect_state(&c, v, 2, t.directions, t.last_c);
    case_destroy(&c);
}

/// Every bit of `bits` is one of the options.
START_TEST(all_options_of_all_cells)
{
    static const char *const directions[] = {"forward", "reverse", "bidirectional"};
    for (int cell = RNN; cell <= LSTM; cell++)
        for (int bits = 0; bits < 128; bits++)
            check(&(struct variant){.cell = (enum cell)cell,
                                    .direction = directions[bits % 3],
                                    .layout = bits & 1,
                                    .bias = bits & 2,
                                    .lengths = bits & 4,
                                    .states = bits & 8,
                                    .peepholes = cell == LSTM && bits & 16,
                                    .linear_before_reset = cell == GRU && bits & 16,
                                    .input_forget = cell == LSTM && bits & 32,
                                    .clip = bits & 64 ? 0.5f : 0});
}
END_TEST

START_TEST(functions_by_name_with_their_parameters)
{
    struct node_case c = case_create("RNN");
    add_floats(&c, SHAPE(1, 1, 1), (float[]){1.5f});
    add_floats(&c, SHAPE(1, 2, 1), (float[]){1, -1});
    add_floats(&c, SHAPE(1, 2, 2), (float[]){0, 0, 0, 0});
    case_node(&c, 2);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "hidden_size", 2));
    ck_assert(pbitc_node_set_strings(c.graph, c.node, "activations", (const char *const[]){"LeakyRelu"}, 1));
    ck_assert(pbitc_node_set_floats(c.graph, c.node, "activation_alpha", (float[]){0.25f}, 1));
    const float *y = case_run(&c)->data;
    ck_assert_float_eq(y[0], 1.5f);
    ck_assert_float_eq(y[1], -0.375f);
    case_destroy(&c);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
    struct node_case c = case_create("GRU");
    add_floats(&c, SHAPE(1, 1, 1), (float[]){1});
    add_floats(&c, SHAPE(1, 2, 1), (float[]){1, 1}); // three gates have three rows
    add_floats(&c, SHAPE(1, 3, 1), (float[]){1, 1, 1});
    case_node(&c, 2);
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    ck_assert_str_eq(case_message(&c), "W is 1x2x1, expected 1x3x1");
    case_destroy(&c);

    c = case_create("RNN");
    add_floats(&c, SHAPE(1, 1, 1), (float[]){1});
    add_floats(&c, SHAPE(1, 1, 1), (float[]){1});
    add_floats(&c, SHAPE(1, 1, 1), (float[]){1});
    case_node(&c, 2);
    ck_assert(pbitc_node_set_strings(c.graph, c.node, "activations", (const char *const[]){"Mish"}, 1));
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(case_message(&c), "activation 'Mish' is not known");
    case_destroy(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recurrent");
    TCase *tcase = tcase_create("recurrent");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, all_options_of_all_cells);
    tcase_add_test(tcase, functions_by_name_with_their_parameters);
    tcase_add_test(tcase, what_does_not_fit_is_refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
