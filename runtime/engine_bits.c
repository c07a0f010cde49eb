// A NEURON on packed bits with what comes before it: one block of channels after the other, whose sums stay
// in cache.
#include "runtime/engine_bits_layout.h"

/// Of what is the same in every pass, once per image. Its planes are made later, for all passes.
static enum pbit_bit_duty duty_before(const struct pbit_block *block, const struct pbit_bit_operation *bits)
{
    if (block->in_passes)
        return bits->stage && block->images * block->passes >= bits->planes_from ? PBIT_BIT_STAGE
                                                                                 : PBIT_BIT_NOTHING;
    if (bits->stage)
        return bits->levels_below > 1 ? PBIT_BIT_ALL : PBIT_BIT_NOTHING;
    return bits->into != PBIT_BIT_NONE && bits->from == 1 ? PBIT_BIT_NOTHING : PBIT_BIT_ALL;
}

enum pbit_bit_duty pbit_bit_duty(const struct pbit_block *block,
                                 const struct pbit_engine_operation *operation)
{
    const struct pbit_bit_operation *bits = &operation->bits;
    size_t instances = block->images * block->passes;
    int random = block->engine->tensor_random[operation->operation.output];
    if (!block->on_bits)
        return block->in_passes && !random ? PBIT_BIT_NOTHING : PBIT_BIT_ALL;
    if (!random)
        return duty_before(block, bits);
    if (bits->stage)
        return instances >= bits->from || instances >= bits->planes_from ? PBIT_BIT_STAGE : PBIT_BIT_ALL;
    return bits->into != PBIT_BIT_NONE && instances >= bits->from ? PBIT_BIT_NOTHING : PBIT_BIT_ALL;
}

/// A part of a stage: some blocks of channels, in some instances, or in some pixels of one.
struct tile {
    struct pbit_range blocks, instances, pixels;
    int by_blocks; ///< pieces differ in their blocks
};

/// A piece of a stage at work.
struct stage {
    const struct pbit_block *block;
    const struct pbit_engine_operation *neuron;
    const struct pbit_bit_kernels *kernels;
    const struct pbit_piece *piece;
    struct pbit_bit_inputs inputs;
    struct pbit_bit_scratch scratch;
    struct pbit_bit_plane_set out, in[PBIT_BIT_TERMS];
    struct tile tile;
    size_t instances;
    uint32_t group;
    int independent; ///< iid: random numbers by instance, else by image
    uint32_t order[PBIT_ENGINE_INSTANCES];
};

/// The planes from which a CONV reads.
static struct pbit_bit_plane_set planes_in(const struct stage *stage, uint32_t t)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *conv = &block->engine->operations[stage->neuron->bits.term[t]];
    if (conv->bits.identity || conv->bits.view.direct)
        return pbit_bit_planes_of(&block->engine->operations[conv->bits.source], stage->instances,
                                  block->bits);
    struct pbit_bit_plane_set view = pbit_bit_lay_view(&conv->bits.view, stage->instances);
    view.first = stage->inputs.view[t] + view.gap;
    return view;
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

/// The columns of a view of which the windows of the tile's pixels are. The zeros after an instance are those
/// before the next one, too.
static struct pbit_range seen_columns(const struct stage *stage, const struct pbit_engine_operation *conv)
{
    const struct pbit_bit_view *view = &conv->bits.view;
    const struct pbit_window *w = &conv->operation.window;
    struct pbit_range pixels = conv_pixels(stage, conv);
    size_t area = pbit_bit_area(view->grid), lead = view->lead,
           reach = (size_t)((w->kernel_y - 1) * w->dilation_y / w->stride_y) * view->grid.width,
           first = pixels.first > lead ? pixels.first - lead : 0, end = pixels.end + reach;
    if (stage->tile.instances.end - stage->tile.instances.first > 1)
        return (struct pbit_range){0, area};
    end = end > first + lead ? end - lead : first;
    return (struct pbit_range){first, end < area ? end : area};
}

