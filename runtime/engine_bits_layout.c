// Lays out the memory of NEURONs on packed bits.
#include "runtime/engine_bits_layout.h"

static struct pbit_bit_plane_set lay_planes(struct pbit_bit_grid grid, size_t instances, size_t gap)
{
    return (struct pbit_bit_plane_set){NULL, gap,
                                       gap + pbit_engine_round_up(instances * pbit_bit_area(grid))};
}

static size_t planes_bytes(const struct pbit_bit_plane_set *planes, uint32_t count)
{
    return count * planes->stride + planes->gap + PBIT_BIT_OVERRUN;
}

uint32_t pbit_bit_plane_count(const struct pbit_engine_operation *neuron)
{
    return (neuron->output.channels + neuron->bits.share - 1) / neuron->bits.share;
}

struct pbit_bit_plane_set pbit_bit_planes_of(const struct pbit_engine_operation *neuron, size_t instances,
                                             uint8_t *bits)
{
    struct pbit_bit_plane_set planes = lay_planes(neuron->bits.grid, instances, PBIT_BIT_GAP);
    planes.first = bits + neuron->bits.planes + planes.gap;
    return planes;
}

struct pbit_bit_plane_set pbit_bit_lay_view(const struct pbit_bit_view *view, size_t instances)
{
    return lay_planes(view->grid, instances, pbit_engine_round_up(view->lead + 1));
}

/// Instances are pieces by themselves where that makes fewer vectors.
static struct pbit_bit_columns columns_of(const struct pbit_engine *engine,
                                          const struct pbit_engine_operation *conv, int pooled,
                                          size_t instances)
{
    size_t vector = engine->bits->columns, pitch = pbit_bit_area(conv->bits.view.grid),
           pixels = (size_t)conv->output.height * conv->output.width,
           rounded = (pixels + vector - 1) / vector, all = (instances - 1) * pitch + pixels;
    int paired = pooled && conv->output.width % 2 == 0 && !conv->bits.conv.factors;
    return rounded * instances <= (all + vector - 1) / vector
               ? (struct pbit_bit_columns){instances, pixels, pitch, rounded * vector, paired}
               : (struct pbit_bit_columns){1, all, pitch, pitch, paired};
}

/// Numbers of a channel in all instances.
static size_t sums_stride(const struct pbit_bit_columns *columns, size_t instances)
{
    return pbit_engine_round_up(instances * columns->out_pitch) + PBIT_BIT_OVERRUN;
}

size_t pbit_bit_sum_bytes(const struct pbit_engine_operation *conv)
{
    return conv->bits.conv.factors ? sizeof(int32_t) : sizeof(uint16_t);
}

struct pbit_bit_inputs pbit_bit_lay_inputs(const struct pbit_engine *engine,
                                           const struct pbit_engine_operation *neuron, size_t instances,
                                           struct pbit_engine_memory *memory)
{
    size_t channel = pbit_bit_channel_stride(neuron->bits.grid) * neuron->output.channels;
    struct pbit_bit_inputs inputs = {.random = NULL};
    for (uint32_t t = 0; t < neuron->bits.terms; t++) {
        const struct pbit_engine_operation *conv = &engine->operations[neuron->bits.term[t]];
        const struct pbit_bit_view *view = &conv->bits.view;
        struct pbit_bit_plane_set planes = pbit_bit_lay_view(view, instances);
        if (conv->bits.identity)
            continue;
        inputs.offsets[t] = pbit_engine_take(memory, conv->bits.conv.steps * sizeof(uint32_t));
        if (!view->direct)
            inputs.view[t] = pbit_engine_take(
                memory, planes_bytes(&planes, view->phases * pbit_bit_view_planes(
                                                                 view, conv->operation.window.kernel_x)));
    }
    inputs.random = pbit_engine_take(memory, (instances * channel + PBIT_BIT_OVERRUN) * sizeof(uint16_t));
    return inputs;
}

