// NEURONs on bits by which v' of FORMAT.md are below their limit, P(z), in 16 bits: where z is the same in
// all instances, which find it once then, and where theta is not linear. Included by bit_tiles.h; the
// processor's file defines before: WORDS of a vector, their masks of type WORD_MASK with above(a, b), either,
// both, ALL_WORDS, list_words; SET_16, ADD_U16, SUBTRACT_U16, MULTIPLY_HIGH_S16, MULTIPLY_HIGH_U16,
// SUBTRACT_32, MAX_32, right_32(x, bits); MULTIPLY_FLOAT; join_words and join_unsigned_words, which saturate;
// look_up_words; and COLUMNS, a byte for each word, with load_columns, add_column_bits, store_columns.

/// Of a channel's pixels, for v' - 32768: below `low` bits are 1, above `high` they are 0; else z decides.
/// Linear ones have z for `low`, where v' may be 65535 with `beyond`: z above that.
struct limits {
    VECTOR low, high;
    WORD_MASK beyond;
};

INLINE struct limits limit_linear(const int32_t *z)
{
    const INTEGERS middle = set_integer(32768), last = set_integer(65535);
    INTEGERS first = clamp(load_integers(z)), second = clamp(load_integers(z + LANES));
    VECTOR low = join_words(SUBTRACT_32(first, middle), SUBTRACT_32(second, middle)),
           more = join_words(SUBTRACT_32(first, last), SUBTRACT_32(second, last));
    return (struct limits){low, low, above(more, VECTOR_ZERO())};
}

/// Of what z is in the pieces, with a margin for each of them, or for all.
INLINE struct limits limit_q(const struct pbit_neuron_pieces *pieces, VECTOR q, const VECTOR *reach)
{
    VECTOR piece = RIGHT_16(q, 10),
           about = ADD_16(look_up_words(pieces->start, piece),
                          MULTIPLY_HIGH_U16(look_up_words(pieces->slope, piece), LEFT_16(q, 6))),
           margin = reach ? *reach : look_up_words(pieces->margin, piece), middle = SET_16(0x8000);
    return (struct limits){.low = XOR(SUBTRACT_U16(about, margin), middle),
                           .high = XOR(ADD_U16(about, margin), middle)};
}

INLINE struct limits limit_theta(const struct pbit_neuron_pieces *pieces, const int32_t *z)
{
    const INTEGERS origin = set_integer(pieces->origin);
    INTEGERS half[2];
    UNROLL for (int i = 0; i < 2; i++) half[i] =
        right_32(SUBTRACT_32(MAX_32(load_integers(z + i * LANES), origin), origin), pieces->shift);
    return limit_q(pieces, join_unsigned_words(half[0], half[1]), NULL);
}

/// v' - 32768 = (v - 32768) * rho >> 8.
struct noise {
    VECTOR order, rho, rest; ///< rest: all bits where rho is half or more, whose product is v more
};

INLINE struct noise find_noise(uint32_t order, uint32_t rho)
{
    return (struct noise){SET_16(order ^ 0x8000), SET_16((rho < 128 ? rho : rho - 256) << 8),
                          SET_16(rho < 128 ? 0 : -1)};
}

INLINE VECTOR find_words(const struct noise *noise, const uint16_t *random)
{
    VECTOR v = XOR(VECTOR_LOAD(random), noise->order);
    return ADD_16(MULTIPLY_HIGH_S16(v, noise->rho), AND(v, noise->rest));
}

/// Adds the bits of a channel that only z decides.
static __attribute__((noinline)) void decide_words(const struct pbit_bit_draw *draw, uint32_t k,
                                                   size_t instance, size_t i, uint32_t unclear,
                                                   uint8_t *plane)
{
    for (; unclear; unclear &= unclear - 1) {
        size_t at = i + (size_t)__builtin_ctz(unclear);
        plane[at] = (uint8_t)(plane[at] + (pbit_bit_exact(draw, k, instance, at) << k));
    }
}

static uint32_t list_inside(size_t count)
{
    return count < 32 ? ((uint32_t)1 << count) - 1 : UINT32_MAX;
}

/// Some pixels of all instances. full: v' may be 65535.
INLINE void draw_fixed_pixels(const int linear, const int full, const struct pbit_bit_draw *draw, size_t i,
                              uint8_t *plane)
{
    struct limits limits[GROUP];
    size_t count = draw->count - i < WORDS ? draw->count - i : WORDS;
    uint32_t inside = list_inside(count);
    for (uint32_t k = 0; k < draw->channels; k++)
        limits[k] = linear ? limit_linear(draw->z + k * draw->stride + i)
                           : limit_theta(draw->limits, draw->z + k * draw->stride + i);
    for (size_t instance = 0; instance < draw->instances; instance++, plane += draw->count) {
        const uint16_t *random = draw->random + instance / draw->random_shared * draw->random_pitch + i;
        const struct noise noise = find_noise(draw->order[instance], draw->rho);
        COLUMNS columns = load_columns(plane + i);
        WORD_MASK clear[GROUP], all_clear = ALL_WORDS;
        for (uint32_t k = 0; k < draw->channels; k++, random += draw->stride) {
            VECTOR words = find_words(&noise, random);
            WORD_MASK ones = above(limits[k].low, words);
            if (full)
                ones = either(ones, limits[k].beyond);
            columns = add_column_bits(columns, ones, (uint8_t)(1 << k));
            if (!linear) {
                clear[k] = either(ones, above(words, limits[k].high));
                all_clear = both(all_clear, clear[k]);
            }
        }
        store_columns(plane + i, columns, count);
        if (!linear && __builtin_expect((~list_words(all_clear) & inside) != 0, 0))
            for (uint32_t k = 0; k < draw->channels; k++)
                decide_words(draw, k, instance, i, ~list_words(clear[k]) & inside, plane);
    }
}

