// NEURONs on bits whose sums have 16 bits, which is all but those with factors: p-bits with linear
// probabilities in 16 bits, levels in 32. Included by bit_tiles.h; beside what that needs, the file of a kind
// of processor defines WORDS, the lanes of 16 bits; SET_16, SUBTRACT_U16 and SUBTRACT_S16 with saturation,
// MIN_U16, MULTIPLY_16, MULTIPLY_HIGH_U16, MULTIPLY_HIGH_S16, MULTIPLY_ROUND_S16; MULTIPLY_32, MIN_32,
// RIGHT_BY_32 and LOGICAL_RIGHT_BY_32 by lanes; WORD_MASK with above(a, b), mark_bits(plane, ones, bit) and
// list_unclear(maybe, ones); COLUMNS as of bit_limits.h; join_words(low, high), of 32-bit lanes with
// saturation; store_levels(words, to).

/// A term in registers, see struct pbit_bit_word.
struct word {
    VECTOR low, span, left, scale;
};

INLINE struct word load_word(const struct pbit_bit_word *word)
{
    return (struct word){SET_16(word->low), SET_16(word->span), SET_16(1 << word->left), SET_16(word->scale)};
}

INLINE VECTOR scale_word(const struct word *word, VECTOR number)
{
    VECTOR inside = MIN_U16(SUBTRACT_U16(number, word->low), word->span);
    return MULTIPLY_HIGH_U16(MULTIPLY_16(inside, word->left), word->scale);
}

/// A channel's numbers in an instance.
struct numbers {
    const uint16_t *sums[PBIT_BIT_TERMS];
    const uint8_t *residual;
};

INLINE struct numbers find_numbers(const int terms, const int residual, const struct pbit_bit_draw *draw,
                                   uint32_t k, size_t instance)
{
    struct numbers numbers = {.residual = NULL};
    UNROLL for (int t = 0; t < terms; t++) numbers.sums[t] =
        (const uint16_t *)draw->term[t].sums + k * draw->term[t].stride + instance * draw->term[t].pitch;
    if (residual)
        numbers.residual = draw->residual.planes + (draw->residual.levels ? k * draw->residual.stride : 0) +
                           instance * draw->count;
    return numbers;
}

/// What compares a channel with v', both less 32768, in steps of 2^shift.
struct comparison {
    struct word term[PBIT_BIT_TERMS], residual;
    VECTOR mask, offset, amplitude, order, most, least;
    struct numbers numbers;
    const uint16_t *random;
};

INLINE struct comparison load_words_of(const int terms, const int residual, const struct pbit_bit_draw *draw,
                                       uint32_t k)
{
    const struct pbit_bit_words *words = &draw->words[k];
    struct comparison comparison = {.offset = SET_16(words->offset),
                                    .amplitude = SET_16(draw->rho << 7 >> words->shift),
                                    .most = SET_16(words->margin),
                                    .least = SET_16(-words->margin - 1)};
    UNROLL for (int t = 0; t < terms; t++) comparison.term[t] = load_word(&words->term[t]);
    if (residual) {
        comparison.residual = load_word(&words->residual);
        comparison.mask = SET_16(draw->residual.levels ? PBIT_BYTE_LEVELS : 1 << k);
    }
    return comparison;
}

/// Which bits are 1, and which ones 16 bits cannot tell.
INLINE WORD_MASK compare_words(const int terms, const int residual, const struct comparison *with, size_t i,
                               uint32_t *unclear)
{
    VECTOR z = with->offset;
    UNROLL for (int t = 0; t < terms; t++) z =
        ADD_16(z, scale_word(&with->term[t], VECTOR_LOAD(with->numbers.sums[t] + i)));
    if (residual)
        z = ADD_16(z, scale_word(&with->residual, AND(WIDEN_16(with->numbers.residual + i), with->mask)));
    VECTOR noise = MULTIPLY_ROUND_S16(XOR(VECTOR_LOAD(with->random + i), with->order), with->amplitude),
           over = SUBTRACT_S16(z, noise);
    WORD_MASK ones = above(over, with->most);
    *unclear = list_unclear(above(over, with->least), ones);
    return ones;
}

