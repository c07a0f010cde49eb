// Dense layers whose inputs are bits; see fast_kernels.h. meson.build compiles it once for each kind of
// processor, under names of its own. Only the weights of listed inputs are read. They are added as bits are
// in hardware: full adders take two more rows each, and hand carries of twice the weight on; two outputs
// share a byte until a carry is worth eight.
#include "runtime/kernels/fast_kernels.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define UNROLL _Pragma("GCC unroll 4")

enum {
    ROW = PBIT_DENSE_ROW,
    PAIR = 2 * PBIT_DENSE_BLOCK,
    QUARTER = PBIT_DENSE_BLOCK / 4,
#ifdef __AVX512F__
    BYTES = 64,
    MOST_BLOCKS = 2,
    SCALED = 16, ///< outputs at a time
#else
    BYTES = 32,
    MOST_BLOCKS = 1,
    SCALED = 8,
#endif
    LANES = BYTES / 2, ///< outputs of a stretch of a quarter
    STEP = PBIT_DENSE_STEP,
    IN_BYTES = 17 * STEP, ///< rows whose eights fit in 8 bits
    FEW = 16,             ///< rows that are quicker to add one by one
};
_Static_assert(IN_BYTES / STEP * 15 <= UINT8_MAX && FEW * 15 <= UINT8_MAX && STEP <= FEW &&
                   PBIT_DENSE_INPUTS * 15 <= UINT16_MAX,
               "sums fit");

typedef uint8_t bytes __attribute__((vector_size(BYTES)));
typedef uint16_t words __attribute__((vector_size(BYTES)));

/// Sums of weights, of each quarter of a block: outputs i, i + 32, i + 64 and i + 96.
struct quarters {
    words of[4];
};

/// Adds two bits to each bit of the sum.
static inline bytes add(bytes *sum, bytes a, bytes b)
{
#ifdef __AVX512F__
    __m512i s = (__m512i)*sum, x = (__m512i)a, y = (__m512i)b;
    *sum = (bytes)_mm512_ternarylogic_epi64(s, x, y, 0x96);
    return (bytes)_mm512_ternarylogic_epi64(s, x, y, 0xE8);
#else
    bytes either = *sum ^ a, carry = (*sum & a) | (either & b);
    *sum = either ^ b;
    return carry;
#endif
}

/// Bytes hold sums of the outputs of the first half of a block, and of the second half.
static inline void add_bytes(struct quarters *sums, const int factor, bytes low, bytes high)
{
    sums->of[0] += (uint16_t)factor * ((words)low & 255);
    sums->of[1] += (uint16_t)factor * ((words)low >> 8);
    sums->of[2] += (uint16_t)factor * ((words)high & 255);
    sums->of[3] += (uint16_t)factor * ((words)high >> 8);
}

static inline bytes load(const uint8_t *row)
{
    bytes loaded;
    memcpy(&loaded, row, BYTES);
    return loaded;
}

/// Adds STEP rows and returns the carries that are worth eight.
static inline bytes add_step(bytes *ones, bytes *twos, bytes *fours, const uint8_t *rows,
                             const uint32_t offset[STEP])
{
    bytes two[2], four[2];
    UNROLL for (int half = 0; half < 2; half++)
    {
        UNROLL for (int i = 0; i < 2; i++)
        {
            const uint32_t *at = offset + 4 * half + 2 * i;
            two[i] = add(ones, load(rows + at[0]), load(rows + at[1]));
        }
        four[half] = add(twos, two[0], two[1]);
    }
    return add(fours, four[0], four[1]);
}

/// Adds rows, a multiple of STEP of them: how often 1, 2 and 4 is in the halves of bytes.
static inline void add_steps(const int blocks, struct quarters *sums, const uint8_t *rows, size_t block_bytes,
                             const uint32_t *listed, uint32_t count)
{
    bytes ones[MOST_BLOCKS] = {{0}}, twos[MOST_BLOCKS] = {{0}}, fours[MOST_BLOCKS] = {{0}};
    for (uint32_t first = 0; first < count; first += IN_BYTES) {
        bytes low[MOST_BLOCKS] = {{0}}, high[MOST_BLOCKS] = {{0}};
        for (uint32_t i = first; i < count && i < first + IN_BYTES; i += STEP)
            UNROLL for (int b = 0; b < blocks; b++)
            {
                bytes carries =
                    add_step(&ones[b], &twos[b], &fours[b], rows + (size_t)b * block_bytes, listed + i);
                low[b] += carries & 15;
                high[b] += carries >> 4;
            }
        UNROLL for (int b = 0; b < blocks; b++) add_bytes(&sums[b], 8, low[b], high[b]);
    }
    UNROLL for (int b = 0; b < blocks; b++)
        add_bytes(&sums[b], 1, (ones[b] & 15) + 2 * ((twos[b] & 15) + 2 * (fours[b] & 15)),
                  (ones[b] >> 4) + 2 * ((twos[b] >> 4) + 2 * (fours[b] >> 4)));
}

