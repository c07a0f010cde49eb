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
    QUARTER = PBIT_DENSE_BLOCK / 4,
#ifdef __AVX512F__
    BYTES = 64,
    MOST_BLOCKS = 2,
#else
    BYTES = 32,
    MOST_BLOCKS = 1,
#endif
    LANES = BYTES / 2, ///< outputs of a stretch of a quarter
    STEP = PBIT_DENSE_STEP,
    ROW_SHIFT = 6,
    IN_BYTES = 17 * STEP, ///< rows whose eights fit in 8 bits
    FEW = 16,             ///< rows that are quicker to add one by one
};
_Static_assert(1 << ROW_SHIFT == ROW, "offsets of rows are shifted");
_Static_assert(IN_BYTES / STEP * 15 <= UINT8_MAX && FEW * 15 <= UINT8_MAX && STEP <= FEW &&
                   PBIT_DENSE_INPUTS * 15 <= UINT16_MAX,
               "sums fit");

typedef uint8_t bytes __attribute__((vector_size(BYTES)));
typedef uint16_t words __attribute__((vector_size(BYTES)));

static inline uint64_t find_ones(const uint8_t levels[64])
{
#if defined(__AVX512BW__)
    __m512i some = _mm512_loadu_si512(levels);
    return _mm512_test_epi8_mask(some, some);
#elif defined(__AVX2__)
    uint64_t ones = 0;
    for (int i = 0; i < 2; i++) {
        __m256i some = _mm256_slli_epi16(_mm256_loadu_si256((const __m256i *)(levels + 32 * i)), 7);
        ones |= (uint64_t)(uint32_t)_mm256_movemask_epi8(some) << 32 * i;
    }
    return ones;
#else
    uint64_t ones = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t some;
        memcpy(&some, levels + 8 * i, sizeof(some));
        ones |= some * 0x0102040810204080u >> 56 << 8 * i; // gathers the lowest bits of bytes
    }
    return ones;
#endif
}

/// The pass that is leaf `leaf` of `size`.
static inline uint32_t pass_of(uint32_t leaf, uint32_t size)
{
    uint32_t pass = 0;
    for (uint32_t bit = 1; bit < size; bit *= 2)
        pass = 2 * pass + (leaf / bit) % 2;
    return pass;
}

/// Of 64 inputs: which are listed at each node. Returns the root's.
static inline uint64_t split(const uint32_t size, const uint8_t *levels, size_t stride, uint32_t passes,
                             uint64_t inside, uint64_t *masks, size_t masks_stride)
{
    uint64_t all[PBIT_DENSE_NODES]; // that are 1 in all passes of a node
    for (uint32_t leaf = 0; leaf < size; leaf++) {
        uint32_t pass = pass_of(leaf, size);
        all[size - 1 + leaf] = pass < passes ? find_ones(levels + pass * stride) & inside : inside;
    }
    for (uint32_t node = size - 1; node-- > 0;)
        all[node] = all[2 * node + 1] & all[2 * node + 2];
    for (uint32_t node = 1; node < 2 * size - 1; node++)
        masks[node * masks_stride] = all[node] & ~all[(node - 1) / 2];
    masks[0] = all[0];
    return all[0];
}

static inline uint64_t split_some(uint32_t size, const uint8_t *levels, size_t stride, uint32_t passes,
                                  uint64_t inside, uint64_t *masks, size_t masks_stride)
{
    switch (size) {
    case 1:
        return split(1, levels, stride, passes, inside, masks, masks_stride);
    case 2:
        return split(2, levels, stride, passes, inside, masks, masks_stride);
    case 4:
        return split(4, levels, stride, passes, inside, masks, masks_stride);
    default:
        return split(8, levels, stride, passes, inside, masks, masks_stride);
    }
}

static inline uint64_t mask_inside(uint32_t inputs, uint32_t first)
{
    return inputs - first < 64 ? ((uint64_t)1 << (inputs - first)) - 1 : UINT64_MAX;
}

/// Appends the offsets of the rows of a mask, whose first input is `first`.
typedef uint32_t *append_function(uint32_t *rows, uint64_t mask, uint32_t first);

