// The kernels on bits for one kind of processor; included by its file, which defines before: TARGET and
// INLINE as packed_conv_tiles.h; GROUP; TABLE, bytes of a table; STEPS, whose tables are held at a time;
// BYTES of a vector; VECTOR with VECTOR_ZERO(), VECTOR_LOAD, VECTOR_STORE, AND, ADD_8, ADD_16, ADD_32;
// WIDEN_16 and WIDEN_32, which load bytes; scale(words, factor), of 32-bit lanes; load_table, look_up(table,
// index); and what bit_draws.h, bit_words.h and bit_limits.h need: FLOATS and INTEGERS of LANES lanes, and
// more.

#define UNROLL _Pragma("GCC unroll 32")

/// Loaded once: compilers would rather load it again for each use, but loads are scarcer than registers here.
INLINE VECTOR keep(VECTOR x)
{
    __asm__("" : "+v"(x));
    return x;
}

/// Some steps of a block, whose tables lie in the nearest cache. sums: added to, unless `first`.
struct part {
    uint32_t steps, channels; ///< channels: of the block, that are there
    int first, last, paired;
    const uint8_t *runs, *factors, *seeds;
    const uint8_t *tables; ///< not for FEW vectors
    const uint32_t *offsets;
    uint8_t *run_sums; ///< of a tile: [run][channel][vector][BYTES]
    void *sums;
    size_t stride;
};

/// Where a vector begins: in the planes, among the sums of a channel.
struct place {
    size_t in, out;
};

/// Adds up the entries of each run in 8 bits. Returns the number of runs.
INLINE uint32_t add_entries(const int channels, const int vectors, const struct part *part,
                            const uint8_t *planes, const struct place *places)
{
    const uint8_t *tables = part->tables, *from[VECTORS];
    uint8_t *to = part->run_sums;
    uint32_t run = 0;
    UNROLL for (int v = 0; v < vectors; v++) from[v] = planes + places[v].in;
    for (uint32_t step = 0; step < part->steps; run++) {
        VECTOR sums[GROUP * VECTORS];
        UNROLL for (int i = 0; i < channels * vectors; i++) sums[i] = VECTOR_ZERO();
        for (uint32_t end = step + part->runs[run]; step < end; step++, tables += GROUP * TABLE) {
            VECTOR index[VECTORS];
            UNROLL for (int v = 0; v < vectors; v++) index[v] =
                keep(VECTOR_LOAD(from[v] + part->offsets[step]));
            UNROLL for (int c = 0; c < channels; c++)
            {
                VECTOR table = keep(load_table(tables + c * TABLE));
                UNROLL for (int v = 0; v < vectors; v++) sums[c * vectors + v] =
                    ADD_8(sums[c * vectors + v], look_up(table, index[v]));
            }
        }
        UNROLL for (int i = 0; i < channels * vectors; i++, to += BYTES) VECTOR_STORE(to, sums[i]);
    }
    return run;
}

/// Adds up the runs of a channel's vectors, which lie `size` bytes apart, in 16 bits. to: the channel's sums.
INLINE void add_runs(const int vectors, const struct part *part, uint32_t runs, const uint8_t *from,
                     size_t size, const struct place *places, uint16_t *to)
{
    VECTOR sums[2 * VECTORS];
    UNROLL for (int i = 0; i < 2 * vectors; i++) sums[i] =
        part->first ? VECTOR_ZERO() : VECTOR_LOAD(to + places[i / 2].out + i % 2 * (BYTES / 2));
    for (uint32_t run = 0; run < runs; run++, from += size)
        UNROLL for (int i = 0; i < 2 * vectors; i++) sums[i] =
            ADD_16(sums[i], WIDEN_16(from + i * (BYTES / 2)));
    UNROLL for (int i = 0; i < 2 * vectors; i++)
        VECTOR_STORE(to + places[i / 2].out + i % 2 * (BYTES / 2), sums[i]);
}

