// The operators against naive loops and hand-computed values.
#include "passes/operators/direct_convolution.h"
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

#include <math.h>

#define SHAPE(...)                                                                                           \
    ((struct pbitc_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
#define LIST(c, ...)                                                                                         \
    case_list(c, (const int64_t[]){__VA_ARGS__},                                                             \
              (int64_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

enum { ROUNDS = 150 };

static const struct pbitc_shape scalar = {.rank = 0};

START_TEST(table_finds_every_operator)
{
    for (int id = 0; id < PBITC_OPERATOR_COUNT; id++) {
        const struct pbitc_operator *op = pbitc_operator_get((enum pbitc_operator_id)id);
        ck_assert_int_eq((int)op->id, id);
        ck_assert_ptr_eq(pbitc_operator_find(op->domain, op->name), op);
        ck_assert(op->infer && op->evaluate);
    }
    ck_assert_ptr_null(pbitc_operator_find("", "NoSuchOperator"));
    ck_assert_ptr_null(pbitc_operator_find("com.example", "Conv"));
}
END_TEST

/// A random convolution over two spatial dimensions.
struct conv_case {
    int64_t images, groups, channels, outputs; ///< channels and outputs of one group
    int64_t input[2], kernel[2], strides[2], dilations[2], pads[4], output[2];
};

static struct conv_case random_conv(void)
{
    struct conv_case k = {.images = random_between(1, 3),
                          .groups = random_between(1, 3),
                          .channels = random_between(1, 4),
                          .outputs = random_between(1, 5)};
    for (int i = 0; i < 2; i++) {
        k.kernel[i] = random_between(1, 4);
        k.strides[i] = random_between(1, 3);
        k.dilations[i] = random_between(1, 2);
        k.pads[i] = random_between(0, 4);
        k.pads[i + 2] = random_between(0, 4);
        int64_t reach = (k.kernel[i] - 1) * k.dilations[i] + 1;
        k.input[i] = reach + random_between(0, 8);
        k.output[i] = (k.input[i] + k.pads[i] + k.pads[i + 2] - reach) / k.strides[i] + 1;
    }
    return k;
}

/// Its window sees the whole image: one output position, a dense layer.
static struct conv_case random_dense_conv(void)
{
    struct conv_case k = random_conv();
    k.channels = random_between(1, 40);
    k.outputs = random_between(1, 70);
    memset(k.pads, 0, sizeof(k.pads));
    for (int i = 0; i < 2; i++) {
        k.dilations[i] = k.output[i] = 1;
        k.input[i] = k.kernel[i];
    }
    return k;
}

/// One output of the convolution, by its definition.
static double naive_conv(const struct conv_case *k, const float *x, const float *w, int64_t image, int64_t o,
                         int64_t y, int64_t z)
{
    double sum = 0;
    int64_t first = o / k->outputs * k->channels; // of the group's input channels
    for (int64_t c = 0; c < k->channels; c++)
        for (int64_t i = 0; i < k->kernel[0]; i++)
            for (int64_t j = 0; j < k->kernel[1]; j++) {
                int64_t row = y * k->strides[0] - k->pads[0] + i * k->dilations[0];
                int64_t column = z * k->strides[1] - k->pads[1] + j * k->dilations[1];
                if (row < 0 || row >= k->input[0] || column < 0 || column >= k->input[1])
                    continue;
                int64_t plane = image * k->groups * k->channels + first + c;
                sum += (double)x[(plane * k->input[0] + row) * k->input[1] + column] *
                       (double)w[((o * k->channels + c) * k->kernel[0] + i) * k->kernel[1] + j];
            }
    return sum;
}

static void set_conv_attributes(struct node_case *c, const struct conv_case *k)
{
    ck_assert(pbitc_node_set_int(c->graph, c->node, "group", k->groups));
    ck_assert(pbitc_node_set_ints(c->graph, c->node, "strides", k->strides, 2));
    ck_assert(pbitc_node_set_ints(c->graph, c->node, "dilations", k->dilations, 2));
    ck_assert(pbitc_node_set_ints(c->graph, c->node, "pads", k->pads, 4));
}

START_TEST(conv_agrees_with_its_definition)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct conv_case k = round % 5 ? random_conv() : random_dense_conv();
        struct node_case c = case_create("Conv");
        int64_t channels = k.groups * k.channels, outputs = k.groups * k.outputs;
        struct pbitc_shape in = SHAPE(k.images, channels, k.input[0], k.input[1]);
        struct pbitc_shape weights = SHAPE(outputs, k.channels, k.kernel[0], k.kernel[1]);
        float *x = case_input(&c, PBITC_FLOAT32, in), *w = case_constant(&c, PBITC_FLOAT32, weights);
        float *b = case_constant(&c, PBITC_FLOAT32, SHAPE(outputs));
        fill_random(x, pbitc_shape_elements(&in));
        fill_random(w, pbitc_shape_elements(&weights));
        fill_random(b, outputs);
        case_node(&c, 1);
        set_conv_attributes(&c, &k);
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_FLOAT32, SHAPE(k.images, outputs, k.output[0], k.output[1]));
        for (int64_t i = 0; i < pbitc_shape_elements(&y->shape); i++) {
            int64_t column = i % k.output[1], row = i / k.output[1] % k.output[0];
            int64_t plane = i / k.output[1] / k.output[0];
            double expected = naive_conv(&k, x, w, plane / outputs, plane % outputs, row, column);
            ck_assert_double_eq_tol((double)((const float *)y->data)[i],
                                    expected + (double)b[plane % outputs], 1e-5);
        }
        case_destroy(&c);
    }
}
END_TEST

/// The image is computed in blocks of lines, the last shorter than the others; each may be a thread's first,
/// so that nothing is known of its scratch memory.
START_TEST(conv_blocks_need_no_other)
{
    enum { CHANNELS = 48, HEIGHT = 70, WIDTH = 63, SIZE = HEIGHT * WIDTH };
    const struct conv_case k = {.images = 1,
                                .groups = 1,
                                .channels = CHANNELS,
                                .outputs = 2,
                                .input = {HEIGHT, WIDTH},
                                .kernel = {3, 3},
                                .strides = {1, 1},
                                .dilations = {1, 1},
                                .pads = {1, 1, 1, 1},
                                .output = {HEIGHT, WIDTH}};
    const struct pbitc_window window = {.spatial_rank = 2,
                                        .input = {1, HEIGHT, WIDTH},
                                        .output = {1, HEIGHT, WIDTH},
                                        .kernel = {1, 3, 3},
                                        .stride = {1, 1, 1},
                                        .dilation = {1, 1, 1},
                                        .pad_begin = {0, 1, 1},
                                        .pad_end = {0, 1, 1},
                                        .input_size = SIZE,
                                        .output_size = SIZE,
                                        .kernel_size = 9};
    static float x[CHANNELS * SIZE], w[2 * CHANNELS * 9], y[2 * SIZE];
    int64_t offsets[CHANNELS * 9];
    struct pbitc_direct_convolution plan;
    fill_random(x, CHANNELS * SIZE);
    fill_random(w, 2 * CHANNELS * 9);
    ck_assert(pbitc_direct_convolution_plan(&window, CHANNELS, 2, &plan));
    ck_assert_int_gt(plan.blocks, 1);
    ck_assert_int_ne(HEIGHT % plan.lines, 0);
    float *scratch = malloc(plan.scratch_floats * sizeof(*scratch));
    pbitc_direct_convolution_offsets(&plan, offsets);
    for (int64_t block = 0; block < plan.blocks; block++) {
        for (size_t i = 0; i < plan.scratch_floats; i++)
            scratch[i] = NAN;
        pbitc_direct_convolution_run(&plan, offsets, block, x, w, NULL, y, scratch);
    }
    free(scratch);
    for (int64_t i = 0; i < 2 * SIZE; i++)
        ck_assert_double_eq_tol((double)y[i],
                                naive_conv(&k, x, w, 0, i / SIZE, i / WIDTH % HEIGHT, i % WIDTH), 1e-4);
}
END_TEST

/// ConvTranspose is the adjoint of Conv: <Conv(x, w), y> = <x, ConvTranspose(y, w)>.
START_TEST(conv_transpose_is_the_adjoint_of_conv)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct conv_case k = round % 5 ? random_conv() : random_dense_conv();
        struct node_case c = case_create("ConvTranspose");
        int64_t channels = k.groups * k.channels, outputs = k.groups * k.outputs, extra[2];
        struct pbitc_shape small = SHAPE(k.images, outputs, k.output[0], k.output[1]);
        struct pbitc_shape weights = SHAPE(outputs, k.channels, k.kernel[0], k.kernel[1]);
        float *y = case_input(&c, PBITC_FLOAT32, small), *w = case_constant(&c, PBITC_FLOAT32, weights);
        fill_random(y, pbitc_shape_elements(&small));
        fill_random(w, pbitc_shape_elements(&weights));
        case_node(&c, 1);
        set_conv_attributes(&c, &k);
        for (int i = 0; i < 2; i++) // what the stride left over at the end
            extra[i] = k.input[i] + k.pads[i] + k.pads[i + 2] - (k.kernel[i] - 1) * k.dilations[i] - 1 -
                       (k.output[i] - 1) * k.strides[i];
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "output_padding", extra, 2));
        const struct pbitc_tensor *result = case_run(&c);
        assert_shape(result, PBITC_FLOAT32, SHAPE(k.images, channels, k.input[0], k.input[1]));
        int64_t elements = pbitc_shape_elements(&result->shape);
        float *x = malloc((size_t)elements * sizeof(*x));
        fill_random(x, elements);
        double left = 0, right = 0;
        for (int64_t i = 0; i < elements; i++)
            right += (double)x[i] * (double)((const float *)result->data)[i];
        for (int64_t i = 0; i < pbitc_shape_elements(&small); i++) {
            int64_t column = i % k.output[1], row = i / k.output[1] % k.output[0];
            int64_t plane = i / k.output[1] / k.output[0];
            left += (double)y[i] * naive_conv(&k, x, w, plane / outputs, plane % outputs, row, column);
        }
        ck_assert_double_eq_tol(left, right, 1e-4 * (1 + fabs(left)));
        free(x);
        case_destroy(&c);
    }
}
END_TEST

