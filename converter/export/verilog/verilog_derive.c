#include "converter/export/verilog/verilog_plan.h"
#include "converter/export/verilog/verilog_weights.h"

enum {
    FINISHERS_LIMIT = 32, ///< a lane's random state must be back before its next neuron comes
    FLUSH_CYCLES = 8,
    SEED_MIX_CYCLES = 66,
};

// ---- what the folding decides

static bool is_power_of_two(uint32_t x)
{
    return x && !(x & (x - 1));
}

const char *pbitc_verilog_folding_problem(const struct pbitc_verilog_stage *stage, uint32_t neurons,
                                          uint32_t inputs)
{
    if (stage->kind != PBITC_VERILOG_CONV)
        return "it has no weights";
    if (neurons < 1 || neurons > stage->neurons_limit)
        return "NEURONS must be 1 to the channels of a group, 1024 at most";
    if (!is_power_of_two(inputs) || inputs > stage->inputs_limit)
        return stage->dense ? "INPUTS must be a power of two up to its fan-in, 64 at most"
                            : "INPUTS must be a power of two that divides its input channels, 64 at most";
    return NULL;
}

static uint32_t divide_up(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/// As few finishers as keep pace with the accumulation of a block.
static uint32_t choose_finishers(const struct pbitc_verilog_stage *stage)
{
    uint64_t accumulate = (uint64_t)stage->taps * stage->chunks * stage->planes;
    uint32_t limit = stage->neurons < FINISHERS_LIMIT ? stage->neurons : FINISHERS_LIMIT, count = 1;
    if (stage->activation_cycles > 1) // the activation is what is slow
        return 1;
    while (count < limit &&
           (uint64_t)divide_up(stage->neurons, count) * (stage->multiplier_bits + 2) > accumulate)
        count++;
    return divide_up(stage->neurons, divide_up(stage->neurons, count));
}

static void derive_conv(struct pbitc_verilog_stage *stage)
{
    uint32_t group = stage->channels / stage->groups;
    int64_t levels = (INT64_C(1) << stage->level_bits) - 1;
    stage->chunks = divide_up(stage->fan_in, stage->inputs);
    stage->blocks = divide_up(group, stage->neurons);
    stage->finishers = choose_finishers(stage);
    stage->rounds = divide_up(stage->neurons, stage->finishers);
    int64_t total = (int64_t)stage->inputs * stage->weight_largest;
    if (stage->planes < stage->level_bits) // whole levels are multiplied
        stage->total_bits = larger(pbitc_verilog_signed_bits(-total * levels, total * levels),
                                   stage->weight_bits + stage->level_bits + 1);
    else
        stage->total_bits = larger(pbitc_verilog_signed_bits(-total, total), stage->weight_bits + 1);
    stage->part_bits = stage->total_bits;
    if (stage->planes > 1)
        stage->part_bits =
            larger(pbitc_verilog_signed_bits(-total * levels, total * levels), stage->total_bits + 1);
    stage->sum_bits =
        larger(pbitc_verilog_signed_bits(stage->sum_low, stage->sum_high), stage->part_bits + 1);
    if (stage->sum_bits + stage->multiplier_bits < stage->product_shift)
        stage->sum_bits = stage->product_shift - stage->multiplier_bits;
    stage->weight_words = (uint64_t)stage->groups * stage->blocks * stage->chunks;
    stage->weight_word_bits = (uint64_t)stage->neurons * stage->inputs * stage->weight_bits;
    uint32_t rest = group - (stage->blocks - 1) * stage->neurons;
    stage->parameter_words =
        (uint64_t)stage->classes * stage->groups *
        ((uint64_t)(stage->blocks - 1) * stage->rounds + divide_up(rest, stage->finishers));
    stage->parameter_word_bits = (uint64_t)stage->finishers * (stage->multiplier_bits + stage->constant_bits);
    stage->buffers[0].lanes = stage->inputs;
}

static uint32_t output_bits(const struct pbitc_verilog_plan *plan, const struct pbitc_verilog_stage *stage)
{
    if (stage->draw != PBITC_VERILOG_NONE)
        return pbitc_verilog_bits(stage->levels);
    if (stage->activation == PBITC_VERILOG_NONE)
        return stage->z_bits;
    return plan->twin_bits ? plan->twin_bits : plan->p_bits;
}

void pbitc_verilog_plan_derive(struct pbitc_verilog_plan *plan)
{
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        struct pbitc_verilog_stage *stage = &plan->stages[s];
        struct pbit_tensor output = pbit_model_tensor(plan->model, stage->output);
        stage->elements = (uint32_t)pbit_tensor_elements(&output);
        if (stage->kind == PBITC_VERILOG_CONV)
            derive_conv(stage);
        stage->out_bits = output_bits(plan, stage);
        for (uint32_t i = 0; i < stage->input_count; i++) {
            struct pbit_tensor input = pbit_model_tensor(plan->model, stage->buffers[i].tensor);
            stage->buffers[i].words = divide_up(pbit_tensor_elements(&input), stage->buffers[i].lanes);
        }
    }
    plan->cycles_seed = plan->random_layers
                            ? 1 + (uint64_t)SEED_MIX_CYCLES * (4 + (2 + PBIT_LANES) * plan->random_layers)
                            : 1;
}

