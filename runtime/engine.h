// What an engine holds: per operation what the fast kernels need, in the memory that the caller gave.
#ifndef PBIT_ENGINE_H
#define PBIT_ENGINE_H

#include "runtime/engine_bits.h"
#include "runtime/kernels/fast_kernels.h"
#include "runtime/kernels/packed_conv.h"

enum {
    PBIT_ENGINE_ALIGNMENT = 64,
    PBIT_ENGINE_INSTANCES = 8, ///< images x passes at a time, about; most images, and most passes, of a block
    PBIT_ENGINE_SMALL_INSTANCES = 32, ///< images x passes where their tensors are small
    PBIT_NEURON_SCRATCH = 1 << 13,    ///< bytes for random numbers of neurons
    PBIT_ENGINE_PHASES = 2,           ///< of an operation, at most
    PBIT_JUMPS = 40,
};
#define PBIT_ENGINE_NONE UINT32_MAX

/// Where a CONV reads: an image with its padding around it, or the input as it is.
struct pbit_padded {
    uint32_t height, width; ///< of the padded image
    int copied;             ///< else the input serves
};

struct pbit_engine_operation {
    struct pbit_operation operation;
    struct pbit_tensor input, output;
    uint32_t input_index;
    int packed; ///< CONV, NEURON: the members below are there
    int single; ///< CONV: `depthwise` is there
    struct pbit_packed_conv conv;
    struct pbit_depthwise depthwise;
    struct pbit_dense_rows dense;             ///< CONV: rows are NULL where there is no way
    struct pbit_dense_thresholds *thresholds; ///< where there are dense.rows
    struct pbit_padded padded;
    /// CONV of an image, and the MAXPOOL of 2 x 2 that does its work; a dense layer on bits, and the NEURON
    /// that can: the other one, or PBIT_ENGINE_NONE.
    uint32_t fused;
    struct pbit_fast_neuron neuron;
    struct pbit_bit_operation bits;
    uint64_t cost; ///< picoseconds for an instance, about
};

static inline size_t pbit_engine_round_up(size_t bytes)
{
    return (bytes + PBIT_ENGINE_ALIGNMENT - 1) / PBIT_ENGINE_ALIGNMENT * PBIT_ENGINE_ALIGNMENT;
}

/// The kernels for one kind of processor.
struct pbit_engine_kernels {
    const char *name;                           ///< NULL: not in this build
    const char *instruction, *wide_instruction; ///< that multiplies
    uint32_t lanes;                             ///< of a vector of 32-bit numbers; 0: the scalar kernels
    uint32_t most_levels, most_product;         ///< of a level and a weight, else CONV is wide
    pbit_packed_conv_function *convolve;
    pbit_depthwise_function *depthwise;
    pbit_fast_seed_function *seed;
    pbit_fast_skip_function *skip;
    pbit_fast_random_function *random;
    pbit_fast_neuron_function *draw;
    pbit_fast_maxpool_function *maxpool;
    pbit_dense_function *dense;
    pbit_dense_list_function *list;
    pbit_dense_draw_function *draw_dense; ///< or NULL
    const struct pbit_bit_kernels *bits;
};
const struct pbit_engine_kernels *pbit_engine_kernels(enum pbit_cpu cpu);

struct pbit_engine {
    struct pbit_model model;
    const struct pbit_engine_kernels *kernels;
    const struct pbit_bit_kernels *bits;      ///< NULL: none
    struct pbit_engine_operation *operations; ///< [operation_count]
    uint8_t *tensor_random;                   ///< [tensor_count] it differs from pass to pass
    size_t scratch_bytes;                     ///< beyond the tensors, of each thread
    size_t tensors_bytes;                     ///< of one instance
    uint32_t instances;                       ///< images x passes at a time
    size_t bits_bytes;                        ///< planes of the layers on bits
    uint32_t jump[PBIT_JUMPS][32];            ///< of pbit_lanes_skip
};

/// What 1, 2, 4 ... steps of xorshift32 make of each bit of a state.
void pbit_lanes_make_jumps(uint32_t jump[PBIT_JUMPS][32]);
/// What each bit of a lane's state becomes in `steps`.
void pbit_lanes_jump(const uint32_t jump[PBIT_JUMPS][32], uint64_t steps, uint32_t after[32]);

