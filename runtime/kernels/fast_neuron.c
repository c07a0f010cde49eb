// NEURON; see fast_kernels.h. meson.build compiles it once for each kind of processor, under a name of its
// own.
#include "runtime/kernels/fast_kernels.h"

#ifdef __AVX512BW__
#include <immintrin.h>
#endif

enum { BLOCK = PBIT_LANES, PASSES = PBIT_NEURON_PASSES, VECTORS = 2, VECTOR_LANES = BLOCK / VECTORS };

typedef uint32_t words __attribute__((vector_size(4 * VECTOR_LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * VECTOR_LANES)));

void pbit_fast_seed(struct pbit_lanes *lanes, uint32_t hash, uint32_t layer, uint32_t pass)
{
    pbit_lanes_begin(lanes, hash, layer, pass);
}

void pbit_fast_skip(struct pbit_lanes *lanes, const uint32_t (*jump)[32], uint64_t steps)
{
    pbit_lanes_skip(lanes, jump, steps);
}

void pbit_fast_random(struct pbit_lanes *lanes, size_t count, uint16_t *random)
{
    words state[VECTORS];
    memcpy(state, lanes->state, sizeof(state));
    for (size_t first = 0; first < count; first += BLOCK)
        for (int v = 0; v < VECTORS; v++) {
            words s = state[v];
            s ^= s << 13;
            s ^= s >> 17;
            s ^= s << 5;
            state[v] = s;
            halves upper = __builtin_convertvector(s >> 16, halves);
            memcpy(random + first + v * VECTOR_LANES, &upper, sizeof(upper));
        }
    memcpy(lanes->state, state, sizeof(state));
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
        above = above < 0 ? 0 : above;       // or below the first
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

static inline void count_stratified(uint32_t levels, uint32_t order, uint32_t rho,
                                    const uint16_t random[BLOCK], const int32_t probability[BLOCK],
                                    uint8_t level[BLOCK])
{
    for (int j = 0; j < BLOCK; j++)
        level[j] = (uint8_t)pbit_level_stratified((uint32_t)probability[j], levels,
                                                  pbit_stratified_offset(order, rho, random[j]));
}

static inline void count_multibit(const struct pbit_operation *neuron, uint32_t order, uint32_t rho,
                                  const uint16_t random[BLOCK], const int32_t probability[BLOCK],
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

static inline void count_independent(uint32_t levels, struct pbit_lanes *lanes,
                                     const int32_t probability[BLOCK], uint8_t level[BLOCK])
{
    int32_t counts[BLOCK] = {0};
    uint16_t random[BLOCK];
    for (uint32_t i = 0; i < levels; i++) {
        pbit_fast_random(lanes, BLOCK, random);
        for (int j = 0; j < BLOCK; j++)
            counts[j] += (int32_t)random[j] < probability[j];
    }
    for (int j = 0; j < BLOCK; j++)
        level[j] = (uint8_t)counts[j];
}

/// Whole blocks of linear stratified neurons, the most frequent ones, without anything on the way in memory.
static void draw_linear(const struct pbit_neuron_run *run, size_t count)
{
    uint32_t levels = run->levels, rho = run->rho;
    for (uint32_t pass = 0; pass < run->passes; pass++) {
        const int32_t *restrict in = run->in + pass * run->in_stride;
        uint8_t *restrict out = run->out + pass * run->out_stride;
        const uint16_t *restrict random = run->random;
        uint32_t order = run->order[pass];
        for (size_t j = 0; j < count; j++) {
            int32_t z = in[j];
            z = z < 0 ? 0 : z;
            z = z > PBIT_ONE ? PBIT_ONE : z;
            out[j] = (uint8_t)pbit_level_stratified((uint32_t)z, levels,
                                                    pbit_stratified_offset(order, rho, random[j]));
        }
    }
}

/// Levels of a block from about P; where it is too near to the next level, from P.
static inline void count_lines(const struct pbit_fast_neuron *tables, const struct pbit_neuron_run *run,
                               uint32_t order, const uint16_t random[BLOCK], const int32_t z[BLOCK],
                               const int32_t probability[BLOCK], uint8_t out[BLOCK])
{
    uint32_t levels = run->levels, rho = run->rho, margin = levels * tables->margin;
    uint32_t level[BLOCK], unclear[BLOCK], any = 0;
    for (int j = 0; j < BLOCK; j++) {
        uint32_t product =
            levels * (uint32_t)probability[j] + 65535 - pbit_stratified_offset(order, rho, random[j]);
        uint32_t rest = product & 65535;
        level[j] = product >> 16;
        unclear[j] = ((rest - margin) | (65535 - margin - rest)) >> 31; // too near to the next level
        any |= unclear[j];
    }
    for (int j = 0; j < BLOCK; j++)
        out[j] = (uint8_t)level[j];
    if (!any)
        return;
    for (int j = 0; j < BLOCK; j++)
        if (unclear[j])
            out[j] = (uint8_t)pbit_level_stratified(pbit_theta_count_below(tables->table, z[j]), levels,
                                                    pbit_stratified_offset(order, rho, random[j]));
}

/// Whole blocks of stratified neurons by the lines near P.
static void draw_lines(const struct pbit_fast_neuron *tables, const struct pbit_neuron_run *run, size_t count)
{
    const float *start = tables->start, *slope = tables->slope;
    int32_t least = tables->table[0], most = tables->table[PBIT_THETA_ENTRIES - 1];
    uint32_t shift = tables->bucket_shift;
    for (size_t first = 0; first < count; first += BLOCK) {
        int32_t probability[BLOCK];
        for (uint32_t pass = 0; pass < run->passes; pass++) {
            const int32_t *restrict in = run->in + pass * run->in_stride + first;
            for (int j = 0; j < BLOCK && (pass == 0 || run->in_stride); j++) {
                int32_t z = in[j]; // beyond the ends P stays
                z = z < least ? least : z;
                z = z > most ? most : z;
                int32_t above = z - least, bucket = above >> shift;
                probability[j] = (int32_t)(start[bucket] + slope[bucket] * (float)above);
            }
            count_lines(tables, run, run->order[pass], run->random + first, in, probability,
                        run->out + pass * run->out_stride + first);
        }
    }
}

#ifdef __AVX512BW__
/// v' of FORMAT.md in 16 bits is `constant` more than (v * rho >> 8).
struct offsets {
    __m512i multiplier, constant;
    __mmask32 multiplied; ///< rho is not 1
};

static struct offsets prepare_offsets(uint32_t rho)
{
    return (struct offsets){_mm512_set1_epi16((short)(rho << 8)),
                            _mm512_set1_epi16((short)(128 * (256 - rho))), rho == 256 ? 0 : UINT32_MAX};
}

/// v' less the constant.
static inline __m512i find_offsets(const struct offsets *offsets, __m512i v)
{
    return _mm512_mask_mulhi_epu16(v, offsets->multiplied, v, offsets->multiplier);
}

/// What P is at least and at most, 16 bits each, less the constant of offsets.
struct bounds {
    __m512i least, most;
};

static inline struct bounds find_bounds(const struct pbit_neuron_pieces *pieces,
                                        const struct offsets *offsets, const int32_t z[BLOCK])
{
    __m512i origin = _mm512_set1_epi32(pieces->origin), half[VECTORS];
    __m128i shift = _mm_cvtsi32_si128((int)pieces->shift);
    for (int v = 0; v < VECTORS; v++) {
        __m512i inside = _mm512_max_epi32(_mm512_loadu_si512(z + v * VECTOR_LANES), origin);
        half[v] = _mm512_srl_epi32(_mm512_sub_epi32(inside, origin), shift);
    }
    __m512i q = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7),
                                         _mm512_packus_epi32(half[0], half[1]));
    __m512i piece = _mm512_srli_epi16(q, 10);
    const uint16_t *const tables[3] = {pieces->start, pieces->slope, pieces->margin};
    __m512i found[3];
    for (int i = 0; i < 3; i++)
        found[i] = _mm512_permutex2var_epi16(_mm512_loadu_si512(tables[i]), piece,
                                             _mm512_loadu_si512(tables[i] + PBIT_NEURON_PIECES / 2));
    __m512i about = _mm512_add_epi16(found[0], _mm512_mulhi_epu16(found[1], _mm512_slli_epi16(q, 6)));
    return (struct bounds){_mm512_subs_epu16(_mm512_subs_epu16(about, found[2]), offsets->constant),
                           _mm512_subs_epu16(_mm512_adds_epu16(about, found[2]),
                                             offsets->constant)}; // 0 may be unclear for nothing
}

