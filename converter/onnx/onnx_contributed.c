// Operators that ONNX Runtime adds (domain com.microsoft), as functions of standard ones: its quantizer and
// its optimizer write them into files. Source: ContribOperators.md of ONNX Runtime.
//
// A body is a list of nodes, "y = Op(a, b); z = Op@{name=1}(y)": names of inputs that a call omits are
// omitted here too, and @ stands for the attributes of the call.
#include "converter/onnx/onnx_importer.h"

#include <stdlib.h>
#include <string.h>

enum { FLOAT = 1, INT = 2, STRING = 3, INTS = 7, FUNCTION_OPSET = 24 };

/// Returns the body of a call, which may depend on it; NULL: not a form of the operator that we know, or out
/// of memory (*exhausted).
typedef const char *body_function(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted);

static const Onnx__AttributeProto *find_attribute(const Onnx__NodeProto *call, const char *name)
{
    for (size_t i = 0; i < call->n_attribute; i++)
        if (call->attribute[i]->name && strcmp(call->attribute[i]->name, name) == 0)
            return call->attribute[i];
    return NULL;
}

static bool is_given(const Onnx__NodeProto *call, size_t input)
{
    return input < call->n_input && *call->input[input];
}

static const char *checked(const char *text, bool *exhausted)
{
    *exhausted = !text;
    return text;
}

/// Inputs: A, its scale and zero point, B, its scale and zero point, C, scale and zero point of the result. B
/// may have a scale per column; C counts in units of the product of both scales; without the last two the
/// result is float.
static const char *gemm_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const Onnx__AttributeProto *alpha = find_attribute(call, "alpha"),
                               *transposed = find_attribute(call, "transB");
    if (alpha && alpha->f != 1)
        return NULL;
    bool has_bias = is_given(call, 6), is_float = !is_given(call, 7);
    return checked(
        pbitc_arena_format(arena,
                           "a = DequantizeLinear(A, As, Az); b = DequantizeLinear{axis=%d}(B, Bs, Bz);%s%s%s",
                           transposed && transposed->i ? 0 : 1,
                           has_bias ? "Cs = Mul(As, Bs); c = DequantizeLinear{axis=0}(C, Cs);" : "",
                           has_bias ? (is_float ? "Y = Gemm@(a, b, c)" : "y = Gemm@(a, b, c);")
                                    : (is_float ? "Y = Gemm@(a, b)" : "y = Gemm@(a, b);"),
                           is_float ? "" : "Y = QuantizeLinear(y, Ys, Yz)"),
        exhausted);
}

/// Before opset 13, Softmax runs over all dimensions from the axis on: the same only for the last.
static const char *softmax_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const Onnx__AttributeProto *axis = find_attribute(call, "axis"), *opset = find_attribute(call, "opset");
    int64_t along = axis ? axis->i : -1;
    if (!opset || (opset->i < 13 && along != -1))
        return NULL;
    return checked(pbitc_arena_format(arena,
                                      "x = DequantizeLinear(X, Xs, Xz); y = Softmax{axis=%lld}(x);"
                                      "Y = QuantizeLinear(y, Ys, Yz)",
                                      (long long)along),
                   exhausted);
}

enum { MAX_CONCATENATED = 64 };

/// Inputs: scale and zero point of the result, then each operand with its scale and zero point.
static const char *concat_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const char *body = "", *operands = "";
    size_t count = (call->n_input - 2) / 3;
    if (call->n_input % 3 != 2 || count < 1 || count > MAX_CONCATENATED)
        return NULL;
    for (size_t i = 0; body && operands && i < count; i++) {
        body = pbitc_arena_format(arena, "%sx%zu = DequantizeLinear(I%zu, I%zu, I%zu);", body, i, 3 * i + 2,
                                  3 * i + 3, 3 * i + 4);
        operands = pbitc_arena_format(arena, "%s%sx%zu", operands, i ? ", " : "", i);
    }
    return checked(
        body && operands
            ? pbitc_arena_format(arena, "%sy = Concat@(%s); O0 = QuantizeLinear(y, I0, I1)", body, operands)
            : NULL,
        exhausted);
}

