// The operators of ai.onnx.ml, for which ONNX has no backend tests, and indices from data that lead nowhere.
// Expected values: worked out by hand, in agreement with ONNX Runtime.
#include "tests/passes/operator_cases.h"
#include "tests/run_suite.h"

#define SHAPE(...)                                                                                           \
    (struct pbitc_shape)                                                                                     \
    {                                                                                                        \
        (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                                           \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define FLOATS(c, name, ...)                                                                                 \
    ck_assert(pbitc_node_set_floats((c)->graph, (c)->node, name, (const float[]){__VA_ARGS__},               \
                                    sizeof((const float[]){__VA_ARGS__}) / sizeof(float)))
#define INTS(c, name, ...)                                                                                   \
    ck_assert(pbitc_node_set_ints((c)->graph, (c)->node, name, (const int64_t[]){__VA_ARGS__},               \
                                  sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define STRINGS(c, name, ...)                                                                                \
    ck_assert(pbitc_node_set_strings((c)->graph, (c)->node, name, (const char *const[]){__VA_ARGS__},        \
                                     sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))
#define TEXT(c, name, text) ck_assert(pbitc_node_set_string((c)->graph, (c)->node, name, text))

/// A node on float features [rows x columns].
static struct node_case start(const char *op, int64_t rows, int64_t columns, const float *features,
                              size_t outputs)
{
    struct node_case c = case_create(op);
    memcpy(case_input(&c, PBITC_FLOAT32, SHAPE(rows, columns)), features,
           (size_t)(rows * columns) * sizeof(*features));
    case_node(&c, outputs);
    return c;
}

static void run_again(struct node_case *c)
{
    pbitc_interpreter_destroy(c->interpreter);
    c->interpreter = NULL;
    case_run(c);
}

START_TEST(linear_classifier)
{
    struct node_case c = start("LinearClassifier", 2, 2, (const float[]){1, 2, -1, 0.5f}, 2);
    FLOATS(&c, "coefficients", 1, 0, 0, 1, -1, -1);
    FLOATS(&c, "intercepts", 0, 0.5f, 0.25f);
    INTS(&c, "classlabels_ints", 10, 20, 30);
    assert_integers(case_run(&c), (const int64_t[]){20, 20}, 2);
    assert_floats(case_output(&c, 1), (const float[]){1, 2.5f, -2.75f, -1, 1, 0.75f}, 6);
    TEXT(&c, "post_transform", "SOFTMAX");
    run_again(&c);
    assert_floats(case_output(&c, 1),
                  (const float[]){0.181647f, 0.814082f, 0.0042719f, 0.070703f, 0.522429f, 0.406868f}, 6);
    case_destroy(&c);

    // One score for two classes, whose labels are strings: their index.
    c = start("LinearClassifier", 2, 1, (const float[]){-1, 2}, 2);
    FLOATS(&c, "coefficients", 1);
    FLOATS(&c, "intercepts", 0.25f);
    STRINGS(&c, "classlabels_strings", "no", "yes");
    assert_integers(case_run(&c), (const int64_t[]){0, 1}, 2);
    assert_floats(case_output(&c, 1), (const float[]){1.75f, -0.75f, -1.25f, 2.25f}, 4);
    TEXT(&c, "post_transform", "LOGISTIC");
    run_again(&c);
    assert_floats(case_output(&c, 1), (const float[]){0.679179f, 0.320821f, 0.0953495f, 0.904651f}, 4);
    case_destroy(&c);
}
END_TEST

START_TEST(regressors)
{
    struct node_case c = start("LinearRegressor", 2, 2, (const float[]){1, 2, 3, 4}, 1);
    FLOATS(&c, "coefficients", 1, 10, 0.5f, 0);
    FLOATS(&c, "intercepts", 1, -1);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "targets", 2));
    assert_floats(case_run(&c), (const float[]){22, -0.5f, 44, 0.5f}, 4);
    FLOATS(&c, "intercepts", 1, -1, 3);
    pbitc_interpreter_destroy(c.interpreter);
    c.interpreter = NULL;
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    case_destroy(&c);

    c = start("SVMRegressor", 1, 2, (const float[]){1, 2}, 1);
    FLOATS(&c, "coefficients", 2, -1);
    FLOATS(&c, "support_vectors", 1, 0, 0, 1);
    FLOATS(&c, "kernel_params", 0.5f, 1, 2);
    FLOATS(&c, "rho", 0.25f);
    ck_assert(pbitc_node_set_int(c.graph, c.node, "n_supports", 2));
    TEXT(&c, "kernel_type", "POLY"); // 2 (0.5 + 1)^2 - (1 + 1)^2 + 0.25
    assert_floats(case_run(&c), (const float[]){0.75f}, 1);
    case_destroy(&c);
}
END_TEST

/// x0 <= 0.5 ? (x1 > 2 ? 1 : 2) : 3, and a tree that always says 10.
static void add_trees(struct node_case *c)
{
    INTS(c, "nodes_treeids", 0, 0, 0, 0, 0, 1);
    INTS(c, "nodes_nodeids", 0, 1, 2, 3, 4, 0);
    INTS(c, "nodes_featureids", 0, 1, 0, 0, 0, 0);
    INTS(c, "nodes_truenodeids", 1, 2, 0, 0, 0, 0);
    INTS(c, "nodes_falsenodeids", 4, 3, 0, 0, 0, 0);
    FLOATS(c, "nodes_values", 0.5f, 2, 0, 0, 0, 0);
    STRINGS(c, "nodes_modes", "BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "LEAF");
}

START_TEST(tree_regressor)
{
    static const float features[] = {0, 3, 0.5f, 2, 1, 0};
    static const struct {
        const char *aggregate;
        float expected[3];
    } cases[] = {
        {"SUM", {11, 12, 13}}, {"AVERAGE", {5.5f, 6, 6.5f}}, {"MIN", {1, 2, 3}}, {"MAX", {10, 10, 10}}};
    for (size_t i = 0; i < 4; i++) {
        struct node_case c = start("TreeEnsembleRegressor", 3, 2, features, 1);
        add_trees(&c);
        INTS(&c, "target_treeids", 0, 0, 0, 1);
        INTS(&c, "target_nodeids", 2, 3, 4, 0);
        INTS(&c, "target_ids", 0, 0, 0, 0);
        FLOATS(&c, "target_weights", 1, 2, 3, 10);
        TEXT(&c, "aggregate_function", cases[i].aggregate);
        assert_floats(case_run(&c), cases[i].expected, 3);
        case_destroy(&c);
    }
}
END_TEST

START_TEST(tree_classifier)
{
    static const float features[] = {0, 3, 0.5f, 2, 1, 0};
    struct node_case c = start("TreeEnsembleClassifier", 3, 2, features, 2);
    add_trees(&c);
    INTS(&c, "class_treeids", 0, 0, 0, 1);
    INTS(&c, "class_nodeids", 2, 3, 4, 0);
    INTS(&c, "class_ids", 0, 1, 2, 1);
    FLOATS(&c, "class_weights", 1, 2, 3, 2.5f);
    INTS(&c, "classlabels_int64s", 7, 8, 9);
    assert_integers(case_run(&c), (const int64_t[]){8, 8, 9}, 3);
    assert_floats(case_output(&c, 1), (const float[]){1, 2.5f, 0, 0, 4.5f, 0, 0, 2.5f, 3}, 9);
    INTS(&c, "nodes_falsenodeids", 4, 1, 0, 0, 0, 0); // node 1 leads to itself
    pbitc_interpreter_destroy(c.interpreter);
    c.interpreter = NULL;
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    case_destroy(&c);

    // Leaves that speak of the first of two classes mean the second.
    c = start("TreeEnsembleClassifier", 3, 2, features, 2);
    add_trees(&c);
    INTS(&c, "class_treeids", 0, 0, 0, 1);
    INTS(&c, "class_nodeids", 2, 3, 4, 0);
    INTS(&c, "class_ids", 0, 0, 0, 0);
    FLOATS(&c, "class_weights", 0.25f, 0.75f, 0.5f, 0);
    INTS(&c, "classlabels_int64s", 7, 8);
    assert_integers(case_run(&c), (const int64_t[]){7, 8, 7}, 3);
    assert_floats(case_output(&c, 1), (const float[]){0.75f, 0.25f, 0.25f, 0.75f, 0.5f, 0.5f}, 6);
    INTS(&c, "class_ids", 0, 1, 0, 1);
    pbitc_interpreter_destroy(c.interpreter);
    c.interpreter = NULL;
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_UNSUPPORTED);
    case_destroy(&c);
}
END_TEST

START_TEST(features_are_prepared)
{
    static const float features[] = {3, -4, 0, 0};
    struct node_case c = start("Scaler", 2, 2, features, 1);
    FLOATS(&c, "offset", 1, 2);
    FLOATS(&c, "scale", 2);
    assert_floats(case_run(&c), (const float[]){4, -12, -2, -4}, 4);
    case_destroy(&c);
    static const struct {
        const char *norm;
        float expected[4];
    } norms[] = {
        {"MAX", {1, -4.0f / 3, 0, 0}}, {"L1", {3.0f / 7, -4.0f / 7, 0, 0}}, {"L2", {0.6f, -0.8f, 0, 0}}};
    for (size_t i = 0; i < 3; i++) {
        c = start("Normalizer", 2, 2, features, 1);
        TEXT(&c, "norm", norms[i].norm);
        assert_floats(case_run(&c), norms[i].expected, 4);
        case_destroy(&c);
    }
    c = start("Imputer", 2, 2, features, 1);
    FLOATS(&c, "imputed_value_floats", 5, 6);
    assert_floats(case_run(&c), (const float[]){3, -4, 5, 6}, 4);
    case_destroy(&c);
    c = start("LabelEncoder", 2, 2, features, 1);
    FLOATS(&c, "keys_floats", 0, 3);
    INTS(&c, "values_int64s", 100, 200);
    assert_integers(case_run(&c), (const int64_t[]){200, -1, 100, 100}, 4);
    case_destroy(&c);
    c = start("OneHotEncoder", 1, 2, features, 1);
    INTS(&c, "cats_int64s", 3, 4);
    assert_floats(case_run(&c), (const float[]){1, 0, 0, 0}, 4);
    case_destroy(&c);
}
END_TEST

START_TEST(indices_that_lead_nowhere)
{
    static const char *const ops[] = {"GatherElements", "GatherND", "ScatterElements", "ScatterND"};
    for (size_t i = 0; i < 4; i++) {
        struct node_case c = case_create(ops[i]);
        case_input(&c, PBITC_FLOAT32, SHAPE(2, 2));
        int64_t *indices = case_input(&c, PBITC_INT64, SHAPE(2, 2));
        if (i >= 2)
            case_input(&c, PBITC_FLOAT32, i == 2 ? SHAPE(2, 2) : SHAPE(2));
        case_node(&c, 1);
        indices[3] = -2;
        case_run(&c);
        indices[3] = 2;
        ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
        ck_assert_str_eq(case_message(&c), "index 2 is outside a dimension of 2");
        case_destroy(&c);
    }
    struct node_case c = case_create("MaxUnpool");
    case_input(&c, PBITC_FLOAT32, SHAPE(1, 1, 2));
    int64_t *indices = case_input(&c, PBITC_INT64, SHAPE(1, 1, 2));
    case_node(&c, 1);
    INTS(&c, "kernel_shape", 2);
    INTS(&c, "strides", 2);
    indices[1] = 4;
    ck_assert_int_eq(case_try(&c, 1), PBIT_ERROR_FORMAT);
    case_destroy(&c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("classical models");
    TCase *tcase = tcase_create("classical models");
    tcase_add_test(tcase, linear_classifier);
    tcase_add_test(tcase, regressors);
    tcase_add_test(tcase, tree_regressor);
    tcase_add_test(tcase, tree_classifier);
    tcase_add_test(tcase, features_are_prepared);
    tcase_add_test(tcase, indices_that_lead_nowhere);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
