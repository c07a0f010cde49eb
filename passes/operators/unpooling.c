// What windows took apart put together: MaxUnpool and Col2Im.
#include "passes/operators/window.h"

#include <string.h>

/// MaxUnpool: inputs the maxima, where they were in the input of a MaxPool (as its Indices), and its shape.
enum pbit_status infer_max_unpool(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    struct pbitc_shape shape = *input, asked = {.rank = 0};
    struct pbitc_window window;
    const int64_t *kernel = NULL;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_type(evaluation, 1, 1 << PBITC_INT64);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 2 + PBITC_SPATIAL);
    if (!status && !pbitc_shape_equal(&evaluation->inputs[1]->shape, input))
        status = PBITC_MALFORMED(evaluation, "indices of shape %s for maxima of %s",
                                 pbitc_shape_format(&evaluation->inputs[1]->shape).text,
                                 pbitc_shape_format(input).text);
    if (!status && !(kernel = pbitc_window_kernel(evaluation, input->rank - 2)))
        status = PBIT_ERROR_FORMAT;
    if (!status)
        status = pbitc_window_attributes(evaluation, input->dims + 2, kernel, input->rank - 2, &window);
    for (int i = 0; !status && i < window.spatial_rank; i++) {
        int w = PBITC_SPATIAL - window.spatial_rank + i;
        shape.dims[2 + i] = (window.input[w] - 1) * window.stride[w] + window.kernel[w] -
                            window.pad_begin[w] - window.pad_end[w];
        if (shape.dims[2 + i] < 0)
            status = PBITC_MALFORMED(evaluation, "an output extent of %lld", (long long)shape.dims[2 + i]);
    }
    if (!status && pbitc_input(evaluation, 2))
        status = pbitc_dims_input(evaluation, 2, "output_shape", &asked);
    // ONNX's tests and ONNX Runtime do not agree on what the indices mean then.
    if (!status && pbitc_input(evaluation, 2) && !pbitc_shape_equal(&asked, &shape))
        status = PBITC_REFUSE(evaluation, NULL,
                              "output_shape %s differs from %s, which follows from the attributes",
                              pbitc_shape_format(&asked).text, pbitc_shape_format(&shape).text);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return status;
}

enum pbit_status evaluate_max_unpool(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    size_t bytes = pbitc_type_bytes(output->type);
    int64_t elements = pbitc_shape_elements(&output->shape);
    int64_t count = pbitc_shape_elements(&evaluation->inputs[0]->shape);
    memset(output->data, 0, (size_t)elements * bytes);
    for (int64_t i = 0; i < count; i++) {
        int64_t place = pbitc_integer_at(evaluation->inputs[1], i);
        if (place < 0 || place >= elements)
            return PBITC_MALFORMED(evaluation, "index %lld of %lld", (long long)place, (long long)elements);
        memcpy((unsigned char *)output->data + (size_t)place * bytes,
               (const unsigned char *)evaluation->inputs[0]->data + (size_t)i * bytes, bytes);
    }
    return PBIT_OK;
}

/// Col2Im: input [N x C * kernel x blocks], extents of the image, extents of a block.
static enum pbit_status unfolded_read(struct pbitc_evaluation *evaluation, struct pbitc_window *window,
                                      struct pbitc_shape *image)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    struct pbitc_shape block = {.rank = 0};
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 3, 3);
    if (!status)
        status = pbitc_dims_input(evaluation, 1, "image_shape", image);
    if (!status)
        status = pbitc_dims_input(evaluation, 2, "block_shape", &block);
    if (!status && block.rank != image->rank)
        status = PBITC_MALFORMED(evaluation, "blocks of %s in an image of %s",
                                 pbitc_shape_format(&block).text, pbitc_shape_format(image).text);
    for (int i = 0; !status && i < image->rank; i++)
        if (image->dims[i] < 0)
            status =
                PBITC_MALFORMED(evaluation, "image_shape %s is negative", pbitc_shape_format(image).text);
    if (!status)
        status = pbitc_window_read(evaluation, image->dims, block.dims, image->rank, false, window);
    if (!status && (input->dims[1] % window->kernel_size != 0 || input->dims[2] != window->output_size))
        status = PBITC_MALFORMED(evaluation, "%s are not the blocks of an image of %s",
                                 pbitc_shape_format(input).text, pbitc_shape_format(image).text);
    return status;
}

enum pbit_status infer_col2im(struct pbitc_evaluation *evaluation)
{
    struct pbitc_window window;
    struct pbitc_shape image = {.rank = 0};
    enum pbit_status status = unfolded_read(evaluation, &window, &image);
    if (status)
        return status;
    const int64_t *input = evaluation->inputs[0]->shape.dims;
    struct pbitc_shape shape = {2 + image.rank, {input[0], input[1] / window.kernel_size}};
    memcpy(shape.dims + 2, image.dims, (size_t)image.rank * sizeof(*image.dims));
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

#define FOLD(element)                                                                                        \
    for (int64_t row = 0; row < planes * window.kernel_size; row++, pbitc_window_advance(&window, at)) {     \
        const element *from = (const element *)evaluation->inputs[0]->data + row * window.output_size;       \
        element *to = (element *)evaluation->outputs[0].data + row / window.kernel_size * window.input_size; \
        struct pbitc_tap tap = pbitc_tap_at(&window, at);                                                    \
        for (int64_t d = tap.span[0].first; d < tap.span[0].last; d++)                                       \
            for (int64_t y = tap.span[1].first; y < tap.span[1].last; y++)                                   \
                for (int64_t x = tap.span[2].first; x < tap.span[2].last; x++)                               \
                    to[((d * window.stride[0] + tap.offset[0]) * window.input[1] + y * window.stride[1] +    \
                        tap.offset[1]) *                                                                     \
                           window.input[2] +                                                                 \
                       x * window.stride[2] + tap.offset[2]] +=                                              \
                        from[(d * window.output[1] + y) * window.output[2] + x];                             \
    }

enum pbit_status evaluate_col2im(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    struct pbitc_window window;
    struct pbitc_shape image = {.rank = 0};
    enum pbit_status status = unfolded_read(evaluation, &window, &image);
    int64_t planes = output->shape.dims[0] * output->shape.dims[1], at[PBITC_SPATIAL] = {0};
    if (status)
        return status;
    memset(output->data, 0, (size_t)pbitc_shape_elements(&output->shape) * pbitc_type_bytes(output->type));
    if (output->type == PBITC_FLOAT32)
        FOLD(float)
    else
        FOLD(double)
    return PBIT_OK;
}
