// Images sampled at places between their pixels: GridSample, AffineGrid, RoiAlign, MaxRoiPool.
#include "passes/operators/window.h"

#include <math.h>
#include <string.h>

enum interpolation { NEAREST, LINEAR, CUBIC, UNKNOWN_INTERPOLATION };
enum padding { ZEROS, BORDER, REFLECTION, UNKNOWN_PADDING };

struct sampler {
    enum interpolation interpolation;
    enum padding padding;
    bool align_corners;
    int rank; ///< spatial dimensions
    int64_t extents[PBITC_SPATIAL], strides[PBITC_SPATIAL], size;
};

/// GridSample: input [N x C x D1 ...], grid [N x E1 ... x rank] of places in -1..1, the last dimension first.
static enum pbit_status sampler_read(struct pbitc_evaluation *evaluation, struct sampler *sampler)
{
    static const struct {
        const char *name;
        enum interpolation interpolation;
    } names[] = {
        {"linear", LINEAR}, {"bilinear", LINEAR}, {"nearest", NEAREST}, {"cubic", CUBIC}, {"bicubic", CUBIC}};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const char *mode = pbitc_node_string(evaluation->node, "mode", "linear");
    const char *padding = pbitc_node_string(evaluation->node, "padding_mode", "zeros");
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *grid = &evaluation->inputs[1]->shape;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_type(evaluation, 1, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 2 + PBITC_SPATIAL);
    if (!status)
        status = pbitc_require_rank(evaluation, 1, input->rank, input->rank);
    if (status)
        return status;
    *sampler = (struct sampler){.interpolation = UNKNOWN_INTERPOLATION,
                                .align_corners = pbitc_node_int(evaluation->node, "align_corners", 0) != 0,
                                .rank = input->rank - 2,
                                .size = pbitc_extent(input, 2, input->rank)};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(mode, names[i].name) == 0)
            sampler->interpolation = names[i].interpolation;
    while (sampler->padding < UNKNOWN_PADDING && strcmp(padding, paddings[sampler->padding]) != 0)
        sampler->padding++;
    if (sampler->interpolation == UNKNOWN_INTERPOLATION || sampler->padding == UNKNOWN_PADDING)
        return PBITC_REFUSE(evaluation, NULL, "mode = \"%s\" with padding_mode = \"%s\" is not defined", mode,
                            padding);
    if (grid->dims[0] != input->dims[0] || grid->dims[grid->rank - 1] != sampler->rank ||
        (sampler->size == 0 && pbitc_shape_elements(grid) > 0))
        return PBITC_MALFORMED(evaluation, "a grid of shape %s does not fit %s",
                               pbitc_shape_format(grid).text, pbitc_shape_format(input).text);
    for (int i = sampler->rank - 1, stride = 1; i >= 0; i--) {
        if (input->dims[2 + i] > INT32_MAX || sampler->size > INT32_MAX)
            return PBITC_REFUSE(evaluation, NULL, "the input is too large");
        sampler->extents[i] = input->dims[2 + i];
        sampler->strides[i] = stride;
        stride *= (int)input->dims[2 + i];
    }
    return PBIT_OK;
}

