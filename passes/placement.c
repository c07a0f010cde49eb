#include "passes/placement.h"

#include "passes/pass_support.h"
#include "runtime/format.h"

#include <string.h>

bool pbitc_image_size(const struct pbitc_shape *shape, uint32_t *height, uint32_t *width, uint32_t *channels)
{
    if (shape->rank < 2 || shape->rank > 4 || pbitc_shape_elements(shape) < 1 ||
        pbitc_shape_elements(shape) > PBIT_ELEMENTS_LIMIT)
        return false;
    *channels = (uint32_t)shape->dims[1];
    *height = shape->rank == 4 ? (uint32_t)shape->dims[2] : 1;
    *width = shape->rank >= 3 ? (uint32_t)shape->dims[shape->rank - 1] : 1;
    return true;
}

static size_t elements_of(const struct pbitc_shape *shape)
{
    return (size_t)pbitc_shape_elements(shape);
}

/// C x H x W index -> H x W x C index.
static uint32_t standard_index(size_t onnx, uint32_t channels, size_t pixels)
{
    return (uint32_t)(onnx % pixels * channels + onnx / pixels);
}

uint32_t *pbitc_standard_position(struct pbitc_arena *arena, const struct pbitc_shape *shape)
{
    uint32_t height, width, channels;
    if (!pbitc_image_size(shape, &height, &width, &channels))
        return NULL;
    size_t count = elements_of(shape);
    uint32_t *position = pbitc_arena_allocate(arena, count, sizeof(*position));
    for (size_t i = 0; position && i < count; i++)
        position[i] = standard_index(i, channels, (size_t)height * width);
    return position;
}

bool pbitc_is_standard(const struct pbitc_placement *placement, const struct pbitc_shape *shape)
{
    uint32_t height, width, channels;
    if (!pbitc_image_size(shape, &height, &width, &channels) || placement->height != height ||
        placement->width != width || placement->channels != channels)
        return false;
    if (!placement->position)
        return !placement->channels_last;
    size_t count = elements_of(shape), pixels = (size_t)height * width;
    for (size_t i = 0; i < count; i++)
        if (placement->position[i] != standard_index(i, channels, pixels))
            return false;
    return true;
}

/// position[] of a placement, made where it is implied.
static const uint32_t *explicit_position(struct pbitc_arena *arena, const struct pbitc_placement *placement,
                                         const struct pbitc_shape *shape)
{
    if (placement->position || !placement->channels_last)
        return placement->position ? placement->position : pbitc_standard_position(arena, shape);
    size_t count = elements_of(shape);
    uint32_t *same = pbitc_arena_allocate(arena, count, sizeof(*same));
    for (size_t i = 0; same && i < count; i++)
        same[i] = (uint32_t)i;
    return same;
}

bool pbitc_standardize(struct pbitc_arena *arena, const struct pbitc_placement *placement,
                       const struct pbitc_value *value, struct pbitc_placement *standard)
{
    *standard = (struct pbitc_placement){.holder = value, .levels = placement->levels};
    if (!pbitc_image_size(&value->shape, &standard->height, &standard->width, &standard->channels))
        return false;
    if (!placement->levels)
        return true;
    const uint32_t *position = explicit_position(arena, placement, &value->shape);
    float *scale = pbitc_arena_allocate(arena, standard->channels, sizeof(float));
    float *low = pbitc_arena_allocate(arena, standard->channels, sizeof(float));
    if (!position || !scale || !low)
        return false;
    size_t pixels = (size_t)standard->height * standard->width;
    for (size_t i = 0; i < pixels * standard->channels; i++) {
        size_t c = i / pixels, from = position[i] % placement->channels;
        if (i % pixels == 0) {
            scale[c] = placement->scale[from];
            low[c] = placement->low[from];
        } else if (scale[c] != placement->scale[from] || low[c] != placement->low[from]) {
            return false;
        }
    }
    standard->scale = scale;
    standard->low = low;
    return true;
}

// ---- inputs of the graph