/// Makes what the tile needs of these planes, and finds where the columns of the tables lie from their first
/// zeros on.
static void prepare_view(const struct stage *stage, uint32_t t)
{
    const struct pbit_block *block = stage->block;
    const struct pbit_engine_operation *conv = &block->engine->operations[stage->neuron->bits.term[t]];
    const struct pbit_bit_view *view = &conv->bits.view;
    const struct pbit_bit_plane_set *in = &stage->in[t];
    if (!conv->bits.identity && !view->direct) {
        const struct pbit_bit_plane_set planes =
            pbit_bit_planes_of(&block->engine->operations[conv->bits.source], stage->instances, block->bits);
        const struct pbit_bit_viewing viewing = {stage->kernels, conv, stage->tile.instances,
                                                 seen_columns(stage, conv), stage->scratch.rows};
        pbit_bit_make_view(&viewing, &planes, in);
    }
    for (uint32_t s = 0; s < conv->bits.conv.steps; s++)
        stage->inputs.offsets[t][s] = (uint32_t)((int64_t)(conv->bits.step[s].plane * in->stride + in->gap) +
                                                 conv->bits.step[s].column);
}

/// The channels of the tile.
static struct pbit_range find_channels(const struct stage *stage)
{
    size_t all = stage->neuron->output.channels, end = stage->tile.blocks.end * stage->group;
    return (struct pbit_range){stage->tile.blocks.first * stage->group, end < all ? end : all};
}

/// Random numbers of the tile for an image, or for one pass of it.
static void prepare_random(const struct stage *stage, size_t image, uint32_t pass, uint16_t *random)
{
    const struct pbit_engine *engine = stage->block->engine;
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_bit_streams *streams = &bits->streams[PBIT_BIT_SPLITS - 1];
    struct pbit_range channels = find_channels(stage), pixels = stage->tile.pixels;
    while (streams > bits->streams && stage->kernels->streams * streams->part < pixels.end - pixels.first)
        streams--;
    const struct pbit_bit_random layer = {.pixels = pixels.end - pixels.first,
                                          .part = streams->part,
                                          .stride = pbit_bit_channel_stride(bits->grid),
                                          .first_channel = (uint32_t)channels.first,
                                          .end_channel = (uint32_t)channels.end,
                                          .channels = stage->neuron->output.channels,
                                          .buffer = stage->scratch.states,
                                          .jump = streams->jump};
    struct pbit_lanes lanes;
    engine->kernels->seed(&lanes, stage->block->hash[image], stage->neuron->operation.layer, pass);
    engine->kernels->skip(&lanes, engine->jump, (uint64_t)pixels.first / PBIT_LANES * layer.channels);
    stage->kernels->random(&layer, &lanes, random + pixels.first);
}

static void prepare_all_random(const struct stage *stage)
{
    const struct pbit_block *block = stage->block;
    size_t step = stage->neuron->output.channels * pbit_bit_channel_stride(stage->neuron->bits.grid),
           shared = stage->independent ? 1 : block->passes;
    for (size_t i = stage->tile.instances.first; i < stage->tile.instances.end; i += shared - i % shared) {
        uint32_t pass = stage->independent ? block->first_pass + (uint32_t)(i % block->passes) + 1 : 0;
        prepare_random(stage, i / block->passes, pass, stage->inputs.random + i / shared * step);
    }
}

/// Clears the tile of the planes, with the zeros around them.
static void clear_planes(const struct stage *stage)
{
    const struct pbit_bit_plane_set *out = &stage->out;
    size_t area = pbit_bit_area(stage->neuron->bits.grid), planes = pbit_bit_plane_count(stage->neuron),
           first = stage->tile.instances.first * area + stage->tile.pixels.first,
           end = (stage->tile.instances.end - 1) * area + stage->tile.pixels.end;
    int is_last = end == stage->instances * area;
    for (size_t plane = stage->tile.blocks.first; plane < stage->tile.blocks.end; plane++) {
        uint8_t *columns = out->first + plane * out->stride;
        size_t before = first ? 0 : out->gap, after = is_last ? out->stride - out->gap - end : 0;
        after += is_last && plane + 1 == planes ? out->gap + PBIT_BIT_OVERRUN : 0;
        memset(columns + first - before, 0, before + end - first + after);
    }
}

