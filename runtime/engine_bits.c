// A NEURON on packed bits with what comes before it: one block of channels after the other, whose sums stay
// in cache.
#include "runtime/engine.h"

/// Where planes lie in memory: zeros, then the columns of all instances, then zeros again.
struct planes {
    uint8_t *first; ///< column 0 of plane 0
    size_t gap, stride;
};

static size_t area_of(struct pbit_bit_grid grid)
{
    return (size_t)grid.height * grid.width;
}

static struct planes lay_planes(struct pbit_bit_grid grid, size_t instances, size_t gap)
{
    return (struct planes){NULL, gap, gap + pbit_engine_round_up(instances * area_of(grid))};
}

static size_t planes_bytes(const struct planes *planes, uint32_t count)
{
    return count * planes->stride + planes->gap + PBIT_BIT_OVERRUN;
}

/// The zeros before plane `index`, and its columns; after the last one the zeros there too.
static void clear_plane(const struct planes *planes, uint32_t index, int last)
{
    memset(planes->first + index * planes->stride - planes->gap, 0,
           planes->stride + (last ? planes->gap + PBIT_BIT_OVERRUN : 0));
}

static uint32_t plane_count(const struct pbit_engine_operation *neuron)
{
    return (neuron->output.channels + neuron->bits.share - 1) / neuron->bits.share;
}

/// The planes that a NEURON makes for `instances`.
static struct planes planes_of(const struct pbit_engine_operation *neuron, size_t instances, uint8_t *bits)
{
    struct planes planes = lay_planes(neuron->bits.grid, instances, PBIT_BIT_GAP);
    planes.first = bits + neuron->bits.planes + planes.gap;
    return planes;
}

static struct planes lay_view(const struct pbit_bit_view *view, size_t instances)
{
    return lay_planes(view->grid, instances, pbit_engine_round_up(view->lead + 1));
}

/// Numbers of a channel, by image: written eight at a time.
static size_t channel_stride(struct pbit_bit_grid grid)
{
    return (area_of(grid) + 23) / 16 * 16;
}

/// What a stage needs beside planes.
struct scratch {
    uint8_t *tables;
    uint32_t *offsets[PBIT_BIT_TERMS];
    uint8_t *view[PBIT_BIT_TERMS];
    uint16_t *sums[PBIT_BIT_TERMS], *pooled;
    size_t sums_stride, pooled_stride;
    uint16_t *drawn, *random; ///< in the order of neurons; [image or instance][channel][channel_stride]
    int32_t *z;               ///< [channel][channel_stride]
};

/// Lays it out in `memory`, or counts.
static struct scratch lay_scratch(const struct pbit_engine *engine,
                                  const struct pbit_engine_operation *neuron, size_t instances,
                                  struct pbit_engine_memory *memory)
{
    const struct pbit_bit_operation *bits = &neuron->bits;
    uint32_t group = engine->bits->group, channels = neuron->output.channels;
    size_t elements = pbit_tensor_elements(&neuron->output), stride = channel_stride(bits->grid);
    struct scratch scratch = {.tables = pbit_engine_take(memory, PBIT_BIT_TABLES)};
    for (uint32_t t = 0; t < bits->terms; t++) {
        const struct pbit_bit_operation *conv = &engine->operations[bits->term[t]].bits;
        struct planes view = lay_view(&conv->view, instances);
        scratch.sums_stride = pbit_engine_round_up(instances * area_of(conv->view.grid)) + PBIT_BIT_OVERRUN;
        scratch.offsets[t] = pbit_engine_take(memory, conv->conv.steps * sizeof(uint32_t));
        if (!conv->view.direct)
            scratch.view[t] =
                pbit_engine_take(memory, planes_bytes(&view, conv->view.phases * conv->view.groups));
        scratch.sums[t] = pbit_engine_take(memory, group * scratch.sums_stride * sizeof(uint16_t));
    }
    scratch.pooled_stride = pbit_engine_round_up(instances * area_of(bits->grid)) + PBIT_BIT_OVERRUN;
    if (bits->pooled)
        scratch.pooled = pbit_engine_take(memory, group * scratch.pooled_stride * sizeof(uint16_t));
    scratch.drawn =
        pbit_engine_take(memory, (elements + 8 * (size_t)channels + PBIT_BIT_OVERRUN) * sizeof(uint16_t));
    scratch.random =
        pbit_engine_take(memory, (instances * channels * stride + PBIT_BIT_OVERRUN) * sizeof(uint16_t));
    scratch.z = pbit_engine_take(memory, (channels * stride + PBIT_BIT_OVERRUN) * sizeof(int32_t));
    return scratch;
}

