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

/// Instances are pieces by themselves where that makes fewer vectors.
static struct pbit_bit_columns columns_of(const struct pbit_engine *engine,
                                          const struct pbit_engine_operation *conv, size_t instances)
{
    size_t vector = engine->bits->columns, pitch = area_of(conv->bits.view.grid),
           pixels = (size_t)conv->output.height * conv->output.width,
           rounded = (pixels + vector - 1) / vector, all = (instances - 1) * pitch + pixels;
    return rounded * instances <= (all + vector - 1) / vector
               ? (struct pbit_bit_columns){instances, pixels, pitch, rounded * vector}
               : (struct pbit_bit_columns){1, all, pitch, pitch};
}

/// Numbers of a channel in all instances.
static size_t sums_stride(const struct pbit_bit_columns *columns, size_t instances)
{
    return pbit_engine_round_up(instances * columns->out_pitch) + PBIT_BIT_OVERRUN;
}

/// Numbers of a channel, by image.
static size_t channel_stride(struct pbit_bit_grid grid)
{
    return (area_of(grid) + PBIT_BIT_PIXELS - 1) / PBIT_BIT_PIXELS * PBIT_BIT_PIXELS;
}

static size_t size_of_sum(const struct pbit_engine_operation *conv)
{
    return conv->bits.conv.factors ? sizeof(int32_t) : sizeof(uint16_t);
}

/// What all pieces of a stage read beside planes.
struct shared {
    uint32_t *offsets[PBIT_BIT_TERMS];
    uint8_t *view[PBIT_BIT_TERMS];
    uint16_t *random; ///< [image or instance][channel][channel_stride]
};

/// Lays it out in `memory`, or counts.
static struct shared lay_shared(const struct pbit_engine *engine, const struct pbit_engine_operation *neuron,
                                size_t instances, struct pbit_engine_memory *memory)
{
    size_t channel = channel_stride(neuron->bits.grid) * neuron->output.channels;
    struct shared shared = {.random = NULL};
    for (uint32_t t = 0; t < neuron->bits.terms; t++) {
        const struct pbit_engine_operation *conv = &engine->operations[neuron->bits.term[t]];
        const struct pbit_bit_view *view = &conv->bits.view;
        struct planes planes = lay_view(view, instances);
        if (conv->bits.identity)
            continue;
        shared.offsets[t] = pbit_engine_take(memory, conv->bits.conv.steps * sizeof(uint32_t));
        if (!view->direct)
            shared.view[t] = pbit_engine_take(
                memory, planes_bytes(&planes, view->phases * pbit_bit_view_planes(
                                                                 view, conv->operation.window.kernel_x)));
    }
    shared.random = pbit_engine_take(memory, (instances * channel + PBIT_BIT_OVERRUN) * sizeof(uint16_t));
    return shared;
}

/// What a piece of a stage needs for itself.
struct scratch {
    uint8_t *tables; ///< PBIT_BIT_SCRATCH
    uint8_t *rows;   ///< of an instance of a view
    struct pbit_bit_columns columns[PBIT_BIT_TERMS];
    uint8_t *sums[PBIT_BIT_TERMS], *pooled; ///< [group][sums_stride] and [group][pooled_stride], of numbers
    size_t sums_stride[PBIT_BIT_TERMS], pooled_stride;
    uint32_t *states; ///< of random numbers
    int32_t *z;       ///< [channel][channel_stride]
};