/// N x H x W x C: all that reads the input is one Transpose to N x C x H x W.
static bool is_channels_last(const struct pbitc_graph *graph, const struct pbitc_value *input)
{
    const struct pbitc_node *transpose = pbitc_graph_only_consumer(graph, input);
    size_t count;
    if (!pbitc_node_is(transpose, PBITC_OP_Transpose) || input->shape.rank != 4)
        return false;
    const int64_t *order = pbitc_node_ints(transpose, "perm", &count), wanted[] = {0, 3, 1, 2};
    return count == 4 && memcmp(order, wanted, sizeof(wanted)) == 0;
}

/// Pixel q stands for offset + step * q, so level / 255 for offset + 255 * step * level / 255.
static bool scale_of_pixels(const struct pbitc_calibration *calibration, uint32_t channels, float *scale,
                            float *low)
{
    size_t given = calibration->channels;
    if (given == 0 || channels % given != 0)
        return false;
    for (uint32_t c = 0; c < channels; c++) {
        size_t from = c / (channels / given);
        scale[c] = 255 * calibration->pixel_step[from];
        low[c] = calibration->pixel_offset[from];
    }
    return true;
}

static void scale_of_range(const struct pbitc_range *range, bool channels_last, uint32_t channels,
                           float *scale, float *low)
{
    for (uint32_t c = 0; c < channels; c++) {
        size_t first = channels_last || range->count == 1 ? 0 : c;
        size_t end = channels_last ? range->count : first + 1;
        float least = range->low[first], most = range->high[first];
        for (size_t i = first + 1; i < end; i++) {
            least = range->low[i] < least ? range->low[i] : least;
            most = range->high[i] > most ? range->high[i] : most;
        }
        low[c] = least;
        scale[c] = most > least ? most - least : 1;
    }
}

static enum pbit_status place_input(struct pbitc_graph *graph, struct pbitc_context *context,
                                    const struct pbitc_value *input, struct pbitc_placement *placement)
{
    struct pbitc_shape shape = input->shape;
    bool channels_last = is_channels_last(graph, input);
    if (channels_last)
        shape = (struct pbitc_shape){4, {shape.dims[0], shape.dims[3], shape.dims[1], shape.dims[2]}};
    *placement = (struct pbitc_placement){.holder = input, .channels_last = channels_last, .levels = true};
    if (!pbitc_image_size(&shape, &placement->height, &placement->width, &placement->channels))
        return pbitc_report(context->diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, "input", 0,
                            "export the model with inputs N x C, N x C x W or N x C x H x W",
                            "cannot use an input of rank %d", input->shape.rank);
    float *scale = pbitc_arena_allocate(graph->arena, placement->channels, sizeof(float));
    float *low = pbitc_arena_allocate(graph->arena, placement->channels, sizeof(float));
    if (!scale || !low)
        return pbitc_out_of_memory(context);
    const struct pbitc_range *range = pbitc_find_range(context, input);
    if (range)
        scale_of_range(range, channels_last, placement->channels, scale, low);
    else if (!context->calibration->pixel_step ||
             !scale_of_pixels(context->calibration, placement->channels, scale, low))
        return pbitc_report(context->diagnostics, PBIT_ERROR_UNSUPPORTED, input->name, "input", 0,
                            "check the layout and channels of the calibration data",
                            "the %zu channels of the data do not fit the %u of the input",
                            context->calibration->channels, placement->channels);
    placement->scale = scale;
    placement->low = low;
    return PBIT_OK;
}

// ---- outputs of nodes

/// position of Transpose's output: y[i] = x[index of i with its axes permuted].
static bool transpose_position(const struct pbitc_node *node, const uint32_t *from, uint32_t *to)
{
    const struct pbitc_shape *x = &node->inputs[0]->shape, *y = &node->outputs[0]->shape;
    size_t count;
    const int64_t *order = pbitc_node_ints(node, "perm", &count);
    int64_t stride[PBITC_MAX_RANK], total = 1;
    if ((int)count != x->rank || order[0] != 0)
        return false; // without perm the batch goes last
    for (int d = x->rank - 1; d >= 0; d--) {
        stride[d] = total;
        total *= x->dims[d];
    }
    int64_t index[PBITC_MAX_RANK] = {0};
    for (size_t i = 0; i < elements_of(y); i++) {
        int64_t at = 0;
        for (int d = 1; d < y->rank; d++)
            at += index[d] * stride[order[d]];
        to[i] = from[at];
        for (int d = y->rank - 1; d > 0 && ++index[d] == y->dims[d]; d--)
            index[d] = 0;
    }
    return true;
}

