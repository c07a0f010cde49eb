// Ceiling: two vpermb of 64 columns x 6 weights each cycle, 762 MAC measured. The kernel alone reaches on a
// Zen 5 core with 4-bit weights 250 useful MAC per cycle for a dense layer of 1024 x 1024 with 256 columns,
// whose tables are used four times each, and 235 for 3 x 3 on 64 channels of 32 x 32, padding not counted.
// The additions share the ports of the look-ups, and columns that begin anywhere cross cache lines. Products
// of bytes (vpdpbusd) reach 126 at most.
#include "runtime/kernels/bit_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { GROUP = 6, TABLE = 64, STEPS = PBIT_BIT_TABLES / (GROUP * TABLE), BYTES = 64, LANES = 16 };

typedef __m512i VECTOR;
#define VECTOR_ZERO _mm512_setzero_si512
#define VECTOR_LOAD _mm512_loadu_si512
#define VECTOR_STORE _mm512_storeu_si512
#define ADD_8 _mm512_add_epi8
#define ADD_16 _mm512_add_epi16
#define SUBTRACT_16 _mm512_sub_epi16
#define LEFT_8(x) _mm512_slli_epi16(x, 8)
#define RIGHT_8(x) _mm512_srli_epi16(x, 8)

#define load_table _mm512_load_si512
#define look_up(table, index) _mm512_permutexvar_epi8(index, table)

INLINE void interleave(VECTOR even, VECTOR odd, VECTOR half[2])
{
    VECTOR low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    half[0] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high);
    half[1] = _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), high);
}

typedef __m512 FLOATS;
typedef __m512i INTEGERS;
typedef __mmask16 MASK;
#define set_float _mm512_set1_ps
#define load_integers _mm512_loadu_si512
#define to_float _mm512_cvtepi32_ps
#define to_integer _mm512_cvttps_epi32
#define RIGHT_32 _mm512_srai_epi32
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

INLINE void store_bytes(INTEGERS x, uint8_t to[LANES])
{
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(x));
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

#define absolute _mm512_abs_ps

INLINE FLOATS clip(FLOATS x, FLOATS least, FLOATS most)
{
    return _mm512_min_ps(_mm512_max_ps(x, least), most);
}

INLINE MASK smaller_than(FLOATS x, FLOATS margin)
{
    return _mm512_cmp_ps_mask(absolute(x), margin, _CMP_LE_OQ);
}

INLINE void add_bits(uint8_t *plane, MASK ones, uint8_t bit)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)plane);
    bytes = _mm_mask_add_epi8(bytes, ones, bytes, _mm_set1_epi8((char)bit));
    _mm_storeu_si128((__m128i *)plane, bytes);
}

/// A step of pbit_lanes_next.
INLINE INTEGERS step_lanes(INTEGERS s)
{
    s = _mm512_xor_si512(s, _mm512_slli_epi32(s, 13));
    s = _mm512_xor_si512(s, _mm512_srli_epi32(s, 17));
    return _mm512_xor_si512(s, _mm512_slli_epi32(s, 5));
}

INLINE void store_upper(INTEGERS s, uint16_t *to)
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(s, 16)));
}

#include "runtime/kernels/bit_tiles.h"

/// An entry is the sum of an entry for the lower three bits and one for the upper three.
static TARGET const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables)
{
    VECTOR lower = _mm512_set1_epi64(0x0706050403020100);
    VECTOR upper = _mm512_shuffle_epi8(_mm512_set_epi64(15, 14, 13, 12, 11, 10, 9, 8),
                                       _mm512_broadcast_i32x4(_mm_set_epi64x(0x0808080808080808, 0)));
    for (size_t i = 0; i < count; i++) {
        VECTOR seed = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(seeds + i * PBIT_BIT_SEED)));
        _mm512_store_si512(tables + i * TABLE, _mm512_add_epi8(_mm512_shuffle_epi8(seed, lower),
                                                               _mm512_shuffle_epi8(seed, upper)));
    }
    return tables;
}

TILE(three_by_two, 3, 2)
TILE(two_by_two, 2, 2)
TILE(six_by_one, 6, 1)

static void convolve_part(const struct part *part, const uint8_t *planes, size_t columns)
{
    size_t first = 0;
    for (; first + BYTES < columns; first += 2 * BYTES) {
        if (part->channels > 4 || part->channels == 3) {
            three_by_two(part, 0, planes, first);
            if (part->channels > 3)
                three_by_two(part, 3, planes, first);
        } else {
            two_by_two(part, 0, planes, first);
            if (part->channels > 2)
                two_by_two(part, 2, planes, first);
        }
    }
    if (first < columns)
        six_by_one(part, 0, planes, first);
}

static TARGET void pool(const uint16_t *in, size_t pitch, uint32_t height, uint32_t width, uint16_t *out,
                        size_t out_pitch)
{
    for (uint32_t y = 0; y < height; y++, in += 2 * pitch, out += out_pitch)
        for (uint32_t x = 0; x < width; x += LANES) {
            VECTOR largest =
                _mm512_max_epu16(_mm512_loadu_si512(in + 2 * x), _mm512_loadu_si512(in + pitch + 2 * x));
            largest = _mm512_max_epu16(largest, _mm512_srli_epi32(largest, 16));
            _mm256_storeu_si256((__m256i *)(out + x), _mm512_cvtepi32_epi16(largest));
        }
}

const struct pbit_bit_kernels pbit_bit_kernels_avx512 = {GROUP, STEPS,       convolve, draw,
                                                         pool,  draw_random, "vpermb"};
#endif
