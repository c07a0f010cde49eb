// Ceiling: two vpshufb of 32 columns x 4 weights each cycle, 254 MAC measured. The kernel alone reaches on a
// Zen 5 core with random 4-bit weights 168 useful MAC per cycle (66 %) for 3 x 3 on 64 channels of 32 x 32,
// 150 with a factor for every 64 weights or so, and 157 for a dense layer of 1024 x 1024 with 256 columns.
#include "runtime/kernels/bit_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum {
    GROUP = 4,
    TABLE = 16,
    STEPS = PBIT_BIT_TABLES / (GROUP * TABLE),
    BYTES = 32,
    LANES = 8,
    WORDS = 16,
    VECTORS = 2,
    FEW = 0,
    STREAMS = 1
};

typedef __m256i VECTOR;
#define VECTOR_ZERO _mm256_setzero_si256
#define VECTOR_LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define VECTOR_STORE(to, x) _mm256_storeu_si256((__m256i *)(to), x)
#define AND _mm256_and_si256
#define XOR _mm256_xor_si256
#define ADD_8 _mm256_add_epi8
#define ADD_16 _mm256_add_epi16
#define ADD_32 _mm256_add_epi32
#define MAX_16 _mm256_max_epu16
#define RIGHT_16 _mm256_srli_epi16
#define WIDEN_16(from) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(from)))
#define WIDEN_32(from) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(from)))
#define scale(words, factor) _mm256_madd_epi16(words, _mm256_set1_epi32(factor))

#define load_table(from) _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(from)))
#define look_up _mm256_shuffle_epi8

typedef __m256 FLOATS;
typedef __m256i INTEGERS;
typedef uint32_t MASK;
#define set_float _mm256_set1_ps
#define set_integer _mm256_set1_epi32
#define load_integers(from) _mm256_loadu_si256((const __m256i *)(from))
#define to_float _mm256_cvtepi32_ps
#define to_integer _mm256_cvttps_epi32
#define RIGHT_32 _mm256_srai_epi32
#define SHIFT_LEFT_32 _mm256_slli_epi32
#define SHIFT_RIGHT_32 _mm256_srli_epi32
#define MULTIPLY_FLOAT _mm256_mul_ps
#define ADD_FLOAT _mm256_add_ps
#define SUBTRACT_FLOAT _mm256_sub_ps
#define MULTIPLY_ADD _mm256_fmadd_ps
#define SUBTRACT_PRODUCT _mm256_fnmadd_ps

INLINE INTEGERS load_words(const uint16_t *from)
{
    return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
}

/// v - 32768 of FORMAT.md.
INLINE INTEGERS load_noise(const uint16_t *random, uint32_t order)
{
    __m128i v =
        _mm_xor_si128(_mm_loadu_si128((const __m128i *)random), _mm_set1_epi16((short)(order ^ 0x8000)));
    return _mm256_cvtepi16_epi32(v);
}

/// v' of FORMAT.md, from v - 32768.
INLINE INTEGERS stretch(INTEGERS noise, int rho)
{
    __m256i moved = _mm256_srai_epi32(_mm256_mullo_epi32(noise, _mm256_set1_epi32(rho)), 8);
    return _mm256_add_epi32(moved, _mm256_set1_epi32(32768));
}

INLINE MASK less(INTEGERS a, INTEGERS b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)));
}

INLINE INTEGERS load_bytes(const uint8_t *plane, uint8_t mask)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)plane);
    return _mm256_cvtepu8_epi32(_mm_and_si128(bytes, _mm_set1_epi8((char)mask)));
}

typedef __m256d DOUBLES;
typedef __m128i INTEGERS_HALF;
#define set_double _mm256_set1_pd
#define to_double _mm256_cvtepi32_pd
#define to_integer_double _mm256_cvttpd_epi32
#define floor_double _mm256_floor_pd
#define ADD_DOUBLE _mm256_add_pd
#define MULTIPLY_ADD_DOUBLE _mm256_fmadd_pd
#define load_half_integers(from) _mm_loadu_si128((const __m128i *)(from))
#define load_half_words(from) _mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)(from)))

INLINE INTEGERS_HALF load_half_bytes(const uint8_t *plane, uint8_t mask)
{
    int bytes;
    __builtin_memcpy(&bytes, plane, sizeof(bytes));
    return _mm_cvtepu8_epi32(_mm_and_si128(_mm_cvtsi32_si128(bytes), _mm_set1_epi8((char)mask)));
}

INLINE DOUBLES clip(DOUBLES x, DOUBLES least, DOUBLES most)
{
    return _mm256_min_pd(_mm256_max_pd(x, least), most);
}

