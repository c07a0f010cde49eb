#include "passes/interpreter/evaluation.h"

#include "passes/interpreter/inference.h"

#include "passes/operators/operator_support.h"

#include <cblas.h>
#include <pthread.h>

/// Limits of a node that computes 16-bit floats in float32.
enum { MAX_WIDENED = 32, MAX_OUTPUTS = 4 };

enum { SCRATCH_ALIGNMENT = 64 };

/// What one node may use when its shapes depend on data, so that nobody can say beforehand how much that is.
static const size_t MAX_COMPLETE_BYTES = (size_t)4 << 30;

struct widened {
    struct pbitc_tensor inputs[MAX_WIDENED], outputs[MAX_OUTPUTS];
    const struct pbitc_tensor *pointers[MAX_WIDENED];
    struct pbitc_evaluation evaluation; ///< what the operator sees
};

static bool is_half(const struct pbitc_tensor *tensor)
{
    return tensor && (tensor->type == PBITC_FLOAT16 || tensor->type == PBITC_BFLOAT16);
}

static bool must_widen(const struct pbitc_evaluation *evaluation)
{
    if (evaluation->node->op->flags & PBITC_OPERATOR_ANY_TYPE)
        return false;
    for (size_t i = 0; i < evaluation->input_count; i++)
        if (is_half(evaluation->inputs[i]))
            return true;
    return false;
}

size_t pbitc_tensor_size(const struct pbitc_tensor *tensor)
{
    return (size_t)pbitc_shape_elements(&tensor->shape) * pbitc_type_bytes(tensor->type);
}

/// Bytes of the float32 copy of a tensor, a multiple of 64.
static size_t widened_bytes(const struct pbitc_tensor *tensor)
{
    return ((size_t)pbitc_shape_elements(&tensor->shape) * sizeof(float) + 63) & ~(size_t)63;
}

/// The input whose 16-bit type a float output has; NULL: statistics that ONNX wants in float32.
static const struct pbitc_tensor *model_of_output(const struct pbitc_evaluation *evaluation, size_t index)
{
    if (index > 0 && pbitc_node_is(evaluation->node, PBITC_OP_LayerNormalization))
        return NULL;
    if (index > 0 && pbitc_node_is(evaluation->node, PBITC_OP_BatchNormalization)) // running mean, variance
        return pbitc_input(evaluation, 2 + index);
    return evaluation->inputs[0];
}

/// Memory for the float32 form of output `index` is needed beside that of the output.
static bool narrows_output(const struct pbitc_evaluation *evaluation, size_t index, enum pbitc_type type)
{
    return type == PBITC_FLOAT32 && is_half(model_of_output(evaluation, index));
}

/// The evaluation with float32 in place of 16-bit floats; their data is not converted yet.
static enum pbit_status widen(struct pbitc_evaluation *evaluation, struct widened *widened)
{
    if (evaluation->input_count > MAX_WIDENED || evaluation->output_count > MAX_OUTPUTS)
        return PBITC_REFUSE(evaluation, "convert the model to float32",
                            "16-bit floats in more than %d inputs", MAX_WIDENED);
    for (size_t i = 0; i < evaluation->input_count; i++) {
        widened->pointers[i] = evaluation->inputs[i];
        if (!is_half(evaluation->inputs[i]))
            continue;
        widened->inputs[i] = *evaluation->inputs[i];
        widened->inputs[i].type = PBITC_FLOAT32;
        widened->inputs[i].data = NULL;
        widened->pointers[i] = &widened->inputs[i];
    }
    for (size_t i = 0; i < evaluation->output_count; i++)
        widened->outputs[i] = evaluation->outputs[i];
    widened->evaluation = *evaluation;
    widened->evaluation.inputs = widened->pointers;
    widened->evaluation.outputs = widened->outputs;
    return PBIT_OK;
}

/// Infers again with the data of all inputs, where shapes depend on that of 16-bit floats.
static enum pbit_status infer_with_data(struct pbitc_evaluation *evaluation, struct widened *widened)
{
    size_t bytes = 0;
    for (size_t i = 0; i < evaluation->input_count; i++)
        if (is_half(evaluation->inputs[i]))
            bytes += widened_bytes(evaluation->inputs[i]);
    unsigned char *block = pbitc_allocate(evaluation->allocator, bytes + 1), *next = block;
    if (!block)
        return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_MEMORY, evaluation->node, NULL,
                                 "out of memory");
    for (size_t i = 0; i < evaluation->input_count; i++) {
        const struct pbitc_tensor *half = evaluation->inputs[i];
        if (!is_half(half))
            continue;
        pbitc_convert(PBITC_FLOAT32, next, half->type, half->data, pbitc_shape_elements(&half->shape));
        widened->inputs[i].data = next;
        next += widened_bytes(half);
    }
    widened->evaluation.deferred = NULL;
    enum pbit_status status = evaluation->node->op->infer(&widened->evaluation);
    pbitc_release(evaluation->allocator, block);
    return status;
}

