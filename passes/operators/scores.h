// What the classical models of ai.onnx.ml share: class labels and the transformation of scores.
#ifndef PBITC_SCORES_H
#define PBITC_SCORES_H

#include "passes/operators/operator_support.h"

/// Labels of a classifier. Labels that are strings are represented by their index in classlabels_strings, as
/// an int64; the importer refuses models that read such labels within the graph.
struct pbitc_labels {
    size_t count;
    const int64_t *numbers; ///< NULL: strings
};

/// classlabels_strings, or `integers` (the attribute's name). Reports a node without either.
enum pbit_status pbitc_labels_read(struct pbitc_evaluation *evaluation, const char *integers,
                                   struct pbitc_labels *labels);
int64_t pbitc_label_at(const struct pbitc_labels *labels, size_t index);

enum pbitc_post_transform {
    PBITC_POST_NONE,
    PBITC_POST_SOFTMAX,
    PBITC_POST_LOGISTIC,
    PBITC_POST_SOFTMAX_ZERO,
    PBITC_POST_PROBIT,
};
/// Attribute post_transform.
enum pbit_status pbitc_post_transform_read(struct pbitc_evaluation *evaluation,
                                           enum pbitc_post_transform *transform);
/// Transforms the scores of one row, in place.
void pbitc_post_transform_apply(enum pbitc_post_transform transform, double *scores, size_t count);
/// The two scores that a single score of the second of two classes stands for: LOGISTIC of -score and score;
/// with the other transformations, which change nothing, 1 - score (`complement`) or -score, and the score.
void pbitc_post_transform_pair(enum pbitc_post_transform transform, bool complement, double score,
                               double pair[2]);

#endif