/// Of numbers up to 255.
INLINE void store_bytes(INTEGERS_HALF low, INTEGERS_HALF high, uint8_t to[LANES])
{
    __m128i words = _mm_packus_epi32(low, high);
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(words, words));
}

/// To what floats hold exactly; theta is smaller.
INLINE INTEGERS clamp(INTEGERS z)
{
    return _mm256_min_epi32(_mm256_max_epi32(z, _mm256_set1_epi32(-(1 << 23))), _mm256_set1_epi32(1 << 23));
}

INLINE FLOATS look_up_float(const float table[PBIT_BIT_THETA], INTEGERS index)
{
    return _mm256_i32gather_ps(table, index, 4);
}

INLINE MASK positive(FLOATS x)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}

INLINE MASK smaller_than(FLOATS x, FLOATS margin)
{
    return (uint32_t)_mm256_movemask_ps(
        _mm256_cmp_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), x), margin, _CMP_LE_OQ));
}

INLINE void add_bits(uint8_t *plane, MASK ones, uint8_t bit)
{
    uint64_t bytes, spread = ones * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
    spread = (spread + UINT64_C(0x7F7F7F7F7F7F7F7F)) >> 7 & UINT64_C(0x0101010101010101);
    __builtin_memcpy(&bytes, plane, sizeof(bytes));
    bytes += spread * bit;
    __builtin_memcpy(plane, &bytes, sizeof(bytes));
}

/// The upper halves of two vectors' lanes, in turn.
INLINE INTEGERS join_upper(INTEGERS first, INTEGERS second)
{
    return _mm256_blend_epi16(_mm256_srli_epi32(first, 16), second, 0xAA);
}

/// 8 x 8 lanes.
INLINE void transpose(INTEGERS rows[LANES])
{
    INTEGERS a[LANES];
    _Pragma("GCC unroll 16") for (int i = 0; i < 4; i++)
    {
        a[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 2; i++) for (int j = 0; j < 2; j++)
    {
        rows[4 * i + 2 * j] = _mm256_unpacklo_epi64(a[4 * i + j], a[4 * i + j + 2]);
        rows[4 * i + 2 * j + 1] = _mm256_unpackhi_epi64(a[4 * i + j], a[4 * i + j + 2]);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 4; i++)
    {
        a[i] = _mm256_permute2x128_si256(rows[i], rows[i + 4], 0x20);
        a[i + 4] = _mm256_permute2x128_si256(rows[i], rows[i + 4], 0x31);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) rows[i] = a[i];
}

INLINE void pool_integers(const int32_t *in, size_t line, int32_t *out)
{
    VECTOR left = _mm256_max_epi32(load_integers(in), load_integers(in + line)),
           right = _mm256_max_epi32(load_integers(in + LANES), load_integers(in + line + LANES));
    __m256 even = _mm256_shuffle_ps(_mm256_castsi256_ps(left), _mm256_castsi256_ps(right), 0x88),
           odd = _mm256_shuffle_ps(_mm256_castsi256_ps(left), _mm256_castsi256_ps(right), 0xDD);
    VECTOR largest = _mm256_max_epi32(_mm256_castps_si256(even), _mm256_castps_si256(odd));
    VECTOR_STORE(out, _mm256_permute4x64_epi64(largest, 0xD8));
}

INLINE void pool_words(const uint16_t *upper, const uint16_t *lower, uint16_t *out)
{
    VECTOR largest = _mm256_max_epu16(VECTOR_LOAD(upper), VECTOR_LOAD(lower));
    largest = _mm256_max_epu16(largest, _mm256_srli_epi32(largest, 16));
    largest = _mm256_and_si256(largest, _mm256_set1_epi32(0xFFFF));
    __m128i low = _mm256_castsi256_si128(largest), high = _mm256_extracti128_si256(largest, 1);
    _mm_storeu_si128((__m128i *)out, _mm_packus_epi32(low, high));
}

/// The larger number of two lines.
INLINE void pool_pairs(const struct pbit_bit_pool *pool, uint16_t *out)
{
    const uint16_t *in = pool->sums;
    uint32_t width = pool->width;
    for (size_t i = 0; i < pool->instances; i++, in += pool->pitch) {
        const uint16_t *line = in;
        for (uint32_t y = 0; y < pool->height; y++, line += 2 * width, out += width)
            for (uint32_t x = 0; x < width; x += WORDS)
                VECTOR_STORE(out + x, MAX_16(VECTOR_LOAD(line + x), VECTOR_LOAD(line + width + x)));
    }
}

#define LEFT_16 _mm256_slli_epi16
#define ADD_U16 _mm256_adds_epu16
#define SUBTRACT_32 _mm256_sub_epi32
#define MAX_32 _mm256_max_epi32
#define right_32(x, bits) _mm256_srl_epi32(x, _mm_cvtsi32_si128((int)(bits)))
#define SET_16(x) _mm256_set1_epi16((short)(x))
#define SUBTRACT_U16 _mm256_subs_epu16
#define SUBTRACT_S16 _mm256_subs_epi16
#define MIN_U16 _mm256_min_epu16
#define MULTIPLY_16 _mm256_mullo_epi16
#define MULTIPLY_HIGH_U16 _mm256_mulhi_epu16
#define MULTIPLY_HIGH_S16 _mm256_mulhi_epi16
#define MULTIPLY_ROUND_S16 _mm256_mulhrs_epi16
#define UNPACK_LOW_16 _mm256_unpacklo_epi16
#define UNPACK_HIGH_16 _mm256_unpackhi_epi16
#define PACK_32 _mm256_packs_epi32
#define RIGHT_BY_32 _mm256_srav_epi32
#define ADD_PRODUCTS_OF_PAIRS(sum, a, b) ADD_32(sum, _mm256_madd_epi16(a, b))

typedef __m256i WORD_MASK;
#define ALL_WORDS _mm256_set1_epi16(-1)
#define above _mm256_cmpgt_epi16
#define either _mm256_or_si256
#define both _mm256_and_si256

/// A byte of each lane.
INLINE __m128i narrow(WORD_MASK mask)
{
    return _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packs_epi16(mask, mask), 8));
}

