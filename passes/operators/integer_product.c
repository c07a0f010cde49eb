// ConvInteger, MatMulInteger, QLinearConv and QLinearMatMul. The operands lose their zero points and become
// floats, or doubles when there are many to add up: products and sums are exact (below 2^24 or 2^53), and
// Conv and MatMul do the rest.
#include "passes/operators/quantization.h"

#include <string.h>

/// Sums of so many products of two times 8 bits and a sign are exact as float32.
enum { FLOAT_DEPTH = (1 << 24) / (255 * 255) };

/// Where an operator has its inputs; 0: it has none such.
struct signature {
    pbitc_infer_function *infer;
    pbitc_evaluate_function *evaluate; ///< of the product
    bool is_conv; ///< channels are the first dimension of the right operand, else its last
    size_t right, left_zero, right_zero;
    size_t left_scale, right_scale, result_scale, result_zero, bias;
};

static const struct signature conv_integer = {.infer = infer_conv,
                                              .evaluate = evaluate_conv,
                                              .is_conv = true,
                                              .right = 1,
                                              .left_zero = 2,
                                              .right_zero = 3};
static const struct signature matmul_integer = {
    .infer = infer_matmul, .evaluate = evaluate_matmul, .right = 1, .left_zero = 2, .right_zero = 3};
static const struct signature qlinear_conv = {.infer = infer_conv,
                                              .evaluate = evaluate_conv,
                                              .is_conv = true,
                                              .left_scale = 1,
                                              .left_zero = 2,
                                              .right = 3,
                                              .right_scale = 4,
                                              .right_zero = 5,
                                              .result_scale = 6,
                                              .result_zero = 7,
                                              .bias = 8};
static const struct signature qlinear_matmul = {.infer = infer_matmul,
                                                .evaluate = evaluate_matmul,
                                                .left_scale = 1,
                                                .left_zero = 2,
                                                .right = 3,
                                                .right_scale = 4,
                                                .right_zero = 5,
                                                .result_scale = 6,
                                                .result_zero = 7};

/// The evaluation of the product: two operands, no bias.
struct product {
    enum pbitc_type type; ///< float32 or float64
    struct pbitc_tensor operands[2], result;
    const struct pbitc_tensor *inputs[2];
    struct pbitc_evaluation evaluation;
};

/// In which the sums are exact.
static enum pbitc_type exact_type(const struct signature *signature,
                                  const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *left = &evaluation->inputs[0]->shape;
    const struct pbitc_shape *right = &evaluation->inputs[signature->right]->shape;
    if (left->rank == 0 || right->rank == 0 || right->dims[0] == 0)
        return PBITC_FLOAT64;
    int64_t depth =
        signature->is_conv ? pbitc_shape_elements(right) / right->dims[0] : left->dims[left->rank - 1];
    return depth <= FLOAT_DEPTH ? PBITC_FLOAT32 : PBITC_FLOAT64;
}

static void product_prepare(const struct signature *signature, const struct pbitc_evaluation *evaluation,
                            struct product *product)
{
    const size_t indices[2] = {0, signature->right};
    product->type = exact_type(signature, evaluation);
    for (int i = 0; i < 2; i++) {
        product->operands[i] = *evaluation->inputs[indices[i]];
        product->operands[i].type = product->type;
        product->operands[i].data = NULL;
        product->inputs[i] = &product->operands[i];
    }
    product->result = (struct pbitc_tensor){.type = PBITC_TYPE_NONE};
    product->evaluation = *evaluation;
    product->evaluation.inputs = product->inputs;
    product->evaluation.input_count = 2;
    product->evaluation.outputs = &product->result;
    product->evaluation.output_count = 1;
}

/// Elements of a parameter: for the whole tensor (1), or one for each row of the left, column of the right
/// operand or output channel.
static enum pbit_status require_count(struct pbitc_evaluation *evaluation, size_t index, int64_t slices)
{
    const struct pbitc_tensor *input = index ? pbitc_input(evaluation, index) : NULL;
    int64_t count = input ? pbitc_shape_elements(&input->shape) : 1;
    if (count == 1 || count == slices)
        return PBIT_OK;
    return PBITC_REFUSE(evaluation, "quantize per tensor, or per channel of the weights",
                        "input %zu has shape %s, expected one element or %lld", index,
                        pbitc_shape_format(&input->shape).text, (long long)slices);
}

/// Rows of the left operand of MatMul; a Conv's input has but one scale.
static int64_t left_slices(const struct signature *signature, const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    return !signature->is_conv && shape->rank == 2 ? shape->dims[0] : 1;
}

