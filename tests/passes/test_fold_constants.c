// fold-constants: nodes of constants become constants, Identity and Dropout go.
#include "tests/passes/pass_case.h"

START_TEST(a_chain_of_constants_becomes_one)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
    struct pbitc_value *sum = pass_node(c, "Add", pass_weights(c, SHAPE(4)), pass_weights(c, SHAPE(4)), NULL);
    struct pbitc_value *root = pass_node(c, "Sigmoid", sum, NULL, NULL);
    pass_output(c, pass_node(c, "Mul", x, root, NULL));
    ck_assert(pass_preserves(c, "fold-constants"));
    ck_assert_uint_eq(pass_count(c, "Mul"), 1);
    ck_assert_ptr_eq(c->graph->first, c->graph->last);
    pass_case_destroy(c);
}
END_TEST

START_TEST(identity_and_dropout_disappear)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
    struct pbitc_value *a = pass_node(c, "Identity", x, NULL, NULL);
    struct pbitc_value *b = pass_node(c, "Dropout", pass_node(c, "Relu", a, NULL, NULL), NULL, NULL);
    pass_output(c, pass_node(c, "Identity", b, NULL, NULL));
    const char *name = c->graph->outputs[0]->name;
    ck_assert(pass_preserves(c, "fold-constants"));
    ck_assert_uint_eq(pass_count(c, "Identity") + pass_count(c, "Dropout"), 0);
    ck_assert_str_eq(c->graph->outputs[0]->name, name);
    pass_case_destroy(c);
}
END_TEST

START_TEST(an_input_that_is_the_output_keeps_its_identity)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_node(c, "Identity", pass_input(c, SHAPE(1, 4)), NULL, NULL));
    ck_assert(!pass_preserves(c, "fold-constants"));
    ck_assert_uint_eq(pass_count(c, "Identity"), 1);
    pass_case_destroy(c);
}
END_TEST

START_TEST(dead_nodes_go)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
    pass_node(c, "Tanh", pass_node(c, "Sigmoid", x, NULL, NULL), NULL, NULL);
    pass_output(c, pass_node(c, "Relu", x, NULL, NULL));
    ck_assert(pass_preserves(c, "fold-constants"));
    ck_assert_uint_eq(pass_count(c, "Tanh") + pass_count(c, "Sigmoid"), 0);
    pass_case_destroy(c);
}
END_TEST

START_TEST(nothing_to_fold_changes_nothing)
{
    struct pass_case *c = pass_case_create();
    pass_output(c, pass_dense(c, pass_input(c, SHAPE(1, 4)), 4, 3));
    ck_assert(!pass_preserves(c, "fold-constants"));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("fold-constants", a_chain_of_constants_becomes_one, identity_and_dropout_disappear,
          an_input_that_is_the_output_keeps_its_identity, dead_nodes_go, nothing_to_fold_changes_nothing)