/// Adds rows whose weights fit in bytes together.
static inline void add_few(const int blocks, struct quarters *sums, const uint8_t *rows, size_t block_bytes,
                           const uint32_t *listed, uint32_t count)
{
    bytes low[MOST_BLOCKS] = {{0}}, high[MOST_BLOCKS] = {{0}};
    for (uint32_t i = 0; i < count; i++)
        UNROLL for (int b = 0; b < blocks; b++)
        {
            bytes row = load(rows + (size_t)b * block_bytes + listed[i]);
            low[b] += row & 15;
            high[b] += row >> 4;
        }
    UNROLL for (int b = 0; b < blocks; b++) add_bytes(&sums[b], 1, low[b], high[b]);
}

/// The sums of the weights in some rows of some blocks, added to those in `from`.
static inline void add_rows(const int blocks, const struct quarters *from, struct quarters *to,
                            const uint8_t *rows, size_t block_bytes, const uint32_t *listed, uint32_t count)
{
    struct quarters sums[MOST_BLOCKS];
    uint32_t steps = count > FEW ? count / STEP * STEP : 0;
    UNROLL for (int b = 0; b < blocks; b++) UNROLL for (int i = 0; i < 4; i++) sums[b].of[i] =
        from[b].of[i] - (uint16_t)(PBIT_DENSE_EXCESS * count);
    if (steps)
        add_steps(blocks, sums, rows, block_bytes, listed, steps);
    add_few(blocks, sums, rows, block_bytes, listed + steps, count - steps);
    UNROLL for (int b = 0; b < blocks; b++) to[b] = sums[b];
}

/// What the inputs that are 1 in all passes give, less `middle`, if there is one.
static inline void sum_root(const int blocks, const uint8_t *rows, size_t block_bytes, const int16_t *totals,
                            const int16_t *middle, const struct pbit_dense_listed *listed,
                            struct quarters *root)
{
    static const struct quarters none[MOST_BLOCKS];
    add_rows(blocks, none, root, rows, block_bytes, listed->rows[0], listed->count[0]);
    UNROLL for (int b = 0; b < blocks; b++) UNROLL for (int i = 0; i < 4; i++)
    {
        size_t at = (size_t)b * PBIT_DENSE_BLOCK + (size_t)i * QUARTER;
        words other;
        if (listed->zeros) {
            memcpy(&other, totals + at, BYTES);
            root[b].of[i] = other - root[b].of[i];
        }
        if (middle) {
            memcpy(&other, middle + at, BYTES);
            root[b].of[i] -= other;
        }
    }
}

/// A stretch of each quarter of some blocks' outputs: nodes has memory for their sums, [blocks] at each node,
/// of[pass] becomes where those of a pass are.
static inline void sum_stretch(const int blocks, const uint8_t *rows, size_t block_bytes,
                               const int16_t *totals, const int16_t *middle,
                               const struct pbit_dense_listed *listed,
                               struct quarters nodes[PBIT_DENSE_NODES][MOST_BLOCKS],
                               const struct quarters *of[PBIT_DENSE_PASSES])
{
    const struct quarters *found[PBIT_DENSE_NODES];
    uint32_t size = listed->size;
    sum_root(blocks, rows, block_bytes, totals, middle, listed, nodes[0]);
    found[0] = nodes[0];
    for (uint32_t node = 1; node < 2 * size - 1; node++) {
        found[node] = found[(node - 1) / 2];
        if (listed->count[node] == 0)
            continue;
        add_rows(blocks, found[node], nodes[node], rows, block_bytes, listed->rows[node],
                 listed->count[node]);
        found[node] = nodes[node];
    }
    for (uint32_t pass = 0; pass < listed->passes; pass++)
        of[pass] = found[size - 1 + pbit_dense_leaf(pass, size)];
}

