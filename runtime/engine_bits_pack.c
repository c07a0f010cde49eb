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
    const struct pbit_bit_view *view;
    uint32_t inputs, outputs, fan_in;
    uint32_t share, levels; ///< of the input: channels in a byte, levels of a channel
};

/// The channel of the input, and the column of the window, that bit `bit` of a plane of the view shows.
struct shown {
    uint32_t tap, channel;
};

/// Returns whether there is one.
static int find_shown(const struct packing *packing, uint32_t plane, uint32_t bit, struct shown *shown)
{
    const struct pbit_bit_view *view = packing->view;
    uint32_t share = packing->share, taps = packing->conv->window.kernel_x;
    if (plane < taps * view->full) {
        *shown = (struct shown){plane / view->full, plane % view->full * share + bit};
        return 1;
    }
    uint32_t left = (plane - taps * view->full) * share + bit;
    if (left >= taps * view->rest)
        return 0;
    *shown = (struct shown){left / view->rest, view->full * share + left % view->rest};
    return 1;
}

/// A step's table has the weights of a line of the window, a plane, and a factor.
struct table {
    uint32_t line, plane, group;
};

/// Where the weight of a bit lies in the fan-in, or UINT32_MAX.
static uint32_t find_weight(const struct packing *packing, const struct table *table, uint32_t bit)
{
    struct shown shown;
    const struct pbit_operation *conv = packing->conv;
    if (!find_shown(packing, table->plane, bit, &shown))
        return UINT32_MAX;
    uint32_t i = (table->line * conv->window.kernel_x + shown.tap) * packing->inputs + shown.channel;
    return !conv->weight_group || i / conv->weight_group == table->group ? i : UINT32_MAX;
}

/// The tables of all steps, by factor. Returns their number.
static uint32_t list_tables(const struct packing *packing, struct table *tables)
{
    const struct pbit_operation *conv = packing->conv;
    uint32_t planes = pbit_bit_view_planes(packing->view, conv->window.kernel_x), count = 0,
             groups =
                 conv->weight_group ? (packing->fan_in + conv->weight_group - 1) / conv->weight_group : 1;
    for (uint32_t group = 0; group < groups; group++)
        for (uint32_t line = 0; line < conv->window.kernel_y; line++)
            for (uint32_t plane = 0; plane < planes; plane++) {
                const struct table table = {line, plane, group};
                int used = 0;
                for (uint32_t bit = 0; bit < packing->share; bit++)
                    used |= find_weight(packing, &table, bit) != UINT32_MAX;
                if (used && tables)
                    tables[count] = table;
                count += (uint32_t)used;
            }
    return count;
}

/// The weights of one table. Returns the sum of their absolute values; `below` is that of the negative ones.
static uint32_t load_weights(const struct packing *packing, uint32_t k, const struct table *table,
                             int32_t weights[PBIT_BIT_GROUP], uint32_t *below)
{
    uint32_t reach = 0;
    *below = 0;
    for (uint32_t bit = 0; bit < packing->share; bit++) {
        uint32_t i = find_weight(packing, table, bit);
        int32_t weight = k < packing->outputs && i != UINT32_MAX
                             ? pbit_weight_at(packing->model, packing->conv, packing->fan_in, k, i)
                             : 0;
        weights[bit] = weight;
        *below += (uint32_t)(weight < 0 ? -weight : 0);
        reach += (uint32_t)(weight < 0 ? -weight : weight);
    }
    return reach;
}

/// reach: the largest absolute sum.
static struct pbit_bit_channel describe_channel(const struct packing *packing, uint32_t k, int32_t weight,
                                                int32_t least, uint32_t reach)
{
    const struct pbit_operation *conv = packing->conv;
    const uint8_t *bytes = packing->model->bytes;
    struct pbit_bit_channel channel = {.least = least, .weight = weight, .reach = reach};
    channel.multiplier =
        pbit_level_multiplier(pbit_load_u32(bytes + conv->multipliers + 4 * (size_t)k), packing->levels);
    channel.bias = pbit_load_i32(bytes + conv->biases + 4 * (size_t)k);
    channel.product =
        pbit_bit_describe_product((int64_t)channel.multiplier * weight, conv->shift, least, reach);
    double step = channel.multiplier / (double)((uint64_t)1 << conv->shift),
           offset = channel.bias + least * step,
           largest = step * reach + (offset < 0 ? -offset : offset) + 65536;
    channel.step = step * weight;
    channel.scale = (float)channel.step;
    channel.offset = (float)offset;
    // RS rounds by up to 0.5; floats of 24 bits, a few times by up to 2^-24 of the largest number.
    channel.margin = 0.5f + (float)(largest / (1 << 21));
    return channel;
}