/// The activation that a fused layer ends in, as a node "O0 = Relu(y)"; NULL: one that we do not know, or out
/// of memory.
static const char *activation_node(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const Onnx__AttributeProto *name = find_attribute(call, "activation"),
                               *parameters = find_attribute(call, "activation_params"),
                               *alpha = find_attribute(call, "activation_alpha");
    size_t count = parameters ? parameters->n_floats : alpha ? 1 : 0;
    double first = parameters && count > 0 ? parameters->floats[0]
                   : alpha                 ? alpha->f
                                           : 0,
           second = count > 1 ? parameters->floats[1] : 0;
    static const char *const plain[] = {"Relu", "Sigmoid", "Tanh"};
    char activation[32] = "";
    if (name && name->s.len < sizeof(activation))
        memcpy(activation, name->s.data, name->s.len);
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (strcmp(activation, plain[i]) == 0)
            return checked(pbitc_arena_format(arena, "O0 = %s(y)", activation), exhausted);
    if (strcmp(activation, "LeakyRelu") == 0 && count == 1)
        return checked(pbitc_arena_format(arena, "O0 = LeakyRelu{alpha=%.9e}(y)", first), exhausted);
    if (strcmp(activation, "HardSigmoid") == 0 && count == 2)
        return checked(pbitc_arena_format(arena, "O0 = HardSigmoid{alpha=%.9e,beta=%.9e}(y)", first, second),
                       exhausted);
    if (strcmp(activation, "Clip") == 0 && count == 2)
        return checked(
            pbitc_arena_format(arena,
                               "low = Constant{value_float=%.9e}(); high = Constant{value_float=%.9e}();"
                               "O0 = Clip(y, low, high)",
                               first, second),
            exhausted);
    return NULL;
}

/// Conv, a tensor to be added, and an activation.
static const char *conv_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    bool adds = is_given(call, 3), activates = find_attribute(call, "activation");
    const char *activation = activates ? activation_node(arena, call, exhausted) : "";
    if (!activation)
        return NULL;
    const char *sum = adds ? (activates ? "y = Add(c, I3);" : "O0 = Add(c, I3)") : "";
    return checked(pbitc_arena_format(arena, "%s = Conv@(I0, I1, I2);%s%s",
                                      adds        ? "c"
                                      : activates ? "y"
                                                  : "O0",
                                      sum, activation),
                   exhausted);
}

static const char *fused_gemm_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const char *activation = activation_node(arena, call, exhausted);
    return activation ? checked(pbitc_arena_format(arena, "y = Gemm@(I0, I1, I2);%s", activation), exhausted)
                      : NULL;
}

static const char *quick_gelu_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, bool *exhausted)
{
    const Onnx__AttributeProto *alpha = find_attribute(call, "alpha");
    return checked(pbitc_arena_format(arena, "O0 = Swish{alpha=%.9e}(I0)", alpha ? (double)alpha->f : 1.702),
                   exhausted);
}

/// Inputs and outputs without names are called I0, I1, ... and O0, O1, ...
static const struct {
    const char *op, *inputs, *outputs, *body;
    body_function *make_body;
} contributed[] = {
    {"QLinearAdd", "A As Az B Bs Bz Cs Cz", "C",
     "a = DequantizeLinear(A, As, Az); b = DequantizeLinear(B, Bs, Bz); c = Add(a, b); C = QuantizeLinear(c, "
     "Cs, Cz)",
     NULL},
    {"QLinearMul", "A As Az B Bs Bz Cs Cz", "C",
     "a = DequantizeLinear(A, As, Az); b = DequantizeLinear(B, Bs, Bz); c = Mul(a, b); C = QuantizeLinear(c, "
     "Cs, Cz)",
     NULL},
    {"QLinearSigmoid", "X Xs Xz Ys Yz", "Y",
     "x = DequantizeLinear(X, Xs, Xz); y = Sigmoid(x); Y = QuantizeLinear(y, Ys, Yz)", NULL},
    {"QLinearLeakyRelu", "X Xs Xz Ys Yz", "Y",
     "x = DequantizeLinear(X, Xs, Xz); y = LeakyRelu@(x); Y = QuantizeLinear(y, Ys, Yz)", NULL},
    {"QLinearAveragePool", "X Xs Xz Ys Yz", "Y",
     "x = DequantizeLinear(X, Xs, Xz); y = AveragePool@(x); Y = QuantizeLinear(y, Ys, Yz)", NULL},
    {"QLinearGlobalAveragePool", "X Xs Xz Ys Yz", "Y",
     "x = DequantizeLinear(X, Xs, Xz); y = GlobalAveragePool(x); Y = QuantizeLinear(y, Ys, Yz)", NULL},
    {"QLinearSoftmax", "X Xs Xz Ys Yz", "Y", NULL, softmax_body},
    {"QLinearWhere", "C X Xs Xz Y Ys Yz Zs Zz", "Z",
     "x = DequantizeLinear(X, Xs, Xz); y = DequantizeLinear(Y, Ys, Yz); z = Where(C, x, y); Z = "
     "QuantizeLinear(z, Zs, Zz)",
     NULL},
    {"QLinearConcat", NULL, NULL, NULL, concat_body},
    {"QGemm", "A As Az B Bs Bz C Ys Yz", "Y", NULL, gemm_body},
    {"QuantizeLinear", "X S Z", "Y", "Y = QuantizeLinear@(X, S, Z)", NULL},
    {"DequantizeLinear", "X S Z", "Y", "Y = DequantizeLinear@(X, S, Z)", NULL},
    {"FusedConv", NULL, NULL, NULL, conv_body},
    {"FusedGemm", NULL, NULL, NULL, fused_gemm_body},
    {"Gelu", "X", "Y", "Y = Gelu(X)", NULL},
    {"BiasGelu", "X B", "Y", "x = Add(X, B); Y = Gelu(x)", NULL},
    {"QuickGelu", NULL, NULL, NULL, quick_gelu_body},
};