INLINE uint32_t list_unclear(WORD_MASK maybe, WORD_MASK ones)
{
    return (uint32_t)_mm_movemask_epi8(narrow(XOR(maybe, ones)));
}

INLINE void mark_bits(uint8_t *plane, WORD_MASK ones, uint8_t bit)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)plane),
            added = _mm_and_si128(narrow(ones), _mm_set1_epi8((char)bit));
    _mm_storeu_si128((__m128i *)plane, _mm_add_epi8(bytes, added));
}

INLINE uint32_t list_words(WORD_MASK mask)
{
    return (uint32_t)_mm_movemask_epi8(narrow(mask));
}

#define join_words(low, high) _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8)
#define join_unsigned_words(low, high) _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8)

/// Gathers pairs of the table's numbers, of which it keeps the first; there is more after the table.
INLINE VECTOR look_up_words(const uint16_t table[PBIT_NEURON_PIECES], VECTOR index)
{
    const int *pairs = (const int *)(const void *)table;
    VECTOR low = _mm256_i32gather_epi32(pairs, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(index)), 2),
           high = _mm256_i32gather_epi32(pairs, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(index, 1)), 2),
           first = set_integer(0xFFFF);
    return join_unsigned_words(AND(low, first), AND(high, first));
}

typedef __m128i COLUMNS;

INLINE COLUMNS load_columns(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

INLINE COLUMNS add_column_bits(COLUMNS columns, WORD_MASK ones, uint8_t bit)
{
    return _mm_add_epi8(columns, _mm_and_si128(narrow(ones), _mm_set1_epi8((char)bit)));
}

INLINE void store_columns(uint8_t *to, COLUMNS columns, size_t count)
{
    uint8_t bytes[WORDS];
    _mm_storeu_si128((__m128i *)bytes, columns);
    __builtin_memcpy(to, bytes, count < WORDS ? count : WORDS);
}

INLINE void store_levels(VECTOR words, uint8_t to[WORDS])
{
    __m256i levels = _mm256_permute4x64_epi64(_mm256_packus_epi16(words, words), 8);
    _mm_storeu_si128((__m128i *)to, _mm256_castsi256_si128(levels));
}

#include "runtime/kernels/bit_tiles.h"

/// A seed is the table.
static const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables)
{
    (void)count;
    (void)tables;
    return seeds;
}

TILE(four_by_two, add_entries, 4, 2)
TILE(four_by_one, add_entries, 4, 1)

static uint32_t convolve_tile(const struct part *part, uint32_t count, const uint8_t *planes,
                              const struct place *places)
{
    if (count < 2)
        four_by_one(part, planes, places);
    else
        four_by_two(part, planes, places);
    return count < 2 ? 1 : 2;
}

const struct pbit_bit_kernels pbit_bit_kernels_avx2 = {.group = GROUP,
                                                       .part = STEPS,
                                                       .columns = BYTES,
                                                       .streams = STREAMS,
                                                       .convolve = convolve,
                                                       .show = show,
                                                       .draw = draw,
                                                       .pool = pool,
                                                       .random = draw_random,
                                                       .transpose = transpose_integers,
                                                       .spread = pbit_bit_spread,
                                                       .instruction = "vpshufb"};
#endif