/// What makes sums into z, out[passes][out_stride], or into p-bits.
struct scaling {
    const int32_t *multipliers;
    const int64_t *constants;
    uint32_t shift, passes;
    const int16_t *sums[PBIT_DENSE_PASSES]; ///< of the first output at work on
    size_t out_stride;
    int32_t *out;
    const struct pbit_dense_thresholds *thresholds; ///< NULL: z
    const struct pbit_neuron_run *run;
};

static inline int32_t scale_one(const struct scaling *scaling, int16_t sum, size_t output)
{
    uint32_t shift = scaling->shift;
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    return pbit_saturate(((sum * (int64_t)scaling->multipliers[output] + half) >> shift) +
                         scaling->constants[output]);
}

/// Outputs first .. first + count - 1, whose sums are `at` from scaling->sums.
static inline void scale_some(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    const struct scaling from = *scaling; // no store changes it
    for (uint32_t pass = 0; pass < from.passes; pass++)
        for (size_t k = first; k < first + count; k++)
            from.out[pass * from.out_stride + k] = scale_one(&from, from.sums[pass][at + k - first], k);
}

#ifdef __AVX512F__
/// 16 outputs, of which the first `count` are written; returns 0, and does nothing, where z might not fit.
/// Below 2^30 + 2^30 it does: sums have 16 bits.
static inline int scale_vectors(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    __m128i right = _mm_cvtsi32_si128((int)scaling->shift),
            left = _mm_cvtsi32_si128(32 - (int)scaling->shift);
    __m512i low = _mm512_loadu_si512(scaling->constants + first),
            high = _mm512_loadu_si512(scaling->constants + first + 8), limit = _mm512_set1_epi64(1 << 30),
            half = _mm512_set1_epi64((int64_t)1 << (scaling->shift - 1));
    if (_mm512_cmpgt_epi64_mask(_mm512_abs_epi64(low), limit) |
        _mm512_cmpgt_epi64_mask(_mm512_abs_epi64(high), limit))
        return 0;
    __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14),
            odd = _mm512_or_si512(even, _mm512_set1_epi64(1));
    __m512i constants[2], multipliers = _mm512_loadu_si512(scaling->multipliers + first);
    constants[0] =
        _mm512_add_epi64(_mm512_sll_epi64(_mm512_permutex2var_epi64(low, even, high), right), half);
    constants[1] = _mm512_add_epi64(_mm512_sll_epi64(_mm512_permutex2var_epi64(low, odd, high), right), half);
    __mmask16 written = (__mmask16)(count < 16 ? (1u << count) - 1 : 0xFFFF);
    for (uint32_t pass = 0; pass < scaling->passes; pass++) {
        __m512i sums = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(scaling->sums[pass] + at)));
        __m512i lower = _mm512_add_epi64(_mm512_mul_epi32(sums, multipliers), constants[0]),
                upper = _mm512_add_epi64(
                    _mm512_mul_epi32(_mm512_srli_epi64(sums, 32), _mm512_srli_epi64(multipliers, 32)),
                    constants[1]);
        __m512i z =
            _mm512_mask_blend_epi32(0xAAAA, _mm512_srl_epi64(lower, right), _mm512_sll_epi64(upper, left));
        _mm512_mask_storeu_epi32(scaling->out + pass * scaling->out_stride + first, written, z);
    }
    return 1;
}
#elif defined(__AVX2__)
/// The same of 8 outputs.
static inline int scale_vectors(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    __m128i right = _mm_cvtsi32_si128((int)scaling->shift),
            left = _mm_cvtsi32_si128(32 - (int)scaling->shift);
    __m256i low = _mm256_loadu_si256((const __m256i *)(scaling->constants + first)),
            high = _mm256_loadu_si256((const __m256i *)(scaling->constants + first + 4)),
            most = _mm256_set1_epi64x(1 << 30), least = _mm256_set1_epi64x(-(1 << 30)),
            half = _mm256_set1_epi64x((int64_t)1 << (scaling->shift - 1));
    __m256i outside =
        _mm256_or_si256(_mm256_or_si256(_mm256_cmpgt_epi64(low, most), _mm256_cmpgt_epi64(least, low)),
                        _mm256_or_si256(_mm256_cmpgt_epi64(high, most), _mm256_cmpgt_epi64(least, high)));
    if (count < 8 || !_mm256_testz_si256(outside, outside))
        return 0;
    __m256i even = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(low, high), 0xD8),
            odd = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(low, high), 0xD8),
            multipliers = _mm256_loadu_si256((const __m256i *)(scaling->multipliers + first)),
            odd_multipliers = _mm256_srli_epi64(multipliers, 32);
    even = _mm256_add_epi64(_mm256_sll_epi64(even, right), half);
    odd = _mm256_add_epi64(_mm256_sll_epi64(odd, right), half);
    for (uint32_t pass = 0; pass < scaling->passes; pass++) {
        __m256i sums = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(scaling->sums[pass] + at)));
        __m256i lower = _mm256_add_epi64(_mm256_mul_epi32(sums, multipliers), even),
                upper = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(sums, 32), odd_multipliers), odd);
        __m256i z = _mm256_blend_epi32(_mm256_srl_epi64(lower, right), _mm256_sll_epi64(upper, left), 0xAA);
        _mm256_storeu_si256((__m256i *)(scaling->out + pass * scaling->out_stride + first), z);
    }
    return 1;
}
#endif

