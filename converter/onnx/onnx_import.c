#include "converter/onnx/onnx_import.h"

#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_NODES = 100000, MAX_VALUES = 1000000, MAX_DOMAINS = 256, MAX_OUTPUTS = 1024 };

/// Gravest first; what is not listed does not come up.
static int rank_status(enum pbit_status status)
{
    static const int ranks[] = {
        [PBIT_OK] = 9,           [PBIT_ERROR_UNSUPPORTED] = 4, [PBIT_ERROR_IO] = 3,
        [PBIT_ERROR_FORMAT] = 2, [PBIT_ERROR_MEMORY] = 1,
    };
    return (size_t)status < sizeof(ranks) / sizeof(ranks[0]) ? ranks[status] : 0;
}

void pbitc_onnx_note(struct pbitc_onnx_importer *importer, enum pbit_status status)
{
    if (rank_status(status) < rank_status(importer->status))
        importer->status = status;
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

/// The one name of a domain that goes by several.
static const char *plain_domain(const char *domain)
{
    static const char *const others[][2] = {
        {"ai.onnx", ""},
        {"onnx.brevitas", "qonnx.custom_op.general"},
        {"finn.custom_op.general", "qonnx.custom_op.general"},
    };
    for (size_t i = 0; domain && i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(domain, others[i][0]) == 0)
            return others[i][1];
    return domain ? domain : "";
}

/// The opset version of a domain in this model; 0 when the model does not declare the domain.
static int find_opset(const struct pbitc_onnx_importer *importer, const char *domain)
{
    for (size_t i = 0; i < importer->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *opset = importer->model->opset_import[i];
        if (strcmp(plain_domain(opset->domain), domain) == 0)
            return opset->version < 1 ? -1 : opset->version < INT32_MAX ? (int)opset->version : INT32_MAX;
    }
    // Before IR version 3 there was but one opset, and nobody named it.
    return importer->model->ir_version < 3 && !*domain ? 1 : 0;
}

static bool is_default_domain(const Onnx__NodeProto *node)
{
    return !*plain_domain(node->domain);
}

static bool is_constant_node(const Onnx__NodeProto *node)
{
    return node->op_type && strcmp(node->op_type, "Constant") == 0 && is_default_domain(node);
}

static void check_default_opset(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    const Onnx__GraphProto *proto = importer->model->graph;
    bool used = false;
    for (size_t i = 0; i < proto->n_node && !used; i++)
        used = is_default_domain(proto->node[i]);
    int opset = importer->graph->opset;
    if (!used)
        return;
    if (opset == 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, "export the model again",
                           "the model does not say which opset of the default domain it uses");
    else if (opset < PBITC_ONNX_OLDEST_OPSET)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model,
                           "export the model with a newer opset, or run onnx.version_converter",
                           "opset %d is too old; %d to %d are supported", opset, PBITC_ONNX_OLDEST_OPSET,
                           PBITC_ONNX_NEWEST_OPSET);
    else if (opset > PBITC_ONNX_NEWEST_OPSET)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model,
                           "export the model with an older opset, or run onnx.version_converter",
                           "opset %d is too new; %d to %d are supported", opset, PBITC_ONNX_OLDEST_OPSET,
                           PBITC_ONNX_NEWEST_OPSET);
}

/// Notes a size beyond its limit; true when it is within.
static bool check_limit(struct pbitc_onnx_importer *importer, const char *what, size_t count, size_t limit)
{
    const struct pbitc_onnx_place model = {0};
    if (count > limit)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model, NULL,
                           "the model has %zu %s; at most %zu are supported", count, what, limit);
    return count <= limit;
}

/// False: the model is not looked at any further.
static bool check_limits(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    size_t values = proto->n_input + proto->n_output + proto->n_initializer + proto->n_sparse_initializer;
    for (size_t i = 0; i < proto->n_node; i++)
        values += proto->node[i]->n_input + proto->node[i]->n_output;
    return check_limit(importer, "nodes", proto->n_node, MAX_NODES) &&
           check_limit(importer, "values", values, MAX_VALUES) &&
           check_limit(importer, "outputs", proto->n_output, MAX_OUTPUTS) &&
           check_limit(importer, "operator domains", importer->model->n_opset_import, MAX_DOMAINS);
}

