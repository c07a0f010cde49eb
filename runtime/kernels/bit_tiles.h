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
    uint32_t steps;
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

/// u of FORMAT.md: v'.
INLINE INTEGERS find_u(const struct pbit_bit_draw *draw, size_t i)
{
    INTEGERS v = XOR_32(load_words(draw->random + i), set_integer((int32_t)draw->order));
    INTEGERS noise = MULTIPLY_32(SUBTRACT_32(v, set_integer(32768)), set_integer((int32_t)draw->rho));
    return ADD_32(set_integer(32768), RIGHT_32(noise, 8));
}

INLINE void draw_bits(const int linear, const int terms, const struct pbit_bit_draw *draw, uint8_t *plane)
{
    FLOATS offset = set_float(draw->offset), margin = set_float(draw->margin);
    FLOATS scales[PBIT_BIT_TERMS];
    UNROLL for (int t = 0; t < terms; t++) scales[t] = set_float(draw->term[t].scale);
    for (size_t i = 0; i < draw->count; i += LANES) {
        FLOATS z = offset, theta, near = margin;
        if (terms == 0)
            z = to_float(clamp(load_integers(draw->z + i)));
        UNROLL for (int t = 0; t < terms; t++) z =
            MULTIPLY_ADD(to_float(load_words(draw->term[t].sums + i)), scales[t], z);
        INTEGERS u = find_u(draw, i);
        if (linear) {
            theta = to_float(u);
        } else {
            INTEGERS piece = RIGHT_32(u, 10);
            theta = MULTIPLY_ADD(to_float(AND_32(u, set_integer(1023))),
                                 look_up_float(draw->pieces->slope, piece),
                                 look_up_float(draw->pieces->start, piece));
            near = ADD_FLOAT(near, look_up_float(draw->pieces->margin, piece));
        }
        FLOATS above = SUBTRACT_FLOAT(z, theta);
        uint32_t inside = draw->count - i < LANES ? (1u << (draw->count - i)) - 1 : (1u << LANES) - 1;
        uint32_t ones = positive(above) & inside, unclear = smaller_than(above, near) & inside;
        for (; unclear; unclear &= unclear - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(unclear);
            ones = (ones & ~(1u << lane)) | (uint32_t)pbit_bit_exact(draw, i + lane) << lane;
        }
        add_bits(plane + i, ones, draw->bit);
    }
}

static TARGET void draw(const struct pbit_bit_draw *draw, uint8_t *plane)
{
    uint32_t terms = draw->z ? 0 : draw->terms;
    if (draw->pieces && terms == 0)
        draw_bits(0, 0, draw, plane);
    else if (draw->pieces && terms == 1)
        draw_bits(0, 1, draw, plane);
    else if (draw->pieces)
        draw_bits(0, 2, draw, plane);
    else if (terms == 0)
        draw_bits(1, 0, draw, plane);
    else if (terms == 1)
        draw_bits(1, 1, draw, plane);
    else
        draw_bits(1, 2, draw, plane);
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
            .first = first == 0,
            .runs = conv->runs + index,
            .tables = expand(conv->seeds + index * GROUP * PBIT_BIT_SEED, (size_t)steps * GROUP, tables),
            .offsets = offsets + first,
            .sums = sums,
            .stride = stride};
        convolve_part(&part, planes, columns);
    }
}
