// NEURON; see fast_kernels.h. meson.build compiles it once for each kind of processor, under a name of its
// own.
#include "runtime/kernels/fast_kernels.h"

enum { BLOCK = PBIT_LANES };

/// One step of every lane: 16 random bits each.
static inline void next_random(struct pbit_lanes *lanes, uint32_t random[BLOCK])
{
    for (int j = 0; j < BLOCK; j++) {
        uint32_t s = lanes->state[j];
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        lanes->state[j] = s;
        random[j] = s >> 16;
    }
}

static inline void find_linear(const int32_t z[BLOCK], int32_t probability[BLOCK])
{
    for (int j = 0; j < BLOCK; j++)
        probability[j] = z[j] < 0 ? 0 : z[j] > PBIT_ONE ? PBIT_ONE : z[j];
}

/// The number of u with theta(u) < z, as count_below in neuron.c finds it; the quotient is exact in double:
/// both numbers have less than 53 bits, and what is no integer is farther from one than doubles near 256 are
/// apart.
static inline void find_theta(const struct pbit_fast_neuron *tables, const int32_t z[BLOCK],
                              int32_t probability[BLOCK])
{
    const int32_t *theta = tables->table;
    int32_t least = theta[0], most = theta[PBIT_THETA_ENTRIES - 1], low[BLOCK], start[BLOCK], end[BLOCK];
    for (int j = 0; j < BLOCK; j++) {
        int32_t inside = z[j] < least ? least : z[j] > most ? most : z[j];
        low[j] = tables->buckets[((uint32_t)inside - (uint32_t)least) >> tables->bucket_shift];
    }
    for (uint32_t step = 0; step < tables->steps; step++)
        for (int j = 0; j < BLOCK; j++)
            low[j] += (low[j] < PBIT_THETA_ENTRIES - 2) & (theta[low[j] + 1] < z[j]);
    for (int j = 0; j < BLOCK; j++) {
        start[j] = theta[low[j]];
        end[j] = theta[low[j] + 1];
    }
    for (int j = 0; j < BLOCK; j++) {
        double rise = (double)end[j] - (double)start[j], above = (double)z[j] - (double)start[j];
        above = above > rise ? rise : above; // z beyond the last segment
        double share = rise > 0 ? above * 256 / rise : 0;
        int32_t below = (int32_t)share;
        below += (double)below < share;
        below = z[j] <= start[j] ? 0 : below;
        probability[j] = z[j] > most ? PBIT_ONE : low[j] * 256 + below;
    }
}

static inline void find_curve(const struct pbit_fast_neuron *tables, const struct pbit_operation *neuron,
                              const int32_t z[BLOCK], int32_t probability[BLOCK])
{
    const int32_t *curve = tables->table;
    int32_t origin = neuron->curve_start, last = (int32_t)neuron->curve_segments;
    uint32_t shift = neuron->curve_shift, mask = (1u << shift) - 1;
    double unit = 1.0 / (double)(1u << shift);
    for (int j = 0; j < BLOCK; j++) {
        uint32_t distance = (uint32_t)z[j] - (uint32_t)origin, segment = distance >> shift;
        int32_t inside = z[j] >= origin && segment < (uint32_t)last, at = inside ? (int32_t)segment : 0;
        int32_t start = curve[at], next = curve[at + 1];
        double rise = (double)(next - start) * (double)(int32_t)(distance & mask) * unit; // exact
        int32_t whole = (int32_t)rise;
        whole -= (double)whole > rise;
        int32_t ends = z[j] < origin ? curve[0] : curve[last];
        probability[j] = inside ? start + whole : ends;
    }
}

static inline void find_probabilities(const struct pbit_fast_neuron *tables,
                                      const struct pbit_operation *neuron, const int32_t z[BLOCK],
                                      int32_t probability[BLOCK])
{
    if (neuron->function == PBIT_FUNCTION_THETA)
        find_theta(tables, z, probability);
    else if (neuron->function == PBIT_FUNCTION_CURVE)
        find_curve(tables, neuron, z, probability);
    else
        find_linear(z, probability);
}