/// Runs the same ConvTranspose of a random shape in float and in double.
START_TEST(conv_transpose_is_the_same_in_double)
{
    enum { ELEMENTS = 2 * 4 * 5 * 5 * 5 + 4 * 3 * 4 * 4 * 4 + 12 };
    for (int round = 0; round < ROUNDS; round++) {
        int dimensions = (int)random_between(1, 3);
        int64_t groups = random_between(1, 4), strides[3], dilations[3], pads[6] = {0};
        groups = groups == 3 ? 4 : groups;
        struct pbitc_shape in = {2 + dimensions, {2, 4}},
                           weights = {2 + dimensions, {4, random_between(1, 3)}};
        for (int i = 0; i < dimensions; i++) {
            in.dims[2 + i] = random_between(1, 5);
            weights.dims[2 + i] = random_between(1, 4);
            strides[i] = random_between(1, 5);
            dilations[i] = random_between(1, 4);
            pads[i] = random_between(0, (weights.dims[2 + i] - 1) * dilations[i]) / 2;
            pads[dimensions + i] = pads[i] ? random_between(0, pads[i]) : 0;
        }
        int64_t sizes[3] = {pbitc_shape_elements(&in), pbitc_shape_elements(&weights),
                            weights.dims[1] * groups};
        float values[ELEMENTS];
        fill_random(values, sizes[0] + sizes[1] + sizes[2]);
        struct node_case cases[2] = {case_create("ConvTranspose"), case_create("ConvTranspose")};
        const struct pbitc_tensor *results[2];
        for (int wide = 0; wide < 2; wide++) {
            struct node_case *c = &cases[wide];
            enum pbitc_type type = wide ? PBITC_FLOAT64 : PBITC_FLOAT32;
            void *data[3] = {case_input(c, type, in), case_constant(c, type, weights),
                             case_constant(c, type, SHAPE(sizes[2]))};
            const float *from = values;
            for (int i = 0; i < 3; from += sizes[i++])
                pbitc_convert(type, data[i], PBITC_FLOAT32, from, sizes[i]);
            case_node(c, 1);
            ck_assert(pbitc_node_set_int(c->graph, c->node, "group", groups));
            ck_assert(pbitc_node_set_ints(c->graph, c->node, "strides", strides, (size_t)dimensions));
            ck_assert(pbitc_node_set_ints(c->graph, c->node, "dilations", dilations, (size_t)dimensions));
            ck_assert(pbitc_node_set_ints(c->graph, c->node, "pads", pads, 2 * (size_t)dimensions));
            results[wide] = case_run(c);
        }
        ck_assert(pbitc_shape_equal(&results[0]->shape, &results[1]->shape));
        for (int64_t i = 0; i < pbitc_shape_elements(&results[0]->shape); i++)
            ck_assert_double_eq_tol((double)((const float *)results[0]->data)[i],
                                    ((const double *)results[1]->data)[i], 1e-5);
        case_destroy(&cases[0]);
        case_destroy(&cases[1]);
    }
}
END_TEST

