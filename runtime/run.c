// The executor: operations that are not random once per image, the others once per pass (FORMAT.md, section
// 6).
#include "runtime/kernels/kernels.h"

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
static const uint8_t *tensor_data(const struct run *run, uint32_t index, const struct pbit_tensor *tensor)
{
    return index < run->model->input_count ? run->inputs[index] : run->workspace + tensor->workspace_offset;
}

static void concat(const struct run *run, const struct pbit_operation *operation,
                   const struct pbit_tensor *output, size_t element, uint8_t *out)
{
    uint32_t channels = 0;
    for (uint32_t i = 0; i < operation->input_count; i++) {
        uint32_t index = pbit_operation_input(run->model, operation, i);
        struct pbit_tensor input = pbit_model_tensor(run->model, index);
        pbit_concat_part(&input, output, channels, element, tensor_data(run, index, &input), out);
        channels += input.channels;
    }
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
    size_t element = output.kind == PBIT_FIXED ? sizeof(int32_t) : sizeof(uint8_t);
    switch (operation.kind) {
    case PBIT_OPERATION_CONV:
        pbit_conv(model, &operation, &input, &output, pbit_tensor_levels(&input, run->draws), in,
                  (int32_t *)out, (int16_t *)(run->workspace + tensors_bytes(model)));
        break;
    case PBIT_OPERATION_NEURON:
        run->draw.levels = pbit_tensor_levels(&output, run->draws);
        pbit_neuron(model, &operation, &output, &run->draw, (const int32_t *)in, out);
        break;
    case PBIT_OPERATION_MAXPOOL:
        if (output.kind == PBIT_FIXED)
            pbit_maxpool_fixed(&operation, &input, &output, (const int32_t *)in, (int32_t *)out);
        else
            pbit_maxpool_levels(&operation, &input, &output, in, out);
        break;
    case PBIT_OPERATION_SUMPOOL:
        pbit_sumpool(&operation, &input, &output, (const int32_t *)in, (int32_t *)out);
        break;
    case PBIT_OPERATION_ADD: {
        uint32_t second_index = pbit_operation_input(model, &operation, 1);
        struct pbit_tensor second = pbit_model_tensor(model, second_index);
        pbit_add((const int32_t *)in, (const int32_t *)tensor_data(run, second_index, &second),
                 (int32_t *)out, pbit_tensor_elements(&output));
        break;
    }
    case PBIT_OPERATION_CONCAT:
        concat(run, &operation, &output, element, out);
        break;
    case PBIT_OPERATION_PERMUTE:
        pbit_permute(model, &operation, &output, element, in, out);
        break;
    }
    if (run->options->observe)
        run->options->observe(run->options->state, index, out);
}

static int has_all_ports(const struct pbit_model *model, const uint8_t *const *inputs, int64_t *const *sums)
{
    for (uint32_t i = 0; i < model->input_count; i++)
        if (!inputs[i])
            return 0;
    for (uint32_t o = 0; o < model->output_count; o++)
        if (!sums[o])
            return 0;
    return 1;
}

static void clear_outputs(const struct pbit_model *model, int64_t *const *sums)
{
    for (uint32_t o = 0; o < model->output_count; o++)
        memset(sums[o], 0, pbit_model_output(model, o).elements * sizeof(int64_t));
}

static void add_outputs(const struct run *run, int64_t *const *sums)
{
    const struct pbit_model *model = run->model;
    for (uint32_t o = 0; o < model->output_count; o++) {
        struct pbit_tensor tensor = pbit_model_tensor(model, pbit_output_tensor(model, o));
        const int32_t *z = (const int32_t *)(run->workspace + tensor.workspace_offset);
        size_t elements = pbit_tensor_elements(&tensor);
        for (size_t i = 0; i < elements; i++)
            sums[o][i] += z[i];
    }
}

enum pbit_status pbit_run(const struct pbit_model *model, const struct pbit_options *options,
                          const uint8_t *const *inputs, int64_t *const *sums, void *workspace,
                          size_t workspace_bytes)
{
    if (!model || !options || !inputs || !sums || !workspace || (uintptr_t)workspace % WORKSPACE_ALIGNMENT)
        return PBIT_ERROR_ARGUMENT;
    if (!has_all_ports(model, inputs, sums))
        return PBIT_ERROR_ARGUMENT;
    uint32_t draws = options->draws ? options->draws : pbit_model_default_draws(model);
    uint32_t samples = options->samples ? options->samples : pbit_model_default_samples(model);
    if (draws > pbit_model_max_draws(model) || samples > pbit_model_max_samples(model))
        return PBIT_ERROR_RANGE;
    if ((unsigned)options->sampler > PBIT_SAMPLER_MIDPOINT)
        return PBIT_ERROR_ARGUMENT;
    if (workspace_bytes < pbit_workspace_bytes(model))
        return PBIT_ERROR_WORKSPACE;
    struct run run = {
        .model = model,
        .inputs = inputs,
        .workspace = workspace,
        .draw = {.seed = options->seed,
                 .image = options->image,
                 .sampler = options->sampler ? options->sampler : pbit_model_sampler(model)},
        .draws = draws,
        .options = options,
    };
    clear_outputs(model, sums);
    for (uint32_t i = 0; i < model->first_random; i++)
        execute(&run, i);
    for (run.draw.sample = 0; run.draw.sample < samples; run.draw.sample++) {
        for (uint32_t i = model->first_random; i < model->operation_count; i++)
            execute(&run, i);
        add_outputs(&run, sums);
        if (options->after_sample && options->after_sample(options->state, run.draw.sample + 1, sums))
            return run.draw.sample + 1 < samples ? PBIT_ERROR_STOPPED : PBIT_OK;
    }
    return PBIT_OK;
}