static struct scratch lay_scratch(const struct pbit_engine *engine,
                                  const struct pbit_engine_operation *neuron, size_t instances,
                                  struct pbit_engine_memory *memory)
{
    const struct pbit_bit_operation *bits = &neuron->bits;
    uint32_t group = engine->bits->group, channels = neuron->output.channels;
    struct scratch scratch = {.tables = pbit_engine_take(memory, PBIT_BIT_SCRATCH)};
    size_t rows = 0, number = sizeof(uint16_t);
    for (uint32_t t = 0; t < bits->terms; t++) {
        const struct pbit_engine_operation *conv = &engine->operations[bits->term[t]];
        if (conv->bits.identity)
            continue;
        number = size_of_sum(conv);
        rows = area_of(conv->bits.view.grid) > rows ? area_of(conv->bits.view.grid) : rows;
        scratch.columns[t] = columns_of(engine, conv, instances);
        scratch.sums_stride[t] = sums_stride(&scratch.columns[t], instances);
        scratch.sums[t] = pbit_engine_take(memory, group * scratch.sums_stride[t] * number);
    }
    scratch.rows = pbit_engine_take(memory, rows + PBIT_BIT_OVERRUN);
    scratch.pooled_stride = pbit_engine_round_up(instances * area_of(bits->grid)) + PBIT_BIT_OVERRUN;
    if (bits->pooled)
        scratch.pooled = pbit_engine_take(memory, group * scratch.pooled_stride * number);
    scratch.states = pbit_engine_take(
        memory, (engine->bits->streams * (size_t)PBIT_BIT_PIXELS * channels + PBIT_BIT_OVERRUN) *
                    sizeof(*scratch.states));
    scratch.z = pbit_engine_take(memory, (channels * channel_stride(bits->grid) + PBIT_BIT_OVERRUN) *
                                             sizeof(int32_t));
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
        struct pbit_engine_memory shared = {NULL, 0};
        lay_shared(engine, operation, PBIT_ENGINE_INSTANCES, &shared);
        most = shared.used > most ? shared.used : most;
        for (size_t instances = 1; instances <= PBIT_ENGINE_INSTANCES; instances++) { // few may need more
            struct pbit_engine_memory own = {NULL, 0};
            lay_scratch(engine, operation, instances, &own);
            engine->scratch_bytes = own.used > engine->scratch_bytes ? own.used : engine->scratch_bytes;
        }
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
        engine->operations[i].bits.shared = planes_end;
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

/// The rows of an instance as a column of the window sees them, one by one. in: of the instance.
static void copy_rows(const struct pbit_engine_operation *conv, uint32_t phase, uint32_t tap,
                      const uint8_t *in, uint8_t *out)
{
    const struct pbit_window *w = &conv->operation.window;
    struct pbit_bit_grid grid = conv->bits.view.grid;
    int64_t height = conv->input.height, width = conv->input.width, stride = w->stride_x,
            x0 = (int64_t)tap * w->dilation_x - w->pad_x;
    int64_t first = x0 < 0 ? (-x0 + stride - 1) / stride : 0,
            end = width > x0 ? (width - x0 + stride - 1) / stride : 0;
    end = end > grid.width ? grid.width : end;
    memset(out, 0, area_of(grid));
    for (uint32_t row = 0; row < grid.height; row++, out += grid.width) {
        int64_t y =
            conv->bits.view.origin_y + (int64_t)conv->bits.view.phase[phase] + (int64_t)row * w->stride_y;
        if (y >= 0 && y < height && first < end)
            copy_row(out + first, in + y * width + x0 + first * stride, w->stride_x, (size_t)(end - first));
    }
}

/// A view in the making.
struct viewing {
    const struct pbit_bit_kernels *kernels;
    const struct pbit_engine_operation *conv;
    size_t instances;
    uint8_t *rows; ///< scratch
};

/// A plane of the input as a column of the window sees it, for all instances. map: adds what its bits become.
static void show_plane(const struct viewing *viewing, uint32_t phase, uint32_t tap, const uint8_t *in,
                       const uint8_t *map, uint8_t *out)
{
    const struct pbit_engine_operation *conv = viewing->conv;
    const struct pbit_bit_view *view = &conv->bits.view;
    const struct pbit_window *w = &conv->operation.window;
    size_t pixels = (size_t)conv->input.height * conv->input.width, area = area_of(view->grid);
    for (size_t i = 0; i < viewing->instances; i++, in += pixels, out += area) {
        if (view->mask) {
            viewing->kernels->show(in + (int32_t)(tap * w->dilation_x) - (int32_t)w->pad_x,
                                   view->mask + tap * pbit_bit_mask_stride(&conv->input), map, pixels, out);
            if (!map)
                memset(out + pixels, 0, area - pixels);
        } else if (!map) {
            copy_rows(conv, phase, tap, in, out);
        } else {
            copy_rows(conv, phase, tap, in, viewing->rows);
            memset(viewing->rows + area, 0, PBIT_BIT_OVERRUN);
            viewing->kernels->show(viewing->rows, NULL, map, area, out);
        }
    }
}

/// The piece's planes of a view; those where channels of several taps are merged go with the first.
static void make_view(const struct viewing *viewing, const struct pbit_piece *piece,
                      const struct planes *source, const struct planes *to)
{
    const struct pbit_bit_view *view = &viewing->conv->bits.view;
    uint32_t taps = viewing->conv->operation.window.kernel_x, planes = pbit_bit_view_planes(view, taps);
    struct pbit_range range = pbit_piece_range(piece, taps * view->full);
    uint8_t *out = to->first;
    if (taps * view->full < piece->pieces) // merged planes end where the first of the next phase begins
        range = (struct pbit_range){0, piece->index == 0 ? taps * view->full : 0};
    for (uint32_t phase = 0; phase < view->phases; phase++) {
        for (uint32_t plane = 0; plane < planes; plane++, out += to->stride) {
            int merged = plane >= taps * view->full;
            if (merged ? piece->index != 0 : plane < range.first || plane >= range.end)
                continue;
            memset(out - to->gap, 0, merged ? to->stride : to->gap);
            if (!merged)
                show_plane(viewing, phase, plane / view->full,
                           source->first + plane % view->full * source->stride, NULL, out);
        }
        for (uint32_t i = 0; piece->index == 0 && i < view->piece_count; i++)
            show_plane(viewing, phase, view->piece[i].tap, source->first + view->full * source->stride,
                       view->piece[i].map, out - (view->merged - view->piece[i].plane) * to->stride);
    }
    if (piece->index == 0)
        memset(out - to->gap, 0, to->gap + PBIT_BIT_OVERRUN);
}

/// A part of a stage: some blocks of channels, in some instances, or in some pixels of one.
struct tile {
    struct pbit_range blocks, instances, pixels;
};

/// A piece of a stage at work.
struct stage {
    const struct pbit_block *block;
    const struct pbit_engine_operation *neuron;
    const struct pbit_bit_kernels *kernels;
    const struct pbit_piece *piece;
    struct shared shared;
    struct scratch scratch;
    struct planes out, in[PBIT_BIT_TERMS];
    struct tile tile;
    size_t instances;
    uint32_t group;
    int independent; ///< iid: random numbers by instance, else by image
    uint32_t order[PBIT_ENGINE_INSTANCES];
};

/// The planes from which a CONV reads.
static struct planes planes_in(const struct stage *stage, uint32_t t)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *conv = &block->engine->operations[stage->neuron->bits.term[t]];
    if (conv->bits.identity || conv->bits.view.direct)
        return planes_of(&block->engine->operations[conv->bits.source], stage->instances, block->bits);
    struct planes view = lay_view(&conv->bits.view, stage->instances);
    view.first = stage->shared.view[t] + view.gap;
    return view;
}