/// Memory that is only counted while `base` is NULL.
struct pbit_engine_memory {
    uint8_t *base;
    size_t used;
};
/// `bytes` at a multiple of PBIT_ENGINE_ALIGNMENT, or NULL while counting.
void *pbit_engine_take(struct pbit_engine_memory *memory, size_t bytes);

/// An operation that threads share, or some that one thread does meanwhile.
struct pbit_stage {
    const struct pbit_block *block;
    uint32_t first, end;
    uint32_t pieces, phase;
};

/// A block of instances: image i / passes in pass first_pass + i % passes.
struct pbit_block {
    const struct pbit_engine *engine;
    const struct pbit_options *options;
    const uint8_t *const *inputs;
    uint8_t *fixed, *random;   ///< tensors that are the same in every pass, by image; the others, by instance
    uint8_t *scratch;          ///< [threads][engine->scratch_bytes]
    struct pbit_stage *stages; ///< of the two parts of a run
    uint8_t *bits;             ///< engine->bits_bytes
    uint64_t first_image;
    size_t images;
    uint32_t
        hash[PBIT_ENGINE_INSTANCES]; ///< pbit_hash_image of the images, where there are random operations
    uint32_t passes, first_pass;
    uint32_t order[PBIT_ENGINE_INSTANCES]; ///< pbit_sample_order of the passes
    uint32_t draws;
    enum pbit_sampler sampler;
    int on_bits;   ///< layers that draw one p-bit may work on packed bits
    int in_passes; ///< the random operations, and before them the planes that are for all passes
};

const uint8_t *pbit_block_tensor(const struct pbit_block *block, uint32_t index,
                                 const struct pbit_tensor *tensor, size_t instance);

uint8_t *pbit_block_output(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                           size_t instance);

/// Looks at a block from one instance.
struct pbit_instance {
    const struct pbit_block *block;
    size_t number;
};
/// A pbit_tensor_finder (execute.h) whose state is a pbit_instance.
const uint8_t *pbit_find_tensor(const void *state, uint32_t index, const struct pbit_tensor *tensor);

/// One of `pieces` about equal shares of an operation: none reads what another writes at the same time.
struct pbit_piece {
    uint32_t index, pieces;
    uint32_t phase;   ///< of the operation; the pieces of a phase may read what the one before wrote
    uint8_t *scratch; ///< its own, engine->scratch_bytes
};
/// Some units of work, what can be done at the same time.
struct pbit_range {
    size_t first, end;
};
static inline struct pbit_range pbit_piece_range(const struct pbit_piece *piece, size_t units)
{
    return (struct pbit_range){units * piece->index / piece->pieces,
                               units * (piece->index + 1) / piece->pieces};
}

/// Units that are rows of the instances' outputs, `height` of each: takes those of one instance from the
/// front of the range. Returns whether there are any.
struct pbit_rows {
    size_t instance;
    uint32_t first, end;
};
int pbit_next_rows(struct pbit_range *left, uint32_t height, struct pbit_rows *rows);

/// About how long an operation takes.
uint64_t pbit_operation_cost(const struct pbit_engine *engine, const struct pbit_engine_operation *operation);

/// What is the same in every pass of the block `fixed`, or NULL, then the random operations of `random`, or
/// NULL.
void pbit_block_run(const struct pbit_block *fixed, const struct pbit_block *random);

/// A piece of an operation. Returns the index of the one that does its work.
uint32_t pbit_block_execute(const struct pbit_block *block, uint32_t index, const struct pbit_piece *piece);
/// Phases where there are `pieces` of an operation; one piece does all in the first.
uint32_t pbit_block_phases(const struct pbit_block *block, uint32_t index, uint32_t pieces);
/// What a CONV multiplies with; NULL for others.
const char *pbit_block_instruction(const struct pbit_block *block, uint32_t index);
/// About how many picoseconds an operation takes; 0: another one does its work.
uint64_t pbit_block_cost(const struct pbit_block *block, uint32_t index);

/// CONV in all instances, with the MAXPOOL after it, or NULL.
void pbit_block_convolve(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                         const struct pbit_engine_operation *pool, size_t instances,
                         const struct pbit_piece *piece);
