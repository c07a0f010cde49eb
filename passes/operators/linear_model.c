// ai.onnx.ml: LinearClassifier, LinearRegressor and SVMRegressor.
#include "passes/operators/scores.h"

#include <math.h>
#include <string.h>

enum { FEATURE_TYPES = PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX };

struct linear {
    const float *coefficients, *intercepts; ///< [targets x features], [targets] or NULL
    size_t targets;
    int64_t rows, features;
    enum pbitc_post_transform transform;
};

/// Input [N x F] or [F]; `targets` 0: as many as there are intercepts.
static enum pbit_status linear_read(struct pbitc_evaluation *evaluation, size_t targets,
                                    struct linear *linear)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    size_t coefficients, intercepts;
    *linear = (struct linear){.rows = shape->rank == 2 ? shape->dims[0] : 1};
    linear->coefficients = pbitc_node_floats(evaluation->node, "coefficients", &coefficients);
    linear->intercepts = pbitc_node_floats(evaluation->node, "intercepts", &intercepts);
    linear->targets = targets ? targets : intercepts;
    enum pbit_status status = pbitc_require_type(evaluation, 0, FEATURE_TYPES);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, 2);
    if (!status)
        status = pbitc_post_transform_read(evaluation, &linear->transform);
    if (status)
        return status;
    linear->features = shape->dims[shape->rank - 1];
    // Like ONNX Runtime, more coefficients than needed are taken for [targets x features] and what follows.
    if (linear->targets == 0 || coefficients / linear->targets < (size_t)linear->features ||
        (intercepts && intercepts != linear->targets))
        return PBITC_MALFORMED(evaluation, "%zu coefficients and %zu intercepts do not fit an input of %s",
                               coefficients, intercepts, pbitc_shape_format(shape).text);
    return PBIT_OK;
}

static double linear_score(const struct linear *linear, const struct pbitc_tensor *input, int64_t row,
                           size_t target)
{
    double sum = linear->intercepts ? (double)linear->intercepts[target] : 0;
    const float *weights = linear->coefficients + target * (size_t)linear->features;
    for (int64_t i = 0; i < linear->features; i++)
        sum += (double)weights[i] * pbitc_real_at(input, row * linear->features + i);
    return sum;
}

static enum pbit_status classifier_read(struct pbitc_evaluation *evaluation, struct linear *linear,
                                        struct pbitc_labels *labels)
{
    enum pbit_status status = linear_read(evaluation, 0, linear);
    if (!status)
        status = pbitc_labels_read(evaluation, "classlabels_ints", labels);
    bool binary = linear->targets == 1;
    if (!status && labels->count != (binary ? 2 : linear->targets))
        status = PBITC_REFUSE(evaluation, NULL, "%zu labels for %zu scores", labels->count, linear->targets);
    if (!status && binary && linear->transform == PBITC_POST_PROBIT)
        status = PBITC_REFUSE(evaluation, NULL, "post_transform = \"PROBIT\" of a single score");
    return status;
}

/// Outputs: the labels [N] and the scores [N x C].
enum pbit_status infer_linear_classifier(struct pbitc_evaluation *evaluation)
{
    struct linear linear;
    struct pbitc_labels labels;
    enum pbit_status status = classifier_read(evaluation, &linear, &labels);
    if (status)
        return status;
    pbitc_set_output(evaluation, 0, PBITC_INT64, &(struct pbitc_shape){1, {linear.rows}});
    pbitc_set_output(evaluation, 1, PBITC_FLOAT32,
                     &(struct pbitc_shape){2, {linear.rows, (int64_t)labels.count}});
    return pbitc_add_scratch(evaluation, (int64_t)labels.count, sizeof(double))
               ? PBIT_OK
               : PBITC_REFUSE(evaluation, NULL, "too many classes");
}

enum pbit_status evaluate_linear_classifier(struct pbitc_evaluation *evaluation)
{
    struct linear linear;
    struct pbitc_labels labels;
    enum pbit_status status = classifier_read(evaluation, &linear, &labels);
    double *scores = evaluation->scratch;
    for (int64_t row = 0; !status && row < linear.rows; row++) {
        size_t best = 0;
        for (size_t t = 0; t < linear.targets; t++) {
            scores[t] = linear_score(&linear, evaluation->inputs[0], row, t);
            best = scores[t] > scores[best] ? t : best;
        }
        if (linear.targets == 1) {
            best = scores[0] > 0;
            pbitc_post_transform_pair(linear.transform, true, scores[0], scores);
        } else {
            pbitc_post_transform_apply(linear.transform, scores, labels.count);
        }
        if (pbitc_output_used(evaluation, 0))
            ((int64_t *)evaluation->outputs[0].data)[row] = pbitc_label_at(&labels, best);
        for (size_t t = 0; pbitc_output_used(evaluation, 1) && t < labels.count; t++)
            ((float *)evaluation->outputs[1].data)[(size_t)row * labels.count + t] = (float)scores[t];
    }
    return status;
}

static enum pbit_status regressor_read(struct pbitc_evaluation *evaluation, struct linear *linear)
{
    int64_t targets = pbitc_node_int(evaluation->node, "targets", 1);
    if (targets < 1 || targets > INT32_MAX)
        return PBITC_MALFORMED(evaluation, "targets = %lld", (long long)targets);
    return linear_read(evaluation, (size_t)targets, linear);
}

