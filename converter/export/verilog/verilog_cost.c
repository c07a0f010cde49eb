// The cost model: LUTs, flip-flops and block RAMs per module of rtl/, from its widths. The coefficients were
// measured with Yosys 0.23, synth_xilinx -family xc7, on single modules and six designs;
// samples/fpga/README.md has the errors.
#include "converter/export/verilog/verilog_cost.h"

#include "converter/export/verilog/verilog_weights.h"

// Parts whose size hardly depends on the network.
static const struct pbitc_verilog_cost control_cost = {320, 420, 0}, seed_cost = {390, 180, 0},
                                       average_cost = {80, 60, 0}, wiring_cost = {45, 0, 0},
                                       walk_cost = {1, 6, 0}, window_cost = {14, 10, 0},
                                       padded_window_cost = {110, 70, 0}, copy_cost = {25, 33, 0},
                                       layer_cost = {93, 60, 0}, draw_cost = {30, 60, 0},
                                       lanes_cost = {116, 38, 0}, theta_cost = {176, 110, 0},
                                       curve_cost = {120, 90, 0}, linear_cost = {17, 0, 0},
                                       pool_cost = {80, 70, 0}, lfsr_cost = {10, 40, 0};

enum {
    LUT_BITS = 64,      ///< of a read-only memory in one LUT
    RAM32_BITS = 6,     ///< columns of a RAM32M, 4 LUTs
    RAM64_BITS = 3,     ///< columns of a RAM64M, 4 LUTs
    RAM18_WEIGHT = 129, ///< Yosys takes a block RAM when as many LUTs would be needed
    RAM36_WEIGHT = 257,
    LUT_RAM_WEIGHT = 8, ///< the same for one RAM32M or RAM64M
};

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static void add(struct pbitc_verilog_cost *sum, struct pbitc_verilog_cost cost)
{
    sum->luts += cost.luts;
    sum->flip_flops += cost.flip_flops;
    sum->block_rams += cost.block_rams;
}

// ---- memories

/// The cheapest block RAMs for a memory: their weight; *rams is their number.
static uint64_t fit_block_rams(uint64_t words, uint64_t bits, double *rams)
{
    static const struct {
        uint32_t words, bits, weight;
        double rams;
    } shapes[] = {
        {512, 36, RAM18_WEIGHT, 0.5},  {512, 72, RAM36_WEIGHT, 1},   {16384, 1, RAM18_WEIGHT, 0.5},
        {8192, 2, RAM18_WEIGHT, 0.5},  {4096, 4, RAM18_WEIGHT, 0.5}, {2048, 9, RAM18_WEIGHT, 0.5},
        {1024, 18, RAM18_WEIGHT, 0.5}, {32768, 1, RAM36_WEIGHT, 1},  {16384, 2, RAM36_WEIGHT, 1},
        {8192, 4, RAM36_WEIGHT, 1},    {4096, 9, RAM36_WEIGHT, 1},   {2048, 18, RAM36_WEIGHT, 1},
        {1024, 36, RAM36_WEIGHT, 1},
    };
    uint64_t best = UINT64_MAX;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        uint64_t count = divide_up(words, shapes[i].words) * divide_up(bits, shapes[i].bits);
        if (count * shapes[i].weight < best) {
            best = count * shapes[i].weight;
            *rams = (double)count * shapes[i].rams;
        }
    }
    return best;
}

static struct pbitc_verilog_cost rom_cost(uint64_t words, uint64_t bits)
{
    if (words == 0 || bits == 0)
        return (struct pbitc_verilog_cost){0, 0, 0};
    double rams = 0;
    double logic =
        (double)bits * (words < LUT_BITS ? 0.5 + 0.5 * (double)words / LUT_BITS : (double)words / LUT_BITS);
    if (logic > (double)fit_block_rams(words, bits, &rams))
        return (struct pbitc_verilog_cost){0, 0, rams};
    return (struct pbitc_verilog_cost){logic, (double)bits, 0};
}

