// Resize, in all modes of opset 19 (and Upsample, which the importer turns into it).
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

enum mode { NEAREST, LINEAR, CUBIC, MODES };
enum coordinates {
    HALF_PIXEL,
    HALF_PIXEL_SYMMETRIC,
    PYTORCH_HALF_PIXEL,
    ALIGN_CORNERS,
    ASYMMETRIC,
    TF_HALF_PIXEL_FOR_NN,
    TF_CROP_AND_RESIZE,
    COORDINATES
};
enum rounding { PREFER_FLOOR, PREFER_CEIL, FLOOR, CEIL, SIMPLE, ROUNDINGS };
enum policy { STRETCH, NOT_LARGER, NOT_SMALLER, POLICIES };

static const char *const modes[] = {"nearest", "linear", "cubic"};
static const char *const coordinate_modes[] = {
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
    "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"};
/// "simple" is ours, for opset 10: floor when enlarging, else ceil.
static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple"};
static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};

struct resize {
    enum mode mode;
    enum coordinates coordinates;
    enum rounding rounding;
    bool antialias, exclude_outside, from_scales;
    float cubic;
    int rank;
    int64_t input[PBITC_MAX_RANK], output[PBITC_MAX_RANK];
    float scale[PBITC_MAX_RANK], roi_start[PBITC_MAX_RANK], roi_end[PBITC_MAX_RANK];
};

static enum pbit_status read_choice(struct pbitc_evaluation *evaluation, const char *name,
                                    const char *const *choices, int count, int *choice)
{
    const char *text = pbitc_node_string(evaluation->node, name, choices[0]);
    for (*choice = 0; *choice < count; ++*choice)
        if (strcmp(text, choices[*choice]) == 0)
            return PBIT_OK;
    return PBITC_REFUSE(evaluation, NULL, "%s = \"%s\" is not defined", name, text);
}

/// Input `index`, or NULL when it is omitted or empty, which means the same.
static const struct pbitc_tensor *given_list(const struct pbitc_evaluation *evaluation, size_t index)
{
    const struct pbitc_tensor *list = pbitc_input(evaluation, index);
    return list && pbitc_shape_elements(&list->shape) > 0 ? list : NULL;
}

/// The dimensions that roi, scales and sizes speak of; *count of them.
static enum pbit_status read_axes(struct pbitc_evaluation *evaluation, int rank, int axes[PBITC_MAX_RANK],
                                  int *count)
{
    size_t given;
    const int64_t *list = pbitc_node_ints(evaluation->node, "axes", &given);
    bool seen[PBITC_MAX_RANK] = {false};
    enum pbit_status status = PBIT_OK;
    if (list && given > (size_t)rank)
        return PBITC_MALFORMED(evaluation, "%zu axes for an input of rank %d", given, rank);
    *count = list ? (int)given : rank;
    for (int i = 0; !status && i < *count; i++) {
        axes[i] = i;
        if (list)
            status = pbitc_axis(evaluation, list[i], rank, &axes[i]);
        if (!status && seen[axes[i]])
            status = PBITC_MALFORMED(evaluation, "axis %d is listed twice", axes[i]);
        if (!status)
            seen[axes[i]] = true;
    }
    return status;
}

/// A number from `sizes`, with the ratio kept when the policy says so.
static void apply_sizes(struct resize *resize, const struct pbitc_tensor *sizes, enum policy policy,
                        const int *axes, int count)
{
    float kept = 0;
    for (int i = 0; i < count; i++) {
        float scale = (float)pbitc_integer_at(sizes, i) / (float)resize->input[axes[i]];
        bool replaces = policy == NOT_LARGER ? scale < kept : scale > kept;
        kept = i == 0 || replaces ? scale : kept;
    }
    for (int i = 0; i < count; i++) {
        int axis = axes[i];
        resize->output[axis] = pbitc_integer_at(sizes, i);
        if (policy != STRETCH)
            resize->output[axis] = (int64_t)floorf(kept * (float)resize->input[axis] + 0.5f);
        resize->scale[axis] =
            policy != STRETCH ? kept : (float)resize->output[axis] / (float)resize->input[axis];
    }
}

