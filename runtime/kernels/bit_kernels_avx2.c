// Ceiling: two vpshufb of 32 columns x 4 weights each cycle, 254 MAC measured. The kernel alone reaches on a
// Zen 5 core with 4-bit weights 133 useful MAC per cycle for a dense layer of 1024 x 1024 with 256 columns,
// and 124 for 3 x 3 on 64 channels of 32 x 32, padding not counted.
#include "runtime/kernels/bit_kernels.h"

#ifdef __x86_64__
#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET

enum { GROUP = 4, TABLE = 16, STEPS = PBIT_BIT_TABLES / (GROUP * TABLE), BYTES = 32, LANES = 8 };

typedef __m256i VECTOR;
#define VECTOR_ZERO _mm256_setzero_si256
#define VECTOR_LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define VECTOR_STORE(to, x) _mm256_storeu_si256((__m256i *)(to), x)
#define ADD_8 _mm256_add_epi8
#define ADD_16 _mm256_add_epi16
#define SUBTRACT_16 _mm256_sub_epi16
#define LEFT_8(x) _mm256_slli_epi16(x, 8)
#define RIGHT_8(x) _mm256_srli_epi16(x, 8)

#define load_table(from) _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(from)))
#define look_up _mm256_shuffle_epi8

INLINE void interleave(VECTOR even, VECTOR odd, VECTOR half[2])
{
    VECTOR low = _mm256_unpacklo_epi16(even, odd), high = _mm256_unpackhi_epi16(even, odd);
    half[0] = _mm256_permute2x128_si256(low, high, 0x20);
    half[1] = _mm256_permute2x128_si256(low, high, 0x31);
}

typedef __m256 FLOATS;
typedef __m256i INTEGERS;
typedef uint32_t MASK;
#define set_float _mm256_set1_ps
#define load_integers(from) _mm256_loadu_si256((const __m256i *)(from))
#define to_float _mm256_cvtepi32_ps
#define to_integer _mm256_cvttps_epi32
#define RIGHT_32 _mm256_srai_epi32
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

/// Of numbers up to 255.
INLINE void store_bytes(INTEGERS x, uint8_t to[LANES])
{
    __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
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

INLINE FLOATS absolute(FLOATS x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

INLINE FLOATS clip(FLOATS x, FLOATS least, FLOATS most)
{
    return _mm256_min_ps(_mm256_max_ps(x, least), most);
}

INLINE MASK smaller_than(FLOATS x, FLOATS margin)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(absolute(x), margin, _CMP_LE_OQ));
}

INLINE void add_bits(uint8_t *plane, MASK ones, uint8_t bit)
{
    uint64_t bytes, spread = ones * UINT64_C(0x0101010101010101) & UINT64_C(0x8040201008040201);
    spread = (spread + UINT64_C(0x7F7F7F7F7F7F7F7F)) >> 7 & UINT64_C(0x0101010101010101);
    __builtin_memcpy(&bytes, plane, sizeof(bytes));
    bytes += spread * bit;
    __builtin_memcpy(plane, &bytes, sizeof(bytes));
}

/// A step of pbit_lanes_next.
INLINE INTEGERS step_lanes(INTEGERS s)
{
    s = _mm256_xor_si256(s, _mm256_slli_epi32(s, 13));
    s = _mm256_xor_si256(s, _mm256_srli_epi32(s, 17));
    return _mm256_xor_si256(s, _mm256_slli_epi32(s, 5));
}

INLINE void store_upper(INTEGERS s, uint16_t *to)
{
    s = _mm256_srli_epi32(s, 16);
    _mm_storeu_si128((__m128i *)to,
                     _mm_packus_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}

#include "runtime/kernels/bit_tiles.h"

/// A seed is the table.
static const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables)
{
    (void)count;
    (void)tables;
    return seeds;
}

TILE(four_by_one, 4, 1)

static void convolve_part(const struct part *part, const uint8_t *planes, size_t columns)
{
    for (size_t first = 0; first < columns; first += BYTES)
        four_by_one(part, 0, planes, first);
}

static TARGET void pool(const uint16_t *in, size_t pitch, uint32_t height, uint32_t width, uint16_t *out,
                        size_t out_pitch)
{
    for (uint32_t y = 0; y < height; y++, in += 2 * pitch, out += out_pitch)
        for (uint32_t x = 0; x < width; x += LANES) {
            VECTOR largest = _mm256_max_epu16(load_integers(in + 2 * x), load_integers(in + pitch + 2 * x));
            largest = _mm256_max_epu16(largest, _mm256_srli_epi32(largest, 16));
            largest = _mm256_and_si256(largest, _mm256_set1_epi32(0xFFFF));
            __m128i low = _mm256_castsi256_si128(largest), high = _mm256_extracti128_si256(largest, 1);
            _mm_storeu_si128((__m128i *)(out + x), _mm_packus_epi32(low, high));
        }
}

const struct pbit_bit_kernels pbit_bit_kernels_avx2 = {GROUP, STEPS,       convolve, draw,
                                                       pool,  draw_random, "vpshufb"};
#endif