/// Makes these planes, and finds where the columns of the tables lie from their first zeros on.
static void prepare_view(const struct stage *stage, uint32_t t)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *conv = &block->engine->operations[stage->neuron->bits.term[t]];
    const struct pbit_engine_operation *source = &block->engine->operations[conv->bits.source];
    const struct planes planes = planes_of(source, stage->instances, block->bits), in = stage->in[t];
    if (!conv->bits.identity && !conv->bits.view.direct) {
        const struct viewing viewing = {stage->kernels, conv, stage->instances, stage->scratch.rows};
        make_view(&viewing, stage->piece, &planes, &in);
    }
    for (uint32_t s = 0; stage->piece->index == 0 && s < conv->bits.conv.steps; s++)
        stage->shared.offsets[t][s] =
            (uint32_t)((int64_t)(conv->bits.step[s].plane * in.stride + in.gap) + conv->bits.step[s].column);
}

/// Random numbers of an image, or of one pass of it: some of the parts that are streams.
static void prepare_random(const struct stage *stage, size_t image, uint32_t pass,
                           const struct pbit_range *parts, uint16_t *random)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    uint32_t channels = stage->neuron->output.channels;
    size_t first = parts->first * bits->part, end = parts->end * bits->part, all = area_of(bits->grid);
    struct pbit_lanes lanes;
    pbit_lanes_seed(&lanes, stage->block->options->seed, stage->block->first_image + image,
                    stage->neuron->operation.layer, pass);
    pbit_lanes_skip(&lanes, stage->block->engine->jump, (uint64_t)first / PBIT_LANES * channels);
    const struct pbit_bit_random layer = {.pixels = (end < all ? end : all) - first,
                                          .part = bits->part,
                                          .stride = channel_stride(bits->grid),
                                          .channels = channels,
                                          .buffer = stage->scratch.states,
                                          .jump = bits->jump};
    stage->kernels->random(&layer, &lanes, random + first);
}