static enum pbit_status read_extents(struct pbitc_evaluation *evaluation, struct resize *resize)
{
    const struct pbitc_tensor *scales = given_list(evaluation, 2), *sizes = given_list(evaluation, 3);
    const struct pbitc_tensor *roi =
        resize->coordinates == TF_CROP_AND_RESIZE ? given_list(evaluation, 1) : NULL;
    int axes[PBITC_MAX_RANK], count = 0, policy = STRETCH;
    enum pbit_status status = read_axes(evaluation, resize->rank, axes, &count);
    if (!status)
        status = read_choice(evaluation, "keep_aspect_ratio_policy", policies, POLICIES, &policy);
    if (!status && roi)
        status = pbitc_require_parameter(evaluation, 1, "roi", PBITC_TYPES_FLOAT);
    if (!status && scales)
        status = pbitc_require_parameter(evaluation, 2, "scales", 1 << PBITC_FLOAT32);
    if (!status && sizes)
        status = pbitc_require_parameter(evaluation, 3, "sizes", PBITC_TYPES_INDEX);
    if (status)
        return status;
    const struct pbitc_tensor *list = scales ? scales : sizes;
    if (!list || (scales && sizes))
        return PBITC_MALFORMED(evaluation, "either scales or sizes must be given");
    if (pbitc_shape_elements(&list->shape) != count ||
        (roi && pbitc_shape_elements(&roi->shape) != 2 * count))
        return PBITC_MALFORMED(evaluation,
                               "%lld scales or sizes for %d dimensions, or no roi of twice as many",
                               (long long)pbitc_shape_elements(&list->shape), count);
    for (int i = 0; roi && i < count; i++) {
        resize->roi_start[axes[i]] = (float)pbitc_real_at(roi, i);
        resize->roi_end[axes[i]] = (float)pbitc_real_at(roi, count + i);
    }
    for (int i = 0; i < count; i++) {
        double value = pbitc_real_at(list, i);
        if (!(value > 0 || (sizes && value == 0)) || value > INT32_MAX)
            return PBITC_MALFORMED(evaluation, "a scale or size of %g", value);
    }
    if (sizes)
        apply_sizes(resize, sizes, (enum policy)policy, axes, count);
    resize->from_scales = scales;
    for (int i = 0; scales && i < count; i++) {
        int axis = axes[i];
        float crop = resize->roi_end[axis] - resize->roi_start[axis];
        float extent = floorf((float)resize->input[axis] * crop *
                              (resize->scale[axis] = ((const float *)scales->data)[i]));
        if (!(extent >= 0 && extent < 0x1p31f))
            return PBITC_MALFORMED(evaluation, "an extent of %g", (double)extent);
        resize->output[axis] = (int64_t)extent;
    }
    return PBIT_OK;
}

static enum pbit_status resize_read(struct pbitc_evaluation *evaluation, struct resize *resize)
{
    const struct pbitc_shape *shape = &evaluation->inputs[0]->shape;
    int mode = 0, coordinates = 0, rounding = 0;
    enum pbit_status status = read_choice(evaluation, "mode", modes, MODES, &mode);
    if (!status)
        status = read_choice(evaluation, "coordinate_transformation_mode", coordinate_modes, COORDINATES,
                             &coordinates);
    if (!status)
        status = read_choice(evaluation, "nearest_mode", roundings, ROUNDINGS, &rounding);
    if (status)
        return status;
    *resize = (struct resize){.mode = (enum mode)mode,
                              .coordinates = (enum coordinates)coordinates,
                              .rounding = (enum rounding)rounding,
                              .antialias = pbitc_node_int(evaluation->node, "antialias", 0) != 0,
                              .exclude_outside = pbitc_node_int(evaluation->node, "exclude_outside", 0) != 0,
                              .cubic = pbitc_node_float(evaluation->node, "cubic_coeff_a", -0.75f),
                              .rank = shape->rank};
    for (int i = 0; i < shape->rank; i++) {
        resize->input[i] = resize->output[i] = shape->dims[i];
        resize->scale[i] = resize->roi_end[i] = 1;
    }
    status = read_extents(evaluation, resize);
    for (int i = 0; !status && i < shape->rank; i++)
        if (resize->input[i] == 0 && resize->output[i] > 0)
            status = PBITC_MALFORMED(evaluation, "dimension %d is empty", i);
    return status;
}