static bool half_data_known(const struct pbitc_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->input_count; i++)
        if (is_half(evaluation->inputs[i]) && !evaluation->inputs[i]->data)
            return false;
    return true;
}

static enum pbit_status infer_widened(struct pbitc_evaluation *evaluation)
{
    struct widened widened;
    enum pbit_status status = widen(evaluation, &widened);
    if (!status)
        status = evaluation->node->op->infer(&widened.evaluation);
    if (status && widened.evaluation.deferred && half_data_known(evaluation))
        status = infer_with_data(evaluation, &widened);
    evaluation->deferred = widened.evaluation.deferred;
    if (status)
        return status;
    evaluation->scratch_bytes = (widened.evaluation.scratch_bytes + 63) & ~(size_t)63;
    for (size_t i = 0; i < evaluation->output_count; i++) {
        evaluation->outputs[i].type = widened.outputs[i].type;
        evaluation->outputs[i].shape = widened.outputs[i].shape;
    }
    bool fits = true;
    for (size_t i = 0; i < evaluation->input_count; i++)
        if (is_half(evaluation->inputs[i]))
            fits = fits && pbitc_add_scratch(evaluation, 1, widened_bytes(evaluation->inputs[i]));
    for (size_t i = 0; i < evaluation->output_count; i++) {
        struct pbitc_tensor *output = &evaluation->outputs[i];
        if (!narrows_output(evaluation, i, output->type))
            continue;
        output->type = model_of_output(evaluation, i)->type;
        fits = fits && pbitc_add_scratch(evaluation, pbitc_shape_elements(&output->shape), sizeof(float));
    }
    return fits ? PBIT_OK : PBITC_REFUSE(evaluation, NULL, "the result is too large");
}

static enum pbit_status run_widened(struct pbitc_evaluation *evaluation)
{
    struct widened widened;
    enum pbit_status status = widen(evaluation, &widened);
    if (status)
        return status;
    size_t used = 0; // from the end of the scratch memory
    unsigned char *end = (unsigned char *)evaluation->scratch + evaluation->scratch_bytes;
    for (size_t i = 0; i < evaluation->input_count; i++) {
        const struct pbitc_tensor *half = evaluation->inputs[i];
        if (!is_half(half))
            continue;
        used += widened_bytes(half);
        widened.inputs[i].data = end - used;
        pbitc_convert(PBITC_FLOAT32, end - used, half->type, half->data, pbitc_shape_elements(&half->shape));
    }
    for (size_t i = 0; i < evaluation->output_count; i++) {
        if (!is_half(&evaluation->outputs[i]))
            continue;
        widened.outputs[i].type = PBITC_FLOAT32;
        if (!evaluation->outputs[i].data)
            continue;
        used += widened_bytes(&evaluation->outputs[i]);
        widened.outputs[i].data = end - used;
    }
    widened.evaluation.scratch_bytes -= used;
    status = evaluation->node->op->evaluate(&widened.evaluation);
    for (size_t i = 0; !status && i < evaluation->output_count; i++)
        if (is_half(&evaluation->outputs[i]) && evaluation->outputs[i].data)
            pbitc_convert(evaluation->outputs[i].type, evaluation->outputs[i].data, PBITC_FLOAT32,
                          widened.outputs[i].data, pbitc_shape_elements(&evaluation->outputs[i].shape));
    return status;
}

static enum pbit_status check_outputs(struct pbitc_evaluation *evaluation)
{
    for (size_t i = 0; i < evaluation->output_count; i++) {
        const struct pbitc_tensor *output = &evaluation->outputs[i];
        size_t bytes;
        if (output->type == PBITC_TYPE_NONE) {
            if (evaluation->node->outputs[i])
                return PBITC_REFUSE(evaluation, NULL, "output %zu is not supported", i);
            continue;
        }
        int64_t elements = pbitc_shape_elements(&output->shape);
        if (elements < 0 ||
            __builtin_mul_overflow((size_t)elements, pbitc_type_bytes(output->type), &bytes) ||
            bytes > SIZE_MAX / 8)
            return PBITC_REFUSE(evaluation, NULL, "a result of shape %s is too large",
                                pbitc_shape_format(&output->shape).text);
    }
    return PBIT_OK;
}

/// What no operator could do without; the graph's verifier says the same, but a crash would be worse.
static enum pbit_status check_operands(const struct pbitc_evaluation *evaluation)
{
    const struct pbitc_operator *op = evaluation->node->op;
    bool all = op->max_inputs < 0 && !(op->flags & PBITC_OPERATOR_CONTROL_FLOW);
    size_t needed = all ? evaluation->input_count : (size_t)op->min_inputs;
    if (evaluation->input_count < (size_t)op->min_inputs ||
        evaluation->output_count < (size_t)op->min_outputs)
        return PBITC_MALFORMED(evaluation, "%zu inputs and %zu outputs", evaluation->input_count,
                               evaluation->output_count);
    for (size_t i = 0; i < needed; i++)
        if (!evaluation->inputs[i])
            return PBITC_MALFORMED(evaluation, "input %zu is missing", i);
    for (size_t i = 0; i < (size_t)op->min_outputs; i++)
        if (!evaluation->node->outputs[i])
            return PBITC_MALFORMED(evaluation, "output %zu is missing", i);
    return PBIT_OK;
}

