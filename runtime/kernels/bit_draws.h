// NEURONs on bits in floats, where theta is no line or sums have 32 bits, and which way a NEURON goes.
// Included by bit_tiles.h.

/// A channel in an instance, in registers.
struct one {
    const void *sums[PBIT_BIT_TERMS];
    int wide[PBIT_BIT_TERMS];
    FLOATS scale[PBIT_BIT_TERMS], residual_scale, offset, margin, amplitude;
    double step[PBIT_BIT_TERMS], half[PBIT_BIT_TERMS], residual_step, bias; ///< of levels
    const uint8_t *residual;
    uint8_t mask;
    const int32_t *z;
    const uint16_t *random;
    uint32_t order;
    int rho;
    const struct pbit_bit_theta *pieces;
};

/// What is the same in all instances. Linear neurons compare z - 32768 with the noise.
INLINE struct one pick_channel(const int linear, const int terms, const int residual,
                               const struct pbit_bit_draw *draw, uint32_t k)
{
    float offset = linear ? -32768 : 0, margin = draw->margin;
    struct one one = {.amplitude = set_float(draw->amplitude),
                      .z = draw->z + k * draw->stride,
                      .rho = (int)draw->rho,
                      .pieces = draw->pieces};
    UNROLL for (int t = 0; t < terms; t++)
    {
        const struct pbit_bit_channel *channel = &draw->term[t].channel[k];
        one.wide[t] = draw->term[t].wide;
        one.scale[t] = set_float(channel->scale);
        one.step[t] = channel->step;
        one.half[t] = channel->least * channel->step + 0.5;
        one.bias += channel->bias;
        offset += channel->offset;
        margin += channel->margin;
    }
    if (residual) {
        const struct pbit_bit_channel *channel = &draw->residual.channel[k];
        one.mask = draw->residual.levels ? PBIT_BYTE_LEVELS : (uint8_t)(1 << k);
        one.residual_scale = set_float(channel->scale);
        one.residual_step = channel->step;
        one.bias += channel->bias;
        offset += channel->offset;
        margin += channel->margin;
    }
    one.offset = set_float(offset);
    one.margin = set_float(margin);
    return one;
}

/// A channel's columns: a plane of levels of its own, or a bit of the planes of all.
INLINE const uint8_t *find_residual(const struct pbit_bit_draw *draw, uint32_t k, size_t instance)
{
    return draw->residual.planes + (draw->residual.levels ? k * draw->residual.stride : 0) +
           instance * draw->count;
}

INLINE void pick_instance(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                          size_t instance, struct one *one)
{
    UNROLL for (int t = 0; t < terms; t++)
    {
        const struct pbit_bit_term *term = &draw->term[t];
        size_t at = k * term->stride + instance * term->pitch;
        one->sums[t] = (const uint8_t *)term->sums + at * (term->wide ? sizeof(int32_t) : sizeof(uint16_t));
    }
    if (residual)
        one->residual = find_residual(draw, k, instance);
    if (!draw->levels) {
        one->random = draw->random + instance / draw->random_shared * draw->random_pitch + k * draw->stride;
        one->order = draw->order[instance];
    }
}

/// z of LANES columns from column i on.
INLINE FLOATS sum_terms(const int terms, const int residual, const struct one *one, size_t i)
{
    FLOATS z = one->offset;
    if (terms == 0 && !residual)
        z = to_float(clamp(load_integers(one->z + i)));
    UNROLL for (int t = 0; t < terms; t++)
    {
        INTEGERS sums = one->wide[t] ? load_integers((const int32_t *)one->sums[t] + i)
                                     : load_words((const uint16_t *)one->sums[t] + i);
        z = MULTIPLY_ADD(to_float(sums), one->scale[t], z);
    }
    if (residual)
        z = MULTIPLY_ADD(to_float(load_bytes(one->residual + i, one->mask)), one->residual_scale, z);
    return z;
}