/// Along `axis` the output is the input.
static bool is_same(const struct resize *resize, int axis)
{
    return resize->output[axis] == resize->input[axis] && resize->scale[axis] == 1 &&
           resize->coordinates != TF_CROP_AND_RESIZE;
}

/// How many input positions one output position takes from along `axis`, at most.
static int64_t tap_count(const struct resize *resize, int axis)
{
    int64_t radius = resize->mode == CUBIC ? 2 : 1;
    if (resize->antialias && resize->scale[axis] < 1)
        radius = (int64_t)ceilf((float)radius / resize->scale[axis]);
    return 2 * radius;
}

/// Elements of the largest of the tensors that interpolation along one axis after the other goes through.
static int64_t largest_stage(const struct resize *resize)
{
    struct pbitc_shape stage = {.rank = resize->rank};
    memcpy(stage.dims, resize->input, sizeof(stage.dims));
    int64_t largest = pbitc_shape_elements(&stage);
    for (int i = 0; i < resize->rank && largest >= 0; i++) {
        stage.dims[i] = resize->output[i];
        int64_t elements = pbitc_shape_elements(&stage);
        largest = elements < 0 || elements > largest ? elements : largest;
    }
    return largest;
}

enum { INTERPOLATED_TYPES = PBITC_TYPES_FLOAT | 1 << PBITC_UINT8 | 1 << PBITC_INT8 | 1 << PBITC_INT32 };

enum pbit_status infer_resize(struct pbitc_evaluation *evaluation)
{
    struct resize resize;
    enum pbit_status status = resize_read(evaluation, &resize);
    if (status)
        return status;
    struct pbitc_shape shape = {.rank = resize.rank};
    memcpy(shape.dims, resize.output, sizeof(shape.dims));
    if (resize.mode == NEAREST)
        return pbitc_add_maps(evaluation, &shape);
    status = pbitc_require_type(evaluation, 0, INTERPOLATED_TYPES);
    if (!status && resize.mode == CUBIC && !(PBITC_TYPES_FLOAT >> evaluation->inputs[0]->type & 1))
        status = PBITC_REFUSE(evaluation, "cast it to float before", "cubic interpolation of %s overshoots",
                              pbitc_type_name(evaluation->inputs[0]->type));
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    int64_t taps = 0, extents = 0, elements = largest_stage(&resize);
    for (int i = 0; i < resize.rank; i++) {
        int64_t count = tap_count(&resize, i);
        taps = count > taps ? count : taps;
        extents += resize.output[i]; // below 2^34
    }
    // Two stages, the taps' weights and places, and which positions lie outside.
    if (!status && (taps > INT32_MAX || !pbitc_add_scratch(evaluation, elements, 2 * sizeof(double)) ||
                    !pbitc_add_scratch(evaluation, 2 * taps, sizeof(double)) ||
                    !pbitc_add_scratch(evaluation, extents, 1)))
        status =
            PBITC_REFUSE(evaluation, NULL, "a result of %s is too large", pbitc_shape_format(&shape).text);
    return status;
}

