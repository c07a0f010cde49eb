// Gradient (ai.onnx.preview.training): the derivative of a tensor of the graph, summed, by others. It becomes
// the nodes that compute it, going back from that tensor node by node (reverse accumulation), as the body of
// a function whose inputs are the tensors of the graph that they need.
#include "converter/onnx/onnx_importer.h"

#include <string.h>

enum { MAX_NODES = 1000, MAX_TENSORS = 3 * MAX_NODES };

/// A tensor of the graph that plays a part; it is input I<index> of the function.
struct tensor {
    char *name;
    const char *gradient; ///< name of what has been summed up so far; NULL: nothing
    bool is_wanted;       ///< a variable: the way back ends here
    bool is_passed;       ///< its gradient has been handed on, and can no longer grow
};

struct derivation {
    struct pbitc_arena *arena;
    struct tensor *tensors;
    size_t count;
    const char *body; ///< so far; NULL: out of memory
    size_t steps;     ///< names given so far
    bool unknown;     ///< there is something on the way that we cannot derive
};

/// NULL: it plays no part so far.
static struct tensor *known_tensor(const struct derivation *derivation, const char *name)
{
    for (size_t i = 0; i < derivation->count; i++)
        if (strcmp(derivation->tensors[i].name, name) == 0)
            return &derivation->tensors[i];
    return NULL;
}

static struct tensor *find_tensor(struct derivation *derivation, const char *name)
{
    struct tensor *known = known_tensor(derivation, name);
    if (known)
        return known;
    if (derivation->count == MAX_TENSORS) {
        derivation->unknown = true;
        return &derivation->tensors[0];
    }
    char *copy = pbitc_arena_copy_string(derivation->arena, name, strlen(name));
    derivation->body = copy ? derivation->body : NULL;
    known = &derivation->tensors[derivation->count++];
    *known = (struct tensor){.name = copy ? copy : ""};
    return known;
}

/// Adds "s<steps> = <text>" to the body, where the text is made of a format with two names. Returns
/// s<steps>;
/// "" when memory has run out.
static const char *add_step(struct derivation *derivation, const char *format, const char *first,
                            const char *second)
{
    char call[128];
    const char *name = pbitc_arena_format(derivation->arena, "s%zu", derivation->steps++);
    snprintf(call, sizeof(call), "%s(%s%s%s)", format, first, *second ? ", " : "", second);
    if (derivation->body && name)
        derivation->body = pbitc_arena_format(derivation->arena, "%s%s = %s;", derivation->body, name, call);
    if (!name)
        derivation->body = NULL;
    return name ? name : "";
}

static const char *input_name(struct derivation *derivation, const struct tensor *tensor)
{
    const char *name = pbitc_arena_format(derivation->arena, "I%zu", (size_t)(tensor - derivation->tensors));
    derivation->body = name ? derivation->body : NULL;
    return name ? name : "";
}

/// The gradient grows by `part`, in the tensor's own shape: broadcasting is undone where it only added
/// dimensions of 1, and is an error of Reshape where it repeated elements.
static void grow(struct derivation *derivation, struct tensor *tensor, const char *part)
{
    const char *shape = add_step(derivation, "Shape", input_name(derivation, tensor), "");
    part = add_step(derivation, "Reshape", part, shape);
    derivation->unknown |= tensor->is_passed;
    tensor->gradient = tensor->gradient ? add_step(derivation, "Add", tensor->gradient, part) : part;
}

/// Hands the gradient of a node's output to its inputs.
static void pass_back(struct derivation *derivation, const Onnx__NodeProto *node, const struct tensor *output)
{
    const char *op = node->op_type, *gradient = output->gradient;
    bool two =
        strcmp(op, "Add") == 0 || strcmp(op, "Sub") == 0 || strcmp(op, "Mul") == 0 || strcmp(op, "Div") == 0;
    bool one = strcmp(op, "Neg") == 0 || strcmp(op, "Identity") == 0 || strcmp(op, "Exp") == 0 ||
               strcmp(op, "Log") == 0;
    if (!pbitc_onnx_is_default_domain(node) || !(one || two) || node->n_input != (size_t)(one ? 1 : 2)) {
        derivation->unknown = true;
        return;
    }
    const char *result = input_name(derivation, output);
    struct tensor *a = find_tensor(derivation, node->input[0]),
                  *b = two ? find_tensor(derivation, node->input[1]) : a;
    const char *x = input_name(derivation, a), *y = input_name(derivation, b);
    if (strcmp(op, "Add") == 0 || strcmp(op, "Sub") == 0 || strcmp(op, "Identity") == 0)
        grow(derivation, a, gradient);
    if (strcmp(op, "Add") == 0)
        grow(derivation, b, gradient);
    else if (strcmp(op, "Sub") == 0 || strcmp(op, "Neg") == 0)
        grow(derivation, b, add_step(derivation, "Neg", gradient, ""));
    else if (strcmp(op, "Exp") == 0)
        grow(derivation, a, add_step(derivation, "Mul", gradient, result));
    else if (strcmp(op, "Log") == 0)
        grow(derivation, a, add_step(derivation, "Div", gradient, x));
    if (strcmp(op, "Mul") == 0) {
        grow(derivation, a, add_step(derivation, "Mul", gradient, y));
        grow(derivation, b, add_step(derivation, "Mul", gradient, x));
    } else if (strcmp(op, "Div") == 0) {
        const char *share = add_step(derivation, "Div", gradient, y);
        grow(derivation, a, share);
        grow(derivation, b, add_step(derivation, "Neg", add_step(derivation, "Mul", share, result), ""));
    }
}