static void mark_exactly(const struct pbit_bit_draw *draw, uint32_t k, size_t instance, size_t i,
                         uint32_t unclear, uint8_t *to)
{
    for (; unclear; unclear &= unclear - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(unclear);
        to[lane] = (uint8_t)(to[lane] | pbit_bit_exact(draw, k, instance, i + lane) << k);
    }
}

/// The calls come after the loop over some vectors, which has its constants in registers then.
INLINE void draw_words(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                       uint8_t *plane)
{
    enum { AT_ONCE = 32 };
    struct comparison with = load_words_of(terms, residual, draw, k);
    const size_t count = draw->count, whole = count / WORDS;
    const uint8_t bit = (uint8_t)(1 << k);
    for (size_t instance = 0; instance < draw->instances; instance++, plane += count) {
        with.numbers = find_numbers(terms, residual, draw, k, instance);
        with.random = draw->random + instance / draw->random_shared * draw->random_pitch + k * draw->stride;
        with.order = SET_16(draw->order[instance] ^ 0x8000);
        for (size_t first = 0, some; first < whole; first += some) {
            uint32_t unclear[AT_ONCE], any = 0;
            some = whole - first < AT_ONCE ? whole - first : AT_ONCE;
            for (size_t v = 0; v < some; v++) {
                size_t i = (first + v) * WORDS;
                mark_bits(plane + i, compare_words(terms, residual, &with, i, &unclear[v]), bit);
                any |= unclear[v];
            }
            for (size_t v = 0; any && v < some; v++)
                mark_exactly(draw, k, instance, (first + v) * WORDS, unclear[v], plane + (first + v) * WORDS);
        }
        size_t i = whole * WORDS;
        if (i < count) {
            uint32_t unclear; // others may be at work on what lies beyond
            WORD_MASK ones = compare_words(terms, residual, &with, i, &unclear);
            store_columns(plane + i, add_column_bits(load_columns(plane + i), ones, bit), count - i);
            mark_exactly(draw, k, instance, i, unclear & ((1u << (count - i)) - 1), plane + i);
        }
    }
}

/// RS of FORMAT.md of products with numbers n of 16 bits. n * multiplier + constant, with the 0.5 in it, is
/// (n * high + high_constant) * 2^middle + n * low + low_constant, where the second part has 32 bits; the
/// first one has them with what the second carries (engine_bits_plan.c).
struct product {
    VECTOR low, low_constant, high, high_constant, middle, shift;
};

INLINE struct product split_product(int64_t multiplier, int32_t least, uint32_t shift)
{
    uint32_t middle = shift < 16 ? shift : 16;
    int64_t constant = least * multiplier + ((int64_t)1 << shift >> 1), below = ((int64_t)1 << middle) - 1;
    return (struct product){set_integer((int)(multiplier & below)),
                            set_integer((int)(constant & below)),
                            set_integer((int)(multiplier >> middle)),
                            set_integer((int)(constant >> middle)),
                            set_integer((int)middle),
                            set_integer((int)(shift - middle))};
}

INLINE VECTOR multiply_exactly(const struct product *by, VECTOR number)
{
    VECTOR low = ADD_32(MULTIPLY_32(number, by->low), by->low_constant),
           high = ADD_32(MULTIPLY_32(number, by->high), by->high_constant);
    return RIGHT_BY_32(ADD_32(high, LOGICAL_RIGHT_BY_32(low, by->middle)), by->shift);
}

/// The same of a residual's levels, all whose products are positive and have 32 bits.
struct level_product {
    VECTOR mask, most, multiplier, half, shift;
};

