// ai.onnx.ml: TreeEnsembleClassifier and TreeEnsembleRegressor.
#include "passes/operators/scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum branch { LEQ, LT, GTE, GT, EQ, NEQ, LEAF, BRANCHES };
static const char *const branches[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                       "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
enum aggregate { SUM, AVERAGE, MIN, MAX, AGGREGATES };
static const char *const aggregates[] = {"SUM", "AVERAGE", "MIN", "MAX"};

struct tree_node {
    int64_t feature, next[2]; ///< next: where the comparison does not hold, and where it does
    float threshold;
    unsigned char branch;
    bool missing_holds, has_parent;
    size_t first, count; ///< leaf: its votes
};

struct vote {
    size_t node;
    int64_t target;
    float weight;
};

/// Where a node stands in the attributes, for looking it up.
struct place {
    int64_t tree, id;
    size_t index;
};

struct ensemble {
    size_t node_count, vote_count, root_count, targets;
    struct tree_node *nodes;
    struct vote *votes;
    struct place *places; ///< sorted
    size_t *roots;
    const float *base;
    size_t base_count;
    int64_t rows, features;
    enum aggregate aggregate;
    enum pbitc_post_transform transform;
    bool is_classifier;
};

static int compare_places(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    if (a->tree != b->tree)
        return a->tree < b->tree ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int compare_votes(const void *left, const void *right)
{
    const struct vote *a = left, *b = right;
    if (a->node != b->node)
        return a->node < b->node ? -1 : 1;
    return a < b ? -1 : a > b;
}

/// The index of a node; node_count when there is none.
static size_t find_node(const struct ensemble *ensemble, int64_t tree, int64_t id)
{
    struct place key = {.tree = tree, .id = id};
    const struct place *place =
        bsearch(&key, ensemble->places, ensemble->node_count, sizeof(key), compare_places);
    return place ? place->index : ensemble->node_count;
}

/// Attribute `prefix``name` of `count` integers; NULL after a report.
static const int64_t *read_ints(struct pbitc_evaluation *evaluation, const char *prefix, const char *name,
                                size_t count)
{
    char full[64];
    size_t given;
    snprintf(full, sizeof(full), "%s%s", prefix, name);
    const int64_t *list = pbitc_node_ints(evaluation->node, full, &given);
    if (list && given == count)
        return list;
    PBITC_MALFORMED(evaluation, "%s has %zu numbers, expected %zu", full, given, count);
    return NULL;
}

/// Counts and sizes, before there is memory.
static enum pbit_status ensemble_begin(struct pbitc_evaluation *evaluation, struct ensemble *ensemble)
{
    const struct pbitc_node *node = evaluation->node;
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    const char *aggregate = pbitc_node_string(node, "aggregate_function", "SUM");
    *ensemble = (struct ensemble){.is_classifier = pbitc_node_is(node, PBITC_OP_TreeEnsembleClassifier)};
    pbitc_node_ints(node, "nodes_nodeids", &ensemble->node_count);
    pbitc_node_ints(node, ensemble->is_classifier ? "class_ids" : "target_ids", &ensemble->vote_count);
    ensemble->base = pbitc_node_floats(node, "base_values", &ensemble->base_count);
    while (ensemble->aggregate < AGGREGATES && strcmp(aggregate, aggregates[ensemble->aggregate]) != 0)
        ensemble->aggregate++;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, 2);
    if (!status)
        status = pbitc_post_transform_read(evaluation, &ensemble->transform);
    if (!status && ensemble->aggregate == AGGREGATES)
        status = PBITC_REFUSE(evaluation, NULL, "aggregate_function = \"%s\" is not defined", aggregate);
    if (!status && ensemble->is_classifier) {
        struct pbitc_labels labels;
        status = pbitc_labels_read(evaluation, "classlabels_int64s", &labels);
        ensemble->targets = labels.count;
    } else if (!status) {
        int64_t targets = pbitc_node_int(node, "n_targets", 1);
        if (targets < 1 || targets > INT32_MAX)
            status = PBITC_MALFORMED(evaluation, "n_targets = %lld", (long long)targets);
        ensemble->targets = (size_t)targets;
    }
    if (status)
        return status;
    ensemble->rows = shape->rank == 2 ? shape->dims[0] : 1;
    ensemble->features = shape->dims[shape->rank - 1];
    if (ensemble->node_count == 0 || ensemble->vote_count == 0)
        return PBITC_MALFORMED(evaluation, "there are no nodes or no leaves with a value");
    return PBIT_OK;
}

static bool fill_places(struct pbitc_evaluation *evaluation, struct ensemble *ensemble)
{
    const int64_t *trees = read_ints(evaluation, "nodes_", "treeids", ensemble->node_count);
    const int64_t *ids = read_ints(evaluation, "nodes_", "nodeids", ensemble->node_count);
    if (!trees || !ids)
        return false;
    for (size_t i = 0; i < ensemble->node_count; i++)
        ensemble->places[i] = (struct place){trees[i], ids[i], i};
    qsort(ensemble->places, ensemble->node_count, sizeof(*ensemble->places), compare_places);
    for (size_t i = 1; i < ensemble->node_count; i++)
        if (compare_places(&ensemble->places[i - 1], &ensemble->places[i]) == 0) {
            PBITC_MALFORMED(evaluation, "node %lld of tree %lld is there twice",
                            (long long)ensemble->places[i].id, (long long)ensemble->places[i].tree);
            return false;
        }
    return true;
}

/// One node that is no leaf: where its two ways lead.
static bool link_node(struct pbitc_evaluation *evaluation, struct ensemble *ensemble, size_t index,
                      int64_t tree, const int64_t ways[2])
{
    struct tree_node *node = &ensemble->nodes[index];
    for (int way = 0; way < 2; way++) {
        size_t next = find_node(ensemble, tree, ways[way]);
        if (next == ensemble->node_count || next == index || node->feature < 0 ||
            node->feature >= ensemble->features) {
            PBITC_MALFORMED(evaluation, "node %zu has feature %lld of %lld and leads to node %lld", index,
                            (long long)node->feature, (long long)ensemble->features, (long long)ways[way]);
            return false;
        }
        node->next[way] = (int64_t)next;
        ensemble->nodes[next].has_parent = true;
    }
    return true;
}

static bool fill_nodes(struct pbitc_evaluation *evaluation, struct ensemble *ensemble)
{
    size_t count = ensemble->node_count, value_count, missing_count;
    const int64_t *trees = read_ints(evaluation, "nodes_", "treeids", count);
    const int64_t *features = read_ints(evaluation, "nodes_", "featureids", count);
    const int64_t *yes = read_ints(evaluation, "nodes_", "truenodeids", count);
    const int64_t *no = read_ints(evaluation, "nodes_", "falsenodeids", count);
    const float *values = pbitc_node_floats(evaluation->node, "nodes_values", &value_count);
    const int64_t *missing =
        pbitc_node_ints(evaluation->node, "nodes_missing_value_tracks_true", &missing_count);
    const struct pbitc_attribute *modes = pbitc_node_attribute(evaluation->node, "nodes_modes");
    if (!trees || !features || !yes || !no)
        return false;
    if (value_count != count || !modes || modes->kind != PBITC_ATTRIBUTE_STRINGS || modes->count != count ||
        (missing_count && missing_count != count)) {
        PBITC_MALFORMED(evaluation,
                        "nodes_values, nodes_modes or nodes_missing_value_tracks_true do not fit");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned char branch = 0;
        while (branch < BRANCHES && strcmp(modes->strings[i], branches[branch]) != 0)
            branch++;
        if (branch == BRANCHES) {
            PBITC_REFUSE(evaluation, NULL, "nodes_modes has \"%.40s\"", modes->strings[i]);
            return false;
        }
        ensemble->nodes[i] = (struct tree_node){.feature = features[i],
                                                .threshold = values[i],
                                                .branch = branch,
                                                .missing_holds = missing_count && missing[i] != 0,
                                                .has_parent = ensemble->nodes[i].has_parent};
    }
    for (size_t i = 0; i < count; i++)
        if (ensemble->nodes[i].branch != LEAF &&
            !link_node(evaluation, ensemble, i, trees[i], (const int64_t[]){no[i], yes[i]}))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!ensemble->nodes[i].has_parent)
            ensemble->roots[ensemble->root_count++] = i;
    size_t tree_count = 0;
    for (size_t i = 0; i < count; i++)
        tree_count += i == 0 || ensemble->places[i].tree != ensemble->places[i - 1].tree;
    if (ensemble->root_count != tree_count) // in a circle that takes in its root a tree has none
        PBITC_MALFORMED(evaluation, "%zu trees have %zu roots", tree_count, ensemble->root_count);
    return ensemble->root_count == tree_count;
}

