#include "runtime/execute.h"

static int has_all_ports(const struct pbit_model *model, size_t images, const uint8_t *const *inputs,
                         int64_t *const *sums)
{
    for (size_t i = 0; i < images * model->input_count; i++)
        if (!inputs[i])
            return 0;
    for (size_t o = 0; o < images * model->output_count; o++)
        if (!sums[o])
            return 0;
    return 1;
}

enum pbit_status pbit_run_check(const struct pbit_model *model, const struct pbit_options *options,
                                size_t images, const uint8_t *const *inputs, int64_t *const *sums,
                                struct pbit_budget *budget)
{
    if (!has_all_ports(model, images, inputs, sums))
        return PBIT_ERROR_ARGUMENT;
    budget->draws = options->draws ? options->draws : pbit_model_default_draws(model);
    budget->samples = options->samples ? options->samples : pbit_model_default_samples(model);
    if (budget->draws > pbit_model_max_draws(model) ||
        (uint64_t)options->first_sample + budget->samples > pbit_model_max_samples(model))
        return PBIT_ERROR_RANGE;
    if ((unsigned)options->sampler > PBIT_SAMPLER_MIDPOINT)
        return PBIT_ERROR_ARGUMENT;
    budget->sampler = options->sampler ? options->sampler : pbit_model_sampler(model);
    return PBIT_OK;
}

void pbit_sums_clear(const struct pbit_model *model, size_t images, int64_t *const *sums)
{
    for (uint32_t o = 0; o < model->output_count; o++) {
        size_t bytes = pbit_model_output(model, o).elements * sizeof(int64_t);
        for (size_t image = 0; image < images; image++)
            memset(sums[image * model->output_count + o], 0, bytes);
    }
}

static void concat(const struct pbit_model *model, const struct pbit_operation *operation,
                   const struct pbit_tensor *output, size_t element, pbit_tensor_finder *find,
                   const void *state, uint8_t *out)
{
    for (uint32_t i = 0, channels = 0; i < operation->input_count; i++) {
        uint32_t index = pbit_operation_input(model, operation, i);
        struct pbit_tensor part = pbit_model_tensor(model, index);
        pbit_concat_part(&part, output, channels, element, find(state, index, &part), out);
        channels += part.channels;
    }
}

void pbit_execute(const struct pbit_model *model, const struct pbit_operation *operation,
                  pbit_tensor_finder *find, const void *state, uint8_t *out)
{
    uint32_t index = pbit_operation_input(model, operation, 0);
    struct pbit_tensor input = pbit_model_tensor(model, index),
                       output = pbit_model_tensor(model, operation->output);
    const uint8_t *in = find(state, index, &input);
    size_t element = output.kind == PBIT_FIXED ? sizeof(int32_t) : sizeof(uint8_t);
    switch (operation->kind) {
    case PBIT_OPERATION_MAXPOOL:
        if (output.kind == PBIT_FIXED)
            pbit_maxpool_fixed(operation, &input, &output, (const int32_t *)in, (int32_t *)out);
        else
            pbit_maxpool_levels(operation, &input, &output, in, out);
        break;
    case PBIT_OPERATION_SUMPOOL:
        pbit_sumpool(operation, &input, &output, (const int32_t *)in, (int32_t *)out);
        break;
    case PBIT_OPERATION_ADD: {
        uint32_t second_index = pbit_operation_input(model, operation, 1);
        struct pbit_tensor second = pbit_model_tensor(model, second_index);
        pbit_add((const int32_t *)in, (const int32_t *)find(state, second_index, &second), (int32_t *)out,
                 pbit_tensor_elements(&output));
        break;
    }
    case PBIT_OPERATION_CONCAT:
        concat(model, operation, &output, element, find, state, out);
        break;
    case PBIT_OPERATION_PERMUTE:
        pbit_permute(model, operation, &output, element, in, out);
        break;
    }
}

void pbit_sums_add(const struct pbit_model *model, pbit_tensor_finder *find, const void *state,
                   int64_t *const *sums)
{
    for (uint32_t o = 0; o < model->output_count; o++) {
        uint32_t index = pbit_output_tensor(model, o);
        struct pbit_tensor tensor = pbit_model_tensor(model, index);
        const int32_t *z = (const int32_t *)find(state, index, &tensor);
        size_t elements = pbit_tensor_elements(&tensor);
        for (size_t i = 0; i < elements; i++)
            sums[o][i] += z[i];
    }
}