/// Where output position x lies among the input's, in float as ONNX Runtime computes it.
static float original_position(const struct resize *resize, int axis, int64_t x)
{
    float at = (float)x, scale = resize->scale[axis];
    float input = (float)resize->input[axis], output = (float)resize->output[axis];
    float start = resize->roi_start[axis], end = resize->roi_end[axis];
    switch (resize->coordinates) {
    case HALF_PIXEL_SYMMETRIC:
        return input / 2 * (1 - output / (scale * input)) + (at + 0.5f) / scale - 0.5f;
    case PYTORCH_HALF_PIXEL:
        return resize->output[axis] > 1 ? (at + 0.5f) / scale - 0.5f : 0;
    case ALIGN_CORNERS: // with given scales ONNX's tests mean the extent before it is rounded down
        output = resize->from_scales ? scale * input : output;
        return resize->output[axis] > 1 ? at * (input - 1) / (output - 1) : 0;
    case ASYMMETRIC:
        return at / scale;
    case TF_HALF_PIXEL_FOR_NN:
        return (at + 0.5f) / scale;
    case TF_CROP_AND_RESIZE:
        return resize->output[axis] > 1
                   ? start * (input - 1) + at * (end - start) * (input - 1) / (output - 1)
                   : 0.5f * (start + end) * (input - 1);
    default:
        return (at + 0.5f) / scale - 0.5f;
    }
}

static bool lies_outside(const struct resize *resize, int axis, float position)
{
    return resize->coordinates == TF_CROP_AND_RESIZE &&
           !(position >= 0 && position <= (float)(resize->input[axis] - 1));
}

static int64_t nearest_position(const struct resize *resize, int axis, float position)
{
    float rounded = floorf(position), fraction = position - rounded;
    switch (resize->rounding) {
    case PREFER_FLOOR:
        rounded += fraction > 0.5f;
        break;
    case PREFER_CEIL:
        rounded += fraction >= 0.5f;
        break;
    case CEIL:
        rounded = ceilf(position);
        break;
    case SIMPLE:
        rounded = resize->scale[axis] < 1 ? ceilf(position) : truncf(position);
        break;
    default:
        break;
    }
    float last = (float)(resize->input[axis] - 1);
    return rounded < 0 ? 0 : rounded > last ? resize->input[axis] - 1 : (int64_t)rounded;
}

static void resize_nearest(struct pbitc_evaluation *evaluation, const struct resize *resize, const void *fill)
{
    int64_t *map = evaluation->scratch;
    for (int i = 0; i < resize->rank; i++)
        for (int64_t x = 0; x < resize->output[i]; x++) {
            float position = original_position(resize, i, x);
            *map++ = is_same(resize, i)                  ? x
                     : lies_outside(resize, i, position) ? PBITC_OUTSIDE
                                                         : nearest_position(resize, i, position);
        }
    pbitc_copy_mapped(evaluation, fill);
}

