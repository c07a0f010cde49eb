#include "passes/borrow_weights.h"

#include "passes/pass_support.h"

#include <string.h>

static struct pbitc_value *copy_floats(struct pbitc_graph *graph, const struct pbitc_value *from)
{
    struct pbitc_value *value = pbitc_add_floats(graph, from->name, &from->constant->shape);
    if (value)
        memcpy(value->constant->data, from->constant->data,
               (size_t)pbitc_shape_elements(&from->constant->shape) * sizeof(float));
    return value;
}

bool pbitc_borrow_weights(struct pbitc_graph *graph, struct pbitc_node *layer, const struct pbitc_node *from,
                          struct pbitc_borrowed *borrowed)
{
    *borrowed = (struct pbitc_borrowed){
        layer,
        layer->inputs,
        {layer->inputs[0], copy_floats(graph, from->inputs[1]), copy_floats(graph, from->inputs[2])},
        layer->input_count};
    if (!borrowed->replaced[1] || !borrowed->replaced[2])
        return false;
    layer->inputs = borrowed->replaced;
    layer->input_count = 3;
    return true;
}

void pbitc_return_weights(struct pbitc_borrowed *borrowed)
{
    borrowed->layer->inputs = borrowed->inputs;
    borrowed->layer->input_count = borrowed->input_count;
}
