// How a .pbit file becomes hardware: stages that run one after the other, each with its own weights and input
// buffers, and how wide each is built (its folding). The bits do not depend on the folding, the cycles do.
//
// A stage reads its input buffers, computes, and streams the elements of its output into the buffers of the
// stages that read them. Stages that no random neuron precedes run once per image, the others once per tile
// of up to `tile` passes: a word of weights is read once and used for all passes of the tile.
#ifndef PBITC_VERILOG_PLAN_H
#define PBITC_VERILOG_PLAN_H

#include "passes/diagnostics.h"
#include "runtime/format.h"

#include <stdbool.h>

enum {
    PBITC_VERILOG_NONE = 0x7fffffff, ///< no such operation or stage
    PBITC_VERILOG_TILE_LIMIT = 16,   ///< passes of a tile
    PBITC_VERILOG_INPUTS_LIMIT = 64, ///< weights of a neuron that one cycle uses
    PBITC_VERILOG_NEURONS_LIMIT = 1024,
};

enum pbitc_verilog_kind {
    PBITC_VERILOG_CONV,    ///< accumulate: dense and convolution
    PBITC_VERILOG_MAXPOOL, ///< where it could not be fused into the CONV before it
    PBITC_VERILOG_SUMPOOL,
    PBITC_VERILOG_ADD,
    PBITC_VERILOG_COPY, ///< one input of a CONCAT, a PERMUTE, or a NEURON whose input is kept
};

/// The memory that one stage reads one input from; the producer fills it. Address: word * tile + pass.
struct pbitc_verilog_buffer {
    uint32_t tensor;
    uint32_t width; ///< bits of an element
    bool is_signed; ///< fixed-point numbers; else levels or probabilities
    uint32_t lanes; ///< elements of a word, a power of two: the reader's `inputs`
    uint32_t words; ///< per pass
    uint32_t tile;  ///< passes held
};

struct pbitc_verilog_stage {
    enum pbitc_verilog_kind kind;
    uint32_t operation;  ///< CONV, MAXPOOL, SUMPOOL, ADD, CONCAT, PERMUTE or NEURON of the file
    uint32_t pool;       ///< CONV: the MAXPOOL fused into it, or NONE: the maximum of the sums is taken
    uint32_t activation; ///< NEURON whose P is computed at the end of this stage, or NONE
    uint32_t draw;   ///< NEURON that draws at the end of this stage, or NONE. A NEURON behind a stage that
                     ///< runs once per image computes P there and draws in a COPY stage of its own
    uint32_t part;   ///< COPY of a CONCAT: which input
    bool permuted;   ///< COPY of a PERMUTE
    uint32_t output; ///< tensor that it fills
    bool random;     ///< runs once per tile, else once per image

    // CONV. The folding: `neurons` and `inputs` may be set by anyone before pbitc_verilog_plan_derive.
    uint32_t neurons;          ///< NEURONS: output channels computed at once, 1..channels of a group
    uint32_t inputs;           ///< INPUTS: fan-in used per cycle and neuron, a power of two
    uint32_t fan_in, channels; ///< n; output channels
    uint32_t groups;           ///< of channels (ONNX groups)
    uint32_t positions;        ///< output pixels after the fused pool
    uint32_t taps;             ///< positions of the CONV per output pixel: kh * kw of the fused pool, or 1
    uint32_t level_bits;       ///< of an input level
    uint32_t planes;        ///< cycles for a word of levels: one per bit; 1 where levels are multiplied whole
    uint32_t weight_bits;   ///< of a stored weight: group factors are multiplied in
    bool binary;            ///< weights of 1 bit: -1 and +1
    bool dense;             ///< one output position that reads its whole input
    uint32_t inputs_limit;  ///< largest legal `inputs`
    uint32_t neurons_limit; ///< largest legal `neurons`
    uint64_t accumulates;   ///< per pass: fan_in * channels * positions * taps

    // CONV, facts of the weights
    uint32_t multiplier_levels; ///< L of M_L
    uint32_t weight_largest;    ///< largest |w|
    int64_t sum_low, sum_high;  ///< of a sum, every part of it included
    uint32_t multiplier_bits;   ///< of M_L without the zeros that all have below: cycles of a finisher
    uint32_t multiplier_zeros;  ///< that many
    uint32_t constant_bits;     ///< of the bias
    uint32_t classes;           ///< biases per channel: at the border zero points differ
    uint32_t product_shift;     ///< behind the multiplication

    // CONV, derived from the folding.
    uint32_t chunks;                          ///< words of a neuron's fan-in
    uint32_t blocks;                          ///< of `neurons` channels, in one of `groups`
    uint32_t finishers;                       ///< serial multipliers that turn sums into z
    uint32_t rounds;                          ///< of `finishers` channels in a block
    uint32_t total_bits, part_bits, sum_bits; ///< of one plane of a word; of all planes; of a whole sum

