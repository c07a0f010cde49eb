// Einsum: sums of products along named dimensions.
#include "passes/operators/operator_support.h"

#include <ctype.h>
#include <string.h>

enum { MAX_OPERANDS = 8, MAX_LABELS = 16, ELLIPSIS = 256 };

struct einsum {
    int operands, outputs, labels; ///< labels of the output come first
    int names[MAX_LABELS];         ///< a letter, or ELLIPSIS + the position of its dimension from the end
    int64_t extents[MAX_LABELS];
    int64_t strides[MAX_OPERANDS][MAX_LABELS];
};

/// The place of a label, which is added where it is new; -1: there are too many.
static int find_label(struct einsum *einsum, int name)
{
    for (int i = 0; i < einsum->labels; i++)
        if (einsum->names[i] == name)
            return i;
    if (einsum->labels == MAX_LABELS)
        return -1;
    einsum->names[einsum->labels] = name;
    einsum->extents[einsum->labels] = 1;
    return einsum->labels++;
}

/// One term of the equation, up to ',' '-' or the end: its labels in order, an ellipsis as `dots` of them.
/// Returns their number, or -1 for a term that is none; *text moves on.
static int read_term(const char **text, int dots, int names[MAX_LABELS], bool *has_dots)
{
    int count = 0;
    *has_dots = false;
    for (; **text && **text != ',' && **text != '-'; ++*text) {
        if (isspace((unsigned char)**text))
            continue;
        if (strncmp(*text, "...", 3) == 0 && !*has_dots) {
            *has_dots = true;
            *text += 2;
            for (int i = dots; i > 0 && count < MAX_LABELS; i--)
                names[count++] = ELLIPSIS + i;
        } else if (isalpha((unsigned char)**text) && count < MAX_LABELS) {
            names[count++] = (unsigned char)**text;
        } else {
            return -1;
        }
    }
    return count;
}

/// Without "->" the output has the ellipsis, then the letters that come once, in alphabetical order.
static int implicit_output(const char *equation, int dots, int names[MAX_LABELS])
{
    int count = 0;
    for (int i = dots; i > 0 && count < MAX_LABELS; i--)
        names[count++] = ELLIPSIS + i;
    for (int letter = 'A'; letter <= 'z'; letter++) {
        const char *first = isalpha(letter) ? strchr(equation, letter) : NULL;
        if (first && !strchr(first + 1, letter) && count < MAX_LABELS)
            names[count++] = letter;
    }
    return count;
}

static enum pbit_status bad_equation(const struct pbitc_evaluation *evaluation)
{
    return PBITC_MALFORMED(evaluation, "equation \"%s\" does not fit the inputs",
                           pbitc_node_string(evaluation->node, "equation", ""));
}

/// How many dimensions the ellipsis of a term stands for; -1: none that fit.
static int count_dots(const char *term, int rank)
{
    int names[MAX_LABELS];
    bool has_dots;
    int letters = read_term(&term, 0, names, &has_dots);
    return letters < 0 || letters > rank || (!has_dots && letters != rank) ? -1 : rank - letters;
}

static const char *next_term(const char *text)
{
    while (*text && *text != ',' && *text != '-')
        text++;
    return *text == ',' ? text + 1 : NULL;
}

static enum pbit_status einsum_read(struct pbitc_evaluation *evaluation, struct einsum *einsum)
{
    const char *equation = pbitc_node_string(evaluation->node, "equation", ""), *term = equation;
    const char *arrow = strstr(equation, "->");
    int names[MAX_LABELS], dots = 0, count;
    bool has_dots;
    *einsum = (struct einsum){.operands = (int)evaluation->input_count};
    if (evaluation->input_count > MAX_OPERANDS)
        return PBITC_REFUSE(evaluation, NULL, "more than %d inputs", MAX_OPERANDS);
    for (int o = 0; o < einsum->operands; o++, term = next_term(term)) {
        int own = term ? count_dots(term, evaluation->inputs[o]->shape.rank) : -1;
        if (own < 0)
            return bad_equation(evaluation);
        dots = own > dots ? own : dots;
        if (o + 1 == einsum->operands && next_term(term))
            return bad_equation(evaluation);
    }
    const char *result = arrow ? arrow + 2 : NULL;
    count = result ? read_term(&result, dots, names, &has_dots) : implicit_output(equation, dots, names);
    if (count < 0 || count > PBITC_MAX_RANK || (result && *result))
        return bad_equation(evaluation);
    for (int i = 0; i < count; i++)
        if (find_label(einsum, names[i]) != i)
            return bad_equation(evaluation);
    einsum->outputs = count;
    term = equation;
    for (int o = 0; o < einsum->operands; o++, term++) {
        const struct pbitc_shape *shape = &evaluation->inputs[o]->shape;
        int64_t strides[PBITC_MAX_RANK];
        pbitc_strides(shape, strides);
        read_term(&term, count_dots(term, shape->rank), names, &has_dots);
        for (int i = 0; i < shape->rank; i++) {
            int label = find_label(einsum, names[i]);
            if (label < 0)
                return PBITC_REFUSE(evaluation, NULL, "more than %d dimensions", MAX_LABELS);
            int64_t *extent = &einsum->extents[label];
            if (shape->dims[i] != 1 && *extent != 1 && *extent != shape->dims[i])
                return bad_equation(evaluation);
            *extent = shape->dims[i] != 1 ? shape->dims[i] : *extent;
            einsum->strides[o][label] += shape->dims[i] != 1 ? strides[i] : 0;
        }
    }
    return PBIT_OK;
}