/// The kernels, at distance x >= 0 from the middle.
static double kernel_at(const struct resize *resize, double x)
{
    double a = (double)resize->cubic;
    if (resize->mode == LINEAR)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/// The weights of the input positions from *first on that make the value at `position`.
static int64_t weigh_taps(const struct resize *resize, int axis, float position, double *weights,
                          int64_t *first)
{
    int64_t taps = tap_count(resize, axis), input = resize->input[axis];
    bool wide = resize->antialias && resize->scale[axis] < 1;
    double stretch = wide ? (double)resize->scale[axis] : 1, sum = 0;
    *first = (int64_t)floorf(position) - taps / 2 + 1;
    for (int64_t i = 0; i < taps; i++) {
        weights[i] = kernel_at(resize, fabs((double)(*first + i) - (double)position) * stretch);
        if (resize->exclude_outside && (*first + i < 0 || *first + i >= input))
            weights[i] = 0;
        sum += weights[i];
    }
    for (int64_t i = 0; (wide || resize->exclude_outside) && i < taps; i++)
        weights[i] /= sum;
    return taps;
}

/// Interpolates along one axis, lines of `inner` numbers.
static void resize_axis(const struct resize *resize, int axis, int64_t outer, int64_t inner,
                        const double *from, double *to, double *weights)
{
    int64_t input = resize->input[axis], output = resize->output[axis], first;
    for (int64_t x = 0; x < output; x++) {
        int64_t taps = weigh_taps(resize, axis, original_position(resize, axis, x), weights, &first);
        for (int64_t o = 0; o < outer; o++) {
            double *line = to + (o * output + x) * inner;
            memset(line, 0, (size_t)inner * sizeof(*line));
            for (int64_t t = 0; t < taps; t++) {
                int64_t at = first + t < 0 ? 0 : first + t >= input ? input - 1 : first + t;
                const double *source = from + (o * input + at) * inner;
                for (int64_t i = 0; weights[t] != 0 && i < inner; i++)
                    line[i] += weights[t] * source[i];
            }
        }
    }
}

/// Elements of which a coordinate lies outside the input become `value`; `outside` has room for a flag per
/// position of each dimension.
static void extrapolate(const struct resize *resize, double value, double *result, unsigned char *outside)
{
    struct pbitc_shape shape = {.rank = resize->rank};
    memcpy(shape.dims, resize->output, sizeof(shape.dims));
    int64_t elements = pbitc_shape_elements(&shape), start[PBITC_MAX_RANK], places = 0;
    for (int i = 0; i < resize->rank; i++) {
        start[i] = places;
        for (int64_t x = 0; x < resize->output[i]; x++)
            outside[places++] = lies_outside(resize, i, original_position(resize, i, x));
    }
    int64_t index[PBITC_MAX_RANK] = {0};
    for (int64_t e = 0; e < elements; e++) {
        for (int i = 0; i < resize->rank; i++)
            if (outside[start[i] + index[i]])
                result[e] = value;
        for (int i = resize->rank - 1; i >= 0 && ++index[i] == resize->output[i]; i--)
            index[i] = 0;
    }
}

/// Integers as ONNX Runtime's casts give them: fractions go, beyond the range the nearest number stands.
static void resize_interpolated(struct pbitc_evaluation *evaluation, const struct resize *resize, double fill)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t elements = largest_stage(resize), taps = 0;
    double *from = evaluation->scratch, *to = from + elements, *weights = to + elements;
    for (int i = 0; i < resize->rank; i++)
        taps = tap_count(resize, i) > taps ? tap_count(resize, i) : taps;
    pbitc_convert(PBITC_FLOAT64, from, input->type, input->data, pbitc_shape_elements(&input->shape));
    for (int i = 0; i < resize->rank; i++) {
        if (is_same(resize, i))
            continue;
        int64_t outer = pbitc_extent(&output->shape, 0, i);
        int64_t inner = pbitc_extent(&input->shape, i + 1, resize->rank);
        resize_axis(resize, i, outer, inner, from, to, weights);
        double *made = to;
        to = from;
        from = made;
    }
    if (resize->coordinates == TF_CROP_AND_RESIZE)
        extrapolate(resize, fill, from, (unsigned char *)(weights + 2 * taps));
    pbitc_convert(output->type, output->data, PBITC_FLOAT64, from, pbitc_shape_elements(&output->shape));
}

enum pbit_status evaluate_resize(struct pbitc_evaluation *evaluation)
{
    struct resize resize;
    enum pbit_status status = resize_read(evaluation, &resize);
    if (status || pbitc_shape_elements(&evaluation->outputs[0].shape) == 0)
        return status;
    float outside = pbitc_node_float(evaluation->node, "extrapolation_value", 0);
    uint64_t fill = 0;
    pbitc_convert(evaluation->inputs[0]->type, &fill, PBITC_FLOAT32, &outside, 1);
    if (resize.mode == NEAREST)
        resize_nearest(evaluation, &resize, &fill);
    else
        resize_interpolated(evaluation, &resize, (double)outside);
    return PBIT_OK;
}
