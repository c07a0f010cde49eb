// The scalar kernels: the reference that every other kernel must equal bit for bit (FORMAT.md, section 3).
// Shapes are written at the pointers; levels tensors are u8, fixed tensors i32, all H x W x C.
#ifndef PBIT_KERNELS_H
#define PBIT_KERNELS_H

#include "runtime/format.h"

/// One CONV. in: u8[H][W][C] with `levels` = L. out: i32[H'][W'][C']. row: int16_t[fan-in] of scratch.
void pbit_conv(const struct pbit_model *model, const struct pbit_operation *conv,
               const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t levels,
               const uint8_t *in, int32_t *out, int16_t *row);

/// One NEURON in pass `sample` of `samples`. in: i32[n], out: u8[n], n the elements of `output`.
struct pbit_draw {
    uint64_t seed, image;
    uint32_t sample, samples;
    uint32_t levels;
    enum pbit_sampler sampler;
};
void pbit_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                 const struct pbit_tensor *output, const struct pbit_draw *draw, const int32_t *in,
                 uint8_t *out);

/// P of one pre-activation, 0..65536.
uint32_t pbit_probability(const struct pbit_model *model, const struct pbit_operation *neuron, int32_t z);

void pbit_maxpool_levels(const struct pbit_operation *pool, const struct pbit_tensor *input,
                         const struct pbit_tensor *output, const uint8_t *in, uint8_t *out);
void pbit_maxpool_fixed(const struct pbit_operation *pool, const struct pbit_tensor *input,
                        const struct pbit_tensor *output, const int32_t *in, int32_t *out);
void pbit_sumpool(const struct pbit_operation *pool, const struct pbit_tensor *input,
                  const struct pbit_tensor *output, const int32_t *in, int32_t *out);

/// out[n] = sat32(a[n] + b[n]).
void pbit_add(const int32_t *a, const int32_t *b, int32_t *out, size_t n);
/// in[p][channels] goes to out[p][first .. first + channels - 1] of `output`; size: bytes of an element.
void pbit_concat_part(const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t first,
                      size_t size, const uint8_t *in, uint8_t *out);
void pbit_permute(const struct pbit_model *model, const struct pbit_operation *permute,
                  const struct pbit_tensor *output, size_t size, const uint8_t *in, uint8_t *out);

/// The taps k of a window with 0 <= origin + k * dilation < extent: first .. end - 1.
struct pbit_taps {
    uint32_t first, end;
};
struct pbit_taps pbit_taps_inside(int64_t origin, uint32_t kernel, uint32_t dilation, uint32_t extent);

#endif
