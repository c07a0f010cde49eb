// Conv, Gemm and pools become CONV, MAXPOOL and SUMPOOL operations, with all scales folded into multipliers
// and biases.
#include "passes/lowering/lowering.h"

#include "passes/operators/window.h"
#include "passes/pass_support.h"
#include "passes/quantized.h"

#include <math.h>
#include <string.h>

/// The numbers of one CONV before they become fixed point: z / 2^16 = gain * (scale * sum of levels / L +
/// constant) + offset.
struct layer {
    const char *name;
    struct pbit_window window;
    uint32_t groups;
    struct pbitc_fan_in fan_in;
    struct pbitc_quantized quantized;
    const float *bias;            ///< [outputs] or NULL
    struct pbitc_placement input; ///< levels
    uint32_t input_tensor, output_tensor;
    struct pbitc_unit unit;
    bool outside; ///< some taps fall on padding
};

// ---- geometry

/// How far the windows reach.
struct reach {
    bool outside; ///< some taps fall outside the image
    bool partial; ///< some even behind the padding: a last window of ceil_mode
};

/// The window of a Conv or pool over the input's spatial extents.
static bool read_window(struct pbitc_lowering *lowering, const struct pbitc_node *node, const int64_t *kernel,
                        struct pbit_window *window, struct reach *reach)
{
    const struct pbitc_shape *x = &node->inputs[0]->shape;
    struct pbitc_evaluation evaluation = {.node = node, .diagnostics = lowering->context->diagnostics};
    struct pbitc_window full;
    int rank = x->rank - 2;
    if (rank < 1 || rank > 2) {
        pbitc_refuse(lowering, node, "", "a .pbit file holds one or two spatial dimensions, not %d", rank);
        return false;
    }
    if (pbitc_window_read(&evaluation, x->dims + 2, kernel, rank, pbitc_node_int(node, "ceil_mode", 0) != 0,
                          &full) != PBIT_OK)
        return false;
    const int y = PBITC_SPATIAL - 2, w = PBITC_SPATIAL - 1; // leading dimensions are 1
    *window = (struct pbit_window){(uint32_t)full.kernel[y],    (uint32_t)full.kernel[w],
                                   (uint32_t)full.stride[y],    (uint32_t)full.stride[w],
                                   (uint32_t)full.pad_begin[y], (uint32_t)full.pad_begin[w],
                                   (uint32_t)full.dilation[y],  (uint32_t)full.dilation[w]};
    *reach = (struct reach){false, false};
    for (int i = y; i <= w; i++) {
        int64_t last = (full.output[i] - 1) * full.stride[i] - full.pad_begin[i] +
                       (full.kernel[i] - 1) * full.dilation[i];
        reach->outside |= full.pad_begin[i] > 0 || last >= full.input[i];
        reach->partial |= last >= full.input[i] + full.pad_end[i];
    }
    return true;
}

// ---- fixed point

/// Largest s for which every factor * 2^s is below 2^31.
static uint32_t choose_shift(const double *factors, uint32_t count)
{
    double largest = 0;
    for (uint32_t k = 0; k < count; k++)
        largest = fmax(largest, factors[k]);
    if (!(largest > 0))
        return 0;
    int shift = 30 - ilogb(largest);
    return shift < 0 ? 0 : shift > 54 ? 54 : (uint32_t)shift;
}

/// What the levels' low ends add to output k, in real numbers.
static double constant_part(const struct layer *layer, uint32_t k)
{
    const struct pbitc_quantized *q = &layer->quantized;
    size_t first = k / layer->fan_in.outputs_per_group * layer->fan_in.channels_per_group;
    size_t groups = q->group ? (q->fan_in + q->group - 1) / q->group : 0;
    double sum = layer->bias ? layer->bias[k] : 0;
    for (size_t i = 0; i < q->fan_in; i++) {
        size_t c = first + layer->fan_in.channel[i];
        double factor = q->group ? q->factors[k * groups + i / q->group] : 1;
        sum += (double)q->scale[k] * factor * q->weights[k * q->fan_in + i] *
               (layer->input.low[c] / layer->input.scale[c]);
    }
    return sum;
}

static int32_t to_fixed(double value)
{
    double rounded = nearbyint(value);
    return rounded <= INT32_MIN ? INT32_MIN : rounded >= INT32_MAX ? INT32_MAX : (int32_t)rounded;
}

/// Zero points in 1/256 of the range, NULL when all are 0.
static const uint16_t *zero_points(struct pbitc_lowering *lowering, const struct pbitc_node *node,
                                   const struct pbitc_placement *input)
{
    bool any = false;
    uint16_t *zeros = pbitc_lowering_allocate(lowering, input->channels, sizeof(*zeros));
    for (uint32_t c = 0; zeros && c < input->channels; c++) {
        double zero = nearbyint(-256.0 * input->low[c] / input->scale[c]);
        if (zero < 0 || zero > 256) {
            pbitc_refuse(lowering, node, "give --calibrate the preprocessing that the model was trained with",
                         "padding stands for 0, but the input's channel %u holds only %g to %g", c,
                         (double)input->low[c], (double)input->low[c] + (double)input->scale[c]);
            return NULL;
        }
        zeros[c] = (uint16_t)zero;
        any |= zeros[c] != 0;
    }
    return any ? zeros : NULL;
}