/// They come STEP at a time: few branches tell how many.
static inline uint32_t *append(uint32_t *rows, uint64_t mask, uint32_t first)
{
    int count = __builtin_popcountll(mask);
    for (int i = 0; i < count; i += STEP)
        for (int j = 0; j < STEP; j++) {
            rows[i + j] = (first + (uint32_t)__builtin_ctzll(mask | (uint64_t)1 << 63)) * ROW;
            mask &= mask - 1;
        }
    return rows + count;
}

static inline __attribute__((always_inline)) void list_nodes(append_function *append_rows, uint32_t inputs,
                                                             const uint64_t *masks, uint32_t *rows,
                                                             struct pbit_dense_listed *listed)
{
    uint32_t size = listed->size, words = (inputs + 63) / 64;
    for (uint32_t node = 0; node < 2 * size - 1; node++) {
        uint32_t *end = rows;
        int real = node < size - 1 || pass_of(node - (size - 1), size) < listed->passes;
        for (uint32_t i = 0; real && i < words; i++) {
            uint64_t mask = masks[(size_t)node * words + i];
            if (node == 0 && listed->zeros)
                mask = ~mask & mask_inside(inputs, 64 * i);
            end = append_rows(end, mask, 64 * i);
        }
        listed->rows[node] = rows;
        listed->count[node] = (uint32_t)(end - rows);
        rows = end;
    }
}

#ifdef __AVX512BW__
#define TARGET __attribute__((target("avx512vbmi2")))

/// 16 at a time.
static inline TARGET uint32_t *append_compressed(uint32_t *rows, uint64_t mask, uint32_t first)
{
    static const uint64_t positions[8] = {0x0706050403020100, 0x0F0E0D0C0B0A0908, 0x1716151413121110,
                                          0x1F1E1D1C1B1A1918, 0x2726252423222120, 0x2F2E2D2C2B2A2928,
                                          0x3736353433323130, 0x3F3E3D3C3B3A3938};
    __m512i inputs = _mm512_maskz_compress_epi8(mask, _mm512_loadu_si512(positions)),
            start = _mm512_set1_epi32((int)(first * ROW));
    int count = __builtin_popcountll(mask), i = 0;
    do { // nearly always once
        __m512i some = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(inputs));
        some = _mm512_add_epi32(_mm512_slli_epi32(some, ROW_SHIFT), start);
        _mm512_storeu_si512(rows + i, some);
        inputs = _mm512_shuffle_i64x2(inputs, inputs, 0x39);
        i += 16;
    } while (i < count);
    return rows + count;
}

static TARGET void list_compressed(uint32_t inputs, const uint64_t *masks, uint32_t *rows,
                                   struct pbit_dense_listed *listed)
{
    list_nodes(append_compressed, inputs, masks, rows, listed);
}
#endif

void pbit_dense_list(uint32_t inputs, const uint8_t *levels, size_t stride, uint32_t passes, uint64_t *masks,
                     uint32_t *rows, struct pbit_dense_listed *listed)
{
    uint32_t size = 1, words = (inputs + 63) / 64, ones = 0;
    while (size < passes)
        size *= 2;
    for (uint32_t i = 0; i < words; i++)
        ones += (uint32_t)__builtin_popcountll(split_some(size, levels + 64 * (size_t)i, stride, passes,
                                                          mask_inside(inputs, 64 * i), masks + i, words));
    listed->passes = passes;
    listed->size = size;
    listed->zeros = ones > inputs / 2;
#ifdef __AVX512BW__
    if (__builtin_cpu_supports("avx512vbmi2")) {
        list_compressed(inputs, masks, rows, listed);
        return;
    }
#endif
    list_nodes(append, inputs, masks, rows, listed);
}

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

/// What the inputs that are 1 in all passes give.
static inline void sum_root(const int blocks, const uint8_t *rows, size_t block_bytes, const int16_t *totals,
                            const struct pbit_dense_listed *listed, struct quarters *root)
{
    static const struct quarters none[MOST_BLOCKS];
    add_rows(blocks, none, root, rows, block_bytes, listed->rows[0], listed->count[0]);
    if (!listed->zeros)
        return;
    UNROLL for (int b = 0; b < blocks; b++) UNROLL for (int i = 0; i < 4; i++)
    {
        words total;
        memcpy(&total, totals + b * PBIT_DENSE_BLOCK + i * QUARTER, BYTES);
        root[b].of[i] = total - root[b].of[i];
    }
}