enum { CONTRIBUTED_COUNT = sizeof(contributed) / sizeof(contributed[0]) };

// ---- from text to protobuf

#define NEW(arena, type, initializer)                                                                        \
    ((type *)place_copy(pbitc_arena_allocate(arena, 1, sizeof(type)), &(const type)initializer, sizeof(type)))

static void *place_copy(void *place, const void *from, size_t bytes)
{
    return place ? memcpy(place, from, bytes) : NULL;
}

/// The words of a text, separated by any of " ,"; uses the text up. False: out of memory.
static bool split(struct pbitc_arena *arena, char *text, char ***words, size_t *count)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == ' ' || *c == ',';
    *words = pbitc_arena_allocate(arena, room, sizeof(**words));
    *count = 0;
    for (char *word = text; *words && *(word += strspn(word, " ,"));) {
        (*words)[(*count)++] = word;
        word += strcspn(word, " ,");
        if (*word)
            *word++ = '\0';
    }
    return *words;
}

/// "0:-1:3": the numbers of a list.
static bool parse_list(struct pbitc_arena *arena, const char *text, Onnx__AttributeProto *attribute)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == ':';
    attribute->type = INTS;
    attribute->ints = pbitc_arena_allocate(arena, room, sizeof(*attribute->ints));
    for (char *end; attribute->ints && *text; text = *end ? end + 1 : end)
        attribute->ints[attribute->n_ints++] = strtoll(text, &end, 10);
    return attribute->ints;
}

