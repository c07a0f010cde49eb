// An If whose condition is a constant: the branch that it takes moves into the graph around it.
#include "passes/pass_support.h"

struct pbitc_graph *pbitc_decided_branch(const struct pbitc_node *node)
{
    if (!pbitc_node_is(node, PBITC_OP_If) || !node->inputs[0] || !node->inputs[0]->constant)
        return NULL;
    const struct pbitc_tensor *condition = node->inputs[0]->constant;
    if (condition->type != PBITC_BOOL || pbitc_shape_elements(&condition->shape) != 1)
        return NULL;
    struct pbitc_graph *branch =
        pbitc_node_graph(node, *(const uint8_t *)condition->data ? "then_branch" : "else_branch");
    bool fits =
        branch && branch->input_count == node->input_count - 1 && branch->output_count >= node->output_count;
    return fits ? branch : NULL;
}

/// Every value of the branch gets its like in the graph: what was handed in, a constant, or a new value.
static struct pbitc_value **move_values(struct pbitc_graph *graph, const struct pbitc_node *node,
                                        const struct pbitc_graph *branch)
{
    struct pbitc_value **moved = pbitc_arena_allocate(graph->arena, branch->value_count, sizeof(*moved));
    for (size_t i = 0; moved && i < branch->input_count; i++)
        moved[branch->inputs[i]->index] = node->inputs[1 + i];
    for (size_t i = 0; moved && i < branch->value_count; i++) {
        const struct pbitc_value *value = branch->values[i];
        if (moved[i])
            continue;
        moved[i] = pbitc_graph_add_value(graph, value->name, value->type, &value->shape);
        if (!moved[i])
            return NULL;
        moved[i]->constant = value->constant; // of the same arena
    }
    return moved;
}

static bool move_node(struct pbitc_graph *graph, struct pbitc_node *position, struct pbitc_node *node,
                      struct pbitc_value *const *moved)
{
    struct pbitc_value **inputs = pbitc_arena_allocate(graph->arena, node->input_count, sizeof(*inputs));
    struct pbitc_value **outputs = pbitc_arena_allocate(graph->arena, node->output_count, sizeof(*outputs));
    if (!inputs || !outputs)
        return false;
    for (size_t i = 0; i < node->input_count; i++)
        inputs[i] = node->inputs[i] ? moved[node->inputs[i]->index] : NULL;
    for (size_t i = 0; i < node->output_count; i++)
        outputs[i] = node->outputs[i] ? moved[node->outputs[i]->index] : NULL;
    struct pbitc_node *twin = pbitc_graph_insert_node(graph, position, node->name, node->op, inputs,
                                                      node->input_count, outputs, node->output_count);
    if (!twin)
        return false;
    twin->opset = node->opset;
    twin->attributes = node->attributes; // inner graphs among them live in the same arena
    return true;
}

/// The outputs of the If carry on what the branch has computed.
static bool hand_over(struct pbitc_graph *graph, struct pbitc_node *position, const struct pbitc_node *node,
                      const struct pbitc_graph *branch, struct pbitc_value *const *moved)
{
    for (size_t i = 0; i < node->output_count; i++)
        if (node->outputs[i] && !pbitc_insert_unary(graph, position, node->name, PBITC_OP_Identity,
                                                    moved[branch->outputs[i]->index], node->outputs[i]))
            return false;
    return true;
}

bool pbitc_inline_branch(struct pbitc_graph *graph, struct pbitc_node *node, struct pbitc_graph *branch)
{
    struct pbitc_value **moved = move_values(graph, node, branch);
    struct pbitc_node *position = node->next;
    if (!moved)
        return false;
    pbitc_graph_remove_node(graph, node);
    PBITC_FOR_EACH_NODE(inner, branch)
    if (!move_node(graph, position, inner, moved))
        return false;
    return hand_over(graph, position, node, branch, moved);
}
