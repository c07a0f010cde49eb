// lower: the graph, all of whose neurons are PBits and whose weights are quantized, becomes a .pbit program.
// What the format cannot hold is reported node by node, everything at once.
#include "passes/lowering/lowering.h"

#include "passes/pass_support.h"

// ---- sums and concatenations

static void lower_add(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    const struct pbitc_unit *unit = &lowering->units[node->outputs[0]->index];
    if (!pbitc_shape_equal(&node->inputs[0]->shape, &node->inputs[1]->shape) || !unit->gain) {
        pbitc_refuse(lowering, node, "",
                     "only a sum of two values of the same shape can be a .pbit operation");
        return;
    }
    float *none = pbitc_lowering_allocate(lowering, lowering->placements[node->outputs[0]->index].channels,
                                          sizeof(float));
    struct pbitc_unit second = {unit->gain, none};
    if (!none)
        return;
    uint32_t a =
        pbitc_fixed_tensor(lowering, node, node->inputs[0], unit); // carries the offset, as in units.c
    uint32_t b = pbitc_fixed_tensor(lowering, node, node->inputs[1], &second);
    if (a == UINT32_MAX || b == UINT32_MAX)
        return;
    uint32_t output = pbitc_make_tensor(lowering, node->outputs[0], PBIT_FIXED, 0);
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_ADD, node->name, a, output);
    if (!operation)
        return;
    operation->fields.input_count = 2;
    operation->inputs[1] = b;
}

static void lower_concat(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    int64_t axis = pbitc_node_int(node, "axis", 1);
    uint32_t inputs[PBIT_INPUTS_LIMIT];
    if ((axis != 1 && axis != 1 - node->outputs[0]->shape.rank) || node->input_count > PBIT_INPUTS_LIMIT) {
        pbitc_refuse(lowering, node, "",
                     "only a concatenation of channels (axis 1) can be a .pbit operation");
        return;
    }
    const struct pbit_tensor *first = NULL;
    for (size_t i = 0; i < node->input_count; i++) {
        struct pbitc_placement placement;
        inputs[i] = pbitc_standard_tensor(lowering, node, node->inputs[i], &placement);
        if (inputs[i] == UINT32_MAX)
            return;
        const struct pbit_tensor *tensor = &lowering->program->tensors[inputs[i]];
        first = first ? first : tensor;
        if (tensor->kind != first->kind || tensor->draw_factor != first->draw_factor) {
            pbitc_refuse(lowering, node, "give the neurons in front of it the same kind and draws",
                         "'%s' and '%s' do not have the same levels", first->name, tensor->name);
            return;
        }
    }
    uint32_t output =
        pbitc_make_tensor(lowering, node->outputs[0], (enum pbit_tensor_kind)first->kind, first->draw_factor);
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_CONCAT, node->name, inputs[0], output);
    if (!operation)
        return;
    operation->fields.input_count = (uint32_t)node->input_count;
    for (size_t i = 0; i < node->input_count; i++)
        operation->inputs[i] = inputs[i];
}

// ---- the walk

static bool is_graph_output(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == value)
            return true;
    return false;
}

static void lower_node(struct pbitc_lowering *lowering, const struct pbitc_node *node)
{
    const struct pbitc_placement *output = &lowering->placements[node->outputs[0]->index];
    bool final_softmax = pbitc_is_softmax(node) && is_graph_output(lowering->graph, node->outputs[0]) &&
                         pbitc_graph_use_count(lowering->graph, node->outputs[0]) == 1;
    if (final_softmax)
        return; // a flag of the output
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] && !node->inputs[i]->constant &&
            !lowering->placements[node->inputs[i]->index].holder)
            return; // what it reads was refused; no need to say it twice
    if (!output->holder && !pbitc_is_movement(node)) {
        pbitc_refuse(lowering, node, "a .pbit file holds tensors N x C, N x C x W and N x C x H x W",
                     "the output's shape does not fit");
        return;
    }
    switch ((int)node->op->id) {
    case PBITC_OP_Conv:
    case PBITC_OP_Gemm:
        pbitc_lower_layer(lowering, node);
        break;
    case PBITC_OP_PBit:
        pbitc_lower_neuron(lowering, node);
        break;
    case PBITC_OP_MaxPool:
    case PBITC_OP_GlobalMaxPool:
        pbitc_lower_max_pool(lowering, node);
        break;
    case PBITC_OP_AveragePool:
    case PBITC_OP_GlobalAveragePool:
        pbitc_lower_average_pool(lowering, node);
        break;
    case PBITC_OP_Add:
        lower_add(lowering, node);
        break;
    case PBITC_OP_Concat:
        lower_concat(lowering, node);
        break;
    default:
        if (!pbitc_is_movement(node))
            pbitc_refuse(lowering, node, "run the model up to here on the host, or replace the operator",
                         "this operator cannot be part of a .pbit file here");
        else if (!output->holder)
            pbitc_refuse(lowering, node, "keep the batch as first dimension", "this reshape mixes images");
    }
}