enum pbit_status pbitc_evaluation_infer(struct pbitc_evaluation *evaluation)
{
    evaluation->scratch_bytes = 0;
    evaluation->deferred = NULL;
    for (size_t i = 0; i < evaluation->output_count; i++)
        evaluation->outputs[i] = (struct pbitc_tensor){.type = PBITC_TYPE_NONE, .shape = {.rank = -1}};
    enum pbit_status status = check_operands(evaluation);
    if (!status)
        status = must_widen(evaluation) ? infer_widened(evaluation) : evaluation->node->op->infer(evaluation);
    return status ? status : check_outputs(evaluation);
}

/// OpenBLAS keeps to the thread that calls it: the operators share out the work themselves, in pieces that do
/// not depend on the number of threads, so that neither do the results.
static void limit_blas_threads(void)
{
    openblas_set_num_threads(1);
}

enum pbit_status pbitc_evaluation_run(struct pbitc_evaluation *evaluation)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, limit_blas_threads);
    return must_widen(evaluation) ? run_widened(evaluation) : evaluation->node->op->evaluate(evaluation);
}

static bool within_limit(const struct pbitc_evaluation *evaluation)
{
    size_t left = MAX_COMPLETE_BYTES;
    for (size_t i = 0; i < evaluation->output_count; i++) {
        size_t bytes = evaluation->node->outputs[i] ? pbitc_tensor_size(&evaluation->outputs[i]) : 0;
        if (bytes > left)
            return false;
        left -= bytes;
    }
    return evaluation->scratch_bytes <= left;
}

/// Memory for the outputs that are wanted, and aligned scratch memory inside *block.
static bool allocate_results(struct pbitc_evaluation *evaluation, const struct pbitc_allocator *allocator,
                             void **block)
{
    for (size_t i = 0; i < evaluation->output_count; i++)
        if (evaluation->node->outputs[i] && !(evaluation->outputs[i].data = pbitc_allocate(
                                                  allocator, pbitc_tensor_size(&evaluation->outputs[i]) + 1)))
            return false;
    if (!(*block = pbitc_allocate(allocator, evaluation->scratch_bytes + SCRATCH_ALIGNMENT)))
        return false;
    evaluation->scratch = (unsigned char *)*block + (-(uintptr_t)*block & (SCRATCH_ALIGNMENT - 1));
    return true;
}

static enum pbit_status run_control_flow(struct pbitc_evaluation *evaluation)
{
    int64_t turns = PBITC_MAX_TURNS;
    for (size_t i = 0; i < evaluation->output_count; i++)
        evaluation->outputs[i] = (struct pbitc_tensor){.type = PBITC_TYPE_NONE, .shape = {.rank = -1}};
    bool outermost = !evaluation->turns;
    if (outermost)
        evaluation->turns = &turns;
    enum pbit_status status = check_operands(evaluation);
    if (!status)
        status = evaluation->node->op->evaluate(evaluation);
    if (outermost)
        evaluation->turns = NULL;
    return status ? status : check_outputs(evaluation);
}

static enum pbit_status allocate_and_run(struct pbitc_evaluation *evaluation,
                                         const struct pbitc_allocator *allocator)
{
    enum pbit_status status = pbitc_evaluation_infer(evaluation);
    if (status)
        return status;
    if (!within_limit(evaluation))
        return PBITC_REFUSE(evaluation, "check the model and its input",
                            "a result of shape %s, which depends on data, needs more than %zu GiB",
                            pbitc_shape_format(&evaluation->outputs[0].shape).text, MAX_COMPLETE_BYTES >> 30);
    void *block = NULL;
    if (!allocate_results(evaluation, allocator, &block))
        status = pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_MEMORY, evaluation->node, NULL,
                                   "out of memory");
    else
        status = pbitc_evaluation_run(evaluation);
    pbitc_release(allocator, block);
    return status;
}

enum pbit_status pbitc_evaluation_complete(struct pbitc_evaluation *evaluation,
                                           const struct pbitc_allocator *allocator)
{
    evaluation->allocator = allocator;
    enum pbit_status status = evaluation->node->op->flags & PBITC_OPERATOR_CONTROL_FLOW
                                  ? run_control_flow(evaluation)
                                  : allocate_and_run(evaluation, allocator);
    for (size_t i = 0; status && i < evaluation->output_count; i++) {
        pbitc_release(allocator, evaluation->outputs[i].data);
        evaluation->outputs[i].data = NULL;
    }
    return status;
}
