// Views: Identity, Dropout, Reshape, Flatten, Squeeze and Unsqueeze give the elements another shape, for any
// element type.
#include "passes/operators/moved.h"

#include <string.h>

/// Views are only evaluated where the caller gave the output memory of its own.
enum pbit_status evaluate_view(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    size_t bytes = (size_t)pbitc_shape_elements(&input->shape) * pbitc_type_bytes(input->type);
    if (evaluation->outputs[0].data != input->data && bytes)
        memcpy(evaluation->outputs[0].data, input->data, bytes);
    return PBIT_OK;
}

enum pbit_status infer_identity(struct pbitc_evaluation *evaluation)
{
    return pbitc_set_moved(evaluation, &evaluation->inputs[0]->shape);
}

/// Dropout drops nothing in inference, nor in training with a ratio of 0. Inputs: data, ratio, training_mode;
/// output 1 is the mask, all true.
enum pbit_status infer_dropout(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *ratio = pbitc_input(evaluation, 1), *training = pbitc_input(evaluation, 2);
    enum pbit_status status = pbitc_require_scalar(evaluation, 2);
    if (!status)
        status = pbitc_require_parameter(evaluation, 2, "training_mode", PBITC_TYPES_BOOL);
    bool drops = !status && training && *(const uint8_t *)training->data;
    if (drops)
        status = pbitc_require_parameter(evaluation, 1, "ratio", PBITC_TYPES_FLOAT);
    if (!status && drops && ratio && pbitc_shape_elements(&ratio->shape) == 1)
        drops = pbitc_real_at(ratio, 0) != 0;
    if (!status && drops)
        status = PBITC_REFUSE(evaluation, "export the model in inference mode (model.eval())",
                              "training_mode = true");
    pbitc_set_output(evaluation, 1, PBITC_BOOL, &evaluation->inputs[0]->shape);
    return status ? status : infer_identity(evaluation);
}

enum pbit_status evaluate_dropout(struct pbitc_evaluation *evaluation)
{
    if (pbitc_output_used(evaluation, 1))
        memset(evaluation->outputs[1].data, 1, (size_t)pbitc_shape_elements(&evaluation->outputs[1].shape));
    return evaluate_view(evaluation);
}

/// Reshape: 0 keeps the input's dimension (unless allowzero), one -1 takes what remains.
enum pbit_status infer_reshape(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    bool allow_zero = pbitc_node_int(evaluation->node, "allowzero", 0) != 0;
    struct pbitc_shape shape;
    enum pbit_status status = pbitc_dims_input(evaluation, 1, "shape", &shape);
    if (status)
        return status;
    struct pbitc_shape asked = shape;
    int open = -1;
    for (int i = 0; i < shape.rank; i++) {
        if (shape.dims[i] == 0 && !allow_zero && i < input->rank)
            shape.dims[i] = input->dims[i];
        if (shape.dims[i] != -1)
            continue;
        if (open >= 0)
            return PBITC_MALFORMED(evaluation, "shape %s has more than one -1",
                                   pbitc_shape_format(&asked).text);
        open = i;
        shape.dims[i] = 1;
    }
    int64_t elements = pbitc_shape_elements(input), known = pbitc_shape_elements(&shape);
    if (open >= 0 && known > 0 && elements % known == 0)
        shape.dims[open] = elements / known;
    if (known < 0 || (open >= 0 && known == 0) || pbitc_shape_elements(&shape) != elements)
        return PBITC_MALFORMED(evaluation, "%s cannot be reshaped to %s", pbitc_shape_format(input).text,
                               pbitc_shape_format(&asked).text);
    return pbitc_set_moved(evaluation, &shape);
}

enum pbit_status infer_flatten(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    int64_t axis = pbitc_node_int(evaluation->node, "axis", 1);
    if (axis < -input->rank || axis > input->rank)
        return PBITC_MALFORMED(evaluation, "axis %lld with an input of rank %d", (long long)axis,
                               input->rank);
    int split = (int)(axis < 0 ? axis + input->rank : axis);
    struct pbitc_shape shape = {2, {pbitc_extent(input, 0, split), pbitc_extent(input, split, input->rank)}};
    return pbitc_set_moved(evaluation, &shape);
}

/// Squeeze: without axes every dimension of 1 goes.
enum pbit_status infer_squeeze(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    bool chosen[PBITC_MAX_RANK] = {false}, all = !pbitc_input(evaluation, 1);
    enum pbit_status status = pbitc_axes_input(evaluation, 1, input->rank, chosen);
    struct pbitc_shape shape = {.rank = 0};
    for (int i = 0; !status && i < input->rank; i++) {
        if (chosen[i] && input->dims[i] != 1)
            status =
                PBITC_MALFORMED(evaluation, "dimension %d of %s is not 1", i, pbitc_shape_format(input).text);
        if (!(chosen[i] || (all && input->dims[i] == 1)))
            shape.dims[shape.rank++] = input->dims[i];
    }
    return status ? status : pbitc_set_moved(evaluation, &shape);
}

enum pbit_status infer_unsqueeze(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    enum pbit_status status = pbitc_require_parameter(evaluation, 1, "axes", PBITC_TYPES_INDEX);
    if (status)
        return status;
    int64_t rank = input->rank + pbitc_shape_elements(&evaluation->inputs[1]->shape);
    if (rank > PBITC_MAX_RANK)
        return PBITC_REFUSE(evaluation, NULL, "a result of rank %lld; at most %d are supported",
                            (long long)rank, PBITC_MAX_RANK);
    bool chosen[PBITC_MAX_RANK] = {false};
    status = pbitc_axes_input(evaluation, 1, (int)rank, chosen);
    struct pbitc_shape shape = {.rank = (int)rank};
    for (int i = 0, from = 0; !status && i < shape.rank; i++)
        shape.dims[i] = chosen[i] ? 1 : input->dims[from++];
    return status ? status : pbitc_set_moved(evaluation, &shape);
}
