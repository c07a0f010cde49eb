// fold-padding: a Pad with zeros around the pixels becomes the padding of the Conv or average pool that reads
// it: Keras pads before a layer with strides, older exporters of PyTorch before every AveragePool.
#include "passes/pass_support.h"

#include <string.h>

enum { MAX_SPATIAL = 3 };

static bool is_zero(const struct pbitc_value *value)
{
    return !value ||
           (value->constant && value->type == PBITC_FLOAT32 &&
            pbitc_shape_elements(&value->constant->shape) == 1 && *(const float *)value->constant->data == 0);
}

/// Zeros before and after each spatial dimension, as a layer's attribute has them.
static bool read_zeros(const struct pbitc_node *pad, int64_t zeros[2 * MAX_SPATIAL])
{
    const struct pbitc_value *pads = pad->input_count > 1 ? pad->inputs[1] : NULL;
    int64_t rank = pad->inputs[0]->shape.rank;
    if (!pads || !pads->constant || pads->type != PBITC_INT64 || rank < 3 || rank > 2 + MAX_SPATIAL ||
        pbitc_shape_elements(&pads->constant->shape) != 2 * rank ||
        (pad->input_count > 3 && pad->inputs[3]) || (pad->input_count > 2 && !is_zero(pad->inputs[2])) ||
        strcmp(pbitc_node_string(pad, "mode", "constant"), "constant") != 0)
        return false;
    const int64_t *given = pads->constant->data;
    for (int64_t i = 0; i < 2 * rank; i++)
        if (given[i] < 0 || given[i] > INT32_MAX || (i % rank < 2 && given[i] != 0))
            return false;
    memcpy(zeros, given + 2, (size_t)(rank - 2) * sizeof(*zeros));
    memcpy(zeros + rank - 2, given + rank + 2, (size_t)(rank - 2) * sizeof(*zeros));
    return true;
}

/// Adds the layer's own padding. A pool divides by the number of elements, which must come out the same.
static bool add_padding(const struct pbitc_node *layer, int64_t *zeros, size_t count)
{
    const char *automatic = pbitc_node_string(layer, "auto_pad", "NOTSET");
    bool is_pool = pbitc_node_is(layer, PBITC_OP_AveragePool), is_padded = false;
    size_t own_count;
    const int64_t *own = pbitc_node_ints(layer, "pads", &own_count);
    if ((strcmp(automatic, "NOTSET") != 0 && strcmp(automatic, "VALID") != 0) ||
        (own_count && own_count != count))
        return false;
    for (size_t i = 0; i < own_count && strcmp(automatic, "NOTSET") == 0; i++) {
        is_padded = is_padded || own[i] != 0;
        zeros[i] += own[i];
    }
    return pbitc_node_is(layer, PBITC_OP_Conv) ||
           (is_pool && !pbitc_node_int(layer, "ceil_mode", 0) &&
            (!is_padded || pbitc_node_int(layer, "count_include_pad", 0)));
}

/// The layer that can take the padding over, and what its `pads` then are; or NULL.
static struct pbitc_node *find_layer(const struct pbitc_graph *graph, const struct pbitc_node *node,
                                     int64_t zeros[2 * MAX_SPATIAL])
{
    if (!pbitc_node_is(node, PBITC_OP_Pad) || !read_zeros(node, zeros))
        return NULL;
    struct pbitc_node *layer = pbitc_graph_only_consumer(graph, node->outputs[0]);
    if (!layer || layer->inputs[0] != node->outputs[0] ||
        !add_padding(layer, zeros, 2 * (size_t)(node->inputs[0]->shape.rank - 2)))
        return NULL;
    return layer;
}

bool pbitc_is_layer_padding(const struct pbitc_graph *graph, const struct pbitc_node *node)
{
    int64_t zeros[2 * MAX_SPATIAL];
    return find_layer(graph, node, zeros);
}

enum pbit_status pbitc_fold_padding(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    for (struct pbitc_node *node = graph->first, *next; node; node = next) {
        int64_t zeros[2 * MAX_SPATIAL];
        struct pbitc_node *layer = find_layer(graph, node, zeros);
        next = node->next;
        if (!layer)
            continue;
        if (!pbitc_node_set_ints(graph, layer, "pads", zeros,
                                 2 * (size_t)(node->inputs[0]->shape.rank - 2)) ||
            !pbitc_node_set_string(graph, layer, "auto_pad", "NOTSET") ||
            (pbitc_node_is(layer, PBITC_OP_AveragePool) &&
             !pbitc_node_set_int(graph, layer, "count_include_pad", 1)))
            return pbitc_out_of_memory(context);
        layer->inputs[0] = node->inputs[0];
        pbitc_graph_remove_node(graph, node);
        *changed = true;
    }
    *changed |= pbitc_graph_remove_dead_nodes(graph) > 0;
    return PBIT_OK;
}