/// The `unclear` ones of a block.
static void draw_exactly(const int32_t *theta, const struct pbit_neuron_run *run, uint32_t pass, size_t first,
                         uint32_t unclear)
{
    for (; unclear; unclear &= unclear - 1) {
        size_t at = first + (uint32_t)__builtin_ctz(unclear);
        run->out[pass * run->out_stride + at] =
            pbit_stratified_offset(run->order[pass], run->rho, run->random[at]) <
            pbit_theta_count_below(theta, run->in[pass * run->in_stride + at]);
    }
}

/// A p-bit is [v' < P]. P of a linear one is z, as far as that matters.
static inline uint32_t compare_linear(const int32_t z[BLOCK], __m512i offsets)
{
    __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(offsets)),
            high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(offsets, 1));
    return _mm512_cmplt_epi32_mask(low, _mm512_loadu_si512(z)) |
           (uint32_t)_mm512_cmplt_epi32_mask(high, _mm512_loadu_si512(z + VECTOR_LANES)) << VECTOR_LANES;
}

/// The same for z that several passes have in common: up to which offsets p-bits are 1, if they ever are.
struct linear_bounds {
    __m512i last;
    uint32_t ever;
};

static inline struct linear_bounds find_linear_bounds(const struct offsets *offsets, const int32_t z[BLOCK])
{
    __m512i low = _mm512_loadu_si512(z), high = _mm512_loadu_si512(z + VECTOR_LANES),
            least = _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(offsets->constant)),
                                     _mm512_set1_epi32(1));
    __m256i first = _mm512_cvtusepi32_epi16(_mm512_sub_epi32(low, least)),
            second = _mm512_cvtusepi32_epi16(_mm512_sub_epi32(high, least));
    return (struct linear_bounds){_mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1),
                                  _mm512_cmpge_epi32_mask(low, least) |
                                      (uint32_t)_mm512_cmpge_epi32_mask(high, least) << VECTOR_LANES};
}

