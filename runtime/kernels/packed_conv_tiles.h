// The packed CONV for one kind of processor; included by its file, which defines before: TARGET, the
// attribute of its functions, and INLINE; LANES; VECTOR with VECTOR_ZERO(), VECTOR_LOAD(from), VECTOR_ADD,
// VECTOR_MAX, VECTOR_MULTIPLY; broadcast_word(levels), four levels in every lane; add_products(wide, sum,
// levels, weights), where wide holds for all levels and weights; requantize, which writes z. After it come
// the TILEs and their table.

#define UNROLL _Pragma("GCC unroll 16")

enum { ACCUMULATORS = 16, CHAINS = 4 };

/// Of pixels of a byte, all but the lines' distance is known when this is compiled.
enum { POOLED = 1, POOLED_BYTES = 2 };

/// From the first pixel of a tile to its p-th. Pooled: every four are the corners of a window.
INLINE size_t offset_of(const int pooled, const struct pbit_pixels *at, int p)
{
    size_t stride = pooled == POOLED_BYTES ? 1 : at->in_stride;
    return pooled ? (size_t)(p / 4 * 2 + p % 2) * stride + (size_t)(p / 2 % 2) * at->line
                  : (size_t)p * stride;
}

/// Four levels of each pixel.
INLINE void add_word(const int pixels, const int vectors, const int wide, const int pooled,
                     const struct pbit_pixels *at, const uint8_t *levels, const int8_t *weights, VECTOR *sums)
{
    VECTOR w[2];
    UNROLL for (int v = 0; v < vectors; v++) w[v] = VECTOR_LOAD(weights + v * LANES * 4);
    UNROLL for (int p = 0; p < pixels; p++)
    {
        VECTOR x = broadcast_word(levels + offset_of(pooled, at, p));
        UNROLL for (int v = 0; v < vectors; v++) sums[p * vectors + v] =
            add_products(wide, sums[p * vectors + v], x, w[v]);
    }
}

/// The largest z of a window, from the sums of its corners; the largest sum gives it when they are of one
/// class, for multipliers are not negative. Writes at most `lanes` numbers.
INLINE void pool_corners(const VECTOR *sums, const int step, const struct pbit_pixels *at, uint32_t pixel,
                         const struct pbit_packed_conv *conv, const int32_t *multipliers, uint32_t shift,
                         uint32_t channel, uint32_t lanes, int32_t *out)
{
    const int64_t *constants[4];
    UNROLL for (uint32_t i = 0; i < 4; i++) constants[i] =
        (i < 2 ? at->constants : at->lower_constants) +
        (size_t)at->column_class[2 * pixel + i % 2] * conv->channels + channel;
    if (constants[0] == constants[1] && constants[0] == constants[2] && constants[0] == constants[3]) {
        requantize(VECTOR_MAX(VECTOR_MAX(sums[0], sums[step]), VECTOR_MAX(sums[2 * step], sums[3 * step])),
                   multipliers, constants[0], shift, lanes, out);
        return;
    }
    int32_t z[4][LANES];
    UNROLL for (int i = 0; i < 4; i++)
        requantize(sums[i * step], multipliers, constants[i], shift, LANES, z[i]);
    VECTOR upper = VECTOR_MAX(VECTOR_LOAD(z[0]), VECTOR_LOAD(z[1])),
           largest = VECTOR_MAX(upper, VECTOR_MAX(VECTOR_LOAD(z[2]), VECTOR_LOAD(z[3])));
    if (lanes >= LANES)
        __builtin_memcpy(out, &largest, sizeof(largest));
    else
        __builtin_memcpy(out, &largest, lanes * sizeof(*out));
}