size_t pbit_bit_arrange(struct pbit_engine *engine, const struct pbit_bit_plan *plan)
{
    size_t planes_end = 0, most = 0;
    for (uint32_t i = 0; i < plan->operations; i++) {
        struct pbit_engine_operation *operation = &engine->operations[i];
        struct pbit_bit_operation *bits = &operation->bits;
        bits->from = bits->planes_from = UINT32_MAX;
        bits->levels_below = 0;
        if (!bits->stage)
            continue;
        if (bits->terms)
            bits->from = 1;
        for (uint32_t t = 0; t < bits->terms; t++) {
            const struct pbit_bit_operation *conv = &engine->operations[bits->term[t]].bits;
            size_t columns = area_of(conv->view.grid);
            uint32_t least = (uint32_t)((PBIT_BIT_LEAST_COLUMNS + columns - 1) / columns);
            if (conv->identity) // costs nothing, once its source is on bits
                least = engine->operations[conv->source].bits.terms
                            ? engine->operations[conv->source].bits.from
                            : 1;
            bits->from = least > bits->from ? least : bits->from;
        }
        struct planes planes = lay_planes(bits->grid, PBIT_ENGINE_INSTANCES, PBIT_BIT_GAP);
        bits->planes = planes_end;
        planes_end += pbit_engine_round_up(planes_bytes(&planes, plane_count(operation)));
        struct pbit_engine_memory counted = {NULL, 0};
        lay_scratch(engine, operation, PBIT_ENGINE_INSTANCES, &counted);
        most = counted.used > most ? counted.used : most;
    }
    for (uint32_t i = 0; i < plan->operations; i++) {
        struct pbit_engine_operation *operation = &engine->operations[i];
        if (operation->bits.into != PBIT_BIT_NONE)
            operation->bits.from = engine->operations[operation->bits.into].bits.from;
        uint32_t from = operation->operation.kind == PBIT_OPERATION_CONV ? operation->bits.from : UINT32_MAX;
        for (uint32_t input = 0; input < operation->operation.input_count; input++) {
            uint32_t tensor = pbit_operation_input(&engine->model, &operation->operation, input);
            if (tensor < engine->model.input_count || !engine->operations[plan->producer[tensor]].bits.stage)
                continue;
            struct pbit_bit_operation *source = &engine->operations[plan->producer[tensor]].bits;
            source->planes_from = from < source->planes_from ? from : source->planes_from;
            source->levels_below = from > source->levels_below ? from : source->levels_below;
        }
    }
    for (uint32_t i = 0; i < plan->operations; i++)
        engine->operations[i].bits.scratch = planes_end;
    return planes_end + most + PBIT_ENGINE_ALIGNMENT;
}

enum pbit_bit_duty pbit_bit_duty(const struct pbit_block *block,
                                 const struct pbit_engine_operation *operation)
{
    const struct pbit_bit_operation *bits = &operation->bits;
    size_t instances = block->images * block->passes;
    if (!block->on_bits)
        return PBIT_BIT_ALL;
    if (!block->engine
             ->tensor_random[operation->operation.output]) // once per image; planes are for all passes
        return bits->stage ? bits->levels_below > 1 ? PBIT_BIT_ALL : PBIT_BIT_NOTHING
               : bits->into != PBIT_BIT_NONE && bits->from == 1 ? PBIT_BIT_NOTHING
                                                                : PBIT_BIT_ALL;
    if (bits->stage)
        return instances >= bits->from || instances >= bits->planes_from ? PBIT_BIT_STAGE : PBIT_BIT_ALL;
    return bits->into != PBIT_BIT_NONE && instances >= bits->from ? PBIT_BIT_NOTHING : PBIT_BIT_ALL;
}

/// Every stride-th column of `in`.
static void copy_row(uint8_t *restrict out, const uint8_t *restrict in, uint32_t stride, size_t columns)
{
    if (stride == 1)
        memcpy(out, in, columns);
    else if (stride == 2) // the most frequent one: compilers know how to take every second byte
        for (size_t x = 0; x < columns; x++)
            out[x] = in[2 * x];
    else
        for (size_t x = 0; x < columns; x++)
            out[x] = in[x * stride];
}

