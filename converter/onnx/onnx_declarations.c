// What a graph of the file, the model's or an inner one, declares beside its nodes: initializers, inputs,
// outputs.
#include "converter/onnx/onnx_importer.h"

#include <inttypes.h>
#include <string.h>

// ---- initializers

static bool import_initializer(struct pbitc_onnx_importer *importer, const Onnx__TensorProto *proto)
{
    struct pbitc_onnx_place place = {.name = proto->name};
    struct pbitc_tensor header;
    if (!pbitc_onnx_check_name(importer, &place, "initializer", proto->name))
        return true;
    if (!pbitc_onnx_tensor_header(importer, &place, proto, &header))
        return pbitc_onnx_add_placeholder(importer, proto->name);
    const char *name = pbitc_onnx_graph_name(importer, proto->name);
    struct pbitc_value *value =
        name ? pbitc_graph_add_constant(importer->graph, name, header.type, &header.shape) : NULL;
    if (value)
        pbitc_onnx_tensor_data(importer, &place, proto, value->constant);
    return value && pbitc_onnx_bind(importer, proto->name, value);
}

bool pbitc_onnx_import_initializers(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto)
{
    for (size_t i = 0; i < proto->n_initializer; i++)
        if (!import_initializer(importer, proto->initializer[i]))
            return false;
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = proto->sparse_initializer[i]->values;
        struct pbitc_onnx_place place = {.name = values ? values->name : NULL};
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, "store the tensor densely",
                           "sparse initializers are not supported");
        if (place.name && pbitc_onnx_check_name(importer, &place, "initializer", place.name) &&
            !pbitc_onnx_add_placeholder(importer, place.name))
            return false;
    }
    return true;
}

// ---- inputs

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

static bool says_something(const Onnx__TypeProto *type)
{
    return type && (type->tensor_type || type->has_sequence_type || type->has_map_type ||
                    type->has_optional_type || type->has_sparse_tensor_type || type->has_opaque_type);
}

/// Shape of a graph input; a symbolic dimension becomes -1 and has a name.
static bool import_shape(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                         const Onnx__TensorShapeProto *proto, struct pbitc_value *value)
{
    struct pbitc_shape *shape = &value->shape;
    *shape = (struct pbitc_shape){0};
    if (!proto) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place,
                           "declare the number of dimensions in the model",
                           "the shape of the input is not given");
        return true;
    }
    if (proto->n_dim > PBITC_MAX_RANK) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                           "the input has %zu dimensions; at most %d are supported", proto->n_dim,
                           PBITC_MAX_RANK);
        return true;
    }
    shape->rank = (int)proto->n_dim;
    for (int i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = proto->dim[i];
        const char *name = pbitc_onnx_text(dim->dim_param);
        bool fixed = !*name && dim->dim_value > 0;
        shape->dims[i] = fixed ? dim->dim_value : -1;
        if (!fixed && !*name)
            name = i == 0 ? "N" : "?";
        if (!fixed &&
            !(value->dim_names[i] = pbitc_arena_copy_string(importer->graph->arena, name, strlen(name))))
            return false;
    }
    struct pbitc_shape one_image = *shape;
    for (int i = 0; i < one_image.rank; i++)
        one_image.dims[i] = one_image.dims[i] < 0 ? 1 : one_image.dims[i];
    if (pbitc_shape_elements(&one_image) < 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "the dimensions of the input overflow");
    return true;
}

/// Type and shape of an input of the model. (Those of inner graphs take what they are given.)
static bool import_input_type(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                              const Onnx__TypeProto__Tensor *tensor, struct pbitc_value *value)
{
    value->type = (enum pbitc_type)tensor->elem_type;
    if (!pbitc_type_bytes(value->type))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "give the model float or integer inputs",
                           "inputs of type %s (%" PRId32 ") are not supported",
                           pbitc_onnx_type_name(tensor->elem_type), tensor->elem_type);
    return import_shape(importer, place, tensor->shape, value);
}

static bool import_input(struct pbitc_onnx_importer *importer, const Onnx__ValueInfoProto *proto)
{
    struct pbitc_graph *graph = importer->graph;
    struct pbitc_onnx_place place = {.name = proto->name};
    const struct pbitc_value *known = proto->name ? pbitc_onnx_find_own(importer, proto->name) : NULL;
    // Until IR version 3 initializers were to be listed as inputs too; later that makes them defaults.
    if (known && known->constant)
        return true;
    if (!pbitc_onnx_check_name(importer, &place, "input", proto->name))
        return true;
    if ((!graph->inner || says_something(proto->type)) &&
        !check_value_kind(importer, &place, "input", proto->type))
        return pbitc_onnx_add_placeholder(importer, proto->name);
    struct pbitc_value *value = pbitc_onnx_add_value(importer, proto->name);
    if (!value || !pbitc_onnx_bind(importer, proto->name, value))
        return false;
    graph->inputs[graph->input_count++] = value;
    if (!graph->inner && !import_input_type(importer, &place, proto->type->tensor_type, value))
        return false;
    graph->input_types[graph->input_count - 1] = value->type;
    return true;
}

