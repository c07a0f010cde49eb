// Gemm and MatMul.
#include "passes/operators/operator_support.h"

#include "passes/operators/float_product.h"

#include <string.h>

/// C = A B for a stack of matrices, A [rows x depth], B [depth x columns], C [rows x columns].
struct product {
    enum pbitc_type type;
    int64_t rows, depth, columns;
    bool right_transposed; ///< B is stored [columns x depth]; float32 only
    const void *left, *right;
    void *result;
    const int64_t *left_offsets, *right_offsets; ///< per matrix of the stack, in elements; NULL: 0
    int64_t *right_rows;                         ///< float32: where the rows of B begin
    int64_t row_blocks, column_blocks;           ///< the pieces that threads share
};

enum {
    PRODUCT_TYPES = PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX | 1 << PBITC_UINT32 | 1 << PBITC_UINT64,
    BLOCK_ROWS = 48,
    BLOCK_COLUMNS = 512,
    PARALLEL_WORK = 1 << 22 ///< multiplications that pay for the start of threads
};

static void multiply_floats(const struct product *product, int64_t matrix, int64_t row, int64_t column)
{
    int64_t depth = product->depth, columns = product->columns;
    int64_t height = product->rows - row < BLOCK_ROWS ? product->rows - row : BLOCK_ROWS;
    int64_t width = columns - column < BLOCK_COLUMNS ? columns - column : BLOCK_COLUMNS;
    const float *left = (const float *)product->left + row * depth, *right = product->right;
    left += product->left_offsets ? product->left_offsets[matrix] : 0;
    right += product->right_offsets ? product->right_offsets[matrix] : 0;
    float *result = (float *)product->result + (matrix * product->rows + row) * columns + column;
    if (product->right_transposed) {
        pbitc_multiply_transposed(height, width, depth, left, right + column * depth, result, columns);
        return;
    }
    for (int64_t r = 0; r < height; r++)
        memset(result + r * columns, 0, (size_t)width * sizeof(*result));
    pbitc_multiply_add(height, width, depth, left, depth, right + column, product->right_rows, result,
                       columns);
}

/// Integer products are modulo 2^bits.
#define MULTIPLY(type, element, modular)                                                                     \
    case type: {                                                                                             \
        const element *a = product->left, *b = product->right;                                               \
        a += product->left_offsets ? product->left_offsets[matrix] : 0;                                      \
        b += product->right_offsets ? product->right_offsets[matrix] : 0;                                    \
        for (int64_t i = row; i < product->rows && i < row + BLOCK_ROWS; i++) {                              \
            element *c = (element *)product->result + (matrix * product->rows + i) * product->columns;       \
            memset(c, 0, (size_t)product->columns * sizeof(*c));                                             \
            for (int64_t k = 0; k < product->depth; k++)                                                     \
                for (int64_t j = 0; j < product->columns; j++)                                               \
                    c[j] = (element)((modular)c[j] + (modular)a[i * product->depth + k] *                    \
                                                         (modular)b[k * product->columns + j]);              \
        }                                                                                                    \
        break;                                                                                               \
    }

static void multiply_block(void *state, int64_t index, int worker)
{
    const struct product *product = state;
    int64_t column = index % product->column_blocks * BLOCK_COLUMNS;
    int64_t row = index / product->column_blocks % product->row_blocks * BLOCK_ROWS;
    int64_t matrix = index / product->column_blocks / product->row_blocks;
    (void)worker;
    switch (product->type) {
    case PBITC_FLOAT32:
        multiply_floats(product, matrix, row, column);
        break;
        MULTIPLY(PBITC_FLOAT64, double, double)
        MULTIPLY(PBITC_INT32, int32_t, uint32_t)
        MULTIPLY(PBITC_INT64, int64_t, uint64_t)
        MULTIPLY(PBITC_UINT32, uint32_t, uint32_t)
        MULTIPLY(PBITC_UINT64, uint64_t, uint64_t)
    default:
        break;
    }
}

static int64_t blocks(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}

static void multiply(struct product *product, int64_t matrices, int threads)
{
    int64_t elements = matrices * product->rows * product->columns;
    if (elements == 0)
        return;
    if ((double)elements * (double)product->depth < PARALLEL_WORK)
        threads = 1;
    for (int64_t k = 0; product->right_rows && k < product->depth; k++)
        product->right_rows[k] = k * product->columns;
    product->row_blocks = blocks(product->rows, BLOCK_ROWS);
    product->column_blocks = product->type == PBITC_FLOAT32 ? blocks(product->columns, BLOCK_COLUMNS) : 1;
    pbitc_parallel_for(threads, matrices * product->row_blocks * product->column_blocks, multiply_block,
                       product);
}

