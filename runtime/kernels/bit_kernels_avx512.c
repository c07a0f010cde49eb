// Ceiling: two vpermb of 64 columns x 6 weights each cycle, 762 MAC measured. The kernel alone reaches on a
// Zen 5 core with random 4-bit weights 325 useful MAC per cycle (43 %) for 3 x 3 on 64 channels of 32 x 32,
// 285 with a factor for every 64 weights or so, and 260 for a dense layer of 1024 x 1024 with 256 columns,
// whose tables are used four times each. What is missing: loads of columns that begin anywhere cross cache
// lines, runs are widened, tables are made. Products of bytes (vpdpbusd) reach 126 at most.
#include "runtime/kernels/bit_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum {
    GROUP = 6,
    TABLE = 64,
    STEPS = PBIT_BIT_TABLES / (GROUP * TABLE),
    BYTES = 64,
    LANES = 16,
    WORDS = 32,
    VECTORS = 4,
    FEW = 2,
    STREAMS = 4
};

typedef __m512i VECTOR;
#define VECTOR_ZERO _mm512_setzero_si512
#define VECTOR_LOAD _mm512_loadu_si512
#define VECTOR_STORE _mm512_storeu_si512
#define AND _mm512_and_si512
#define XOR _mm512_xor_si512
#define ADD_8 _mm512_add_epi8
#define ADD_16 _mm512_add_epi16
#define ADD_32 _mm512_add_epi32
#define MAX_16 _mm512_max_epu16
#define RIGHT_16 _mm512_srli_epi16
#define WIDEN_16(from) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(from)))
#define WIDEN_32(from) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(from)))
#define scale(words, factor) _mm512_madd_epi16(words, _mm512_set1_epi32(factor))

#define load_table _mm512_loadu_si512
#define look_up(table, index) _mm512_permutexvar_epi8(index, table)

typedef __m512 FLOATS;
typedef __m512i INTEGERS;
typedef __mmask16 MASK;
#define set_float _mm512_set1_ps
#define set_integer _mm512_set1_epi32
#define load_integers _mm512_loadu_si512
#define to_float _mm512_cvtepi32_ps
#define to_integer _mm512_cvttps_epi32
#define RIGHT_32 _mm512_srai_epi32
#define SHIFT_LEFT_32 _mm512_slli_epi32
#define SHIFT_RIGHT_32 _mm512_srli_epi32
#define MULTIPLY_FLOAT _mm512_mul_ps
#define ADD_FLOAT _mm512_add_ps
#define SUBTRACT_FLOAT _mm512_sub_ps
#define MULTIPLY_ADD _mm512_fmadd_ps
#define SUBTRACT_PRODUCT _mm512_fnmadd_ps

INLINE INTEGERS load_words(const uint16_t *from)
{
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
}

/// v - 32768 of FORMAT.md.
INLINE INTEGERS load_noise(const uint16_t *random, uint32_t order)
{
    __m256i v = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)random),
                                 _mm256_set1_epi16((short)(order ^ 0x8000)));
    return _mm512_cvtepi16_epi32(v);
}

/// v' of FORMAT.md, from v - 32768.
INLINE INTEGERS stretch(INTEGERS noise, int rho)
{
    __m512i moved = _mm512_srai_epi32(_mm512_mullo_epi32(noise, _mm512_set1_epi32(rho)), 8);
    return _mm512_add_epi32(moved, _mm512_set1_epi32(32768));
}

INLINE MASK less(INTEGERS a, INTEGERS b)
{
    return _mm512_cmplt_epi32_mask(a, b);
}

INLINE INTEGERS load_bytes(const uint8_t *plane, uint8_t mask)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)plane);
    return _mm512_cvtepu8_epi32(_mm_and_si128(bytes, _mm_set1_epi8((char)mask)));
}