static struct pbitc_verilog_cost ram_cost(uint64_t words, uint64_t bits)
{
    double rams = 0;
    uint64_t cells =
        words <= 32 ? divide_up(bits, RAM32_BITS) : divide_up(words, 64) * divide_up(bits, RAM64_BITS);
    if (cells * LUT_RAM_WEIGHT > fit_block_rams(words, bits, &rams))
        return (struct pbitc_verilog_cost){0, 0, rams};
    double outputs =
        words > 64 ? (double)bits * (double)divide_up(words, 64) / 4 : 0; // choosing among rows of RAMs
    return (struct pbitc_verilog_cost){4 * (double)cells + outputs, (double)bits, 0};
}

// ---- CONV

/// INPUTS weights, each or not, in one sum.
static double adder_tree_luts(uint32_t inputs, uint32_t bits)
{
    double synapses = (double)inputs * bits;
    return inputs <= 2 ? synapses : inputs <= 4 ? 1.28 * synapses : 1.85 * synapses + 2.7 * inputs;
}

static struct pbitc_verilog_cost pe_cost(const struct pbitc_verilog_stage *stage, uint32_t tile)
{
    struct pbitc_verilog_cost cost = {2.0 * stage->sum_bits, stage->total_bits, 0};
    bool multiplies = stage->planes < stage->level_bits;
    if (multiplies) // a product per input, then their sum
        cost.luts += stage->inputs * (2.2 * stage->weight_bits * stage->level_bits + stage->total_bits);
    else
        cost.luts += adder_tree_luts(stage->inputs, stage->weight_bits);
    if (stage->planes > 1) {
        cost.luts += 1.8 * stage->part_bits;
        cost.flip_flops += stage->part_bits;
    }
    uint32_t sums = stage->taps > 1 ? 2 : 1; // the largest sum under a pooling window too
    if (sums > 1)
        cost.luts += 1.75 * stage->sum_bits;
    if (tile > 1)
        cost.luts += 4.0 * sums * (double)divide_up(stage->sum_bits, RAM32_BITS);
    else
        cost.flip_flops += (double)sums * stage->sum_bits;
    return cost;
}

/// One word of `bits` out of `count`.
static double choice_luts(uint32_t count, double bits)
{
    return count < 2 ? 0 : bits * (count <= 4 ? 1 : 0.375 * count);
}

static struct pbitc_verilog_cost finish_cost(const struct pbitc_verilog_stage *stage)
{
    double lanes = stage->finishers, sum = stage->sum_bits, multiplier = stage->multiplier_bits;
    double kept = sum + multiplier - stage->product_shift + 1 + stage->constant_bits;
    return (struct pbitc_verilog_cost){lanes * (2 * sum + multiplier) + stage->z_bits +
                                           choice_luts(stage->finishers, kept),
                                       lanes * (2 * sum + multiplier), 0};
}

static struct pbitc_verilog_cost conv_cost(const struct pbitc_verilog_plan *plan,
                                           const struct pbitc_verilog_stage *stage)
{
    struct pbitc_verilog_cost cost = layer_cost, pe = pe_cost(stage, stage->random ? plan->tile : 1);
    struct pbit_operation conv = pbit_model_operation(plan->model, stage->operation);
    bool padded = conv.window.pad_y || conv.window.pad_x;
    add(&cost, stage->dense ? walk_cost : padded ? padded_window_cost : window_cost);
    cost.luts +=
        stage->neurons * pe.luts + choice_luts(stage->rounds, (double)stage->finishers * stage->sum_bits);
    cost.luts += stage->planes > 1 ? 3.0 * stage->inputs : 0; // the bit of each level
    cost.flip_flops += stage->neurons * pe.flip_flops;
    add(&cost, finish_cost(stage));
    add(&cost, rom_cost(stage->weight_words, stage->weight_word_bits));
    add(&cost, rom_cost(stage->parameter_words, stage->parameter_word_bits));
    return cost;
}

// ---- the rest

