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
    STEP = PBIT_DENSE_STEP,
    ROW_SHIFT = 6,
    IN_BYTES = 17 * STEP, ///< rows whose eights fit in 8 bits
};
_Static_assert(1 << ROW_SHIFT == ROW, "offsets of rows are shifted");
_Static_assert(IN_BYTES / STEP * 15 <= UINT8_MAX && PBIT_DENSE_INPUTS * 15 <= UINT16_MAX, "sums fit");

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
        for (int j = 0; j < STEP; j++)
            end[j] = inputs * ROW;
        rows += (listed->count[node] + STEP - 1) / STEP * STEP;
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

/// What was added up: in the bytes' halves how often 1, 2 and 4, then how often 8, of outputs i, i + 32,
/// i + 64 and i + 96.
struct adder {
    bytes ones, twos, fours;
    words eights[4];
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

/// `to` is `from`, or nothing where that is NULL, and the rows of a list, in some blocks.
static inline void add_rows(const int blocks, const struct adder *from, struct adder *to, const uint8_t *rows,
                            size_t block_bytes, const uint32_t *listed, uint32_t count)
{
    bytes ones[MOST_BLOCKS], twos[MOST_BLOCKS], fours[MOST_BLOCKS];
    words eights[MOST_BLOCKS][4];
    UNROLL for (int b = 0; b < blocks; b++)
    {
        ones[b] = from ? from[b].ones : (bytes){0};
        twos[b] = from ? from[b].twos : (bytes){0};
        fours[b] = from ? from[b].fours : (bytes){0};
        UNROLL for (int i = 0; i < 4; i++) eights[b][i] = from ? from[b].eights[i] : (words){0};
    }
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
        UNROLL for (int b = 0; b < blocks; b++)
        {
            eights[b][0] += (words)low[b] & 255;
            eights[b][1] += (words)low[b] >> 8;
            eights[b][2] += (words)high[b] & 255;
            eights[b][3] += (words)high[b] >> 8;
        }
    }
    UNROLL for (int b = 0; b < blocks; b++)
    {
        to[b].ones = ones[b];
        to[b].twos = twos[b];
        to[b].fours = fours[b];
        UNROLL for (int i = 0; i < 4; i++) to[b].eights[i] = eights[b][i];
    }
}

/// The sums of the weights in `rows` rows, of each quarter of a block.
static inline void finish(const struct adder *adder, uint32_t rows, words sums[4])
{
    UNROLL for (int i = 0; i < 4; i++)
    {
        bytes ones = i / 2 ? adder->ones >> 4 : adder->ones & 15,
              twos = i / 2 ? adder->twos >> 4 : adder->twos & 15,
              fours = i / 2 ? adder->fours >> 4 : adder->fours & 15;
        words rest = (words)(ones + 2 * (twos + 2 * fours));
        sums[i] =
            8 * adder->eights[i] + (i % 2 ? rest >> 8 : rest & 255) - (uint16_t)(PBIT_DENSE_EXCESS * rows);
    }
}

/// What all passes have in common.
static inline void find_common(const struct adder *adder, const int16_t *totals,
                               const struct pbit_dense_listed *listed, words common[4])
{
    finish(adder, listed->count[0], common);
    if (!listed->zeros)
        return;
    UNROLL for (int i = 0; i < 4; i++)
    {
        words total;
        memcpy(&total, totals + i * QUARTER, BYTES);
        common[i] = total - common[i];
    }
}

static inline void store_sums(const words sums[4], int16_t *to)
{
    UNROLL for (int i = 0; i < 4; i++) memcpy(to + i * QUARTER, &sums[i], BYTES);
}

/// A stretch of each quarter of some blocks' outputs, in all passes. sums:
/// [passes][blocks][PBIT_DENSE_BLOCK].
static inline void sum_stretch(const int blocks, const uint8_t *rows, size_t block_bytes,
                               const int16_t *totals, const struct pbit_dense_listed *listed, int16_t *sums)
{
    struct adder adders[PBIT_DENSE_PASSES - 1][MOST_BLOCKS], leaf[MOST_BLOCKS];
    uint32_t size = listed->size, added[PBIT_DENSE_NODES];
    words common[MOST_BLOCKS][4];
    add_rows(blocks, NULL, leaf, rows, block_bytes, listed->rows[0], listed->count[0]);
    UNROLL for (int b = 0; b < blocks; b++)
    {
        find_common(&leaf[b], totals + b * PBIT_DENSE_BLOCK, listed, common[b]);
        if (size == 1)
            store_sums(common[b], sums + b * PBIT_DENSE_BLOCK);
    }
    added[0] = 0;
    for (uint32_t node = 1; node < 2 * size - 1; node++) {
        uint32_t parent = (node - 1) / 2, pass = node < size - 1 ? 0 : pass_of(node - (size - 1), size);
        if (pass >= listed->passes)
            continue;
        struct adder *to = node < size - 1 ? adders[node] : leaf;
        added[node] = added[parent] + listed->count[node];
        add_rows(blocks, parent ? adders[parent] : NULL, to, rows, block_bytes, listed->rows[node],
                 listed->count[node]);
        UNROLL for (int b = 0; b < blocks; b++)
        {
            words own[4];
            if (node < size - 1)
                continue;
            finish(&leaf[b], added[node], own);
            UNROLL for (int i = 0; i < 4; i++) own[i] += common[b][i];
            store_sums(own, sums + (pass * (uint32_t)blocks + (uint32_t)b) * PBIT_DENSE_BLOCK);
        }
    }
}