/// The same of the even columns and of the odd ones, which lie half a channel further on while parts are
/// missing; then the larger sum of each pair.
INLINE void add_runs_of_pairs(const int vectors, const struct part *part, uint32_t runs, const uint8_t *from,
                              size_t size, const struct place *places, uint16_t *to)
{
    uint16_t *to_odd = to + part->stride / 2;
    VECTOR even[VECTORS], odd[VECTORS];
    UNROLL for (int v = 0; v < vectors; v++)
    {
        even[v] = part->first ? VECTOR_ZERO() : VECTOR_LOAD(to + places[v].out / 2);
        odd[v] = part->first ? VECTOR_ZERO() : VECTOR_LOAD(to_odd + places[v].out / 2);
    }
    for (uint32_t run = 0; run < runs; run++, from += size)
        UNROLL for (int v = 0; v < vectors; v++)
        {
            VECTOR sums = VECTOR_LOAD(from + v * BYTES);
            even[v] = ADD_16(even[v], AND(sums, set_integer(0x00FF00FF)));
            odd[v] = ADD_16(odd[v], RIGHT_16(sums, 8));
        }
    UNROLL for (int v = 0; v < vectors; v++)
    {
        VECTOR_STORE(to + places[v].out / 2, part->last ? MAX_16(even[v], odd[v]) : even[v]);
        if (!part->last)
            VECTOR_STORE(to_odd + places[v].out / 2, odd[v]);
    }
}

/// The same in 32 bits, with the factors of the runs.
INLINE void add_scaled_runs(const struct part *part, uint32_t runs, const uint8_t *from, size_t size,
                            const uint8_t *factors, int32_t *to)
{
    VECTOR sums[4];
    UNROLL for (int i = 0; i < 4; i++) sums[i] =
        part->first ? VECTOR_ZERO() : VECTOR_LOAD(to + i * (BYTES / 4));
    for (uint32_t run = 0; run < runs; run++, from += size, factors += GROUP)
        UNROLL for (int i = 0; i < 4; i++) sums[i] =
            ADD_32(sums[i], scale(WIDEN_32(from + i * (BYTES / 4)), *factors));
    UNROLL for (int i = 0; i < 4; i++) VECTOR_STORE(to + i * (BYTES / 4), sums[i]);
}

INLINE void add_all_runs(const int channels, const int vectors, const struct part *part, uint32_t runs,
                         const struct place *places)
{
    const size_t size = (size_t)(channels * vectors * BYTES);
    const uint8_t *from = part->run_sums;
    for (int c = 0; c < channels; c++, from += vectors * BYTES) {
        size_t at = (size_t)c * part->stride;
        if (part->paired)
            add_runs_of_pairs(vectors, part, runs, from, size, places, (uint16_t *)part->sums + at);
        else if (!part->factors)
            add_runs(vectors, part, runs, from, size, places, (uint16_t *)part->sums + at);
        else
            for (int v = 0; v < vectors; v++)
                add_scaled_runs(part, runs, from + v * BYTES, size, part->factors + c,
                                (int32_t *)part->sums + at + places[v].out);
    }
}

#define TILE(name, add_entries, channels, vectors)                                                           \
    static TARGET __attribute__((noinline)) void name(const struct part *part, const uint8_t *planes,        \
                                                      const struct place *places)                            \
    {                                                                                                        \
        uint32_t runs = add_entries(channels, vectors, part, planes, places);                                \
        add_all_runs(channels, vectors, part, runs, places);                                                 \
    }

#include "runtime/kernels/bit_draws.h"

enum { VECTORS_OF_LANES = PBIT_LANES / LANES };

/// A step of pbit_lanes_next.
INLINE INTEGERS step_lanes(INTEGERS s)
{
    s = XOR(s, SHIFT_LEFT_32(s, 13));
    s = XOR(s, SHIFT_RIGHT_32(s, 17));
    return XOR(s, SHIFT_LEFT_32(s, 5));
}

/// The next `count` states of all lanes of some streams. to: of the first stream, `pitch` states to the next.
INLINE void step_some(const int streams, uint32_t states[STREAMS][PBIT_LANES], size_t count, uint32_t *to,
                      size_t pitch)
{
    INTEGERS state[STREAMS * VECTORS_OF_LANES];
    const int vectors = streams * VECTORS_OF_LANES;
    UNROLL for (int i = 0; i < vectors; i++) state[i] = load_integers(states[0] + i * LANES);
    for (size_t step = 0; step < count; step++, to += PBIT_LANES)
        UNROLL for (int i = 0; i < vectors; i++)
        {
            state[i] = step_lanes(state[i]);
            VECTOR_STORE(to + (size_t)(i / VECTORS_OF_LANES) * pitch + i % VECTORS_OF_LANES * LANES,
                         state[i]);
        }
    UNROLL for (int i = 0; i < vectors; i++) VECTOR_STORE(states[0] + i * LANES, state[i]);
}

