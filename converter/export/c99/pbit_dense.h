// Dense layers with weights of 4 bits on a small core: weights are used as they lie in flash, several at a
// time. The bits are those of pbit_conv_rows.
#ifndef PBIT_DENSE_H
#define PBIT_DENSE_H

#include "runtime/kernels/kernels.h"

enum {
    PBIT_DENSE_PASSES = 4,      ///< at most, together
    PBIT_DENSE_FAN_IN = 1 << 13 ///< at most: the packed sums of 16 bits hold so many weights
};

/// Whether a CONV is dense (its kernel is its whole input, in one group) with weights that this file can use.
static inline int pbit_dense_can(const struct pbit_operation *conv, const struct pbit_tensor *input,
                                 const struct pbit_tensor *output)
{
    const struct pbit_window *w = &conv->window;
    return conv->weight_bits == 4 && conv->weight_group == 0 && conv->groups == 1 &&
           w->kernel_y == input->height && w->kernel_x == input->width && w->pad_y == 0 && w->pad_x == 0 &&
           (w->dilation_y == 1 || w->kernel_y == 1) && (w->dilation_x == 1 || w->kernel_x == 1) &&
           output->height == 1 && output->width == 1 && pbit_tensor_elements(input) <= PBIT_DENSE_FAN_IN;
}

/// Bytes of `row` for `passes` passes.
static inline size_t pbit_dense_scratch(size_t fan_in, uint32_t passes)
{
    size_t words = (fan_in + 7) / 8, masks = words * (passes > 2 ? 4 : passes) * sizeof(uint32_t);
    size_t pairs = passes < 2 ? 0 : words * 8 * ((passes + 1) / 2) * sizeof(uint32_t);
    return PBIT_DENSE_PASSES * sizeof(int32_t) + (pairs > masks ? pairs : masks);
}

/// As pbit_conv_rows. `row` holds what is made of `in` when first_channel is 0 and used by the calls for the
/// other channels.
void pbit_dense_rows(const struct pbit_model *model, const struct pbit_operation *conv,
                     const struct pbit_tensor *input, const struct pbit_tensor *output,
                     const struct pbit_conv_part *part, const uint8_t *in, int32_t *out, int16_t *row);

#endif