static int64_t right_slices(const struct signature *signature, const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->inputs[signature->right]->shape;
    return shape->rank < 2 ? 1 : signature->is_conv ? shape->dims[0] : shape->dims[shape->rank - 1];
}

static enum pbit_status infer_parameters(const struct signature *signature,
                                         struct pbitc_evaluation *evaluation)
{
    int64_t left = left_slices(signature, evaluation), right = right_slices(signature, evaluation);
    const struct {
        size_t index;
        int64_t slices;
        unsigned types;
    } parameters[] = {
        {signature->left_zero, left, 1u << evaluation->inputs[0]->type},
        {signature->right_zero, right, 1u << evaluation->inputs[signature->right]->type},
        {signature->left_scale, left, 1u << PBITC_FLOAT32},
        {signature->right_scale, right, 1u << PBITC_FLOAT32},
        {signature->result_scale, 1, 1u << PBITC_FLOAT32},
        {signature->result_zero, 1, PBITC_TYPES_EIGHT_BIT},
        {signature->bias, right, 1u << PBITC_INT32},
    };
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; !status && i < sizeof(parameters) / sizeof(parameters[0]); i++) {
        status = require_count(evaluation, parameters[i].index, parameters[i].slices);
        if (!status && parameters[i].index)
            status = pbitc_require_type(evaluation, parameters[i].index, parameters[i].types);
    }
    return status;
}

/// Room for one operand, as take() below takes it: in whole cache lines.
static bool add_room(struct pbitc_evaluation *evaluation, const struct pbitc_tensor *tensor)
{
    int64_t elements = pbitc_shape_elements(&tensor->shape);
    return pbitc_add_scratch(evaluation, elements, sizeof(double)) && pbitc_add_scratch(evaluation, 1, 64);
}

static enum pbit_status infer_product(const struct signature *signature, struct pbitc_evaluation *evaluation)
{
    struct product product;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_EIGHT_BIT);
    if (!status)
        status = pbitc_require_type(evaluation, signature->right, PBITC_TYPES_EIGHT_BIT);
    if (!status)
        status = infer_parameters(signature, evaluation);
    if (status)
        return status;
    product_prepare(signature, evaluation, &product);
    status = signature->infer(&product.evaluation);
    if (status)
        return status;
    evaluation->scratch_bytes = (product.evaluation.scratch_bytes + 63) & ~(size_t)63;
    enum pbitc_type type =
        signature->result_zero ? evaluation->inputs[signature->result_zero]->type : PBITC_INT32;
    pbitc_set_output(evaluation, 0, type, &product.result.shape);
    if (!add_room(evaluation, &product.operands[0]) || !add_room(evaluation, &product.operands[1]) ||
        !add_room(evaluation, &product.result))
        return PBITC_REFUSE(evaluation, NULL, "the operands are too large");
    return PBIT_OK;
}

/// Element `slice` of a parameter that may be one for all; `fallback` when it is omitted.
static double parameter_at(const struct pbitc_evaluation *evaluation, size_t index, int64_t slice,
                           double fallback)
{
    const struct pbitc_tensor *input = index ? pbitc_input(evaluation, index) : NULL;
    if (!input)
        return fallback;
    return pbitc_real_at(input, pbitc_shape_elements(&input->shape) == 1 ? 0 : slice);
}

/// One parameter, or none, for the whole tensor.
static bool is_whole(const struct pbitc_evaluation *evaluation, size_t index)
{
    const struct pbitc_tensor *input = index ? pbitc_input(evaluation, index) : NULL;
    return !input || pbitc_shape_elements(&input->shape) == 1;
}

#define SUBTRACT(element)                                                                                    \
    for (int64_t j = i; j < i + run; j++)                                                                    \
        ((element *)operand->data)[j] -= (element)zero_point;

/// Makes an operand: levels minus their zero points; element i belongs to slice i / run % slices.
static void remove_zero_points(const struct pbitc_evaluation *evaluation, size_t index, size_t zero,
                               int64_t slices, int64_t run, struct pbitc_tensor *operand)
{
    const struct pbitc_tensor *levels = evaluation->inputs[index];
    int64_t count = pbitc_shape_elements(&levels->shape);
    pbitc_convert(operand->type, operand->data, levels->type, levels->data, count);
    if (is_whole(evaluation, zero))
        run = count;
    for (int64_t i = 0; i < count; i += run) {
        double zero_point = parameter_at(evaluation, zero, i / run % slices, 0);
        if (operand->type == PBITC_FLOAT32) {
            SUBTRACT(float)
        } else {
            SUBTRACT(double)
        }
    }
}

