// Gemm and MatMul.
#include "passes/operators/operator_support.h"

#include <cblas.h>
#include <string.h>

// OpenBLAS rounds a row of a product differently with its place among the rows and with their number. Every
// call here therefore has exactly TILE rows (8: a multiple of the rows of all its kernels, and few enough for
// each to treat them alike; tests/passes/test_operators.c checks it), so that the result for one image does
// not depend on the batch it is in, nor on the number of threads. Right operands are transposed beforehand:
// faster in such tiles.
enum { TILE = 8 };

/// C = alpha * A B for a stack of matrices, A [rows x depth], B [depth x columns], C [rows x columns].
struct product {
    enum pbitc_type type;
    int64_t rows, depth, columns, tiles; ///< tiles: of TILE rows, in one matrix
    bool left_transposed;                ///< A is stored [depth x rows]
    float alpha;
    const void *left, *right;
    void *result;
    const int64_t *left_offsets, *right_offsets; ///< per matrix of the stack, in elements; NULL: 0
    unsigned char *padding;                      ///< per thread: TILE rows of A and of C
    size_t padding_bytes;
};

static size_t padding_bytes(int64_t depth, int64_t columns, size_t element)
{
    return ((size_t)(depth + columns) * TILE * element + 63) & ~(size_t)63;
}

/// TILE rows of A from `first` on, in a row-major block; rows beyond the last are zero.
static void gather_rows(const struct product *product, const void *left, int64_t first, void *block)
{
    int64_t present = product->rows - first < TILE ? product->rows - first : TILE;
    size_t element = pbitc_type_bytes(product->type);
    memset(block, 0, (size_t)(TILE * product->depth) * element);
    if (!product->left_transposed) {
        memcpy(block, (const unsigned char *)left + (size_t)(first * product->depth) * element,
               (size_t)(present * product->depth) * element);
        return;
    }
    for (int64_t k = 0; k < product->depth; k++)
        for (int64_t r = 0; r < present; r++)
            memcpy((unsigned char *)block + (size_t)(r * product->depth + k) * element,
                   (const unsigned char *)left + (size_t)(k * product->rows + first + r) * element, element);
}

static void multiply_tile(void *state, int64_t index, int worker)
{
    const struct product *product = state;
    size_t element = pbitc_type_bytes(product->type);
    int64_t matrix = index / product->tiles, first = index % product->tiles * TILE;
    int64_t depth = product->depth, columns = product->columns;
    const unsigned char *left = product->left, *right = product->right;
    left += (size_t)(product->left_offsets ? product->left_offsets[matrix] : 0) * element;
    right += (size_t)(product->right_offsets ? product->right_offsets[matrix] : 0) * element;
    unsigned char *result =
        (unsigned char *)product->result + (size_t)((matrix * product->rows + first) * columns) * element;
    unsigned char *spare = product->padding + (size_t)worker * product->padding_bytes;
    unsigned char *target = result;
    bool partial = product->rows - first < TILE;
    if (partial || product->left_transposed) {
        gather_rows(product, left, first, spare);
        left = spare;
    } else {
        left += (size_t)(first * depth) * element;
    }
    if (partial)
        target = spare + (size_t)(TILE * depth) * element;
    if (product->type == PBITC_FLOAT32)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TILE, (int)columns, (int)depth, product->alpha,
                    (const float *)left, (int)depth, (const float *)right, (int)columns, 0, (float *)target,
                    (int)columns);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, TILE, (int)columns, (int)depth, product->alpha,
                    (const double *)left, (int)depth, (const double *)right, (int)columns, 0,
                    (double *)target, (int)columns);
    if (partial)
        memcpy(result, target, (size_t)((product->rows - first) * columns) * element);
}

/// Integer products, modulo 2^bits. Row-major operands only: Gemm and MatMul transpose beforehand.
#define MULTIPLY_INTEGERS(type, element, modular)                                                            \
    case type: {                                                                                             \
        const element *a = product->left, *b = product->right;                                               \
        a += product->left_offsets ? product->left_offsets[matrix] : 0;                                      \
        b += product->right_offsets ? product->right_offsets[matrix] : 0;                                    \
        element *c = (element *)product->result + matrix * product->rows * product->columns;                 \
        for (int64_t i = 0; i < product->rows; i++)                                                          \
            for (int64_t j = 0; j < product->columns; j++) {                                                 \
                modular sum = 0;                                                                             \
                for (int64_t k = 0; k < product->depth; k++)                                                 \
                    sum +=                                                                                   \
                        (modular)                                                                            \
                            a[product->left_transposed ? k * product->rows + i : i * product->depth + k] *   \
                        (modular)b[k * product->columns + j];                                                \
                c[i * product->columns + j] = (element)sum;                                                  \
            }                                                                                                \
        break;                                                                                               \
    }