typedef __m512d DOUBLES;
typedef __m512i INTEGERS_HALF; ///< of 64 bits: doubles are made of them in one step
#define set_double _mm512_set1_pd
#define to_double _mm512_cvtepi64_pd
#define to_integer_double _mm512_cvttpd_epi64
#define floor_double(x) _mm512_roundscale_pd(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)
#define ADD_DOUBLE _mm512_add_pd
#define MULTIPLY_ADD_DOUBLE _mm512_fmadd_pd
#define load_half_integers(from) _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(from)))
#define load_half_words(from) _mm512_cvtepu16_epi64(_mm_loadu_si128((const __m128i *)(from)))

INLINE INTEGERS_HALF load_half_bytes(const uint8_t *plane, uint8_t mask)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)plane);
    return _mm512_cvtepu8_epi64(_mm_and_si128(bytes, _mm_set1_epi8((char)mask)));
}

INLINE DOUBLES clip(DOUBLES x, DOUBLES least, DOUBLES most)
{
    return _mm512_min_pd(_mm512_max_pd(x, least), most);
}

INLINE void store_bytes(INTEGERS_HALF low, INTEGERS_HALF high, uint8_t to[LANES])
{
    __m128i levels = _mm_unpacklo_epi64(_mm512_cvtepi64_epi8(low), _mm512_cvtepi64_epi8(high));
    _mm_storeu_si128((__m128i *)to, levels);
}

/// To what floats hold exactly; theta is smaller.
INLINE INTEGERS clamp(INTEGERS z)
{
    return _mm512_min_epi32(_mm512_max_epi32(z, _mm512_set1_epi32(-(1 << 23))), _mm512_set1_epi32(1 << 23));
}

INLINE FLOATS look_up_float(const float table[PBIT_BIT_THETA], INTEGERS index)
{
    FLOATS low = _mm512_permutex2var_ps(_mm512_loadu_ps(table), index, _mm512_loadu_ps(table + 16));
    FLOATS high = _mm512_permutex2var_ps(_mm512_loadu_ps(table + 32), index, _mm512_loadu_ps(table + 48));
    return _mm512_mask_blend_ps(_mm512_test_epi32_mask(index, _mm512_set1_epi32(32)), low, high);
}

INLINE MASK positive(FLOATS x)
{
    return _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
}

INLINE MASK smaller_than(FLOATS x, FLOATS margin)
{
    return _mm512_cmp_ps_mask(_mm512_abs_ps(x), margin, _CMP_LE_OQ);
}

INLINE void add_bits(uint8_t *plane, MASK ones, uint8_t bit)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)plane);
    bytes = _mm_mask_add_epi8(bytes, ones, bytes, _mm_set1_epi8((char)bit));
    _mm_storeu_si128((__m128i *)plane, bytes);
}

/// The upper halves of two vectors' lanes, in turn.
INLINE INTEGERS join_upper(INTEGERS first, INTEGERS second)
{
    return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(first, 16), second);
}

/// 16 x 16 lanes.
INLINE void transpose(INTEGERS rows[LANES])
{
    INTEGERS a[LANES];
    _Pragma("GCC unroll 16") for (int i = 0; i < 8; i++)
    {
        a[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 4; i++) for (int j = 0; j < 2; j++)
    {
        rows[4 * i + 2 * j] = _mm512_unpacklo_epi64(a[4 * i + j], a[4 * i + j + 2]);
        rows[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(a[4 * i + j], a[4 * i + j + 2]);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 2; i++) for (int j = 0; j < 4; j++)
    {
        a[8 * i + j] = _mm512_shuffle_i32x4(rows[8 * i + j], rows[8 * i + j + 4], 0x88);
        a[8 * i + j + 4] = _mm512_shuffle_i32x4(rows[8 * i + j], rows[8 * i + j + 4], 0xDD);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 8; i++)
    {
        rows[i] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0x88);
        rows[i + 8] = _mm512_shuffle_i32x4(a[i], a[i + 8], 0xDD);
    }
}

INLINE void pool_integers(const int32_t *in, size_t line, int32_t *out)
{
    VECTOR left = _mm512_max_epi32(load_integers(in), load_integers(in + line)),
           right = _mm512_max_epi32(load_integers(in + LANES), load_integers(in + line + LANES));
    VECTOR pairs = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    VECTOR even = _mm512_permutex2var_epi32(left, pairs, right),
           odd = _mm512_permutex2var_epi32(left, ADD_32(pairs, _mm512_set1_epi32(1)), right);
    VECTOR_STORE(out, _mm512_max_epi32(even, odd));
}

INLINE void pool_words(const uint16_t *upper, const uint16_t *lower, uint16_t *out)
{
    VECTOR largest = MAX_16(VECTOR_LOAD(upper), VECTOR_LOAD(lower));
    largest = _mm512_max_epu16(largest, _mm512_srli_epi32(largest, 16));
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi32_epi16(largest));
}