/// Scratch memory of a product begins with right_rows.
static enum pbit_status require_product_size(struct pbitc_evaluation *evaluation, int64_t depth,
                                             int64_t columns)
{
    if (!pbitc_add_scratch(evaluation, depth, sizeof(int64_t)))
        return PBITC_REFUSE(evaluation, NULL, "a matrix of %lld x %lld is too large", (long long)depth,
                            (long long)columns);
    return PBIT_OK;
}

/// Gemm: Y = alpha * op(A) op(B) + beta * C.
struct gemm {
    int64_t rows, depth, columns;
    bool transpose_left, transpose_right;
};

static struct gemm gemm_read(const struct pbitc_evaluation *evaluation)
{
    struct gemm gemm = {.transpose_left = pbitc_node_int(evaluation->node, "transA", 0) != 0,
                        .transpose_right = pbitc_node_int(evaluation->node, "transB", 0) != 0};
    const int64_t *left = evaluation->inputs[0]->shape.dims, *right = evaluation->inputs[1]->shape.dims;
    gemm.rows = left[gemm.transpose_left];
    gemm.depth = left[!gemm.transpose_left];
    gemm.columns = right[!gemm.transpose_right];
    return gemm;
}

/// Whether operand 0 or 1 has to be transposed before the product.
static bool turns_operand(const struct gemm *gemm, enum pbitc_type type, size_t operand)
{
    return operand == 0 ? gemm->transpose_left : gemm->transpose_right && type != PBITC_FLOAT32;
}

/// Integers know no fractions: only the usual alpha and beta are defined for them.
static enum pbit_status require_integer_factors(struct pbitc_evaluation *evaluation)
{
    float alpha = pbitc_node_float(evaluation->node, "alpha", 1),
          beta = pbitc_node_float(evaluation->node, "beta", 1);
    if (PBITC_TYPES_FLOAT >> evaluation->inputs[0]->type & 1 || (alpha == 1 && (beta == 0 || beta == 1)))
        return PBIT_OK;
    return PBITC_REFUSE(evaluation, "multiply by a tensor instead",
                        "alpha = %g, beta = %g with elements of type %s", (double)alpha, (double)beta,
                        pbitc_type_name(evaluation->inputs[0]->type));
}

static enum pbit_status require_bias(struct pbitc_evaluation *evaluation, const struct pbitc_shape *shape)
{
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    struct pbitc_shape widened = *shape;
    if (!bias)
        return PBIT_OK;
    enum pbit_status status = pbitc_broadcast(evaluation, &widened, &bias->shape);
    if (!status && !pbitc_shape_equal(&widened, shape))
        status = PBITC_MALFORMED(evaluation, "input 2 of shape %s does not broadcast to %s",
                                 pbitc_shape_format(&bias->shape).text, pbitc_shape_format(shape).text);
    return status;
}

enum pbit_status infer_gemm(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PRODUCT_TYPES);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    for (size_t i = 0; !status && i < 2; i++)
        status = pbitc_require_rank(evaluation, i, 2, 2);
    if (!status)
        status = require_integer_factors(evaluation);
    if (status)
        return status;
    struct gemm gemm = gemm_read(evaluation);
    int64_t right_depth = evaluation->inputs[1]->shape.dims[gemm.transpose_right];
    if (right_depth != gemm.depth)
        return PBITC_MALFORMED(evaluation, "the inner dimensions differ: %lld and %lld",
                               (long long)gemm.depth, (long long)right_depth);
    struct pbitc_shape shape = {2, {gemm.rows, gemm.columns}};
    status = require_bias(evaluation, &shape);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    if (!status)
        status = require_product_size(evaluation, gemm.depth, gemm.columns);
    for (size_t i = 0; !status && i < 2; i++)
        if (turns_operand(&gemm, evaluation->inputs[i]->type, i) &&
            !pbitc_add_scratch(evaluation, pbitc_shape_elements(&evaluation->inputs[i]->shape),
                               pbitc_type_bytes(evaluation->inputs[i]->type)))
            status = PBITC_REFUSE(evaluation, NULL, "the matrices are too large");
    return status;
}

