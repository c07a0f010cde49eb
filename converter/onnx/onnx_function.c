// The model's functions: the body of each takes the place of its calls.
#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <string.h>

enum { MAX_FUNCTIONS = 10000 };

static const char *function_key(const struct pbitc_onnx_importer *importer, const char *domain,
                                const char *name)
{
    return pbitc_arena_format(importer->graph->arena, "%s:%s", pbitc_onnx_plain_domain(domain),
                              pbitc_onnx_text(name));
}

bool pbitc_onnx_read_functions(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    const Onnx__ModelProto *proto = importer->model;
    importer->functions = pbitc_name_table_create(importer->graph->arena);
    if (proto->n_functions > MAX_FUNCTIONS) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model, NULL,
                           "the model has %zu functions; at most %d are supported", proto->n_functions,
                           MAX_FUNCTIONS);
        return importer->functions;
    }
    for (size_t i = 0; importer->functions && i < proto->n_functions; i++) {
        Onnx__FunctionProto *function = proto->functions[i];
        struct pbitc_onnx_place place = {.name = pbitc_onnx_text(function->name)};
        const char *key = function_key(importer, function->domain, function->name);
        if (!key)
            return false;
        if (pbitc_name_table_find(importer->functions, key))
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL,
                               "the model has two functions of this name");
        else if (!pbitc_name_table_add(importer->functions, key, function))
            return false;
    }
    return importer->functions;
}

const Onnx__FunctionProto *pbitc_onnx_find_function(const struct pbitc_onnx_importer *importer,
                                                    const char *domain, const char *name)
{
    if (importer->model->n_functions == 0)
        return NULL;
    const char *key = function_key(importer, domain, name);
    return key ? pbitc_name_table_find(importer->functions, key) : NULL;
}

/// The call fits, and the function does not call itself.
static bool check_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const Onnx__NodeProto *proto, const Onnx__FunctionProto *function)
{
    for (const struct pbitc_onnx_scope *scope = importer->scope; scope; scope = scope->parent) {
        if (scope->function != function)
            continue;
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "the function calls itself");
        return false;
    }
    if (proto->n_input > function->n_input || proto->n_output > function->n_output) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "the function has %zu inputs and %zu outputs, its call %zu and %zu",
                           function->n_input, function->n_output, proto->n_input, proto->n_output);
        return false;
    }
    return true;
}

/// The caller's values of the call's inputs; &pbitc_onnx_omitted for those that it omits. NULL: out of
/// memory.
static struct pbitc_value **find_arguments(struct pbitc_onnx_importer *importer,
                                           const struct pbitc_onnx_place *place, const Onnx__NodeProto *proto,
                                           size_t count)
{
    struct pbitc_value **values = pbitc_arena_allocate(importer->graph->arena, count, sizeof(*values));
    for (size_t i = 0; values && i < count; i++) {
        values[i] = &pbitc_onnx_omitted;
        if (i >= proto->n_input || !*proto->input[i])
            continue;
        if (!pbitc_onnx_find(importer, proto->input[i], &values[i]))
            return NULL;
        if (!values[i]) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "input %zu is '%s', which nothing produces", i, proto->input[i]);
            values[i] = pbitc_onnx_add_value(importer, "");
        }
        if (!values[i])
            return NULL;
        if (values[i] != &pbitc_onnx_omitted)
            values[i]->mark = 1;
    }
    return values;
}

static bool bind_arguments(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const Onnx__FunctionProto *function, struct pbitc_value **values)
{
    for (size_t i = 0; i < function->n_input; i++)
        if (pbitc_onnx_check_name(importer, place, "function input", function->input[i]) &&
            !pbitc_onnx_bind(importer, function->input[i], values[i]))
            return false;
    return true;
}

/// What the body produces under the name of an output is the caller's value, unless that has a producer.
static bool promise_outputs(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                            const Onnx__FunctionProto *function)
{
    struct pbitc_onnx_scope *scope = importer->scope;
    for (size_t i = 0; i < proto->n_output; i++) {
        struct pbitc_value *value = pbitc_name_table_find(scope->parent->values, proto->output[i]);
        if (*proto->output[i] && value && !value->producer && value->type == PBITC_TYPE_NONE &&
            !pbitc_name_table_find(scope->promised, function->output[i]) &&
            !pbitc_name_table_add(scope->promised, function->output[i], value))
            return false;
    }
    return true;
}

/// An output that is an input or a constant of the function needs a node to carry it into the caller's value.
static bool keep_promises(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                          const Onnx__NodeProto *proto, const Onnx__FunctionProto *function)
{
    struct pbitc_onnx_scope *scope = importer->scope;
    for (size_t i = 0; i < proto->n_output; i++) {
        struct pbitc_value *target = pbitc_name_table_find(scope->parent->values, proto->output[i]), *value;
        if (!pbitc_onnx_find(importer, function->output[i], &value))
            return false;
        if (!value || value == &pbitc_onnx_omitted) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "nothing in the function produces its output '%s'", function->output[i]);
            continue;
        }
        value->mark = 1;
        if (!*proto->output[i] || !target || value == target || target->producer)
            continue;
        if (!pbitc_graph_insert_node(importer->graph, NULL, place->name,
                                     pbitc_operator_get(PBITC_OP_Identity), &value, 1, &target, 1))
            return false;
        importer->graph->last->opset = PBITC_ONNX_NEWEST_OPSET;
    }
    return true;
}

bool pbitc_onnx_enter_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const Onnx__NodeProto *call, const Onnx__FunctionProto *function, bool *entered)
{
    struct pbitc_graph *graph = importer->graph;
    *entered = false;
    if (!check_call(importer, place, call, function))
        return true;
    if (!pbitc_onnx_may_enter(importer, place))
        return false;
    struct pbitc_value **arguments = find_arguments(importer, place, call, function->n_input);
    const char *prefix = pbitc_arena_format(graph->arena, "%.200s/", place->name);
    struct pbitc_onnx_scope *scope = arguments && prefix ? pbitc_onnx_enter(importer, graph, prefix) : NULL;
    if (!scope)
        return false;
    *entered = true;
    scope->function = function;
    scope->call = call;
    scope->opsets = function->opset_import;
    scope->opset_count = function->n_opset_import;
    pbitc_onnx_check_default_opset(importer, place->name, function->node, function->n_node);
    return bind_arguments(importer, place, function, arguments) && promise_outputs(importer, call, function);
}

bool pbitc_onnx_leave_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place)
{
    bool good = keep_promises(importer, place, importer->scope->call, importer->scope->function);
    pbitc_onnx_leave(importer);
    return good;
}