START_TEST(conv_pads_by_itself)
{
    static const struct {
        const char *auto_pad;
        int64_t length;
        float expected[5];
    } cases[] = {
        {"SAME_UPPER", 5, {3, 5, 7, 9, 5}}, {"SAME_LOWER", 5, {1, 3, 5, 7, 9}}, {"VALID", 4, {3, 5, 7, 9}}};
    for (size_t i = 0; i < 3; i++) {
        struct node_case c = case_create("Conv");
        float *x = case_input(&c, PBITC_FLOAT32, SHAPE(1, 1, 5));
        float *w = case_constant(&c, PBITC_FLOAT32, SHAPE(1, 1, 2));
        for (int j = 0; j < 5; j++)
            x[j] = (float)(j + 1);
        w[0] = w[1] = 1;
        case_node(&c, 1);
        ck_assert(pbitc_node_set_string(c.graph, c.node, "auto_pad", cases[i].auto_pad));
        assert_floats(case_run(&c), cases[i].expected, cases[i].length);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(gemm_agrees_with_its_definition)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t m = random_between(1, 20), n = random_between(1, 20), k = random_between(1, 70);
        bool turn_a = random_between(0, 1), turn_b = random_between(0, 1);
        struct node_case c = case_create("Gemm");
        float *a = case_input(&c, PBITC_FLOAT32, turn_a ? SHAPE(k, m) : SHAPE(m, k));
        float *b = case_input(&c, PBITC_FLOAT32, turn_b ? SHAPE(n, k) : SHAPE(k, n));
        float *bias = case_constant(&c, PBITC_FLOAT32, SHAPE(m, 1));
        fill_random(a, m * k);
        fill_random(b, n * k);
        fill_random(bias, m);
        case_node(&c, 1);
        ck_assert(pbitc_node_set_int(c.graph, c.node, "transA", turn_a));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "transB", turn_b));
        ck_assert(pbitc_node_set_float(c.graph, c.node, "alpha", 0.5f));
        ck_assert(pbitc_node_set_float(c.graph, c.node, "beta", 2));
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_FLOAT32, SHAPE(m, n));
        for (int64_t i = 0; i < m * n; i++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++)
                sum += (double)a[turn_a ? j * m + i / n : i / n * k + j] *
                       (double)b[turn_b ? i % n * k + j : j * n + i % n];
            ck_assert_double_eq_tol((double)((const float *)y->data)[i], 0.5 * sum + 2 * (double)bias[i / n],
                                    1e-5);
        }
        case_destroy(&c);
    }
}
END_TEST

START_TEST(gemm_of_integers_refuses_fractions)
{
    struct node_case c = case_create("Gemm");
    int64_t *a = case_input(&c, PBITC_INT64, SHAPE(1, 2)), *b = case_input(&c, PBITC_INT64, SHAPE(2, 1));
    a[0] = 3, a[1] = -4, b[0] = 5, b[1] = 6;
    case_node(&c, 1);
    assert_integers(case_run(&c), (const int64_t[]){-9}, 1);
    ck_assert(pbitc_node_set_float(c.graph, c.node, "alpha", 0.5f));
    pbitc_interpreter_destroy(c.interpreter);
    c.interpreter = NULL;
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(case_message(&c), "alpha = 0.5"));
    case_destroy(&c);
}
END_TEST

START_TEST(matmul_broadcasts_stacks)
{
    for (int round = 0; round < ROUNDS; round++) {
        int64_t p = random_between(1, 3), q = random_between(1, 3);
        int64_t m = random_between(1, 10), k = random_between(1, 40), n = random_between(1, 10);
        bool wide_a = random_between(0, 1), wide_b = random_between(0, 1); // else the stack dimension p is 1
        struct node_case c = case_create("MatMul");
        float *a = case_input(&c, PBITC_FLOAT32, SHAPE(wide_a ? p : 1, q, m, k));
        float *b = case_input(&c, PBITC_FLOAT32, SHAPE(wide_b ? p : 1, 1, k, n));
        fill_random(a, (wide_a ? p : 1) * q * m * k);
        fill_random(b, (wide_b ? p : 1) * k * n);
        case_node(&c, 1);
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_FLOAT32, SHAPE(wide_a || wide_b ? p : 1, q, m, n));
        for (int64_t i = 0; i < pbitc_shape_elements(&y->shape); i++) {
            int64_t column = i % n, row = i / n % m, stack = i / n / m;
            int64_t from_a = wide_a ? stack : stack % q, from_b = wide_b ? stack / q : 0;
            double sum = 0;
            for (int64_t j = 0; j < k; j++)
                sum += (double)a[(from_a * m + row) * k + j] * (double)b[(from_b * k + j) * n + column];
            ck_assert_double_eq_tol((double)((const float *)y->data)[i], sum, 1e-5);
        }
        case_destroy(&c);
    }
}
END_TEST

START_TEST(matmul_of_vectors)
{
    struct node_case c = case_create("MatMul");
    float *a = case_input(&c, PBITC_FLOAT32, SHAPE(3)), *b = case_input(&c, PBITC_FLOAT32, SHAPE(3));
    for (int i = 0; i < 3; i++)
        a[i] = b[i] = (float)(i + 1);
    case_node(&c, 1);
    const struct pbitc_tensor *y = case_run(&c);
    assert_shape(y, PBITC_FLOAT32, scalar);
    assert_floats(y, (const float[]){14}, 1);
    case_destroy(&c);
}
END_TEST

