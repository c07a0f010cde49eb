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

/// The arrays are 0.
static struct pbit_dense_thresholds *take_thresholds(struct pbit_engine_memory *memory, uint32_t blocks)
{
    enum { ARRAYS = 5 };
    size_t length = (size_t)blocks * PBIT_DENSE_BLOCK;
    struct pbit_dense_thresholds *thresholds = pbit_engine_take(memory, sizeof(*thresholds));
    uint16_t *arrays = pbit_engine_take(memory, ARRAYS * length * sizeof(*arrays));
    if (!memory->base)
        return NULL;
    memset(arrays, 0, ARRAYS * length * sizeof(*arrays));
    *thresholds = (struct pbit_dense_thresholds){.largest = arrays,
                                                 .middle = (int16_t *)(arrays + length),
                                                 .start = (int16_t *)(arrays + 2 * length),
                                                 .rise = arrays + 3 * length,
                                                 .shift = arrays + 4 * length};
    return thresholds;
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
    struct pbit_dense_thresholds *thresholds = take_thresholds(memory, block_count(dense));
    dense->rows = rows;
    dense->totals = totals;
    operation->thresholds = thresholds;
    if (!memory->base)
        return;
    memset(rows, 0, bytes);
    memset(totals, 0, block_count(dense) * PBIT_DENSE_BLOCK * sizeof(*totals));
    for (uint32_t output = 0; output < dense->outputs; output++) {
        uint8_t *row = rows + output / PBIT_DENSE_BLOCK * block;
        uint32_t above = 0, below = 0;
        for (uint32_t k = 0; k < dense->inputs; k++, row += PBIT_DENSE_ROW) {
            int32_t weight = pbit_weight_at(model, conv, dense->inputs, output, k);
            store_weight(row, output % PBIT_DENSE_BLOCK, weight);
            totals[output] = (int16_t)(totals[output] + weight);
            above += weight > 0 ? (uint32_t)weight : 0;
            below += weight < 0 ? (uint32_t)-weight : 0;
        }
        thresholds->largest[output] = (uint16_t)(above > below ? above : below);
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

/// At the scratch's beginning: a struct pbit_dense_listed for each image.
static size_t listed_bytes(void)
{
    return pbit_engine_round_up(PBIT_ENGINE_INSTANCES * sizeof(struct pbit_dense_listed));
}

size_t pbit_dense_scratch(const struct pbit_dense_rows *dense, uint32_t instances)
{
    return listed_bytes() + masks_bytes(dense) + lists_length(dense, instances) * sizeof(uint32_t);
}

int pbit_dense_is_on_bits(const struct pbit_block *block, const struct pbit_engine_operation *operation)
{
    return operation->dense.rows && pbit_tensor_levels(&operation->input, block->draws) == 1 &&
           (operation->dense.outputs > FEW_OUTPUTS || block->images * block->passes < MANY_INSTANCES);
}

/// Lists the inputs of the passes of an image, from an instance on. Returns the lists of all images in
/// scratch.
static const struct pbit_dense_listed *list_inputs(const struct pbit_block *block,
                                                   const struct pbit_engine_operation *conv, size_t instance,
                                                   uint8_t *scratch)
{
    const struct pbit_dense_rows *dense = &conv->dense;
    struct pbit_dense_listed *listed = (struct pbit_dense_listed *)scratch;
    uint64_t *masks = (uint64_t *)(scratch + listed_bytes());
    uint32_t *lists = (uint32_t *)(scratch + listed_bytes() + masks_bytes(dense)), passes = block->passes;
    size_t image = instance / passes;
    block->engine->kernels->list(dense->inputs,
                                 pbit_block_tensor(block, conv->input_index, &conv->input, instance),
                                 block->engine->tensors_bytes, passes, masks,
                                 lists + image * lists_length(dense, passes), &listed[image]);
    return listed;
}

void pbit_block_dense(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                      size_t instances, const int32_t *multipliers, const struct pbit_piece *piece,
                      uint8_t *scratch)
{
    const struct pbit_dense_rows *dense = &operation->dense;
    const struct pbit_dense_listed *listed = NULL;
    uint32_t passes = block->passes;
    for (size_t i = 0; i < instances; i += passes)
        listed = list_inputs(block, operation, i, scratch);
    struct pbit_range pairs = pbit_piece_range(piece, (block_count(dense) + 1) / 2);
    for (size_t pair = pairs.first; pair < pairs.end; pair++) // whose weights stay in cache
        for (size_t i = 0; i < instances; i += passes)
            block->engine->kernels->dense(dense, (uint32_t)pair, &listed[i / passes], multipliers,
                                          operation->operation.shift, operation->conv.constants,
                                          (int32_t *)pbit_block_output(block, operation, i),
                                          block->engine->tensors_bytes / sizeof(int32_t));
}

int pbit_dense_draws(const struct pbit_block *block, const struct pbit_engine_operation *neuron)
{
    return neuron->operation.kind == PBIT_OPERATION_NEURON && neuron->fused != PBIT_ENGINE_NONE &&
           block->sampler == PBIT_SAMPLER_STRATIFIED && !block->options->observe &&
           pbit_tensor_levels(&neuron->output, block->draws) == 1 &&
           pbit_dense_is_on_bits(block, &block->engine->operations[neuron->fused]);
}

enum { LIST, DRAW }; // phases: what is drawn may lie where the inputs were

uint32_t pbit_dense_phases(uint32_t pieces)
{
    return pieces > 1 ? DRAW + 1 : LIST + 1;
}

void pbit_block_draw_dense(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                           const struct pbit_piece *piece)
{
    enum { PAIR = 2 * PBIT_DENSE_BLOCK };
    const struct pbit_engine_operation *conv = &block->engine->operations[neuron->fused];
    const struct pbit_engine_kernels *kernels = block->engine->kernels;
    const struct pbit_dense_listed *listed = (const struct pbit_dense_listed *)piece->scratch;
    uint32_t passes = block->passes;
    size_t instances = block->images * passes;
    uint16_t random[PAIR];
    int together = pbit_dense_phases(piece->pieces) == 1;
    for (size_t i = 0; !together && piece->phase == LIST && i < instances; i += passes)
        list_inputs(block, conv, i, piece->scratch);
    if (!together && piece->phase == LIST)
        return;
    struct pbit_range pairs = pbit_piece_range(piece, (block_count(&conv->dense) + 1) / 2);
    for (size_t pair = pairs.first; pair < pairs.end; pair++)
        for (size_t i = 0; i < instances; i += passes) {
            struct pbit_lanes lanes;
            pbit_block_seed(block, &neuron->operation, i, 0, pair * PAIR / PBIT_LANES, &lanes);
            kernels->random(&lanes, PAIR, random); // takes a while, in which lists can be made
            if (together && pair == pairs.first)
                list_inputs(block, conv, i, piece->scratch);
            const struct pbit_neuron_run run = {.levels = 1,
                                                .rho = neuron->operation.amplitude,
                                                .passes = passes,
                                                .order = block->order,
                                                .random = random,
                                                .out = pbit_block_output(block, neuron, i),
                                                .out_stride = block->engine->tensors_bytes};
            kernels->draw_dense(&conv->dense, (uint32_t)pair, &listed[i / passes],
                                (const int32_t *)conv->conv.multipliers, conv->operation.shift,
                                conv->conv.constants, conv->thresholds, &run);
        }
}