static inline void count_stratified(const struct pbit_draw *draw, uint32_t order, uint32_t rho,
                                    const uint32_t random[BLOCK], const int32_t probability[BLOCK],
                                    uint8_t level[BLOCK])
{
    for (int j = 0; j < BLOCK; j++)
        level[j] = (uint8_t)pbit_level_stratified((uint32_t)probability[j], draw->levels,
                                                  pbit_stratified_offset(order, rho, random[j]));
}

static inline void count_multibit(const struct pbit_operation *neuron, uint32_t order, uint32_t rho,
                                  const uint32_t random[BLOCK], const int32_t probability[BLOCK],
                                  uint8_t level[BLOCK])
{
    int32_t amplitude = (int32_t)neuron->amplitude;
    for (int j = 0; j < BLOCK; j++) {
        int32_t noise = (int32_t)pbit_stratified_offset(order, rho, random[j]) - 32768;
        int32_t moved = probability[j] + (amplitude * noise >> 15); // at most 2^16 * 2^15
        moved = moved < 0 ? 0 : moved > PBIT_ONE ? PBIT_ONE : moved;
        level[j] = (uint8_t)((PBIT_BYTE_LEVELS * (uint32_t)moved + 32768) >> 16);
    }
}

static inline void count_independent(const struct pbit_draw *draw, struct pbit_lanes *lanes,
                                     const int32_t probability[BLOCK], uint8_t level[BLOCK])
{
    int32_t counts[BLOCK] = {0};
    uint32_t random[BLOCK];
    for (uint32_t i = 0; i < draw->levels; i++) {
        next_random(lanes, random);
        for (int j = 0; j < BLOCK; j++)
            counts[j] += (int32_t)random[j] < probability[j];
    }
    for (int j = 0; j < BLOCK; j++)
        level[j] = (uint8_t)counts[j];
}

/// P of one z, as count_below in neuron.c finds it.
static uint32_t count_below(const int32_t *theta, int32_t z)
{
    uint32_t low = 0, high = PBIT_THETA_ENTRIES - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (theta[middle + 1] < z)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == PBIT_THETA_ENTRIES - 1)
        return PBIT_ONE;
    int64_t start = theta[low], rise = theta[low + 1] - start;
    return (low << 8) + (z <= start ? 0 : (uint32_t)(((z - start) * 256 + rise - 1) / rise));
}

/// Whole blocks of linear stratified neurons, the most frequent ones, without anything on the way in memory.
static size_t draw_linear(const struct pbit_draw *draw, uint32_t order, uint32_t rho,
                          struct pbit_lanes *lanes, size_t count, const int32_t *restrict in,
                          uint8_t *restrict out)
{
    uint32_t levels = draw->levels;
    size_t first = 0;
    for (; first + BLOCK <= count; first += BLOCK) {
        uint32_t level[BLOCK];
        for (int j = 0; j < BLOCK; j++) {
            uint32_t s = lanes->state[j];
            s ^= s << 13;
            s ^= s >> 17;
            s ^= s << 5;
            lanes->state[j] = s;
            int32_t z = in[first + (size_t)j];
            z = z < 0 ? 0 : z;
            z = z > PBIT_ONE ? PBIT_ONE : z;
            level[j] =
                pbit_level_stratified((uint32_t)z, levels, pbit_stratified_offset(order, rho, s >> 16));
        }
        for (int j = 0; j < BLOCK; j++)
            out[first + (size_t)j] = (uint8_t)level[j];
    }
    return first;
}

