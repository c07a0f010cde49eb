// MAXPOOL; see fast_kernels.h. meson.build compiles it once for each kind of processor, under a name of its
// own.
#include "runtime/kernels/fast_kernels.h"

#define DEFINE_POOL(name, type)                                                                              \
    static void name(const struct pbit_window *window, const struct pbit_tensor *input,                      \
                     const struct pbit_tensor *output, const type *restrict in, type *restrict out)          \
    {                                                                                                        \
        size_t channels = input->channels, line = input->width * channels;                                   \
        for (uint32_t y = 0; y < output->height; y++)                                                        \
            for (uint32_t x = 0; x < output->width; x++, out += channels) {                                  \
                const type *first =                                                                          \
                    in + (size_t)y * window->stride_y * line + (size_t)x * window->stride_x * channels;      \
                memcpy(out, first, channels * sizeof(type));                                                 \
                for (uint32_t ky = 0; ky < window->kernel_y; ky++)                                           \
                    for (uint32_t kx = ky == 0; kx < window->kernel_x; kx++) {                               \
                        const type *tap = first + (size_t)ky * window->dilation_y * line +                   \
                                          (size_t)kx * window->dilation_x * channels;                        \
                        for (size_t c = 0; c < channels; c++)                                                \
                            out[c] = tap[c] > out[c] ? tap[c] : out[c];                                      \
                    }                                                                                        \
            }                                                                                                \
    }

DEFINE_POOL(pool_levels, uint8_t)
DEFINE_POOL(pool_fixed, int32_t)

void pbit_fast_maxpool(const struct pbit_operation *pool, const struct pbit_tensor *input,
                       const struct pbit_tensor *output, const void *in, void *out)
{
    if (output->kind == PBIT_FIXED)
        pool_fixed(&pool->window, input, output, in, out);
    else
        pool_levels(&pool->window, input, output, in, out);
}