    // Every kind.
    uint32_t elements;          ///< of the output, per pass
    uint32_t z_bits, wide_bits; ///< of a pre-activation; of the sum it is clamped from
    bool clamp;                 ///< z may leave 32 bits
    uint32_t levels;            ///< of the output, where it draws
    uint32_t out_bits;          ///< of an output element: z, P or level
    uint32_t activation_cycles; ///< from one element into the activation to the next

    uint64_t weight_words, weight_word_bits;       ///< depth and width of the weight memory
    uint64_t parameter_words, parameter_word_bits; ///< of the memory of multipliers and biases
    uint64_t table_words, table_word_bits;         ///< theta or curve; 0 when there is none
    uint32_t table_start_bits;
    uint32_t input_count;
    struct pbitc_verilog_buffer buffers[2]; ///< [input_count]
};

struct pbitc_verilog_plan {
    const struct pbit_model *model;
    uint32_t first_random; ///< stages from here on run once per tile
    uint32_t pass_bits;    ///< of a pass of the tile
    uint32_t draws;        ///< m, fixed in the hardware
    uint32_t max_samples;  ///< largest T of the register
    uint32_t tile;         ///< passes of a tile, a power of two
    uint32_t twin_bits;    ///< of a level of the deterministic twin (verilog_twin.h), or 0: p-bits
    bool lfsr;             ///< neurons of an LFSR and a table each, for comparison (verilog_twin.h)
    uint32_t p_bits;       ///< of a probability
    uint32_t stage_count;
    struct pbitc_verilog_stage *stages;
    uint32_t random_layers; ///< NEURONs that draw: each has a bank of 32 lanes, seeded in this order
    uint64_t cycles_seed;   ///< of seeding the lanes, while the stages that run once per image work
};

/// Bits of P.
enum { PBITC_VERILOG_P_BITS = 17 };

/// What is built of a network.
struct pbitc_verilog_wish {
    uint32_t draws;       ///< m
    uint32_t max_samples; ///< T
    uint32_t tile;        ///< a power of two
    uint32_t twin_bits;   ///< 0, or the deterministic twin is built, whose T is 1 as well as its tile
    bool lfsr;            ///< with neurons of an LFSR and a table; then the tile is 1 too
};

/// Makes the stages with a folding of 1 x 1 each. Reports everything that the hardware cannot do, and frees
/// nothing on failure. Errors: UNSUPPORTED, MEMORY. Free with pbitc_verilog_plan_free in any case.
enum pbit_status pbitc_verilog_plan_make(struct pbitc_verilog_plan *plan, const struct pbit_model *model,
                                         const struct pbitc_verilog_wish *wish,
                                         struct pbitc_diagnostics *diagnostics);
void pbitc_verilog_plan_free(struct pbitc_verilog_plan *plan);

/// Computes everything that depends on the folding of the stages, which must be legal.
void pbitc_verilog_plan_derive(struct pbitc_verilog_plan *plan);

/// Whether NEURONS x INPUTS can be built for this stage: NULL, or a phrase that says what is legal.
const char *pbitc_verilog_folding_problem(const struct pbitc_verilog_stage *stage, uint32_t neurons,
                                          uint32_t inputs);

/// The name by which --parallel and reports call the stage: the ONNX node of its first operation.
const char *pbitc_verilog_stage_name(const struct pbitc_verilog_plan *plan,
                                     const struct pbitc_verilog_stage *stage);

/// "conv", "maxpool", ..
const char *pbitc_verilog_kind_name(enum pbitc_verilog_kind kind);

/// Clock cycles from the start of the stage to its end, for a tile of `passes` passes. Exact.
uint64_t pbitc_verilog_stage_cycles(const struct pbitc_verilog_stage *stage, uint32_t passes);

/// Clock cycles of the stages for one image and T passes: from its last byte on, without sending the sums.
uint64_t pbitc_verilog_cycles(const struct pbitc_verilog_plan *plan, uint32_t samples);

/// What the user asked for; 0 where nothing was said.
struct pbitc_verilog_budget {
    uint64_t luts;
    double frames_per_second, clock_mhz; ///< at `samples` passes
    uint32_t samples;
    const char *parallel; ///< "LAYER=NEURONSxINPUTS,...", or NULL
};
/// Chooses the folding of every CONV stage and calls pbitc_verilog_plan_derive. Errors: ARGUMENT (the text of
/// --parallel), RANGE (the budget cannot hold the net: names the layer and what would fit).
enum pbit_status pbitc_verilog_fold(struct pbitc_verilog_plan *plan,
                                    const struct pbitc_verilog_budget *budget,
                                    struct pbitc_diagnostics *diagnostics);

#endif