/// Which bits are 1, and which of them floats cannot tell. Linear neurons have theta(u) = u, others a
/// straight piece by the upper bits of u; v' is off by less than 1 where its rounding is left out.
/// Linear neurons that read z need no floats.
INLINE MASK compare(const int linear, const int terms, const int residual, const struct one *one, size_t i,
                    MASK *unclear)
{
    INTEGERS words = load_noise(one->random + i, one->order);
    if (linear && terms == 0 && !residual) {
        *unclear = 0;
        return less(stretch(words, one->rho), load_integers(one->z + i));
    }
    FLOATS z = sum_terms(terms, residual, one, i), margin = one->margin, noise = to_float(words);
    if (linear) {
        z = SUBTRACT_PRODUCT(noise, one->amplitude, z);
    } else {
        FLOATS u = MULTIPLY_ADD(noise, one->amplitude, set_float(32768));
        INTEGERS piece = RIGHT_32(to_integer(u), 10);
        FLOATS theta = MULTIPLY_ADD(u, look_up_float(one->pieces->slope, piece),
                                    look_up_float(one->pieces->start, piece));
        z = SUBTRACT_FLOAT(z, theta);
        margin = ADD_FLOAT(margin, look_up_float(one->pieces->margin, piece));
    }
    *unclear = smaller_than(z, margin);
    return positive(z);
}

static __attribute__((noinline)) uint32_t decide(const struct pbit_bit_draw *draw, uint32_t k,
                                                 size_t instance, size_t i, uint32_t ones, uint32_t unclear)
{
    for (; unclear; unclear &= unclear - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(unclear);
        ones = (ones & ~(1u << lane)) | (uint32_t)pbit_bit_exact(draw, k, instance, i + lane) << lane;
    }
    return ones;
}

INLINE void draw_channel(const int linear, const int terms, const int residual,
                         const struct pbit_bit_draw *draw, uint32_t k, uint8_t *plane)
{
    struct one one = pick_channel(linear, terms, residual, draw, k);
    const uint8_t bit = (uint8_t)(1 << k);
    size_t count = draw->count;
    for (size_t instance = 0; instance < draw->instances; instance++, plane += count) {
        pick_instance(terms, residual, draw, k, instance, &one);
        size_t i = 0;
        for (; i + LANES <= count; i += LANES) {
            MASK unclear, ones = compare(linear, terms, residual, &one, i, &unclear);
            if (__builtin_expect(unclear != 0, 0))
                ones = (MASK)decide(draw, k, instance, i, ones, unclear);
            add_bits(plane + i, ones, bit);
        }
        if (i < count) {
            MASK inside = (MASK)((1u << (count - i)) - 1);
            uint8_t few[LANES] = {0}; // others may be at work on what lies beyond
            MASK unclear, ones = compare(linear, terms, residual, &one, i, &unclear);
            memcpy(few, plane + i, count - i);
            add_bits(few, (MASK)decide(draw, k, instance, i, ones & inside, unclear & inside), bit);
            memcpy(plane + i, few, count - i);
        }
    }
}

/// RS of FORMAT.md of HALF products: doubles hold them exactly, and 0.5 more (engine_bits_plan.c). `half` is
/// 0.5 and the product of what the sum counts from.
INLINE DOUBLES round_products(INTEGERS_HALF sums, double scale, double half)
{
    return floor_double(MULTIPLY_ADD_DOUBLE(to_double(sums), set_double(scale), set_double(half)));
}

/// Exact levels of half a vector of columns.
INLINE INTEGERS_HALF find_levels(const int terms, const int residual, const struct one *one, size_t i)
{
    DOUBLES z = set_double(one->bias);
    UNROLL for (int t = 0; t < terms; t++)
    {
        INTEGERS_HALF sums = one->wide[t] ? load_half_integers((const int32_t *)one->sums[t] + i)
                                          : load_half_words((const uint16_t *)one->sums[t] + i);
        z = ADD_DOUBLE(z, round_products(sums, one->step[t], one->half[t]));
    }
    if (residual)
        z = ADD_DOUBLE(
            z, round_products(load_half_bytes(one->residual + i, one->mask), one->residual_step, 0.5));
    z = clip(z, set_double(0), set_double(65536));
    return to_integer_double(MULTIPLY_ADD_DOUBLE(z, set_double(255.0 / 65536), set_double(0.5)));
}