/// The bits for one image must not depend on the batch around it or on the number of threads.
static void assert_batch_invariant(const char *op, struct pbitc_shape image, struct pbitc_shape weights)
{
    enum { BATCH = 37 };
    struct pbitc_shape batch = image;
    batch.dims[0] = BATCH;
    int64_t size = pbitc_shape_elements(&image);
    struct node_case whole = case_create(op), single = case_create(op);
    float *all = case_input(&whole, PBITC_FLOAT32, batch), *one = case_input(&single, PBITC_FLOAT32, image);
    float *w = case_constant(&whole, PBITC_FLOAT32, weights);
    fill_random(all, BATCH * size);
    fill_random(w, pbitc_shape_elements(&weights));
    memcpy(case_constant(&single, PBITC_FLOAT32, weights), w,
           (size_t)pbitc_shape_elements(&weights) * sizeof(*w));
    case_node(&whole, 1);
    case_node(&single, 1);
    const float *expected = case_run(&whole)->data;
    for (int i = 0; i < BATCH; i++) {
        memcpy(one, all + i * size, (size_t)size * sizeof(*one));
        ck_assert_int_eq(case_try(&single, 1), PBIT_OK);
        const struct pbitc_tensor *y = case_output(&single, 0);
        int64_t elements = pbitc_shape_elements(&y->shape);
        ck_assert_msg(memcmp(y->data, expected + i * elements, (size_t)elements * sizeof(float)) == 0,
                      "%s: image %d of a batch has other bits than alone", op, i);
    }
    case_destroy(&whole);
    case_destroy(&single);
}

START_TEST(results_do_not_depend_on_the_batch)
{
    assert_batch_invariant("MatMul", SHAPE(1, 784), SHAPE(784, 128));
    assert_batch_invariant("MatMul", SHAPE(1, 128), SHAPE(128, 10));
    assert_batch_invariant("MatMul", SHAPE(1, 1000), SHAPE(1000, 333));
    assert_batch_invariant("Gemm", SHAPE(1, 4096), SHAPE(4096, 17));
    assert_batch_invariant("Conv", SHAPE(1, 5, 17, 19), SHAPE(33, 5, 3, 3));
    assert_batch_invariant("Conv", SHAPE(1, 64, 40, 40), SHAPE(24, 64, 3, 3));
    assert_batch_invariant("Conv", SHAPE(1, 130, 7, 7), SHAPE(70, 130, 1, 1));
}
END_TEST

START_TEST(pools_agree_with_their_definition)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool average = random_between(0, 1), padding = random_between(0, 1);
        int64_t height = random_between(4, 9), width = random_between(4, 9);
        int64_t kernel[2] = {random_between(2, 3), random_between(2, 4)};
        int64_t strides[2] = {random_between(1, 3), random_between(1, 3)}, pads[4] = {1, 0, 1, 1};
        struct node_case c = case_create(average ? "AveragePool" : "MaxPool");
        float *x = case_input(&c, PBITC_FLOAT32, SHAPE(2, 3, height, width));
        fill_random(x, 6 * height * width);
        case_node(&c, 1);
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "kernel_shape", kernel, 2));
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "strides", strides, 2));
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "pads", pads, 4));
        if (average)
            ck_assert(pbitc_node_set_int(c.graph, c.node, "count_include_pad", padding));
        int64_t rows = (height + 2 - kernel[0]) / strides[0] + 1,
                columns = (width + 1 - kernel[1]) / strides[1] + 1;
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_FLOAT32, SHAPE(2, 3, rows, columns));
        for (int64_t i = 0; i < 6 * rows * columns; i++) {
            double best = -INFINITY, sum = 0;
            int64_t count = 0;
            for (int64_t k = 0; k < kernel[0] * kernel[1]; k++) {
                int64_t row = i / columns % rows * strides[0] - 1 + k / kernel[1];
                int64_t column = i % columns * strides[1] + k % kernel[1];
                if (row < 0 || row >= height || column >= width)
                    continue;
                double value = (double)x[(i / columns / rows * height + row) * width + column];
                best = value > best ? value : best;
                sum += value;
                count++;
            }
            double mean = sum / (double)(padding ? kernel[0] * kernel[1] : count);
            ck_assert_double_eq_tol((double)((const float *)y->data)[i], average ? mean : best, 1e-6);
        }
        case_destroy(&c);
    }
}
END_TEST

START_TEST(pools_with_ceil_mode)
{
    // 5 wide, kernel 3, stride 2, padding 1 in front: windows start at -1, 1 and, partial, 3.
    static const float largest[] = {2, 4, 5}, mean[] = {1.5f, 3, 4.5f}, padded_mean[] = {1, 3, 4.5f};
    for (int i = 0; i < 3; i++) {
        struct node_case c = case_create(i == 0 ? "MaxPool" : "AveragePool");
        float *x = case_input(&c, PBITC_FLOAT32, SHAPE(1, 1, 5));
        for (int j = 0; j < 5; j++)
            x[j] = (float)(j + 1);
        case_node(&c, 1);
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "kernel_shape", (const int64_t[]){3}, 1));
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "strides", (const int64_t[]){2}, 1));
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "pads", (const int64_t[]){1, 0}, 2));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "ceil_mode", 1));
        if (i == 2)
            ck_assert(pbitc_node_set_int(c.graph, c.node, "count_include_pad", 1));
        assert_floats(case_run(&c), i == 0 ? largest : i == 1 ? mean : padded_mean, 3);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(max_pool_tells_where)
{
    for (int64_t order = 0; order < 2; order++) {
        struct node_case c = case_create("MaxPool");
        float *x = case_input(&c, PBITC_FLOAT32, SHAPE(1, 2, 2, 3));
        memcpy(x, (const float[]){1, 5, 2, 3, 4, 0, 9, 1, 1, 1, 1, 2}, 12 * sizeof(float));
        case_node(&c, 2);
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "kernel_shape", (const int64_t[]){2, 3}, 2));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "storage_order", order));
        assert_floats(case_run(&c), (const float[]){5, 9}, 2);
        assert_integers(case_output(&c, 1), order ? (const int64_t[]){2, 6} : (const int64_t[]){1, 6}, 2);
        case_destroy(&c);
    }
}
END_TEST

/// Where a broadcast operand is read for one position of the result.
static int64_t broadcast_index(const struct pbitc_shape *result, const struct pbitc_shape *operand,
                               int64_t position)
{
    int64_t index = 0, stride = 1;
    for (int i = 1; i <= result->rank; i++) {
        int64_t extent = result->dims[result->rank - i];
        int64_t own = i <= operand->rank ? operand->dims[operand->rank - i] : 1;
        index += own == 1 ? 0 : position % extent * stride;
        stride *= own;
        position /= extent;
    }
    return index;
}

/// Some dimensions of `shape` become 1, some leading ones go.
static struct pbitc_shape random_operand(const struct pbitc_shape *shape)
{
    struct pbitc_shape operand = {.rank = 0};
    for (int i = (int)random_between(0, shape->rank); i < shape->rank; i++)
        operand.dims[operand.rank++] = random_between(0, 2) ? shape->dims[i] : 1;
    return operand;
}