/// The sums of a block of channels in the tile.
static void sum_term(const struct stage *stage, uint32_t t, uint32_t block)
{
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[stage->neuron->bits.term[t]];
    const struct pbit_bit_plane_set *in = &stage->in[t];
    struct pbit_range pixels = conv_pixels(stage, conv);
    struct pbit_bit_columns columns = stage->scratch.columns[t];
    if (stage->tile.instances.end - stage->tile.instances.first == 1)
        columns.length = pixels.end - pixels.first;
    stage->kernels->convolve(&conv->bits.conv, block, stage->inputs.offsets[t],
                             in->first - in->gap + pixels.first +
                                 stage->tile.instances.first * pbit_bit_area(conv->bits.view.grid),
                             &columns, stage->scratch.tables, stage->scratch.sums[t],
                             stage->scratch.sums_stride[t]);
}

static void pool_block(const struct stage *stage)
{
    const struct pbit_bit_operation *bits = &stage->neuron->bits;
    const struct pbit_tensor *output = &stage->neuron->output;
    const struct pbit_engine_operation *conv = &stage->block->engine->operations[bits->term[0]];
    size_t number = pbit_bit_sum_bytes(conv);
    int paired = stage->scratch.columns[0].paired;
    for (uint32_t j = 0; j < stage->group; j++) {
        const struct pbit_bit_pool pool = {
            .sums = stage->scratch.sums[0] + j * stage->scratch.sums_stride[0] * number,
            .wide = number == sizeof(int32_t),
            .instances = stage->tile.instances.end - stage->tile.instances.first,
            .paired = paired,
            .pitch = stage->scratch.columns[0].out_pitch / (paired ? 2 : 1),
            .line = conv->output.width / (paired ? 2 : 1),
            .height = (uint32_t)((stage->tile.pixels.end - stage->tile.pixels.first) / output->width),
            .width = output->width};
        stage->kernels->pool(&pool, stage->scratch.pooled + j * stage->scratch.pooled_stride * number);
    }
}

/// Where the tile begins among the pixels of all instances.
static size_t first_pixel(const struct stage *stage)
{
    return stage->tile.instances.first * pbit_bit_area(stage->neuron->bits.grid) + stage->tile.pixels.first;
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
            .pitch = bits->pooled ? pbit_bit_area(bits->grid) : stage->scratch.columns[t].out_pitch,
            .wide = pbit_bit_sum_bytes(conv) == sizeof(int32_t),
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
                                 .stride = pbit_bit_channel_stride(bits->grid),
                                 .levels = bits->share == 1,
                                 .plane_stride = stage->out.stride};
    if (draw.levels)
        return draw;
    draw.pieces = bits->pieces;
    draw.words = bits->words;
    draw.limits = stage->neuron->neuron.pieces;
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
        stage->inputs.random + first / draw.random_shared * draw.random_pitch + stage->tile.pixels.first;
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
    if (draw.words)
        draw.words += k;
    for (uint32_t t = 0; t < draw.terms; t++)
        draw.term[t].channel += k;
    if (draw.residual.planes) {
        draw.residual.planes += k / (draw.residual.levels ? 1 : stage->group) * draw.residual.stride;
        draw.residual.channel += k;
    }
    stage->kernels->draw(&draw, stage->out.first + k / share * stage->out.stride +
                                    first * pbit_bit_area(stage->neuron->bits.grid) +
                                    stage->tile.pixels.first);
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
    size_t stride = pbit_bit_channel_stride(neuron->bits.grid);
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
static void write_levels(const struct stage *stage, size_t instance, struct pbit_range range)
{
    const struct pbit_engine_operation *neuron = stage->neuron;
    size_t stride = stage->out.stride, pixels = range.end - range.first, channels = neuron->output.channels;
    const uint8_t *planes = stage->out.first + instance * pbit_bit_area(neuron->bits.grid) + range.first;
    uint8_t *out = pbit_block_output(stage->block, neuron, instance) + range.first * channels;
    if (neuron->bits.share == 1)
        pbit_bit_spread_levels(planes, stride, pixels, (uint32_t)channels, out);
    else
        stage->kernels->spread(planes, stride, pixels, (uint32_t)channels, neuron->bits.share, out);
}

