// Dense layers whose inputs are bits (fast_kernels.h): lays out their weights, and runs them.
#include "runtime/engine.h"

enum {
    LARGEST_BITS = 4,
    FEW_OUTPUTS = 16,   ///< that fill a small part of a block or less are not worth it
    MANY_INSTANCES = 4, ///< where so many share the weights of bytes' products
};

static uint32_t block_count(const struct pbit_dense_rows *dense)
{
    return (dense->outputs + PBIT_DENSE_BLOCK - 1) / PBIT_DENSE_BLOCK;
}

/// The weight of input k for an output, in the upper or lower half of a byte.
static void store_weight(uint8_t *row, uint32_t output, int32_t weight)
{
    uint32_t quarter = output / (PBIT_DENSE_BLOCK / 4), at = output % (PBIT_DENSE_BLOCK / 4);
    row[2 * at + quarter % 2] |= (uint8_t)((weight + PBIT_DENSE_EXCESS) << quarter / 2 * 4);
}

void pbit_pack_dense(struct pbit_engine_memory *memory, const struct pbit_model *model,
                     struct pbit_engine_operation *operation)
{
    const struct pbit_operation *conv = &operation->operation;
    struct pbit_dense_rows *dense = &operation->dense;
    *dense = (struct pbit_dense_rows){0};
    if (!operation->packed || operation->conv.factored ||
        operation->output.height * operation->output.width != 1 || operation->padded.copied ||
        operation->conv.segments != 1 || conv->weight_bits > LARGEST_BITS ||
        pbit_operation_fan_in(conv, operation->input.channels) > PBIT_DENSE_INPUTS)
        return;
    dense->inputs = (uint32_t)pbit_operation_fan_in(conv, operation->input.channels);
    dense->outputs = operation->output.channels;
    size_t block = (size_t)dense->inputs * PBIT_DENSE_ROW, bytes = block_count(dense) * block;
    uint8_t *rows = pbit_engine_take(memory, bytes);
    int16_t *totals = pbit_engine_take(memory, block_count(dense) * PBIT_DENSE_BLOCK * sizeof(*totals));
    dense->rows = rows;
    dense->totals = totals;
    if (!memory->base)
        return;
    memset(rows, 0, bytes);
    memset(totals, 0, block_count(dense) * PBIT_DENSE_BLOCK * sizeof(*totals));
    for (uint32_t output = 0; output < dense->outputs; output++) {
        uint8_t *row = rows + output / PBIT_DENSE_BLOCK * block;
        for (uint32_t k = 0; k < dense->inputs; k++, row += PBIT_DENSE_ROW) {
            int32_t weight = pbit_weight_at(model, conv, dense->inputs, output, k);
            store_weight(row, output % PBIT_DENSE_BLOCK, weight);
            totals[output] = (int16_t)(totals[output] + weight);
        }
    }
}

static size_t masks_bytes(const struct pbit_dense_rows *dense)
{
    return pbit_engine_round_up(PBIT_DENSE_NODES * (((size_t)dense->inputs + 63) / 64) * sizeof(uint64_t));
}

/// Numbers in the lists of an image.
static size_t lists_length(const struct pbit_dense_rows *dense, size_t passes)
{
    return passes * (dense->inputs + 6 * (size_t)PBIT_DENSE_STEP);
}

size_t pbit_dense_scratch(const struct pbit_dense_rows *dense)
{
    return masks_bytes(dense) + lists_length(dense, PBIT_ENGINE_INSTANCES) * sizeof(uint32_t);
}

int pbit_dense_is_on_bits(const struct pbit_block *block, const struct pbit_engine_operation *operation)
{
    return operation->dense.rows && pbit_tensor_levels(&operation->input, block->draws) == 1 &&
           (operation->dense.outputs > FEW_OUTPUTS || block->images * block->passes < MANY_INSTANCES);
}

void pbit_block_dense(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                      size_t instances, const int32_t *multipliers, const struct pbit_piece *piece,
                      uint8_t *scratch)
{
    const struct pbit_dense_rows *dense = &operation->dense;
    const struct pbit_engine_kernels *kernels = block->engine->kernels;
    uint64_t *masks = (uint64_t *)scratch;
    uint32_t *lists = (uint32_t *)(scratch + masks_bytes(dense));
    struct pbit_dense_listed listed[PBIT_ENGINE_INSTANCES];
    uint32_t passes = block->passes;
    for (size_t i = 0; i < instances; i += passes, lists += lists_length(dense, passes))
        kernels->list(dense->inputs, pbit_block_tensor(block, operation->input_index, &operation->input, i),
                      block->engine->tensors_bytes, passes, masks, lists, &listed[i / passes]);
    struct pbit_range pairs = pbit_piece_range(piece, (block_count(dense) + 1) / 2);
    for (size_t pair = pairs.first; pair < pairs.end; pair++) // whose weights stay in cache
        for (size_t i = 0; i < instances; i += passes)
            kernels->dense(dense, (uint32_t)pair, &listed[i / passes], multipliers,
                           operation->operation.shift, operation->conv.constants,
                           (int32_t *)pbit_block_output(block, operation, i),
                           block->engine->tensors_bytes / sizeof(int32_t));
}
