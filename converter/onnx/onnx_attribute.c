#include "converter/onnx/onnx_importer.h"

#include <inttypes.h>
#include <string.h>

/// AttributeProto.AttributeType.
enum { NOTHING, FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS, TENSORS, GRAPHS, SPARSE_TENSOR };

/// No operator has more; keeps the search for repeated names short.
enum { MAX_ATTRIBUTES = 64 };

int32_t pbitc_onnx_attribute_type(const Onnx__AttributeProto *proto)
{
    if (proto->type)
        return proto->type;
    // Files of IR version 1 do not say.
    return proto->has_f       ? FLOAT
           : proto->has_i     ? INT
           : proto->has_s     ? STRING
           : proto->t         ? TENSOR
           : proto->has_g     ? GRAPH
           : proto->n_floats  ? FLOATS
           : proto->n_ints    ? INTS
           : proto->n_strings ? STRINGS
                              : NOTHING;
}

/// A C string in the arena. *text is NULL, and the fault noted, when the bytes hold a NUL. False: out of
/// memory.
static bool copy_text(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                      const char *name, ProtobufCBinaryData bytes, const char **text)
{
    *text = NULL;
    if (bytes.len && memchr(bytes.data, 0, bytes.len)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "attribute '%s' holds a NUL character",
                           name);
        return true;
    }
    *text = pbitc_arena_copy_string(importer->graph->arena, (const char *)bytes.data, bytes.len);
    return *text;
}

static bool set_strings(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                        const Onnx__AttributeProto *proto, struct pbitc_node *node)
{
    const char **texts = pbitc_arena_allocate(importer->graph->arena, proto->n_strings, sizeof(*texts));
    if (!texts)
        return false;
    for (size_t i = 0; i < proto->n_strings; i++) {
        if (!copy_text(importer, place, proto->name, proto->strings[i], &texts[i]))
            return false;
        if (!texts[i])
            return true;
    }
    return pbitc_node_set_strings(importer->graph, node, proto->name, texts, proto->n_strings);
}

static bool set_string(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const Onnx__AttributeProto *proto, struct pbitc_node *node)
{
    const char *text;
    if (!copy_text(importer, place, proto->name, proto->s, &text))
        return false;
    return !text || pbitc_node_set_string(importer->graph, node, proto->name, text);
}

static bool set_tensor(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const Onnx__AttributeProto *proto, struct pbitc_node *node)
{
    struct pbitc_tensor header;
    if (!proto->t) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "attribute '%s' holds no tensor",
                           proto->name);
        return true;
    }
    if (!pbitc_onnx_tensor_header(importer, place, proto->t, &header))
        return true;
    struct pbitc_arena *arena = importer->graph->arena;
    struct pbitc_tensor *tensor = pbitc_arena_allocate(arena, 1, sizeof(*tensor));
    header.data = pbitc_arena_allocate(arena, (size_t)pbitc_shape_elements(&header.shape),
                                       pbitc_type_bytes(header.type));
    if (!tensor || !header.data)
        return false;
    *tensor = header;
    pbitc_onnx_tensor_data(importer, place, proto->t, tensor);
    return pbitc_node_set_tensor(importer->graph, node, proto->name, tensor);
}

static bool set_attribute(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                          const Onnx__AttributeProto *proto, struct pbitc_node *node)
{
    struct pbitc_graph *graph = importer->graph;
    switch (pbitc_onnx_attribute_type(proto)) {
    case FLOAT:
        return pbitc_node_set_float(graph, node, proto->name, proto->f);
    case INT:
        return pbitc_node_set_int(graph, node, proto->name, proto->i);
    case STRING:
        return set_string(importer, place, proto, node);
    case TENSOR:
        return set_tensor(importer, place, proto, node);
    case FLOATS:
        return pbitc_node_set_floats(graph, node, proto->name, proto->floats, proto->n_floats);
    case INTS:
        return pbitc_node_set_ints(graph, node, proto->name, proto->ints, proto->n_ints);
    case STRINGS:
        return set_strings(importer, place, proto, node);
    case NOTHING:
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "attribute '%s' has no value",
                           proto->name);
        return true;
    case GRAPH:
        if (!(node->op->flags & PBITC_OPERATOR_CONTROL_FLOW)) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "export the model without it",
                               "attribute '%s' is an inner graph, which the operator does not take",
                               proto->name);
            return true;
        }
        return pbitc_onnx_import_inner(importer, place, proto, node);
    default:
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                           "attribute '%s' is of type %" PRId32 ", which is not supported", proto->name,
                           proto->type);
        return true;
    }
}

