#include "converter/onnx/onnx_importer.h"

#include <inttypes.h>
#include <string.h>

/// AttributeProto.AttributeType.
enum { NOTHING, FLOAT, INT, STRING, TENSOR, GRAPH, FLOATS, INTS, STRINGS, TENSORS, GRAPHS, SPARSE_TENSOR };

/// Also where old files leave it out.
static int32_t attribute_type(const Onnx__AttributeProto *proto)
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

static const Onnx__AttributeProto *find_attribute(Onnx__AttributeProto *const *attributes, size_t count,
                                                  const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (attributes[i]->name && strcmp(attributes[i]->name, name) == 0)
            return attributes[i];
    return NULL;
}

/// In a function body an attribute may refer to one of the call. False: the call does not have it, or a
/// problem was noted.
static bool resolve_attribute(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                              const Onnx__AttributeProto *proto, Onnx__AttributeProto *resolved)
{
    const struct pbitc_onnx_scope *scope = importer->scope;
    *resolved = *proto;
    while (resolved->ref_attr_name && *resolved->ref_attr_name) {
        while (scope && !scope->function)
            scope = scope->parent;
        if (!scope) {
            PBITC_ONNX_PROBLEM(
                importer, PBIT_ERROR_FORMAT, place, NULL,
                "attribute '%s' refers to an attribute of a function, but stands outside of any",
                pbitc_onnx_text(proto->name));
            return false;
        }
        const char *name = resolved->ref_attr_name;
        const Onnx__AttributeProto *given =
            find_attribute(scope->call->attribute, scope->call->n_attribute, name);
        if (!given)
            given =
                find_attribute(scope->function->attribute_proto, scope->function->n_attribute_proto, name);
        if (!given)
            return false;
        *resolved = *given;
        resolved->name = proto->name;
        scope = scope->parent; // the call stands there
    }
    if (proto->ref_attr_name && *proto->ref_attr_name && attribute_type(resolved) == GRAPH) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place,
                           "inline the functions first (onnx.inliner.inline_local_functions)",
                           "a function takes an inner graph as attribute '%s'", pbitc_onnx_text(proto->name));
        return false;
    }
    return true;
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
    switch (attribute_type(proto)) {
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
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "export the model without it",
                           "attribute '%s' is an inner graph, which the operator does not take", proto->name);
        return true;
    default:
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                           "attribute '%s' is of type %" PRId32 ", which is not supported", proto->name,
                           proto->type);
        return true;
    }
}

bool pbitc_onnx_import_attribute(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                                 const Onnx__AttributeProto *proto, struct pbitc_node *node,
                                 const Onnx__AttributeProto **inner)
{
    Onnx__AttributeProto resolved;
    *inner = NULL;
    if (!proto->name || !*proto->name) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "attribute without a name");
        return true;
    }
    if (pbitc_node_attribute(node, proto->name)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "attribute '%s' is there twice",
                           proto->name);
        return true;
    }
    if (!resolve_attribute(importer, place, proto, &resolved))
        return true;
    if (attribute_type(&resolved) == GRAPH && node->op->flags & PBITC_OPERATOR_CONTROL_FLOW) {
        *inner = proto;
        return true;
    }
    return set_attribute(importer, place, &resolved, node);
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
    if (!resolve_attribute(importer, place, proto->attribute[0], &resolved)) {
        PBITC_ONNX_PROBLEM(
            importer, PBIT_ERROR_FORMAT, place, NULL,
            "the constant's value is an attribute that the call of the function does not give");
        return true;
    }
    int32_t type = attribute_type(attribute);
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
