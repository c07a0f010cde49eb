// Which operations work on packed bits.
#include "runtime/engine.h"

#define LARGEST_PRODUCT ((uint64_t)1 << 52) ///< doubles hold it, and a bit more

static int draws_one(const struct pbit_tensor *tensor)
{
    return tensor->kind == PBIT_LEVELS && tensor->draw_factor != 0 && pbit_tensor_levels(tensor, 1) == 1;
}

/// p-bits whose probability is compared as theta, or levels without noise, on maps of some size.
static enum pbit_bit_planes find_capability(const struct pbit_model *model,
                                            const struct pbit_operation *neuron)
{
    struct pbit_tensor output = pbit_model_tensor(model, neuron->output);
    if (neuron->kind != PBIT_OPERATION_NEURON || neuron->function == PBIT_FUNCTION_CURVE ||
        (uint64_t)output.height * output.width < PBIT_BIT_LEAST_PIXELS ||
        (uint64_t)output.height * output.width > 1 << 20)
        return PBIT_BIT_NO_PLANES;
    if (neuron->neuron == PBIT_NEURON_MULTIBIT)
        return neuron->amplitude == 0 && neuron->function == PBIT_FUNCTION_LINEAR && output.draw_factor == 0
                   ? PBIT_BIT_OF_LEVELS
                   : PBIT_BIT_NO_PLANES;
    if (!draws_one(&output))
        return PBIT_BIT_NO_PLANES;
    if (neuron->function == PBIT_FUNCTION_LINEAR)
        return PBIT_BIT_OF_BITS;
    const uint8_t *theta = model->bytes + neuron->table;
    return pbit_load_i32(theta) >= -PBIT_BIT_LARGEST_THETA &&
                   pbit_load_i32(theta + 4 * (PBIT_THETA_ENTRIES - 1)) <= PBIT_BIT_LARGEST_THETA
               ? PBIT_BIT_OF_BITS
               : PBIT_BIT_NO_PLANES;
}

/// The rows that an instance needs: zeros between two instances serve both.
static uint32_t grid_extent(uint32_t input, uint32_t output, uint32_t kernel, uint32_t stride, uint32_t pad,
                            uint32_t dilation)
{
    uint32_t before = pad / stride, last = (kernel - 1) * dilation / stride;
    uint32_t with_zeros = before ? (input + pad + stride - 1) / stride : 0;
    uint32_t reached = output + (last > before ? last - before : 0);
    return with_zeros > reached ? with_zeros : reached;
}

struct pbit_bit_grid pbit_bit_view_grid(const struct pbit_window *window, const struct pbit_tensor *input,
                                        const struct pbit_tensor *output)
{
    return (struct pbit_bit_grid){grid_extent(input->height, output->height, window->kernel_y,
                                              window->stride_y, window->pad_y, window->dilation_y),
                                  output->width};
}

static int is_identity(const struct pbit_operation *conv, uint32_t inputs, uint32_t outputs)
{
    const struct pbit_window *w = &conv->window;
    return conv->groups == inputs && conv->groups == outputs && w->kernel_y == 1 && w->kernel_x == 1 &&
           w->stride_y == 1 && w->stride_x == 1 && w->pad_y == 0 && w->pad_x == 0;
}

static int all_taps_inside(const struct pbit_window *w, const struct pbit_tensor *input,
                           const struct pbit_tensor *output)
{
    return w->pad_y == 0 && w->pad_x == 0 &&
           (uint64_t)(output->height - 1) * w->stride_y + (uint64_t)(w->kernel_y - 1) * w->dilation_y <
               input->height &&
           (uint64_t)(output->width - 1) * w->stride_x + (uint64_t)(w->kernel_x - 1) * w->dilation_x <
               input->width;
}