static void share_levels(const struct stage *stage)
{
    size_t pixels = pbit_bit_area(stage->neuron->bits.grid);
    struct pbit_range range = pbit_piece_range(stage->piece, stage->instances * pixels);
    struct pbit_rows some;
    while (pbit_next_rows(&range, (uint32_t)pixels, &some))
        write_levels(stage, some.instance, (struct pbit_range){some.first, some.end});
}

/// How many vectors of columns the largest piece looks up for a table, where it has blocks of channels, or
/// where it has all of them in a share of the columns. To make a table takes as long as some vectors.
static int blocks_are_better(const struct stage *stage, size_t pieces, size_t blocks, size_t shares)
{
    enum { TABLE_VECTORS = 2 };
    size_t vector = stage->kernels->columns;
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
    size_t pixels = pbit_bit_area(stage->neuron->bits.grid), unit = pixel_unit(stage),
           blocks = (stage->neuron->output.channels + stage->group - 1) / stage->group,
           passes = block->images == 1 ? 1 : block->passes, // of an instance's share
        shares = stage->instances == 1 ? (pixels + unit - 1) / unit : stage->instances / passes;
    struct tile tile = {{0, blocks}, {0, stage->instances}, {0, pixels}, 0};
    if (piece->pieces == 1)
        return tile;
    if (stage->instances >= stage->neuron->bits.from &&
        blocks_are_better(stage, piece->pieces, blocks, shares)) {
        tile.blocks = pbit_piece_range(piece, blocks);
        tile.by_blocks = 1;
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

static int makes_levels(const struct pbit_block *block, const struct pbit_engine_operation *neuron)
{
    return block->images * block->passes < neuron->bits.levels_below &&
           block->engine->tensor_random[neuron->operation.output];
}

static struct stage describe_stage(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                                   const struct pbit_piece *piece)
{
    struct stage stage = {.block = block,
                          .neuron = neuron,
                          .kernels = block->engine->bits,
                          .piece = piece,
                          .instances = block->images * block->passes,
                          .group = block->engine->bits->group,
                          .independent = block->sampler == PBIT_SAMPLER_IID};
    stage.tile = choose_tile(&stage);
    stage.out = pbit_bit_planes_of(neuron, stage.instances, block->bits);
    return stage;
}

enum { WORK, LEVELS }; // the phases of a stage

/// A level is of all channels' planes.
uint32_t pbit_bit_phases(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                         uint32_t pieces)
{
    const struct pbit_piece piece = {.index = 0, .pieces = pieces};
    return makes_levels(block, neuron) && describe_stage(block, neuron, &piece).tile.by_blocks ? LEVELS + 1
                                                                                               : WORK + 1;
}

static void work(struct stage *stage)
{
    const struct pbit_engine_operation *neuron = stage->neuron;
    const struct pbit_engine *engine = stage->block->engine;
    struct pbit_engine_memory own = {stage->piece->scratch, 0};
    stage->inputs = pbit_bit_lay_inputs(engine, neuron, stage->instances, &own);
    stage->scratch =
        pbit_bit_lay_scratch(engine, neuron, stage->tile.instances.end - stage->tile.instances.first, &own);
    for (size_t i = 0; i < stage->instances && !stage->independent; i++)
        stage->order[i] = pbit_sample_order(stage->block->first_pass + (uint32_t)(i % stage->block->passes));
    for (uint32_t t = 0; t < neuron->bits.terms; t++)
        stage->in[t] = planes_in(stage, t);
    if (neuron->bits.share > 1) {
        clear_planes(stage);
        prepare_all_random(stage);
    }
    if (stage->instances >= neuron->bits.from) {
        for (uint32_t t = 0; t < neuron->bits.terms; t++)
            prepare_view(stage, t);
        run_terms(stage);
    } else {
        run_fixed(stage);
    }
    for (size_t i = stage->tile.instances.first;
         !stage->tile.by_blocks && makes_levels(stage->block, neuron) && i < stage->tile.instances.end; i++)
        write_levels(stage, i, stage->tile.pixels);
}

void pbit_bit_stage(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                    const struct pbit_piece *piece)
{
    struct stage stage = describe_stage(block, neuron, piece);
    if (piece->phase == LEVELS)
        share_levels(&stage);
    else if (stage.tile.blocks.first < stage.tile.blocks.end) // else there are fewer shares than pieces
        work(&stage);
}
