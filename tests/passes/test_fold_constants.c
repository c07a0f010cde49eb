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

/// y = condition ? Relu(x) * w : Tanh(x), with the captured x as input of both branches.
START_TEST(a_decided_if_becomes_its_branch)
{
    for (int taken = 0; taken <= 1; taken++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_input(c, SHAPE(1, 4));
        struct pbitc_value *condition =
            pbitc_graph_add_constant(c->graph, "condition", PBITC_BOOL, &(struct pbitc_shape){0});
        *(uint8_t *)condition->constant->data = (uint8_t)taken;
        struct pbitc_value *y = pass_node(c, "If", condition, x, NULL);
        struct pbitc_node *node = c->node;
        struct pbitc_graph *outer = c->graph;
        for (int branch = 0; branch <= 1; branch++) {
            c->graph = pbitc_graph_create_inner(outer, branch ? "then" : "else");
            c->graph->inputs = pbitc_arena_allocate(outer->arena, 1, sizeof(struct pbitc_value *));
            c->graph->outputs = pbitc_arena_allocate(outer->arena, 1, sizeof(struct pbitc_value *));
            struct pbitc_value *captured =
                pbitc_graph_add_value(c->graph, "x", PBITC_TYPE_NONE, &(struct pbitc_shape){.rank = -1});
            c->graph->inputs[c->graph->input_count++] = captured;
            c->graph->capture_count = 1;
            struct pbitc_value *z = pass_node(c, branch ? "Relu" : "Tanh", captured, NULL, NULL);
            pass_output(c, branch ? pass_node(c, "Mul", z, pass_weights(c, SHAPE(4)), NULL) : z);
            ck_assert(pbitc_node_set_graph(outer, node, branch ? "then_branch" : "else_branch", c->graph));
        }
        c->graph = outer;
        pass_output(c, y);
        const char *name = y->name;
        // Shapes of an If are not known before it runs: compare by hand.
        float data[4], *before, *after;
        size_t count;
        pass_fill(data, 4, -1, 1);
        before = pass_evaluate(c, data, 1, y, NULL, &count);
        pass_run(c, "fold-constants");
        ck_assert(c->changed);
        ck_assert_uint_eq(pass_count(c, "If") + pass_count(c, "Identity"), 0);
        ck_assert_uint_eq(pass_count(c, taken ? "Relu" : "Tanh"), 1);
        ck_assert_str_eq(c->graph->outputs[0]->name, name);
        after = pass_evaluate(c, data, 1, c->graph->outputs[0], NULL, NULL);
        ck_assert_uint_eq(count, 4);
        ck_assert_mem_eq(before, after, 4 * sizeof(float));
        pass_run(c, "fold-constants");
        ck_assert(!c->changed);
        free(before);
        free(after);
        pass_case_destroy(c);
    }
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
          an_input_that_is_the_output_keeps_its_identity, dead_nodes_go, a_decided_if_becomes_its_branch,
          nothing_to_fold_changes_nothing)