static void prepare_all_random(const struct stage *stage)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    size_t step = stage->neuron->output.channels * channel_stride(bits->grid),
           parts = (area_of(bits->grid) + bits->part - 1) / bits->part,
           count = stage->independent ? stage->instances : block->images;
    struct pbit_range range = pbit_piece_range(stage->piece, count * parts);
    struct pbit_rows rows;
    while (pbit_next_rows(&range, (uint32_t)parts, &rows)) {
        const struct pbit_range some = {rows.first, rows.end};
        size_t image = stage->independent ? rows.instance / block->passes : rows.instance;
        uint32_t pass =
            stage->independent ? block->first_pass + (uint32_t)(rows.instance % block->passes) + 1 : 0;
        prepare_random(stage, image, pass, &some, stage->shared.random + rows.instance * step);
    }
}

/// The CONV's pixels for those of the tile.
static struct pbit_range conv_pixels(const struct stage *stage, const struct pbit_engine_operation *conv)
{
    size_t width = stage->neuron->output.width, line = 2 * (size_t)conv->output.width;
    struct pbit_range pixels = stage->tile.pixels;
    if (stage->neuron->bits.pooled)
        pixels = (struct pbit_range){pixels.first / width * line, pixels.end / width * line};
    return pixels;
}

/// The sums of a block of channels in the tile.
static void sum_term(const struct stage *stage, uint32_t t, uint32_t block)
{
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[stage->neuron->bits.term[t]];
    const struct planes *in = &stage->in[t];
    struct pbit_range pixels = conv_pixels(stage, conv);
    struct pbit_bit_columns columns = stage->scratch.columns[t];
    if (stage->tile.instances.end - stage->tile.instances.first == 1)
        columns.length = pixels.end - pixels.first;
    stage->kernels->convolve(
        &conv->bits.conv, block, stage->shared.offsets[t],
        in->first - in->gap + pixels.first + stage->tile.instances.first * area_of(conv->bits.view.grid),
        &columns, stage->scratch.tables, stage->scratch.sums[t], stage->scratch.sums_stride[t]);
}

static void pool_block(const struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_tensor *output = &stage->neuron->output;
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[bits->term[0]];
    size_t number = size_of_sum(conv);
    for (uint32_t j = 0; j < stage->group; j++) {
        const struct pbit_bit_pool pool = {
            .sums = stage->scratch.sums[0] + j * stage->scratch.sums_stride[0] * number,
            .wide = number == sizeof(int32_t),
            .instances = stage->tile.instances.end - stage->tile.instances.first,
            .pitch = stage->scratch.columns[0].out_pitch,
            .line = conv->output.width,
            .height = (uint32_t)((stage->tile.pixels.end - stage->tile.pixels.first) / output->width),
            .width = output->width};
        stage->kernels->pool(&pool, stage->scratch.pooled + j * stage->scratch.pooled_stride * number);
    }
}