static bool fill_votes(struct pbitc_evaluation *evaluation, struct ensemble *ensemble)
{
    const char *prefix = ensemble->is_classifier ? "class_" : "target_";
    size_t weight_count;
    const int64_t *trees = read_ints(evaluation, prefix, "treeids", ensemble->vote_count);
    const int64_t *ids = read_ints(evaluation, prefix, "nodeids", ensemble->vote_count);
    const int64_t *targets = read_ints(evaluation, prefix, "ids", ensemble->vote_count);
    const float *weights = pbitc_node_floats(
        evaluation->node, ensemble->is_classifier ? "class_weights" : "target_weights", &weight_count);
    if (!trees || !ids || !targets)
        return false;
    for (size_t i = 0; i < ensemble->vote_count; i++) {
        size_t node = find_node(ensemble, trees[i], ids[i]);
        if (weight_count != ensemble->vote_count || node == ensemble->node_count || targets[i] < 0 ||
            (uint64_t)targets[i] >= ensemble->targets) {
            PBITC_MALFORMED(evaluation, "value %zu, of node %lld, for target %lld of %zu", i,
                            (long long)ids[i], (long long)targets[i], ensemble->targets);
            return false;
        }
        ensemble->votes[i] = (struct vote){node, targets[i], weights[i]};
    }
    qsort(ensemble->votes, ensemble->vote_count, sizeof(*ensemble->votes), compare_votes);
    for (size_t i = ensemble->vote_count; i-- > 0;) {
        ensemble->nodes[ensemble->votes[i].node].first = i;
        ensemble->nodes[ensemble->votes[i].node].count++;
    }
    return true;
}

