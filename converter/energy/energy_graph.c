// The energy network of an ONNX graph.
#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/graph_facts.h"
#include "passes/pass.h"

static bool is_activation(const struct pbitc_node *node)
{
    return node && node->op->flags & PBITC_OPERATOR_ACTIVATION;
}

/// Marks in `random` (by value->index) what depends on a draw.
static void find_random(const struct pbitc_graph *graph, bool *random)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        bool draws = is_activation(node);
        for (size_t i = 0; i < node->input_count; i++)
            draws |= node->inputs[i] && random[node->inputs[i]->index];
        for (size_t i = 0; i < node->output_count; i++) {
            if (node->outputs[i])
                random[node->outputs[i]->index] = draws;
        }
    }
}

/// Whether a value holds p-bits, as they are, moved, joined or max-pooled. Everything else that a layer reads
/// is an image or a sum, of 8 bits.
static bool holds_pbits(const struct pbitc_value *value)
{
    static const enum pbitc_operator_id carriers[] = {PBITC_OP_MaxPool,  PBITC_OP_Concat,  PBITC_OP_Flatten,
                                                      PBITC_OP_Reshape,  PBITC_OP_Squeeze, PBITC_OP_Unsqueeze,
                                                      PBITC_OP_Transpose};
    while (value && value->producer) {
        const struct pbitc_node *node = value->producer;
        if (is_activation(node))
            return true;
        bool carries = false;
        for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
            carries |= pbitc_node_is(node, carriers[i]);
        if (!carries)
            return false;
        value = node->inputs[0];
    }
    return false;
}

static uint64_t elements(const struct pbitc_value *value)
{
    int64_t count = pbitc_shape_elements(&value->shape);
    return count > 0 ? (uint64_t)count : 0;
}

static struct pbitc_energy_layer synapses(const struct pbitc_node *node, double activity)
{
    uint64_t weights = pbitc_node_parameters(node), macs = pbitc_node_macs(node);
    uint64_t sums = elements(node->outputs[0]);
    return (struct pbitc_energy_layer){
        .name = node->name,
        .type = "synapses",
        .kind = PBITC_ENERGY_SYNAPSES,
        .random = true,
        .weights = weights,
        .memory_bits = weights * PBITC_ENERGY_FULL_BITS,
        .weight_bits = PBITC_ENERGY_FULL_BITS,
        .macs = macs,
        .fan_in = sums ? macs / sums : 0,
        .input_bits = PBITC_ENERGY_PBITS,
        .draw_factor = PBITC_ENERGY_UNIT_FACTOR,
        .activity = activity,
    };
}

static struct pbitc_energy_layer neurons(const char *name, const char *type, uint64_t count)
{
    return (struct pbitc_energy_layer){
        .name = name,
        .type = type,
        .kind = PBITC_ENERGY_NEURONS,
        .random = true,
        .neurons = count,
        .output_bits = PBITC_ENERGY_PBITS,
        .draw_factor = PBITC_ENERGY_UNIT_FACTOR,
    };
}

/// The parameters that training chooses: mean and variance of a batch normalization are measured.
static uint64_t trained_parameters(const struct pbitc_node *node)
{
    uint64_t parameters = pbitc_node_parameters(node);
    return pbitc_node_is(node, PBITC_OP_BatchNormalization) ? parameters / 2 : parameters;
}

/// Every trained parameter is a weight, every element of a layer's sums a neuron.
static void add_paper_layers(struct pbitc_energy_network *network, const struct pbitc_graph *graph,
                             double activity)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_energy_layer layer = synapses(node, activity);
        layer.weights = trained_parameters(node);
        layer.memory_bits = layer.weights * PBITC_ENERGY_FULL_BITS;
        if (layer.weights == 0 && layer.macs == 0)
            continue;
        layer.neurons = layer.macs ? elements(node->outputs[0]) : 0;
        network->layers[network->layer_count++] = layer;
        if (layer.macs)
            network->layers[network->layer_count++] = neurons(node->name, "p-bits", layer.neurons);
    }
    pbitc_energy_average_fan_in(network);
}

static void add_layers(struct pbitc_energy_network *network, const struct pbitc_graph *graph,
                       const bool *random, double activity)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        struct pbitc_energy_layer layer = synapses(node, activity);
        if (is_activation(node)) {
            layer = neurons(node->name, node->op->name, elements(node->outputs[0]));
            layer.recalled = !random[node->inputs[0]->index];
        } else if (layer.macs) {
            layer.random = random[node->outputs[0]->index];
            layer.input_bits = holds_pbits(node->inputs[0]) ? PBITC_ENERGY_PBITS : PBITC_ENERGY_IMAGE_BITS;
        } else {
            continue;
        }
        network->layers[network->layer_count++] = layer;
    }
    for (size_t i = 0; i < graph->output_count; i++) {
        const struct pbitc_value *output = graph->outputs[i];
        network->layers[network->layer_count++] =
            (struct pbitc_energy_layer){.name = output->name,
                                        .type = "output",
                                        .kind = PBITC_ENERGY_OUTPUTS,
                                        .random = random[output->index],
                                        .neurons = elements(output),
                                        .output_bits = PBITC_ENERGY_FULL_BITS};
    }
}

enum pbit_status pbitc_energy_network_of_graph(struct pbitc_graph *graph,
                                               enum pbitc_energy_convention convention, double activity,
                                               struct pbitc_diagnostics *diagnostics,
                                               struct pbitc_energy_network *network)
{
    *network = (struct pbitc_energy_network){.convention = convention};
    enum pbit_status status = pbitc_decide_branches(graph, diagnostics);
    if (status == PBIT_OK)
        status = pbitc_infer_shapes(graph, 1, diagnostics);
    enum pbit_status convertible = pbitc_check_convertible(graph, diagnostics);
    status = status != PBIT_OK ? status : convertible;
    if (status == PBIT_OK && convention == PBITC_ENERGY_EXACT)
        status = pbitc_fold_graph(graph, diagnostics);
    if (status != PBIT_OK)
        return status;
    size_t nodes = pbitc_graph_node_count(graph);
    network->layers =
        pbitc_arena_allocate(graph->arena, 2 * nodes + graph->output_count, sizeof(*network->layers));
    bool *random = pbitc_arena_allocate(graph->arena, graph->value_count, sizeof(*random));
    if (!network->layers || !random)
        return pbitc_report_memory(diagnostics);
    if (convention == PBITC_ENERGY_PAPER) {
        add_paper_layers(network, graph, activity);
    } else {
        find_random(graph, random);
        add_layers(network, graph, random, activity);
    }
    return PBIT_OK;
}
