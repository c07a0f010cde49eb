// Lays out tables and views for the layers on bits. Like engine_pack.c, runs twice: to count, and to fill.
#include "runtime/engine.h"

/// What the bits of a byte's channels select: seed[i] of `bits` weights. All sums are made >= 0.
static void fill_sums(const int32_t *weights, uint32_t bits, uint8_t *seed)
{
    int32_t least = 0;
    for (uint32_t j = 0; j < bits; j++)
        least += weights[j] < 0 ? weights[j] : 0;
    for (uint32_t i = 0; i < 1u << bits; i++) {
        int32_t sum = -least;
        for (uint32_t j = 0; j < bits; j++)
            sum += i >> j & 1 ? weights[j] : 0;
        seed[i] = (uint8_t)sum;
    }
}

struct packing {
    const struct pbit_model *model;
    const struct pbit_operation *conv;
    const struct pbit_bit_kernels *kernels;
    uint32_t inputs, outputs, fan_in, taps, planes; ///< planes: of the input
    uint32_t share, levels;                         ///< of the input: channels in a byte, levels of a channel
};

/// The weights of one table: channels plane * group .. of a tap. Returns the sum of their absolute values.
static uint32_t load_weights(const struct packing *packing, uint32_t k, uint32_t tap, uint32_t plane,
                             int32_t weights[PBIT_BIT_GROUP], int32_t *least)
{
    uint32_t reach = 0;
    for (uint32_t j = 0; j < packing->kernels->group; j++) {
        uint32_t c = plane * packing->kernels->group + j;
        weights[j] =
            k < packing->outputs && c < packing->inputs
                ? pbit_weight_at(packing->model, packing->conv, packing->fan_in, k, tap * packing->inputs + c)
                : 0;
        *least += weights[j] < 0 ? weights[j] : 0;
        reach += (uint32_t)(weights[j] < 0 ? -weights[j] : weights[j]);
    }
    return reach;
}

/// reach: the largest absolute sum.
static struct pbit_bit_channel describe_channel(const struct packing *packing, uint32_t k, int32_t weight,
                                                int32_t least, uint32_t reach)
{
    const struct pbit_operation *conv = packing->conv;
    const uint8_t *bytes = packing->model->bytes;
    struct pbit_bit_channel channel = {.least = least, .weight = weight};
    channel.multiplier =
        pbit_level_multiplier(pbit_load_u32(bytes + conv->multipliers + 4 * (size_t)k), packing->levels);
    channel.bias = pbit_load_i32(bytes + conv->biases + 4 * (size_t)k);
    double step = channel.multiplier / (double)((uint64_t)1 << conv->shift),
           offset = channel.bias + least * step,
           largest = step * reach + (offset < 0 ? -offset : offset) + 65536;
    channel.scale = (float)(step * weight);
    channel.offset = (float)offset;
    // RS rounds by up to 0.5; floats of 24 bits, a few times by up to 2^-24 of the largest number.
    channel.margin = 0.5f + (float)(largest / (1 << 21));
    return channel;
}

/// One block of output channels: seeds[step][group], runs[step], least[group], reach[group].
static void fill_block(const struct packing *packing, uint32_t block, uint8_t *seeds, uint8_t *runs,
                       int32_t *least, uint32_t *reach)
{
    uint32_t group = packing->kernels->group, sums[PBIT_BIT_GROUP] = {0}, run = 0, step = 0;
    uint8_t *at = runs;
    for (uint32_t tap = 0; tap < packing->taps; tap++)
        for (uint32_t plane = 0; plane < packing->planes; plane++, step++) {
            uint32_t more[PBIT_BIT_GROUP];
            int ends = run == UINT8_MAX || (step > 0 && step % packing->kernels->part == 0);
            for (uint32_t j = 0; j < group; j++, seeds += PBIT_BIT_SEED) {
                int32_t weights[PBIT_BIT_GROUP];
                more[j] = load_weights(packing, block * group + j, tap, plane, weights, &least[j]);
                ends |= sums[j] + more[j] > UINT8_MAX;
                fill_sums(weights, group == 4 ? 4 : 3, seeds);
                if (group == 6)
                    fill_sums(weights + 3, 3, seeds + 8);
            }
            if (ends) {
                *at++ = (uint8_t)run;
                run = 0;
                memset(sums, 0, sizeof(sums));
                if (step % packing->kernels->part == 0)
                    at = runs + step;
            }
            run++;
            for (uint32_t j = 0; j < group; j++) {
                sums[j] += more[j];
                reach[j] += more[j];
            }
        }
    *at = (uint8_t)run;
}