/// Where the tile begins among the pixels of all instances.
static size_t first_pixel(const struct stage *stage)
{
    return stage->tile.instances.first * area_of(stage->neuron->bits.grid) + stage->tile.pixels.first;
}

/// Adds a term, as of the first block of channels.
static void describe_term(const struct stage *stage, uint32_t t, struct pbit_bit_draw *draw)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[bits->term[t]];
    if (conv->bits.identity)
        draw->residual = (struct pbit_bit_residual){
            .planes = stage->in[t].first + first_pixel(stage),
            .stride = stage->in[t].stride,
            .levels = stage->block->engine->operations[conv->bits.source].bits.share == 1,
            .shift = conv->operation.shift,
            .channel = conv->bits.channel};
    else
        draw->term[draw->terms++] = (struct pbit_bit_term){
            .sums = bits->pooled ? stage->scratch.pooled : stage->scratch.sums[t],
            .stride = bits->pooled ? stage->scratch.pooled_stride : stage->scratch.sums_stride[t],
            .pitch = bits->pooled ? area_of(bits->grid) : stage->scratch.columns[t].out_pitch,
            .wide = size_of_sum(conv) == sizeof(int32_t),
            .shift = conv->operation.shift,
            .channel = conv->bits.channel};
}

/// What all blocks of channels of `count` instances share.
static struct pbit_bit_draw begin_draw(const struct stage *stage, size_t first, size_t count)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_block *block = stage->block;
    struct pbit_bit_draw draw = {.instances = count,
                                 .count = stage->tile.pixels.end - stage->tile.pixels.first,
                                 .stride = channel_stride(bits->grid),
                                 .levels = bits->share == 1,
                                 .plane_stride = stage->out.stride};
    if (draw.levels)
        return draw;
    draw.pieces = bits->pieces;
    draw.theta = stage->neuron->neuron.table;
    draw.rho = stage->independent                        ? 256
               : block->sampler == PBIT_SAMPLER_MIDPOINT ? 0
                                                         : stage->neuron->operation.amplitude;
    draw.amplitude = (float)draw.rho / 256;
    draw.margin = draw.pieces || draw.rho % 256 == 0 ? 0 : 1; // v' is rounded down
    draw.order = stage->order + first;
    draw.random_shared = stage->independent ? 1 : block->passes;
    draw.random_pitch = stage->neuron->output.channels * draw.stride;
    draw.random =
        stage->shared.random + first / draw.random_shared * draw.random_pitch + stage->tile.pixels.first;
    return draw;
}

/// The block's channels from k on, of instances from `first` on.
static void draw_block(const struct stage *stage, const struct pbit_bit_draw *all, uint32_t k, size_t first)
{
    struct pbit_bit_draw draw = *all;
    uint32_t left = stage->neuron->output.channels - k, share = stage->neuron->bits.share;
    draw.channels = left < stage->group ? left : stage->group;
    if (draw.z)
        draw.z += k * draw.stride;
    if (!draw.levels)
        draw.random += k * draw.stride;
    for (uint32_t t = 0; t < draw.terms; t++)
        draw.term[t].channel += k;
    if (draw.residual.planes) {
        draw.residual.planes += k / (draw.residual.levels ? 1 : stage->group) * draw.residual.stride;
        draw.residual.channel += k;
    }
    stage->kernels->draw(&draw, stage->out.first + k / share * stage->out.stride +
                                    first * area_of(stage->neuron->bits.grid) + stage->tile.pixels.first);
}

