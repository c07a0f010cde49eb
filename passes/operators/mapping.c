// Copies in which each dimension is mapped by itself: Tile, Pad, CenterCropPad.
#include "passes/operators/operator_support.h"

#include <string.h>

#define COPY_MAPPED(element)                                                                                 \
    for (int64_t j = 0; j < width; j++)                                                                      \
        ((element *)to)[j] = inside && last_map[j] != PBITC_OUTSIDE ? ((const element *)from)[last_map[j]]   \
                                                                    : *(const element *)fill;

/// One row of the output along its last dimension.
static void copy_mapped_row(void *to, const void *from, bool inside, const int64_t *last_map, int64_t width,
                            const void *fill, size_t element_bytes)
{
    switch (element_bytes) {
    case 1:
        COPY_MAPPED(uint8_t)
        break;
    case 2:
        COPY_MAPPED(uint16_t)
        break;
    case 4:
        COPY_MAPPED(uint32_t)
        break;
    default:
        COPY_MAPPED(uint64_t)
    }
}

void pbitc_copy_mapped(struct pbitc_evaluation *evaluation, const void *fill)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int rank = output->shape.rank;
    size_t bytes = pbitc_type_bytes(input->type);
    if (pbitc_shape_elements(&output->shape) == 0)
        return;
    if (rank == 0) {
        memcpy(output->data, input->data, bytes);
        return;
    }
    int64_t strides[PBITC_MAX_RANK], index[PBITC_MAX_RANK] = {0}, width = output->shape.dims[rank - 1];
    const int64_t *maps[PBITC_MAX_RANK], *map = evaluation->scratch;
    for (int i = 0; i < rank; map += output->shape.dims[i], i++)
        maps[i] = map;
    pbitc_strides(&input->shape, strides);
    int64_t rows = pbitc_extent(&output->shape, 0, rank - 1), last = PBITC_OUTSIDE;
    size_t row_bytes = (size_t)width * bytes;
    unsigned char *to = output->data;
    for (int64_t row = 0; row < rows; row++, to += row_bytes) {
        int64_t offset = 0;
        bool inside = true;
        for (int i = 0; i < rank - 1; i++) {
            inside = inside && maps[i][index[i]] != PBITC_OUTSIDE;
            offset += maps[i][index[i]] * strides[i];
        }
        const unsigned char *from = input->data;
        offset = inside ? offset : PBITC_OUTSIDE;
        if (row && offset == last)
            memcpy(to, to - row_bytes, row_bytes);
        else
            copy_mapped_row(to, inside ? from + (size_t)offset * bytes : from, inside, maps[rank - 1], width,
                            fill, bytes);
        last = offset;
        for (int i = rank - 2; i >= 0 && ++index[i] == output->shape.dims[i]; i--)
            index[i] = 0;
    }
}

enum pbit_status pbitc_add_maps(struct pbitc_evaluation *evaluation, const struct pbitc_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (!pbitc_add_scratch(evaluation, shape->dims[i], sizeof(int64_t)))
            return PBITC_REFUSE(evaluation, NULL, "a result of %s is too large",
                                pbitc_shape_format(shape).text);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, shape);
    return PBIT_OK;
}

enum pbit_status infer_tile(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape repeats = {0}, shape = evaluation->inputs[0]->shape;
    enum pbit_status status = pbitc_dims_input(evaluation, 1, "repeats", &repeats);
    if (!status && repeats.rank != shape.rank)
        status = PBITC_MALFORMED(evaluation, "%d repeats for an input of rank %d", repeats.rank, shape.rank);
    for (int i = 0; !status && i < shape.rank; i++)
        if (repeats.dims[i] < 0 || __builtin_mul_overflow(shape.dims[i], repeats.dims[i], &shape.dims[i]))
            status = PBITC_MALFORMED(evaluation, "repeats[%d] = %lld", i, (long long)repeats.dims[i]);
    return status ? status : pbitc_add_maps(evaluation, &shape);
}

