// The kernels on bits for one kind of processor; included by its file, which defines before: TARGET and
// INLINE as packed_conv_tiles.h; GROUP; TABLE, bytes of a table; STEPS, whose tables are held at a time;
// BYTES of a vector; VECTOR with VECTOR_ZERO(), VECTOR_LOAD, VECTOR_STORE, ADD_8, ADD_16, SUBTRACT_16, LEFT_8
// and RIGHT_8, shifts by 8 of 16-bit lanes; load_table, look_up(table, index); store_sums(even, odd, to); and
// for the comparison FLOATS and INTEGERS of LANES lanes.

#define UNROLL _Pragma("GCC unroll 16")

/// Loaded once: compilers would rather load it again for each use, but loads are scarcer than registers here.
INLINE VECTOR keep(VECTOR x)
{
    __asm__("" : "+v"(x));
    return x;
}

/// Some steps of a block, whose tables lie in the nearest cache. sums: added to, unless `first`.
struct part {
    uint32_t steps, channels; ///< channels: of the block, that are there
    int first;
    const uint8_t *runs, *tables;
    const uint32_t *offsets;
    uint16_t *sums;
    size_t stride;
};

/// Entries are added in 8 bits while they fit, then in 16: even columns in `low`, with 256 times the odd
/// ones, odd ones in `high`.
INLINE void tile(const int channels, const int vectors, const struct part *part, uint32_t channel,
                 const uint8_t *planes, size_t column)
{
    VECTOR low[GROUP], high[GROUP];
    UNROLL for (int i = 0; i < channels * vectors; i++) low[i] = high[i] = VECTOR_ZERO();
    const uint8_t *tables = part->tables + channel * TABLE, *runs = part->runs;
    for (uint32_t step = 0; step < part->steps;) {
        VECTOR bytes[GROUP];
        UNROLL for (int i = 0; i < channels * vectors; i++) bytes[i] = VECTOR_ZERO();
        for (uint32_t end = step + *runs++; step < end; step++, tables += GROUP * TABLE) {
            const uint8_t *at = planes + column + part->offsets[step];
            VECTOR index[2];
            UNROLL for (int v = 0; v < vectors; v++) index[v] = keep(VECTOR_LOAD(at + v * BYTES));
            UNROLL for (int c = 0; c < channels; c++)
            {
                VECTOR table = keep(load_table(tables + c * TABLE));
                UNROLL for (int v = 0; v < vectors; v++) bytes[c * vectors + v] =
                    ADD_8(bytes[c * vectors + v], look_up(table, index[v]));
            }
        }
        UNROLL for (int i = 0; i < channels * vectors; i++)
        {
            low[i] = ADD_16(low[i], bytes[i]);
            high[i] = ADD_16(high[i], RIGHT_8(bytes[i]));
        }
    }
    UNROLL for (int c = 0; c < channels; c++) UNROLL for (int v = 0; v < vectors; v++)
    {
        VECTOR odd = high[c * vectors + v], even = SUBTRACT_16(low[c * vectors + v], LEFT_8(odd)), half[2];
        uint16_t *to = part->sums + (channel + (uint32_t)c) * part->stride + column + (size_t)v * BYTES;
        interleave(even, odd, half);
        UNROLL for (int h = 0; h < 2; h++) VECTOR_STORE(
            to + h * BYTES / 2, part->first ? half[h] : ADD_16(half[h], VECTOR_LOAD(to + h * BYTES / 2)));
    }
}

#define TILE(name, channels, vectors)                                                                        \
    static TARGET __attribute__((noinline)) void name(const struct part *part, uint32_t channel,             \
                                                      const uint8_t *planes, size_t column)                  \
    {                                                                                                        \
        tile(channels, vectors, part, channel, planes, column);                                              \
    }

