#include "passes/interpreter/evaluation.h"

#include "passes/interpreter/inference.h"

#include "passes/operators/operator_support.h"

#include <cblas.h>
#include <pthread.h>

enum { SCRATCH_ALIGNMENT = 64 };

/// What one node may use when its shapes depend on data, so that nobody can say beforehand how much that is.
static const size_t MAX_COMPLETE_BYTES = (size_t)4 << 30;

size_t pbitc_tensor_size(const struct pbitc_tensor *tensor)
{
    return (size_t)pbitc_shape_elements(&tensor->shape) * pbitc_type_bytes(tensor->type);
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
        status = evaluation->node->op->infer(evaluation);
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
    return evaluation->node->op->evaluate(evaluation);
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
