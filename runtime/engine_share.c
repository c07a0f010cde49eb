// Runs the operations of a block, on the threads that the caller lends (pbit_options.share): they walk
// through them together.
#include "runtime/engine.h"

/// Picoseconds below which a piece is not worth its way to another thread, and a call of `share` its own: the
/// way takes 100 nanoseconds to 400, depending on where the processors lie.
enum { LEAST_PIECE = 500 * 1000, LEAST_CALL = 1500 * 1000 };

int pbit_next_rows(struct pbit_range *left, uint32_t height, struct pbit_rows *rows)
{
    if (left->first >= left->end)
        return 0;
    size_t count = left->end - left->first;
    rows->instance = left->first / height;
    rows->first = (uint32_t)(left->first % height);
    rows->end = count < height - rows->first ? rows->first + (uint32_t)count : height;
    left->first += rows->end - rows->first;
    return 1;
}

/// Whether what an operation leaves is for the block's caller to see: what is the same in every pass was seen
/// before.
static int is_seen(const struct pbit_block *block, uint32_t index)
{
    return block->in_passes == (index >= block->engine->model.first_random);
}

static void run_alone(const struct pbit_block *block)
{
    const struct pbit_options *options = block->options;
    const struct pbit_model *model = &block->engine->model;
    struct pbit_piece all = {.index = 0, .pieces = 1, .scratch = block->scratch};
    for (uint32_t i = 0; i < (block->in_passes ? model->operation_count : model->first_random); i++) {
        uint32_t done_by = pbit_block_execute(block, i, &all);
        const struct pbit_engine_operation *operation = &block->engine->operations[i];
        if (!is_seen(block, i))
            continue;
        for (size_t j = 0; options->observe && j < block->images * block->passes; j++)
            options->observe(options->state, i, pbit_block_output(block, operation, j));
        if (options->after_operation)
            options->after_operation(options->state, i, done_by, pbit_block_instruction(block, i));
    }
}

static void run_piece(const void *job, uint32_t number, uint32_t index)
{
    const struct pbit_stage *stage = (const struct pbit_stage *)job + number;
    const struct pbit_block *block = stage->block;
    struct pbit_piece piece = {.index = index,
                               .pieces = stage->pieces,
                               .phase = stage->phase,
                               .scratch = block->scratch + index * block->engine->scratch_bytes};
    if (index == PBIT_WHOLE) {
        if (stage->phase > 0)
            return;
        piece.index = 0;
        piece.pieces = 1;
        piece.scratch = block->scratch;
    } else if (index >= stage->pieces) {
        return;
    }
    for (uint32_t i = stage->first; i < stage->end; i++)
        pbit_block_execute(block, i, &piece);
}

/// The stages of a run.
struct plan {
    struct pbit_stage *stages;
    uint32_t count, most; ///< most: pieces
    uint64_t cost;        ///< of the operations that are shared
};

/// Operations that are not worth sharing go together.
static void plan_stages(const struct pbit_block *block, struct plan *plan)
{
    const struct pbit_model *model = &block->engine->model;
    uint32_t begin = plan->count, threads = block->options->threads;
    for (uint32_t i = 0; i < (block->in_passes ? model->operation_count : model->first_random); i++) {
        uint64_t cost = pbit_block_cost(block, i), least = cost / LEAST_PIECE;
        if (cost == 0)
            continue;
        uint32_t pieces = least < 1 ? 1 : least < threads ? (uint32_t)least : threads;
        plan->cost += pieces > 1 ? cost : 0;
        plan->most = pieces > plan->most ? pieces : plan->most;
        uint32_t phases = pbit_block_phases(block, i, pieces);
        if (pieces == 1 && plan->count > begin && plan->stages[plan->count - 1].pieces == 1)
            plan->stages[plan->count - 1].end = i + 1;
        else
            for (uint32_t phase = 0; phase < phases; phase++)
                plan->stages[plan->count++] = (struct pbit_stage){block, i, i + 1, pieces, phase};
    }
}

void pbit_block_run(const struct pbit_block *fixed, const struct pbit_block *random)
{
    const struct pbit_block *any = fixed ? fixed : random;
    const struct pbit_options *options = any->options;
    struct plan plan = {any->stages, 0, 1, 0};
    int watched = options->observe || options->after_operation;
    if (options->threads > 1 && !watched && fixed)
        plan_stages(fixed, &plan);
    if (options->threads > 1 && !watched && random)
        plan_stages(random, &plan);
    if (plan.cost >= LEAST_CALL) {
        options->share(options->state, plan.cost, plan.count, plan.most, run_piece, plan.stages);
        return;
    }
    if (fixed)
        run_alone(fixed);
    if (random)
        run_alone(random);
}

/// Picoseconds on a Zen 5 core with AVX-512; other processors take longer, and gain the more.
enum {
    PRODUCT = 4,        ///< of a level and a weight, 16 lanes at a time
    LISTED = 1,         ///< the same of a bit in a dense layer
    SINGLE = 250,       ///< the same of single channels
    SLOW_PRODUCT = 400, ///< the same of the scalar kernels
    LOOKED_UP = 2,      ///< the same of a bit, with its share of the neuron
    DRAWN = 120,        ///< a neuron
    BY_TABLE = 400,     ///< a neuron whose function is not linear
    PREPARED = 450,     ///< a neuron on bits that reads z
    COMPARED = 50,      ///< of a pool
    ADDED = 190,
};

static uint64_t window_taps(const struct pbit_operation *operation)
{
    return (uint64_t)operation->window.kernel_y * operation->window.kernel_x;
}

static uint64_t cost_of_conv(const struct pbit_engine *engine, const struct pbit_engine_operation *operation)
{
    uint64_t products = pbit_tensor_elements(&operation->output) *
                        pbit_operation_fan_in(&operation->operation, operation->input.channels);
    if (operation->single)
        return products * SINGLE;
    return operation->packed ? products * PRODUCT * 16 / engine->kernels->lanes : products * SLOW_PRODUCT;
}

static uint64_t cost_of_neuron(const struct pbit_engine *engine,
                               const struct pbit_engine_operation *operation)
{
    uint64_t elements = pbit_tensor_elements(&operation->output), cost = 0;
    for (uint32_t t = 0; t < operation->bits.terms; t++) {
        const struct pbit_engine_operation *conv = &engine->operations[operation->bits.term[t]];
        cost += pbit_tensor_elements(&conv->output) *
                pbit_operation_fan_in(&conv->operation, conv->input.channels) * LOOKED_UP;
    }
    if (operation->bits.stage)
        return cost + elements * PREPARED;
    return elements * (operation->operation.function == PBIT_FUNCTION_LINEAR ? DRAWN : BY_TABLE);
}

uint64_t pbit_operation_cost(const struct pbit_engine *engine, const struct pbit_engine_operation *operation)
{
    uint64_t elements = pbit_tensor_elements(&operation->output);
    switch (operation->operation.kind) {
    case PBIT_OPERATION_CONV:
        return cost_of_conv(engine, operation);
    case PBIT_OPERATION_NEURON:
        return cost_of_neuron(engine, operation);
    case PBIT_OPERATION_MAXPOOL:
    case PBIT_OPERATION_SUMPOOL:
        return elements * window_taps(&operation->operation) * COMPARED;
    default:
        return elements * ADDED;
    }
}