/// z of LANES columns of a channel from column i on.
INLINE FLOATS sum_terms(const int terms, const int residual, const struct pbit_bit_draw *draw, size_t i)
{
    FLOATS z = set_float(draw->offset);
    if (terms == 0 && !residual)
        z = to_float(clamp(load_integers(draw->z + i)));
    UNROLL for (int t = 0; t < terms; t++) z = MULTIPLY_ADD(
        to_float(load_words(draw->term[t].sums + draw->at + i)), set_float(draw->term[t].scale), z);
    if (residual)
        z = MULTIPLY_ADD(to_float(load_bytes(draw->residual.plane + draw->at + i, draw->residual.mask)),
                         set_float(draw->residual.scale), z);
    return z;
}

/// Which bits are 1, and which of them floats cannot tell. Linear neurons have theta(u) = u, others a
/// straight piece by the upper bits of u; v' is off by less than 1 where its rounding is left out.
/// Linear neurons that read z need no floats.
INLINE MASK compare(const int linear, const int terms, const int residual, const struct pbit_bit_draw *draw,
                    size_t i, MASK *unclear)
{
    if (linear && terms == 0 && !residual) {
        *unclear = 0;
        return less(stretch(load_noise(draw->random + i, draw->order), (int)draw->rho),
                    load_integers(draw->z + i));
    }
    FLOATS z = sum_terms(terms, residual, draw, i), margin = set_float(draw->margin);
    FLOATS noise = to_float(load_noise(draw->random + i, draw->order));
    if (linear) {
        z = SUBTRACT_PRODUCT(noise, set_float(draw->amplitude), SUBTRACT_FLOAT(z, set_float(32768)));
    } else {
        FLOATS u = MULTIPLY_ADD(noise, set_float(draw->amplitude), set_float(32768));
        INTEGERS piece = RIGHT_32(to_integer(u), 10);
        FLOATS theta = MULTIPLY_ADD(u, look_up_float(draw->pieces->slope, piece),
                                    look_up_float(draw->pieces->start, piece));
        z = SUBTRACT_FLOAT(z, theta);
        margin = ADD_FLOAT(margin, look_up_float(draw->pieces->margin, piece));
    }
    *unclear = smaller_than(z, margin);
    return positive(z);
}

/// The levels, and which of them floats cannot tell: 255 * z / 65536 is half-way between two.
INLINE INTEGERS round_levels(FLOATS z, const struct pbit_bit_draw *draw, MASK *unclear)
{
    const float unit = 255.0f / 65536;
    z = MULTIPLY_ADD(clip(z, set_float(0), set_float(65536)), set_float(unit), set_float(0.5f));
    INTEGERS level = to_integer(z);
    FLOATS beyond = SUBTRACT_FLOAT(SUBTRACT_FLOAT(z, to_float(level)), set_float(0.5f));
    *unclear = smaller_than(SUBTRACT_FLOAT(set_float(0.5f), absolute(beyond)),
                            set_float(draw->margin * unit + 1.0f / (1 << 14)));
    return level;
}

static __attribute__((noinline)) uint32_t decide(const struct pbit_bit_draw *draw, size_t i, uint32_t ones,
                                                 uint32_t unclear)
{
    for (; unclear; unclear &= unclear - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(unclear);
        ones = (ones & ~(1u << lane)) | (uint32_t)pbit_bit_exact(draw, i + lane) << lane;
    }
    return ones;
}

INLINE void draw_bits(const int linear, const int terms, const int residual, const struct pbit_bit_draw *from,
                      uint8_t *plane)
{
    const struct pbit_bit_draw draw = *from; // no store changes it
    size_t count = draw.count, i = 0;
    for (; i + LANES <= count; i += LANES) {
        MASK unclear, ones = compare(linear, terms, residual, &draw, i, &unclear);
        if (__builtin_expect(unclear != 0, 0))
            ones = (MASK)decide(from, i, ones, unclear);
        add_bits(plane + i, ones, draw.bit);
    }
    if (i < count) {
        MASK inside = (MASK)((1u << (count - i)) - 1);
        MASK unclear, ones = compare(linear, terms, residual, &draw, i, &unclear);
        add_bits(plane + i, (MASK)decide(from, i, ones & inside, unclear & inside), draw.bit);
    }
}