/// Rows of the input's planes to rows of a view, every stride-th column.
static void copy_view(const struct pbit_engine_operation *conv, const struct planes *source,
                      struct pbit_bit_grid source_grid, size_t instances, const struct planes *to)
{
    const struct pbit_bit_view *view = &conv->bits.view;
    int64_t height = conv->input.height, width = conv->input.width;
    for (uint32_t phase = 0; phase < view->phases; phase++) {
        int64_t y0 = view->origin_y + (int64_t)(view->phase[phase] >> 16),
                x0 = view->origin_x + (int64_t)(view->phase[phase] & 0xFFFF);
        int64_t skipped = x0 < 0 ? (-x0 + view->stride_x - 1) / view->stride_x : 0;
        int64_t end = (width - x0 + view->stride_x - 1) / view->stride_x;
        end = end > view->grid.width ? view->grid.width : end;
        for (uint32_t plane = 0; plane < view->groups; plane++) {
            uint32_t index = phase * view->groups + plane;
            clear_plane(to, index, index + 1 == view->phases * view->groups);
            for (size_t i = 0; i < instances; i++)
                for (uint32_t row = 0; row < view->grid.height; row++) {
                    int64_t y = y0 + (int64_t)row * view->stride_y;
                    if (y < 0 || y >= height)
                        continue;
                    const uint8_t *in = source->first + plane * source->stride + i * area_of(source_grid) +
                                        (size_t)y * source_grid.width;
                    uint8_t *out = to->first + index * to->stride + i * area_of(view->grid) +
                                   (size_t)row * view->grid.width;
                    if (skipped < end)
                        copy_row(out + skipped, in + x0 + skipped * view->stride_x, view->stride_x,
                                 (size_t)(end - skipped));
                }
        }
    }
}

/// The planes from which the CONV reads, and where the columns of its tables lie from their first zeros on.
static struct planes prepare_view(const struct pbit_block *block, const struct pbit_engine_operation *conv,
                                  uint8_t *memory, uint32_t *offsets)
{
    const struct pbit_engine_operation *source = &block->engine->operations[conv->bits.source];
    size_t instances = block->images * block->passes;
    struct planes planes = planes_of(source, instances, block->bits);
    if (!conv->bits.view.direct) {
        struct planes view = lay_view(&conv->bits.view, instances);
        view.first = memory + view.gap;
        copy_view(conv, &planes, source->bits.grid, instances, &view);
        planes = view;
    }
    for (uint32_t s = 0; s < conv->bits.conv.steps; s++)
        offsets[s] = (uint32_t)((int64_t)(conv->bits.step[s].plane * planes.stride + planes.gap) +
                                conv->bits.step[s].column);
    return planes;
}

/// A stage at work.
struct stage {
    const struct pbit_block *block;
    const struct pbit_engine_operation *neuron;
    const struct pbit_bit_kernels *kernels;
    struct scratch scratch;
    struct planes out, in[PBIT_BIT_TERMS];
    size_t instances;
    uint32_t group;
    int independent; ///< iid: random numbers by instance, else by image
    uint32_t order[PBIT_ENGINE_INSTANCES];
};

/// Random numbers of an image, or of one pass of it.
static void prepare_random(const struct stage *stage, size_t image, uint32_t pass, uint16_t *random)
{
    const struct pbit_tensor *output = &stage->neuron->output;
    struct pbit_lanes lanes;
    pbit_lanes_seed(&lanes, stage->block->options->seed, stage->block->first_image + image,
                    stage->neuron->operation.layer, pass);
    stage->kernels->random(&lanes, pbit_tensor_elements(output), stage->scratch.drawn);
    const struct pbit_bit_shape shape = {output->height, output->width, output->channels,
                                         stage->neuron->bits.grid.width,
                                         channel_stride(stage->neuron->bits.grid)};
    pbit_bit_transpose_16(&shape, stage->scratch.drawn, random);
}

static const uint16_t *random_of(const struct stage *stage, size_t instance, uint32_t channel)
{
    size_t which = stage->independent ? instance : instance / stage->block->passes;
    return stage->scratch.random +
           (which * stage->neuron->output.channels + channel) * channel_stride(stage->neuron->bits.grid);
}

static void prepare_all_random(const struct stage *stage)
{
    const struct pbit_block *block = stage->block;
    uint16_t *random = stage->scratch.random;
    size_t step = stage->neuron->output.channels * channel_stride(stage->neuron->bits.grid);
    if (stage->neuron->bits.share == 1)
        return;
    for (size_t i = 0; i < (stage->independent ? stage->instances : block->images); i++, random += step)
        if (stage->independent)
            prepare_random(stage, i / block->passes, block->first_pass + (uint32_t)(i % block->passes) + 1,
                           random);
        else
            prepare_random(stage, i, 0, random);
}

