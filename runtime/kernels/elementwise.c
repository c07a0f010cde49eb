// ADD, CONCAT and PERMUTE.
#include "runtime/kernels/kernels.h"

void pbit_add(const int32_t *a, const int32_t *b, int32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) { // in 32 bits, which compilers turn into vectors
        uint32_t sum = (uint32_t)a[i] + (uint32_t)b[i];
        int32_t limit = (int32_t)((uint32_t)(a[i] >> 31) ^ INT32_MAX);
        int overflows = (int32_t)(((uint32_t)a[i] ^ sum) & ((uint32_t)b[i] ^ sum)) < 0;
        out[i] = overflows ? limit : (int32_t)sum;
    }
}

/// memcpy for builds without a C library; compilers know the pattern.
static void copy(uint8_t *restrict to, const uint8_t *restrict from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = from[i];
}

void pbit_concat_part(const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t first,
                      size_t size, const uint8_t *in, uint8_t *out)
{
    size_t pixels = (size_t)output->height * output->width, bytes = input->channels * size;
    for (size_t p = 0; p < pixels; p++)
        copy(out + (p * output->channels + first) * size, in + p * bytes, bytes);
}

void pbit_permute(const struct pbit_model *model, const struct pbit_operation *permute,
                  const struct pbit_tensor *output, size_t size, const uint8_t *in, uint8_t *out)
{
    const uint8_t *index = model->bytes + permute->table;
    size_t count = pbit_tensor_elements(output);
    for (size_t i = 0; i < count; i++)
        copy(out + i * size, in + pbit_load_u32(index + 4 * i) * size, size);
}