static double arithmetic(const char *op, double x, double y)
{
    switch (op[0]) {
    case 'A':
        return x + y;
    case 'S':
        return x - y;
    case 'M':
        return op[1] == 'u' ? x * y : op[1] == 'i' ? fmin(x, y) : fmax(x, y);
    case 'D':
        return x / y;
    case 'L':
        return x < y;
    default:
        return x >= y;
    }
}

START_TEST(arithmetic_broadcasts)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Div", "Min", "Max", "Less", "GreaterOrEqual"};
    for (int round = 0; round < 8 * ROUNDS; round++) {
        const char *op = ops[round % 8];
        struct pbitc_shape full = random_shape(0, 5, 4), a = random_operand(&full), b = random_operand(&full);
        struct node_case c = case_create(op);
        float *x = case_input(&c, PBITC_FLOAT32, a), *y = case_input(&c, PBITC_FLOAT32, b);
        fill_random(x, pbitc_shape_elements(&a));
        fill_random(y, pbitc_shape_elements(&b));
        case_node(&c, 1);
        const struct pbitc_tensor *z = case_run(&c);
        for (int64_t i = 0; i < pbitc_shape_elements(&z->shape); i++) {
            double expected = arithmetic(op, (double)x[broadcast_index(&z->shape, &a, i)],
                                         (double)y[broadcast_index(&z->shape, &b, i)]);
            ck_assert_double_eq_tol(pbitc_real_at(z, i), expected, 1e-6 * (1 + fabs(expected)));
        }
        case_destroy(&c);
    }
}
END_TEST

static const struct pbitc_tensor *run_on_int32(struct node_case *c, const char *op, int32_t a, int32_t b)
{
    *c = case_create(op);
    *(int32_t *)case_input(c, PBITC_INT32, scalar) = a;
    *(int32_t *)case_input(c, PBITC_INT32, scalar) = b;
    case_node(c, 1);
    return case_try(c, 1) == PBIT_OK ? case_output(c, 0) : NULL;
}