/// The sums of a block of channels, in all instances.
static void sum_term(const struct stage *stage, uint32_t t, uint32_t block)
{
    const struct pbit_bit_operation *conv =
        &stage->block->engine->operations[stage->neuron->bits.term[t]].bits;
    const struct planes *in = &stage->in[t];
    size_t columns = stage->instances * area_of(conv->view.grid), stride = stage->scratch.sums_stride;
    uint16_t *sums = stage->scratch.sums[t];
    stage->kernels->convolve(&conv->conv, block, stage->scratch.offsets[t], in->first - in->gap, columns,
                             stage->scratch.tables, sums, stride);
}

static void pool_block(const struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_tensor *output = &stage->neuron->output;
    struct pbit_bit_grid from = stage->block->engine->operations[bits->term[0]].bits.view.grid;
    for (uint32_t j = 0; j < stage->group; j++)
        for (size_t i = 0; i < stage->instances; i++)
            stage->kernels->pool(stage->scratch.sums[0] + j * stage->scratch.sums_stride + i * area_of(from),
                                 from.width, output->height, output->width,
                                 stage->scratch.pooled + j * stage->scratch.pooled_stride +
                                     i * area_of(bits->grid),
                                 bits->grid.width);
}

/// Adds a term of channel k; its sums lie at `j` of the block.
static void describe_term(const struct stage *stage, uint32_t t, uint32_t k, uint32_t j,
                          struct pbit_bit_draw *draw)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[bits->term[t]];
    const struct pbit_bit_channel *channel = &conv->bits.channel[k];
    if (conv->bits.identity) {
        const struct planes *in = &stage->in[t];
        uint32_t share = stage->block->engine->operations[conv->bits.source].bits.share;
        uint8_t unit = (uint8_t)(1 << k % share);
        draw->residual = (struct pbit_bit_residual){.plane = in->first + k / share * in->stride,
                                                    .mask = share == 1 ? PBIT_BYTE_LEVELS : unit,
                                                    .unit = unit,
                                                    .scale = channel->scale,
                                                    .weight = channel->weight,
                                                    .multiplier = channel->multiplier,
                                                    .shift = conv->operation.shift,
                                                    .bias = channel->bias};
    } else {
        draw->term[draw->terms++] =
            (struct pbit_bit_term){bits->pooled ? stage->scratch.pooled + j * stage->scratch.pooled_stride
                                                : stage->scratch.sums[t] + j * stage->scratch.sums_stride,
                                   channel->scale,
                                   channel->least,
                                   channel->multiplier,
                                   conv->operation.shift,
                                   channel->bias};
    }
    draw->offset += channel->offset;
    draw->margin += channel->margin;
}

static void complete(const struct stage *stage, uint32_t k, struct pbit_bit_draw *draw)
{
    const struct pbit_operation *operation = &stage->neuron->operation;
    int midpoint = stage->block->sampler == PBIT_SAMPLER_MIDPOINT;
    draw->count = area_of(stage->neuron->bits.grid);
    if (stage->neuron->bits.share == 1)
        return;
    draw->pieces = stage->neuron->bits.pieces;
    draw->theta = stage->neuron->neuron.table;
    draw->rho = stage->independent ? 256 : midpoint ? 0 : operation->amplitude;
    draw->amplitude = (float)draw->rho / 256;
    draw->margin += draw->pieces || draw->rho % 256 == 0 ? 0 : 1; // v' is rounded down
    draw->bit = (uint8_t)(1 << k % stage->group);
}

static void draw_instance(const struct stage *stage, struct pbit_bit_draw *draw, uint32_t k, size_t instance)
{
    if (draw->bit) {
        draw->random = random_of(stage, instance, k);
        draw->order = stage->order[instance];
    }
    draw->at = instance * area_of(stage->neuron->bits.grid);
    stage->kernels->draw(draw,
                         stage->out.first + k / stage->neuron->bits.share * stage->out.stride + draw->at);
}

/// Columns that are no pixels become zeros again.
static void clear_padding(const struct stage *stage, uint32_t plane)
{
    const struct pbit_tensor *output = &stage->neuron->output;
    struct pbit_bit_grid grid = stage->neuron->bits.grid;
    uint8_t *at = stage->out.first + plane * stage->out.stride;
    for (size_t i = 0; i < stage->instances; i++, at += area_of(grid)) {
        for (uint32_t x = output->width; x < grid.width; x++) // few
            for (uint32_t y = 0; y < output->height; y++)
                at[(size_t)y * grid.width + x] = 0;
        memset(at + (size_t)output->height * grid.width, 0,
               (size_t)(grid.height - output->height) * grid.width);
    }
}