/// Where the numbers of every second line begin, which are `width` long.
INLINE VECTOR index_lines(uint32_t width)
{
    static const uint16_t count[WORDS] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                          16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    VECTOR line = _mm512_mulhi_epu16(VECTOR_LOAD(count), _mm512_set1_epi16((short)(65535 / width + 1)));
    return ADD_16(VECTOR_LOAD(count), _mm512_mullo_epi16(line, _mm512_set1_epi16((short)width)));
}

/// The larger number of two lines. Of short lines, a vector takes as many as there are in two.
INLINE void pool_pairs(const struct pbit_bit_pool *pool, uint16_t *out)
{
    uint32_t width = pool->width, lines = width == 1 ? 1 : WORDS / width;
    VECTOR upper = index_lines(width), lower = ADD_16(upper, _mm512_set1_epi16((short)width));
    const uint16_t *in = pool->sums;
    for (size_t i = 0; i < pool->instances; i++, in += pool->pitch, out += pool->height * width) {
        const uint16_t *line = in;
        for (uint32_t y = 0; lines > 1 && y < pool->height; y += lines, line += 2 * lines * width) {
            VECTOR first = VECTOR_LOAD(line), second = VECTOR_LOAD(line + WORDS);
            VECTOR_STORE(out + y * width, MAX_16(_mm512_permutex2var_epi16(first, upper, second),
                                                 _mm512_permutex2var_epi16(first, lower, second)));
        }
        for (uint32_t y = 0; lines <= 1 && y < pool->height; y++, line += 2 * width)
            for (uint32_t x = 0; x < width; x += WORDS)
                VECTOR_STORE(out + y * width + x,
                             MAX_16(VECTOR_LOAD(line + x), VECTOR_LOAD(line + width + x)));
    }
}

#define LEFT_16 _mm512_slli_epi16
#define ADD_U16 _mm512_adds_epu16
#define SUBTRACT_32 _mm512_sub_epi32
#define MAX_32 _mm512_max_epi32
#define right_32(x, bits) _mm512_srl_epi32(x, _mm_cvtsi32_si128((int)(bits)))
#define SET_16(x) _mm512_set1_epi16((short)(x))
#define SUBTRACT_U16 _mm512_subs_epu16
#define SUBTRACT_S16 _mm512_subs_epi16
#define MIN_U16 _mm512_min_epu16
#define MULTIPLY_16 _mm512_mullo_epi16
#define MULTIPLY_HIGH_U16 _mm512_mulhi_epu16
#define MULTIPLY_HIGH_S16 _mm512_mulhi_epi16
#define MULTIPLY_ROUND_S16 _mm512_mulhrs_epi16
#define UNPACK_LOW_16 _mm512_unpacklo_epi16
#define UNPACK_HIGH_16 _mm512_unpackhi_epi16
#define PACK_32 _mm512_packs_epi32
#define RIGHT_BY_32 _mm512_srav_epi32
#define ADD_PRODUCTS_OF_PAIRS _mm512_dpwssd_epi32

typedef __mmask32 WORD_MASK;
#define ALL_WORDS UINT32_MAX
#define above _mm512_cmpgt_epi16_mask
#define either _kor_mask32
#define both _kand_mask32
#define list_words(mask) (mask)

