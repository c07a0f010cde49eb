// Units of fixed-point values. A linear neuron wants its own probability, a table wants the real
// pre-activation, an output wants as many fractional bits as fit. What a reader wants is handed back through
// pools, sums and concatenations to the layers, whose multipliers and biases then cost nothing extra.
#include "passes/lowering/lowering.h"

#include "passes/pass_support.h"

#include <math.h>

static struct pbitc_unit uniform_unit(struct pbitc_lowering *lowering, uint32_t channels, float gain)
{
    float *gains = pbitc_lowering_allocate(lowering, channels, sizeof(float));
    float *offsets = pbitc_lowering_allocate(lowering, channels, sizeof(float));
    for (uint32_t c = 0; gains && offsets && c < channels; c++)
        gains[c] = gain;
    return (struct pbitc_unit){gains, offsets};
}

static bool is_uniform(const struct pbitc_unit *unit, uint32_t channels)
{
    for (uint32_t c = 1; c < channels; c++)
        if (unit->gain[c] != unit->gain[0] || unit->offset[c] != unit->offset[0])
            return false;
    return true;
}

/// `reader` wants `value` in `unit` ([channels] of a tensor of the value's own shape).
static void ask(struct pbitc_lowering *lowering, const struct pbitc_node *reader,
                const struct pbitc_value *value, struct pbitc_unit unit)
{
    const struct pbitc_placement *placement = &lowering->placements[value->index];
    if (!placement->holder || placement->levels || !unit.gain || !unit.offset)
        return; // levels are brought into the unit where they are read
    uint32_t height, width, channels;
    if (!pbitc_image_size(&value->shape, &height, &width, &channels))
        return;
    struct pbitc_unit *known = &lowering->units[placement->holder->index];
    if (known->gain) {
        pbitc_refuse(lowering, reader, "give the model one output per layer, or remove the extra output",
                     "'%s' is wanted by several readers in different units", value->name);
    } else if (placement->holder == value || pbitc_is_standard(placement, &value->shape)) {
        *known = unit;
    } else if (is_uniform(&unit, channels)) {
        *known = uniform_unit(lowering, placement->channels, unit.gain[0]);
        for (uint32_t c = 0; known->offset && c < placement->channels; c++)
            ((float *)known->offset)[c] = unit.offset[0];
    } else {
        pbitc_refuse(lowering, reader, "move the activation in front of the reshape",
                     "'%s' is reshaped between its layer and an activation with a range per channel",
                     value->name);
    }
}

/// Fractional bits for an output: the calibrated values fill at most 1/16 of the i32 range.
static float output_gain(const struct pbitc_lowering *lowering, const struct pbitc_value *output)
{
    const struct pbitc_range *range = pbitc_find_range(lowering->context, output);
    float largest = 0;
    for (size_t c = 0; range && c < range->count; c++)
        largest = fmaxf(largest, fmaxf(fabsf(range->low[c]), fabsf(range->high[c])));
    if (!(largest > 0) || !isfinite(largest))
        return 1;
    int exponent = (int)floorf(log2f(2048 / largest));
    return ldexpf(1, exponent > 40 ? 40 : exponent);
}

struct pbitc_unit pbitc_output_unit(struct pbitc_lowering *lowering, const struct pbitc_value *output,
                                    uint32_t channels)
{
    return uniform_unit(lowering, channels, output_gain(lowering, output));
}

/// Hands the unit of a node's output to the inputs it is made of.
static void hand_back(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    const struct pbitc_value *output = node->outputs[0];
    const struct pbitc_unit *unit = &lowering->units[output->index];
    uint32_t channels = lowering->placements[output->index].channels;
    if (!unit->gain)
        return;
    switch ((int)node->op->id) {
    case PBITC_OP_MaxPool:
    case PBITC_OP_GlobalMaxPool:
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalAveragePool:
        ask(lowering, node, node->inputs[0], *unit);
        break;
    case PBITC_OP_Add: {
        struct pbitc_unit second = {unit->gain, pbitc_lowering_allocate(lowering, channels, sizeof(float))};
        // The first operand carries the offset, as in lower_add.
        ask(lowering, node, node->inputs[0], *unit);
        ask(lowering, node, node->inputs[1], second);
        break;
    }
    case PBITC_OP_Concat:
        for (size_t i = 0, first = 0; i < node->input_count; i++) {
            struct pbitc_unit part = {unit->gain + first, unit->offset + first};
            ask(lowering, node, node->inputs[i], part);
            first += lowering->placements[node->inputs[i]->index].channels;
            if (first > channels)
                break;
        }
        break;
    default:
        break;
    }
}

void pbitc_choose_units(struct pbitc_lowering *lowering)
{
    struct pbitc_graph *graph = lowering->graph;
    for (size_t i = 0; i < graph->output_count; i++) {
        const struct pbitc_value *output = graph->outputs[i];
        const struct pbitc_value *made = pbitc_before_softmax(output);
        uint32_t height, width, channels;
        if (pbitc_image_size(&made->shape, &height, &width, &channels))
            ask(lowering, output->producer, made, pbitc_output_unit(lowering, made, channels));
    }
    for (struct pbitc_node *node = graph->last; node; node = node->previous) {
        struct pbitc_unit unit;
        if (!pbitc_node_is(node, PBITC_OP_PBit))
            hand_back(lowering, node);
        else if (lowering->placements[node->outputs[0]->index].holder &&
                 pbitc_neuron_unit(lowering, node, lowering->placements[node->outputs[0]->index].channels,
                                   &unit))
            ask(lowering, node, node->inputs[0], unit);
    }
}
