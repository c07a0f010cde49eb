// correct-bias: clipping, rounding and noise that passes a nonlinearity move the mean of what the next layer
// sees. Layer by layer, in order, the bias takes that shift back, so that each channel's mean over the
// calibration images is the float network's again.
#include "passes/pass_support.h"

#include "passes/moments.h"

static struct pbitc_mean *find_mean(const struct pbitc_context *context, const struct pbitc_value *value)
{
    for (struct pbitc_mean *mean = context->means; mean; mean = mean->next)
        if (mean->value == value)
            return mean;
    return NULL;
}

static enum pbit_status correct(struct pbitc_graph *graph, struct pbitc_context *context,
                                struct pbitc_node *layer, const struct pbitc_mean *wanted)
{
    struct pbitc_mean now = {wanted->value, wanted->channels,
                             pbitc_arena_allocate(graph->arena, wanted->channels, sizeof(double)), NULL};
    struct pbitc_shape shape;
    const float *old = pbitc_constant_floats(layer, 2, &shape);
    struct pbitc_value *bias = old ? pbitc_add_floats(graph, layer->inputs[2]->name, &shape) : NULL;
    if (!now.mean || !bias)
        return pbitc_out_of_memory(context);
    enum pbit_status status = pbitc_gather_means(graph, context, true, &now);
    if (status != PBIT_OK)
        return status;
    for (size_t k = 0; k < wanted->channels; k++)
        ((float *)bias->constant->data)[k] = old[k] + (float)(wanted->mean[k] - now.mean[k]);
    layer->inputs[2] = bias;
    return PBIT_OK;
}

enum pbit_status pbitc_correct_bias(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        const struct pbitc_mean *wanted = node->quantized ? find_mean(context, node->outputs[0]) : NULL;
        if (!wanted)
            continue;
        enum pbit_status status = correct(graph, context, node, wanted);
        if (status != PBIT_OK)
            return status;
        *changed = true;
    }
    context->means = NULL; // done: a second run has nothing to compare with
    return PBIT_OK;
}
