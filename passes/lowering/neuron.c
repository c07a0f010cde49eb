// PBit nodes become NEURON operations: f becomes a theta table (monotone f), a curve (other f) or nothing
// (linear).
#include "passes/lowering/lowering.h"

#include "passes/neuron_function.h"
#include "passes/operators/pbit.h"

#include <math.h>
#include <string.h>

static const double Z_LIMIT = 32767; // largest |z| in Q16

/// A neuron's range when all its channels share one.
static bool shared_range(const struct pbitc_node *pbit, float *low, float *high)
{
    size_t count;
    const float *lows = pbitc_node_floats(pbit, "low", &count),
                *highs = pbitc_node_floats(pbit, "high", &count);
    if (count == 0)
        return false;
    for (size_t c = 1; c < count; c++)
        if (lows[c] != lows[0] || highs[c] != highs[0])
            return false;
    *low = lows[0];
    *high = highs[0];
    return true;
}

bool pbitc_neuron_unit(struct pbitc_lowering *lowering, const struct pbitc_node *pbit, uint32_t channels,
                       struct pbitc_unit *unit)
{
    float *gain = pbitc_lowering_allocate(lowering, channels, sizeof(float));
    float *offset = pbitc_lowering_allocate(lowering, channels, sizeof(float));
    size_t count;
    const float *low = pbitc_node_floats(pbit, "low", &count),
                *high = pbitc_node_floats(pbit, "high", &count);
    if (!gain || !offset || (count != 1 && count != channels))
        return false;
    bool linear = pbitc_function_of_pbit(pbit).activation->linear;
    for (uint32_t c = 0; c < channels; c++) {
        size_t at = count == 1 ? 0 : c;
        gain[c] = linear ? 1 / (high[at] - low[at]) : 1; // linear: z itself is the probability
        offset[c] = linear ? -low[at] / (high[at] - low[at]) : 0;
    }
    *unit = (struct pbitc_unit){gain, offset};
    return true;
}

// ---- tables

static double probability(const struct pbitc_function *function, double z, double low, double high)
{
    return fmin(fmax((pbitc_function_value(function, (float)z) - low) / (high - low), 0), 1);
}

/// Squared error of the straight line of P from (end, 0) to (inner, p) against the true tail of f.
static double tail_error(const struct pbitc_function *function, double low, double high, double end,
                         double inner, double p, double farthest)
{
    double sum = 0;
    for (int i = 0; i < 256; i++) {
        double z = inner + (farthest - inner) * i / 255;
        double line = fmin(fmax((z - end) / (inner - end) * p, 0), p);
        double truth = probability(function, z, low, high);
        double difference = line - (end > inner ? 1 - truth : truth);
        sum += difference * difference;
    }
    return sum;
}

/// The end of an outermost segment. f may reach its bound only at infinity (Sigmoid), so the end is not f's
/// inverse there but the point that makes the straight line of P fit f best. `inner`: the segment's other
/// end, `farthest`: f's inverse of a probability of 2^-17.
static double fit_end(const struct pbitc_function *function, double low, double high, double inner,
                      double farthest)
{
    double best = farthest, least = INFINITY;
    for (int i = 1; i <= 64; i++) {
        double end = inner + (farthest - inner) * i / 64;
        double error = end == inner ? 0 : tail_error(function, low, high, end, inner, 1.0 / 256, farthest);
        if (error < least) {
            least = error;
            best = end;
        }
    }
    return best;
}

static int32_t to_q16(double z)
{
    double scaled = nearbyint(z * PBIT_ONE);
    return scaled < INT32_MIN ? INT32_MIN : scaled > INT32_MAX ? INT32_MAX : (int32_t)scaled;
}

/// theta[h] = f^-1(low + (high - low) * h / 256).
static void fill_theta(const struct pbitc_function *function, double low, double high, int32_t *theta)
{
    double z[PBIT_THETA_ENTRIES];
    const double tail = 1.0 / (2 * PBIT_ONE);
    for (int h = 1; h < PBIT_THETA_ENTRIES - 1; h++)
        z[h] = pbitc_function_inverse(function, low + (high - low) * h / 256, Z_LIMIT);
    z[0] = fit_end(function, low, high, z[1],
                   pbitc_function_inverse(function, low + (high - low) * tail, Z_LIMIT));
    z[256] = fit_end(function, low, high, z[255],
                     pbitc_function_inverse(function, high - (high - low) * tail, Z_LIMIT));
    for (int h = 0; h < PBIT_THETA_ENTRIES; h++)
        theta[h] = to_q16(h && z[h] < z[h - 1] ? z[h] = z[h - 1] : z[h]);
}