INLINE void step_streams(size_t streams, uint32_t states[STREAMS][PBIT_LANES], size_t count, uint32_t *to,
                         size_t pitch)
{
    if (streams == 1)
        step_some(1, states, count, to, pitch);
    else if (streams == 2)
        step_some(STREAMS < 2 ? STREAMS : 2, states, count, to, pitch);
    else
        step_some(STREAMS, states, count, to, pitch);
}

INLINE void jump_states(const uint32_t jump[32], const uint32_t *from, uint32_t *to)
{
    UNROLL for (int v = 0; v < VECTORS_OF_LANES; v++)
    {
        INTEGERS state = load_integers(from + v * LANES), jumped = VECTOR_ZERO();
        for (int bit = 31; bit >= 0; bit--, state = ADD_32(state, state)) // the sign tells the bit
            jumped = XOR(jumped, AND(RIGHT_32(state, 31), set_integer((int)jump[bit])));
        VECTOR_STORE(to + v * LANES, jumped);
    }
}

/// LANES channels of 2 * LANES pixels: the random numbers are the upper halves of the states.
INLINE void transpose_states(const uint32_t *states, uint32_t channels, uint32_t wanted, size_t stride,
                             uint16_t *random)
{
    INTEGERS pairs[LANES];
    UNROLL for (int i = 0; i < LANES; i++)
    {
        const uint32_t *pair = states + (size_t)(2 * i) * channels;
        pairs[i] = join_upper(load_integers(pair), load_integers(pair + channels));
    }
    transpose(pairs);
    if (wanted >= LANES)
        UNROLL for (int i = 0; i < LANES; i++) VECTOR_STORE(random + i * stride, pairs[i]);
    else
        for (uint32_t i = 0; i < wanted; i++)
            VECTOR_STORE(random + i * stride, pairs[i]);
}

static TARGET void draw_random(const struct pbit_bit_random *layer, const struct pbit_lanes *lanes,
                               uint16_t *random)
{
    uint32_t channels = layer->channels, states[STREAMS][PBIT_LANES] = {{0}};
    size_t pitch = (size_t)PBIT_BIT_PIXELS * channels,
           streams = (layer->pixels + layer->part - 1) / layer->part;
    memcpy(states[0], lanes->state, sizeof(states[0]));
    for (size_t s = 1; s < STREAMS && s < streams; s++)
        jump_states(layer->jump, states[s - 1], states[s]);
    for (size_t done = 0; done < layer->part; done += PBIT_BIT_PIXELS) {
        step_streams(streams, states, channels, layer->buffer, pitch); // of PBIT_LANES, as many as pixels
        for (size_t s = 0; s < streams && s * layer->part + done < layer->pixels; s++)
            for (size_t i = 0; i < PBIT_BIT_PIXELS; i += 2 * LANES)
                for (uint32_t c = layer->first_channel / LANES * LANES; c < layer->end_channel; c += LANES)
                    transpose_states(layer->buffer + s * pitch + i * channels + c, channels, channels - c,
                                     layer->stride, random + c * layer->stride + s * layer->part + done + i);
    }
}
_Static_assert((int)PBIT_BIT_PIXELS == (int)PBIT_LANES, "a step of the lanes is for a channel");

static TARGET void transpose_integers(const int32_t *in, size_t pixels, uint32_t channels, size_t stride,
                                      int32_t *out)
{
    for (size_t pixel = 0; pixel < pixels; pixel += LANES)
        for (uint32_t c = 0; c < channels; c += LANES) {
            INTEGERS rows[LANES];
            UNROLL for (int i = 0; i < LANES; i++) rows[i] =
                load_integers(in + (pixel + (size_t)i) * channels + c);
            transpose(rows);
            for (uint32_t i = 0; i < LANES && c + i < channels; i++)
                VECTOR_STORE(out + (c + i) * stride + pixel, rows[i]);
        }
}

