// Which inputs of a dense layer are 1 in which passes; see fast_kernels.h. meson.build compiles it once for
// each kind of processor, under a name of its own.
#include "runtime/kernels/fast_kernels.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

enum { ROW = PBIT_DENSE_ROW, ROW_SHIFT = 6, STEP = PBIT_DENSE_STEP };
_Static_assert(1 << ROW_SHIFT == ROW, "offsets of rows are shifted");

/// Of 64 inputs, of which those `inside` are there.
static inline uint64_t find_ones(const uint8_t *levels, uint64_t inside)
{
#if defined(__AVX512BW__)
    __m512i some = _mm512_maskz_loadu_epi8(inside, levels);
    return _mm512_test_epi8_mask(some, some);
#else
    uint8_t last[64] = {0};
    uint64_t ones = 0;
    if (inside != UINT64_MAX)
        levels = memcpy(last, levels, (size_t)__builtin_popcountll(inside));
#if defined(__AVX2__)
    for (int i = 0; i < 2; i++) {
        __m256i some = _mm256_slli_epi16(_mm256_loadu_si256((const __m256i *)(levels + 32 * i)), 7);
        ones |= (uint64_t)(uint32_t)_mm256_movemask_epi8(some) << 32 * i;
    }
#else
    for (int i = 0; i < 8; i++) {
        uint64_t some;
        memcpy(&some, levels + 8 * i, sizeof(some));
        ones |= some * 0x0102040810204080u >> 56 << 8 * i; // gathers the lowest bits of bytes
    }
#endif
    return ones;
#endif
}

/// Of 64 inputs: which are listed at each node. Returns the root's.
static inline uint64_t split(const uint32_t size, const uint8_t *levels, size_t stride, uint32_t passes,
                             uint64_t inside, uint64_t *masks, size_t masks_stride)
{
    uint64_t all[PBIT_DENSE_NODES]; // that are 1 in all passes of a node
    for (uint32_t leaf = 0; leaf < size; leaf++) {
        uint32_t pass = pbit_dense_leaf(leaf, size);
        all[size - 1 + leaf] = pass < passes ? find_ones(levels + pass * stride, inside) : inside;
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

/// Of inputs first .. first + 63, which there are.
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
        int real = node < size - 1 || pbit_dense_leaf(node - (size - 1), size) < listed->passes;
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