static void run_terms(const struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct tile *tile = &stage->tile;
    struct pbit_bit_draw draw =
        begin_draw(stage, tile->instances.first, tile->instances.end - tile->instances.first);
    for (uint32_t t = 0; t < bits->terms; t++)
        describe_term(stage, t, &draw);
    for (uint32_t block = (uint32_t)tile->blocks.first; block < tile->blocks.end; block++) {
        for (uint32_t t = 0; t < bits->terms; t++)
            if (!stage->block->engine->operations[bits->term[t]].bits.identity)
                sum_term(stage, t, block);
        if (bits->pooled)
            pool_block(stage);
        draw_block(stage, &draw, block * stage->group, tile->instances.first);
    }
}

/// Reads z as other operations left it.
static void run_fixed(const struct stage *stage)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *neuron = stage->neuron;
    const struct tile *tile = &stage->tile;
    uint32_t channels = neuron->output.channels;
    int same = !block->engine->tensor_random[neuron->input_index]; // in all passes
    size_t stride = channel_stride(neuron->bits.grid);
    for (size_t first = tile->instances.first, count; first < tile->instances.end; first += count) {
        size_t left = tile->instances.end - first;
        count = !same ? 1 : left < block->passes ? left : block->passes;
        const int32_t *in =
            (const int32_t *)pbit_block_tensor(block, neuron->input_index, &neuron->input, first);
        stage->kernels->transpose(in + tile->pixels.first * channels, tile->pixels.end - tile->pixels.first,
                                  channels, stride, stage->scratch.z);
        struct pbit_bit_draw draw = begin_draw(stage, first, count);
        draw.z = stage->scratch.z;
        for (uint32_t k = 0; k < channels; k += stage->group)
            draw_block(stage, &draw, k, first);
    }
}

/// For operations that are not on bits.
static void write_levels(const struct stage *stage, size_t instance)
{
    const struct pbit_engine_operation *neuron = stage->neuron;
    size_t pixels = area_of(neuron->bits.grid), stride = stage->out.stride;
    const uint8_t *planes = stage->out.first + instance * pixels;
    uint8_t *out = pbit_block_output(stage->block, neuron, instance);
    if (neuron->bits.share == 1)
        pbit_bit_spread_levels(planes, stride, pixels, neuron->output.channels, out);
    else
        pbit_bit_spread(planes, stride, pixels, neuron->output.channels, neuron->bits.share, out);
}

/// How many vectors of columns the largest piece looks up for a table, where it has blocks of channels, or
/// where it has all of them in a share of the columns. To make a table takes as long as some vectors.
static int blocks_are_better(const struct stage *stage, size_t blocks, size_t shares)
{
    enum { TABLE_VECTORS = 2 };
    size_t pieces = stage->piece->pieces, vector = stage->kernels->columns;
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[stage->neuron->bits.term[0]];
    size_t vectors = (stage->instances * conv->output.height * conv->output.width + vector - 1) / vector,
           by_blocks = (blocks + pieces - 1) / pieces * (TABLE_VECTORS + vectors);
    shares = shares < pieces ? shares : pieces;
    return by_blocks <= blocks * (TABLE_VECTORS + (vectors + shares - 1) / shares);
}

/// Pixels of one instance that can be a piece: random numbers are 32 at a time, pools make whole rows.
static size_t pixel_unit(const struct stage *stage)
{
    size_t unit = PBIT_BIT_PIXELS;
    while (stage->neuron->bits.pooled && unit % stage->neuron->output.width)
        unit += PBIT_BIT_PIXELS;
    return unit;
}

static struct tile choose_tile(const struct stage *stage)
{
    const struct pbit_piece *piece = stage->piece;
    const struct pbit_block *block = stage->block;
    size_t pixels = area_of(stage->neuron->bits.grid), unit = pixel_unit(stage),
           blocks = (stage->neuron->output.channels + stage->group - 1) / stage->group,
           passes = block->images == 1 ? 1 : block->passes, // of an instance's share
        shares = stage->instances == 1 ? (pixels + unit - 1) / unit : stage->instances / passes;
    struct tile tile = {{0, blocks}, {0, stage->instances}, {0, pixels}};
    if (stage->instances >= stage->neuron->bits.from && blocks_are_better(stage, blocks, shares)) {
        tile.blocks = pbit_piece_range(piece, blocks);
        return tile;
    }
    struct pbit_range range = pbit_piece_range(piece, shares);
    if (stage->instances == 1)
        tile.pixels = (struct pbit_range){range.first * unit < pixels ? range.first * unit : pixels,
                                          range.end * unit < pixels ? range.end * unit : pixels};
    else
        tile.instances = (struct pbit_range){range.first * passes, range.end * passes};
    if (range.first == range.end)
        tile.blocks.end = 0;
    return tile;
}