static enum pbit_status infer_ensemble(struct pbitc_evaluation *evaluation, struct ensemble *ensemble)
{
    enum pbit_status status = ensemble_begin(evaluation, ensemble);
    if (status)
        return status;
    int64_t nodes = (int64_t)ensemble->node_count;
    if (!pbitc_add_scratch(evaluation, nodes, sizeof(*ensemble->nodes)) ||
        !pbitc_add_scratch(evaluation, nodes, sizeof(*ensemble->places)) ||
        !pbitc_add_scratch(evaluation, nodes, sizeof(*ensemble->roots)) ||
        !pbitc_add_scratch(evaluation, (int64_t)ensemble->vote_count, sizeof(*ensemble->votes)) ||
        !pbitc_add_scratch(evaluation, (int64_t)ensemble->targets + 2, 2 * sizeof(double)))
        return PBITC_REFUSE(evaluation, NULL, "too many nodes");
    return PBIT_OK;
}

enum pbit_status infer_tree_regressor(struct pbitc_evaluation *evaluation)
{
    struct ensemble ensemble;
    enum pbit_status status = infer_ensemble(evaluation, &ensemble);
    struct pbitc_shape shape = {2, {ensemble.rows, (int64_t)ensemble.targets}};
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &shape);
    return status;
}

/// What ONNX Runtime and the specification do not agree on.
static enum pbit_status require_clear_binary(struct pbitc_evaluation *evaluation,
                                             const struct ensemble *ensemble)
{
    size_t count;
    const int64_t *classes = pbitc_node_ints(evaluation->node, "class_ids", &count);
    bool both = ensemble->base_count == 2;
    for (size_t i = 1; i < count; i++)
        both = both || classes[i] != classes[0];
    if (ensemble->targets == 2 && both)
        return PBITC_REFUSE(evaluation, "export scores of one class only",
                            "two classes that both have weights or base values");
    if (ensemble->targets == 2 && ensemble->transform == PBITC_POST_PROBIT)
        return PBITC_REFUSE(evaluation, NULL, "post_transform = \"PROBIT\" of a single score");
    return PBIT_OK;
}