static struct pbitc_verilog_cost neuron_cost(const struct pbitc_verilog_stage *stage)
{
    double levels = stage->levels;
    return (struct pbitc_verilog_cost){levels > 1 ? 16 + 5.0 * pbitc_verilog_bits(stage->levels) : 12,
                                       stage->out_bits, 0};
}

static struct pbitc_verilog_cost activation_cost(const struct pbitc_verilog_plan *plan,
                                                 const struct pbitc_verilog_stage *stage)
{
    struct pbit_operation neuron = pbit_model_operation(plan->model, stage->activation);
    struct pbitc_verilog_cost cost = neuron.function == PBIT_FUNCTION_THETA   ? theta_cost
                                     : neuron.function == PBIT_FUNCTION_CURVE ? curve_cost
                                                                              : linear_cost;
    if (plan->twin_bits || plan->lfsr)
        cost = (struct pbitc_verilog_cost){1.4 * stage->z_bits, 30, 0};
    add(&cost, rom_cost(stage->table_words, stage->table_word_bits));
    return cost;
}

struct pbitc_verilog_cost pbitc_verilog_stage_cost(const struct pbitc_verilog_plan *plan,
                                                   const struct pbitc_verilog_stage *stage)
{
    struct pbitc_verilog_cost cost = {0, 0, 0};
    switch (stage->kind) {
    case PBITC_VERILOG_CONV:
        cost = conv_cost(plan, stage);
        break;
    case PBITC_VERILOG_MAXPOOL:
    case PBITC_VERILOG_SUMPOOL:
        cost = pool_cost;
        add(&cost, window_cost);
        cost.luts += 2.0 * stage->sum_bits;
        break;
    case PBITC_VERILOG_ADD:
    case PBITC_VERILOG_COPY:
        cost = copy_cost;
        cost.luts += stage->kind == PBITC_VERILOG_ADD ? stage->wide_bits : 0;
        break;
    }
    for (uint32_t i = 0; i < stage->input_count; i++) {
        const struct pbitc_verilog_buffer *buffer = &stage->buffers[i];
        add(&cost, ram_cost((uint64_t)buffer->words * buffer->tile, (uint64_t)buffer->width * buffer->lanes));
    }
    if (stage->activation != PBITC_VERILOG_NONE)
        add(&cost, activation_cost(plan, stage));
    if (stage->draw != PBITC_VERILOG_NONE && plan->lfsr) {
        add(&cost, lfsr_cost);
    } else if (stage->draw != PBITC_VERILOG_NONE) {
        struct pbit_operation neuron = pbit_model_operation(plan->model, stage->draw);
        add(&cost, draw_cost);
        add(&cost, neuron_cost(stage));
        if (pbit_operation_draws(&neuron)) {
            add(&cost, lanes_cost);
            cost.luts +=
                neuron.amplitude && (neuron.amplitude & (neuron.amplitude - 1)) ? 26 : 0; // times rho
        }
    }
    return cost;
}

struct pbitc_verilog_cost pbitc_verilog_shared_cost(const struct pbitc_verilog_plan *plan)
{
    struct pbitc_verilog_cost cost = control_cost;
    if (plan->random_layers)
        add(&cost, seed_cost);
    add(&cost, average_cost);
    add(&cost, wiring_cost);
    uint64_t elements = 0;
    for (uint32_t o = 0; o < plan->model->output_count; o++)
        elements += pbit_model_output(plan->model, o).elements;
    const struct pbitc_verilog_stage *last = &plan->stages[plan->stage_count - 1];
    add(&cost, ram_cost(elements, last->z_bits + pbitc_verilog_bits(plan->max_samples)));
    return cost;
}

struct pbitc_verilog_cost pbitc_verilog_plan_cost(const struct pbitc_verilog_plan *plan)
{
    struct pbitc_verilog_cost cost = pbitc_verilog_shared_cost(plan);
    for (uint32_t s = 0; s < plan->stage_count; s++)
        add(&cost, pbitc_verilog_stage_cost(plan, &plan->stages[s]));
    return cost;
}
