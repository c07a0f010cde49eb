// The packed CONV for one kind of processor; included by its file, which defines before: TARGET, the
// attribute of its functions, and INLINE; LANES; VECTOR with VECTOR_ZERO(), VECTOR_LOAD(from), VECTOR_ADD,
// VECTOR_MULTIPLY; broadcast_word(levels), four levels in every lane; add_products(wide, sum, levels,
// weights), where wide holds for all levels and weights; requantize, which writes z. After it come the TILEs
// and their table.

#define UNROLL _Pragma("GCC unroll 16")

enum { ACCUMULATORS = 16, CHAINS = 4 };

/// Four levels of each pixel.
INLINE void add_word(const int pixels, const int vectors, const int wide, const uint8_t *levels,
                     size_t stride, const int8_t *weights, VECTOR *sums)
{
    VECTOR w[2];
    UNROLL for (int v = 0; v < vectors; v++) w[v] = VECTOR_LOAD(weights + v * LANES * 4);
    UNROLL for (int p = 0; p < pixels; p++)
    {
        VECTOR x = broadcast_word(levels + (size_t)p * stride);
        UNROLL for (int v = 0; v < vectors; v++) sums[p * vectors + v] =
            add_products(wide, sums[p * vectors + v], x, w[v]);
    }
}

/// `pixels` x `vectors` accumulators stay in registers while the fan-in runs. A single pixel has CHAINS times
/// as many: each addition waits for the one before it.
INLINE void tile(const int pixels, const int vectors, const int factored, const int wide,
                 const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,
                 const int32_t *multipliers, uint32_t shift, uint32_t outputs, const struct pbit_pixels *at,
                 uint32_t first)
{
    const int chains = pixels == 1 ? CHAINS : 1, size = pixels * vectors;
    VECTOR sums[ACCUMULATORS], totals[ACCUMULATORS];
    UNROLL for (int i = 0; i < chains * size; i++) sums[i] = totals[i] = VECTOR_ZERO();
    const uint8_t *in = at->in + first * at->in_stride;
    for (uint32_t s = 0; s < conv->segments; s++) {
        const struct pbit_segment *segment = &conv->segment[s];
        const uint8_t *levels = in + segment->offset;
        uint32_t word = 0;
        for (; pixels == 1 && word + CHAINS <= segment->words; word += CHAINS, levels += 4 * CHAINS)
            UNROLL for (int c = 0; c < CHAINS; c++, weights += vectors * LANES * 4)
                add_word(pixels, vectors, wide, levels + 4 * c, 0, weights, sums + c * size);
        for (; word < segment->words; word++, levels += 4, weights += vectors * LANES * 4)
            add_word(pixels, vectors, wide, levels, at->in_stride, weights, sums);
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
    UNROLL for (int p = 0; p < pixels; p++) UNROLL for (int v = 0; v < vectors; v++)
    {
        uint32_t k = channel + (uint32_t)v * LANES,
                 column = at->column_class ? at->column_class[first + p] : 0;
        if (k < outputs)
            requantize(factored ? totals[p * vectors + v] : sums[p * vectors + v], multipliers + k,
                       at->constants + (size_t)column * conv->channels + k, shift, outputs - k,
                       at->out + (first + (size_t)p) * at->out_stride + k);
    }
}

#define TILE(name, pixels, vectors, factored, wide)                                                          \
    static TARGET void name(const struct pbit_packed_conv *conv, const int8_t *weights, uint32_t channel,    \
                            const int32_t *multipliers, uint32_t shift, uint32_t outputs,                    \
                            const struct pbit_pixels *at, uint32_t first)                                    \
    {                                                                                                        \
        tile(pixels, vectors, factored, wide, conv, weights, channel, multipliers, shift, outputs, at,       \
             first);                                                                                         \
    }

/// A tile and its pixels.
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
    const int8_t *weights = conv->weights;
    for (uint32_t channel = 0, vectors; channel < conv->channels; channel += vectors * LANES) {
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