static void multiply_integers(void *state, int64_t matrix, int worker)
{
    const struct product *product = state;
    (void)worker;
    switch (product->type) {
        MULTIPLY_INTEGERS(PBITC_INT32, int32_t, uint32_t)
        MULTIPLY_INTEGERS(PBITC_INT64, int64_t, uint64_t)
        MULTIPLY_INTEGERS(PBITC_UINT32, uint32_t, uint32_t)
        MULTIPLY_INTEGERS(PBITC_UINT64, uint64_t, uint64_t)
    default:
        break;
    }
}

enum {
    PRODUCT_TYPES = PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX | 1 << PBITC_UINT32 | 1 << PBITC_UINT64,
    PARALLEL_WORK = 1 << 23, ///< multiplications that pay for the start of threads
    BLAS_LIMIT = INT32_MAX / 16
};

static void multiply(struct product *product, int64_t matrices, int threads)
{
    size_t element = pbitc_type_bytes(product->type);
    int64_t elements = matrices * product->rows * product->columns;
    if (elements == 0)
        return;
    if (product->depth == 0) {
        memset(product->result, 0, (size_t)elements * element);
        return;
    }
    if ((double)elements * (double)product->depth < PARALLEL_WORK)
        threads = 1;
    product->tiles = (product->rows + TILE - 1) / TILE;
    if (PBITC_TYPES_FLOAT >> product->type & 1)
        pbitc_parallel_for(threads, matrices * product->tiles, multiply_tile, product);
    else
        pbitc_parallel_for(threads, matrices, multiply_integers, product);
}

static enum pbit_status require_product_size(struct pbitc_evaluation *evaluation, int64_t depth,
                                             int64_t columns)
{
    size_t element = pbitc_type_bytes(evaluation->inputs[0]->type);
    if (depth > BLAS_LIMIT || columns > BLAS_LIMIT ||
        !pbitc_add_scratch(evaluation, evaluation->threads, padding_bytes(depth, columns, element)))
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
    if (!status && gemm.transpose_right &&
        !pbitc_add_scratch(evaluation, gemm.depth * gemm.columns,
                           pbitc_type_bytes(evaluation->inputs[0]->type)))
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

enum pbit_status evaluate_gemm(struct pbitc_evaluation *evaluation)
{
    struct gemm gemm = gemm_read(evaluation);
    const struct pbitc_tensor *right = evaluation->inputs[1], *bias = pbitc_input(evaluation, 2);
    size_t element = pbitc_type_bytes(right->type);
    struct product product = {.type = right->type,
                              .rows = gemm.rows,
                              .depth = gemm.depth,
                              .columns = gemm.columns,
                              .left_transposed = gemm.transpose_left,
                              .alpha = pbitc_node_float(evaluation->node, "alpha", 1),
                              .left = evaluation->inputs[0]->data,
                              .right = right->data,
                              .result = evaluation->outputs[0].data,
                              .padding = evaluation->scratch,
                              .padding_bytes = padding_bytes(gemm.depth, gemm.columns, element)};
    if (gemm.transpose_right) {
        void *turned = product.padding + (size_t)evaluation->threads * product.padding_bytes;
        transpose(turned, right->data, gemm.columns, gemm.depth, element);
        product.right = turned;
    }
    multiply(&product, 1, evaluation->threads);
    float beta = pbitc_node_float(evaluation->node, "beta", 1);
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
                              .alpha = 1,
                              .left = evaluation->inputs[0]->data,
                              .right = evaluation->inputs[1]->data,
                              .result = evaluation->outputs[0].data,
                              .padding = evaluation->scratch,
                              .padding_bytes =
                                  padding_bytes(matmul.depth, matmul.columns, pbitc_type_bytes(type))};
    if (matmul.right_stack.rank == 0) { // one right operand: a single tall product
        product.rows *= matmul.matrices;
        matmul.matrices = 1;
    } else {
        int64_t *offsets = (int64_t *)(product.padding + (size_t)evaluation->threads * product.padding_bytes);
        stack_offsets(&matmul, &matmul.left_stack, matmul.rows * matmul.depth, offsets);
        stack_offsets(&matmul, &matmul.right_stack, matmul.depth * matmul.columns, offsets + matmul.matrices);
        product.left_offsets = offsets;
        product.right_offsets = offsets + matmul.matrices;
    }
    multiply(&product, matmul.matrices, evaluation->threads);
    return PBIT_OK;
}