bool pbitc_onnx_import_attributes(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                                  struct pbitc_node *node)
{
    struct pbitc_onnx_place place = {.name = node->name, .op = proto->op_type, .opset = node->opset};
    if (proto->n_attribute > MAX_ATTRIBUTES) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                           "%zu attributes; no operator has more than %d", proto->n_attribute,
                           MAX_ATTRIBUTES);
        return true;
    }
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = proto->attribute[i];
        Onnx__AttributeProto resolved;
        if (!attribute->name || !*attribute->name)
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "attribute without a name");
        else if (pbitc_node_attribute(node, attribute->name))
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "attribute '%s' is there twice",
                               attribute->name);
        else if (pbitc_onnx_resolve_attribute(importer, &place, attribute, &resolved) &&
                 !set_attribute(importer, &place, &resolved, node))
            return false;
    }
    return true;
}

/// A constant: a scalar, or a vector of `count` elements.
static bool add_numbers(struct pbitc_onnx_importer *importer, const char *name, enum pbitc_type type,
                        bool scalar, const void *elements, size_t count, struct pbitc_value **value)
{
    struct pbitc_shape shape = {.rank = scalar ? 0 : 1, .dims = {(int64_t)count}};
    *value = pbitc_graph_add_constant(importer->graph, name, type, &shape);
    if (*value && count)
        memcpy((*value)->constant->data, elements, count * pbitc_type_bytes(type));
    return *value;
}

static bool add_tensor(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const char *name, const Onnx__TensorProto *proto, struct pbitc_value **value)
{
    struct pbitc_tensor header;
    if (!pbitc_onnx_tensor_header(importer, place, proto, &header))
        return true;
    *value = pbitc_graph_add_constant(importer->graph, name, header.type, &header.shape);
    if (*value)
        pbitc_onnx_tensor_data(importer, place, proto, (*value)->constant);
    return *value;
}

bool pbitc_onnx_import_constant_node(struct pbitc_onnx_importer *importer,
                                     const struct pbitc_onnx_place *place, const Onnx__NodeProto *proto,
                                     const char *name, struct pbitc_value **value)
{
    *value = NULL;
    if (proto->n_attribute != 1 || proto->n_input || proto->n_output != 1 || !proto->attribute[0]->name) {
        PBITC_ONNX_PROBLEM(
            importer, PBIT_ERROR_FORMAT, place, NULL,
            "Constant has one attribute, one output and no input; this one has %zu, %zu and %zu",
            proto->n_attribute, proto->n_output, proto->n_input);
        return true;
    }
    Onnx__AttributeProto resolved;
    const Onnx__AttributeProto *attribute = &resolved;
    if (!pbitc_onnx_resolve_attribute(importer, place, proto->attribute[0], &resolved)) {
        PBITC_ONNX_PROBLEM(
            importer, PBIT_ERROR_FORMAT, place, NULL,
            "the constant's value is an attribute that the call of the function does not give");
        return true;
    }
    int32_t type = pbitc_onnx_attribute_type(attribute);
    if (strcmp(attribute->name, "value") == 0 && type == TENSOR && attribute->t)
        return add_tensor(importer, place, name, attribute->t, value);
    if (strcmp(attribute->name, "value_float") == 0 && type == FLOAT)
        return add_numbers(importer, name, PBITC_FLOAT32, true, &attribute->f, 1, value);
    if (strcmp(attribute->name, "value_floats") == 0 && type == FLOATS)
        return add_numbers(importer, name, PBITC_FLOAT32, false, attribute->floats, attribute->n_floats,
                           value);
    if (strcmp(attribute->name, "value_int") == 0 && type == INT)
        return add_numbers(importer, name, PBITC_INT64, true, &attribute->i, 1, value);
    if (strcmp(attribute->name, "value_ints") == 0 && type == INTS)
        return add_numbers(importer, name, PBITC_INT64, false, attribute->ints, attribute->n_ints, value);
    PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "use a dense tensor of numbers",
                       "constants given by attribute '%s' of type %" PRId32 " are not supported",
                       attribute->name, type);
    return true;
}
