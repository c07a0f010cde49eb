// The float kernels give every element the bits of its own definition, whatever stands beside it. meson.build
// runs this once for each kind of processor.
#include "passes/operators/float_functions.h"
#include "passes/operators/float_product.h"
#include "passes/operators/processor.h"
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

#include <math.h>

enum { CASES = 300, MAX_SIDE = 70, MAX_DEPTH = 150, LANES = 16 };

static float *random_floats(int64_t count)
{
    float *floats = malloc((size_t)(count + 1) * sizeof(*floats));
    ck_assert_ptr_nonnull(floats);
    for (int64_t i = 0; i < count; i++)
        floats[i] = random_float();
    return floats;
}

/// The kernels' multiply and add.
static float multiply_add(float a, float b, float sum)
{
    return pbitc_processor() != PBIT_CPU_SCALAR ? fmaf(a, b, sum) : a * b + sum;
}

START_TEST(product_sums_in_order)
{
    for (int i = 0; i < CASES; i++) {
        int64_t rows = random_between(1, MAX_SIDE), columns = random_between(1, 3 * MAX_SIDE);
        int64_t depth = random_between(0, MAX_DEPTH), gap = random_between(0, 3);
        float *a = random_floats(rows * (depth + gap)), *b = random_floats(depth * columns);
        float *c = random_floats(rows * columns), *expected = malloc((size_t)(rows * columns) * sizeof(*c));
        int64_t *offsets = malloc((size_t)(depth + 1) * sizeof(*offsets));
        for (int64_t k = 0; k < depth; k++)
            offsets[k] = (depth - 1 - k) * columns; // any order
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < columns; j++) {
                float sum = c[r * columns + j];
                for (int64_t k = 0; k < depth; k++)
                    sum = multiply_add(a[r * (depth + gap) + k], b[offsets[k] + j], sum);
                expected[r * columns + j] = sum;
            }
        pbitc_multiply_add(rows, columns, depth, a, depth + gap, b, offsets, c, columns);
        ck_assert_mem_eq(c, expected, (size_t)(rows * columns) * sizeof(*c));
        free(offsets);
        free(expected);
        free(c);
        free(b);
        free(a);
    }
}
END_TEST

static float sixteen_sums(const float *a, const float *b, int64_t depth)
{
    float sums[LANES] = {0};
    for (int64_t k = 0; k < (depth + LANES - 1) / LANES * LANES; k++)
        sums[k % LANES] = multiply_add(k < depth ? a[k] : 0, k < depth ? b[k] : 0, sums[k % LANES]);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

START_TEST(transposed_product_has_sixteen_sums)
{
    for (int i = 0; i < CASES; i++) {
        int64_t rows = random_between(1, MAX_SIDE), columns = random_between(1, MAX_SIDE);
        int64_t depth = random_between(0, MAX_DEPTH);
        float *a = random_floats(rows * depth), *b = random_floats(columns * depth);
        float *c = random_floats(rows * columns);
        pbitc_multiply_transposed(rows, columns, depth, a, b, c, columns);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < columns; j++) {
                float expected = sixteen_sums(a + r * depth, b + j * depth, depth);
                ck_assert_mem_eq(&c[r * columns + j], &expected, sizeof(expected));
            }
        free(c);
        free(b);
        free(a);
    }
}
END_TEST

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static const struct {
    void (*floats)(int64_t count, const float *x, float *out);
    double (*exact)(double x);
    float low, high; ///< results between are normal numbers
    float at_infinity, at_minus_infinity;
} functions[] = {{pbitc_exp_floats, exp, -87, 88, INFINITY, 0},
                 {pbitc_tanh_floats, tanh, -100, 100, 1, -1},
                 {pbitc_sigmoid_floats, sigmoid, -87, 100, 1, 0}};

START_TEST(functions_are_exact_to_three_units)
{
    enum { COUNT = 4099, UNITS = 3 };
    static float x[COUNT], y[COUNT];
    for (int i = 0; i < COUNT; i++)
        x[i] = functions[_i].low + (functions[_i].high - functions[_i].low) * (float)i / COUNT;
    functions[_i].floats(COUNT, x, y);
    for (int i = 0; i < COUNT; i++) {
        double exact = functions[_i].exact((double)x[i]), unit = ldexp(1, ilogb(exact) - 23);
        ck_assert_double_le(fabs((double)y[i] - exact), UNITS * unit);
        float alone;
        functions[_i].floats(1, x + i, &alone);
        ck_assert_mem_eq(&alone, y + i, sizeof(alone));
    }
}
END_TEST

START_TEST(functions_at_the_ends)
{
    const float x[] = {INFINITY, -INFINITY, NAN};
    float y[3];
    functions[_i].floats(3, x, y);
    ck_assert_float_eq(y[0], functions[_i].at_infinity);
    ck_assert_float_eq(y[1], functions[_i].at_minus_infinity);
    ck_assert(isnan(y[2]));
}
END_TEST

int main(void)
{
    enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };
    Suite *suite = suite_create("float kernels");
    TCase *tests = tcase_create("float kernels");
    tcase_add_test(tests, product_sums_in_order);
    tcase_add_test(tests, transposed_product_has_sixteen_sums);
    tcase_add_loop_test(tests, functions_are_exact_to_three_units, 0, FUNCTIONS);
    tcase_add_loop_test(tests, functions_at_the_ends, 0, FUNCTIONS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
