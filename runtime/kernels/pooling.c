// MAXPOOL and SUMPOOL over the taps inside the image.
#include "runtime/kernels/kernels.h"

/// Calls `body` with `at`, the index of the tap's pixel in the input from its row `first_row` on, for every
/// inside tap of output (oy, ox).
#define FOR_EACH_TAP(window, input, first_row, oy, ox, at, body)                                             \
    do {                                                                                                     \
        int64_t y = (int64_t)(oy) * (window)->stride_y - (window)->pad_y;                                    \
        int64_t x = (int64_t)(ox) * (window)->stride_x - (window)->pad_x;                                    \
        struct pbit_taps ty =                                                                                \
            pbit_taps_inside(y, (window)->kernel_y, (window)->dilation_y, (input)->height);                  \
        struct pbit_taps tx = pbit_taps_inside(x, (window)->kernel_x, (window)->dilation_x, (input)->width); \
        for (uint32_t ky = ty.first; ky < ty.end; ky++)                                                      \
            for (uint32_t kx = tx.first; kx < tx.end; kx++) {                                                \
                size_t at =                                                                                  \
                    (size_t)(y + (int64_t)ky * (window)->dilation_y - (first_row)) * (input)->width +        \
                    (size_t)(x + (int64_t)kx * (window)->dilation_x);                                        \
                body;                                                                                        \
            }                                                                                                \
    } while (0)

#define DEFINE_MAXPOOL(name, type, lowest)                                                                   \
    static void name##_row(const struct pbit_operation *pool, const struct pbit_tensor *input,               \
                           const struct pbit_tensor *output, uint32_t oy, uint32_t first_row,                \
                           const type *in, type *out)                                                        \
    {                                                                                                        \
        for (uint32_t ox = 0; ox < output->width; ox++, out += output->channels) {                           \
            for (uint32_t c = 0; c < output->channels; c++)                                                  \
                out[c] = lowest;                                                                             \
            FOR_EACH_TAP(&pool->window, input, first_row, oy, ox, at, {                                      \
                const type *pixel = in + at * input->channels;                                               \
                for (uint32_t c = 0; c < output->channels; c++)                                              \
                    out[c] = pixel[c] > out[c] ? pixel[c] : out[c];                                          \
            });                                                                                              \
        }                                                                                                    \
    }                                                                                                        \
    void name(const struct pbit_operation *pool, const struct pbit_tensor *input,                            \
              const struct pbit_tensor *output, const type *in, type *out)                                   \
    {                                                                                                        \
        size_t line = (size_t)output->width * output->channels;                                              \
        for (uint32_t oy = 0; oy < output->height; oy++)                                                     \
            name##_row(pool, input, output, oy, 0, in, out + oy * line);                                     \
    }

DEFINE_MAXPOOL(pbit_maxpool_levels, uint8_t, 0)
DEFINE_MAXPOOL(pbit_maxpool_fixed, int32_t, INT32_MIN)

void pbit_maxpool_part(const struct pbit_operation *pool, const struct pbit_tensor *input,
                       const struct pbit_tensor *output, uint32_t row, uint32_t first_row, const int32_t *in,
                       int32_t *out)
{
    pbit_maxpool_fixed_row(pool, input, output, row, first_row, in, out);
}

void pbit_sumpool(const struct pbit_operation *pool, const struct pbit_tensor *input,
                  const struct pbit_tensor *output, const int32_t *in, int32_t *out)
{
    int64_t multiplier = pool->multipliers;
    for (uint32_t oy = 0; oy < output->height; oy++)
        for (uint32_t ox = 0; ox < output->width; ox++, out += output->channels)
            for (uint32_t c = 0; c < output->channels; c++) {
                int64_t sum = 0;
                FOR_EACH_TAP(&pool->window, input, 0, oy, ox, at, sum += in[at * input->channels + c]);
                out[c] = pbit_saturate(pbit_round_shift(sum * multiplier, pool->shift));
            }
}
