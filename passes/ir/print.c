#include "passes/operators/operators.h"

#include <inttypes.h>
#include <string.h>

/// Names come from files: whatever could break a line or a terminal is written as \xNN.
static void print_text(const char *text, FILE *stream)
{
    for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++) {
        if (*byte < 0x20 || *byte == 0x7f || *byte == '\\' || *byte == '"')
            fprintf(stream, "\\x%02x", *byte);
        else
            fputc(*byte, stream);
    }
}

static void print_quoted(const char *text, FILE *stream)
{
    fputc('"', stream);
    print_text(text, stream);
    fputc('"', stream);
}

/// "float32[N, 1, 28, 28]"; "?" for what is not known.
static void print_type(enum pbitc_type type, const struct pbitc_shape *shape, const char *const *names,
                       FILE *stream)
{
    fputs(pbitc_type_bytes(type) ? pbitc_type_name(type) : "?", stream);
    fputs(shape->rank < 0 ? "[...]" : "[", stream);
    for (int i = 0; i < shape->rank; i++) {
        fputs(i ? ", " : "", stream);
        if (names && names[i])
            print_text(names[i], stream);
        else if (shape->dims[i] < 0)
            fputc('?', stream);
        else
            fprintf(stream, "%" PRId64, shape->dims[i]);
    }
    fputs(shape->rank < 0 ? "" : "]", stream);
}

/// FNV-1a over the elements as little-endian bytes.
static uint64_t hash_tensor(const struct pbitc_tensor *tensor)
{
    const uint16_t one = 1;
    const bool little_endian = *(const unsigned char *)&one;
    const size_t size = pbitc_type_bytes(tensor->type);
    const size_t elements = (size_t)pbitc_shape_elements(&tensor->shape);
    const unsigned char *bytes = tensor->data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < elements; i++)
        for (size_t b = 0; b < size; b++)
            hash = (hash ^ bytes[i * size + (little_endian ? b : size - 1 - b)]) * 0x100000001b3u;
    return hash;
}

static void print_tensor(const struct pbitc_tensor *tensor, FILE *stream)
{
    print_type(tensor->type, &tensor->shape, NULL, stream);
    fprintf(stream, " fnv1a:%016" PRIx64, hash_tensor(tensor));
}

static void print_attribute(const struct pbitc_attribute *attribute, FILE *stream)
{
    fprintf(stream, "%s = ", attribute->name);
    switch (attribute->kind) {
    case PBITC_ATTRIBUTE_INT:
        fprintf(stream, "%" PRId64, attribute->integer);
        return;
    case PBITC_ATTRIBUTE_FLOAT:
        fprintf(stream, "%.9g", (double)attribute->real);
        return;
    case PBITC_ATTRIBUTE_STRING:
        print_quoted(attribute->string, stream);
        return;
    case PBITC_ATTRIBUTE_TENSOR:
        print_tensor(attribute->tensor, stream);
        return;
    case PBITC_ATTRIBUTE_GRAPH:
        fputs("graph ", stream);
        print_quoted(attribute->graph->name, stream);
        return;
    default:
        break;
    }
    for (size_t i = 0; i < attribute->count; i++) {
        fputs(i ? ", " : "[", stream);
        if (attribute->kind == PBITC_ATTRIBUTE_INTS)
            fprintf(stream, "%" PRId64, attribute->integers[i]);
        else if (attribute->kind == PBITC_ATTRIBUTE_FLOATS)
            fprintf(stream, "%.9g", (double)attribute->reals[i]);
        else
            print_quoted(attribute->strings[i], stream);
    }
    fputs(attribute->count ? "]" : "[]", stream);
}

/// The first attribute, in alphabetical order, after `name`; NULL when none is left.
static const struct pbitc_attribute *next_attribute(const struct pbitc_node *node, const char *name)
{
    const struct pbitc_attribute *next = NULL;
    for (const struct pbitc_attribute *attribute = node->attributes; attribute; attribute = attribute->next)
        if (strcmp(attribute->name, name) > 0 && (!next || strcmp(attribute->name, next->name) < 0))
            next = attribute;
    return next;
}