INLINE struct level_product load_level_product(const int there, const struct pbit_bit_residual *residual,
                                               uint32_t k)
{
    if (!there)
        return (struct level_product){.mask = VECTOR_ZERO()};
    const struct pbit_bit_channel *channel = &residual->channel[k];
    return (struct level_product){set_integer(residual->levels ? PBIT_BYTE_LEVELS : 1 << k),
                                  set_integer(residual->levels ? PBIT_BYTE_LEVELS : 1),
                                  set_integer(channel->multiplier * channel->weight),
                                  set_integer((int)(1u << residual->shift >> 1)),
                                  set_integer((int)residual->shift)};
}

INLINE VECTOR multiply_level(const struct level_product *by, VECTOR byte)
{
    VECTOR level = MIN_32(AND(byte, by->mask), by->most);
    return LOGICAL_RIGHT_BY_32(ADD_32(MULTIPLY_32(level, by->multiplier), by->half), by->shift);
}

/// (255 * z + 32768) >> 16 is (255 * (z - 32768) >> 16) + 128.
INLINE void write_words(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                        uint8_t *plane)
{
    struct product term[PBIT_BIT_TERMS];
    int32_t bias = -32768;
    UNROLL for (int t = 0; t < terms; t++)
    {
        const struct pbit_bit_channel *channel = &draw->term[t].channel[k];
        term[t] = split_product(channel->multiplier, channel->least, draw->term[t].shift);
        bias += channel->bias;
    }
    if (residual)
        bias += draw->residual.channel[k].bias;
    const struct level_product last = load_level_product(residual, &draw->residual, k);
    const VECTOR start = set_integer(bias);
    const size_t count = draw->count;
    for (size_t instance = 0; instance < draw->instances; instance++, plane += count) {
        const struct numbers numbers = find_numbers(terms, residual, draw, k, instance);
        if (terms == 0 && !residual && instance > 0) { // all have the same z
            memcpy(plane, plane - count, count);
            continue;
        }
        for (size_t i = 0; i < count; i += WORDS) {
            VECTOR z[2];
            UNROLL for (size_t half = 0; half < 2; half++)
            {
                size_t at = i + half * LANES;
                z[half] = start;
                if (terms == 0 && !residual)
                    z[half] = ADD_32(start, clamp(load_integers(draw->z + k * draw->stride + at)));
                UNROLL for (int t = 0; t < terms; t++) z[half] =
                    ADD_32(z[half], multiply_exactly(&term[t], load_words(numbers.sums[t] + at)));
                if (residual)
                    z[half] = ADD_32(z[half], multiply_level(&last, WIDEN_32(numbers.residual + at)));
            }
            VECTOR levels = ADD_16(MULTIPLY_HIGH_S16(join_words(z[0], z[1]), SET_16(255)), SET_16(128));
            uint8_t few[WORDS], *to = count - i < WORDS ? few : plane + i;
            store_levels(levels, to);
            if (count - i < WORDS)
                memcpy(plane + i, few, count - i);
        }
    }
}

#define DRAW_WORDS(name, terms, residual)                                                                    \
    static TARGET                                                                                            \
        __attribute__((noinline)) void bits_##name(const struct pbit_bit_draw *draw, uint8_t *plane)         \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            draw_words(terms, residual, draw, k, plane);                                                     \
    }
#define WRITE_WORDS(name, terms, residual)                                                                   \
    static TARGET                                                                                            \
        __attribute__((noinline)) void rounded_##name(const struct pbit_bit_draw *draw, uint8_t *plane)      \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            write_words(terms, residual, draw, k, plane + k * draw->plane_stride);                           \
    }
DRAW_WORDS(of_one, 1, 0)
DRAW_WORDS(of_two, 2, 0)
DRAW_WORDS(of_residual, 0, 1)
DRAW_WORDS(of_one_and_residual, 1, 1)
WRITE_WORDS(of_z, 0, 0)
WRITE_WORDS(of_one, 1, 0)
WRITE_WORDS(of_two, 2, 0)
WRITE_WORDS(of_residual, 0, 1)
WRITE_WORDS(of_one_and_residual, 1, 1)