INLINE uint32_t list_unclear(WORD_MASK maybe, WORD_MASK ones)
{
    return maybe & ~ones;
}

INLINE void mark_bits(uint8_t *plane, WORD_MASK ones, uint8_t bit)
{
    __m256i bytes = _mm256_loadu_si256((const __m256i *)plane);
    bytes = _mm256_mask_add_epi8(bytes, ones, bytes, _mm256_set1_epi8((char)bit));
    _mm256_storeu_si256((__m256i *)plane, bytes);
}

/// What packs leaves of two vectors in turn, in order.
INLINE VECTOR sort_words(VECTOR packed)
{
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), packed);
}
#define join_words(low, high) sort_words(_mm512_packs_epi32(low, high))
#define join_unsigned_words(low, high) sort_words(_mm512_packus_epi32(low, high))

INLINE VECTOR look_up_words(const uint16_t table[PBIT_NEURON_PIECES], VECTOR index)
{
    return _mm512_permutex2var_epi16(VECTOR_LOAD(table), index, VECTOR_LOAD(table + WORDS));
}

typedef __m256i COLUMNS;

INLINE COLUMNS load_columns(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

INLINE COLUMNS add_column_bits(COLUMNS columns, WORD_MASK ones, uint8_t bit)
{
    return _mm256_mask_add_epi8(columns, ones, columns, _mm256_set1_epi8((char)bit));
}

INLINE void store_columns(uint8_t *to, COLUMNS columns, size_t count)
{
    _mm256_mask_storeu_epi8(to, count < WORDS ? ((uint32_t)1 << count) - 1 : UINT32_MAX, columns);
}

INLINE void store_levels(VECTOR words, uint8_t to[WORDS])
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi16_epi8(words));
}

#include "runtime/kernels/bit_tiles.h"

/// An entry is the sum of an entry for the lower three bits and one for the upper three.
static TARGET const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables)
{
    VECTOR lower = _mm512_set1_epi64(0x0706050403020100);
    VECTOR upper = _mm512_shuffle_epi8(_mm512_set_epi64(15, 14, 13, 12, 11, 10, 9, 8),
                                       _mm512_broadcast_i32x4(_mm_set_epi64x(0x0808080808080808, 0)));
    _Pragma("GCC unroll 6") for (size_t i = 0; i < count; i++)
    {
        VECTOR seed = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(seeds + i * PBIT_BIT_SEED)));
        __builtin_prefetch(seeds + i * PBIT_BIT_SEED + 2048);
        _mm512_store_si512(tables + i * TABLE, _mm512_add_epi8(_mm512_shuffle_epi8(seed, lower),
                                                               _mm512_shuffle_epi8(seed, upper)));
    }
    return tables;
}

/// As add_entries, from the seeds: two small tables for each large one, which would take longer to make than
/// to look up one or two times.
INLINE uint32_t add_from_seeds(const int channels, const int vectors, const struct part *part,
                               const uint8_t *planes, const struct place *places)
{
    const uint8_t *seeds = part->seeds;
    uint8_t *to = part->run_sums;
    uint32_t run = 0;
    const VECTOR three = _mm512_set1_epi8(7), upper = _mm512_set1_epi8(8);
    for (uint32_t step = 0; step < part->steps; run++) {
        VECTOR sums[GROUP * FEW];
        UNROLL for (int i = 0; i < channels * vectors; i++) sums[i] = VECTOR_ZERO();
        for (uint32_t end = step + part->runs[run]; step < end; step++, seeds += GROUP * PBIT_BIT_SEED) {
            VECTOR low[FEW], high[FEW];
            UNROLL for (int v = 0; v < vectors; v++)
            {
                VECTOR index = VECTOR_LOAD(planes + places[v].in + part->offsets[step]);
                low[v] = AND(index, three);
                high[v] = _mm512_or_si512(AND(_mm512_srli_epi16(index, 3), three), upper);
            }
            UNROLL for (int c = 0; c < channels; c++)
            {
                VECTOR seed =
                    _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(seeds + c * PBIT_BIT_SEED)));
                UNROLL for (int v = 0; v < vectors; v++)
                {
                    VECTOR *sum = &sums[c * vectors + v];
                    *sum = ADD_8(*sum, _mm512_shuffle_epi8(seed, low[v]));
                    *sum = ADD_8(*sum, _mm512_shuffle_epi8(seed, high[v]));
                }
            }
        }
        UNROLL for (int i = 0; i < channels * vectors; i++, to += BYTES) VECTOR_STORE(to, sums[i]);
    }
    return run;
}

