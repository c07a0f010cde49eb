// fold-constants: a node whose inputs are all constants becomes constants; an If whose condition is one
// becomes the branch it takes; Identity and Dropout disappear.
#include "passes/pass_support.h"

#include <string.h>

static bool is_foldable(const struct pbitc_node *node)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && !node->inputs[i]->constant)
            return false;
    return node->op->id != PBITC_OP_PBit;
}

static enum pbit_status fold(struct pbitc_graph *graph, struct pbitc_context *context,
                             struct pbitc_node *node)
{
    struct pbitc_tensor **tensors = pbitc_arena_allocate(graph->arena, node->output_count, sizeof(*tensors));
    if (!tensors)
        return pbitc_out_of_memory(context);
    enum pbit_status status = pbitc_evaluate_constant_node(graph, node, context->diagnostics, tensors);
    if (status != PBIT_OK)
        return status;
    for (size_t i = 0; i < node->output_count; i++) {
        struct pbitc_value *output = node->outputs[i];
        if (!output)
            continue;
        output->constant = tensors[i]; // the value stays: its uses and its name with it
        output->type = tensors[i]->type;
        output->shape = tensors[i]->shape;
    }
    pbitc_graph_remove_node(graph, node);
    return PBIT_OK;
}

static bool passes_through(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_Identity) ||
           (pbitc_node_is(node, PBITC_OP_Dropout) && (node->output_count < 2 || !node->outputs[1]));
}

enum pbit_status pbitc_fold_constants(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        next = node->next;
        struct pbitc_node *previous = node->previous;
        struct pbitc_graph *branch = is_foldable(node) ? NULL : pbitc_decided_branch(node);
        if (branch) {
            if (!pbitc_inline_branch(graph, node, branch))
                return pbitc_out_of_memory(context);
            next = previous ? previous->next : graph->first;
            *changed = true;
        } else if (is_foldable(node)) {
            enum pbit_status status = fold(graph, context, node);
            if (status != PBIT_OK)
                return status;
            *changed = true;
        } else if (passes_through(node)) {
            pbitc_graph_replace_uses(graph, node->outputs[0], node->inputs[0]);
            if (pbitc_graph_use_count(graph, node->outputs[0]) > 0)
                continue; // an input of the graph that is its output: somebody has to carry the second name
            pbitc_graph_remove_node(graph, node);
            *changed = true;
        }
    }
    *changed |= pbitc_graph_remove_dead_nodes(graph) > 0;
    return PBIT_OK;
}