/// Outputs: the labels [N] and the scores [N x C].
enum pbit_status infer_tree_classifier(struct pbitc_evaluation *evaluation)
{
    struct ensemble ensemble;
    enum pbit_status status = infer_ensemble(evaluation, &ensemble);
    if (!status)
        status = require_clear_binary(evaluation, &ensemble);
    struct pbitc_shape shape = {2, {ensemble.rows, (int64_t)ensemble.targets}};
    pbitc_set_output(evaluation, 0, PBITC_INT64, &(struct pbitc_shape){1, {ensemble.rows}});
    pbitc_set_output(evaluation, 1, PBITC_FLOAT32, &shape);
    return status;
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/// The ensemble in scratch memory; *scores: room for a row's scores, and as much again.
static enum pbit_status ensemble_read(struct pbitc_evaluation *evaluation, struct ensemble *ensemble,
                                      double **scores)
{
    enum pbit_status status = ensemble_begin(evaluation, ensemble);
    if (status)
        return status;
    unsigned char *memory = evaluation->scratch;
    memset(memory, 0, evaluation->scratch_bytes);
    ensemble->nodes = (struct tree_node *)memory;
    ensemble->places = (struct place *)(memory += round_up(ensemble->node_count * sizeof(*ensemble->nodes)));
    ensemble->roots = (size_t *)(memory += round_up(ensemble->node_count * sizeof(*ensemble->places)));
    ensemble->votes = (struct vote *)(memory += round_up(ensemble->node_count * sizeof(*ensemble->roots)));
    *scores = (double *)(memory += round_up(ensemble->vote_count * sizeof(*ensemble->votes)));
    bool good = fill_places(evaluation, ensemble) && fill_nodes(evaluation, ensemble) &&
                fill_votes(evaluation, ensemble);
    return good ? PBIT_OK : PBIT_ERROR_FORMAT;
}

static bool holds(const struct tree_node *node, float x)
{
    if (isnan(x) && node->missing_holds)
        return true;
    switch (node->branch) {
    case LEQ:
        return x <= node->threshold;
    case LT:
        return x < node->threshold;
    case GTE:
        return x >= node->threshold;
    case GT:
        return x > node->threshold;
    case EQ:
        return x == node->threshold;
    default:
        return x != node->threshold;
    }
}

/// The leaf that a row comes to; NULL when the nodes go in a circle.
static const struct tree_node *find_leaf(const struct ensemble *ensemble, size_t root,
                                         const struct pbitc_tensor *input, int64_t row)
{
    const struct tree_node *node = &ensemble->nodes[root];
    for (size_t steps = 0; node->branch != LEAF; steps++) {
        if (steps > ensemble->node_count)
            return NULL;
        float x = (float)pbitc_real_at(input, row * ensemble->features + node->feature);
        node = &ensemble->nodes[node->next[holds(node, x)]];
    }
    return node;
}

/// What all trees say of a row; `voted` is 1 where any does.
static bool aggregate_row(const struct ensemble *ensemble, const struct pbitc_tensor *input, int64_t row,
                          double *scores, double *voted)
{
    for (size_t t = 0; t < ensemble->targets; t++)
        scores[t] = voted[t] = 0;
    for (size_t r = 0; r < ensemble->root_count; r++) {
        const struct tree_node *leaf = find_leaf(ensemble, ensemble->roots[r], input, row);
        if (!leaf)
            return false;
        for (size_t v = leaf->first; v < leaf->first + leaf->count; v++) {
            double weight = (double)ensemble->votes[v].weight, *score = &scores[ensemble->votes[v].target];
            bool first = voted[ensemble->votes[v].target] == 0;
            if (ensemble->aggregate == MIN)
                *score = first || weight < *score ? weight : *score;
            else if (ensemble->aggregate == MAX)
                *score = first || weight > *score ? weight : *score;
            else
                *score += weight;
            voted[ensemble->votes[v].target] = 1;
        }
    }
    for (size_t t = 0; ensemble->aggregate == AVERAGE && t < ensemble->targets; t++)
        scores[t] /= (double)ensemble->root_count;
    return true;
}

static enum pbit_status circle(const struct pbitc_evaluation *evaluation)
{
    return PBITC_MALFORMED(evaluation, "the nodes of a tree go in a circle");
}

/// Like ONNX Runtime, which transforms a single score with PROBIT alone.
enum pbit_status evaluate_tree_regressor(struct pbitc_evaluation *evaluation)
{
    struct ensemble ensemble;
    double *scores;
    enum pbit_status status = ensemble_read(evaluation, &ensemble, &scores);
    for (int64_t row = 0; !status && row < ensemble.rows; row++) {
        float *output = (float *)evaluation->outputs[0].data + (size_t)row * ensemble.targets;
        if (!aggregate_row(&ensemble, evaluation->inputs[0], row, scores, scores + ensemble.targets))
            return circle(evaluation);
        for (size_t t = 0; ensemble.base_count == ensemble.targets && t < ensemble.targets; t++)
            scores[t] += (double)ensemble.base[t];
        if (ensemble.targets > 1 || ensemble.transform == PBITC_POST_PROBIT)
            pbitc_post_transform_apply(ensemble.transform, scores, ensemble.targets);
        for (size_t t = 0; t < ensemble.targets; t++)
            output[t] = (float)scores[t];
    }
    return status;
}

/// Two classes of which the leaves name one only, whose score decides; as ONNX Runtime has it, a first class
/// that is named stands for the second. Returns the class; sets both scores.
static size_t decide_binary(const struct ensemble *ensemble, double *scores, bool only_positive)
{
    bool second = ensemble->votes[0].target == 1;
    double score = second ? scores[1] : scores[0] + (ensemble->base_count ? (double)ensemble->base[0] : 0);
    if (second)
        pbitc_post_transform_apply(ensemble->transform, scores, 2);
    else
        pbitc_post_transform_pair(ensemble->transform, only_positive, score, scores);
    return score > (only_positive ? 0.5 : 0);
}

static size_t decide(const struct ensemble *ensemble, double *scores)
{
    size_t best = 0;
    for (size_t t = 0; t < ensemble->targets; t++) {
        scores[t] += t < ensemble->base_count ? (double)ensemble->base[t] : 0;
        best = scores[t] > scores[best] ? t : best;
    }
    pbitc_post_transform_apply(ensemble->transform, scores, ensemble->targets);
    return best;
}

enum pbit_status evaluate_tree_classifier(struct pbitc_evaluation *evaluation)
{
    struct ensemble ensemble;
    struct pbitc_labels labels;
    double *scores;
    enum pbit_status status = ensemble_read(evaluation, &ensemble, &scores);
    if (!status)
        status = pbitc_labels_read(evaluation, "classlabels_int64s", &labels);
    if (status)
        return status;
    bool only_positive = true;
    for (size_t i = 0; i < ensemble.vote_count; i++)
        only_positive = only_positive && ensemble.votes[i].weight >= 0;
    for (int64_t row = 0; row < ensemble.rows; row++) {
        if (!aggregate_row(&ensemble, evaluation->inputs[0], row, scores, scores + ensemble.targets))
            return circle(evaluation);
        size_t best = ensemble.targets == 2 ? decide_binary(&ensemble, scores, only_positive)
                                            : decide(&ensemble, scores);
        if (pbitc_output_used(evaluation, 0))
            ((int64_t *)evaluation->outputs[0].data)[row] = pbitc_label_at(&labels, best);
        for (size_t t = 0; pbitc_output_used(evaluation, 1) && t < ensemble.targets; t++)
            ((float *)evaluation->outputs[1].data)[(size_t)row * ensemble.targets + t] = (float)scores[t];
    }
    return PBIT_OK;
}