static void lower_inputs(struct pbitc_lowering *lowering)
{
    struct pbitc_graph *graph = lowering->graph;
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        const struct pbitc_placement *placement = &lowering->placements[input->index];
        float *step = pbitc_lowering_allocate(lowering, placement->channels, sizeof(float));
        for (uint32_t c = 0; step && c < placement->channels; c++)
            step[c] = placement->scale[c] / PBIT_BYTE_LEVELS;
        lowering->program->inputs[i] = (struct pbitc_program_input){
            (uint32_t)input->shape.rank - 1, placement->channels_last, placement->low, step};
        pbitc_make_tensor(lowering, input, PBIT_LEVELS, 0);
    }
    lowering->program->input_count = (uint32_t)graph->input_count;
}

static uint32_t output_flags(const struct pbitc_node *producer)
{
    return pbitc_node_is(producer, PBITC_OP_Softmax)      ? PBIT_OUTPUT_SOFTMAX
           : pbitc_node_is(producer, PBITC_OP_LogSoftmax) ? PBIT_OUTPUT_LOG_SOFTMAX
                                                          : 0;
}

static void lower_outputs(struct pbitc_lowering *lowering)
{
    struct pbitc_graph *graph = lowering->graph;
    for (size_t i = 0; i < graph->output_count; i++) {
        const struct pbitc_value *output = graph->outputs[i], *made = pbitc_before_softmax(output);
        const struct pbitc_placement *placement = &lowering->placements[made->index];
        if (!placement->holder)
            continue;
        struct pbitc_unit unit = pbitc_output_unit(lowering, made, placement->channels);
        if (!unit.gain || !unit.offset)
            return;
        uint32_t tensor = pbitc_fixed_tensor(lowering, output->producer, made, &unit);
        if (tensor == UINT32_MAX)
            continue;
        lowering->program->tensors[tensor].name = output->name;
        lowering->program->outputs[lowering->program->output_count++] = (struct pbitc_program_output){
            tensor, (uint32_t)made->shape.rank - 1, output_flags(output->producer), 1 / unit.gain[0]};
    }
}

static enum pbit_status start(struct pbitc_lowering *lowering)
{
    struct pbitc_graph *graph = lowering->graph;
    struct pbitc_context *context = lowering->context;
    if (graph->output_count > PBIT_PORTS_LIMIT)
        return pbitc_report(context->diagnostics, PBIT_ERROR_UNSUPPORTED, graph->name, NULL, 0,
                            "export fewer outputs", "%zu outputs are more than a .pbit file holds",
                            graph->output_count);
    enum pbit_status status = pbitc_place_values(graph, context, &lowering->placements);
    if (status != PBIT_OK)
        return status;
    lowering->units = pbitc_lowering_allocate(lowering, graph->value_count, sizeof(*lowering->units));
    lowering->tensors = pbitc_lowering_allocate(lowering, graph->value_count, sizeof(*lowering->tensors));
    lowering->standard = pbitc_lowering_allocate(lowering, graph->value_count, sizeof(*lowering->standard));
    lowering->program = pbitc_program_create(graph->arena);
    if (lowering->out_of_memory || !lowering->program)
        return pbitc_out_of_memory(context);
    lowering->program->draws = context->options->draws;
    lowering->program->samples = context->options->samples;
    lowering->program->sampler = context->options->sampler;
    lowering->program->metadata = context->metadata ? context->metadata : "{}";
    return PBIT_OK;
}

enum pbit_status pbitc_lower(struct pbitc_graph *graph, struct pbitc_context *context, bool *changed)
{
    (void)changed; // the graph stays as it is
    struct pbitc_lowering lowering = {.graph = graph, .context = context};
    size_t problems = pbitc_diagnostics_count(context->diagnostics);
    enum pbit_status status = start(&lowering);
    if (status != PBIT_OK)
        return status;
    pbitc_choose_units(&lowering);
    lower_inputs(&lowering);
    PBITC_FOR_EACH_NODE(node, graph)
    lower_node(&lowering, node);
    lower_outputs(&lowering);
    if (lowering.out_of_memory)
        return pbitc_out_of_memory(context);
    if (pbitc_diagnostics_count(context->diagnostics) > problems)
        return PBIT_ERROR_UNSUPPORTED;
    return pbitc_program_serialize(lowering.program, context->diagnostics, &context->file,
                                   &context->file_bytes);
}