#define TRANSPOSE_BLOCKS(element)                                                                            \
    for (int64_t r0 = 0; r0 < rows; r0 += BLOCK)                                                             \
        for (int64_t c0 = 0; c0 < columns; c0 += BLOCK)                                                      \
            for (int64_t r = r0; r < rows && r < r0 + BLOCK; r++)                                            \
                for (int64_t c = c0; c < columns && c < c0 + BLOCK; c++)                                     \
                    ((element *)to)[c * rows + r] = ((const element *)from)[r * columns + c];

/// from [rows x columns], to [columns x rows]; in blocks that stay in the cache.
static void transpose(void *to, const void *from, int64_t rows, int64_t columns, size_t element)
{
    enum { BLOCK = 32 };
    if (element == 4)
        TRANSPOSE_BLOCKS(uint32_t)
    else
        TRANSPOSE_BLOCKS(uint64_t)
}

#define ADD_BIAS(type, element, modular)                                                                     \
    case type:                                                                                               \
        for (; !walk.done; pbitc_walk_next(&walk)) {                                                         \
            const element *from = (const element *)bias->data + walk.offset[0];                              \
            element *to = (element *)output->data + walk.position;                                           \
            for (int64_t i = 0; i < walk.length; i++)                                                        \
                to[i] = (element)((modular)to[i] + (modular)beta * (modular)from[i * walk.step[0]]);         \
        }                                                                                                    \
        break;

static void add_bias(struct pbitc_tensor *output, const struct pbitc_tensor *bias, float beta)
{
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &output->shape, 1, (const struct pbitc_shape *const[]){&bias->shape});
    switch (output->type) {
        ADD_BIAS(PBITC_FLOAT32, float, float)
        ADD_BIAS(PBITC_FLOAT64, double, double)
        ADD_BIAS(PBITC_INT32, int32_t, uint32_t)
        ADD_BIAS(PBITC_INT64, int64_t, uint64_t)
        ADD_BIAS(PBITC_UINT32, uint32_t, uint32_t)
        ADD_BIAS(PBITC_UINT64, uint64_t, uint64_t)
    default:
        break;
    }
}

#define SCALE(type, element, modular)                                                                        \
    case type:                                                                                               \
        for (int64_t i = 0; i < elements; i++)                                                               \
            ((element *)output->data)[i] *= (element)alpha;                                                  \
        break;

/// Of integers alpha is 1.
static void scale(struct pbitc_tensor *output, float alpha)
{
    int64_t elements = pbitc_shape_elements(&output->shape);
    switch (output->type) {
        PBITC_FOR_FLOAT_TYPES(SCALE)
    default:
        break;
    }
}

enum pbit_status evaluate_gemm(struct pbitc_evaluation *evaluation)
{
    struct gemm gemm = gemm_read(evaluation);
    const struct pbitc_tensor *bias = pbitc_input(evaluation, 2);
    enum pbitc_type type = evaluation->inputs[0]->type;
    struct product product = {.type = type,
                              .rows = gemm.rows,
                              .depth = gemm.depth,
                              .columns = gemm.columns,
                              .right_transposed = gemm.transpose_right && type == PBITC_FLOAT32,
                              .result = evaluation->outputs[0].data,
                              .right_rows = evaluation->scratch};
    unsigned char *spare = (unsigned char *)evaluation->scratch + (size_t)gemm.depth * sizeof(int64_t);
    const void **operands[2] = {&product.left, &product.right};
    for (size_t i = 0; i < 2; i++) {
        const struct pbitc_tensor *operand = evaluation->inputs[i];
        *operands[i] = operand->data;
        if (!turns_operand(&gemm, type, i))
            continue;
        transpose(spare, operand->data, operand->shape.dims[0], operand->shape.dims[1],
                  pbitc_type_bytes(type));
        *operands[i] = spare;
        spare += (size_t)pbitc_shape_elements(&operand->shape) * pbitc_type_bytes(type);
    }
    multiply(&product, 1, evaluation->threads);
    float alpha = pbitc_node_float(evaluation->node, "alpha", 1);
    float beta = pbitc_node_float(evaluation->node, "beta", 1);
    if (alpha != 1)
        scale(&evaluation->outputs[0], alpha);
    if (bias && beta != 0)
        add_bias(&evaluation->outputs[0], bias, beta);
    return PBIT_OK;
}