/// Fills operation->dense of a packed CONV, where there is a way.
void pbit_pack_dense(struct pbit_engine_memory *memory, const struct pbit_model *model,
                     struct pbit_engine_operation *operation);
/// Fills the rest of what a dense layer's sums are compared with for the neurons after it. Returns 0 where
/// there is no way.
int pbit_fill_thresholds(struct pbit_dense_thresholds *thresholds, const struct pbit_engine_operation *conv,
                         const struct pbit_engine_operation *neuron);
/// Whether a dense layer and its NEURON are one in this block.
int pbit_dense_draws(const struct pbit_block *block, const struct pbit_engine_operation *neuron);
/// Scratch bytes of pbit_block_dense.
size_t pbit_dense_scratch(const struct pbit_dense_rows *dense, uint32_t instances);
/// Whether a CONV reads bits, and there are rows for them.
int pbit_dense_is_on_bits(const struct pbit_block *block, const struct pbit_engine_operation *operation);
/// Such a CONV in all instances.
void pbit_block_dense(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                      size_t instances, const int32_t *multipliers, const struct pbit_piece *piece,
                      uint8_t *scratch);
/// Phases of the NEURON of pbit_dense_draws.
uint32_t pbit_dense_phases(uint32_t pieces);
/// That NEURON, with its CONV.
void pbit_block_draw_dense(const struct pbit_block *block, const struct pbit_engine_operation *neuron,
                           const struct pbit_piece *piece);

/// Whether products need wider sums than the kernel has by itself.
int pbit_conv_is_wide(const struct pbit_engine_kernels *kernels, const struct pbit_packed_conv *conv,
                      uint32_t levels);

/// What `operation` of the block has to do, beside what others do for it.
enum pbit_bit_duty { PBIT_BIT_ALL, PBIT_BIT_STAGE, PBIT_BIT_NOTHING };
enum pbit_bit_duty pbit_bit_duty(const struct pbit_block *block,
                                 const struct pbit_engine_operation *operation);
/// A piece of a phase of a stage.
void pbit_bit_stage(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                    const struct pbit_piece *piece);
uint32_t pbit_bit_phases(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                         uint32_t pieces);

/// After all operations are packed: from how many instances on bits pay, and where planes lie. Returns the
/// bytes that a block needs.
size_t pbit_bit_arrange(struct pbit_engine *engine, const struct pbit_bit_plan *plan);
void pbit_pack_bits(struct pbit_engine_memory *memory, const struct pbit_model *model,
                    const struct pbit_bit_kernels *kernels, const struct pbit_bit_plan *plan, uint32_t index,
                    struct pbit_engine_operation *operation);

/// Fills words[channels] of a linear NEURON whose terms are packed, and returns whether 16 bits are enough.
int pbit_bit_fill_words(const struct pbit_engine_operation *operations,
                        const struct pbit_engine_operation *neuron, struct pbit_bit_words *words);

/// Of numbers from `least` to least + reach.
struct pbit_bit_product pbit_bit_describe_product(int64_t multiplier, uint32_t shift, int32_t least,
                                                  uint32_t reach);

/// Fills operation->depthwise or ->conv, and ->padded, with weights for vectors of `lanes`, when there is a
/// way.
void pbit_pack_conv(struct pbit_engine_memory *memory, const struct pbit_model *model, uint32_t lanes,
                    struct pbit_engine_operation *operation);
void pbit_pack_neuron(struct pbit_engine_memory *memory, const struct pbit_model *model,
                      struct pbit_engine_operation *operation);
/// The lanes that draw an image, from step `first` of the layer on; pass: as pbit_lanes_seed.
void pbit_block_seed(const struct pbit_block *block, const struct pbit_operation *neuron, size_t instance,
                     uint32_t pass, uint64_t first, struct pbit_lanes *lanes);
/// NEURON in all instances.
void pbit_block_draw(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                     const struct pbit_piece *piece);

/// Weight i of a CONV's output channel k, without its factor, and its factor.
int32_t pbit_weight_at(const struct pbit_model *model, const struct pbit_operation *conv, uint64_t fan_in,
                       uint32_t k, uint32_t i);
int32_t pbit_factor_at(const struct pbit_model *model, const struct pbit_operation *conv, uint64_t fan_in,
                       uint32_t k, uint32_t i);

#endif