static bool place_movement(struct pbitc_graph *graph, const struct pbitc_node *node,
                           const struct pbitc_placement *input, struct pbitc_placement *output)
{
    const struct pbitc_value *x = node->inputs[0], *y = node->outputs[0];
    if (x->shape.rank < 1 || y->shape.rank < 1 || x->shape.dims[0] != 1 || y->shape.dims[0] != 1)
        return false;
    const uint32_t *from = explicit_position(graph->arena, input, &x->shape);
    *output = *input;
    output->position = from;
    if (!from)
        return false;
    if (!pbitc_node_is(node, PBITC_OP_Transpose))
        return true;
    uint32_t *to = pbitc_arena_allocate(graph->arena, elements_of(&y->shape), sizeof(*to));
    output->position = to;
    return to && transpose_position(node, from, to);
}

static bool place_pbit(struct pbitc_graph *graph, const struct pbitc_node *node,
                       struct pbitc_placement *output)
{
    size_t count;
    const float *lows = pbitc_node_floats(node, "low", &count),
                *highs = pbitc_node_floats(node, "high", &count);
    float *scale = pbitc_arena_allocate(graph->arena, output->channels, sizeof(float));
    float *low = pbitc_arena_allocate(graph->arena, output->channels, sizeof(float));
    if (!scale || !low || (count != 1 && count != output->channels))
        return false;
    for (uint32_t c = 0; c < output->channels; c++) {
        low[c] = lows[count == 1 ? 0 : c];
        scale[c] = highs[count == 1 ? 0 : c] - low[c];
    }
    output->levels = true;
    output->scale = scale;
    output->low = low;
    return true;
}

/// Levels when all inputs are.
static bool place_concat(struct pbitc_graph *graph, const struct pbitc_node *node,
                         const struct pbitc_placement *placements, struct pbitc_placement *output)
{
    output->levels = true;
    for (size_t i = 0; i < node->input_count; i++)
        output->levels &= placements[node->inputs[i]->index].levels;
    if (!output->levels)
        return true;
    float *scale = pbitc_arena_allocate(graph->arena, output->channels, sizeof(float));
    float *low = pbitc_arena_allocate(graph->arena, output->channels, sizeof(float));
    if (!scale || !low)
        return false;
    uint32_t c = 0;
    for (size_t i = 0; i < node->input_count; i++) {
        struct pbitc_placement part;
        if (!placements[node->inputs[i]->index].holder ||
            !pbitc_standardize(graph->arena, &placements[node->inputs[i]->index], node->inputs[i], &part) ||
            c + part.channels > output->channels)
            return false;
        memcpy(scale + c, part.scale, part.channels * sizeof(float));
        memcpy(low + c, part.low, part.channels * sizeof(float));
        c += part.channels;
    }
    output->scale = scale;
    output->low = low;
    return c == output->channels;
}

/// Keeps the kind and the scales of its input.
static bool place_max_pool(struct pbitc_graph *graph, const struct pbitc_node *node,
                           const struct pbitc_placement *input, struct pbitc_placement *output)
{
    struct pbitc_placement standard;
    if (!pbitc_standardize(graph->arena, input, node->inputs[0], &standard))
        return false;
    output->levels = standard.levels;
    output->scale = standard.scale;
    output->low = standard.low;
    return true;
}