INLINE void write_levels(const int terms, const int residual, const struct pbit_bit_draw *from,
                         uint8_t *plane)
{
    const struct pbit_bit_draw draw = *from; // no store changes it
    for (size_t i = 0; i < draw.count; i += LANES) {
        uint8_t few[LANES] = {0}, *levels = draw.count - i < LANES ? few : plane + i;
        size_t left = draw.count - i;
        MASK unclear;
        store_bytes(round_levels(sum_terms(terms, residual, &draw, i), &draw, &unclear), levels);
        for (uint32_t rest = unclear; __builtin_expect(rest != 0, 0); rest &= rest - 1)
            if ((uint32_t)__builtin_ctz(rest) < left)
                levels[__builtin_ctz(rest)] = pbit_bit_exact(from, i + (uint32_t)__builtin_ctz(rest));
        if (left < LANES)
            memcpy(plane + i, few, left);
    }
}

#define DRAW(name, terms, residual)                                                                          \
    static TARGET                                                                                            \
        __attribute__((noinline)) void theta_##name(const struct pbit_bit_draw *draw, uint8_t *plane)        \
    {                                                                                                        \
        draw_bits(0, terms, residual, draw, plane);                                                          \
    }                                                                                                        \
    static TARGET                                                                                            \
        __attribute__((noinline)) void linear_##name(const struct pbit_bit_draw *draw, uint8_t *plane)       \
    {                                                                                                        \
        draw_bits(1, terms, residual, draw, plane);                                                          \
    }                                                                                                        \
    static TARGET                                                                                            \
        __attribute__((noinline)) void levels_##name(const struct pbit_bit_draw *draw, uint8_t *plane)       \
    {                                                                                                        \
        write_levels(terms, residual, draw, plane);                                                          \
    }
DRAW(of_z, 0, 0)
DRAW(of_one, 1, 0)
DRAW(of_two, 2, 0)
DRAW(of_residual, 0, 1)
DRAW(of_one_and_residual, 1, 1)

static void draw(const struct pbit_bit_draw *draw, uint8_t *plane)
{
    static pbit_bit_draw_function *const functions[3][5] = {
        {theta_of_z, theta_of_one, theta_of_two, theta_of_residual, theta_of_one_and_residual},
        {linear_of_z, linear_of_one, linear_of_two, linear_of_residual, linear_of_one_and_residual},
        {levels_of_z, levels_of_one, levels_of_two, levels_of_residual, levels_of_one_and_residual}};
    functions[draw->bit ? !draw->pieces : 2][draw->residual.plane ? 3 + draw->terms : draw->terms](draw,
                                                                                                   plane);
}

static TARGET void draw_random(struct pbit_lanes *lanes, size_t elements, uint16_t *random)
{
    enum { VECTORS = PBIT_LANES / LANES };
    INTEGERS state[VECTORS];
    UNROLL for (int v = 0; v < VECTORS; v++) state[v] = load_integers(lanes->state + v * LANES);
    for (size_t first = 0; first < elements; first += PBIT_LANES)
        UNROLL for (int v = 0; v < VECTORS; v++)
        {
            state[v] = step_lanes(state[v]);
            store_upper(state[v], random + first + v * LANES);
        }
}

static void convolve_part(const struct part *part, const uint8_t *planes, size_t columns);
static const uint8_t *expand(const uint8_t *seeds, size_t count, uint8_t *tables);

static void convolve(const struct pbit_bit_conv *conv, uint32_t block, const uint32_t *offsets,
                     const uint8_t *planes, size_t columns, uint8_t *tables, uint16_t *sums, size_t stride)
{
    for (uint32_t first = 0, steps; first < conv->steps; first += steps) {
        steps = conv->steps - first < STEPS ? conv->steps - first : STEPS;
        size_t index = (size_t)block * conv->steps + first;
        const struct part part = {
            .steps = steps,
            .channels = conv->channels - block * GROUP,
            .first = first == 0,
            .runs = conv->runs + index,
            .tables = expand(conv->seeds + index * GROUP * PBIT_BIT_SEED, (size_t)steps * GROUP, tables),
            .offsets = offsets + first,
            .sums = sums,
            .stride = stride};
        convolve_part(&part, planes, columns);
    }
}