static inline void scale(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < SCALED ? count - done : SCALED;
#ifdef __AVX2__
        if (scaling->shift >= 16 && scaling->shift <= 32 &&
            scale_vectors(scaling, at + done, first + done, some))
            continue;
#endif
        scale_some(scaling, at + done, first + done, some);
    }
}

#ifdef __AVX512BW__
/// The `unclear` ones of LANES p-bits, by z.
static void draw_exactly(const struct scaling *scaling, uint32_t pass, const int16_t *sums, size_t first,
                         uint32_t unclear)
{
    const struct pbit_neuron_run *run = scaling->run;
    const int32_t *theta = scaling->thresholds->theta;
    uint8_t *out = run->out + pass * run->out_stride + first;
    for (; unclear; unclear &= unclear - 1) {
        uint32_t j = (uint32_t)__builtin_ctz(unclear),
                 offset = pbit_stratified_offset(run->order[pass], run->rho, run->random[(first + j) % PAIR]);
        int32_t z =
            scale_one(scaling, (int16_t)(sums[j] + scaling->thresholds->middle[first + j]), first + j);
        int64_t probability = theta ? (int64_t)pbit_theta_count_below(theta, z) : z;
        out[j] = (int64_t)offset < probability;
    }
}

/// LANES p-bits, of which the first `count` are written.
static inline __attribute__((always_inline)) void draw(const struct scaling *scaling, const int linear,
                                                       size_t at, size_t first, size_t count)
{
    const struct pbit_dense_thresholds *thresholds = scaling->thresholds;
    const struct pbit_neuron_run run = *scaling->run; // no store changes it
    const __m512i margin = _mm512_set1_epi16((short)thresholds->margin),
                  y_low = _mm512_loadu_si512(thresholds->y),
                  y_high = _mm512_loadu_si512(thresholds->y + PBIT_NEURON_PIECES / 2),
                  slope_low = _mm512_loadu_si512(thresholds->slope),
                  slope_high = _mm512_loadu_si512(thresholds->slope + PBIT_NEURON_PIECES / 2);
    const __m512i shift = _mm512_loadu_si512(thresholds->shift + first),
                  rise = _mm512_loadu_si512(thresholds->rise + first),
                  start = _mm512_loadu_si512(thresholds->start + first),
                  first_start = _mm512_sub_epi16(start, margin), last_start = _mm512_add_epi16(start, margin),
                  random = _mm512_loadu_si512(run.random + first % PAIR);
    const __mmask32 written = (__mmask32)(UINT32_MAX >> (LANES - count));
    uint32_t unclear[PBIT_DENSE_PASSES], any = 0;
    uint8_t *out = run.out + first;
    for (uint32_t pass = 0; pass < run.passes; pass++, out += run.out_stride) {
        __m512i y = _mm512_xor_si512(random, _mm512_set1_epi16((short)run.order[pass]));
        if (!linear) {
            __m512i piece = _mm512_srli_epi16(y, 10),
                    slope = _mm512_permutex2var_epi16(slope_low, piece, slope_high);
            y = _mm512_add_epi16(_mm512_permutex2var_epi16(y_low, piece, y_high),
                                 _mm512_mulhi_epu16(slope, _mm512_slli_epi16(y, 6)));
        }
        __m512i sum = _mm512_loadu_si512(scaling->sums[pass] + at), above = _mm512_mulhi_epu16(y, rise),
                least = _mm512_srav_epi16(_mm512_add_epi16(above, first_start), shift),
                most = _mm512_srav_epi16(_mm512_add_epi16(above, last_start), shift);
        __mmask32 ones = _mm512_cmpge_epi16_mask(sum, most);
        __m256i levels = _mm256_maskz_set1_epi8(ones, 1);
        unclear[pass] = _mm512_mask_cmpge_epi16_mask(written & ~ones, sum, least);
        any |= unclear[pass];
        if (count == LANES)
            _mm256_storeu_si256((__m256i *)out, levels);
        else
            _mm256_mask_storeu_epi8(out, written, levels);
    }
    for (uint32_t pass = 0; any && pass < run.passes; pass++)
        draw_exactly(scaling, pass, scaling->sums[pass] + at, first, unclear[pass]);
}
#endif