/// The gradient of y by itself: ones.
static void start_at(struct derivation *derivation, struct tensor *y)
{
    const char *name = input_name(derivation, y);
    const char *one = add_step(derivation, "Constant{value_float=1.0}", "", "");
    one = add_step(derivation, "CastLike", one, name);
    y->gradient = add_step(derivation, "Expand", one, add_step(derivation, "Shape", name, ""));
}

static void derive(struct derivation *derivation, Onnx__NodeProto *const *nodes, size_t count)
{
    for (size_t i = count; i-- > 0 && derivation->body && !derivation->unknown;) {
        if (nodes[i]->n_output != 1 || !*nodes[i]->output[0] || !nodes[i]->op_type)
            continue;
        struct tensor *output = known_tensor(derivation, nodes[i]->output[0]);
        if (!output || !output->gradient || output->is_wanted)
            continue;
        pass_back(derivation, nodes[i], output);
        output->is_passed = true;
    }
}

/// The text of a string that the arena keeps; "" when memory has run out.
static const char *keep(struct derivation *derivation, ProtobufCBinaryData text)
{
    const char *copy = pbitc_arena_copy_string(derivation->arena, (const char *)text.data, text.len);
    derivation->body = copy ? derivation->body : NULL;
    return copy ? copy : "";
}

static bool read_attributes(struct derivation *derivation, const Onnx__NodeProto *call,
                            const Onnx__AttributeProto **xs, struct tensor **y)
{
    *xs = NULL;
    *y = NULL;
    for (size_t i = 0; i < call->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = call->attribute[i];
        if (attribute->name && strcmp(attribute->name, "xs") == 0)
            *xs = attribute;
        else if (attribute->name && strcmp(attribute->name, "y") == 0)
            *y = find_tensor(derivation, keep(derivation, attribute->s));
    }
    return *xs && *y && (*xs)->n_strings >= call->n_output && (*xs)->n_strings <= MAX_NODES;
}

/// O0, O1, ...: the gradients by the variables; 0 where y does not depend on one.
static void finish(struct derivation *derivation, const Onnx__NodeProto *call, const Onnx__AttributeProto *xs)
{
    for (size_t i = 0; i < call->n_output && derivation->body; i++) {
        const struct tensor *x = find_tensor(derivation, keep(derivation, xs->strings[i]));
        const char *name = input_name(derivation, x);
        const char *gradient = x->gradient ? x->gradient : add_step(derivation, "Sub", name, name);
        if (derivation->body)
            derivation->body = pbitc_arena_format(derivation->arena, "%sO%zu = Identity(%s);",
                                                  derivation->body, i, gradient);
    }
}

/// The call with all tensors of the derivation as its inputs.
static bool make_call(struct derivation *derivation, const Onnx__NodeProto *call, Onnx__NodeProto *expanded)
{
    *expanded = *call;
    expanded->n_input = derivation->count;
    expanded->input = pbitc_arena_allocate(derivation->arena, derivation->count, sizeof(char *));
    for (size_t i = 0; expanded->input && i < derivation->count; i++)
        expanded->input[i] = derivation->tensors[i].name;
    return expanded->input;
}

bool pbitc_onnx_find_gradient(struct pbitc_onnx_importer *importer, Onnx__NodeProto *const *nodes,
                              size_t count, const Onnx__NodeProto *call, Onnx__NodeProto *expanded,
                              const Onnx__FunctionProto **function)
{
    struct derivation derivation = {.arena = importer->graph->arena, .body = ""};
    const Onnx__AttributeProto *xs;
    struct tensor *y;
    if (!call->op_type || strcmp(call->op_type, "Gradient") != 0 || count > MAX_NODES || !call->domain ||
        strcmp(call->domain, "ai.onnx.preview.training") != 0)
        return true;
    derivation.tensors = pbitc_arena_allocate(derivation.arena, MAX_TENSORS, sizeof(*derivation.tensors));
    if (!derivation.tensors)
        return false;
    if (!read_attributes(&derivation, call, &xs, &y))
        return derivation.body;
    for (size_t i = 0; i < xs->n_strings; i++)
        find_tensor(&derivation, keep(&derivation, xs->strings[i]))->is_wanted = true;
    start_at(&derivation, y);
    derive(&derivation, nodes, count);
    finish(&derivation, call, xs);
    if (derivation.unknown || !derivation.body)
        return derivation.body;
    return make_call(&derivation, call, expanded) &&
           pbitc_onnx_function_of_text(derivation.arena, expanded, NULL, NULL, derivation.body, function);
}