/// Sums of a block of output channels.
struct block {
    uint8_t *seeds, *runs, *factors; ///< of the block, as struct pbit_bit_conv; factors: or NULL
    int32_t least[PBIT_BIT_GROUP];   ///< of all negative weights
    uint32_t reach[PBIT_BIT_GROUP];  ///< the largest absolute sum
};

static void end_run(uint8_t *run, uint8_t *length, uint32_t sums[PBIT_BIT_GROUP])
{
    *run = *length;
    *length = 0;
    memset(sums, 0, PBIT_BIT_GROUP * sizeof(*sums));
}

static void fill_block(const struct packing *packing, const struct table *tables, uint32_t steps,
                       uint32_t first, struct block *block)
{
    uint32_t group = packing->kernels->group, sums[PBIT_BIT_GROUP] = {0}, at = 0;
    uint8_t *seeds = block->seeds, length = 0;
    for (uint32_t step = 0; step < steps; step++, length++) {
        const struct table *table = &tables[step];
        uint32_t reach[PBIT_BIT_GROUP], below[PBIT_BIT_GROUP];
        int begins = step % packing->kernels->part == 0,
            ends = begins || length == UINT8_MAX || table->group != tables[step - 1].group;
        for (uint32_t j = 0; j < group; j++, seeds += PBIT_BIT_SEED) {
            int32_t weights[PBIT_BIT_GROUP];
            reach[j] = load_weights(packing, first + j, table, weights, &below[j]);
            ends |= sums[j] + reach[j] > UINT8_MAX;
            fill_sums(weights, group == 4 ? 4 : 3, seeds);
            if (group == 6)
                fill_sums(weights + 3, 3, seeds + 8);
        }
        if (ends && step > 0)
            end_run(&block->runs[at++], &length, sums);
        if (begins)
            at = step;
        for (uint32_t j = 0; j < group; j++) {
            int32_t factor = first + j < packing->outputs && block->factors
                                 ? pbit_factor_at(packing->model, packing->conv, packing->fan_in, first + j,
                                                  table->group * packing->conv->weight_group)
                                 : 1;
            if (block->factors)
                block->factors[at * group + j] = (uint8_t)factor;
            sums[j] += reach[j];
            block->reach[j] += reach[j] * (uint32_t)factor;
            block->least[j] -= (int32_t)below[j] * factor;
        }
    }
    block->runs[at] = length;
}

static uint32_t find_phase(uint32_t *phase, uint32_t *count, uint32_t wanted)
{
    for (uint32_t i = 0; i < *count; i++)
        if (phase[i] == wanted)
            return i;
    phase[*count] = wanted;
    return (*count)++;
}

/// Fills the phases, at most one per line of the window, and where the index bytes of the steps lie.
static void fill_steps(const struct packing *packing, const struct table *tables, uint32_t count,
                       struct pbit_bit_view *view, uint32_t *phase, struct pbit_bit_step *steps)
{
    const struct pbit_window *w = &packing->conv->window;
    int32_t before = (int32_t)(w->pad_y / w->stride_y);
    for (uint32_t step = 0; step < count; step++) {
        uint32_t y = tables[step].line * w->dilation_y,
                 at = find_phase(phase, &view->phases, y % w->stride_y);
        steps[step].plane = at * pbit_bit_view_planes(view, w->kernel_x) + tables[step].plane;
        steps[step].column = ((int32_t)(y / w->stride_y) - before) * (int32_t)view->grid.width;
    }
    view->phase = phase;
}