enum pbit_status infer_einsum(struct pbitc_evaluation *evaluation)
{
    struct einsum einsum;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_NUMERIC);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    if (!status)
        status = einsum_read(evaluation, &einsum);
    if (status)
        return status;
    struct pbitc_shape shape = {.rank = einsum.outputs};
    memcpy(shape.dims, einsum.extents, (size_t)einsum.outputs * sizeof(*shape.dims));
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

/// Steps labels first..last-1 in row-major order; false after the last step.
static bool advance(const struct einsum *einsum, int first, int last, int64_t index[MAX_LABELS],
                    int64_t offset[MAX_OPERANDS])
{
    for (int i = last - 1; i >= first; i--) {
        bool wrapped = ++index[i] == einsum->extents[i];
        int64_t moves = wrapped ? 1 - einsum->extents[i] : 1;
        for (int o = 0; o < einsum->operands; o++)
            offset[o] += moves * einsum->strides[o][i];
        if (!wrapped)
            return true;
        index[i] = 0;
    }
    return false;
}

#define SUM_PRODUCTS(type, element, accumulator)                                                             \
    case type: {                                                                                             \
        element *output = evaluation->outputs[0].data;                                                       \
        do {                                                                                                 \
            int64_t inner[MAX_OPERANDS];                                                                     \
            accumulator sum = 0;                                                                             \
            memcpy(inner, offset, sizeof(inner));                                                            \
            do {                                                                                             \
                accumulator product = 1;                                                                     \
                for (int o = 0; o < einsum.operands; o++)                                                    \
                    product *= (accumulator)((const element *)evaluation->inputs[o]->data)[inner[o]];        \
                sum += product;                                                                              \
            } while (advance(&einsum, einsum.outputs, einsum.labels, index, inner));                         \
            *output++ = (element)sum;                                                                        \
        } while (advance(&einsum, 0, einsum.outputs, index, offset));                                        \
        break;                                                                                               \
    }

enum pbit_status evaluate_einsum(struct pbitc_evaluation *evaluation)
{
    struct einsum einsum;
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t index[MAX_LABELS] = {0}, offset[MAX_OPERANDS] = {0};
    size_t elements = (size_t)pbitc_shape_elements(&output->shape);
    enum pbit_status status = einsum_read(evaluation, &einsum);
    if (status || elements == 0)
        return status;
    for (int i = einsum.outputs; i < einsum.labels; i++)
        if (einsum.extents[i] == 0) {
            memset(output->data, 0, elements * pbitc_type_bytes(output->type));
            return PBIT_OK;
        }
    switch (output->type) {
        SUM_PRODUCTS(PBITC_FLOAT32, float, double)
        SUM_PRODUCTS(PBITC_FLOAT64, double, double)
        PBITC_FOR_INTEGER_TYPES(SUM_PRODUCTS)
    default:
        break;
    }
    return PBIT_OK;
}

/// Det of square matrices in the last two dimensions, by elimination with pivots.
enum pbit_status infer_det(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (status)
        return status;
    int64_t size = shape.dims[shape.rank - 1];
    if (shape.dims[shape.rank - 2] != size)
        return PBITC_MALFORMED(evaluation, "matrices of %s are not square", pbitc_shape_format(&shape).text);
    shape.rank -= 2;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    if (size > INT16_MAX || !pbitc_add_scratch(evaluation, size * size, sizeof(double)))
        return PBITC_REFUSE(evaluation, NULL, "matrices of %lld rows", (long long)size);
    return PBIT_OK;
}

static double determinant(double *matrix, int64_t size)
{
    double product = 1;
    for (int64_t k = 0; k < size; k++) {
        int64_t pivot = k;
        for (int64_t row = k + 1; row < size; row++)
            if (matrix[row * size + k] * matrix[row * size + k] >
                matrix[pivot * size + k] * matrix[pivot * size + k])
                pivot = row;
        double scale = matrix[pivot * size + k];
        if (scale == 0)
            return 0;
        for (int64_t i = k; pivot != k && i < size; i++) {
            double swapped = matrix[k * size + i];
            matrix[k * size + i] = matrix[pivot * size + i];
            matrix[pivot * size + i] = swapped;
        }
        product *= pivot == k ? scale : -scale;
        for (int64_t row = k + 1; row < size; row++) {
            double factor = matrix[row * size + k] / scale;
            for (int64_t i = k; i < size; i++)
                matrix[row * size + i] -= factor * matrix[k * size + i];
        }
    }
    return product;
}

enum pbit_status evaluate_det(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t size = input->shape.dims[input->shape.rank - 1], count = pbitc_shape_elements(&output->shape);
    size_t bytes = pbitc_type_bytes(input->type);
    for (int64_t i = 0; i < count; i++) {
        pbitc_convert(PBITC_FLOAT64, evaluation->scratch, input->type,
                      (const unsigned char *)input->data + (size_t)(i * size * size) * bytes, size * size);
        double value = determinant(evaluation->scratch, size);
        pbitc_convert(output->type, (unsigned char *)output->data + (size_t)i * bytes, PBITC_FLOAT64, &value,
                      1);
    }
    return PBIT_OK;
}