static void emit_layer(struct pbitc_lowering *lowering, const struct pbitc_node *node,
                       const struct layer *layer)
{
    const struct pbitc_quantized *q = &layer->quantized;
    uint32_t outputs = (uint32_t)q->outputs;
    double *factors = pbitc_lowering_allocate(lowering, outputs, sizeof(double));
    int32_t *multipliers = pbitc_lowering_allocate(lowering, outputs, sizeof(int32_t));
    int32_t *biases = pbitc_lowering_allocate(lowering, outputs, sizeof(int32_t));
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_CONV, layer->name, layer->input_tensor, layer->output_tensor);
    if (!factors || !multipliers || !biases || !operation)
        return;
    for (uint32_t k = 0; k < outputs; k++)
        factors[k] = (double)PBIT_ONE * layer->unit.gain[k] * q->scale[k];
    uint32_t shift = choose_shift(factors, outputs);
    for (uint32_t k = 0; k < outputs; k++) {
        if (!(ldexp(factors[k], (int)shift) <= INT32_MAX))
            pbitc_refuse(lowering, node, "check the calibration data and the weights",
                         "the scale of output channel %u is too large for fixed point", k);
        multipliers[k] = to_fixed(ldexp(factors[k], (int)shift));
        biases[k] =
            to_fixed(PBIT_ONE * (layer->unit.gain[k] * constant_part(layer, k) + layer->unit.offset[k]));
    }
    operation->fields.window = layer->window;
    operation->fields.groups = layer->groups;
    operation->fields.weight_bits = (uint32_t)q->bits;
    operation->fields.weight_group = (uint32_t)q->group;
    operation->fields.shift = shift;
    operation->tables = (struct pbitc_program_tables){
        .weights = q->weights,
        .factors = q->factors,
        .multipliers = multipliers,
        .biases = biases,
        .zeros = layer->outside ? zero_points(lowering, node, &layer->input) : NULL,
    };
}

// ---- Conv and Gemm

static bool lower_input(struct pbitc_lowering *lowering, const struct pbitc_node *node, struct layer *layer)
{
    const struct pbitc_value *x = node->inputs[0];
    bool conv = pbitc_node_is(node, PBITC_OP_Conv);
    layer->input = lowering->placements[x->index];
    layer->input_tensor =
        conv ? pbitc_standard_tensor(lowering, node, x, &layer->input) : pbitc_held_tensor(lowering, x);
    if (layer->input_tensor == UINT32_MAX)
        return false;
    return pbitc_find_fan_in(lowering->graph->arena, node, &layer->input, &layer->fan_in);
}

void pbitc_lower_layer(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    struct pbitc_shape shape;
    struct layer layer = {.name = node->name, .groups = 1};
    if (!node->quantized) {
        pbitc_refuse(lowering, node,
                     "weights and bias must be constants and the input the whole of one layer's output",
                     "this layer's weights could not be quantized");
        return;
    }
    layer.quantized = *node->quantized;
    layer.unit = lowering->units[node->outputs[0]->index];
    if (!layer.unit.gain) {
        pbitc_refuse(lowering, node, "", "nothing that a .pbit file can hold reads this layer");
        return;
    }
    if (!lower_input(lowering, node, &layer))
        return;
    layer.window = (struct pbit_window){layer.input.height, layer.input.width, 1, 1, 0, 0, 1, 1};
    if (pbitc_node_is(node, PBITC_OP_Conv)) {
        const struct pbitc_shape *weights = &node->inputs[1]->constant->shape;
        layer.groups = (uint32_t)pbitc_node_int(node, "group", 1);
        struct reach reach;
        if (!read_window(lowering, node, weights->dims + 2, &layer.window, &reach))
            return;
        layer.outside = reach.outside;
    }
    layer.bias = node->input_count > 2 ? pbitc_constant_floats(node, 2, &shape) : NULL;
    layer.output_tensor = pbitc_make_tensor(lowering, node->outputs[0], PBIT_FIXED, 0);
    emit_layer(lowering, node, &layer);
}

/// Of a pool: kernel_shape, or the whole image.
static const int64_t *pool_kernel(const struct pbitc_node *pool)
{
    size_t count;
    bool global =
        pbitc_node_is(pool, PBITC_OP_GlobalAveragePool) || pbitc_node_is(pool, PBITC_OP_GlobalMaxPool);
    return global ? pool->inputs[0]->shape.dims + 2 : pbitc_node_ints(pool, "kernel_shape", &count);
}

// ---- layers of ones: average pools and identity branches