static void run_terms(struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    uint32_t channels = stage->neuron->output.channels;
    for (uint32_t t = 0; t < bits->terms; t++)
        stage->in[t] = prepare_view(stage->block, &stage->block->engine->operations[bits->term[t]],
                                    stage->scratch.view[t], stage->scratch.offsets[t]);
    prepare_all_random(stage);
    for (uint32_t first = 0; first < channels; first += stage->group) {
        for (uint32_t t = 0; t < bits->terms; t++)
            if (!stage->block->engine->operations[bits->term[t]].bits.identity)
                sum_term(stage, t, first / stage->group);
        if (bits->pooled)
            pool_block(stage);
        for (uint32_t k = first; k < channels && k < first + stage->group; k++) {
            struct pbit_bit_draw draw = {.z = NULL};
            for (uint32_t t = 0; t < bits->terms; t++)
                describe_term(stage, t, k, k - first, &draw);
            complete(stage, k, &draw);
            size_t calls = stage->instances;
            if (bits->share == 1) { // without random numbers all instances are one
                draw.count *= calls;
                calls = 1;
            }
            for (size_t i = 0; i < calls; i++)
                draw_instance(stage, &draw, k, i);
        }
    }
}

/// Reads z as other operations left it.
static void run_fixed(struct stage *stage)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *neuron = stage->neuron;
    const struct pbit_tensor *output = &neuron->output;
    int same = !block->engine->tensor_random[neuron->input_index]; // in all passes
    size_t stride = channel_stride(neuron->bits.grid);
    const struct pbit_bit_shape shape = {output->height, output->width, output->channels,
                                         neuron->bits.grid.width, stride};
    prepare_all_random(stage);
    for (size_t first = 0, shared = same ? block->passes : 1; first < stage->instances; first += shared) {
        pbit_bit_transpose_32(
            &shape, (const int32_t *)pbit_block_tensor(block, neuron->input_index, &neuron->input, first),
            stage->scratch.z);
        for (uint32_t k = 0; k < output->channels; k++) {
            struct pbit_bit_draw draw = {.z = stage->scratch.z + k * stride};
            complete(stage, k, &draw);
            for (size_t i = first; i < first + shared; i++)
                draw_instance(stage, &draw, k, i);
        }
    }
}

/// For operations that are not on bits.
static void write_levels(const struct stage *stage, size_t instance)
{
    const struct pbit_engine_operation *neuron = stage->neuron;
    const struct pbit_tensor *output = &neuron->output;
    const struct pbit_bit_shape shape = {output->height, output->width, output->channels,
                                         neuron->bits.grid.width, stage->out.stride};
    const uint8_t *planes = stage->out.first + instance * area_of(neuron->bits.grid);
    uint8_t *out = pbit_block_output(stage->block, neuron, instance);
    if (neuron->bits.share == 1)
        pbit_bit_transpose_levels(&shape, planes, out);
    else
        pbit_bit_spread(&shape, planes, neuron->bits.share, out);
}

void pbit_bit_stage(const struct pbit_block *block, const struct pbit_engine_operation *neuron)
{
    const struct pbit_engine *engine = block->engine;
    const struct pbit_bit_operation *bits = &neuron->bits;
    struct pbit_engine_memory memory = {block->bits + bits->scratch, 0};
    struct stage stage = {.block = block,
                          .neuron = neuron,
                          .kernels = engine->bits,
                          .instances = block->images * block->passes,
                          .group = engine->bits->group,
                          .independent = block->sampler == PBIT_SAMPLER_IID};
    stage.scratch = lay_scratch(engine, neuron, stage.instances, &memory);
    for (size_t i = 0; i < stage.instances && !stage.independent; i++)
        stage.order[i] = pbit_sample_order(block->first_pass + (uint32_t)(i % block->passes));
    stage.out = planes_of(neuron, stage.instances, block->bits);
    uint32_t planes = bits->share == 1 ? 0 : plane_count(neuron); // with zeros around the bits
    for (uint32_t plane = 0; plane < planes; plane++)
        clear_plane(&stage.out, plane, plane + 1 == planes);
    if (stage.instances >= bits->from)
        run_terms(&stage);
    else
        run_fixed(&stage);
    for (uint32_t plane = 0; plane < planes; plane++)
        clear_padding(&stage, plane);
    if (stage.instances < bits->levels_below && engine->tensor_random[neuron->operation.output])
        for (size_t i = 0; i < stage.instances; i++)
            write_levels(&stage, i);
}

void pbit_bit_prepare(const struct pbit_block *block)
{
    size_t instances = block->images * block->passes;
    for (uint32_t i = 0; block->on_bits && i < block->engine->model.first_random; i++) {
        const struct pbit_engine_operation *operation = &block->engine->operations[i];
        if (operation->bits.stage && instances >= operation->bits.planes_from)
            pbit_bit_stage(block, operation);
    }
}
