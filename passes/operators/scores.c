#include "passes/operators/scores.h"

#include <math.h>
#include <string.h>

enum pbit_status pbitc_labels_read(struct pbitc_evaluation *evaluation, const char *integers,
                                   struct pbitc_labels *labels)
{
    const struct pbitc_attribute *strings = pbitc_node_attribute(evaluation->node, "classlabels_strings");
    *labels = (struct pbitc_labels){0};
    labels->numbers = pbitc_node_ints(evaluation->node, integers, &labels->count);
    if (labels->count == 0 && strings && strings->kind == PBITC_ATTRIBUTE_STRINGS) {
        labels->numbers = NULL;
        labels->count = strings->count;
    }
    return labels->count ? PBIT_OK : PBITC_MALFORMED(evaluation, "there are no class labels");
}

int64_t pbitc_label_at(const struct pbitc_labels *labels, size_t index)
{
    return labels->numbers ? labels->numbers[index] : (int64_t)index;
}

enum pbit_status pbitc_post_transform_read(struct pbitc_evaluation *evaluation,
                                           enum pbitc_post_transform *transform)
{
    static const char *const names[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    const char *name = pbitc_node_string(evaluation->node, "post_transform", "NONE");
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *transform = (enum pbitc_post_transform)i;
            return PBIT_OK;
        }
    return PBITC_REFUSE(evaluation, NULL, "post_transform = \"%s\" is not defined", name);
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/// sqrt(2) times the inverse error function of 2 x - 1, in ONNX Runtime's approximation and precision.
static double probit(double x)
{
    float y = 2 * (float)x - 1, sign = y < 0 ? -1.0f : 1.0f;
    float logarithm = logf((1 - y) * (1 + y));
    float v = 2 / (3.14159f * 0.147f) + 0.5f * logarithm, w = 1 / 0.147f * logarithm;
    return (double)(1.41421356f * sign * sqrtf(-v + sqrtf(v * v - w)));
}

/// SOFTMAX_ZERO leaves scores of 0 out of the sum, and 0.
static void softmax(double *scores, size_t count, bool keep_zeros)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    for (size_t i = 0; i < count; i++) {
        bool zero = keep_zeros && fabs(scores[i]) <= 1e-7;
        scores[i] = zero ? scores[i] * exp(-largest) : exp(scores[i] - largest);
        sum += zero ? 0 : scores[i];
    }
    for (size_t i = 0; i < count; i++)
        scores[i] = sum > 0 ? scores[i] / sum : scores[i];
}

void pbitc_post_transform_apply(enum pbitc_post_transform transform, double *scores, size_t count)
{
    if (transform == PBITC_POST_SOFTMAX || transform == PBITC_POST_SOFTMAX_ZERO)
        softmax(scores, count, transform == PBITC_POST_SOFTMAX_ZERO);
    for (size_t i = 0; i < count; i++)
        if (transform == PBITC_POST_LOGISTIC)
            scores[i] = logistic(scores[i]);
        else if (transform == PBITC_POST_PROBIT)
            scores[i] = probit(scores[i]);
}

void pbitc_post_transform_pair(enum pbitc_post_transform transform, bool complement, double score,
                               double pair[2])
{
    bool logistically = transform == PBITC_POST_LOGISTIC;
    pair[0] = logistically ? logistic(-score) : complement ? 1 - score : -score;
    pair[1] = logistically ? logistic(score) : score;
}