// ---- cycles: what the state machines of rtl/ take

static uint64_t slower(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/// From the first emission of a block to its last.
static uint64_t block_cycles(const struct pbitc_verilog_stage *stage, uint32_t channels, uint32_t passes)
{
    uint64_t pace = stage->activation_cycles, cycles = 0;
    for (uint32_t first = 0; first < channels; first += stage->finishers) {
        uint32_t live = channels - first < stage->finishers ? channels - first : stage->finishers;
        cycles += passes * (live - 1) * pace + (passes - 1) * slower(pace, stage->multiplier_bits + 2);
        if (first)
            cycles += slower(pace, stage->multiplier_bits + 3);
    }
    return cycles;
}

/// When the last element leaves, the start being 0.
static uint64_t conv_cycles(const struct pbitc_verilog_stage *stage, uint32_t passes)
{
    uint32_t group = stage->channels / stage->groups;
    uint32_t rest = group - (stage->blocks - 1) * stage->neurons;
    uint64_t pace = stage->activation_cycles;
    uint64_t tap = 3 + (uint64_t)stage->chunks * stage->planes * passes + (stage->taps > 1 ? passes : 0);
    uint64_t lead = stage->taps * tap + stage->multiplier_bits + 4; // from one block to the next emission
    uint64_t group_inside = (stage->blocks - 1) * block_cycles(stage, stage->neurons, passes) +
                            block_cycles(stage, rest, passes) + (stage->blocks - 1) * slower(pace, lead);
    uint64_t inside = stage->groups * group_inside + (stage->groups - 1) * slower(pace, lead);
    return lead + 1 + stage->positions * inside + (stage->positions - 1) * slower(pace, lead + 1);
}

uint64_t pbitc_verilog_stage_cycles(const struct pbitc_verilog_stage *stage, uint32_t passes)
{
    uint64_t pace = stage->activation_cycles, count = (uint64_t)stage->elements * passes, last = 0;
    switch (stage->kind) {
    case PBITC_VERILOG_CONV:
        last = conv_cycles(stage, passes);
        break;
    case PBITC_VERILOG_MAXPOOL:
    case PBITC_VERILOG_SUMPOOL: {
        uint64_t gap =
            stage->taps + 3 + (stage->kind == PBITC_VERILOG_SUMPOOL ? stage->multiplier_bits + 1 : 0);
        last = gap + (count - 1) * slower(pace, gap);
        break;
    }
    case PBITC_VERILOG_ADD:
        last = 2 + (count - 1) * pace;
        break;
    case PBITC_VERILOG_COPY:
        count = (uint64_t)(stage->permuted ? stage->elements : stage->buffers[0].words) * passes;
        last = 2 + (count - 1) * pace + (stage->permuted ? stage->elements : 0);
        break;
    }
    return last + pace + FLUSH_CYCLES;
}

uint64_t pbitc_verilog_cycles(const struct pbitc_verilog_plan *plan, uint32_t samples)
{
    uint64_t once = 0, full = 0, rest = 0;
    uint32_t tiles = samples / plan->tile, left = samples % plan->tile;
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[s];
        if (!stage->random) {
            once += pbitc_verilog_stage_cycles(stage, 1);
            continue;
        }
        full += pbitc_verilog_stage_cycles(stage, plan->tile);
        rest += left ? pbitc_verilog_stage_cycles(stage, left) : 0;
    }
    return slower(once, plan->cycles_seed) + 1 + tiles * full + rest;
}