#define FINISH(element, result)                                                                              \
    for (element *sum = (element *)sums->data + start; sum < (element *)sums->data + start + count; sum++)   \
        *sum = (element)(result);

/// `count` accumulated sums of one row and column become the result: int32 modulo 2^32, or levels.
static void finish(const struct signature *signature, const struct pbitc_evaluation *evaluation,
                   const struct pbitc_tensor *sums, int64_t start, int64_t count, int64_t row, int64_t column)
{
    bool single = sums->type == PBITC_FLOAT32;
    if (!signature->result_scale && single)
        return; // below 2^24
    if (!signature->result_scale) {
        FINISH(double, (int32_t)(uint32_t)(int64_t)*sum)
        return;
    }
    double bias = parameter_at(evaluation, signature->bias, column, 0);
    float scale = (float)parameter_at(evaluation, signature->left_scale, row, 1) *
                  (float)parameter_at(evaluation, signature->right_scale, column, 1) /
                  (float)parameter_at(evaluation, signature->result_scale, 0, 1);
    float zero_point = (float)parameter_at(evaluation, signature->result_zero, 0, 0);
    struct pbitc_levels levels = pbitc_levels_of(evaluation->outputs[0].type);
    if (single) {
        FINISH(float, pbitc_quantize((float)((double)*sum + bias) * scale, zero_point, levels))
    } else {
        FINISH(double, pbitc_quantize((float)(*sum + bias) * scale, zero_point, levels))
    }
}

/// A result of Conv has its channels after the images, one of MatMul its columns last.
static void finish_all(const struct signature *signature, const struct pbitc_evaluation *evaluation,
                       const struct pbitc_tensor *sums)
{
    const struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t count = pbitc_shape_elements(&output->shape), columns = right_slices(signature, evaluation);
    int64_t rows = left_slices(signature, evaluation), run = 1;
    if (signature->is_conv)
        run = pbitc_extent(&output->shape, 2, output->shape.rank);
    else if (!signature->result_scale ||
             (is_whole(evaluation, signature->left_scale) && is_whole(evaluation, signature->right_scale)))
        run = count;
    for (int64_t i = 0; i < count; i += run)
        finish(signature, evaluation, sums, i, run, i / columns % rows, i / run % columns);
    pbitc_convert(output->type, output->data, sums->type, sums->data, count);
}

static void *take(unsigned char **end, int64_t count)
{
    *end -= ((size_t)count * sizeof(double) + 63) & ~(size_t)63;
    return *end;
}

static enum pbit_status evaluate_product(const struct signature *signature,
                                         struct pbitc_evaluation *evaluation)
{
    struct product product;
    product_prepare(signature, evaluation, &product);
    product.result = evaluation->outputs[0];
    product.result.type = product.type;
    const struct pbitc_shape *left = &product.operands[0].shape, *right = &product.operands[1].shape;
    int64_t left_count = pbitc_shape_elements(left), right_count = pbitc_shape_elements(right);
    int64_t rows = left_slices(signature, evaluation), columns = right_slices(signature, evaluation);
    unsigned char *end = (unsigned char *)evaluation->scratch + evaluation->scratch_bytes;
    product.operands[0].data = take(&end, left_count);
    product.operands[1].data = take(&end, right_count);
    product.result.data = take(&end, pbitc_shape_elements(&product.result.shape));
    if (pbitc_shape_elements(&product.result.shape) == 0)
        return PBIT_OK;
    remove_zero_points(evaluation, 0, signature->left_zero, rows, left_count / rows, &product.operands[0]);
    remove_zero_points(evaluation, signature->right, signature->right_zero, columns,
                       signature->is_conv || columns == 1 ? right_count / columns : 1, &product.operands[1]);
    product.evaluation.scratch_bytes = (size_t)(end - (unsigned char *)evaluation->scratch);
    enum pbit_status status = signature->evaluate(&product.evaluation);
    if (!status)
        finish_all(signature, evaluation, &product.result);
    return status;
}

#define INTEGER_PRODUCT(name)                                                                                \
    enum pbit_status infer_##name(struct pbitc_evaluation *evaluation)                                       \
    {                                                                                                        \
        return infer_product(&name, evaluation);                                                             \
    }                                                                                                        \
    enum pbit_status evaluate_##name(struct pbitc_evaluation *evaluation)                                    \
    {                                                                                                        \
        return evaluate_product(&name, evaluation);                                                          \
    }

INTEGER_PRODUCT(conv_integer)
INTEGER_PRODUCT(matmul_integer)
INTEGER_PRODUCT(qlinear_conv)
INTEGER_PRODUCT(qlinear_matmul)