enum pbit_status infer_grid_sample(struct pbitc_evaluation *evaluation)
{
    struct sampler sampler;
    enum pbit_status status = sampler_read(evaluation, &sampler);
    if (status)
        return status;
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    for (int i = 0; i < sampler.rank; i++)
        shape.dims[2 + i] = evaluation->inputs[1]->shape.dims[1 + i];
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

/// x thrown back at both ends of low..high as often as it takes.
static double reflect(double x, double low, double high)
{
    double range = high - low, distance = x < low ? low - x : x - high;
    if (!(distance > 0) || !(range > 0))
        return distance > 0 ? low : x;
    double rest = fmod(distance, range), turns = floor(distance / range);
    bool from_low = (x < low) == (fmod(turns, 2) == 0);
    return from_low ? low + rest : high - rest;
}

/// Where the grid's number lies among the pixels of a dimension, after padding; cubic interpolation pads each
/// of its pixels instead, as ONNX Runtime and PyTorch do.
static double denormalize(const struct sampler *sampler, int dimension, double x)
{
    double extent = (double)sampler->extents[dimension];
    double low = sampler->align_corners ? 0 : -0.5, high = extent - 1 - low;
    x = sampler->align_corners ? (x + 1) / 2 * (extent - 1) : ((x + 1) * extent - 1) / 2;
    x = sampler->interpolation == NEAREST ? nearbyint(x) : x;
    if ((x >= low && x <= high) || sampler->interpolation == CUBIC)
        return x;
    if (sampler->padding == BORDER)
        return x > extent - 1 ? extent - 1 : x > 0 ? x : 0;
    return sampler->padding == REFLECTION ? reflect(x, low, high) : x;
}

/// Pixels and weights that make the value at a place in one dimension; a pixel of -1 is 0.
struct taps {
    int count;
    int64_t pixels[4];
    double weights[4];
};

static int64_t pad_pixel(const struct sampler *sampler, int dimension, int64_t pixel)
{
    int64_t extent = sampler->extents[dimension];
    double low = sampler->align_corners ? 0 : -0.5;
    if (pixel >= 0 && pixel < extent)
        return pixel;
    if (sampler->padding == ZEROS)
        return -1;
    if (sampler->padding == REFLECTION)
        pixel = (int64_t)reflect((double)pixel, low, (double)extent - 1 - low);
    return pixel < 0 ? 0 : pixel >= extent ? extent - 1 : pixel;
}

static double cubic(double x)
{
    const double a = -0.75;
    x = fabs(x);
    return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

static struct taps taps_at(const struct sampler *sampler, int dimension, double x)
{
    struct taps taps = {.count = sampler->interpolation == NEAREST  ? 1
                                 : sampler->interpolation == LINEAR ? 2
                                                                    : 4};
    const double limit = 0x1p40;
    x = x > limit ? limit : x > -limit ? x : -limit; // also of infinities and NaN: far outside
    int64_t first = (int64_t)floor(x) - (taps.count == 4);
    for (int i = 0; i < taps.count; i++) {
        double distance = x - (double)(first + i);
        taps.weights[i] = taps.count == 1 ? 1 : taps.count == 2 ? 1 - fabs(distance) : cubic(distance);
        taps.pixels[i] = pad_pixel(sampler, dimension, first + i);
    }
    return taps;
}

/// The value in channel `channel` (of pixels of `type`) that the taps of all dimensions make.
static double mix(const struct sampler *sampler, const struct pbitc_tensor *input, int64_t channel,
                  const struct taps *taps)
{
    static const struct taps one = {1, {0}, {1}};
    const struct taps *t[PBITC_SPATIAL] = {&one, &one, &one};
    int64_t stride[PBITC_SPATIAL] = {0};
    for (int i = 0; i < sampler->rank; i++) {
        t[PBITC_SPATIAL - sampler->rank + i] = &taps[i];
        stride[PBITC_SPATIAL - sampler->rank + i] = sampler->strides[i];
    }
    double sum = 0;
    for (int d = 0; d < t[0]->count; d++)
        for (int y = 0; y < t[1]->count; y++)
            for (int x = 0; x < t[2]->count; x++) {
                if (t[0]->pixels[d] < 0 || t[1]->pixels[y] < 0 || t[2]->pixels[x] < 0)
                    continue;
                int64_t at = channel * sampler->size + t[0]->pixels[d] * stride[0] +
                             t[1]->pixels[y] * stride[1] + t[2]->pixels[x] * stride[2];
                double pixel = input->type == PBITC_FLOAT32 ? (double)((const float *)input->data)[at]
                                                            : ((const double *)input->data)[at];
                sum += t[0]->weights[d] * t[1]->weights[y] * t[2]->weights[x] * pixel;
            }
    return sum;
}

enum pbit_status evaluate_grid_sample(struct pbitc_evaluation *evaluation)
{
    struct sampler sampler;
    const struct pbitc_tensor *input = evaluation->inputs[0], *grid = evaluation->inputs[1];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    enum pbit_status status = sampler_read(evaluation, &sampler);
    int64_t channels = output->shape.dims[1], places = pbitc_extent(&output->shape, 2, output->shape.rank);
    for (int64_t n = 0; !status && n < output->shape.dims[0]; n++)
        for (int64_t place = 0; place < places; place++) {
            struct taps taps[PBITC_SPATIAL];
            for (int i = 0; i < sampler.rank; i++) {
                double x = pbitc_real_at(grid, (n * places + place + 1) * sampler.rank - 1 - i);
                taps[i] = taps_at(&sampler, i, denormalize(&sampler, i, x));
            }
            for (int64_t c = 0; c < channels; c++) {
                double value = mix(&sampler, input, n * channels + c, taps);
                int64_t to = (n * channels + c) * places + place;
                if (output->type == PBITC_FLOAT32)
                    ((float *)output->data)[to] = (float)value;
                else
                    ((double *)output->data)[to] = value;
            }
        }
    return status;
}

/// AffineGrid: theta [N x rank x rank+1], size (N, C, D1, ...); output [N x D1 ... x rank].
enum pbit_status infer_affine_grid(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *theta = &evaluation->inputs[0]->shape;
    struct pbitc_shape size = {.rank = 0}, shape;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_dims_input(evaluation, 1, "size", &size);
    if (status)
        return status;
    int rank = size.rank - 2;
    if (rank < 2 || rank > 3 || theta->rank != 3 || theta->dims[0] != size.dims[0] ||
        theta->dims[1] != rank || theta->dims[2] != rank + 1)
        return PBITC_MALFORMED(evaluation, "theta of shape %s does not fit a size of %s",
                               pbitc_shape_format(theta).text, pbitc_shape_format(&size).text);
    shape = (struct pbitc_shape){.rank = rank + 2, .dims = {size.dims[0]}};
    for (int i = 0; i < rank; i++) {
        shape.dims[1 + i] = size.dims[2 + i];
        if (size.dims[2 + i] < 0)
            return PBITC_MALFORMED(evaluation, "size %s is negative", pbitc_shape_format(&size).text);
    }
    shape.dims[1 + rank] = rank;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_affine_grid(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    bool align = pbitc_node_int(evaluation->node, "align_corners", 0) != 0;
    int rank = output->shape.rank - 2;
    int64_t places = pbitc_extent(&output->shape, 1, 1 + rank), index[PBITC_SPATIAL] = {0};
    for (int64_t p = 0; p < output->shape.dims[0] * places; p++) {
        double place[PBITC_SPATIAL + 1]; // the last dimension first, and a 1
        for (int i = 0; i < rank; i++) {
            double extent = (double)output->shape.dims[rank - i], at = (double)index[rank - 1 - i];
            place[i] = align ? (extent > 1 ? 2 * at / (extent - 1) : 0) - 1 : (2 * at + 1) / extent - 1;
        }
        place[rank] = 1;
        for (int r = 0; r < rank; r++) {
            double sum = 0;
            for (int i = 0; i <= rank; i++)
                sum +=
                    place[i] * pbitc_real_at(evaluation->inputs[0], (p / places * rank + r) * (rank + 1) + i);
            pbitc_convert(output->type,
                          (unsigned char *)output->data +
                              (size_t)(p * rank + r) * pbitc_type_bytes(output->type),
                          PBITC_FLOAT64, &sum, 1);
        }
        for (int i = rank - 1; i >= 0 && ++index[i] == output->shape.dims[1 + i]; i--)
            index[i] = 0;
    }
    return PBIT_OK;
}

/// The pixels and weights of bilinear interpolation at a place that lies in -1..extent.
static struct taps roi_taps(double x, int64_t extent)
{
    struct taps taps = {.count = 0};
    if (!(x >= -1 && x <= (double)extent))
        return taps;
    x = x > 0 ? x : 0;
    int64_t low = (int64_t)x < extent - 1 ? (int64_t)x : extent - 1, high = low < extent - 1 ? low + 1 : low;
    double rest = high == low ? 0 : x - (double)low;
    return (struct taps){2, {low, high}, {1 - rest, rest}};
}

/// RoiAlign: input [N x C x H x W], regions [R x 4] as x1, y1, x2, y2, and of each the image it is in.
enum pbit_status infer_roi_align(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *rois = &evaluation->inputs[1]->shape;
    const char *mode = pbitc_node_string(evaluation->node, "mode", "avg");
    const char *corners = pbitc_node_string(evaluation->node, "coordinate_transformation_mode", "half_pixel");
    int64_t height = pbitc_node_int(evaluation->node, "output_height", 1);
    int64_t width = pbitc_node_int(evaluation->node, "output_width", 1);
    enum pbit_status status = pbitc_require_rank(evaluation, 0, 4, 4);
    for (size_t i = 0; !status && i < 2; i++)
        status = pbitc_require_type(evaluation, i, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_type(evaluation, 2, PBITC_TYPES_INDEX);
    if (status)
        return status;
    if (rois->rank != 2 || rois->dims[1] != 4 || evaluation->inputs[2]->shape.rank != 1 ||
        evaluation->inputs[2]->shape.dims[0] != rois->dims[0])
        return PBITC_MALFORMED(evaluation, "regions of shape %s with images of shape %s",
                               pbitc_shape_format(rois).text,
                               pbitc_shape_format(&evaluation->inputs[2]->shape).text);
    if ((strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0) ||
        (strcmp(corners, "half_pixel") != 0 && strcmp(corners, "output_half_pixel") != 0))
        return PBITC_REFUSE(evaluation, NULL, "mode = \"%s\" with \"%s\" is not defined", mode, corners);
    if (height < 1 || width < 1 || pbitc_node_int(evaluation->node, "sampling_ratio", 0) < 0 ||
        pbitc_node_int(evaluation->node, "sampling_ratio", 0) > INT16_MAX)
        return PBITC_MALFORMED(evaluation, "an output of %lld x %lld", (long long)height, (long long)width);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type,
                     &(struct pbitc_shape){4, {rois->dims[0], input->dims[1], height, width}});
    return PBIT_OK;
}

struct region {
    const struct pbitc_tensor *input;
    double start[2], bin[2]; ///< height, width
    int64_t samples[2];
    bool maximum;
};

/// Mean or maximum of the samples in one bin of a region. As in ONNX Runtime the maximum is over what each
/// single pixel contributes to a sample.
static double region_value(const struct region *region, int64_t plane, int64_t y, int64_t x)
{
    const int64_t *extents = region->input->shape.dims + 2;
    double result = 0;
    bool first = true;
    for (int64_t i = 0; i < region->samples[0]; i++)
        for (int64_t j = 0; j < region->samples[1]; j++) {
            double at_y = region->start[0] +
                          region->bin[0] * ((double)y + ((double)i + 0.5) / (double)region->samples[0]);
            double at_x = region->start[1] +
                          region->bin[1] * ((double)x + ((double)j + 0.5) / (double)region->samples[1]);
            struct taps rows = roi_taps(at_y, extents[0]), columns = roi_taps(at_x, extents[1]);
            double sum = 0, largest = -INFINITY;
            for (int r = 0; r < rows.count; r++)
                for (int c = 0; c < columns.count; c++) {
                    double part =
                        rows.weights[r] * columns.weights[c] *
                        pbitc_real_at(region->input,
                                      (plane * extents[0] + rows.pixels[r]) * extents[1] + columns.pixels[c]);
                    sum += part;
                    largest = part > largest ? part : largest;
                }
            if (rows.count == 0 || columns.count == 0)
                largest = 0;
            result = !region->maximum ? result + sum : first || largest > result ? largest : result;
            first = false;
        }
    return region->maximum ? result : result / (double)(region->samples[0] * region->samples[1]);
}

enum pbit_status evaluate_roi_align(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0], *rois = evaluation->inputs[1];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    const int64_t *bins = output->shape.dims + 2;
    double scale = (double)pbitc_node_float(evaluation->node, "spatial_scale", 1);
    int64_t ratio = pbitc_node_int(evaluation->node, "sampling_ratio", 0), channels = input->shape.dims[1];
    bool half = strcmp(pbitc_node_string(evaluation->node, "coordinate_transformation_mode", "half_pixel"),
                       "half_pixel") == 0;
    for (int64_t r = 0; r < output->shape.dims[0]; r++) {
        struct region region = {.input = input,
                                .maximum =
                                    strcmp(pbitc_node_string(evaluation->node, "mode", "avg"), "max") == 0};
        int64_t image = pbitc_integer_at(evaluation->inputs[2], r);
        if (image < 0 || image >= input->shape.dims[0])
            return PBITC_MALFORMED(evaluation, "region %lld is in image %lld", (long long)r,
                                   (long long)image);
        for (int i = 0; i < 2; i++) {
            double begin = pbitc_real_at(rois, 4 * r + 1 - i) * scale - (half ? 0.5 : 0);
            double extent = pbitc_real_at(rois, 4 * r + 3 - i) * scale - (half ? 0.5 : 0) - begin;
            extent = !half && extent < 1 ? 1 : extent;
            region.start[i] = begin;
            region.bin[i] = extent / (double)bins[i];
            double samples = ceil(region.bin[i]);
            if (!(samples < INT16_MAX))
                return PBITC_MALFORMED(evaluation, "region %lld is too large", (long long)r);
            region.samples[i] = ratio > 0 ? ratio : samples > 1 ? (int64_t)samples : 1;
        }
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < bins[0] * bins[1]; p++) {
                double value = region_value(&region, image * channels + c, p / bins[1], p % bins[1]);
                int64_t to = (r * channels + c) * bins[0] * bins[1] + p;
                if (output->type == PBITC_FLOAT32)
                    ((float *)output->data)[to] = (float)value;
                else
                    ((double *)output->data)[to] = value;
            }
    }
    return PBIT_OK;
}

/// MaxRoiPool: input [N x C x H x W], regions [R x 5] as image, x1, y1, x2, y2.
enum pbit_status infer_max_roi_pool(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape, *rois = &evaluation->inputs[1]->shape;
    const int64_t *bins = NULL;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_same_type(evaluation);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 4, 4);
    if (!status) {
        size_t count;
        bins = pbitc_node_ints(evaluation->node, "pooled_shape", &count);
        if (count != 2 || bins[0] < 1 || bins[1] < 1 || rois->rank != 2 || rois->dims[1] != 5)
            status = PBITC_MALFORMED(evaluation, "regions of shape %s, or pooled_shape without two numbers",
                                     pbitc_shape_format(rois).text);
    }
    if (!status)
        pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type,
                         &(struct pbitc_shape){4, {rois->dims[0], input->dims[1], bins[0], bins[1]}});
    return status;
}