START_TEST(integers_wrap_and_do_not_trap)
{
    static const struct {
        const char *op;
        int32_t a, b;
        int64_t expected;
    } cases[] = {{"Add", INT32_MAX, 1, INT32_MIN},
                 {"Mul", 1 << 20, 1 << 12, 0},
                 {"Div", INT32_MIN, -1, INT32_MIN},
                 {"Div", -7, 2, -3},
                 {"Mod", -7, 3, 2},
                 {"Mod", 7, -3, -2},
                 {"Mod", INT32_MIN, -1, 0},
                 {"Pow", 3, 4, 81},
                 {"Pow", 2, -1, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node_case c;
        const struct pbitc_tensor *y = run_on_int32(&c, cases[i].op, cases[i].a, cases[i].b);
        ck_assert_ptr_nonnull(y);
        assert_integers(y, &cases[i].expected, 1);
        case_destroy(&c);
    }
    struct node_case c;
    ck_assert_ptr_null(run_on_int32(&c, "Div", 1, 0));
    ck_assert_ptr_nonnull(strstr(case_message(&c), "by zero"));
    case_destroy(&c);
}
END_TEST

START_TEST(functions_of_one_number)
{
    static const struct {
        const char *op;
        float x, y;
    } cases[] = {{"Relu", -1, 0},
                 {"Relu", 2, 2},
                 {"Sigmoid", 0.5f, 0.62245933f},
                 {"Tanh", 0.5f, 0.46211716f},
                 {"LeakyRelu", -2, -0.02f},
                 {"Elu", -1, -0.63212056f},
                 {"Celu", -1, -0.63212056f},
                 {"Selu", -1, -1.1113307f},
                 {"Selu", 1, 1.050701f},
                 {"Softplus", 100, 100},
                 {"Softplus", 0, 0.6931472f},
                 {"Softsign", -3, -0.75f},
                 {"HardSigmoid", 1, 0.7f},
                 {"HardSigmoid", 9, 1},
                 {"HardSwish", 1, 0.6666667f},
                 {"HardSwish", -4, 0},
                 {"Swish", 1, 0.7310586f},
                 {"Gelu", 1, 0.8413447f},
                 {"Mish", 1, 0.8650984f},
                 {"Sign", -0.5f, -1},
                 {"ThresholdedRelu", 0.9f, 0},
                 {"ThresholdedRelu", 1.1f, 1.1f},
                 {"Sqrt", 2, 1.4142135f},
                 {"Exp", 1, 2.7182817f},
                 {"Log", 2, 0.6931472f},
                 {"Erf", 0.5f, 0.5204999f},
                 {"Floor", -1.5f, -2},
                 {"Ceil", -1.5f, -1},
                 {"Round", 2.5f, 2},
                 {"Round", -1.5f, -2},
                 {"Reciprocal", 4, 0.25f},
                 {"Abs", -3, 3},
                 {"Neg", 3, -3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node_case c = case_create(cases[i].op);
        *(float *)case_input(&c, PBITC_FLOAT32, scalar) = cases[i].x;
        case_node(&c, 1);
        float y = *(const float *)case_run(&c)->data;
        ck_assert_msg(fabsf(y - cases[i].y) < 1e-6f * (1 + fabsf(y)), "%s(%g) = %.9g, expected %.9g",
                      cases[i].op, (double)cases[i].x, (double)y, (double)cases[i].y);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(clip_takes_either_bound)
{
    static const float x[] = {-2, 0, 2}, low[] = {-1, 0, 2}, high[] = {-2, 0, 1}, both[] = {-1, 0, 1};
    static const float *const expected[] = {x, low, high, both};
    for (int bounds = 0; bounds < 4; bounds++) {
        struct node_case c = case_create("Clip");
        memcpy(case_input(&c, PBITC_FLOAT32, SHAPE(3)), x, sizeof(x));
        if (bounds & 1)
            *(float *)case_constant(&c, PBITC_FLOAT32, scalar) = -1;
        else
            case_omit(&c);
        if (bounds & 2)
            *(float *)case_constant(&c, PBITC_FLOAT32, scalar) = 1;
        else
            case_omit(&c);
        case_node(&c, 1);
        assert_floats(case_run(&c), expected[bounds], 3);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(reductions_agree_with_their_definition)
{
    static const char *const ops[] = {"ReduceSum", "ReduceMean", "ReduceMax",
                                      "ReduceMin", "ReduceL1",   "ReduceL2"};
    for (int round = 0; round < 6 * ROUNDS; round++) {
        int which = round % 6;
        struct pbitc_shape shape = random_shape(1, 4, 5), kept = shape;
        int64_t axes[PBITC_MAX_RANK], count = 0;
        for (int i = 0; i < shape.rank; i++)
            if (random_between(0, 1)) {
                axes[count++] = random_between(0, 1) ? i : i - shape.rank;
                kept.dims[i] = 1;
            }
        if (count == 0)
            continue;
        struct node_case c = case_create(ops[which]);
        float *x = case_input(&c, PBITC_FLOAT32, shape);
        int64_t elements = pbitc_shape_elements(&shape), groups = pbitc_shape_elements(&kept);
        fill_random(x, elements);
        case_list(&c, axes, count);
        case_node(&c, 1);
        double expected[625];
        for (int64_t i = 0; i < groups; i++)
            expected[i] = which == 2 ? -INFINITY : which == 3 ? INFINITY : 0;
        for (int64_t i = 0; i < elements; i++) {
            double *e = &expected[broadcast_index(&shape, &kept, i)], v = (double)x[i];
            *e = which == 2   ? fmax(*e, v)
                 : which == 3 ? fmin(*e, v)
                              : *e + (which == 4   ? fabs(v)
                                      : which == 5 ? v * v
                                                   : v);
        }
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_FLOAT32, kept);
        for (int64_t i = 0; i < groups; i++) {
            double e = which == 1 ? expected[i] * (double)groups / (double)elements : expected[i];
            ck_assert_double_eq_tol(pbitc_real_at(y, i), which == 5 ? sqrt(e) : e, 1e-5);
        }
        case_destroy(&c);
    }
}
END_TEST

START_TEST(reduction_without_axes)
{
    for (int64_t noop = 0; noop < 2; noop++) {
        struct node_case c = case_create("ReduceSum");
        int64_t *x = case_input(&c, PBITC_INT64, SHAPE(2, 2));
        for (int i = 0; i < 4; i++)
            x[i] = i + 1;
        case_node(&c, 1);
        ck_assert(pbitc_node_set_int(c.graph, c.node, "noop_with_empty_axes", noop));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "keepdims", 0));
        assert_integers(case_run(&c), noop ? (const int64_t[]){1, 2, 3, 4} : (const int64_t[]){10},
                        noop ? 4 : 1);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(softmax_new_and_legacy)
{
    for (int64_t legacy = 0; legacy < 2; legacy++) {
        struct node_case c = case_create("Softmax");
        float *x = case_input(&c, PBITC_FLOAT32, SHAPE(2, 3, 4));
        fill_random(x, 24);
        case_node(&c, 1);
        ck_assert(pbitc_node_set_int(c.graph, c.node, "axis", 1));
        ck_assert(pbitc_node_set_int(c.graph, c.node, "legacy", legacy));
        const float *y = case_run(&c)->data;
        for (int i = 0; i < 24; i++) {
            double sum = 0;
            for (int j = 0; j < 24; j++) // legacy: all of the image; else the 3 elements along axis 1
                if (j / 12 == i / 12 && (legacy || j % 4 == i % 4))
                    sum += exp((double)x[j]);
            ck_assert_double_eq_tol((double)y[i], exp((double)x[i]) / sum, 1e-6);
        }
        case_destroy(&c);
    }
}
END_TEST

START_TEST(layer_normalization_gives_statistics)
{
    struct node_case c = case_create("LayerNormalization");
    memcpy(case_input(&c, PBITC_FLOAT32, SHAPE(1, 4)), (const float[]){1, 2, 3, 6}, 4 * sizeof(float));
    memcpy(case_constant(&c, PBITC_FLOAT32, SHAPE(4)), (const float[]){1, 1, 2, 1}, 4 * sizeof(float));
    memcpy(case_constant(&c, PBITC_FLOAT32, SHAPE(4)), (const float[]){0, 1, 0, 0}, 4 * sizeof(float));
    case_node(&c, 3);
    ck_assert(pbitc_node_set_float(c.graph, c.node, "epsilon", 0.5f)); // variance 3.5: a deviation of 2
    assert_floats(case_run(&c), (const float[]){-1, 0.5f, 0, 1.5f}, 4);
    assert_floats(case_output(&c, 1), (const float[]){3}, 1);
    assert_floats(case_output(&c, 2), (const float[]){0.5f}, 1);
    case_destroy(&c);
}
END_TEST

START_TEST(batch_normalization_in_training)
{
    struct node_case c = case_create("BatchNormalization");
    memcpy(case_input(&c, PBITC_FLOAT32, SHAPE(1, 2, 1)), (const float[]){5, 6}, 2 * sizeof(float));
    for (int i = 0; i < 4; i++) // scale, shift, mean, variance
        memcpy(case_constant(&c, PBITC_FLOAT32, SHAPE(2)),
               (const float[][2]){{2, 1}, {1, 0}, {1, 2}, {3, 8}}[i], 2 * sizeof(float));
    case_node(&c, 1);
    ck_assert(pbitc_node_set_float(c.graph, c.node, "epsilon", 1));
    assert_floats(case_run(&c), (const float[]){5, 4.0f / 3}, 2);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "training_mode", 1));
    pbitc_interpreter_destroy(c.interpreter);
    c.interpreter = NULL;
    // Two channels of one element: means 5 and 6, variances 0.
    assert_floats(case_run(&c), (const float[]){1, 0}, 2);
    case_destroy(&c);
}
END_TEST

START_TEST(transpose_moves_every_element)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct pbitc_shape shape = random_shape(1, 5, 4), turned = {.rank = shape.rank};
        int64_t permutation[PBITC_MAX_RANK];
        for (int i = 0; i < shape.rank; i++) { // inside-out shuffle
            int64_t j = random_between(0, i);
            permutation[i] = permutation[j];
            permutation[j] = i;
        }
        for (int i = 0; i < shape.rank; i++)
            turned.dims[i] = shape.dims[permutation[i]];
        struct node_case c = case_create("Transpose");
        uint16_t *x = case_input(&c, PBITC_UINT16, shape);
        for (int64_t i = 0; i < pbitc_shape_elements(&shape); i++)
            x[i] = (uint16_t)i;
        case_node(&c, 1);
        ck_assert(pbitc_node_set_ints(c.graph, c.node, "perm", permutation, (size_t)shape.rank));
        const struct pbitc_tensor *y = case_run(&c);
        assert_shape(y, PBITC_UINT16, turned);
        int64_t strides[PBITC_MAX_RANK];
        pbitc_strides(&shape, strides);
        for (int64_t i = 0; i < pbitc_shape_elements(&turned); i++) {
            int64_t rest = i, source = 0;
            for (int d = turned.rank - 1; d >= 0; rest /= turned.dims[d--])
                source += rest % turned.dims[d] * strides[permutation[d]];
            ck_assert_int_eq(((const uint16_t *)y->data)[i], source);
        }
        case_destroy(&c);
    }
}
END_TEST

/// x = 0, 1, 2, ... of the shape, as int64.
static void count_up(struct node_case *c, struct pbitc_shape shape)
{
    int64_t *x = case_input(c, PBITC_INT64, shape);
    for (int64_t i = 0; i < pbitc_shape_elements(&shape); i++)
        x[i] = i;
}

START_TEST(slice_clamps_and_steps_back)
{
    static const struct {
        int64_t start, end, step, expected[5], count;
    } cases[] = {
        {1, 4, 1, {1, 2, 3}, 3},           {-2, INT64_MAX, 1, {3, 4}, 2},       {0, 5, 2, {0, 2, 4}, 3},
        {-1, INT64_MIN, -2, {4, 2, 0}, 3}, {100, -100, -1, {4, 3, 2, 1, 0}, 5}, {3, 1, 1, {0}, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node_case c = case_create("Slice");
        count_up(&c, SHAPE(1, 5));
        LIST(&c, cases[i].start);
        LIST(&c, cases[i].end);
        LIST(&c, -1);
        LIST(&c, cases[i].step);
        case_node(&c, 1);
        assert_integers(case_run(&c), cases[i].expected, cases[i].count);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(pad_in_all_modes)
{
    static const struct {
        const char *mode;
        int64_t expected[8];
    } cases[] = {{"constant", {7, 7, 0, 1, 2, 7, 7, 7}},
                 {"reflect", {2, 1, 0, 1, 2, 1, 0, 1}},
                 {"edge", {0, 0, 0, 1, 2, 2, 2, 2}},
                 {"wrap", {1, 2, 0, 1, 2, 0, 1, 2}}};
    for (size_t i = 0; i < 4; i++) {
        struct node_case c = case_create("Pad");
        count_up(&c, SHAPE(1, 3));
        LIST(&c, 2, 3);
        *(int64_t *)case_constant(&c, PBITC_INT64, scalar) = 7;
        LIST(&c, -1);
        case_node(&c, 1);
        ck_assert(pbitc_node_set_string(c.graph, c.node, "mode", cases[i].mode));
        assert_integers(case_run(&c), cases[i].expected, 8);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(gather_concat_split_expand_tile)
{
    struct node_case c = case_create("Gather");
    count_up(&c, SHAPE(2, 3));
    LIST(&c, -1, 0);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "axis", 1));
    assert_integers(case_run(&c), (const int64_t[]){2, 0, 5, 3}, 4);
    case_destroy(&c);

    c = case_create("Concat");
    count_up(&c, SHAPE(2, 1));
    count_up(&c, SHAPE(2, 2));
    case_node(&c, 1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "axis", -1));
    assert_integers(case_run(&c), (const int64_t[]){0, 0, 1, 1, 2, 3}, 6);
    case_destroy(&c);

    c = case_create("Split");
    count_up(&c, SHAPE(2, 3));
    case_node(&c, 2);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "axis", 1));
    assert_integers(case_run(&c), (const int64_t[]){0, 1, 3, 4}, 4);
    assert_integers(case_output(&c, 1), (const int64_t[]){2, 5}, 2);
    case_destroy(&c);

    c = case_create("Expand");
    count_up(&c, SHAPE(2, 1));
    LIST(&c, 2, 1, 2);
    case_node(&c, 1);
    assert_integers(case_run(&c), (const int64_t[]){0, 0, 1, 1, 0, 0, 1, 1}, 8);
    case_destroy(&c);

    c = case_create("Tile");
    count_up(&c, SHAPE(1, 2));
    LIST(&c, 2, 2);
    case_node(&c, 1);
    assert_integers(case_run(&c), (const int64_t[]){0, 1, 0, 1, 0, 1, 0, 1}, 8);
    case_destroy(&c);
}
END_TEST

START_TEST(gather_refuses_an_index_outside)
{
    struct node_case c = case_create("Gather");
    count_up(&c, SHAPE(3));
    *(int64_t *)case_input(&c, PBITC_INT64, SHAPE(1)) = 3;
    case_node(&c, 1);
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    ck_assert_str_eq(case_message(&c), "index 3 is outside a dimension of 3");
    case_destroy(&c);
}
END_TEST

START_TEST(reshape_keeps_and_computes_dimensions)
{
    struct node_case c = case_create("Reshape");
    count_up(&c, SHAPE(2, 3, 4));
    LIST(&c, 0, -1, 2);
    case_node(&c, 1);
    assert_shape(case_run(&c), PBITC_INT64, SHAPE(2, 6, 2));
    ck_assert_ptr_ne(case_output(&c, 0)->data, c.inputs[0].data); // the caller may change his input
    case_destroy(&c);

    c = case_create("Reshape");
    count_up(&c, SHAPE(2, 3, 4));
    LIST(&c, 5, -1);
    case_node(&c, 1);
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    ck_assert_str_eq(case_message(&c), "2x3x4 cannot be reshaped to 5x-1");
    case_destroy(&c);
}
END_TEST

START_TEST(reshape_by_the_data)
{
    struct node_case c = case_create("Reshape");
    count_up(&c, SHAPE(4));
    *(int64_t *)case_input(&c, PBITC_INT64, SHAPE(1)) = 4;
    case_node(&c, 1);
    assert_shape(case_run(&c), PBITC_INT64, SHAPE(4));
    case_destroy(&c);
}
END_TEST

START_TEST(cubic_resize_of_integers_is_refused)
{
    struct node_case c = case_create("Resize");
    case_input(&c, PBITC_UINT8, (struct pbitc_shape){4, {1, 1, 4, 4}});
    case_omit(&c);
    case_omit(&c);
    LIST(&c, 1, 1, 8, 8);
    case_node(&c, 1);
    ck_assert(pbitc_node_set_string(c.graph, c.node, "mode", "cubic"));
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_str_eq(case_message(&c), "cubic interpolation of uint8 overshoots");
    case_destroy(&c);
}
END_TEST

START_TEST(cast_saturates_and_rounds)
{
    static const struct {
        float x;
        enum pbitc_type to;
        double expected;
    } cases[] = {{-1.9f, PBITC_INT32, -1},
                 {300, PBITC_UINT8, 255},
                 {-1, PBITC_UINT8, 0},
                 {NAN, PBITC_INT64, 0},
                 {1e30f, PBITC_INT64, 0x1p63},
                 {0.5f, PBITC_BOOL, 1},
                 {65519, PBITC_FLOAT16, 65504},
                 {65520, PBITC_FLOAT16, INFINITY},
                 {2049, PBITC_FLOAT16, 2048},
                 {2051, PBITC_FLOAT16, 2052},
                 {0x1.8p-24f, PBITC_FLOAT16, 0x1p-23},
                 {0x1p-25f, PBITC_FLOAT16, 0},
                 {257, PBITC_BFLOAT16, 256},
                 {259, PBITC_BFLOAT16, 260}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct node_case c = case_create("Cast");
        *(float *)case_input(&c, PBITC_FLOAT32, scalar) = cases[i].x;
        case_node(&c, 1);
        ck_assert(pbitc_node_set_int(c.graph, c.node, "to", cases[i].to));
        const struct pbitc_tensor *y = case_run(&c);
        ck_assert_int_eq(y->type, cases[i].to);
        ck_assert_double_eq(pbitc_real_at(y, 0), cases[i].expected);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(halves_survive_the_way_to_float_and_back)
{
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        uint16_t half = (uint16_t)bits, back;
        float wide;
        if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff))
            continue; // NaN
        pbitc_convert(PBITC_FLOAT32, &wide, PBITC_FLOAT16, &half, 1);
        pbitc_convert(PBITC_FLOAT16, &back, PBITC_FLOAT32, &wide, 1);
        ck_assert_uint_eq(back, half);
    }
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    struct node_case c = case_create("ConstantOfShape");
    LIST(&c, INT64_MAX, 4);
    case_node(&c, 1);
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(case_message(&c), "too large"));
    case_destroy(&c);
}
END_TEST