INLINE void write_channel(const int terms, const int residual, const struct pbit_bit_draw *draw, uint32_t k,
                          uint8_t *plane)
{
    struct one one = pick_channel(0, terms, residual, draw, k);
    uint8_t few[LANES] = {0};
    size_t count = draw->count;
    for (size_t instance = 0; instance < draw->instances; instance++, plane += count) {
        pick_instance(terms, residual, draw, k, instance, &one);
        for (size_t i = 0; i < count; i += LANES) {
            uint8_t *levels = count - i < LANES ? few : plane + i;
            store_bytes(find_levels(terms, residual, &one, i),
                        find_levels(terms, residual, &one, i + LANES / 2), levels);
            if (count - i < LANES)
                memcpy(plane + i, few, count - i);
        }
    }
}

#define DRAW(name, terms, residual)                                                                          \
    static TARGET                                                                                            \
        __attribute__((noinline)) void theta_##name(const struct pbit_bit_draw *draw, uint8_t *plane)        \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            draw_channel(0, terms, residual, draw, k, plane);                                                \
    }                                                                                                        \
    static TARGET                                                                                            \
        __attribute__((noinline)) void linear_##name(const struct pbit_bit_draw *draw, uint8_t *plane)       \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            draw_channel(1, terms, residual, draw, k, plane);                                                \
    }
#define WRITE(name, terms, residual)                                                                         \
    static TARGET                                                                                            \
        __attribute__((noinline)) void levels_##name(const struct pbit_bit_draw *draw, uint8_t *plane)       \
    {                                                                                                        \
        for (uint32_t k = 0; k < draw->channels; k++)                                                        \
            write_channel(terms, residual, draw, k, plane + k * draw->plane_stride);                         \
    }
DRAW(of_z, 0, 0)
DRAW(of_one, 1, 0)
DRAW(of_two, 2, 0)
DRAW(of_residual, 0, 1)
DRAW(of_one_and_residual, 1, 1)
WRITE(of_one, 1, 0)
WRITE(of_two, 2, 0)
WRITE(of_residual, 0, 1)
WRITE(of_one_and_residual, 1, 1)

#include "runtime/kernels/bit_words.h"

#include "runtime/kernels/bit_limits.h"

static int all_products_fit(const struct pbit_bit_draw *draw)
{
    int fit = !draw->residual.planes || draw->residual.levels;
    for (uint32_t k = 0; k < draw->channels; k++) {
        for (uint32_t t = 0; t < draw->terms; t++)
            fit &= !draw->term[t].wide && draw->term[t].channel[k].product.shift > 0;
        fit &= !draw->residual.planes || draw->residual.channel[k].product.shift > 0;
    }
    return fit;
}

static void draw(const struct pbit_bit_draw *draw, uint8_t *plane)
{
    if (draw_fixed(draw, plane))
        return;
    enum { THETA, LINEAR, BITS, LEVELS, ROUNDED, PIECES, MOST_REACH = 400 };
    static pbit_bit_draw_function *const functions[][5] = {
        {theta_of_z, theta_of_one, theta_of_two, theta_of_residual, theta_of_one_and_residual},
        {linear_of_z, linear_of_one, linear_of_two, linear_of_residual, linear_of_one_and_residual},
        {linear_of_z, bits_of_one, bits_of_two, bits_of_residual, bits_of_one_and_residual},
        {rounded_of_z, levels_of_one, levels_of_two, levels_of_residual, levels_of_one_and_residual},
        {rounded_of_z, rounded_of_one, rounded_of_two, rounded_of_residual, rounded_of_one_and_residual},
        {theta_of_z, pieces_of_one, pieces_of_two, pieces_of_residual, pieces_of_one_and_residual}};
    int way = draw->levels ? (all_products_fit(draw) ? ROUNDED : LEVELS)
              : draw->limits && draw->limits->reach <= MOST_REACH ? PIECES
              : draw->pieces                                      ? THETA
              : draw->words                                       ? BITS
                                                                  : LINEAR;
    functions[way][draw->residual.planes ? 3 + draw->terms : draw->terms](draw, plane);
}
