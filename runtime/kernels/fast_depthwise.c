// CONV of single channels: the identity branches of residuals, average pools of levels, depthwise
// convolutions. meson.build compiles it once for each kind of processor, under a name of its own.
#include "runtime/kernels/fast_kernels.h"

enum { LANES = 16 };
typedef uint8_t bytes_vector __attribute__((vector_size(LANES)));
typedef int16_t words_vector __attribute__((vector_size(2 * LANES)));
typedef int32_t sums_vector __attribute__((vector_size(4 * LANES)));

/// LANES channels: compilers left to themselves take as many as there are bytes in a vector.
static inline void add_products(const uint8_t *levels, const int16_t *weights, int32_t *sums)
{
    bytes_vector x;
    words_vector w;
    sums_vector sum;
    memcpy(&x, levels, sizeof(x));
    memcpy(&w, weights, sizeof(w));
    memcpy(&sum, sums, sizeof(sum));
    words_vector wide = __builtin_convertvector(x, words_vector); // in two steps: gcc 12 knows no more
    sum += __builtin_convertvector(wide, sums_vector) * __builtin_convertvector(w, sums_vector);
    memcpy(sums, &sum, sizeof(sum));
}

/// All channels of a pixel. in: its first tap.
static inline void sum_taps(const struct pbit_depthwise *packed, const struct pbit_window *window,
                            size_t channels, size_t line, const uint8_t *restrict in, int32_t *restrict sums)
{
    const int16_t *weights = packed->weights;
    memset(sums, 0, channels * sizeof(*sums));
    for (uint32_t y = 0; y < window->kernel_y; y++)
        for (uint32_t x = 0; x < window->kernel_x; x++, weights += channels) {
            const uint8_t *levels = in + y * window->dilation_y * line + x * window->dilation_x * channels;
            size_t c = 0;
            for (; c + LANES <= channels; c += LANES)
                add_products(levels + c, weights + c, sums + c);
            for (; c < channels; c++)
                sums[c] += levels[c] * weights[c];
        }
}

static inline void requantize(const int32_t *restrict multipliers, const int32_t *restrict biases,
                              uint32_t shift, size_t channels, int32_t *restrict z)
{
    int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
    for (size_t c = 0; c < channels; c++) {
        int64_t exact = (((int64_t)z[c] * multipliers[c] + half) >> shift) + biases[c];
        exact = exact < INT32_MIN ? INT32_MIN : exact; // pbit_saturate without a branch
        exact = exact > INT32_MAX ? INT32_MAX : exact;
        z[c] = (int32_t)exact;
    }
}

enum { HALF = LANES / 2 };
typedef uint8_t half_bytes __attribute__((vector_size(HALF)));
typedef int16_t half_words __attribute__((vector_size(2 * HALF)));
typedef int32_t half_sums __attribute__((vector_size(4 * HALF)));
typedef int64_t half_products __attribute__((vector_size(8 * HALF)));

/// HALF channels whose only tap is the pixel itself: weights and multipliers are one factor.
struct half_channels {
    int64_t factor[HALF], bias[HALF];
    uint32_t shift;
    int fits; ///< z in 32 bits, and bias << shift in 64, whatever the levels
};

static inline void scale_half(const int fits, const struct half_channels *half, size_t channels,
                              size_t pixels, const uint8_t *in, int32_t *out)
{
    const int64_t middle = half->shift ? (int64_t)1 << (half->shift - 1) : 0;
    half_products factor, bias;
    memcpy(&factor, half->factor, sizeof(factor));
    memcpy(&bias, half->bias, sizeof(bias));
    const half_products start = (fits ? bias << half->shift : bias - bias) + middle;
    for (size_t p = 0; p < pixels; p++, in += channels, out += channels) {
        half_bytes x;
        memcpy(&x, in, sizeof(x));
        half_sums level = __builtin_convertvector(__builtin_convertvector(x, half_words), half_sums);
        half_products z = (__builtin_convertvector(level, half_products) * factor + start) >> half->shift;
        if (!fits) {
            z += bias;
            half_products below = z<INT32_MIN, above = z> INT32_MAX;
            z = (z & ~(below | above)) | (below & INT32_MIN) | (above & INT32_MAX);
        }
        level = __builtin_convertvector(z, half_sums);
        memcpy(out, &level, sizeof(level));
    }
}

static void pick_half(const struct pbit_depthwise *packed, const int32_t *multipliers, size_t first,
                      struct half_channels *half)
{
    half->fits = half->shift <= 62;
    for (size_t j = 0; j < HALF; j++) {
        int64_t factor = (int64_t)packed->weights[first + j] * multipliers[first + j],
                bias = packed->biases[first + j];
        int64_t reach = factor < 0 ? -factor : factor, offset = bias < 0 ? -bias : bias;
        half->factor[j] = factor;
        half->bias[j] = bias;
        half->fits = half->fits && offset < INT64_MAX >> 1 >> half->shift &&
                     (PBIT_BYTE_LEVELS * reach >> half->shift) + offset < INT32_MAX;
    }
}

static void scale_pixels(const struct pbit_depthwise *packed, const int32_t *multipliers, uint32_t shift,
                         size_t channels, size_t pixels, const uint8_t *in, int32_t *out)
{
    for (size_t c = 0; c < channels; c += HALF) {
        struct half_channels half = {.shift = shift};
        pick_half(packed, multipliers, c, &half);
        if (half.fits)
            scale_half(1, &half, channels, pixels, in + c, out + c);
        else
            scale_half(0, &half, channels, pixels, in + c, out + c);
    }
}

void pbit_depthwise(const struct pbit_depthwise *packed, const int32_t *multipliers,
                    const struct pbit_operation *conv, const struct pbit_tensor *output, size_t line,
                    const uint8_t *in, int32_t *out)
{
    const struct pbit_window *window = &conv->window;
    size_t channels = output->channels, pixels = (size_t)output->height * output->width;
    if (window->kernel_y * window->kernel_x == 1 && window->stride_y == 1 && window->stride_x == 1 &&
        channels % HALF == 0 && line == output->width * channels) {
        scale_pixels(packed, multipliers, conv->shift, channels, pixels, in, out);
        return;
    }
    for (uint32_t y = 0; y < output->height; y++)
        for (uint32_t x = 0; x < output->width; x++, out += channels) {
            sum_taps(packed, window, channels, line,
                     in + (size_t)y * window->stride_y * line + (size_t)x * window->stride_x * channels, out);
            requantize(multipliers, packed->biases, conv->shift, channels, out);
        }
}
