// NEURONs on bits whose sums have 16 bits, which is all but those with factors: p-bits with linear
// probabilities in 16 bits, levels in 32. Included by bit_tiles.h; beside what that needs, the file of a kind
// of processor defines WORDS, the lanes of 16 bits; SET_16, SUBTRACT_U16 and SUBTRACT_S16 with saturation,
// MIN_U16, MULTIPLY_16, MULTIPLY_HIGH_U16, MULTIPLY_HIGH_S16, MULTIPLY_ROUND_S16; UNPACK_LOW_16,
// UNPACK_HIGH_16 and PACK_32 within 128 bits; ADD_PRODUCTS_OF_PAIRS; RIGHT_BY_32 by lanes; WORD_MASK with
// above(a, b), mark_bits(plane, ones, bit) and list_unclear(maybe, ones); COLUMNS as of bit_limits.h;
// join_words(low, high), of 32-bit lanes with saturation; store_levels(words, to).

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
        numbers.residual = find_residual(draw, k, instance);
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

/// A term of levels in registers, see struct pbit_bit_product.
struct product {
    VECTOR least, low, high, half, shift;
};

INLINE struct product load_product(const struct pbit_bit_channel *channel)
{
    const struct pbit_bit_product *product = &channel->product;
    return (struct product){SET_16(channel->least), SET_16(product->low),
                            set_integer(product->high | 1 << 16), set_integer(product->half),
                            set_integer((int)product->shift)};
}

/// Adds the products to z, of which the halves of each 128 bits lie apart.
INLINE void add_products(const struct product *by, VECTOR numbers, VECTOR z[2])
{
    VECTOR carried = MULTIPLY_HIGH_S16(numbers, by->low);
    VECTOR lower = ADD_PRODUCTS_OF_PAIRS(by->half, UNPACK_LOW_16(numbers, carried), by->high),
           upper = ADD_PRODUCTS_OF_PAIRS(by->half, UNPACK_HIGH_16(numbers, carried), by->high);
    z[0] = ADD_32(z[0], RIGHT_BY_32(lower, by->shift));
    z[1] = ADD_32(z[1], RIGHT_BY_32(upper, by->shift));
}

/// (255 * z + 32768) >> 16 is (255 * (z - 32768) >> 16) + 128.
INLINE void write_words(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                        uint8_t *plane)
{
    struct product term[PBIT_BIT_TERMS], last = {.low = VECTOR_ZERO()};
    int32_t bias = -32768;
    UNROLL for (int t = 0; t < terms; t++)
    {
        term[t] = load_product(&draw->term[t].channel[k]);
        bias += draw->term[t].channel[k].bias;
    }
    if (residual) {
        last = load_product(&draw->residual.channel[k]);
        bias += draw->residual.channel[k].bias;
    }
    const VECTOR start = set_integer(bias);
    const size_t count = draw->count;
    for (size_t instance = 0; instance < draw->instances; instance++, plane += count) {
        const struct numbers numbers = find_numbers(terms, residual, draw, k, instance);
        if (terms == 0 && !residual && instance > 0) { // all have the same z
            memcpy(plane, plane - count, count);
            continue;
        }
        for (size_t i = 0; i < count; i += WORDS) {
            VECTOR z[2] = {start, start}, words;
            UNROLL for (int t = 0; t < terms; t++)
                add_products(&term[t], ADD_16(VECTOR_LOAD(numbers.sums[t] + i), term[t].least), z);
            if (residual)
                add_products(&last, WIDEN_16(numbers.residual + i), z);
            if (terms == 0 && !residual) {
                const int32_t *in = draw->z + k * draw->stride + i;
                words = join_words(ADD_32(start, clamp(load_integers(in))),
                                   ADD_32(start, clamp(load_integers(in + LANES))));
            } else {
                words = PACK_32(z[0], z[1]);
            }
            uint8_t few[WORDS] = {0};
            store_levels(ADD_16(MULTIPLY_HIGH_S16(words, SET_16(255)), SET_16(128)),
                         count - i < WORDS ? few : plane + i);
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