static uint32_t find_phase(uint32_t *phase, uint32_t *count, uint32_t wanted)
{
    for (uint32_t i = 0; i < *count; i++)
        if (phase[i] == wanted)
            return i;
    phase[*count] = wanted;
    return (*count)++;
}

/// Fills the view's phases, at most one per tap, and the steps.
static void fill_view(const struct packing *packing, struct pbit_bit_view *view, uint32_t *phase,
                      struct pbit_bit_step *steps)
{
    const struct pbit_window *w = &packing->conv->window;
    int32_t before_y = (int32_t)(w->pad_y / w->stride_y), before_x = (int32_t)(w->pad_x / w->stride_x);
    for (uint32_t ky = 0; ky < w->kernel_y; ky++)
        for (uint32_t kx = 0; kx < w->kernel_x; kx++) {
            uint32_t y = ky * w->dilation_y, x = kx * w->dilation_x;
            uint32_t at = find_phase(phase, &view->phases, y % w->stride_y << 16 | x % w->stride_x);
            int32_t column = ((int32_t)(y / w->stride_y) - before_y) * (int32_t)view->grid.width +
                             (int32_t)(x / w->stride_x) - before_x;
            for (uint32_t plane = 0; plane < packing->planes; plane++)
                *steps++ = (struct pbit_bit_step){at * packing->planes + plane, column};
        }
    view->phase = phase;
}

static void pack_identity(struct pbit_engine_memory *memory, const struct packing *packing,
                          struct pbit_bit_operation *bits)
{
    struct pbit_bit_channel *channel = pbit_engine_take(memory, packing->outputs * sizeof(*channel));
    uint32_t *phase = pbit_engine_take(memory, sizeof(*phase));
    bits->identity = 1;
    bits->view.phases = 1;
    bits->view.phase = phase;
    bits->channel = channel;
    if (!memory->base)
        return;
    *phase = 0;
    for (uint32_t k = 0; k < packing->outputs; k++) {
        int32_t weight = pbit_weight_at(packing->model, packing->conv, 1, k, 0) *
                         pbit_factor_at(packing->model, packing->conv, 1, k, 0);
        channel[k] = describe_channel(packing, k, weight, 0,
                                      (uint32_t)(weight < 0 ? -weight : weight) * packing->levels);
        channel[k].scale /= (float)(1 << k % packing->share); // of a byte that has the bit there
    }
}

static void pack_tables(struct pbit_engine_memory *memory, const struct packing *packing,
                        struct pbit_bit_operation *bits)
{
    uint32_t group = packing->kernels->group, blocks = (packing->outputs + group - 1) / group,
             steps = packing->taps * packing->planes;
    uint8_t *seeds = pbit_engine_take(memory, (size_t)blocks * steps * group * PBIT_BIT_SEED);
    uint8_t *runs = pbit_engine_take(memory, (size_t)blocks * steps);
    struct pbit_bit_channel *channel = pbit_engine_take(memory, packing->outputs * sizeof(*channel));
    uint32_t *phase = pbit_engine_take(memory, packing->taps * sizeof(*phase));
    struct pbit_bit_step *step = pbit_engine_take(memory, steps * sizeof(*step));
    bits->conv = (struct pbit_bit_conv){group, packing->outputs, steps, seeds, runs};
    bits->channel = channel;
    bits->step = step;
    if (!memory->base)
        return;
    fill_view(packing, &bits->view, phase, step);
    for (uint32_t block = 0; block < blocks; block++) {
        int32_t least[PBIT_BIT_GROUP] = {0};
        uint32_t reach[PBIT_BIT_GROUP] = {0}, first = block * group;
        fill_block(packing, block, seeds + (size_t)block * steps * group * PBIT_BIT_SEED,
                   runs + (size_t)block * steps, least, reach);
        for (uint32_t j = 0; j < group && first + j < packing->outputs; j++)
            channel[first + j] = describe_channel(packing, first + j, 1, least[j], reach[j]);
    }
}

static uint32_t share_of(const struct pbit_bit_plan *plan, uint32_t neuron,
                         const struct pbit_bit_kernels *kernels)
{
    return plan->entry[neuron].capable == PBIT_BIT_OF_LEVELS ? 1 : kernels->group;
}