/// Whole blocks of stratified neurons that are one p-bit each.
static inline __attribute__((always_inline)) void draw_bits(const struct pbit_fast_neuron *tables,
                                                            const int linear, const int shared,
                                                            const struct pbit_neuron_run *from, size_t count)
{
    const struct pbit_neuron_run run = *from; // no store changes it
    const struct offsets offsets = prepare_offsets(run.rho);
    for (size_t first = 0; first < count; first += BLOCK) {
        __m512i random = _mm512_loadu_si512(run.random + first);
        struct bounds bounds = {random, random};
        struct linear_bounds linear_bounds = {random, 0};
        uint32_t unclear[PASSES], any = 0;
        if (linear && shared)
            linear_bounds = find_linear_bounds(&offsets, run.in + first);
        for (uint32_t pass = 0; pass < run.passes; pass++) {
            const int32_t *z = run.in + pass * run.in_stride + first;
            __m512i order = _mm512_set1_epi16((short)run.order[pass]),
                    offset = find_offsets(&offsets, _mm512_xor_si512(random, order));
            __mmask32 ones;
            if (linear) {
                ones = shared ? _mm512_mask_cmple_epu16_mask(linear_bounds.ever, offset, linear_bounds.last)
                              : compare_linear(z, _mm512_add_epi16(offset, offsets.constant));
            } else {
                if (pass == 0 || !shared)
                    bounds = find_bounds(tables->pieces, &offsets, z);
                ones = _mm512_cmplt_epu16_mask(offset, bounds.least);
                unclear[pass] = _mm512_mask_cmple_epu16_mask(~ones, offset, bounds.most);
                any |= unclear[pass];
            }
            _mm256_storeu_si256((__m256i *)(run.out + pass * run.out_stride + first),
                                _mm256_maskz_set1_epi8(ones, 1));
        }
        for (uint32_t pass = 0; any && pass < run.passes; pass++)
            draw_exactly(tables->table, from, pass, first, unclear[pass]);
    }
}
#endif