/// What pieces read of each other's work comes before: views, random numbers, and planes without bits.
static void prepare_stage(const struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    uint32_t planes = plane_count(stage->neuron);
    struct pbit_range range = pbit_piece_range(stage->piece, planes);
    if (stage->instances >= bits->from)
        for (uint32_t t = 0; t < bits->terms; t++)
            prepare_view(stage, t);
    if (bits->share == 1)
        return;
    for (size_t plane = range.first; plane < range.end; plane++) // with zeros around the bits
        clear_plane(&stage->out, (uint32_t)plane, plane + 1 == planes);
    prepare_all_random(stage);
}

static int makes_levels(const struct pbit_block *block, const struct pbit_engine_operation *neuron)
{
    return block->images * block->passes < neuron->bits.levels_below &&
           block->engine->tensor_random[neuron->operation.output];
}

enum { PREPARE, WORK, LEVELS }; // the phases of a stage

uint32_t pbit_bit_phases(const struct pbit_block *block, const struct pbit_engine_operation *neuron)
{
    return makes_levels(block, neuron) ? LEVELS + 1 : WORK + 1;
}

void pbit_bit_stage(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                    const struct pbit_piece *piece)
{
    const struct pbit_engine *engine = block->engine;
    const struct pbit_bit_operation *bits = &neuron->bits;
    struct pbit_engine_memory memory = {block->bits + bits->shared, 0}, own = {piece->scratch, 0};
    struct stage stage = {.block = block,
                          .neuron = neuron,
                          .kernels = engine->bits,
                          .piece = piece,
                          .instances = block->images * block->passes,
                          .group = engine->bits->group,
                          .independent = block->sampler == PBIT_SAMPLER_IID};
    stage.tile = choose_tile(&stage);
    stage.shared = lay_shared(engine, neuron, stage.instances, &memory);
    size_t tile_instances = stage.tile.instances.end - stage.tile.instances.first;
    stage.scratch = lay_scratch(engine, neuron, tile_instances ? tile_instances : 1, &own);
    for (size_t i = 0; i < stage.instances && !stage.independent; i++)
        stage.order[i] = pbit_sample_order(block->first_pass + (uint32_t)(i % block->passes));
    stage.out = planes_of(neuron, stage.instances, block->bits);
    for (uint32_t t = 0; t < bits->terms; t++)
        stage.in[t] = planes_in(&stage, t);
    struct pbit_range range = pbit_piece_range(piece, stage.instances);
    if (piece->phase == PREPARE)
        prepare_stage(&stage);
    else if (piece->phase == LEVELS)
        for (size_t i = range.first; i < range.end; i++)
            write_levels(&stage, i);
    else if (stage.tile.blocks.first == stage.tile.blocks.end)
        return; // fewer shares than pieces
    else if (stage.instances >= bits->from)
        run_terms(&stage);
    else
        run_fixed(&stage);
}

void pbit_bit_prepare(const struct pbit_block *block)
{
    size_t instances = block->images * block->passes;
    struct pbit_piece piece = {.index = 0, .pieces = 1, .scratch = block->scratch};
    for (uint32_t i = 0; block->on_bits && i < block->engine->model.first_random; i++) {
        const struct pbit_engine_operation *operation = &block->engine->operations[i];
        if (operation->bits.stage && instances >= operation->bits.planes_from)
            for (piece.phase = 0; piece.phase < pbit_bit_phases(block, operation); piece.phase++)
                pbit_bit_stage(block, operation, &piece);
    }
}