/// LANES outputs, of which the first `count` are there.
static inline void finish(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
#ifdef __AVX512BW__
    if (scaling->thresholds && scaling->thresholds->theta)
        draw(scaling, 0, at, first, count);
    else if (scaling->thresholds)
        draw(scaling, 1, at, first, count);
    else
#endif
        scale(scaling, at, first, count);
}

/// Some blocks in all passes.
static inline void run_blocks(const int blocks, const struct pbit_dense_rows *dense, size_t block,
                              const struct pbit_dense_listed *listed, struct scaling *scaling)
{
    size_t block_bytes = (size_t)dense->inputs * ROW;
    const int16_t *middle = scaling->thresholds ? scaling->thresholds->middle : NULL;
    for (size_t stretch = 0; stretch < ROW / BYTES; stretch++) {
        size_t outputs = block * PBIT_DENSE_BLOCK + stretch * LANES;
        struct quarters nodes[PBIT_DENSE_NODES][MOST_BLOCKS];
        const struct quarters *of[PBIT_DENSE_PASSES];
        sum_stretch(blocks, dense->rows + block * block_bytes + stretch * BYTES, block_bytes,
                    dense->totals + outputs, middle ? middle + outputs : NULL, listed, nodes, of);
        for (uint32_t pass = 0; pass < listed->passes; pass++)
            scaling->sums[pass] = (const int16_t *)of[pass];
        for (size_t i = 0; i < 4 * (size_t)blocks; i++) {
            size_t first = outputs + i * QUARTER;
            if (first < dense->outputs)
                finish(scaling, i * LANES, first,
                       dense->outputs - first < LANES ? dense->outputs - first : LANES);
        }
    }
}

static void run_pair(const struct pbit_dense_rows *dense, uint32_t pair,
                     const struct pbit_dense_listed *listed, struct scaling *scaling)
{
    for (size_t block = 2 * (size_t)pair, end = block + 2, blocks; block < end; block += blocks) {
        if (block * PBIT_DENSE_BLOCK >= dense->outputs)
            return;
        blocks = MOST_BLOCKS == 2 && dense->outputs - block * PBIT_DENSE_BLOCK > PBIT_DENSE_BLOCK ? 2 : 1;
        if (blocks == 2)
            run_blocks(MOST_BLOCKS, dense, block, listed, scaling);
        else
            run_blocks(1, dense, block, listed, scaling);
    }
}

void pbit_dense(const struct pbit_dense_rows *dense, uint32_t pair, const struct pbit_dense_listed *listed,
                const int32_t *multipliers, uint32_t shift, const int64_t *constants, int32_t *out,
                size_t out_stride)
{
    struct scaling scaling = {.multipliers = multipliers,
                              .constants = constants,
                              .shift = shift,
                              .passes = listed->passes,
                              .out_stride = out_stride,
                              .out = out};
    run_pair(dense, pair, listed, &scaling);
}

#ifdef __AVX512BW__
void pbit_dense_draw(const struct pbit_dense_rows *dense, uint32_t pair,
                     const struct pbit_dense_listed *listed, const int32_t *multipliers, uint32_t shift,
                     const int64_t *constants, const struct pbit_dense_thresholds *thresholds,
                     const struct pbit_neuron_run *run)
{
    struct scaling scaling = {.multipliers = multipliers,
                              .constants = constants,
                              .shift = shift,
                              .passes = listed->passes,
                              .thresholds = thresholds,
                              .run = run};
    run_pair(dense, pair, listed, &scaling);
}
#endif