#define DRAW_FIXED(name, linear, full)                                                                       \
    static TARGET __attribute__((noinline)) void name(const struct pbit_bit_draw *draw, uint8_t *plane)      \
    {                                                                                                        \
        for (size_t i = 0; i < draw->count; i += WORDS)                                                      \
            draw_fixed_pixels(linear, full, draw, i, plane);                                                 \
    }
DRAW_FIXED(linear_of_fixed, 1, 0)
DRAW_FIXED(full_linear_of_fixed, 1, 1)
DRAW_FIXED(theta_of_fixed, 0, 0)

/// Returns whether it did.
static int draw_fixed(const struct pbit_bit_draw *draw, uint8_t *plane)
{
    enum { LEAST = 3 }; // instances for which limits pay
    if (!draw->z || draw->levels || draw->instances < LEAST || (draw->pieces && !draw->limits))
        return 0;
    (draw->pieces ? theta_of_fixed : draw->rho == 256 ? full_linear_of_fixed : linear_of_fixed)(draw, plane);
    return 1;
}

/// A channel's terms in steps of the pieces.
INLINE struct one pick_in_pieces(const int terms, const int residual, const struct pbit_bit_draw *draw,
                                 uint32_t k)
{
    struct one one = pick_channel(0, terms, residual, draw, k);
    const FLOATS step = set_float(1 / (float)(1u << draw->limits->shift));
    UNROLL for (int t = 0; t < terms; t++) one.scale[t] = MULTIPLY_FLOAT(one.scale[t], step);
    if (residual)
        one.residual_scale = MULTIPLY_FLOAT(one.residual_scale, step);
    one.offset = MULTIPLY_FLOAT(SUBTRACT_FLOAT(one.offset, set_float((float)draw->limits->origin)), step);
    return one;
}

/// How far P may be from the pieces' where floats say what z is.
static uint32_t find_reach(const struct pbit_bit_draw *draw, uint32_t k)
{
    const struct pbit_neuron_pieces *pieces = draw->limits;
    float margin = draw->residual.planes ? draw->residual.channel[k].margin : 0;
    for (uint32_t t = 0; t < draw->terms; t++)
        margin += draw->term[t].channel[k].margin;
    uint64_t q = ((uint64_t)margin >> pieces->shift) + 2,
             reach = pieces->reach + (pieces->steepest * q >> 10);
    return reach < UINT16_MAX ? (uint32_t)reach : UINT16_MAX;
}

INLINE void draw_in_pieces(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                           uint8_t *plane)
{
    struct one one = pick_in_pieces(terms, residual, draw, k);
    const VECTOR reach = SET_16(find_reach(draw, k));
    const uint8_t bit = (uint8_t)(1 << k);
    for (size_t instance = 0; instance < draw->instances; instance++, plane += draw->count) {
        const struct noise noise = find_noise(draw->order[instance], draw->rho);
        pick_instance(terms, residual, draw, k, instance, &one);
        for (size_t i = 0; i < draw->count; i += WORDS) {
            size_t count = draw->count - i < WORDS ? draw->count - i : WORDS;
            uint32_t inside = list_inside(count);
            INTEGERS low = to_integer(sum_terms(terms, residual, &one, i)),
                     high = to_integer(sum_terms(terms, residual, &one, i + LANES));
            struct limits limits = limit_q(draw->limits, join_unsigned_words(low, high), &reach);
            VECTOR words = find_words(&noise, one.random + i);
            WORD_MASK ones = above(limits.low, words), clear = either(ones, above(words, limits.high));
            store_columns(plane + i, add_column_bits(load_columns(plane + i), ones, bit), count);
            uint32_t unclear = ~list_words(clear) & inside;
            if (__builtin_expect(unclear != 0, 0))
                decide_words(draw, k, instance, i, unclear, plane);
        }
    }
}

#define DRAW_IN_PIECES(name, terms, residual)                                                                \
    static TARGET                                                                                            \
        __attribute__((noinline)) void pieces_##name(const struct pbit_bit_draw *draw, uint8_t *plane)       \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            draw_in_pieces(terms, residual, draw, k, plane);                                                 \
    }
DRAW_IN_PIECES(of_one, 1, 0)
DRAW_IN_PIECES(of_two, 2, 0)
DRAW_IN_PIECES(of_residual, 0, 1)
DRAW_IN_PIECES(of_one_and_residual, 1, 1)