static bool import_header(struct pbitc_onnx_importer *importer)
{
    const Onnx__ModelProto *model = importer->model;
    struct pbitc_graph *graph = importer->graph;
    const char *version = text_or_empty(model->producer_version);
    graph->producer = pbitc_arena_format(graph->arena, "%s%s%s", text_or_empty(model->producer_name),
                                         *version ? " " : "", version);
    graph->ir_version = model->ir_version;
    graph->opset = find_opset(importer, "");
    check_default_opset(importer);
    return graph->producer;
}

static const struct pbitc_shape unknown_shape = {.rank = -1};

/// Stands in for a value that was refused, so that its readers are not reported as well.
static bool add_placeholder(struct pbitc_onnx_importer *importer, const char *name)
{
    return pbitc_graph_add_value(importer->graph, name, PBITC_TYPE_NONE, &unknown_shape);
}

/// Notes an empty or repeated name; true when the name is good.
static bool check_name(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const char *kind, const char *name)
{
    if (!name || !*name)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "%s without a name", kind);
    else if (pbitc_graph_find_value(importer->graph, name))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "%s '%s' has the name of another value; names must be unique", kind, name);
    else
        return true;
    return false;
}

static bool import_initializer(struct pbitc_onnx_importer *importer, const Onnx__TensorProto *proto)
{
    struct pbitc_onnx_place place = {.name = proto->name};
    struct pbitc_tensor header;
    if (!check_name(importer, &place, "initializer", proto->name))
        return true;
    if (!pbitc_onnx_tensor_header(importer, &place, proto, &header))
        return add_placeholder(importer, proto->name);
    struct pbitc_value *value =
        pbitc_graph_add_constant(importer->graph, proto->name, header.type, &header.shape);
    if (value)
        pbitc_onnx_tensor_data(importer, &place, proto, value->constant);
    return value;
}

static bool import_initializers(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    for (size_t i = 0; i < proto->n_initializer; i++)
        if (!import_initializer(importer, proto->initializer[i]))
            return false;
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = proto->sparse_initializer[i]->values;
        struct pbitc_onnx_place place = {.name = values ? values->name : NULL};
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, "store the tensor densely",
                           "sparse initializers are not supported");
        if (place.name && check_name(importer, &place, "initializer", place.name) &&
            !add_placeholder(importer, place.name))
            return false;
    }
    return true;
}

/// Refuses what is not a tensor. True for a tensor.
static bool check_value_kind(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                             const char *kind, const Onnx__TypeProto *type)
{
    if (type && type->tensor_type)
        return true;
    const char *what = !type                          ? NULL
                       : type->has_sequence_type      ? "a sequence"
                       : type->has_map_type           ? "a map"
                       : type->has_optional_type      ? "an optional"
                       : type->has_sparse_tensor_type ? "a sparse tensor"
                       : type->has_opaque_type        ? "an opaque object"
                                                      : NULL;
    if (what)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "give the model tensors only",
                           "%s of the graph is %s, which is not supported", kind, what);
    else
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "%s of the graph without a type", kind);
    return false;
}

/// "'height' (dimension 2)" or "dimension 2 without a name"
static void refuse_dimension(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                             size_t index, const char *name)
{
    if (*name)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place,
                           "export the model with fixed sizes; only the first dimension may be symbolic",
                           "the size of dimension %zu of the input is symbolic ('%s')", index, name);
    else
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place,
                           "export the model with fixed sizes; only the first dimension may be symbolic",
                           "the size of dimension %zu of the input is not given", index);
}

