// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

static bool reduces_by(const struct pbitc_evaluation *evaluation, const char *reduction)
{
    return strcmp(pbitc_node_string(evaluation->node, "reduction", "mean"), reduction) == 0;
}

/// Inputs: scores [N x C x ...], class numbers [N x ...], weights of the classes [C].
enum pbit_status infer_loss(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *scores = evaluation->inputs[0], *classes = evaluation->inputs[1];
    const struct pbitc_tensor *weights = pbitc_input(evaluation, 2);
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_type(evaluation, 1, PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (status)
        return status;
    struct pbitc_shape shape = {scores->shape.rank - 1, {scores->shape.dims[0]}};
    for (int i = 1; i < shape.rank; i++)
        shape.dims[i] = scores->shape.dims[i + 1];
    if (!pbitc_shape_equal(&classes->shape, &shape) ||
        (weights && (weights->type != scores->type || weights->shape.rank != 1 ||
                     weights->shape.dims[0] != scores->shape.dims[1])))
        return PBITC_MALFORMED(
            evaluation, "class numbers of shape %s, or the weights, do not fit scores of %s",
            pbitc_shape_format(&classes->shape).text, pbitc_shape_format(&scores->shape).text);
    if (!reduces_by(evaluation, "none")) {
        if (!reduces_by(evaluation, "mean") && !reduces_by(evaluation, "sum"))
            return PBITC_REFUSE(evaluation, NULL, "reduction = \"%s\" is not defined",
                                pbitc_node_string(evaluation->node, "reduction", ""));
        shape.rank = 0;
    }
    pbitc_set_output(evaluation, 0, scores->type, &shape);
    pbitc_set_output(evaluation, 1, scores->type, &scores->shape);
    return PBIT_OK;
}

/// Losses of all positions one by one; their weighted sum goes to `sum`, the weights' to `total`.
#define LOSSES(element)                                                                                      \
    for (int64_t p = 0; p < positions; p++) {                                                                \
        int64_t start = p / inner * classes * inner + p % inner, target = pbitc_integer_at(targets, p);      \
        const element *x = (const element *)scores->data + start;                                            \
        bool ignored = ignore && target == ignore->integer;                                                  \
        if (!ignored && (target < 0 || target >= classes))                                                   \
            return PBITC_MALFORMED(evaluation, "class %lld of %lld", (long long)target, (long long)classes); \
        double shift = 0;                                                                                    \
        if (softmax) {                                                                                       \
            double largest = -INFINITY, exponentials = 0;                                                    \
            for (int64_t c = 0; c < classes; c++)                                                            \
                largest = (double)x[c * inner] > largest ? (double)x[c * inner] : largest;                   \
            for (int64_t c = 0; c < classes; c++)                                                            \
                exponentials += exp((double)x[c * inner] - largest);                                         \
            shift = largest + log(exponentials);                                                             \
            for (int64_t c = 0; logarithms && c < classes; c++)                                              \
                ((element *)logarithms)[start + c * inner] = (element)((double)x[c * inner] - shift);        \
        }                                                                                                    \
        double weight = ignored ? 0 : weights ? (double)((const element *)weights->data)[target] : 1;        \
        double loss = ignored ? 0 : weight * (shift - (double)x[target * inner]);                            \
        sum += loss;                                                                                         \
        total += weight;                                                                                     \
        if (each)                                                                                            \
            ((element *)evaluation->outputs[0].data)[p] = (element)loss;                                     \
    }                                                                                                        \
    if (!each)                                                                                               \
        *(element *)evaluation->outputs[0].data = (element)(mean ? sum / total : sum);

enum pbit_status evaluate_loss(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *scores = evaluation->inputs[0], *targets = evaluation->inputs[1];
    const struct pbitc_tensor *weights = pbitc_input(evaluation, 2);
    const struct pbitc_attribute *ignore = pbitc_node_attribute(evaluation->node, "ignore_index");
    bool softmax = pbitc_node_is(evaluation->node, PBITC_OP_SoftmaxCrossEntropyLoss);
    bool each = reduces_by(evaluation, "none"), mean = reduces_by(evaluation, "mean");
    void *logarithms = pbitc_output_used(evaluation, 1) ? evaluation->outputs[1].data : NULL;
    int64_t positions = pbitc_shape_elements(&targets->shape), classes = scores->shape.dims[1];
    int64_t inner = pbitc_extent(&scores->shape, 2, scores->shape.rank);
    double sum = 0, total = 0;
    if (scores->type == PBITC_FLOAT32) {
        LOSSES(float)
    } else {
        LOSSES(double)
    }
    return PBIT_OK;
}