/// Where the bits of the last plane go that is not full. Returns the number of pieces.
static uint32_t fill_pieces_of_planes(const struct packing *packing, struct pbit_bit_piece *pieces)
{
    uint32_t share = packing->share, rest = packing->view->rest, count = 0;
    for (uint32_t tap = 0; rest && tap < packing->conv->window.kernel_x; tap++)
        for (uint32_t plane = tap * rest / share; plane <= (tap * rest + rest - 1) / share;
             plane++, count++) {
            struct pbit_bit_piece piece = {.tap = tap, .plane = plane};
            for (uint32_t i = 0; i < 1u << share; i++)
                for (uint32_t bit = 0; bit < rest; bit++)
                    if ((tap * rest + bit) / share == plane)
                        piece.map[i] |= (uint8_t)((i >> bit & 1) << (tap * rest + bit) % share);
            if (pieces)
                pieces[count] = piece;
        }
    return count;
}

/// Which pixels of a map see one inside for each column of the window.
static void fill_mask(const struct packing *packing, const struct pbit_tensor *input, size_t stride,
                      uint8_t *mask)
{
    const struct pbit_window *w = &packing->conv->window;
    for (uint32_t tap = 0; tap < w->kernel_x; tap++, mask += stride)
        for (uint32_t i = 0; i < stride; i++) {
            int64_t x = (int64_t)(i % input->width) + tap * w->dilation_x - w->pad_x;
            mask[i] = x >= 0 && x < input->width && i / input->width < input->height ? 255 : 0;
        }
}

static void pack_identity(struct pbit_engine_memory *memory, const struct packing *packing,
                          struct pbit_bit_operation *bits)
{
    struct pbit_bit_channel *channel = pbit_engine_take(memory, packing->outputs * sizeof(*channel));
    bits->identity = 1;
    bits->channel = channel;
    if (!memory->base)
        return;
    for (uint32_t k = 0; k < packing->outputs; k++) {
        int32_t weight = pbit_weight_at(packing->model, packing->conv, 1, k, 0) *
                         pbit_factor_at(packing->model, packing->conv, 1, k, 0);
        channel[k] = describe_channel(packing, k, weight, 0,
                                      (uint32_t)(weight < 0 ? -weight : weight) * packing->levels);
        channel[k].reach = packing->levels > 1 ? packing->levels : 1u << k % packing->share;
        channel[k].step /= 1 << k % packing->share; // of a byte that has the bit there
        channel[k].scale /= (float)(1 << k % packing->share);
    }
}

static void pack_view(struct pbit_engine_memory *memory, const struct packing *packing,
                      const struct pbit_engine_operation *operation, struct pbit_bit_view *view)
{
    const struct pbit_window *w = &packing->conv->window;
    int32_t most = (int32_t)((w->kernel_x - 1) * w->dilation_x) - (int32_t)w->pad_x;
    size_t pixels = pbit_bit_mask_stride(&operation->input);
    view->piece_count = fill_pieces_of_planes(packing, NULL);
    struct pbit_bit_piece *pieces = pbit_engine_take(memory, view->piece_count * sizeof(*pieces));
    int masked = w->stride_y == 1 && w->stride_x == 1 && view->grid.width == operation->input.width &&
                 view->grid.height >= operation->input.height && w->pad_x <= PBIT_BIT_GAP &&
                 most <= PBIT_BIT_GAP;
    uint8_t *mask = masked ? pbit_engine_take(memory, w->kernel_x * pixels) : NULL;
    view->piece = pieces;
    view->mask = mask;
    if (!memory->base)
        return;
    fill_pieces_of_planes(packing, pieces);
    if (mask)
        fill_mask(packing, &operation->input, pixels, mask);
}