/// Windows of reasonable size, and not much more columns than pixels.
static int window_fits(const struct pbit_model *model, const struct pbit_operation *conv)
{
    const struct pbit_window *w = &conv->window;
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, conv, 0)),
                       output = pbit_model_tensor(model, conv->output);
    if (w->kernel_y > 31 || w->kernel_x > 31 || w->dilation_y > 31 || w->dilation_x > 31 || w->pad_y > 255 ||
        w->pad_x > 255 || w->stride_y > 31 || w->stride_x > 31)
        return 0;
    if (conv->zeros && !all_taps_inside(w, &input, &output))
        return 0;
    struct pbit_bit_grid grid = pbit_bit_view_grid(w, &input, &output);
    uint64_t pixels = (uint64_t)output.height * output.width, columns = (uint64_t)grid.height * grid.width;
    uint64_t planes = (uint64_t)w->stride_y * w->kernel_x * input.channels;
    return pixels <= 1 << 20 && columns <= 2 * pixels + 1024 &&
           planes * (columns * PBIT_ENGINE_INSTANCES + 2 * PBIT_BIT_GAP) <= INT32_MAX;
}

/// Weights whose sums fit in 8 and 16 bits, with factors in 24; taps outside that do not count, no z near the
/// ends of 32 bits.
static int conv_fits(const struct pbit_model *model, const struct pbit_operation *conv)
{
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, conv, 0)),
                       output = pbit_model_tensor(model, conv->output);
    int identity = is_identity(conv, input.channels, output.channels);
    uint64_t fan_in = pbit_operation_fan_in(conv, input.channels),
             reach = (uint64_t)1 << (conv->weight_bits - 1);
    uint64_t largest = fan_in * reach * (conv->weight_group ? 255 : 1);
    if (!identity && (conv->groups != 1 || conv->weight_bits > 6 || fan_in < 8 ||
                      (conv->weight_group && conv->weight_group < PBIT_BIT_LEAST_GROUP) ||
                      largest > (conv->weight_group ? 1 << 24 : UINT16_MAX)))
        return 0;
    if (!window_fits(model, conv) ||
        (identity && (input.height != output.height || input.width != output.width)))
        return 0;
    for (uint32_t k = 0; k < output.channels; k++) {
        uint64_t multiplier = pbit_load_u32(model->bytes + conv->multipliers + 4 * (size_t)k);
        int64_t bias = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
        if (largest * multiplier > LARGEST_PRODUCT || largest * multiplier >> conv->shift > 1 << 28 ||
            bias > 1 << 28 || bias < -(1 << 28))
            return 0;
    }
    return 1;
}

/// A CONV of single channels and pixels.
static int passes_on(const struct pbit_model *model, uint32_t index)
{
    struct pbit_operation conv = pbit_model_operation(model, index);
    struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, &conv, 0)),
                       output = pbit_model_tensor(model, conv.output);
    return is_identity(&conv, input.channels, output.channels);
}

/// The CONV that makes `tensor` for one reader only, from planes.
static uint32_t find_conv(const struct pbit_model *model, const struct pbit_bit_plan *plan, uint32_t tensor)
{
    if (tensor < model->input_count || plan->consumers[tensor] != 1)
        return PBIT_BIT_NONE;
    uint32_t index = plan->producer[tensor];
    struct pbit_operation conv = pbit_model_operation(model, index);
    if (conv.kind != PBIT_OPERATION_CONV)
        return PBIT_BIT_NONE;
    uint32_t from = pbit_operation_input(model, &conv, 0);
    if (from < model->input_count)
        return PBIT_BIT_NONE;
    enum pbit_bit_planes planes = plan->entry[plan->producer[from]].capable;
    return planes != PBIT_BIT_NO_PLANES && (planes == PBIT_BIT_OF_BITS || passes_on(model, index)) &&
                   conv_fits(model, &conv)
               ? index
               : PBIT_BIT_NONE;
}

