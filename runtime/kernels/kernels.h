// The scalar kernels: the reference that every other kernel must equal bit for bit (FORMAT.md, section 3).
// Shapes are written at the pointers; levels tensors are u8, fixed tensors i32, all H x W x C.
#ifndef PBIT_KERNELS_H
#define PBIT_KERNELS_H

#include "runtime/format.h"
#include "runtime/sampler.h"

/// One CONV. in: u8[H][W][C] with `levels` = L. out: i32[H'][W'][C']. row: int16_t[fan-in] of scratch.
void pbit_conv(const struct pbit_model *model, const struct pbit_operation *conv,
               const struct pbit_tensor *input, const struct pbit_tensor *output, uint32_t levels,
               const uint8_t *in, int32_t *out, int16_t *row);

/// What one call computes of a CONV: some rows and channels of its output, for several passes at once, so
/// that each weight is fetched and unpacked once for all of them.
struct pbit_conv_part {
    uint32_t levels; ///< L of the input
    uint32_t first_row, rows;
    uint32_t first_channel, channels;
    uint32_t passes;
    size_t in_stride, out_stride; ///< elements from one pass to the next
};
/// in: u8[passes][H][W][C]. out: i32[passes][rows][W'][channels]. Bits as pbit_conv.
void pbit_conv_rows(const struct pbit_model *model, const struct pbit_operation *conv,
                    const struct pbit_tensor *input, const struct pbit_tensor *output,
                    const struct pbit_conv_part *part, const uint8_t *in, int32_t *out, int16_t *row);

/// One NEURON in pass `sample` (0-based). in: i32[n], out: u8[n], n the elements of `output`.
struct pbit_draw {
    uint64_t seed, image;
    uint32_t sample;
    uint32_t levels;
    enum pbit_sampler sampler;
};
void pbit_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                 const struct pbit_tensor *output, const struct pbit_draw *draw, const int32_t *in,
                 uint8_t *out);

/// The same in pieces: after `begin`, each `continue` makes the next `count` levels.
struct pbit_neuron_state {
    struct pbit_lanes lanes;
    uint32_t next; ///< lane of the next neuron
};
void pbit_neuron_begin(struct pbit_neuron_state *state, const struct pbit_operation *neuron,
                       const struct pbit_draw *draw);
void pbit_neuron_continue(const struct pbit_model *model, const struct pbit_operation *neuron,
                          const struct pbit_draw *draw, struct pbit_neuron_state *state, size_t count,
                          const int32_t *in, uint8_t *out);

/// P of one pre-activation, 0..65536.
uint32_t pbit_probability(const struct pbit_model *model, const struct pbit_operation *neuron, int32_t z);

void pbit_maxpool_levels(const struct pbit_operation *pool, const struct pbit_tensor *input,
                         const struct pbit_tensor *output, const uint8_t *in, uint8_t *out);
void pbit_maxpool_fixed(const struct pbit_operation *pool, const struct pbit_tensor *input,
                        const struct pbit_tensor *output, const int32_t *in, int32_t *out);
/// Row `row` of the output of pbit_maxpool_fixed. in: the input from its row `first_row` on; out: i32[W'][C].
void pbit_maxpool_part(const struct pbit_operation *pool, const struct pbit_tensor *input,
                       const struct pbit_tensor *output, uint32_t row, uint32_t first_row, const int32_t *in,
                       int32_t *out);
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
