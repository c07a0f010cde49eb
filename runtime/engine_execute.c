// What an operation of the fast executor does, piece by piece.
#include "runtime/engine.h"
#include "runtime/execute.h"

const uint8_t *pbit_find_tensor(const void *state, uint32_t index, const struct pbit_tensor *tensor)
{
    const struct pbit_instance *instance = state;
    return pbit_block_tensor(instance->block, index, tensor, instance->number);
}

static const uint8_t *find_input(const struct pbit_block *block,
                                 const struct pbit_engine_operation *operation, size_t instance)
{
    return pbit_block_tensor(block, operation->input_index, &operation->input, instance);
}

static void pool_rows(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                      struct pbit_range range)
{
    size_t element = operation->output.kind == PBIT_FIXED ? sizeof(int32_t) : sizeof(uint8_t),
           in_row = operation->operation.window.stride_y * (size_t)operation->input.width *
                    operation->input.channels * element,
           out_row = (size_t)operation->output.width * operation->output.channels * element;
    struct pbit_rows rows;
    while (pbit_next_rows(&range, operation->output.height, &rows)) {
        struct pbit_tensor output = operation->output;
        output.height = rows.end - rows.first;
        block->engine->kernels->maxpool(&operation->operation, &operation->input, &output,
                                        find_input(block, operation, rows.instance) + rows.first * in_row,
                                        pbit_block_output(block, operation, rows.instance) +
                                            rows.first * out_row);
    }
}

static void add_rows(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                     struct pbit_range range)
{
    uint32_t second = pbit_operation_input(&block->engine->model, &operation->operation, 1);
    struct pbit_tensor tensor = pbit_model_tensor(&block->engine->model, second);
    size_t row = (size_t)operation->output.width * operation->output.channels;
    struct pbit_rows rows;
    while (pbit_next_rows(&range, operation->output.height, &rows)) {
        size_t at = rows.first * row;
        pbit_add((const int32_t *)find_input(block, operation, rows.instance) + at,
                 (const int32_t *)pbit_block_tensor(block, second, &tensor, rows.instance) + at,
                 (int32_t *)pbit_block_output(block, operation, rows.instance) + at,
                 (rows.end - rows.first) * row);
    }
}

static int has_fast_pool(const struct pbit_block *block, const struct pbit_engine_operation *operation)
{
    return operation->operation.kind == PBIT_OPERATION_MAXPOOL && block->engine->kernels->maxpool &&
           pbit_pool_is_inside(&operation->operation, &operation->input, &operation->output);
}

static void execute_others(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                           const struct pbit_piece *piece)
{
    size_t instances = block->images * block->passes;
    if (has_fast_pool(block, operation)) {
        pool_rows(block, operation, pbit_piece_range(piece, instances * operation->output.height));
    } else if (operation->operation.kind == PBIT_OPERATION_ADD) {
        add_rows(block, operation, pbit_piece_range(piece, instances * operation->output.height));
    } else {
        struct pbit_range range = pbit_piece_range(piece, instances);
        for (size_t i = range.first; i < range.end; i++) {
            const struct pbit_instance instance = {block, i};
            pbit_execute(&block->engine->model, &operation->operation, pbit_find_tensor, &instance,
                         pbit_block_output(block, operation, i));
        }
    }
}

/// Whether the other one of a CONV and what is after it is in one loop with it.
static int is_fused(const struct pbit_block *block, const struct pbit_engine_operation *operation)
{
    if (operation->fused == PBIT_ENGINE_NONE || block->options->observe)
        return 0;
    const struct pbit_engine_operation *other = &block->engine->operations[operation->fused],
                                       *last = operation < other ? other : operation;
    return last->operation.kind != PBIT_OPERATION_NEURON || pbit_dense_draws(block, last);
}

const char *pbit_block_instruction(const struct pbit_block *block, uint32_t index)
{
    const struct pbit_engine_kernels *kernels = block->engine->kernels;
    const struct pbit_engine_operation *operation = &block->engine->operations[index];
    if (operation->operation.kind != PBIT_OPERATION_CONV)
        return NULL;
    if (pbit_bit_duty(block, operation) == PBIT_BIT_NOTHING)
        return block->engine->bits->instruction;
    if (operation->single || !operation->packed || pbit_dense_is_on_bits(block, operation))
        return "";
    return pbit_conv_is_wide(kernels, &operation->conv, pbit_tensor_levels(&operation->input, block->draws))
               ? kernels->wide_instruction
               : kernels->instruction;
}

uint32_t pbit_block_phases(const struct pbit_block *block, uint32_t index, uint32_t pieces)
{
    const struct pbit_engine_operation *operation = &block->engine->operations[index];
    if (pbit_bit_duty(block, operation) == PBIT_BIT_STAGE)
        return pbit_bit_phases(block, operation, pieces);
    return pbit_dense_draws(block, operation) ? pbit_dense_phases(pieces) : 1;
}

uint32_t pbit_block_execute(const struct pbit_block *block, uint32_t index, const struct pbit_piece *piece)
{
    const struct pbit_engine_operation *operation = &block->engine->operations[index];
    size_t instances = block->images * block->passes;
    enum pbit_bit_duty duty = pbit_bit_duty(block, operation);
    int is_conv = operation->operation.kind == PBIT_OPERATION_CONV;
    if (duty == PBIT_BIT_NOTHING)
        return operation->bits.stage ? index : operation->bits.into;
    if (is_fused(block, operation)) {
        if (is_conv)
            return operation->fused;
        if (operation->operation.kind == PBIT_OPERATION_NEURON)
            pbit_block_draw_dense(block, operation, piece);
        else
            pbit_block_convolve(block, &block->engine->operations[operation->fused], operation, instances,
                                piece);
    } else if (duty == PBIT_BIT_STAGE) {
        pbit_bit_stage(block, operation, piece);
    } else if (is_conv) {
        pbit_block_convolve(block, operation, NULL, instances, piece);
    } else if (operation->operation.kind == PBIT_OPERATION_NEURON) {
        pbit_block_draw(block, operation, piece);
    } else {
        execute_others(block, operation, piece);
    }
    return index;
}

uint64_t pbit_block_cost(const struct pbit_block *block, uint32_t index)
{
    enum { BITS_SPARE = 4 }; // dense layers take less where inputs are bits
    const struct pbit_engine_operation *operation = &block->engine->operations[index], *costly = operation;
    enum pbit_bit_duty duty = pbit_bit_duty(block, operation);
    size_t instances = block->images * block->passes;
    int is_conv = operation->operation.kind == PBIT_OPERATION_CONV;
    if (duty == PBIT_BIT_NOTHING || (is_conv && is_fused(block, operation)))
        return 0;
    if (is_fused(block, operation))
        costly = &block->engine->operations[operation->fused];
    is_conv = costly->operation.kind == PBIT_OPERATION_CONV;
    return costly->cost * instances / (is_conv && pbit_dense_is_on_bits(block, costly) ? BITS_SPARE : 1) + 1;
}