static int pools_pairs(const struct pbit_window *w, const struct pbit_tensor *input,
                       const struct pbit_tensor *output)
{
    return w->kernel_y == 2 && w->kernel_x == 2 && w->stride_y == 2 && w->stride_x == 2 && w->pad_y == 0 &&
           w->pad_x == 0 && w->dilation_y == 1 && w->dilation_x == 1 && output->height * 2 <= input->height &&
           output->width * 2 <= input->width;
}

/// Finds what the NEURON can take over.
static void match(const struct pbit_model *model, struct pbit_bit_plan *plan, uint32_t neuron)
{
    struct pbit_bit_plan_entry *entry = &plan->entry[neuron];
    struct pbit_operation operation = pbit_model_operation(model, neuron);
    uint32_t tensor = pbit_operation_input(model, &operation, 0), between = PBIT_BIT_NONE;
    if (tensor < model->input_count || plan->consumers[tensor] != 1)
        return;
    struct pbit_operation before = pbit_model_operation(model, plan->producer[tensor]);
    uint32_t sources[PBIT_BIT_TERMS] = {tensor, tensor}, terms = 1,
             found[PBIT_BIT_TERMS] = {PBIT_BIT_NONE, PBIT_BIT_NONE};
    if (before.kind == PBIT_OPERATION_ADD || before.kind == PBIT_OPERATION_MAXPOOL) {
        between = plan->producer[tensor];
        terms = before.input_count;
        for (uint32_t t = 0; t < terms; t++)
            sources[t] = pbit_operation_input(model, &before, t);
    }
    for (uint32_t t = 0; t < terms; t++)
        if ((found[t] = find_conv(model, plan, sources[t])) == PBIT_BIT_NONE)
            return;
    if (before.kind == PBIT_OPERATION_MAXPOOL) {
        struct pbit_tensor in = pbit_model_tensor(model, sources[0]),
                           out = pbit_model_tensor(model, before.output);
        if (!pools_pairs(&before.window, &in, &out))
            return;
    }
    // At most one of them only passes its input on; it stands last.
    if (passes_on(model, found[0])) {
        uint32_t first = found[0];
        found[0] = found[terms - 1];
        found[terms - 1] = first;
    }
    if (passes_on(model, found[0]) && (terms == 2 || between != PBIT_BIT_NONE))
        return;
    entry->terms = (uint8_t)terms;
    entry->pooled = before.kind == PBIT_OPERATION_MAXPOOL;
    for (uint32_t t = 0; t < terms; t++) {
        struct pbit_operation conv = pbit_model_operation(model, found[t]);
        uint32_t from = pbit_operation_input(model, &conv, 0);
        entry->term[t] = (uint16_t)found[t];
        plan->entry[found[t]].into = (uint16_t)neuron;
        plan->entry[plan->producer[from]].stage = 1;
    }
    if (between != PBIT_BIT_NONE)
        plan->entry[between].into = (uint16_t)neuron;
    entry->stage = 1;
}

void pbit_bit_plan_make(const struct pbit_model *model, uint32_t group, struct pbit_bit_plan *plan)
{
    plan->operations = 0;
    if (!group || model->operation_count > PBIT_BIT_OPERATIONS || model->tensor_count > PBIT_BIT_OPERATIONS)
        return;
    memset(plan, 0, sizeof(*plan));
    plan->operations = model->operation_count;
    for (uint32_t o = 0; o < model->output_count; o++)
        plan->consumers[pbit_output_tensor(model, o)]++;
    for (uint32_t i = 0; i < plan->operations; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        plan->producer[operation.output] = (uint16_t)i;
        plan->entry[i].into = PBIT_BIT_NONE;
        plan->entry[i].capable = (uint8_t)find_capability(model, &operation);
        for (uint32_t input = 0; input < operation.input_count; input++)
            plan->consumers[pbit_operation_input(model, &operation, input)]++;
    }
    for (uint32_t i = model->first_random; i < plan->operations; i++)
        if (plan->entry[i].capable)
            match(model, plan, i);
}