static void pack_conv(struct pbit_engine_memory *memory, const struct pbit_model *model,
                      const struct pbit_bit_kernels *kernels, const struct pbit_bit_plan *plan,
                      uint32_t index, struct pbit_engine_operation *operation)
{
    const struct pbit_operation *conv = &operation->operation;
    const struct pbit_window *w = &conv->window;
    struct pbit_bit_operation *bits = &operation->bits;
    uint32_t source_index = plan->producer[operation->input_index],
             share = share_of(plan, source_index, kernels);
    const struct packing packing = {.model = model,
                                    .conv = conv,
                                    .kernels = kernels,
                                    .inputs = operation->input.channels,
                                    .outputs = operation->output.channels,
                                    .fan_in =
                                        (uint32_t)pbit_operation_fan_in(conv, operation->input.channels),
                                    .taps = w->kernel_y * w->kernel_x,
                                    .planes = (operation->input.channels + share - 1) / share,
                                    .share = share,
                                    .levels = share == 1 ? PBIT_BYTE_LEVELS : 1};
    bits->source = source_index;
    struct pbit_bit_grid source = plan->entry[bits->source].grid, grid = plan->entry[index].grid;
    int32_t before_y = (int32_t)(w->pad_y / w->stride_y), before_x = (int32_t)(w->pad_x / w->stride_x);
    bits->view = (struct pbit_bit_view){
        .grid = grid,
        .stride_y = w->stride_y,
        .stride_x = w->stride_x,
        .origin_y = before_y * (int32_t)w->stride_y - (int32_t)w->pad_y,
        .origin_x = before_x * (int32_t)w->stride_x - (int32_t)w->pad_x,
        .groups = packing.planes,
        .lead = (uint32_t)before_y * grid.width + (uint32_t)before_x,
        .direct = w->stride_y == 1 && w->stride_x == 1 && source.height == grid.height &&
                  source.width == grid.width &&
                  (uint32_t)before_y * grid.width + (uint32_t)before_x <= PBIT_BIT_GAP};
    if (conv->groups > 1 || packing.fan_in == 1)
        pack_identity(memory, &packing, bits);
    else
        pack_tables(memory, &packing, bits);
}

static int32_t theta_at(const int32_t *theta, uint32_t u)
{
    int64_t start = theta[u >> 8], rise = theta[(u >> 8) + 1] - start;
    return (int32_t)(start + (rise * (u & 255) >> 8));
}

/// Through both ends of each piece, then moved so that theta is as far above it as below.
static void fill_pieces(const int32_t *theta, struct pbit_bit_theta *pieces)
{
    enum { LENGTH = 65536 / PBIT_BIT_THETA };
    for (uint32_t piece = 0; piece < PBIT_BIT_THETA; piece++) {
        uint32_t first = piece * LENGTH, last = first + LENGTH - 1;
        float slope = (float)(theta_at(theta, last) - theta_at(theta, first)) / (LENGTH - 1);
        float start = (float)theta_at(theta, first) - slope * (float)first, above = 0, below = 0;
        for (uint32_t u = first; u <= last; u++) {
            float off = (float)theta_at(theta, u) - (start + slope * (float)u);
            above = off > above ? off : above;
            below = off < below ? off : below;
        }
        // Floats near slope * 65536 are 2^-8 of the slope apart or less, near the largest theta 0.5.
        pieces->start[piece] = start + (above + below) / 2;
        pieces->slope[piece] = slope;
        pieces->margin[piece] = (above - below) / 2 + 1.25f * slope + 4;
    }
}

static void pack_neuron(struct pbit_engine_memory *memory, const struct pbit_bit_kernels *kernels,
                        const struct pbit_bit_plan *plan, uint32_t index,
                        struct pbit_engine_operation *operation)
{
    const struct pbit_bit_plan_entry *entry = &plan->entry[index];
    struct pbit_bit_operation *bits = &operation->bits;
    bits->stage = 1;
    bits->terms = entry->terms;
    bits->pooled = entry->pooled;
    bits->share = share_of(plan, index, kernels);
    bits->grid = entry->grid;
    for (uint32_t t = 0; t < entry->terms; t++)
        bits->term[t] = entry->term[t];
    if (operation->operation.function == PBIT_FUNCTION_LINEAR)
        return;
    struct pbit_bit_theta *pieces = pbit_engine_take(memory, sizeof(*pieces));
    bits->pieces = pieces;
    if (memory->base)
        fill_pieces(operation->neuron.table, pieces);
}

void pbit_pack_bits(struct pbit_engine_memory *memory, const struct pbit_model *model,
                    const struct pbit_bit_kernels *kernels, const struct pbit_bit_plan *plan, uint32_t index,
                    struct pbit_engine_operation *operation)
{
    operation->bits = (struct pbit_bit_operation){.into = PBIT_BIT_NONE};
    if (!plan->operations)
        return;
    const struct pbit_bit_plan_entry *entry = &plan->entry[index];
    operation->bits.into = entry->into;
    if (entry->stage)
        pack_neuron(memory, kernels, plan, index, operation);
    else if (entry->into != PBIT_BIT_NONE && operation->operation.kind == PBIT_OPERATION_CONV)
        pack_conv(memory, model, kernels, plan, index, operation);
}