START_TEST(undefined_attribute_values_are_named)
{
    static const struct {
        const char *op, *attribute, *value, *message;
    } cases[] = {{"Conv", "auto_pad", "SOME", "auto_pad = \"SOME\" is not defined"},
                 {"Gelu", "approximate", "sin", "approximate = \"sin\" is neither \"none\" nor \"tanh\""},
                 {"DepthToSpace", "mode", "XYZ", "mode = \"XYZ\" is not defined"}};
    for (size_t i = 0; i < 3; i++) {
        struct node_case c = case_create(cases[i].op);
        case_input(&c, PBITC_FLOAT32, SHAPE(1, 4, 4, 4));
        if (i == 0)
            case_constant(&c, PBITC_FLOAT32, SHAPE(1, 4, 1, 1));
        case_node(&c, 1);
        ck_assert(pbitc_node_set_int(c.graph, c.node, "blocksize", 2));
        ck_assert(pbitc_node_set_string(c.graph, c.node, cases[i].attribute, cases[i].value));
        ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
        ck_assert_str_eq(case_message(&c), cases[i].message);
        case_destroy(&c);
    }
}
END_TEST

static TCase *products(void)
{
    TCase *tcase = tcase_create("products");
    tcase_add_test(tcase, conv_agrees_with_its_definition);
    tcase_add_test(tcase, conv_blocks_need_no_other);
    tcase_add_test(tcase, conv_transpose_is_the_adjoint_of_conv);
    tcase_add_test(tcase, conv_transpose_is_the_same_in_double);
    tcase_add_test(tcase, conv_pads_by_itself);
    tcase_add_test(tcase, gemm_agrees_with_its_definition);
    tcase_add_test(tcase, gemm_of_integers_refuses_fractions);
    tcase_add_test(tcase, matmul_broadcasts_stacks);
    tcase_add_test(tcase, matmul_of_vectors);
    tcase_add_test(tcase, results_do_not_depend_on_the_batch);
    return tcase;
}