enum pbit_status infer_linear_regressor(struct pbitc_evaluation *evaluation)
{
    struct linear linear;
    enum pbit_status status = regressor_read(evaluation, &linear);
    if (status)
        return status;
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32,
                     &(struct pbitc_shape){2, {linear.rows, (int64_t)linear.targets}});
    return pbitc_add_scratch(evaluation, (int64_t)linear.targets, sizeof(double))
               ? PBIT_OK
               : PBITC_REFUSE(evaluation, NULL, "too many targets");
}

/// Like ONNX Runtime, which transforms a single score with PROBIT alone.
enum pbit_status evaluate_linear_regressor(struct pbitc_evaluation *evaluation)
{
    struct linear linear;
    enum pbit_status status = regressor_read(evaluation, &linear);
    double *scores = evaluation->scratch;
    for (int64_t row = 0; !status && row < linear.rows; row++) {
        for (size_t t = 0; t < linear.targets; t++)
            scores[t] = linear_score(&linear, evaluation->inputs[0], row, t);
        if (linear.targets > 1 || linear.transform == PBITC_POST_PROBIT)
            pbitc_post_transform_apply(linear.transform, scores, linear.targets);
        for (size_t t = 0; t < linear.targets; t++)
            ((float *)evaluation->outputs[0].data)[(size_t)row * linear.targets + t] = (float)scores[t];
    }
    return status;
}

/// SVMRegressor: sum of coefficients times kernel(x, support vector), or a plain linear function.
struct svm {
    const float *coefficients, *vectors, *rho, *kernel; ///< kernel: gamma, coef0, degree
    size_t supports;
    int64_t rows, features;
    enum { KERNEL_LINEAR, KERNEL_POLY, KERNEL_RBF, KERNEL_SIGMOID, KERNELS } type;
};

static enum pbit_status svm_read(struct pbitc_evaluation *evaluation, struct svm *svm)
{
    static const char *const kernels[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    static const float none[3] = {0, 0, 0};
    const struct pbitc_node *node = evaluation->node;
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    const char *type = pbitc_node_string(node, "kernel_type", "LINEAR");
    size_t coefficients, vectors, rho, parameters;
    enum pbitc_post_transform transform = PBITC_POST_NONE;
    enum pbit_status status = pbitc_require_type(evaluation, 0, FEATURE_TYPES);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, 2);
    if (!status)
        status = pbitc_post_transform_read(evaluation, &transform);
    if (status)
        return status;
    *svm =
        (struct svm){.rows = shape->rank == 2 ? shape->dims[0] : 1, .features = shape->dims[shape->rank - 1]};
    svm->coefficients = pbitc_node_floats(node, "coefficients", &coefficients);
    svm->vectors = pbitc_node_floats(node, "support_vectors", &vectors);
    svm->rho = pbitc_node_floats(node, "rho", &rho);
    svm->kernel = pbitc_node_floats(node, "kernel_params", &parameters);
    svm->kernel = parameters ? svm->kernel : none;
    svm->supports = vectors ? coefficients : 0;
    while (svm->type < KERNELS && strcmp(type, kernels[svm->type]) != 0)
        svm->type++;
    if (svm->type == KERNELS || transform != PBITC_POST_NONE)
        return PBITC_REFUSE(evaluation, NULL, "kernel_type = \"%s\", or a post_transform", type);
    bool fits = svm->supports
                    ? vectors / svm->supports == (size_t)svm->features && vectors % svm->supports == 0
                    : coefficients == (size_t)svm->features && svm->type == KERNEL_LINEAR;
    if (!fits || rho < 1 || (parameters && parameters < 3) || coefficients == 0 ||
        pbitc_node_int(node, "n_supports", 0) != (int64_t)svm->supports)
        return PBITC_MALFORMED(evaluation, "coefficients, vectors and parameters do not fit an input of %s",
                               pbitc_shape_format(shape).text);
    return PBIT_OK;
}

static double kernel_value(const struct svm *svm, const struct pbitc_tensor *input, int64_t row,
                           const float *vector)
{
    double dot = 0, distance = 0;
    for (int64_t i = 0; i < svm->features; i++) {
        double x = pbitc_real_at(input, row * svm->features + i), y = (double)vector[i];
        dot += x * y;
        distance += (x - y) * (x - y);
    }
    double gamma = (double)svm->kernel[0], offset = (double)svm->kernel[1], degree = (double)svm->kernel[2];
    switch (svm->type) {
    case KERNEL_POLY:
        return pow(gamma * dot + offset, degree);
    case KERNEL_RBF:
        return exp(-gamma * distance);
    case KERNEL_SIGMOID:
        return tanh(gamma * dot + offset);
    default:
        return dot;
    }
}

enum pbit_status infer_svm_regressor(struct pbitc_evaluation *evaluation)
{
    struct svm svm;
    enum pbit_status status = svm_read(evaluation, &svm);
    if (!status)
        pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &(struct pbitc_shape){2, {svm.rows, 1}});
    return status;
}

enum pbit_status evaluate_svm_regressor(struct pbitc_evaluation *evaluation)
{
    struct svm svm;
    enum pbit_status status = svm_read(evaluation, &svm);
    bool one_class = pbitc_node_int(evaluation->node, "one_class", 0) != 0;
    for (int64_t row = 0; !status && row < svm.rows; row++) {
        double sum = (double)svm.rho[0];
        for (size_t v = 0; v < svm.supports; v++)
            sum += (double)svm.coefficients[v] *
                   kernel_value(&svm, evaluation->inputs[0], row, svm.vectors + v * (size_t)svm.features);
        if (svm.supports == 0)
            sum += kernel_value(&svm, evaluation->inputs[0], row, svm.coefficients);
        ((float *)evaluation->outputs[0].data)[row] = (float)(one_class ? (sum > 0 ? 1 : -1) : sum);
    }
    return status;
}