/// Shape of a graph input; a symbolic first dimension becomes -1 and *batch_name its name in the file.
static void import_shape(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                         const Onnx__TensorShapeProto *proto, struct pbitc_shape *shape,
                         const char **batch_name)
{
    *batch_name = NULL;
    *shape = (struct pbitc_shape){0};
    if (!proto) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "export the model with fixed sizes",
                           "the shape of the input is not given");
        return;
    }
    if (proto->n_dim > PBITC_MAX_RANK) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                           "the input has %zu dimensions; at most %d are supported", proto->n_dim,
                           PBITC_MAX_RANK);
        return;
    }
    shape->rank = (int)proto->n_dim;
    for (size_t i = 0; i < proto->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = proto->dim[i];
        const char *name = text_or_empty(dim->dim_param);
        bool fixed = !*name && dim->dim_value > 0;
        shape->dims[i] = fixed ? dim->dim_value : -1;
        if (!fixed && i == 0)
            *batch_name = *name ? name : "N";
        else if (!fixed)
            refuse_dimension(importer, place, i, name);
    }
    struct pbitc_shape one_image = *shape;
    for (int i = 0; i < one_image.rank; i++)
        one_image.dims[i] = one_image.dims[i] < 0 ? 1 : one_image.dims[i];
    if (pbitc_shape_elements(&one_image) < 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "the dimensions of the input overflow");
}

static bool import_input(struct pbitc_onnx_importer *importer, const Onnx__ValueInfoProto *proto)
{
    struct pbitc_graph *graph = importer->graph;
    struct pbitc_onnx_place place = {.name = proto->name};
    const struct pbitc_value *known = proto->name ? pbitc_graph_find_value(graph, proto->name) : NULL;
    // Until IR version 3 initializers were to be listed as inputs too; later that makes them defaults.
    if (known && known->constant)
        return true;
    if (!check_name(importer, &place, "input", proto->name))
        return true;
    if (!check_value_kind(importer, &place, "input", proto->type))
        return add_placeholder(importer, proto->name);

    const Onnx__TypeProto__Tensor *tensor = proto->type->tensor_type;
    struct pbitc_shape shape;
    const char *batch_name;
    import_shape(importer, &place, tensor->shape, &shape, &batch_name);
    if (!pbitc_type_bytes((enum pbitc_type)tensor->elem_type))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, "give the model float or integer inputs",
                           "inputs of type %s (%" PRId32 ") are not supported",
                           pbitc_onnx_type_name(tensor->elem_type), tensor->elem_type);
    struct pbitc_value *value =
        pbitc_graph_add_value(graph, proto->name, (enum pbitc_type)tensor->elem_type, &shape);
    if (!value)
        return false;
    graph->inputs[graph->input_count++] = value;
    if (!batch_name)
        return true;
    value->batch_name = pbitc_arena_copy_string(graph->arena, batch_name, strlen(batch_name));
    return value->batch_name;
}

static bool import_inputs(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    importer->graph->inputs =
        pbitc_arena_allocate(importer->graph->arena, proto->n_input, sizeof(struct pbitc_value *));
    if (!importer->graph->inputs)
        return false;
    for (size_t i = 0; i < proto->n_input; i++)
        if (!import_input(importer, proto->input[i]))
            return false;
    return true;
}

static bool collect_given_names(struct pbitc_onnx_importer *importer, struct pbitc_name_table *given)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    for (size_t i = 0; i < proto->n_node; i++) {
        char *name = proto->node[i]->name;
        if (name && *name && !pbitc_name_table_find(given, name) && !pbitc_name_table_add(given, name, name))
            return false;
    }
    return true;
}

/// Sets the name of each node: its own, or one such as "Conv_12", from operator and place, that no other node
/// has.
static bool name_nodes(struct pbitc_onnx_importer *importer)
{
    struct pbitc_arena *arena = importer->graph->arena;
    const Onnx__GraphProto *proto = importer->model->graph;
    struct pbitc_name_table *given = pbitc_name_table_create(arena);
    importer->node_names = pbitc_arena_allocate(arena, proto->n_node, sizeof(char *));
    if (!given || !importer->node_names || !collect_given_names(importer, given))
        return false;
    for (size_t i = 0; i < proto->n_node; i++) {
        const Onnx__NodeProto *node = proto->node[i];
        if (node->name && *node->name) {
            importer->node_names[i] = node->name;
            continue;
        }
        const char *invented = pbitc_arena_format(arena, "%s_%zu", text_or_empty(node->op_type), i);
        importer->node_names[i] = invented ? pbitc_name_table_unique(given, invented) : NULL;
        if (!importer->node_names[i])
            return false;
    }
    return true;
}