/// The quick ways, for whole blocks; returns whether there is one.
static int draw_blocks(const struct pbit_fast_neuron *tables, const struct pbit_operation *neuron,
                       const struct pbit_neuron_run *run, size_t count)
{
    int linear = neuron->function == PBIT_FUNCTION_LINEAR;
#ifdef __AVX512BW__
    if (run->levels == 1 && linear && run->in_stride == 0)
        draw_bits(tables, 1, 1, run, count);
    else if (run->levels == 1 && linear)
        draw_bits(tables, 1, 0, run, count);
    else if (run->levels == 1 && tables->pieces && run->in_stride == 0)
        draw_bits(tables, 0, 1, run, count);
    else if (run->levels == 1 && tables->pieces)
        draw_bits(tables, 0, 0, run, count);
    else
#endif
        if (linear)
        draw_linear(run, count);
    else if (tables->start)
        draw_lines(tables, run, count);
    else
        return 0;
    return 1;
}

/// The rest of a run, less than a block, as a block by itself.
static void draw_rest(const struct pbit_fast_neuron *tables, const struct pbit_operation *neuron,
                      const struct pbit_neuron_run *run, size_t first)
{
    int32_t in[BLOCK * PASSES] = {0};
    uint8_t out[BLOCK * PASSES];
    size_t left = run->count - first;
    struct pbit_neuron_run rest = *run;
    rest.random += first;
    rest.in = in;
    rest.in_stride = run->in_stride ? BLOCK : 0;
    rest.out = out;
    rest.out_stride = BLOCK;
    for (uint32_t pass = 0; pass < (run->in_stride ? run->passes : 1); pass++)
        memcpy(in + pass * BLOCK, run->in + pass * run->in_stride + first, left * sizeof(*in));
    draw_blocks(tables, neuron, &rest, BLOCK);
    for (uint32_t pass = 0; pass < run->passes; pass++)
        memcpy(run->out + pass * run->out_stride + first, out + pass * BLOCK, left);
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
                      const struct pbit_neuron_run *run)
{
    int independent = run->lanes != NULL, multibit = neuron->neuron == PBIT_NEURON_MULTIBIT;
    size_t whole = run->count / BLOCK * BLOCK;
    if (!independent && !multibit && draw_blocks(tables, neuron, run, whole)) {
        if (whole < run->count)
            draw_rest(tables, neuron, run, whole);
        return;
    }
    for (uint32_t pass = 0; pass < run->passes; pass++) {
        const int32_t *in = run->in + pass * run->in_stride;
        uint8_t *out = run->out + pass * run->out_stride;
        if (multibit && neuron->function == PBIT_FUNCTION_LINEAR && neuron->amplitude == 0) {
            round_linear(run->count, in, out);
            continue;
        }
        for (size_t i = 0; i < run->count; i += BLOCK) {
            size_t size = run->count - i < BLOCK ? run->count - i : BLOCK;
            int32_t z[BLOCK] = {0}, probability[BLOCK];
            uint8_t level[BLOCK];
            memcpy(z, in + i, size * sizeof(*z));
            find_probabilities(tables, neuron, z, probability);
            if (independent)
                count_independent(run->levels, run->lanes, probability, level);
            else if (multibit)
                count_multibit(neuron, run->order[pass], run->rho, run->random + i, probability, level);
            else
                count_stratified(run->levels, run->order[pass], run->rho, run->random + i, probability,
                                 level);
            memcpy(out + i, level, size);
        }
    }
}