static int64_t clamp_edge(double edge, int64_t extent)
{
    return !(edge > 0) ? 0 : edge > (double)extent ? extent : (int64_t)edge;
}

enum pbit_status evaluate_max_roi_pool(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0], *rois = evaluation->inputs[1];
    struct pbitc_tensor *output = &evaluation->outputs[0];
    const int64_t *bins = output->shape.dims + 2, *extents = input->shape.dims + 2;
    double scale = (double)pbitc_node_float(evaluation->node, "spatial_scale", 1);
    int64_t channels = input->shape.dims[1];
    for (int64_t r = 0; r < output->shape.dims[0]; r++) {
        double image = pbitc_real_at(rois, 5 * r), start[2], bin[2];
        if (!(image >= 0 && image < (double)input->shape.dims[0]))
            return PBITC_MALFORMED(evaluation, "region %lld is in image %g", (long long)r, image);
        for (int i = 0; i < 2; i++) {
            start[i] = round(pbitc_real_at(rois, 5 * r + 2 - i) * scale);
            double extent = round(pbitc_real_at(rois, 5 * r + 4 - i) * scale) - start[i] + 1;
            bin[i] = (extent > 1 ? extent : 1) / (double)bins[i];
        }
        for (int64_t p = 0; p < channels * bins[0] * bins[1]; p++) {
            int64_t place[2] = {p / bins[1] % bins[0], p % bins[1]}, first[2], last[2];
            for (int i = 0; i < 2; i++) {
                first[i] = clamp_edge(floor((double)place[i] * bin[i]) + start[i], extents[i]);
                last[i] = clamp_edge(ceil((double)(place[i] + 1) * bin[i]) + start[i], extents[i]);
            }
            int64_t plane = (int64_t)image * channels + p / (bins[0] * bins[1]);
            double largest = first[0] < last[0] && first[1] < last[1] ? -INFINITY : 0;
            for (int64_t y = first[0]; y < last[0]; y++)
                for (int64_t x = first[1]; x < last[1]; x++) {
                    double pixel = pbitc_real_at(input, (plane * extents[0] + y) * extents[1] + x);
                    largest = pixel > largest ? pixel : largest;
                }
            size_t to = (size_t)(r * channels * bins[0] * bins[1] + p);
            pbitc_convert(output->type, (unsigned char *)output->data + to * pbitc_type_bytes(output->type),
                          PBITC_FLOAT64, &largest, 1);
        }
    }
    return PBIT_OK;
}