/// Makes the values that a node produces. All of them stand before any node is made: the file need not be
/// sorted.
static bool import_products(struct pbitc_onnx_importer *importer, size_t index)
{
    const Onnx__NodeProto *proto = importer->model->graph->node[index];
    const char *name = importer->node_names[index];
    struct pbitc_onnx_place place = {.name = name, .op = proto->op_type, .opset = importer->graph->opset};
    if (is_constant_node(proto)) {
        struct pbitc_value *value = NULL;
        if (proto->n_output && !check_name(importer, &place, "output", proto->output[0]))
            return true;
        if (!pbitc_onnx_import_constant_node(importer, &place, proto, &value))
            return false;
        return value || !proto->n_output || add_placeholder(importer, proto->output[0]);
    }
    for (size_t i = 0; i < proto->n_output; i++)
        if (*proto->output[i] && check_name(importer, &place, "output", proto->output[i]) &&
            !pbitc_graph_add_value(importer->graph, proto->output[i], PBITC_TYPE_NONE, &unknown_shape))
            return false;
    return true;
}

/// The operator of a node; NULL, and collected or noted, when we do not have it. False: out of memory.
static bool find_operator(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                          const char *name, int *opset, const struct pbitc_operator **op)
{
    const char *domain = plain_domain(proto->domain), *op_type = text_or_empty(proto->op_type);
    struct pbitc_onnx_place place = {.name = name, .op = op_type};
    *op = NULL;
    *opset = find_opset(importer, domain);
    if (!*op_type) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "node without an operator");
        return true;
    }
    if (!*opset && *domain)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                           "the model does not declare the operator's domain '%s'", domain);
    // Ours are for the passes alone, which know what they put in.
    if (strcmp(domain, "pbitc") != 0)
        *op = pbitc_operator_find(domain, *domain ? op_type : pbitc_onnx_newest_name(op_type));
    return *op || pbitc_onnx_add_unknown(importer, domain, op_type, *opset, name);
}

/// What stands for inputs that nothing produces; no value of a file has an empty name.
static struct pbitc_value *find_missing(struct pbitc_onnx_importer *importer)
{
    if (!importer->missing)
        importer->missing = pbitc_graph_add_value(importer->graph, "", PBITC_TYPE_NONE, &unknown_shape);
    return importer->missing;
}

/// The values of the node's inputs; NULL for omitted ones. False: out of memory.
static bool find_inputs(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                        const struct pbitc_onnx_place *place, struct pbitc_value **inputs)
{
    for (size_t i = 0; i < proto->n_input; i++) {
        if (!*proto->input[i])
            continue;
        inputs[i] = pbitc_graph_find_value(importer->graph, proto->input[i]);
        if (!inputs[i]) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "input %zu is '%s', which nothing produces", i, proto->input[i]);
            inputs[i] = find_missing(importer);
        }
        if (!inputs[i])
            return false;
        inputs[i]->mark = 1;
    }
    return true;
}

/// The values of the node's outputs; NULL for omitted ones. False: out of memory.
static bool find_outputs(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                         struct pbitc_value **outputs)
{
    struct pbitc_graph *graph = importer->graph;
    for (size_t i = 0; i < proto->n_output; i++) {
        if (!*proto->output[i])
            continue;
        outputs[i] = pbitc_graph_find_value(graph, proto->output[i]);
        // The name belongs to another value, which was noted; what follows is spared the consequences.
        if (!outputs[i] || outputs[i]->producer || outputs[i]->type != PBITC_TYPE_NONE)
            outputs[i] = pbitc_graph_add_value(graph, proto->output[i], PBITC_TYPE_NONE, &unknown_shape);
        if (!outputs[i])
            return false;
    }
    return true;
}