/// MatMul: numpy.matmul. Vectors become matrices for the product; leading dimensions broadcast.
struct matmul {
    int64_t rows, depth, columns, matrices;
    struct pbitc_shape stack; ///< leading dimensions of the result
    struct pbitc_shape left_stack, right_stack;
};

static struct pbitc_shape leading_dimensions(const struct pbitc_shape *shape)
{
    struct pbitc_shape lead = *shape;
    lead.rank = shape->rank > 2 ? shape->rank - 2 : 0;
    return lead;
}

static enum pbit_status matmul_read(struct pbitc_evaluation *evaluation, struct matmul *matmul)
{
    const struct pbitc_shape *left = &evaluation->inputs[0]->shape, *right = &evaluation->inputs[1]->shape;
    *matmul = (struct matmul){.rows = left->rank > 1 ? left->dims[left->rank - 2] : 1,
                              .depth = left->dims[left->rank - 1],
                              .columns = right->rank > 1 ? right->dims[right->rank - 1] : 1,
                              .left_stack = leading_dimensions(left),
                              .right_stack = leading_dimensions(right)};
    int64_t right_depth = right->dims[right->rank > 1 ? right->rank - 2 : 0];
    if (right_depth != matmul->depth)
        return PBITC_MALFORMED(evaluation, "the inner dimensions of %s and %s differ",
                               pbitc_shape_format(left).text, pbitc_shape_format(right).text);
    matmul->stack = matmul->left_stack;
    enum pbit_status status = pbitc_broadcast(evaluation, &matmul->stack, &matmul->right_stack);
    matmul->matrices = pbitc_shape_elements(&matmul->stack);
    return status;
}

enum pbit_status infer_matmul(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, PRODUCT_TYPES);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    for (size_t i = 0; !status && i < 2; i++)
        status = pbitc_require_rank(evaluation, i, 1, PBITC_MAX_RANK);
    struct matmul matmul = {0};
    if (!status)
        status = matmul_read(evaluation, &matmul);
    if (status)
        return status;
    struct pbitc_shape shape = matmul.stack;
    if (evaluation->inputs[0]->shape.rank > 1)
        shape.dims[shape.rank++] = matmul.rows;
    if (evaluation->inputs[1]->shape.rank > 1)
        shape.dims[shape.rank++] = matmul.columns;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    status = require_product_size(evaluation, matmul.depth, matmul.columns);
    if (!status &&
        (matmul.matrices < 0 || !pbitc_add_scratch(evaluation, matmul.matrices, 2 * sizeof(int64_t))))
        status = PBITC_REFUSE(evaluation, NULL, "a stack of %s matrices is too large",
                              pbitc_shape_format(&matmul.stack).text);
    return status;
}

/// Where in the operand each matrix of the result's stack comes from.
static void stack_offsets(const struct matmul *matmul, const struct pbitc_shape *stack, int64_t elements,
                          int64_t *offsets)
{
    struct pbitc_walk walk;
    pbitc_walk_broadcast(&walk, &matmul->stack, 1, &stack);
    for (; !walk.done; pbitc_walk_next(&walk))
        for (int64_t i = 0; i < walk.length; i++)
            offsets[walk.position + i] = (walk.offset[0] + i * walk.step[0]) * elements;
}

enum pbit_status evaluate_matmul(struct pbitc_evaluation *evaluation)
{
    struct matmul matmul;
    enum pbit_status status = matmul_read(evaluation, &matmul);
    if (status)
        return status;
    enum pbitc_type type = evaluation->inputs[0]->type;
    struct product product = {.type = type,
                              .rows = matmul.rows,
                              .depth = matmul.depth,
                              .columns = matmul.columns,
                              .left = evaluation->inputs[0]->data,
                              .right = evaluation->inputs[1]->data,
                              .result = evaluation->outputs[0].data,
                              .right_rows = evaluation->scratch};
    if (matmul.right_stack.rank == 0) { // one right operand: a single tall product
        product.rows *= matmul.matrices;
        matmul.matrices = 1;
    } else {
        int64_t *offsets = product.right_rows + matmul.depth;
        stack_offsets(&matmul, &matmul.left_stack, matmul.rows * matmul.depth, offsets);
        stack_offsets(&matmul, &matmul.right_stack, matmul.depth * matmul.columns, offsets + matmul.matrices);
        product.left_offsets = offsets;
        product.right_offsets = offsets + matmul.matrices;
    }
    multiply(&product, matmul.matrices, evaluation->threads);
    return PBIT_OK;
}