/// Of up to `count` vectors; returns of how many.
static uint32_t convolve_tile(const struct part *part, uint32_t count, const uint8_t *planes,
                              const struct place *places);
static const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables);

/// A tile's vectors may be of different pieces.
static void convolve_part(const struct part *part, const uint8_t *planes,
                          const struct pbit_bit_columns *columns)
{
    struct place places[VECTORS];
    uint32_t count = 0;
    for (size_t piece = 0; piece < columns->pieces; piece++)
        for (size_t first = 0; first < columns->length; first += BYTES) {
            places[count++] =
                (struct place){piece * columns->in_pitch + first, piece * columns->out_pitch + first};
            if (count == VECTORS)
                count -= convolve_tile(part, count, planes, places);
        }
    for (uint32_t done = 0; done < count;)
        done += convolve_tile(part, count - done, planes, places + done);
}

static void convolve(const struct pbit_bit_conv *conv, uint32_t block, const uint32_t *offsets,
                     const uint8_t *planes, const struct pbit_bit_columns *columns, uint8_t *scratch,
                     void *sums, size_t stride)
{
    size_t vectors = columns->pieces * ((columns->length + BYTES - 1) / BYTES);
    for (uint32_t first = 0, steps; first < conv->steps; first += steps) {
        steps = conv->steps - first < STEPS ? conv->steps - first : STEPS;
        size_t index = (size_t)block * conv->steps + first;
        const uint8_t *seeds = conv->seeds + index * GROUP * PBIT_BIT_SEED;
        const struct part part = {.steps = steps,
                                  .channels = conv->channels - block * GROUP,
                                  .first = first == 0,
                                  .last = first + steps == conv->steps,
                                  .paired = columns->paired,
                                  .runs = conv->runs + index,
                                  .factors = conv->factors ? conv->factors + index * GROUP : NULL,
                                  .seeds = seeds,
                                  .tables =
                                      vectors <= FEW ? NULL : expand(seeds, (size_t)steps * GROUP, scratch),
                                  .offsets = offsets + first,
                                  .run_sums = scratch + PBIT_BIT_TABLES,
                                  .sums = sums,
                                  .stride = stride};
        convolve_part(&part, planes, columns);
    }
}

static TARGET void pool(const struct pbit_bit_pool *pool, void *out)
{
    size_t pixels = (size_t)pool->height * pool->width;
    uint32_t width = pool->width;
    if (pool->paired) {
        pool_pairs(pool, out);
        return;
    }
    for (size_t i = 0; i < pool->instances; i++) {
        const uint16_t *words = (const uint16_t *)pool->sums + i * pool->pitch;
        const int32_t *integers = (const int32_t *)pool->sums + i * pool->pitch;
        uint16_t *to = (uint16_t *)out + i * pixels;
        for (uint32_t y = 0; y < pool->height; y++)
            for (uint32_t x = 0; x < width; x += LANES) {
                size_t from = (size_t)2 * y * pool->line + 2 * x, at = (size_t)y * width + x;
                if (pool->wide)
                    pool_integers(integers + from, pool->line, (int32_t *)out + i * pixels + at);
                else
                    pool_words(words + from, words + from + pool->line, to + at);
            }
    }
}

static TARGET void show(const struct pbit_bit_shown *shown, const uint8_t *in, uint8_t *out)
{
    const uint8_t *mask = shown->mask, *map = shown->map;
    const VECTOR table = map ? load_table(map) : VECTOR_ZERO();
    size_t count = shown->count, pitch = shown->out_pitch;
    for (size_t instance = 0; instance < shown->instances; instance++, in += shown->in_pitch, out += pitch) {
        size_t i = 0;
        for (; i < count; i += BYTES) {
            VECTOR bytes = VECTOR_LOAD(in + i);
            if (map)
                bytes = look_up(table, bytes);
            if (mask)
                bytes = AND(bytes, VECTOR_LOAD(mask + i));
            VECTOR_STORE(out + i, map ? ADD_8(bytes, VECTOR_LOAD(out + i)) : bytes);
        }
        for (; !map && i < pitch; i += BYTES)
            VECTOR_STORE(out + i, VECTOR_ZERO());
    }
}