/// False: cannot be placed.
static bool place_output(struct pbitc_graph *graph, const struct pbitc_node *node,
                         const struct pbitc_placement *placements, struct pbitc_placement *output)
{
    const struct pbitc_placement *input = node->inputs[0] ? &placements[node->inputs[0]->index] : NULL;
    if (!input || !input->holder)
        return false;
    if (pbitc_is_movement(node))
        return place_movement(graph, node, input, output);
    *output = (struct pbitc_placement){.holder = node->outputs[0]};
    if (!pbitc_image_size(&node->outputs[0]->shape, &output->height, &output->width, &output->channels))
        return false;
    switch ((int)node->op->id) {
    case PBITC_OP_PBit:
        return place_pbit(graph, node, output);
    case PBITC_OP_Concat:
        return place_concat(graph, node, placements, output);
    case PBITC_OP_MaxPool:
    case PBITC_OP_GlobalMaxPool:
        return place_max_pool(graph, node, input, output);
    default:
        return true;
    }
}

enum pbit_status pbitc_place_values(struct pbitc_graph *graph, struct pbitc_context *context,
                                    struct pbitc_placement **placements)
{
    struct pbitc_placement *all = pbitc_arena_allocate(graph->arena, graph->value_count, sizeof(*all));
    if (!all)
        return pbitc_out_of_memory(context);
    for (size_t i = 0; i < graph->input_count; i++) {
        enum pbit_status status =
            place_input(graph, context, graph->inputs[i], &all[graph->inputs[i]->index]);
        if (status != PBIT_OK)
            return status;
    }
    PBITC_FOR_EACH_NODE(node, graph)
    if (!place_output(graph, node, all, &all[node->outputs[0]->index]))
        all[node->outputs[0]->index] = (struct pbitc_placement){.holder = NULL};
    *placements = all;
    return PBIT_OK;
}

// ---- fan-in

static bool conv_fan_in(const struct pbitc_node *conv, uint32_t *source, uint32_t *channel)
{
    const struct pbitc_shape *weights = &conv->inputs[1]->constant->shape;
    size_t channels = (size_t)weights->dims[1], taps = (size_t)weights->dims[2];
    if (weights->rank == 4)
        taps *= (size_t)weights->dims[3];
    for (size_t tap = 0; tap < taps; tap++)
        for (size_t c = 0; c < channels; c++) {
            source[tap * channels + c] = (uint32_t)(c * taps + tap);
            channel[tap * channels + c] = (uint32_t)c;
        }
    return true;
}

static bool gemm_fan_in(struct pbitc_arena *arena, const struct pbitc_node *gemm,
                        const struct pbitc_placement *input, size_t count, uint32_t *source,
                        uint32_t *channel)
{
    const uint32_t *position = explicit_position(arena, input, &gemm->inputs[0]->shape);
    if (!position || count != (size_t)input->height * input->width * input->channels)
        return false;
    for (size_t i = 0; i < count; i++) {
        source[position[i]] = (uint32_t)i;
        channel[i] = (uint32_t)(i % input->channels);
    }
    return true;
}

bool pbitc_find_fan_in(struct pbitc_arena *arena, const struct pbitc_node *layer,
                       const struct pbitc_placement *input, struct pbitc_fan_in *fan_in)
{
    const struct pbitc_shape *weights = &layer->inputs[1]->constant->shape;
    size_t outputs = (size_t)weights->dims[0];
    bool conv = pbitc_node_is(layer, PBITC_OP_Conv);
    size_t groups = conv ? (size_t)pbitc_node_int(layer, "group", 1) : 1;
    if (weights->rank < 2 || weights->rank > 4 || outputs == 0 || groups == 0 || outputs % groups != 0)
        return false;
    size_t count = (size_t)pbitc_shape_elements(weights) / outputs;
    uint32_t *source = pbitc_arena_allocate(arena, count, sizeof(*source));
    uint32_t *channel = pbitc_arena_allocate(arena, count, sizeof(*channel));
    if (!source || !channel)
        return false;
    *fan_in = (struct pbitc_fan_in){
        count, source, channel, outputs, outputs / groups, conv ? (size_t)weights->dims[1] : input->channels};
    return conv ? conv_fan_in(layer, source, channel)
                : gemm_fan_in(arena, layer, input, count, source, channel);
}
