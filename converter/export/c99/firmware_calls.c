#include "converter/export/c99/firmware_calls.h"

#include <inttypes.h>

static uint32_t input_of(const struct pbit_model *model, uint32_t operation, uint32_t i)
{
    struct pbit_operation record = pbit_model_operation(model, operation);
    return pbit_operation_input(model, &record, i);
}

static uint32_t output_of(const struct pbit_model *model, uint32_t operation)
{
    return pbit_model_operation(model, operation).output;
}

void pbitc_firmware_write_stages(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    const struct pbit_model *model = firmware->model;
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        if (step->kind != PBITC_FIRMWARE_STAGE)
            continue;
        fprintf(stream,
                "static const struct pbit_stage stage_%" PRIu32 " = {\n    .model = &model,\n"
                "    .convolve = %s,\n    .conv = &operations[%" PRIu32 "],\n    .input = &tensors[%" PRIu32
                "],\n"
                "    .sums = &tensors[%" PRIu32 "],\n",
                s, step->dense ? "pbit_dense_rows" : "pbit_conv_rows", step->operation,
                input_of(model, step->operation, 0), output_of(model, step->operation));
        if (step->pool != PBITC_FIRMWARE_NONE)
            fprintf(stream, "    .pool = &operations[%" PRIu32 "],\n    .pooled = &tensors[%" PRIu32 "],\n",
                    step->pool, output_of(model, step->pool));
        if (step->neuron != PBITC_FIRMWARE_NONE)
            fprintf(stream, "    .neuron = &operations[%" PRIu32 "],\n    .levels = &tensors[%" PRIu32 "],\n",
                    step->neuron, output_of(model, step->neuron));
        fprintf(stream,
                "    .channels = %" PRIu32 ",\n    .row_offset = %" PRIu64 ",\n    .sums_offset = %" PRIu64
                ",\n    .sums_stride = %" PRIu64 ",\n    .pooled_offset = %" PRIu64
                ",\n    .states_offset = %" PRIu64 ",\n};\n\n",
                step->channels, plan->buffers[step->row].offset, plan->buffers[step->sums].offset,
                step->sums_stride, plan->buffers[step->pooled].offset, plan->buffers[step->states].offset);
    }
}

/// Where an input of a step lies, as an expression; `pass` adds the stride of pass number p.
static void write_place(const struct pbitc_firmware *firmware, uint32_t tensor, bool pass, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    if (tensor < model->input_count) {
        uint64_t at = 0;
        for (uint32_t i = 0; i < tensor; i++)
            at += pbit_model_input(model, i).elements;
        fprintf(stream, "workspace->input + %" PRIu64, at);
        return;
    }
    struct pbit_tensor record = pbit_model_tensor(model, tensor);
    uint64_t stride = firmware->plan->tensor_strides[tensor];
    fprintf(stream, "arena + %" PRIu64, firmware->plan->buffers[tensor].offset);
    if (pass && stride)
        fprintf(stream, " + p * %" PRIu64, stride * (record.kind == PBIT_FIXED ? 4 : 1));
}

static void write_pointer(const struct pbitc_firmware *firmware, uint32_t tensor, bool pass, bool constant,
                          FILE *stream)
{
    bool fixed = pbit_model_tensor(firmware->model, tensor).kind == PBIT_FIXED;
    fputs(fixed && constant ? "(const int32_t *)(const void *)("
          : fixed           ? "(int32_t *)(void *)("
                            : "",
          stream);
    write_place(firmware, tensor, pass, stream);
    fputs(fixed ? ")" : "", stream);
}

static void write_stage_call(const struct pbitc_firmware *firmware, uint32_t s, FILE *stream)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    const struct pbitc_firmware_step *step = &plan->steps[s];
    uint32_t in = input_of(firmware->model, step->operation, 0), out = output_of(firmware->model, step->last);
    fprintf(stream, "    pbit_stage_run(&stage_%" PRIu32 ", passes, ", s);
    write_place(firmware, in, false, stream);
    fprintf(stream, ", %" PRIu64 ",\n                   ", plan->tensor_strides[in]);
    write_place(firmware, out, false, stream);
    fprintf(stream, ", %" PRIu64 ", arena);\n", plan->tensor_strides[out]);
}

static void write_concat(const struct pbitc_firmware *firmware, uint32_t operation, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    struct pbit_operation record = pbit_model_operation(model, operation);
    uint32_t first = 0;
    for (uint32_t i = 0; i < record.input_count; i++) {
        uint32_t in = pbit_operation_input(model, &record, i);
        struct pbit_tensor tensor = pbit_model_tensor(model, in);
        fprintf(stream,
                "        pbit_concat_part(&tensors[%" PRIu32 "], &tensors[%" PRIu32 "], %" PRIu32 ", %d, ",
                in, record.output, first, tensor.kind == PBIT_FIXED ? 4 : 1);
        write_place(firmware, in, true, stream);
        fputs(", ", stream);
        write_place(firmware, record.output, true, stream);
        fputs(");\n", stream);
        first += tensor.channels;
    }
}

static void write_pool(const struct pbitc_firmware *firmware, uint32_t operation, const char *function,
                       FILE *stream)
{
    uint32_t in = input_of(firmware->model, operation, 0), out = output_of(firmware->model, operation);
    fprintf(stream,
            "        %s(&operations[%" PRIu32 "], &tensors[%" PRIu32 "], &tensors[%" PRIu32
            "],\n            ",
            function, operation, in, out);
    write_pointer(firmware, in, true, true, stream);
    fputs(",\n            ", stream);
    write_pointer(firmware, out, true, false, stream);
    fputs(");\n", stream);
}