TILE(six_by_four, add_entries, 6, 4)
TILE(four_by_four, add_entries, 4, 4)
TILE(two_by_four, add_entries, 2, 4)
TILE(six_by_three, add_entries, 6, 3)
TILE(two_by_three, add_entries, 2, 3)
TILE(six_by_two, add_entries, 6, 2)
TILE(six_by_one, add_entries, 6, 1)
TILE(two_from_seeds, add_from_seeds, 6, 2)
TILE(one_from_seeds, add_from_seeds, 6, 1)

static uint32_t convolve_tile(const struct part *part, uint32_t count, const uint8_t *planes,
                              const struct place *places)
{
    if (count >= 4) {
        (part->channels > 4   ? six_by_four
         : part->channels > 2 ? four_by_four
                              : two_by_four)(part, planes, places);
        return 4;
    }
    if (count == 3 && part->tables) {
        (part->channels > 2 ? six_by_three : two_by_three)(part, planes, places);
        return 3;
    }
    if (count >= 2) {
        (part->tables ? six_by_two : two_from_seeds)(part, planes, places);
        return 2;
    }
    (part->tables ? six_by_one : one_from_seeds)(part, planes, places);
    return 1;
}

/// Some of up to 64 channels of eight pixels: their bits are masks. Vectors that end before `last` may be
/// written whole: the bytes of the next pixel come later.
INLINE void spread_pixels(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels,
                          uint32_t wanted, uint8_t *out, const uint8_t *last)
{
    uint64_t masks[8];
    VECTOR bits = VECTOR_ZERO();
    for (uint32_t k = 0; k < wanted; k += GROUP, planes += stride) {
        VECTOR bytes = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)planes));
        bits = _mm512_or_si512(bits, _mm512_sll_epi64(bytes, _mm_cvtsi32_si128((int)k)));
    }
    VECTOR_STORE(masks, bits);
    for (size_t i = 0; i < pixels && i < 8; i++, out += channels) {
        VECTOR bytes = _mm512_maskz_set1_epi8(masks[i], 1);
        if (last - out >= BYTES)
            VECTOR_STORE(out, bytes);
        else
            _mm512_mask_storeu_epi8(out, ((uint64_t)1 << wanted) - 1, bytes);
    }
}

static TARGET void spread(const uint8_t *planes, size_t stride, size_t pixels, uint32_t channels,
                          uint32_t group, uint8_t *out)
{
    enum { MOST = 60 };
    const uint8_t *last = channels <= MOST ? out + pixels * channels : out;
    (void)group;
    for (size_t pixel = 0; pixel < pixels; pixel += 8)
        for (uint32_t first = 0; first < channels; first += MOST)
            spread_pixels(planes + first / GROUP * stride + pixel, stride, pixels - pixel, channels,
                          channels - first < MOST ? channels - first : MOST, out + pixel * channels + first,
                          last);
}

const struct pbit_bit_kernels pbit_bit_kernels_avx512 = {.group = GROUP,
                                                         .part = STEPS,
                                                         .columns = BYTES,
                                                         .streams = STREAMS,
                                                         .convolve = convolve,
                                                         .show = show,
                                                         .draw = draw,
                                                         .pool = pool,
                                                         .random = draw_random,
                                                         .transpose = transpose_integers,
                                                         .spread = spread,
                                                         .instruction = "vpermb"};
#endif