/// A depthwise CONV whose weights are all 1: z = gain * (share * sum of the window's reals) + offset.
static bool lower_ones(struct pbitc_lowering *lowering, const struct pbitc_node *node, struct layer *layer,
                       double share)
{
    uint32_t channels = layer->input.channels;
    size_t taps = (size_t)layer->window.kernel_y * layer->window.kernel_x;
    int8_t *weights = pbitc_lowering_allocate(lowering, channels * taps, 1);
    float *scale = pbitc_lowering_allocate(lowering, channels, sizeof(float));
    uint32_t *channel = pbitc_lowering_allocate(lowering, taps, sizeof(*channel));
    if (!weights || !scale || !channel)
        return false;
    memset(weights, 1, channels * taps);
    for (uint32_t c = 0; c < channels; c++)
        scale[c] = (float)(layer->input.scale[c] * share);
    layer->groups = channels;
    layer->quantized = (struct pbitc_quantized){2, 0, channels, taps, weights, NULL, scale};
    layer->fan_in = (struct pbitc_fan_in){taps, NULL, channel, channels, 1, 1};
    emit_layer(lowering, node, layer);
    return true;
}

uint32_t pbitc_fixed_tensor(struct pbitc_lowering *lowering, const struct pbitc_node *reader,
                            const struct pbitc_value *value, const struct pbitc_unit *unit)
{
    struct layer layer = {.unit = *unit, .window = {1, 1, 1, 1, 0, 0, 1, 1}};
    uint32_t tensor = pbitc_standard_tensor(lowering, reader, value, &layer.input);
    if (tensor == UINT32_MAX || !layer.input.levels)
        return tensor;
    struct pbit_tensor copy = lowering->program->tensors[tensor];
    copy.kind = PBIT_FIXED;
    copy.draw_factor = 0;
    layer.input_tensor = tensor;
    layer.output_tensor = pbitc_program_add_tensor(lowering->program, &copy);
    layer.name =
        pbitc_arena_format(lowering->graph->arena, "%s of %s", value->name, reader ? reader->name : "output");
    if (!layer.name || layer.output_tensor == UINT32_MAX || !lower_ones(lowering, reader, &layer, 1))
        return UINT32_MAX;
    return layer.output_tensor;
}

/// SUMPOOL of a fixed-point value: the same unit comes out.
static void lower_fixed_average(struct pbitc_lowering *lowering, const struct pbitc_node *node,
                                const struct pbit_window *window, uint32_t input)
{
    uint32_t output = pbitc_make_tensor(lowering, node->outputs[0], PBIT_FIXED, 0);
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_SUMPOOL, node->name, input, output);
    if (!operation)
        return;
    // taps * multiplier stays below 2^31 with a shift of 30
    operation->fields.window = *window;
    operation->fields.shift = 30;
    operation->fields.multipliers =
        (uint32_t)nearbyint(ldexp(1, 30) / ((double)window->kernel_y * window->kernel_x));
}

void pbitc_lower_average_pool(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    struct layer layer = {.name = node->name, .unit = lowering->units[node->outputs[0]->index]};
    const int64_t *kernel = pool_kernel(node);
    struct reach reach;
    if (!layer.unit.gain) {
        pbitc_refuse(lowering, node, "", "nothing that a .pbit file can hold reads this pool");
        return;
    }
    if (!kernel || !read_window(lowering, node, kernel, &layer.window, &reach))
        return;
    layer.outside = reach.outside;
    if (layer.outside && (reach.partial || !pbitc_node_int(node, "count_include_pad", 0) ||
                          !lowering->placements[node->inputs[0]->index].levels)) {
        pbitc_refuse(lowering, node,
                     "export with count_include_pad = 1, or with a pool that needs no padding",
                     "an average over windows of different sizes cannot be a .pbit operation");
        return;
    }
    layer.input_tensor = pbitc_standard_tensor(lowering, node, node->inputs[0], &layer.input);
    if (layer.input_tensor == UINT32_MAX)
        return;
    if (!layer.input.levels) {
        lower_fixed_average(lowering, node, &layer.window, layer.input_tensor);
        return;
    }
    layer.output_tensor = pbitc_make_tensor(lowering, node->outputs[0], PBIT_FIXED, 0);
    lower_ones(lowering, node, &layer, 1.0 / ((double)layer.window.kernel_y * layer.window.kernel_x));
}

void pbitc_lower_max_pool(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    const int64_t *kernel = pool_kernel(node);
    struct pbit_window window;
    struct pbitc_placement input;
    struct reach reach;
    if (!kernel || !read_window(lowering, node, kernel, &window, &reach))
        return;
    uint32_t from = pbitc_standard_tensor(lowering, node, node->inputs[0], &input);
    if (from == UINT32_MAX)
        return;
    const struct pbit_tensor *tensor = &lowering->program->tensors[from];
    uint32_t to = pbitc_make_tensor(lowering, node->outputs[0], (enum pbit_tensor_kind)tensor->kind,
                                    tensor->draw_factor);
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_MAXPOOL, node->name, from, to);
    if (operation)
        operation->fields.window = window;
}