/// "name=1"; a number with a point is a float, and "value_ints" and what has colons a list.
static Onnx__AttributeProto *parse_attribute(struct pbitc_arena *arena, char *text)
{
    Onnx__AttributeProto *attribute = NEW(arena, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    char *value = strchr(text, '=');
    if (!attribute)
        return NULL;
    *value++ = '\0';
    attribute->name = text;
    attribute->has_type = 1;
    if (strchr(value, ':') || strcmp(text, "value_ints") == 0)
        return parse_list(arena, value, attribute) ? attribute : NULL;
    if (strchr(value, '.')) {
        attribute->type = FLOAT;
        attribute->has_f = 1;
        attribute->f = strtof(value, NULL);
    } else {
        attribute->type = INT;
        attribute->has_i = 1;
        attribute->i = strtoll(value, NULL, 10);
    }
    return attribute;
}

/// Said of the operator itself, not of the standard one inside.
static bool is_own_attribute(const char *name)
{
    return strncmp(name, "activation", strlen("activation")) == 0 || strcmp(name, "channels_last") == 0;
}

/// References to the attributes of the call.
static bool pass_attributes(struct pbitc_arena *arena, const Onnx__NodeProto *call, Onnx__NodeProto *node)
{
    for (size_t i = 0; i < call->n_attribute; i++) {
        char *name = call->attribute[i]->name;
        if (!name || is_own_attribute(name))
            continue;
        Onnx__AttributeProto *attribute = NEW(arena, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
        if (!attribute)
            return false;
        attribute->name = attribute->ref_attr_name = name;
        node->attribute[node->n_attribute++] = attribute;
    }
    return true;
}

/// "Op@{name=1}": operator and attributes.
static bool parse_operator(struct pbitc_arena *arena, const Onnx__NodeProto *call, char *text,
                           Onnx__NodeProto *node)
{
    char *end = text + strcspn(text, "@{"), *brace = strchr(text, '{'), **words = NULL;
    bool passes = *end == '@';
    size_t count = 0;
    if (brace) {
        *strchr(brace, '}') = '\0';
        if (!split(arena, brace + 1, &words, &count))
            return false;
    }
    *end = '\0';
    node->op_type = text;
    node->attribute =
        pbitc_arena_allocate(arena, count + (passes ? call->n_attribute : 0), sizeof(Onnx__AttributeProto *));
    if (!node->attribute || (passes && !pass_attributes(arena, call, node)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!(node->attribute[node->n_attribute++] = parse_attribute(arena, words[i])))
            return false;
    return true;
}

/// "y = Op(a, b)".
static Onnx__NodeProto *parse_node(struct pbitc_arena *arena, const Onnx__NodeProto *call, char *text)
{
    Onnx__NodeProto *node = NEW(arena, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    char *equals = strstr(text, " = "), *parenthesis = strchr(text, '('), *op = equals + strlen(" = ");
    *equals = *parenthesis = *strchr(parenthesis + 1, ')') = '\0';
    if (!node || !split(arena, text, &node->output, &node->n_output) ||
        !split(arena, parenthesis + 1, &node->input, &node->n_input) ||
        !parse_operator(arena, call, op, node))
        return NULL;
    return node;
}

static bool parse_body(struct pbitc_arena *arena, const Onnx__NodeProto *call, char *text,
                       Onnx__FunctionProto *function)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == ';';
    function->node = pbitc_arena_allocate(arena, room, sizeof(*function->node));
    while (function->node && *(text += strspn(text, "; "))) {
        char *end = text + strcspn(text, ";"), *next = *end ? end + 1 : end;
        *end = '\0';
        if (!(function->node[function->n_node++] = parse_node(arena, call, text)))
            return false;
        text = next;
    }
    return function->node;
}

/// The names of inputs or outputs: those given, or I0, I1, ... for as many as the call has.
static bool name_values(struct pbitc_arena *arena, const char *given, const char *letter, size_t called,
                        char ***names, size_t *count)
{
    char *text = pbitc_arena_format(arena, "%s", given ? given : "");
    for (size_t i = 0; text && !given && i < called; i++)
        text = pbitc_arena_format(arena, "%s %s%zu", text, letter, i);
    return text && split(arena, text, names, count);
}

bool pbitc_onnx_function_of_text(struct pbitc_arena *arena, const Onnx__NodeProto *call, const char *inputs,
                                 const char *outputs, const char *body, const Onnx__FunctionProto **made)
{
    // Inputs that the call leaves out have names as well: up to Attention's seven.
    enum { FUSED_INPUTS = 7 };
    Onnx__FunctionProto *function = NEW(arena, Onnx__FunctionProto, ONNX__FUNCTION_PROTO__INIT);
    Onnx__OperatorSetIdProto *opset = NEW(arena, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    Onnx__OperatorSetIdProto **opsets = pbitc_arena_allocate(arena, 1, sizeof(*opsets));
    char *text = pbitc_arena_copy_string(arena, body, strlen(body));
    size_t called = call->n_input > FUSED_INPUTS ? call->n_input : FUSED_INPUTS;
    if (!function || !opset || !opsets || !text || !parse_body(arena, call, text, function) ||
        !name_values(arena, inputs, "I", called, &function->input, &function->n_input) ||
        !name_values(arena, outputs, "O", call->n_output, &function->output, &function->n_output))
        return false;
    opset->domain = text + strlen(body); // ""
    opset->has_version = 1;
    opset->version = FUNCTION_OPSET;
    opsets[0] = opset;
    function->opset_import = opsets;
    function->n_opset_import = 1;
    *made = function;
    return true;
}

bool pbitc_onnx_find_contributed(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *call,
                                 const Onnx__FunctionProto **function)
{
    struct pbitc_arena *arena = importer->graph->arena;
    const Onnx__AttributeProto *channels_last = find_attribute(call, "channels_last");
    size_t index = 0;
    bool exhausted = false;
    *function = NULL;
    if (!call->domain || strcmp(call->domain, "com.microsoft") != 0 || !call->op_type ||
        (channels_last && channels_last->i))
        return true;
    while (index < CONTRIBUTED_COUNT && strcmp(contributed[index].op, call->op_type) != 0)
        index++;
    if (index == CONTRIBUTED_COUNT)
        return true;
    const char *body = contributed[index].make_body ? contributed[index].make_body(arena, call, &exhausted)
                                                    : contributed[index].body;
    return body ? pbitc_onnx_function_of_text(arena, call, contributed[index].inputs,
                                              contributed[index].outputs, body, function)
                : !exhausted;
}