struct pbit_bit_scratch pbit_bit_lay_scratch(const struct pbit_engine *engine,
                                             const struct pbit_engine_operation *neuron, size_t instances,
                                             struct pbit_engine_memory *memory)
{
    const struct pbit_bit_operation *bits = &neuron->bits;
    uint32_t group = engine->bits->group, channels = neuron->output.channels;
    struct pbit_bit_scratch scratch = {.tables = pbit_engine_take(memory, PBIT_BIT_SCRATCH)};
    size_t rows = 0, number = sizeof(uint16_t);
    for (uint32_t t = 0; t < bits->terms; t++) {
        const struct pbit_engine_operation *conv = &engine->operations[bits->term[t]];
        if (conv->bits.identity)
            continue;
        number = pbit_bit_sum_bytes(conv);
        rows = pbit_bit_area(conv->bits.view.grid) > rows ? pbit_bit_area(conv->bits.view.grid) : rows;
        scratch.columns[t] = columns_of(engine, conv, bits->pooled, instances);
        scratch.sums_stride[t] = sums_stride(&scratch.columns[t], instances);
        scratch.sums[t] = pbit_engine_take(memory, group * scratch.sums_stride[t] * number);
    }
    scratch.rows = pbit_engine_take(memory, rows + PBIT_BIT_OVERRUN);
    scratch.pooled_stride = pbit_engine_round_up(instances * pbit_bit_area(bits->grid)) + PBIT_BIT_OVERRUN;
    if (bits->pooled)
        scratch.pooled = pbit_engine_take(memory, group * scratch.pooled_stride * number);
    scratch.states = pbit_engine_take(
        memory, (engine->bits->streams * (size_t)PBIT_BIT_PIXELS * channels + PBIT_BIT_OVERRUN) *
                    sizeof(*scratch.states));
    scratch.z = pbit_engine_take(memory, (channels * pbit_bit_channel_stride(bits->grid) + PBIT_BIT_OVERRUN) *
                                             sizeof(int32_t));
    return scratch;
}

static void describe_streams(const struct pbit_engine *engine, struct pbit_engine_operation *neuron)
{
    size_t pixels = pbit_bit_area(neuron->bits.grid);
    for (uint32_t split = 0; split < PBIT_BIT_SPLITS; split++, pixels = (pixels + 1) / 2) {
        struct pbit_bit_streams *streams = &neuron->bits.streams[split];
        size_t steps = (pixels + engine->bits->streams * PBIT_BIT_PIXELS - 1) /
                       (engine->bits->streams * PBIT_BIT_PIXELS);
        streams->part = steps * PBIT_BIT_PIXELS;
        // PBIT_LANES pixels are as many steps as channels
        pbit_lanes_jump(engine->jump, steps * neuron->output.channels, streams->jump);
    }
}
_Static_assert((int)PBIT_BIT_PIXELS == (int)PBIT_LANES, "lanes draw whole pixels");

size_t pbit_bit_arrange(struct pbit_engine *engine, const struct pbit_bit_plan *plan)
{
    size_t planes_end = 0;
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
            size_t columns = pbit_bit_area(conv->view.grid);
            uint32_t least = (uint32_t)((PBIT_BIT_LEAST_COLUMNS + columns - 1) / columns);
            if (conv->identity) // costs nothing, once its source is on bits
                least = engine->operations[conv->source].bits.terms
                            ? engine->operations[conv->source].bits.from
                            : 1;
            bits->from = least > bits->from ? least : bits->from;
        }
        struct pbit_bit_plane_set planes = lay_planes(bits->grid, PBIT_ENGINE_INSTANCES, PBIT_BIT_GAP);
        bits->planes = planes_end;
        describe_streams(engine, operation);
        planes_end += pbit_engine_round_up(planes_bytes(&planes, pbit_bit_plane_count(operation)));
        for (size_t instances = 1; instances <= PBIT_ENGINE_INSTANCES; instances++) { // few may need more
            struct pbit_engine_memory own = {NULL, 0};
            pbit_bit_lay_inputs(engine, operation, PBIT_ENGINE_INSTANCES, &own);
            pbit_bit_lay_scratch(engine, operation, instances, &own);
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
    return planes_end + PBIT_ENGINE_ALIGNMENT;
}