enum {
    CURVE_SEGMENTS = 512,
    CURVE_SHIFT = 12, ///< at least: segments of 2^12 / 2^16 = 1/16, so that 512 reach from -16 to 16
    CURVE_SHIFT_LIMIT = 22,
};

/// Wide enough for f to reach the ends of its range, since the functions with curves grow no faster than z.
static uint32_t choose_curve_shift(double low, double high)
{
    uint32_t shift = CURVE_SHIFT;
    while (shift < CURVE_SHIFT_LIMIT &&
           ldexp(CURVE_SEGMENTS / 2, (int)shift) / PBIT_ONE < 1 + fmax(fabs(low), fabs(high)))
        shift++;
    return shift;
}

static void fill_curve(const struct pbitc_function *function, double low, double high, uint32_t shift,
                       int32_t *curve)
{
    for (int i = 0; i <= CURVE_SEGMENTS; i++) {
        double z = (i - CURVE_SEGMENTS / 2) * (double)(1 << shift) / PBIT_ONE;
        curve[i] = (int32_t)lrint(probability(function, z, low, high) * PBIT_ONE);
    }
}

static bool set_table(struct pbitc_lowering *lowering, const struct pbitc_node *node,
                      struct pbitc_program_operation *operation)
{
    struct pbitc_function function = pbitc_function_of_pbit(node);
    float low, high;
    if (function.activation->linear)
        return true;
    if (!shared_range(node, &low, &high)) {
        pbitc_refuse(lowering, node, "", "a neuron with a table needs one range for all channels");
        return false;
    }
    bool monotone = function.activation->monotone;
    size_t count = monotone ? PBIT_THETA_ENTRIES : CURVE_SEGMENTS + 1;
    uint32_t shift = choose_curve_shift(low, high);
    int32_t *table = pbitc_lowering_allocate(lowering, count, sizeof(*table));
    if (!table)
        return false;
    if (monotone)
        fill_theta(&function, low, high, table);
    else
        fill_curve(&function, low, high, shift, table);
    operation->fields.function = monotone ? PBIT_FUNCTION_THETA : PBIT_FUNCTION_CURVE;
    operation->fields.curve_shift = monotone ? 0 : shift;
    operation->fields.curve_segments = monotone ? 0 : CURVE_SEGMENTS;
    operation->fields.curve_start = monotone ? 0 : -(CURVE_SEGMENTS / 2) * (1 << shift);
    operation->tables.table = table;
    operation->tables.table_count = count;
    return true;
}

void pbitc_lower_neuron(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    const struct pbitc_value *input = node->inputs[0];
    struct pbitc_placement placement;
    uint32_t channels = lowering->placements[node->outputs[0]->index].channels, from;
    struct pbitc_unit unit;
    if (lowering->placements[input->index].levels) { // a neuron of a neuron: back to fixed point first
        if (!pbitc_neuron_unit(lowering, node, channels, &unit))
            return;
        from = pbitc_fixed_tensor(lowering, node, input, &unit);
    } else {
        from = pbitc_standard_tensor(lowering, node, input, &placement);
    }
    uint32_t to = pbitc_make_tensor(lowering, node->outputs[0], PBIT_LEVELS, pbitc_pbit_draw_factor(node));
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_NEURON, node->name, from, to);
    if (!operation || !set_table(lowering, node, operation))
        return;
    bool multibit = pbitc_pbit_draw_factor(node) == 0;
    operation->fields.neuron = multibit ? PBIT_NEURON_MULTIBIT : PBIT_NEURON_COUNT;
    operation->fields.layer = (uint32_t)pbitc_node_int(node, "layer", 0);
    operation->fields.amplitude = pbitc_pbit_amplitude(node);
}