/// `pixels` x `vectors` accumulators stay in registers while the fan-in runs. A single pixel has CHAINS times
/// as many: each addition waits for the one before it.
INLINE void tile(const int pixels, const int vectors, const int factored, const int wide, const int pooled,
                 const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,
                 const int32_t *multipliers, uint32_t shift, uint32_t outputs, const struct pbit_pixels *at,
                 uint32_t first)
{
    const int chains = pixels == 1 ? CHAINS : 1, size = pixels * vectors;
    VECTOR sums[ACCUMULATORS], totals[ACCUMULATORS];
    UNROLL for (int i = 0; i < chains * size; i++) sums[i] = totals[i] = VECTOR_ZERO();
    const uint8_t *in = at->in + first * (pooled ? 2 : 1) * at->in_stride;
    for (uint32_t s = 0; s < conv->segments; s++) {
        const struct pbit_segment *segment = &conv->segment[s];
        const uint8_t *levels = in + segment->offset;
        uint32_t word = 0;
        for (; pixels == 1 && word + CHAINS <= segment->words; word += CHAINS, levels += 4 * CHAINS)
            UNROLL for (int c = 0; c < CHAINS; c++, weights += vectors * LANES * 4)
                add_word(pixels, vectors, wide, pooled, at, levels + 4 * c, weights, sums + c * size);
        for (; word < segment->words; word++, levels += 4, weights += vectors * LANES * 4)
            add_word(pixels, vectors, wide, pooled, at, levels, weights, sums);
        if (s + 1 == conv->segments || (factored && segment->ends_group))
            UNROLL for (int i = size; i < chains * size; i++)
            {
                sums[i % size] = VECTOR_ADD(sums[i % size], sums[i]);
                sums[i] = VECTOR_ZERO();
            }
        if (factored && segment->ends_group) {
            const int32_t *factors = conv->factors + (size_t)segment->group * conv->channels + channel;
            UNROLL for (int v = 0; v < vectors; v++)
            {
                VECTOR factor = VECTOR_LOAD(factors + v * LANES);
                UNROLL for (int p = 0; p < pixels; p++)
                {
                    VECTOR scaled = VECTOR_MULTIPLY(sums[p * vectors + v], factor);
                    totals[p * vectors + v] = VECTOR_ADD(totals[p * vectors + v], scaled);
                    sums[p * vectors + v] = VECTOR_ZERO();
                }
            }
        }
    }
    UNROLL for (int p = 0; pooled && p < pixels; p += 4) UNROLL for (int v = 0; v < vectors; v++)
    {
        uint32_t k = channel + (uint32_t)v * LANES, pixel = first + (uint32_t)p / 4;
        if (k < outputs)
            pool_corners(sums + p * vectors + v, vectors, at, pixel, conv, multipliers + k, shift, k,
                         outputs - k, at->out + pixel * at->out_stride + k);
    }
    UNROLL for (int p = 0; !pooled && p < pixels; p++) UNROLL for (int v = 0; v < vectors; v++)
    {
        uint32_t k = channel + (uint32_t)v * LANES,
                 column = at->column_class ? at->column_class[first + p] : 0;
        if (k < outputs)
            requantize(factored ? totals[p * vectors + v] : sums[p * vectors + v], multipliers + k,
                       at->constants + (size_t)column * conv->channels + k, shift, outputs - k,
                       at->out + (first + (size_t)p) * at->out_stride + k);
    }
}

#define DEFINE_TILE(name, pixels, vectors, factored, wide, pooled)                                           \
    static TARGET void name(const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,    \
                            const int32_t *multipliers, uint32_t shift, uint32_t outputs,                    \
                            const struct pbit_pixels *at, uint32_t first)                                    \
    {                                                                                                        \
        tile(pixels, vectors, factored, wide, pooled, conv, weights, channel, multipliers, shift, outputs,   \
             at, first);                                                                                     \
    }
#define TILE(name, pixels, vectors, factored, wide) DEFINE_TILE(name, pixels, vectors, factored, wide, 0)
#define POOLED_TILE(name, pixels, vectors, wide) DEFINE_TILE(name, pixels, vectors, 0, wide, POOLED)

/// A tile and its pixels of output.
struct sized_tile {
    uint32_t pixels;
    void (*run)(const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,
                const int32_t *multipliers, uint32_t shift, uint32_t outputs, const struct pbit_pixels *at,
                uint32_t first);
};
/// By factored and vectors - 1; the largest first, the last of one pixel.
typedef const struct sized_tile tile_table[2][2][3];

static void convolve_tiles(tile_table tiles, const struct pbit_packed_conv *conv, const int32_t *multipliers,
                           uint32_t shift, uint32_t outputs, const struct pbit_pixels *pixels)
{
    const int8_t *weights = conv->weights + (size_t)pixels->first_channel * conv->words * 4;
    for (uint32_t channel = pixels->first_channel, vectors; channel < outputs; channel += vectors * LANES) {
        vectors = conv->channels - channel >= 2 * LANES ? 2 : 1;
        const struct sized_tile *size = tiles[conv->factored][vectors - 1];
        for (uint32_t p = 0; p < pixels->count; p += size->pixels) {
            while (size->pixels > pixels->count - p)
                size++;
            size->run(conv, weights, channel, multipliers, shift, outputs, pixels, p);
        }
        weights += (size_t)vectors * conv->words * LANES * 4;
    }
}