/// Whole blocks of stratified neurons by the lines near P; where a line cannot tell, by P.
static size_t draw_lines(const struct pbit_fast_neuron *tables, const struct pbit_draw *draw, uint32_t order,
                         uint32_t rho, struct pbit_lanes *lanes, size_t count, const int32_t *restrict in,
                         uint8_t *restrict out)
{
    const float *start = tables->start, *slope = tables->slope;
    int32_t least = tables->table[0], most = tables->table[PBIT_THETA_ENTRIES - 1];
    uint32_t levels = draw->levels, margin = levels * tables->margin, shift = tables->bucket_shift;
    size_t first = 0;
    for (; first + BLOCK <= count; first += BLOCK) {
        uint32_t level[BLOCK], random[BLOCK], unclear[BLOCK], any = 0;
        next_random(lanes, random);
        for (int j = 0; j < BLOCK; j++) {
            int32_t z = in[first + (size_t)j]; // beyond the ends P stays
            z = z < least ? least : z;
            z = z > most ? most : z;
            int32_t above = z - least, bucket = above >> shift;
            int32_t probability = (int32_t)(start[bucket] + slope[bucket] * (float)above);
            uint32_t product =
                levels * (uint32_t)probability + 65535 - pbit_stratified_offset(order, rho, random[j]);
            uint32_t rest = product & 65535;
            level[j] = product >> 16;
            unclear[j] = ((rest - margin) | (65535 - margin - rest)) >> 31; // too near to the next level
            any |= unclear[j];
        }
        for (int j = 0; j < BLOCK; j++)
            out[first + (size_t)j] = (uint8_t)level[j];
        if (!any)
            continue;
        for (int j = 0; j < BLOCK; j++)
            if (unclear[j]) {
                uint32_t probability = count_below(tables->table, in[first + (size_t)j]);
                out[first + (size_t)j] = (uint8_t)pbit_level_stratified(
                    probability, levels, pbit_stratified_offset(order, rho, random[j]));
            }
    }
    return first;
}

/// Linear multi-bit neurons without noise.
static void round_linear(size_t count, const int32_t *restrict in, uint8_t *restrict out)
{
    for (size_t i = 0; i < count; i++) {
        int32_t z = in[i] < 0 ? 0 : in[i];
        z = z > PBIT_ONE ? PBIT_ONE : z;
        out[i] = (uint8_t)((PBIT_BYTE_LEVELS * (uint32_t)z + 32768) >> 16);
    }
}

void pbit_fast_neuron(const struct pbit_fast_neuron *tables, const struct pbit_operation *neuron,
                      const struct pbit_draw *draw, size_t count, const int32_t *in, uint8_t *out)
{
    int independent = draw->sampler == PBIT_SAMPLER_IID, multibit = neuron->neuron == PBIT_NEURON_MULTIBIT;
    uint32_t order = independent ? 0 : pbit_sample_order(draw->sample),
             rho = multibit ? 256 : neuron->amplitude;
    if (draw->sampler == PBIT_SAMPLER_MIDPOINT)
        rho = 0;
    struct pbit_neuron_state state;
    pbit_neuron_begin(&state, neuron, draw);
    size_t first = 0;
    if (neuron->function == PBIT_FUNCTION_LINEAR && multibit && neuron->amplitude == 0) {
        round_linear(count, in, out);
        return;
    }
    if (neuron->function == PBIT_FUNCTION_LINEAR && !independent && !multibit)
        first = draw_linear(draw, order, rho, &state.lanes, count, in, out);
    if (tables->start && !independent && !multibit)
        first = draw_lines(tables, draw, order, rho, &state.lanes, count, in, out);
    for (; first < count; first += BLOCK) {
        size_t size = count - first < BLOCK ? count - first : BLOCK;
        int32_t z[BLOCK] = {0}, probability[BLOCK];
        uint32_t random[BLOCK];
        uint8_t level[BLOCK];
        memcpy(z, in + first, size * sizeof(*z));
        find_probabilities(tables, neuron, z, probability);
        if (independent && !multibit) {
            count_independent(draw, &state.lanes, probability, level);
        } else {
            next_random(&state.lanes, random);
            if (multibit)
                count_multibit(neuron, order, rho, random, probability, level);
            else
                count_stratified(draw, order, rho, random, probability, level);
        }
        memcpy(out + first, level, size);
    }
}
