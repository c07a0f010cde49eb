// Makes ONNX models in memory for the tests of the importer: fields of the generated structures can be
// changed at will before builder_pack.
#ifndef PBITC_TESTS_ONNX_BUILDER_H
#define PBITC_TESTS_ONNX_BUILDER_H

#include "onnx.pb-c.h"
#include "passes/arena.h"

#include <stdlib.h>
#include <string.h>

enum { BUILDER_LIST = 64 }; ///< room of every list

struct builder {
    struct pbitc_arena *arena;
    Onnx__ModelProto *model;
    Onnx__GraphProto *graph;
};

#define BUILDER_NEW(builder, type, initializer)                                                              \
    ((type *)memcpy(pbitc_arena_allocate((builder)->arena, 1, sizeof(type)), &(type)initializer,             \
                    sizeof(type)))

static inline void *builder_list(struct builder *b)
{
    return pbitc_arena_allocate(b->arena, BUILDER_LIST, sizeof(void *));
}

static inline char *builder_text(struct builder *b, const char *text)
{
    return pbitc_arena_copy_string(b->arena, text, strlen(text));
}

static inline void builder_add_opset(struct builder *b, const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *opset =
        BUILDER_NEW(b, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    opset->domain = builder_text(b, domain);
    opset->has_version = 1;
    opset->version = version;
    b->model->opset_import[b->model->n_opset_import++] = opset;
}

/// An empty model of IR version 8.
static inline struct builder builder_start(int64_t opset)
{
    struct builder b = {.arena = pbitc_arena_create(NULL)};
    b.model = BUILDER_NEW(&b, Onnx__ModelProto, ONNX__MODEL_PROTO__INIT);
    b.graph = b.model->graph = BUILDER_NEW(&b, Onnx__GraphProto, ONNX__GRAPH_PROTO__INIT);
    b.model->has_ir_version = 1;
    b.model->ir_version = 8;
    b.model->producer_name = builder_text(&b, "tests");
    b.model->opset_import = builder_list(&b);
    b.graph->name = builder_text(&b, "tested");
    b.graph->node = builder_list(&b);
    b.graph->initializer = builder_list(&b);
    b.graph->sparse_initializer = builder_list(&b);
    b.graph->input = builder_list(&b);
    b.graph->output = builder_list(&b);
    builder_add_opset(&b, "", opset);
    return b;
}

/// Splits "a,b,,c" at the commas; "" gives an empty list.
static inline char **builder_names(struct builder *b, const char *text, size_t *count)
{
    char **names = builder_list(b);
    for (*count = 0; *text; (*count)++) {
        size_t length = strcspn(text, ",");
        names[*count] = pbitc_arena_copy_string(b->arena, text, length);
        text += length;
        // A comma at the end announces one more, empty name.
        if (*text == ',' && !*++text)
            names[++*count] = builder_text(b, "");
    }
    return names;
}

static inline Onnx__NodeProto *builder_add_node(struct builder *b, const char *name, const char *op,
                                                const char *inputs, const char *outputs)
{
    Onnx__NodeProto *node = BUILDER_NEW(b, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    node->name = builder_text(b, name);
    node->op_type = builder_text(b, op);
    node->input = builder_names(b, inputs, &node->n_input);
    node->output = builder_names(b, outputs, &node->n_output);
    node->attribute = builder_list(b);
    b->graph->node[b->graph->n_node++] = node;
    return node;
}

static inline Onnx__AttributeProto *builder_add_attribute(struct builder *b, Onnx__NodeProto *node,
                                                          const char *name, int type)
{
    Onnx__AttributeProto *attribute = BUILDER_NEW(b, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    attribute->name = builder_text(b, name);
    attribute->has_type = type != 0;
    attribute->type = type;
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

static inline void builder_set_float(struct builder *b, Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *attribute = builder_add_attribute(b, node, name, 1);
    attribute->has_f = 1;
    attribute->f = value;
}

static inline void builder_set_int(struct builder *b, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attribute = builder_add_attribute(b, node, name, 2);
    attribute->has_i = 1;
    attribute->i = value;
}

static inline void builder_set_string(struct builder *b, Onnx__NodeProto *node, const char *name,
                                      const char *value)
{
    Onnx__AttributeProto *attribute = builder_add_attribute(b, node, name, 3);
    attribute->has_s = 1;
    attribute->s.data = (uint8_t *)builder_text(b, value);
    attribute->s.len = strlen(value);
}

static inline void builder_set_ints(struct builder *b, Onnx__NodeProto *node, const char *name,
                                    const int64_t *values, size_t count)
{
    Onnx__AttributeProto *attribute = builder_add_attribute(b, node, name, 7);
    attribute->ints = pbitc_arena_allocate(b->arena, count, sizeof(*values));
    attribute->n_ints = count;
    memcpy(attribute->ints, values, count * sizeof(*values));
}

/// A tensor of the given dimensions (ended by -1) without data.
static inline Onnx__TensorProto *builder_make_tensor(struct builder *b, const char *name, int type,
                                                     const int64_t *dims)
{
    Onnx__TensorProto *tensor = BUILDER_NEW(b, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    tensor->name = builder_text(b, name);
    tensor->has_data_type = 1;
    tensor->data_type = type;
    while (dims[tensor->n_dims] != -1)
        tensor->n_dims++;
    tensor->dims = pbitc_arena_allocate(b->arena, tensor->n_dims, sizeof(*dims));
    memcpy(tensor->dims, dims, tensor->n_dims * sizeof(*dims));
    return tensor;
}

static inline void builder_set_raw(struct builder *b, Onnx__TensorProto *tensor, const void *bytes,
                                   size_t count)
{
    tensor->has_raw_data = 1;
    tensor->raw_data.data = memcpy(pbitc_arena_allocate(b->arena, count, 1), bytes, count);
    tensor->raw_data.len = count;
}

static inline Onnx__TensorProto *builder_add_initializer(struct builder *b, const char *name, int type,
                                                         const int64_t *dims, const void *bytes, size_t count)
{
    Onnx__TensorProto *tensor = builder_make_tensor(b, name, type, dims);
    if (bytes)
        builder_set_raw(b, tensor, bytes, count);
    b->graph->initializer[b->graph->n_initializer++] = tensor;
    return tensor;
}

static inline void builder_set_external(struct builder *b, Onnx__TensorProto *tensor, const char *key,
                                        const char *value)
{
    Onnx__StringStringEntryProto *entry =
        BUILDER_NEW(b, Onnx__StringStringEntryProto, ONNX__STRING_STRING_ENTRY_PROTO__INIT);
    entry->key = builder_text(b, key);
    entry->value = builder_text(b, value);
    if (!tensor->external_data)
        tensor->external_data = builder_list(b);
    tensor->external_data[tensor->n_external_data++] = entry;
    tensor->has_data_location = 1;
    tensor->data_location = 1;
}

/// "N,3,?,5": numbers, names, and ? for a dimension without either.
static inline Onnx__TypeProto *builder_make_type(struct builder *b, int type, const char *shape)
{
    size_t rank;
    char **dims = builder_names(b, shape, &rank);
    Onnx__TypeProto *proto = BUILDER_NEW(b, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor = BUILDER_NEW(b, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *list = BUILDER_NEW(b, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    proto->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = type;
    tensor->shape = list;
    list->n_dim = rank;
    list->dim = builder_list(b);
    for (size_t i = 0; i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim =
            BUILDER_NEW(b, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        if (strspn(dims[i], "-0123456789") == strlen(dims[i])) {
            dim->has_dim_value = 1;
            dim->dim_value = strtoll(dims[i], NULL, 10);
        } else if (strcmp(dims[i], "?") != 0) {
            dim->dim_param = dims[i];
        }
        list->dim[i] = dim;
    }
    return proto;
}

static inline Onnx__ValueInfoProto *builder_make_port(struct builder *b, const char *name, const char *shape)
{
    Onnx__ValueInfoProto *info = BUILDER_NEW(b, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    info->name = builder_text(b, name);
    info->type = builder_make_type(b, 1, shape);
    return info;
}

static inline Onnx__ValueInfoProto *builder_add_input(struct builder *b, const char *name, const char *shape)
{
    return b->graph->input[b->graph->n_input++] = builder_make_port(b, name, shape);
}

static inline Onnx__ValueInfoProto *builder_add_output(struct builder *b, const char *name)
{
    return b->graph->output[b->graph->n_output++] = builder_make_port(b, name, "");
}

/// The bytes of the file, in the arena.
static inline uint8_t *builder_pack(struct builder *b, size_t *size)
{
    uint8_t *bytes = pbitc_arena_allocate(b->arena, onnx__model_proto__get_packed_size(b->model), 1);
    *size = onnx__model_proto__pack(b->model, bytes);
    return bytes;
}

static inline void builder_end(struct builder *b)
{
    pbitc_arena_destroy(b->arena);
}

#endif