enum pbit_status evaluate_tile(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *shape = &evaluation->outputs[0].shape;
    if (pbitc_shape_elements(shape) == 0)
        return PBIT_OK;
    int64_t *map = evaluation->scratch;
    for (int i = 0; i < shape->rank; i++)
        for (int64_t j = 0; j < shape->dims[i]; j++)
            *map++ = j % evaluation->inputs[0]->shape.dims[i];
    pbitc_copy_mapped(evaluation, NULL);
    return PBIT_OK;
}

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP, PAD_MODES };
static const char *const pad_modes[PAD_MODES] = {"constant", "reflect", "edge", "wrap"};

struct padding {
    enum pad_mode mode;
    int64_t begin[PBITC_MAX_RANK], end[PBITC_MAX_RANK]; ///< negative: cropped
};

/// Pad: inputs data, pads (all begins, then all ends), constant_value, axes.
static enum pbit_status read_padding(struct pbitc_evaluation *evaluation, struct padding *padding)
{
    const struct pbitc_tensor *pads = evaluation->inputs[1], *axes = pbitc_input(evaluation, 3);
    int rank = evaluation->inputs[0]->shape.rank;
    const char *mode = pbitc_node_string(evaluation->node, "mode", pad_modes[PAD_CONSTANT]);
    bool chosen[PBITC_MAX_RANK] = {false};
    *padding = (struct padding){.mode = PAD_CONSTANT};
    while (padding->mode < PAD_MODES && strcmp(mode, pad_modes[padding->mode]) != 0)
        padding->mode++;
    if (padding->mode == PAD_MODES)
        return PBITC_REFUSE(evaluation, NULL, "mode = \"%s\" is not defined", mode);
    enum pbit_status status = pbitc_require_parameter(evaluation, 1, "pads", PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_axes_input(evaluation, 3, rank, chosen);
    int64_t count = axes ? pbitc_shape_elements(&axes->shape) : rank;
    if (!status && pbitc_shape_elements(&pads->shape) != 2 * count)
        status = PBITC_MALFORMED(evaluation, "pads has %lld numbers, expected %lld",
                                 (long long)pbitc_shape_elements(&pads->shape), (long long)(2 * count));
    for (int64_t i = 0; !status && i < count; i++) {
        int axis = (int)i;
        if (axes)
            status = pbitc_axis(evaluation, pbitc_integer_at(axes, i), rank, &axis);
        padding->begin[axis] = pbitc_integer_at(pads, i);
        padding->end[axis] = pbitc_integer_at(pads, count + i);
    }
    return status;
}

enum pbit_status infer_pad(struct pbitc_evaluation *evaluation)
{
    struct padding padding;
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    const struct pbitc_tensor *constant = pbitc_input(evaluation, 2);
    enum pbit_status status = read_padding(evaluation, &padding);
    if (!status)
        status = pbitc_require_scalar(evaluation, 2);
    if (!status && constant && constant->type != evaluation->inputs[0]->type)
        status = PBITC_MALFORMED(evaluation, "constant_value is %s", pbitc_type_name(constant->type));
    for (int i = 0; !status && i < shape.rank; i++) {
        int64_t extent = shape.dims[i], begin = padding.begin[i], end = padding.end[i];
        int64_t kept = extent + (begin < 0 ? begin : 0) + (end < 0 ? end : 0);
        if (begin < -extent || end < -extent || begin > INT32_MAX || end > INT32_MAX ||
            extent + begin + end < 0 ||
            (kept <= 0 && padding.mode != PAD_CONSTANT && extent + begin + end > 0))
            status = PBITC_MALFORMED(evaluation, "pads of %lld and %lld for a dimension of %lld",
                                     (long long)begin, (long long)end, (long long)extent);
        shape.dims[i] = extent + begin + end;
    }
    return status ? status : pbitc_add_maps(evaluation, &shape);
}

/// Source of position `at` (may lie outside 0..extent-1) among `extent` elements.
static int64_t pad_source(enum pad_mode mode, int64_t at, int64_t extent)
{
    if (at >= 0 && at < extent)
        return at;
    switch (mode) {
    case PAD_EDGE:
        return at < 0 ? 0 : extent - 1;
    case PAD_WRAP:
        return (at % extent + extent) % extent;
    case PAD_REFLECT: { // the edge is not repeated: a period of 2 * (extent - 1)
        int64_t period = extent > 1 ? 2 * (extent - 1) : 1;
        at = (at % period + period) % period;
        return at < extent ? at : period - at;
    }
    default:
        return PBITC_OUTSIDE;
    }
}

enum pbit_status evaluate_pad(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *shape = &evaluation->outputs[0].shape;
    const struct pbitc_tensor *constant = pbitc_input(evaluation, 2);
    static const uint64_t zero = 0;
    struct padding padding;
    enum pbit_status status = read_padding(evaluation, &padding);
    if (status || pbitc_shape_elements(shape) == 0)
        return status;
    int64_t *map = evaluation->scratch;
    for (int i = 0; i < shape->rank; i++) {
        int64_t cropped = padding.begin[i] < 0 ? -padding.begin[i] : 0;
        int64_t kept = input->dims[i] - cropped + (padding.end[i] < 0 ? padding.end[i] : 0);
        for (int64_t j = 0; j < shape->dims[i]; j++) {
            int64_t source =
                pad_source(padding.mode, j - (padding.begin[i] > 0 ? padding.begin[i] : 0), kept);
            *map++ = source == PBITC_OUTSIDE ? PBITC_OUTSIDE : source + cropped;
        }
    }
    pbitc_copy_mapped(evaluation, constant ? constant->data : &zero);
    return PBIT_OK;
}

/// CenterCropPad: input 1 has the new extents (of `axes`, if given); the odd step goes to the end.
static enum pbit_status cropped_shape(struct pbitc_evaluation *evaluation, struct pbitc_shape *shape)
{
    size_t count;
    const int64_t *axes = pbitc_node_ints(evaluation->node, "axes", &count);
    struct pbitc_shape asked = {.rank = 0};
    *shape = evaluation->inputs[0]->shape;
    enum pbit_status status = pbitc_dims_input(evaluation, 1, "shape", &asked);
    if (!status && asked.rank != (axes ? (int)count : shape->rank))
        status = PBITC_MALFORMED(evaluation, "shape has %d numbers for an input of rank %d, or for axes",
                                 asked.rank, shape->rank);
    for (int i = 0; !status && i < asked.rank; i++) {
        int axis = i;
        if (axes)
            status = pbitc_axis(evaluation, axes[i], shape->rank, &axis);
        if (!status && asked.dims[i] < 0)
            status = PBITC_MALFORMED(evaluation, "shape[%d] = %lld", i, (long long)asked.dims[i]);
        if (!status)
            shape->dims[axis] = asked.dims[i];
    }
    return status;
}

enum pbit_status infer_center_crop_pad(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape;
    enum pbit_status status = cropped_shape(evaluation, &shape);
    return status ? status : pbitc_add_maps(evaluation, &shape);
}

enum pbit_status evaluate_center_crop_pad(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *shape = &evaluation->outputs[0].shape;
    static const uint64_t zero = 0;
    int64_t *map = evaluation->scratch;
    for (int i = 0; i < shape->rank; i++) {
        int64_t difference = shape->dims[i] - input->dims[i];
        int64_t begin = difference < 0 ? -(-difference / 2) : difference / 2; // negative: cropped
        for (int64_t j = 0; j < shape->dims[i]; j++)
            *map++ = j - begin >= 0 && j - begin < input->dims[i] ? j - begin : PBITC_OUTSIDE;
    }
    pbitc_copy_mapped(evaluation, &zero);
    return PBIT_OK;
}