/// "a, _, b": "_" stands for an omitted optional value.
static void print_values(struct pbitc_value *const *values, size_t count, FILE *stream)
{
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", stream);
        print_text(values[i] ? values[i]->name : "_", stream);
    }
}

static void print_graph(const struct pbitc_graph *graph, int indent, FILE *stream);

/// `  y: float32[1, 10] = Gemm(x, w) {alpha = 1, transB = 1} "fc1"`
static void print_node(const struct pbitc_node *node, int indent, FILE *stream)
{
    fprintf(stream, "%*s", indent + 2, "");
    print_values(node->outputs, node->output_count, stream);
    if (node->output_count && node->outputs[0] && node->outputs[0]->shape.rank >= 0) {
        fputs(": ", stream);
        print_type(node->outputs[0]->type, &node->outputs[0]->shape, NULL, stream);
    }
    const char *domain = node->op->domain;
    fprintf(stream, " = %s%s%s(", domain, *domain ? "." : "", node->op->name);
    print_values(node->inputs, node->input_count, stream);
    fputc(')', stream);
    const char *separator = " {";
    for (const struct pbitc_attribute *a = next_attribute(node, ""); a; a = next_attribute(node, a->name)) {
        fputs(separator, stream);
        print_attribute(a, stream);
        separator = ", ";
    }
    fputs(node->attributes ? "} " : " ", stream);
    print_quoted(node->name, stream);
    fputc('\n', stream);
    for (const struct pbitc_attribute *a = next_attribute(node, ""); a; a = next_attribute(node, a->name))
        if (a->kind == PBITC_ATTRIBUTE_GRAPH)
            print_graph(a->graph, indent + 4, stream);
}

/// Prints the constants that are used, in the order of making.
static void print_constants(const struct pbitc_graph *graph, int indent, FILE *stream)
{
    for (size_t i = 0; i < graph->value_count; i++)
        graph->values[i]->mark = 0;
    for (size_t i = 0; i < graph->output_count; i++)
        graph->outputs[i]->mark = 1;
    PBITC_FOR_EACH_NODE(node, graph)
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i])
            node->inputs[i]->mark = 1;
    for (size_t i = 0; i < graph->value_count; i++) {
        const struct pbitc_value *value = graph->values[i];
        if (!value->constant || !value->mark)
            continue;
        fprintf(stream, "%*sconstant ", indent, "");
        print_text(value->name, stream);
        fputs(": ", stream);
        print_tensor(value->constant, stream);
        fputc('\n', stream);
    }
}

static void print_graph(const struct pbitc_graph *graph, int indent, FILE *stream)
{
    fprintf(stream, "%*sgraph ", indent, "");
    print_quoted(graph->name, stream);
    if (!graph->inner) {
        fprintf(stream, " opset %d ir %" PRId64 " producer ", graph->opset, graph->ir_version);
        print_quoted(graph->producer, stream);
    }
    fputc('\n', stream);
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        fprintf(stream, "%*sinput ", indent, "");
        print_text(input->name, stream);
        fputs(": ", stream);
        print_type(input->type, &input->shape, input->dim_names, stream);
        fputc('\n', stream);
    }
    print_constants(graph, indent, stream);
    fprintf(stream, "%*snodes\n", indent, "");
    PBITC_FOR_EACH_NODE(node, graph)
    print_node(node, indent, stream);
    for (size_t i = 0; i < graph->output_count; i++) {
        fprintf(stream, "%*soutput ", indent, "");
        print_text(graph->outputs[i]->name, stream);
        fputc('\n', stream);
    }
}

void pbitc_graph_print(const struct pbitc_graph *graph, FILE *stream)
{
    print_graph(graph, 0, stream);
}