static size_t count_given(struct pbitc_value *const *values, size_t count)
{
    while (count && !values[count - 1])
        count--;
    return count;
}

static bool import_node(struct pbitc_onnx_importer *importer, size_t index)
{
    struct pbitc_graph *graph = importer->graph;
    const Onnx__NodeProto *proto = importer->model->graph->node[index];
    const char *name = importer->node_names[index];
    struct pbitc_value **inputs = pbitc_arena_allocate(graph->arena, proto->n_input, sizeof(*inputs));
    struct pbitc_value **outputs = pbitc_arena_allocate(graph->arena, proto->n_output, sizeof(*outputs));
    const struct pbitc_operator *op;
    int opset;
    if (!inputs || !outputs || !find_operator(importer, proto, name, &opset, &op))
        return false;
    struct pbitc_onnx_place place = {.name = name, .op = proto->op_type, .opset = opset};
    if (!find_inputs(importer, proto, &place, inputs) || !find_outputs(importer, proto, outputs))
        return false;
    struct pbitc_node *node = pbitc_graph_insert_node(
        graph, NULL, name, op, inputs, count_given(inputs, proto->n_input), outputs, proto->n_output);
    if (!node)
        return false;
    node->opset = opset;
    return !op || pbitc_onnx_import_attributes(importer, proto, node);
}

static bool import_nodes(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    if (!name_nodes(importer))
        return false;
    for (size_t i = 0; i < proto->n_node; i++)
        if (!import_products(importer, i))
            return false;
    for (size_t i = 0; i < proto->n_node; i++)
        if (!is_constant_node(proto->node[i]) && !import_node(importer, i))
            return false;
    return true;
}

static bool is_output(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == value)
            return true;
    return false;
}

static void import_output(struct pbitc_onnx_importer *importer, const Onnx__ValueInfoProto *proto)
{
    struct pbitc_graph *graph = importer->graph;
    struct pbitc_onnx_place place = {.name = proto->name};
    struct pbitc_value *value =
        proto->name && *proto->name ? pbitc_graph_find_value(graph, proto->name) : NULL;
    // Exporters may leave out the type of an output.
    if (proto->type)
        check_value_kind(importer, &place, "output", proto->type);
    if (!value)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                           "nothing produces this output of the graph");
    else if (is_output(graph, value))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "the graph lists this output twice");
    else
        graph->outputs[graph->output_count++] = value;
    if (value)
        value->mark = 1;
}

static bool import_outputs(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    const Onnx__GraphProto *proto = importer->model->graph;
    importer->graph->outputs =
        pbitc_arena_allocate(importer->graph->arena, proto->n_output, sizeof(struct pbitc_value *));
    if (!importer->graph->outputs)
        return false;
    if (proto->n_output == 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, NULL, "the graph has no outputs");
    for (size_t i = 0; i < proto->n_output; i++)
        import_output(importer, proto->output[i]);
    return true;
}

static bool upgrade_nodes(struct pbitc_onnx_importer *importer)
{
    PBITC_FOR_EACH_NODE(node, importer->graph)
    if (node->op && !pbitc_onnx_upgrade_node(importer, node))
        return false;
    return true;
}

/// "'a', 'b'": the nodes of the cycle that the sort has found. NULL when out of memory.
static const char *name_cycle(const struct pbitc_graph *graph)
{
    size_t length = 0;
    PBITC_FOR_EACH_NODE(node, graph)
    length += node->sort.on_cycle ? strlen(node->name) + strlen("'', ") : 0;
    char *text = pbitc_arena_allocate(graph->arena, length + 1, 1), *end = text;
    PBITC_FOR_EACH_NODE(node, graph)
    if (text && node->sort.on_cycle)
        end += sprintf(end, "%s'%s'", end == text ? "" : ", ", node->name);
    return text;
}

