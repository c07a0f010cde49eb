// fuse-activations: an activation that the model spells out in elementwise operators becomes the one operator
// that computes it, which swap-activations knows.
#include "passes/activation_match.h"
#include "passes/pass_support.h"

#include <math.h>

static bool set_bound(struct pbitc_graph *graph, struct pbitc_node *clip, size_t index, float bound)
{
    if (!isfinite(bound))
        return true;
    const struct pbitc_shape scalar = {.rank = 0};
    struct pbitc_value *value = pbitc_add_floats(graph, clip->name, &scalar);
    if (!value)
        return false;
    *(float *)value->constant->data = bound;
    return pbitc_node_set_input(graph, clip, index, value);
}

static bool set_parameters(struct pbitc_graph *graph, struct pbitc_node *node,
                           const struct pbitc_activation_match *match)
{
    switch ((int)match->op) {
    case PBITC_OP_Clip:
        return set_bound(graph, node, 1, match->alpha) && set_bound(graph, node, 2, match->beta);
    case PBITC_OP_Gelu:
        return !match->by_tanh || pbitc_node_set_string(graph, node, "approximate", "tanh");
    case PBITC_OP_HardSigmoid:
        return pbitc_node_set_float(graph, node, "alpha", match->alpha) &&
               pbitc_node_set_float(graph, node, "beta", match->beta);
    case PBITC_OP_Elu:
    case PBITC_OP_LeakyRelu:
    case PBITC_OP_Swish:
        return pbitc_node_set_float(graph, node, "alpha", match->alpha);
    default:
        return true;
    }
}

static enum pbit_status fuse(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *root, const struct pbitc_activation_match *match)
{
    struct pbitc_value *output = root->outputs[0];
    struct pbitc_node *position = root->next;
    const char *name = root->name;
    pbitc_graph_remove_node(graph, root);
    struct pbitc_node *node = pbitc_insert_unary(graph, position, name, match->op, match->x, output);
    return node && set_parameters(graph, node, match) ? PBIT_OK : pbitc_out_of_memory(context);
}

enum pbit_status pbitc_fuse_activations(struct pbitc_graph *graph, struct pbitc_context *context,
                                        bool *changed)
{
    for (struct pbitc_node *node = graph->last, *previous; node; node = previous) {
        struct pbitc_activation_match match;
        previous = node->previous;
        if (!pbitc_match_activation(graph, node, &match))
            continue;
        enum pbit_status status = fuse(graph, context, node, &match);
        if (status != PBIT_OK)
            return status;
        *changed = true;
        pbitc_graph_remove_dead_nodes(graph); // what only the root has read; it lies before the root
        previous = graph->last;
    }
    return PBIT_OK;
}