static void pack_tables(struct pbit_engine_memory *memory, const struct packing *packing,
                        const struct pbit_engine_operation *operation, struct pbit_bit_operation *bits)
{
    uint32_t group = packing->kernels->group, blocks = (packing->outputs + group - 1) / group,
             steps = list_tables(packing, NULL), lines = packing->conv->window.kernel_y;
    size_t block_seeds = (size_t)steps * group * PBIT_BIT_SEED;
    uint8_t *seeds = pbit_engine_take(memory, blocks * block_seeds);
    uint8_t *runs = pbit_engine_take(memory, (size_t)blocks * steps);
    uint8_t *factors =
        packing->conv->weight_group ? pbit_engine_take(memory, (size_t)blocks * steps * group) : NULL;
    struct pbit_bit_channel *channel = pbit_engine_take(memory, packing->outputs * sizeof(*channel));
    uint32_t *phase = pbit_engine_take(memory, lines * sizeof(*phase));
    struct pbit_bit_step *step = pbit_engine_take(memory, steps * sizeof(*step));
    struct table *tables = pbit_engine_take(memory, steps * sizeof(*tables));
    bits->conv = (struct pbit_bit_conv){group, packing->outputs, steps, seeds, runs, factors};
    bits->channel = channel;
    bits->step = step;
    pack_view(memory, packing, operation, &bits->view);
    if (!memory->base)
        return;
    list_tables(packing, tables);
    fill_steps(packing, tables, steps, &bits->view, phase, step);
    for (uint32_t b = 0; b < blocks; b++) {
        struct block block = {.seeds = seeds + b * block_seeds,
                              .runs = runs + (size_t)b * steps,
                              .factors = factors ? factors + (size_t)b * steps * group : NULL};
        fill_block(packing, tables, steps, b * group, &block);
        for (uint32_t j = 0; j < group && b * group + j < packing->outputs; j++)
            channel[b * group + j] =
                describe_channel(packing, b * group + j, 1, block.least[j], block.reach[j]);
    }
}

static uint32_t share_of(const struct pbit_bit_plan *plan, uint32_t neuron,
                         const struct pbit_bit_kernels *kernels)
{
    return plan->entry[neuron].capable == PBIT_BIT_OF_LEVELS ? 1 : kernels->group;
}

static void pack_conv(struct pbit_engine_memory *memory, const struct pbit_model *model,
                      const struct pbit_bit_kernels *kernels, const struct pbit_bit_plan *plan,
                      struct pbit_engine_operation *operation)
{
    const struct pbit_operation *conv = &operation->operation;
    const struct pbit_window *w = &conv->window;
    struct pbit_bit_operation *bits = &operation->bits;
    uint32_t source_index = plan->producer[operation->input_index],
             share = share_of(plan, source_index, kernels);
    const struct packing packing = {.model = model,
                                    .conv = conv,
                                    .kernels = kernels,
                                    .view = &bits->view,
                                    .inputs = operation->input.channels,
                                    .outputs = operation->output.channels,
                                    .fan_in =
                                        (uint32_t)pbit_operation_fan_in(conv, operation->input.channels),
                                    .share = share,
                                    .levels = share == 1 ? PBIT_BYTE_LEVELS : 1};
    bits->source = source_index;
    uint32_t full = packing.inputs / share, rest = packing.inputs % share, before = w->pad_y / w->stride_y;
    int is_point = w->kernel_y == 1 && w->kernel_x == 1 && w->stride_y == 1 && w->stride_x == 1;
    bits->view = (struct pbit_bit_view){.grid = pbit_bit_view_grid(w, &operation->input, &operation->output),
                                        .origin_y = (int32_t)(before * w->stride_y) - (int32_t)w->pad_y,
                                        .full = full,
                                        .rest = rest,
                                        .merged = (w->kernel_x * rest + share - 1) / share};
    bits->view.lead = before * bits->view.grid.width;
    bits->view.direct = is_point && w->pad_y == 0 && w->pad_x == 0 &&
                        bits->view.grid.height == operation->input.height &&
                        bits->view.grid.width == operation->input.width;
    if (conv->groups > 1 || packing.fan_in == 1)
        pack_identity(memory, &packing, bits);
    else
        pack_tables(memory, &packing, operation, bits);
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
    bits->grid = (struct pbit_bit_grid){operation->output.height, operation->output.width};
    for (uint32_t t = 0; t < entry->terms; t++)
        bits->term[t] = entry->term[t];
    if (operation->operation.function == PBIT_FUNCTION_LINEAR) {
        struct pbit_bit_words *words = pbit_engine_take(memory, operation->output.channels * sizeof(*words));
        if (memory->base && bits->share > 1 && pbit_bit_fill_words(operation - index, operation, words))
            bits->words = words;
        return;
    }
    struct pbit_bit_theta *pieces = pbit_engine_take(memory, sizeof(*pieces));
    bits->pieces = pieces;
    if (memory->base)
        pbit_bit_fill_theta(operation->neuron.table, pieces);
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
        pack_conv(memory, model, kernels, plan, operation);
}
