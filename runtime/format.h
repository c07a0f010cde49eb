// The records of a .pbit file as structs (FORMAT.md, sections 2 and 3), read on any byte order and alignment.
#ifndef PBIT_FORMAT_H
#define PBIT_FORMAT_H

#include "runtime/pbit.h"

#if __STDC_HOSTED__
#include <string.h>
#endif

enum {
    PBIT_VERSION = 1,
    PBIT_HEADER_BYTES = 80,
    PBIT_TENSOR_BYTES = 32,
    PBIT_OPERATION_BYTES = 96,
    PBIT_PORT_BYTES = 16,
    PBIT_TENSORS_LIMIT = 4096,
    PBIT_OPERATIONS_LIMIT = 4096,
    PBIT_PORTS_LIMIT = 16,
    PBIT_INPUTS_LIMIT = 255,
    PBIT_DIMENSION_LIMIT = 1 << 24,
    PBIT_ELEMENTS_LIMIT = 1 << 28,
    PBIT_KERNEL_LIMIT = 1 << 15,
    PBIT_SEGMENTS_LIMIT = 4096,
    PBIT_THETA_ENTRIES = 257,
    PBIT_ONE = 65536, ///< 1.0 in Q16, and probability 1
    PBIT_BYTE_LEVELS = 255,
};

/// Flags of an output.
enum { PBIT_OUTPUT_SOFTMAX = 1, PBIT_OUTPUT_CHANNELS_LAST = 2, PBIT_OUTPUT_LOG_SOFTMAX = 4 };

/// Offsets of the header's fields.
enum pbit_header {
    PBIT_HEADER_MAGIC = 0,
    PBIT_HEADER_VERSION = 4,
    PBIT_HEADER_SIZE = 8,
    PBIT_HEADER_CRC = 12,
    PBIT_HEADER_TENSOR_COUNT = 16,
    PBIT_HEADER_OPERATION_COUNT = 20,
    PBIT_HEADER_INPUT_COUNT = 24,
    PBIT_HEADER_OUTPUT_COUNT = 28,
    PBIT_HEADER_TENSORS = 32,
    PBIT_HEADER_OPERATIONS = 36,
    PBIT_HEADER_INPUTS = 40,
    PBIT_HEADER_OUTPUTS = 44,
    PBIT_HEADER_METADATA = 48,
    PBIT_HEADER_METADATA_BYTES = 52,
    PBIT_HEADER_WORKSPACE = 56,
    PBIT_HEADER_MAX_DRAWS = 60,
    PBIT_HEADER_MAX_SAMPLES = 64,
    PBIT_HEADER_DRAWS = 68,
    PBIT_HEADER_SAMPLES = 72,
    PBIT_HEADER_SAMPLER = 76,
};

enum pbit_tensor_kind { PBIT_LEVELS = 0, PBIT_FIXED = 1 };

enum pbit_neuron_kind { PBIT_NEURON_COUNT = 0, PBIT_NEURON_MULTIBIT = 1 };

enum pbit_neuron_function { PBIT_FUNCTION_LINEAR = 0, PBIT_FUNCTION_THETA = 1, PBIT_FUNCTION_CURVE = 2 };

struct pbit_tensor {
    const char *name;
    uint32_t kind;
    uint32_t draw_factor; ///< q of levels; 0: L = 255
    uint32_t height, width, channels;
    uint32_t workspace_offset;
};

struct pbit_window {
    uint32_t kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x;
};

/// One operation; which fields mean something depends on `kind`. Tables are 4-aligned offsets into the file.
struct pbit_operation {
    uint32_t kind; ///< enum pbit_operation_kind
    const char *name;
    uint32_t input_count;
    uint32_t inputs; ///< offset of u32[input_count]
    uint32_t output;
    struct pbit_window window; ///< CONV, MAXPOOL, SUMPOOL
    uint32_t groups, weight_bits, weight_group;
    uint32_t weights, factors, multipliers, biases, shift, zeros;
    uint32_t neuron, function, table, layer, amplitude, curve_shift, curve_segments;
    int32_t curve_start;
};

static inline uint32_t pbit_load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline int32_t pbit_load_i32(const uint8_t *bytes)
{
    return (int32_t)pbit_load_u32(bytes);
}

static inline uint32_t pbit_load_u16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

#if __STDC_HOSTED__ // firmware handles no real numbers
static inline float pbit_load_f32(const uint8_t *bytes)
{
    uint32_t bits = pbit_load_u32(bytes);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}
#endif

/// A field of the header.
static inline uint32_t pbit_header_field(const struct pbit_model *model, enum pbit_header field)
{
    return pbit_load_u32(model->bytes + field);
}

struct pbit_tensor pbit_model_tensor(const struct pbit_model *model, uint32_t index);
struct pbit_operation pbit_model_operation(const struct pbit_model *model, uint32_t index);
uint32_t pbit_operation_input(const struct pbit_model *model, const struct pbit_operation *operation,
                              uint32_t i);

static inline size_t pbit_tensor_elements(const struct pbit_tensor *tensor)
{
    return (size_t)tensor->height * tensor->width * tensor->channels;
}

/// Whether L is PBIT_BYTE_LEVELS whatever m.
static inline int pbit_has_fixed_levels(const struct pbit_tensor *tensor)
{
    return tensor->draw_factor == 0;
}

/// L of a levels tensor when every neuron draws m (FORMAT.md, "Tensor record").
static inline uint32_t pbit_tensor_levels(const struct pbit_tensor *tensor, uint32_t draws)
{
    if (pbit_has_fixed_levels(tensor))
        return PBIT_BYTE_LEVELS;
    uint32_t levels = (draws * tensor->draw_factor + 128) >> 8;
    return levels < 1 ? 1 : levels > PBIT_BYTE_LEVELS ? PBIT_BYTE_LEVELS : levels;
}

/// n of a CONV with `input_channels` channels.
static inline uint64_t pbit_operation_fan_in(const struct pbit_operation *conv, uint32_t input_channels)
{
    return (uint64_t)conv->window.kernel_y * conv->window.kernel_x * (input_channels / conv->groups);
}

static inline uint64_t pbit_weight_row_bytes(uint64_t fan_in, uint32_t bits)
{
    return (fan_in * bits + 31) / 32 * 4;
}

/// RS(x, s) of FORMAT.md.
static inline int64_t pbit_round_shift(int64_t value, uint32_t shift)
{
    return shift == 0 ? value : (value + ((int64_t)1 << (shift - 1))) >> shift;
}

static inline int32_t pbit_saturate(int64_t value)
{
    return value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

/// M_L = (2 * M + L) / (2 * L) of a CONV's multiplier M, without a 64-bit division.
static inline int32_t pbit_level_multiplier(uint32_t multiplier, uint32_t levels)
{
    return (int32_t)(multiplier / levels + (2 * (multiplier % levels) + levels) / (2 * levels));
}

/// The tensor of an output.
static inline uint32_t pbit_output_tensor(const struct pbit_model *model, uint32_t output)
{
    return pbit_load_u32(model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) +
                         (size_t)output * PBIT_PORT_BYTES);
}

/// A NEURON that draws (FORMAT.md, section 5).
static inline int pbit_operation_draws(const struct pbit_operation *operation)
{
    return operation->kind == PBIT_OPERATION_NEURON &&
           (operation->neuron == PBIT_NEURON_COUNT || operation->amplitude != 0);
}

#endif