static void write_add(const struct pbitc_firmware *firmware, uint32_t operation, FILE *stream)
{
    uint32_t out = output_of(firmware->model, operation);
    struct pbit_tensor tensor = pbit_model_tensor(firmware->model, out);
    fputs("        pbit_add(", stream);
    for (uint32_t i = 0; i < 2; i++) {
        write_pointer(firmware, input_of(firmware->model, operation, i), true, true, stream);
        fputs(",\n                 ", stream);
    }
    write_pointer(firmware, out, true, false, stream);
    fprintf(stream, ", %zu);\n", pbit_tensor_elements(&tensor));
}

static void write_permute(const struct pbitc_firmware *firmware, uint32_t operation, FILE *stream)
{
    uint32_t in = input_of(firmware->model, operation, 0), out = output_of(firmware->model, operation);
    fprintf(stream, "        pbit_permute(&model, &operations[%" PRIu32 "], &tensors[%" PRIu32 "], %d, ",
            operation, out, pbit_model_tensor(firmware->model, out).kind == PBIT_FIXED ? 4 : 1);
    write_place(firmware, in, true, stream);
    fputs(", ", stream);
    write_place(firmware, out, true, stream);
    fputs(");\n", stream);
}

static void write_neuron(const struct pbitc_firmware *firmware, uint32_t operation, FILE *stream)
{
    uint32_t in = input_of(firmware->model, operation, 0), out = output_of(firmware->model, operation);
    fprintf(stream,
            "    pbit_passes_neuron(&model, &operations[%" PRIu32 "], &tensors[%" PRIu32
            "], passes,\n        ",
            operation, out);
    write_pointer(firmware, in, false, true, stream);
    fprintf(stream, ", %" PRIu64 ",\n        ", firmware->plan->tensor_strides[in]);
    write_pointer(firmware, out, false, false, stream);
    fprintf(stream, ", %" PRIu64 ");\n", firmware->plan->tensor_strides[out]);
}

static void write_single_call(const struct pbitc_firmware *firmware, uint32_t operation, FILE *stream)
{
    struct pbit_operation record = pbit_model_operation(firmware->model, operation);
    if (record.kind == PBIT_OPERATION_NEURON) {
        write_neuron(firmware, operation, stream);
        return;
    }
    fputs("    for (uint32_t p = 0; p < passes->count; p++) {\n", stream);
    switch (record.kind) {
    case PBIT_OPERATION_MAXPOOL:
        write_pool(firmware, operation,
                   pbit_model_tensor(firmware->model, record.output).kind == PBIT_FIXED
                       ? "pbit_maxpool_fixed"
                       : "pbit_maxpool_levels",
                   stream);
        break;
    case PBIT_OPERATION_SUMPOOL:
        write_pool(firmware, operation, "pbit_sumpool", stream);
        break;
    case PBIT_OPERATION_ADD:
        write_add(firmware, operation, stream);
        break;
    case PBIT_OPERATION_CONCAT:
        write_concat(firmware, operation, stream);
        break;
    case PBIT_OPERATION_PERMUTE:
        write_permute(firmware, operation, stream);
        break;
    }
    fputs("    }\n", stream);
}

void pbitc_firmware_write_steps(const struct pbitc_firmware *firmware, bool random, FILE *stream)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    uint32_t steps = 0;
    for (uint32_t s = 0; s < plan->step_count; s++)
        steps += plan->steps[s].random == random;
    fprintf(
        stream,
        "/* %s */\nstatic void run_%s(struct %s_workspace *workspace, const struct pbit_passes *passes)\n{\n",
        random ? "What every pass computes." : "What is the same in every pass, once per image.",
        random ? "passes" : "image", firmware->name);
    fputs(steps ? "    uint8_t *arena = (uint8_t *)workspace->arena;\n"
                : "    (void)workspace;\n    (void)passes;\n",
          stream);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        if (step->random != random)
            continue;
        if (step->kind == PBITC_FIRMWARE_STAGE)
            write_stage_call(firmware, s, stream);
        else
            write_single_call(firmware, step->operation, stream);
    }
    fputs("}\n\n", stream);
}

void pbitc_firmware_write_sums(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    const uint8_t *outputs = model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS);
    fprintf(stream,
            "static void add_outputs(struct %s_workspace *workspace, uint32_t p)\n{\n"
            "    const uint8_t *arena = (const uint8_t *)workspace->arena;\n    const int32_t *z;\n"
            "    (void)p; /* where no output is random */\n",
            firmware->name);
    uint64_t at = 0;
    for (uint32_t o = 0; o < model->output_count; o++) {
        uint32_t tensor = pbit_load_u32(outputs + (size_t)o * PBIT_PORT_BYTES);
        uint64_t elements = pbit_model_output(model, o).elements;
        fputs("    z = ", stream);
        write_pointer(firmware, tensor, true, true, stream);
        fprintf(stream,
                ";\n    for (uint32_t i = 0; i < %" PRIu64 "; i++)\n        workspace->output[%" PRIu64
                " + i] += z[i];\n",
                elements, at);
        if (o == 0)
            fprintf(stream, "    if (workspace->votes)\n        workspace->votes[largest(z)]++;\n");
        at += elements;
    }
    fputs("}\n\n", stream);
}