static TCase *windows_and_reductions(void)
{
    TCase *tcase = tcase_create("windows and reductions");
    tcase_add_test(tcase, pools_agree_with_their_definition);
    tcase_add_test(tcase, pools_with_ceil_mode);
    tcase_add_test(tcase, max_pool_tells_where);
    tcase_add_test(tcase, reductions_agree_with_their_definition);
    tcase_add_test(tcase, reduction_without_axes);
    tcase_add_test(tcase, softmax_new_and_legacy);
    tcase_add_test(tcase, layer_normalization_gives_statistics);
    tcase_add_test(tcase, batch_normalization_in_training);
    return tcase;
}

static TCase *elements(void)
{
    TCase *tcase = tcase_create("elements");
    tcase_add_test(tcase, table_finds_every_operator);
    tcase_add_test(tcase, arithmetic_broadcasts);
    tcase_add_test(tcase, integers_wrap_and_do_not_trap);
    tcase_add_test(tcase, functions_of_one_number);
    tcase_add_test(tcase, clip_takes_either_bound);
    tcase_add_test(tcase, cubic_resize_of_integers_is_refused);
    tcase_add_test(tcase, cast_saturates_and_rounds);
    tcase_add_test(tcase, halves_survive_the_way_to_float_and_back);
    tcase_add_test(tcase, sizes_that_overflow_are_refused);
    tcase_add_test(tcase, undefined_attribute_values_are_named);
    return tcase;
}

static TCase *movement(void)
{
    TCase *tcase = tcase_create("movement");
    tcase_add_test(tcase, transpose_moves_every_element);
    tcase_add_test(tcase, slice_clamps_and_steps_back);
    tcase_add_test(tcase, pad_in_all_modes);
    tcase_add_test(tcase, gather_concat_split_expand_tile);
    tcase_add_test(tcase, gather_refuses_an_index_outside);
    tcase_add_test(tcase, reshape_keeps_and_computes_dimensions);
    tcase_add_test(tcase, reshape_by_the_data);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("operators");
    suite_add_tcase(suite, products());
    suite_add_tcase(suite, windows_and_reductions());
    suite_add_tcase(suite, elements());
    suite_add_tcase(suite, movement());
    return run_suite(suite);
}