bool pbitc_onnx_import_inputs(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto)
{
    importer->graph->inputs =
        pbitc_arena_allocate(importer->graph->arena, proto->n_input, sizeof(struct pbitc_value *));
    importer->graph->input_types =
        pbitc_arena_allocate(importer->graph->arena, proto->n_input, sizeof(enum pbitc_type));
    if (!importer->graph->inputs || !importer->graph->input_types)
        return false;
    for (size_t i = 0; i < proto->n_input; i++)
        if (!import_input(importer, proto->input[i]))
            return false;
    return true;
}

// ---- outputs

static bool is_output(const struct pbitc_graph *graph, const struct pbitc_value *value)
{
    for (size_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == value)
            return true;
    return false;
}

/// Loop and Scan need to know what they would have collected when they take no turn.
static void declare_output(struct pbitc_value *value, const Onnx__TypeProto *type)
{
    if (!value->producer || !type || !type->tensor_type || value->type != PBITC_TYPE_NONE ||
        !pbitc_type_bytes((enum pbitc_type)type->tensor_type->elem_type))
        return;
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    value->type = (enum pbitc_type)type->tensor_type->elem_type;
    if (!shape || shape->n_dim > PBITC_MAX_RANK)
        return;
    value->shape.rank = (int)shape->n_dim;
    for (int i = 0; i < value->shape.rank; i++)
        value->shape.dims[i] = shape->dim[i]->dim_value > 0 ? shape->dim[i]->dim_value : -1;
}

/// Inner graphs may give out one value several times: a node carries it each further time.
static bool repeat_output(struct pbitc_onnx_importer *importer, struct pbitc_value **value)
{
    struct pbitc_value *copy = pbitc_onnx_add_value(importer, (*value)->name);
    if (!copy || !pbitc_graph_insert_node(importer->graph, NULL, copy->name,
                                          pbitc_operator_get(PBITC_OP_Identity), value, 1, &copy, 1))
        return false;
    importer->graph->last->opset = PBITC_ONNX_NEWEST_OPSET;
    *value = copy;
    return true;
}

static bool import_output(struct pbitc_onnx_importer *importer, const Onnx__ValueInfoProto *proto)
{
    struct pbitc_graph *graph = importer->graph;
    struct pbitc_onnx_place place = {.name = proto->name};
    struct pbitc_value *value = NULL;
    if (proto->name && *proto->name && !pbitc_onnx_find(importer, proto->name, &value))
        return false;
    // Exporters may leave out the type of an output; ZipMap's sequence of maps is the tensor of its scores
    // here.
    bool zipped = value && pbitc_node_is(value->producer, PBITC_OP_ZipMap);
    if (says_something(proto->type) && !zipped)
        check_value_kind(importer, &place, "output", proto->type);
    if (!value || value == &pbitc_onnx_omitted) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                           "nothing produces this output of the graph");
        return true;
    }
    value->mark = 1;
    if (!graph->inner && is_output(graph, value)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "the graph lists this output twice");
        return true;
    }
    if (is_output(graph, value) && !repeat_output(importer, &value))
        return false;
    if (graph->inner)
        declare_output(value, proto->type);
    value->mark = 1;
    if (says_something(proto->type) && proto->type->tensor_type)
        graph->output_types[graph->output_count] = (enum pbitc_type)proto->type->tensor_type->elem_type;
    graph->outputs[graph->output_count++] = value;
    return true;
}

bool pbitc_onnx_import_outputs(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto)
{
    const struct pbitc_onnx_place place = {.name = importer->graph->inner ? importer->graph->name : NULL};
    importer->graph->outputs =
        pbitc_arena_allocate(importer->graph->arena, proto->n_output, sizeof(struct pbitc_value *));
    importer->graph->output_types =
        pbitc_arena_allocate(importer->graph->arena, proto->n_output, sizeof(enum pbitc_type));
    if (!importer->graph->outputs || !importer->graph->output_types)
        return false;
    if (proto->n_output == 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "the graph has no outputs");
    for (size_t i = 0; i < proto->n_output; i++)
        if (!import_output(importer, proto->output[i]))
            return false;
    return true;
}
