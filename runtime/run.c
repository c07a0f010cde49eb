// The executor: operations that are not random once per image, the others once per pass (FORMAT.md, section
// 6).
#include "runtime/execute.h"

enum { WORKSPACE_ALIGNMENT = 16 };

/// A run in progress.
struct run {
    const struct pbit_model *model;
    const uint8_t *const *inputs;
    uint8_t *workspace; ///< the tensors, then scratch
    struct pbit_draw draw;
    uint32_t draws;
    const struct pbit_options *options;
};

static size_t tensors_bytes(const struct pbit_model *model)
{
    return pbit_header_field(model, PBIT_HEADER_WORKSPACE);
}

size_t pbit_workspace_bytes(const struct pbit_model *model)
{
    size_t scratch = 0; // one unpacked row of weights
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_operation operation = pbit_model_operation(model, i);
        if (operation.kind != PBIT_OPERATION_CONV)
            continue;
        struct pbit_tensor input = pbit_model_tensor(model, pbit_operation_input(model, &operation, 0));
        size_t row = (size_t)pbit_operation_fan_in(&operation, input.channels) * sizeof(int16_t);
        scratch = row > scratch ? row : scratch;
    }
    return tensors_bytes(model) +
           (scratch + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
}

/// Inputs lie where the caller has them, all other tensors in the workspace.
static const uint8_t *tensor_data(const void *state, uint32_t index, const struct pbit_tensor *tensor)
{
    const struct run *run = state;
    return index < run->model->input_count ? run->inputs[index] : run->workspace + tensor->workspace_offset;
}

static void execute(struct run *run, uint32_t index)
{
    const struct pbit_model *model = run->model;
    struct pbit_operation operation = pbit_model_operation(model, index);
    uint32_t input_index = pbit_operation_input(model, &operation, 0);
    struct pbit_tensor input = pbit_model_tensor(model, input_index);
    struct pbit_tensor output = pbit_model_tensor(model, operation.output);
    const uint8_t *in = tensor_data(run, input_index, &input);
    uint8_t *out = run->workspace + output.workspace_offset;
    switch (operation.kind) {
    case PBIT_OPERATION_CONV:
        pbit_conv(model, &operation, &input, &output, pbit_tensor_levels(&input, run->draws), in,
                  (int32_t *)out, (int16_t *)(run->workspace + tensors_bytes(model)));
        break;
    case PBIT_OPERATION_NEURON:
        run->draw.levels = pbit_tensor_levels(&output, run->draws);
        pbit_neuron(model, &operation, &output, &run->draw, (const int32_t *)in, out);
        break;
    default:
        pbit_execute(model, &operation, tensor_data, run, out);
    }
    if (run->options->observe)
        run->options->observe(run->options->state, index, out);
}

enum pbit_status pbit_run(const struct pbit_model *model, const struct pbit_options *options,
                          const uint8_t *const *inputs, int64_t *const *sums, void *workspace,
                          size_t workspace_bytes)
{
    if (!model || !options || !inputs || !sums || !workspace || (uintptr_t)workspace % WORKSPACE_ALIGNMENT)
        return PBIT_ERROR_ARGUMENT;
    struct pbit_budget budget;
    enum pbit_status status = pbit_run_check(model, options, 1, inputs, sums, &budget);
    if (status != PBIT_OK)
        return status;
    if (workspace_bytes < pbit_workspace_bytes(model))
        return PBIT_ERROR_WORKSPACE;
    struct run run = {
        .model = model,
        .inputs = inputs,
        .workspace = workspace,
        .draw = {.seed = options->seed, .image = options->image, .sampler = budget.sampler},
        .draws = budget.draws,
        .options = options,
    };
    pbit_sums_clear(model, 1, sums);
    for (uint32_t i = 0; i < model->first_random; i++)
        execute(&run, i);
    for (uint32_t pass = 0; pass < budget.samples; pass++) {
        run.draw.sample = options->first_sample + pass;
        for (uint32_t i = model->first_random; i < model->operation_count; i++)
            execute(&run, i);
        pbit_sums_add(model, tensor_data, &run, sums);
        if (options->after_sample && options->after_sample(options->state, pass + 1, sums))
            return pass + 1 < budget.samples ? PBIT_ERROR_STOPPED : PBIT_OK;
    }
    return PBIT_OK;
}