/// A stretch of each quarter of some blocks' outputs: nodes has memory for their sums, [blocks] at each node,
/// of[pass] becomes where those of a pass are.
static inline void sum_stretch(const int blocks, const uint8_t *rows, size_t block_bytes,
                               const int16_t *totals, const struct pbit_dense_listed *listed,
                               struct quarters nodes[PBIT_DENSE_NODES][MOST_BLOCKS],
                               const struct quarters *of[PBIT_DENSE_PASSES])
{
    const struct quarters *found[PBIT_DENSE_NODES];
    uint32_t size = listed->size;
    sum_root(blocks, rows, block_bytes, totals, listed, nodes[0]);
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
        of[pass] = found[size - 1 + pass_of(pass, size)];
}

/// What makes sums into z: out[passes][out_stride].
struct scaling {
    const int32_t *multipliers;
    const int64_t *constants;
    uint32_t shift, passes;
    const int16_t *sums[PBIT_DENSE_PASSES]; ///< of the first output at work on
    size_t out_stride;
    int32_t *out;
};

/// Outputs first .. first + count - 1, whose sums are `at` from scaling->sums.
static inline void scale_some(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    uint32_t shift = scaling->shift;
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    for (uint32_t pass = 0; pass < scaling->passes; pass++)
        for (size_t k = first; k < first + count; k++)
            scaling->out[pass * scaling->out_stride + k] = pbit_saturate(
                ((scaling->sums[pass][at + k - first] * (int64_t)scaling->multipliers[k] + half) >> shift) +
                scaling->constants[k]);
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
#endif

static inline void scale(const struct scaling *scaling, size_t at, size_t first, size_t count)
{
    for (size_t done = 0, some; done < count; done += some) {
        some = count - done < 16 ? count - done : 16;
#ifdef __AVX512F__
        if (scaling->shift >= 16 && scaling->shift <= 32 &&
            scale_vectors(scaling, at + done, first + done, some))
            continue;
#endif
        scale_some(scaling, at + done, first + done, some);
    }
}

/// Some blocks in all passes.
static inline void run_blocks(const int blocks, const struct pbit_dense_rows *dense, size_t block,
                              const struct pbit_dense_listed *listed, struct scaling *scaling)
{
    size_t block_bytes = (size_t)dense->inputs * ROW;
    for (size_t stretch = 0; stretch < ROW / BYTES; stretch++) {
        struct quarters nodes[PBIT_DENSE_NODES][MOST_BLOCKS];
        const struct quarters *of[PBIT_DENSE_PASSES];
        sum_stretch(blocks, dense->rows + block * block_bytes + stretch * BYTES, block_bytes,
                    dense->totals + block * PBIT_DENSE_BLOCK + stretch * LANES, listed, nodes, of);
        for (uint32_t pass = 0; pass < listed->passes; pass++)
            scaling->sums[pass] = (const int16_t *)of[pass];
        for (size_t i = 0; i < 4 * (size_t)blocks; i++) {
            size_t first = block * PBIT_DENSE_BLOCK + i * QUARTER + stretch * LANES;
            if (first < dense->outputs)
                scale(scaling, i * LANES, first,
                      dense->outputs - first < LANES ? dense->outputs - first : LANES);
        }
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
    for (size_t block = 2 * (size_t)pair, end = block + 2, blocks; block < end; block += blocks) {
        if (block * PBIT_DENSE_BLOCK >= dense->outputs)
            return;
        blocks = MOST_BLOCKS == 2 && dense->outputs - block * PBIT_DENSE_BLOCK > PBIT_DENSE_BLOCK ? 2 : 1;
        if (blocks == 2)
            run_blocks(MOST_BLOCKS, dense, block, listed, &scaling);
        else
            run_blocks(1, dense, block, listed, &scaling);
    }
}