static bool sort_nodes(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    if (pbitc_graph_sort(importer->graph))
        return true;
    const char *names = name_cycle(importer->graph);
    if (names)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, NULL,
                           "the graph is not acyclic: these nodes wait for each other: %s", names);
    return names;
}

/// False: out of memory.
static bool import_graph(struct pbitc_onnx_importer *importer)
{
    importer->unknown_names = pbitc_name_table_create(importer->graph->arena);
    return importer->unknown_names && import_header(importer) && import_initializers(importer) &&
           import_inputs(importer) && import_nodes(importer) && import_outputs(importer) &&
           pbitc_onnx_report_unknown(importer) && upgrade_nodes(importer) && sort_nodes(importer);
}

static enum pbit_status import_model(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    if (!importer->model->graph || importer->model->ir_version < 1) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, "check that the file is an ONNX model",
                           "not an ONNX model: there is no graph or no IR version in it");
        return importer->status;
    }
    if (!check_limits(importer))
        return importer->status;
    importer->graph = pbitc_graph_create(importer->allocator, text_or_empty(importer->model->graph->name));
    if (!importer->graph || !import_graph(importer))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_MEMORY, &model, NULL, "out of memory");
    if (importer->status == PBIT_OK)
        importer->status = pbitc_graph_verify(importer->graph, NULL, importer->diagnostics);
    return importer->status;
}

static enum pbit_status import_and_free(Onnx__ModelProto *model, struct pbitc_onnx_memory *memory,
                                        const char *folder, struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_graph **graph)
{
    struct pbitc_onnx_importer importer = {
        .allocator = memory->allocator, .diagnostics = diagnostics, .folder = folder, .model = model};
    enum pbit_status status = import_model(&importer);
    pbitc_onnx_free(model, memory);
    if (status == PBIT_OK)
        *graph = importer.graph;
    else
        pbitc_graph_destroy(importer.graph);
    return status;
}

enum pbit_status pbitc_onnx_import_bytes(const void *bytes, size_t size, const char *folder,
                                         const struct pbitc_allocator *allocator,
                                         struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph)
{
    struct pbitc_onnx_memory memory = {.allocator = allocator};
    Onnx__ModelProto *model;
    *graph = NULL;
    enum pbit_status status = pbitc_onnx_unpack(bytes, size, &memory, diagnostics, &model);
    return status == PBIT_OK ? import_and_free(model, &memory, folder, diagnostics, graph) : status;
}

/// The part of the path before its last '/', in memory of the allocator; NULL when out of memory.
static char *copy_folder(const char *path, const struct pbitc_allocator *allocator)
{
    const char *slash = strrchr(path, '/');
    // "model.onnx" lies in ".", "/model.onnx" in "/".
    const char *folder = slash ? path : ".";
    size_t length = slash && slash != path ? (size_t)(slash - path) : 1;
    char *copy = pbitc_allocate(allocator, length + 1);
    if (copy) {
        memcpy(copy, folder, length);
        copy[length] = '\0';
    }
    return copy;
}

enum pbit_status pbitc_onnx_import(const char *path, const struct pbitc_allocator *allocator,
                                   struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph)
{
    struct pbitc_onnx_memory memory = {.allocator = allocator};
    Onnx__ModelProto *model;
    void *bytes;
    size_t size;
    *graph = NULL;
    enum pbit_status status = pbitc_onnx_read_file(path, allocator, diagnostics, &bytes, &size);
    if (status != PBIT_OK)
        return status;
    // The decoded model holds copies; a large file need not be in memory twice while the graph is made.
    status = pbitc_onnx_unpack(bytes, size, &memory, diagnostics, &model);
    pbitc_release(allocator, bytes);
    if (status != PBIT_OK)
        return status;
    char *folder = copy_folder(path, allocator);
    if (folder) {
        status = import_and_free(model, &memory, folder, diagnostics, graph);
    } else {
        pbitc_onnx_free(model, &memory);
        status = pbitc_report(diagnostics, PBIT_ERROR_MEMORY, path, NULL, 0, NULL, "out of memory");
    }
    pbitc_release(allocator, folder);
    return status;
}