/// What makes sums into z: outputs[passes][stride], from the first of `count` on.
struct scaling {
    const int32_t *multipliers;
    const int64_t *constants;
    uint32_t shift, passes;
    const int16_t *sums;
    size_t sums_stride, out_stride;
    int32_t *out;
};

/// Outputs first .. first + count - 1.
static inline void scale_some(const struct scaling *scaling, size_t first, size_t count)
{
    uint32_t shift = scaling->shift;
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    for (uint32_t pass = 0; pass < scaling->passes; pass++)
        for (size_t k = first; k < first + count; k++)
            scaling->out[pass * scaling->out_stride + k] = pbit_saturate(
                ((scaling->sums[pass * scaling->sums_stride + k] * (int64_t)scaling->multipliers[k] + half) >>
                 shift) +
                scaling->constants[k]);
}

#ifdef __AVX512F__
/// 16 outputs, of which the first `count` are written; returns 0, and does nothing, where z might not fit.
/// Below 2^30 + 2^30 it does: sums have 16 bits.
static inline int scale_vectors(const struct scaling *scaling, size_t first, size_t count)
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
        __m512i sums = _mm512_cvtepi16_epi32(
            _mm256_loadu_si256((const __m256i *)(scaling->sums + pass * scaling->sums_stride + first)));
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

static inline void scale(const struct scaling *scaling, size_t count)
{
    for (size_t first = 0, some; first < count; first += some) {
        some = count - first < 16 ? count - first : 16;
#ifdef __AVX512F__
        if (scaling->shift >= 16 && scaling->shift <= 32 && scale_vectors(scaling, first, some))
            continue;
#endif
        scale_some(scaling, first, some);
    }
}

static inline void sum_blocks(const int blocks, const struct pbit_dense_rows *dense, uint32_t block,
                              const struct pbit_dense_listed *listed, int16_t *sums)
{
    size_t block_bytes = ((size_t)dense->inputs + 1) * ROW;
    for (size_t stretch = 0; stretch < ROW / BYTES; stretch++)
        sum_stretch(blocks, dense->rows + block * block_bytes + stretch * BYTES, block_bytes,
                    dense->totals + (size_t)block * PBIT_DENSE_BLOCK + stretch * BYTES / 2, listed,
                    sums + stretch * BYTES / 2);
}

void pbit_dense(const struct pbit_dense_rows *dense, uint32_t pair, const struct pbit_dense_listed *listed,
                const int32_t *multipliers, uint32_t shift, const int64_t *constants, int32_t *out,
                size_t out_stride)
{
    for (size_t block = 2 * (size_t)pair, end = block + 2, blocks; block < end; block += blocks) {
        int16_t sums[PBIT_DENSE_PASSES * MOST_BLOCKS * PBIT_DENSE_BLOCK];
        size_t first = block * PBIT_DENSE_BLOCK;
        if (first >= dense->outputs)
            return;
        blocks = MOST_BLOCKS == 2 && dense->outputs - first > PBIT_DENSE_BLOCK ? 2 : 1;
        if (blocks == 2)
            sum_blocks(MOST_BLOCKS, dense, (uint32_t)block, listed, sums);
        else
            sum_blocks(1, dense, (uint32_t)block, listed, sums);
        size_t left = dense->outputs - first, most = blocks * PBIT_DENSE_BLOCK;
        const struct scaling scaling = {.multipliers = multipliers + first,
                                        .constants = constants + first,
                                        .shift = shift,
                                        .passes = listed->passes,
                                        .sums = sums,
                                        .sums_stride = most,
                                        .out_stride = out_stride,
                                        .out = out + first};
        scale(&scaling, left < most ? left : most);
    }
}
