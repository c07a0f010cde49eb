#include "passes/activation_match.h"

#include "passes/interpreter/evaluation.h"
#include "passes/neuron_function.h"
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

enum { LIMIT = 32, PER_UNIT = 16, POINTS = 2 * LIMIT * PER_UNIT + 1, ZERO = LIMIT * PER_UNIT, MAX_CUTS = 32 };

/// Error allowed of a value, relative to 1 + |f|: some roundings of float32, and less than what sets Gelu
/// apart from its approximations.
static const float TOLERANCE = 2e-5f;

static bool is_elementwise(const struct pbitc_node *node)
{
    switch ((int)node->op->id) {
    case PBITC_OP_Abs:
    case PBITC_OP_Add:
    case PBITC_OP_Div:
    case PBITC_OP_Erf:
    case PBITC_OP_Exp:
    case PBITC_OP_Greater:
    case PBITC_OP_GreaterOrEqual:
    case PBITC_OP_Less:
    case PBITC_OP_LessOrEqual:
    case PBITC_OP_Log:
    case PBITC_OP_Max:
    case PBITC_OP_Min:
    case PBITC_OP_Mul:
    case PBITC_OP_Neg:
    case PBITC_OP_Pow:
    case PBITC_OP_Reciprocal:
    case PBITC_OP_Sqrt:
    case PBITC_OP_Sub:
    case PBITC_OP_Sum:
    case PBITC_OP_Where:
        return true;
    default:
        return node->op->flags & PBITC_OPERATOR_ACTIVATION;
    }
}

static bool contains(const struct pbitc_activation_match *match, const struct pbitc_node *node)
{
    for (size_t i = 0; i < match->node_count; i++)
        if (match->nodes[i] == node)
            return true;
    return false;
}

/// Adds the node after everything that it depends on, down to x and to constants of one element.
static bool collect(struct pbitc_activation_match *match, const struct pbitc_node *node)
{
    if (contains(match, node))
        return true;
    if (!is_elementwise(node) || node->output_count != 1)
        return false;
    for (size_t i = 0; i < node->input_count; i++) {
        const struct pbitc_value *input = node->inputs[i];
        if (!input || input == match->x)
            continue;
        if (input->constant ? pbitc_shape_elements(&input->shape) != 1
                            : !input->producer || !collect(match, input->producer))
            return false;
    }
    if (match->node_count == PBITC_MATCH_NODES)
        return false;
    match->nodes[match->node_count++] = node;
    return true;
}

/// Nobody outside reads a value that depends on x, but the root's.
static bool is_closed(const struct pbitc_graph *graph, const struct pbitc_activation_match *match)
{
    bool depends[PBITC_MATCH_NODES] = {false};
    for (size_t n = 0; n < match->node_count; n++) {
        const struct pbitc_value *output = match->nodes[n]->outputs[0];
        for (size_t i = 0; i < match->nodes[n]->input_count; i++) {
            const struct pbitc_value *input = match->nodes[n]->inputs[i];
            depends[n] |= input == match->x;
            for (size_t k = 0; input && k < n; k++)
                depends[n] |= depends[k] && match->nodes[k]->outputs[0] == input;
        }
        size_t inside = 0;
        for (size_t k = n + 1; k < match->node_count; k++)
            for (size_t i = 0; i < match->nodes[k]->input_count; i++)
                inside += match->nodes[k]->inputs[i] == output;
        if (depends[n] && match->nodes[n] != match->root && inside != pbitc_graph_use_count(graph, output))
            return false;
    }
    return depends[match->node_count - 1];
}

// ---- values

static const struct pbitc_tensor *find_tensor(const struct pbitc_activation_match *match,
                                              const struct pbitc_value *value, const struct pbitc_tensor *x,
                                              const struct pbitc_tensor *results)
{
    if (!value || value == match->x)
        return value ? x : NULL;
    for (size_t n = 0; n < match->node_count; n++)
        if (match->nodes[n]->outputs[0] == value)
            return &results[n];
    return value->constant;
}

/// Runs the nodes on x; results[n] is the output of nodes[n]. False: one of them does not run.
static bool run(const struct pbitc_activation_match *match, const struct pbitc_tensor *x,
                struct pbitc_tensor *results, const struct pbitc_allocator *allocator)
{
    for (size_t n = 0; n < match->node_count; n++) {
        const struct pbitc_node *node = match->nodes[n];
        const struct pbitc_tensor *inputs[PBITC_MATCH_NODES];
        if (node->input_count > PBITC_MATCH_NODES)
            return false;
        for (size_t i = 0; i < node->input_count; i++)
            inputs[i] = find_tensor(match, node->inputs[i], x, results);
        struct pbitc_evaluation evaluation = {.node = node,
                                              .input_count = node->input_count,
                                              .output_count = 1,
                                              .inputs = inputs,
                                              .outputs = &results[n],
                                              .threads = 1};
        if (pbitc_evaluation_complete(&evaluation, allocator))
            return false;
    }
    return true;
}

/// f at the points -LIMIT, ..., LIMIT.
static bool evaluate(const struct pbitc_graph *graph, const struct pbitc_activation_match *match, float *f)
{
    const struct pbitc_allocator *allocator = pbitc_arena_allocator(graph->arena);
    struct pbitc_tensor results[PBITC_MATCH_NODES] = {{0}};
    float points[POINTS];
    for (int i = 0; i < POINTS; i++)
        points[i] = (float)(i - ZERO) / PER_UNIT;
    const struct pbitc_tensor x = {PBITC_FLOAT32, {1, {POINTS}}, points};
    bool good = run(match, &x, results, allocator);
    const struct pbitc_tensor *last = &results[match->node_count - 1];
    good = good && last->type == PBITC_FLOAT32 && pbitc_shape_elements(&last->shape) == POINTS;
    if (good)
        memcpy(f, last->data, POINTS * sizeof(*f));
    for (size_t n = 0; n < match->node_count; n++)
        pbitc_release(allocator, results[n].data);
    return good;
}

// ---- functions

static bool is_function(const char *name, float alpha, float beta, const float *f)
{
    struct pbitc_function function;
    if (!pbitc_function_by_name(name, alpha, beta, &function))
        return false;
    for (int i = 0; i < POINTS; i++) {
        float expected = pbitc_function_value(&function, (float)(i - ZERO) / PER_UNIT);
        if (!(fabsf(f[i] - expected) <= TOLERANCE * (1 + fabsf(expected))))
            return false;
    }
    return true;
}

/// Bounds that lie inside the points.
static bool is_clip(const float *f, float *low, float *high)
{
    *low = f[0] > -LIMIT ? f[0] : -INFINITY;
    *high = f[POINTS - 1] < LIMIT ? f[POINTS - 1] : INFINITY;
    return *low < *high && (isfinite(*low) || isfinite(*high)) && is_function("linear", *low, *high, f);
}

/// A factor of 1/2 is a Swish of slope 0, one of 1 a LeakyRelu of slope 1: no neuron.
static bool is_bent(const struct pbitc_activation_match *match)
{
    if (match->op == PBITC_OP_LeakyRelu)
        return match->alpha > 0 && match->alpha < 1;
    return match->op != PBITC_OP_Swish || match->alpha > 0.01f;
}

/// Parameters that a function of the kind must have if it is f; the comparison tells whether it is.
static bool recognize(const float *f, struct pbitc_activation_match *match)
{
    const float unit = f[ZERO + PER_UNIT], below = f[ZERO - PER_UNIT];
    const struct {
        const char *name;
        enum pbitc_operator_id op;
        float alpha, beta;
    } functions[] = {
        {"sigmoid", PBITC_OP_Sigmoid, 0, 0},
        {"tanh", PBITC_OP_Tanh, 0, 0},
        {"softplus", PBITC_OP_Softplus, 0, 0},
        {"softsign", PBITC_OP_Softsign, 0, 0},
        {"hard-swish", PBITC_OP_HardSwish, 0, 0},
        {"mish", PBITC_OP_Mish, 0, 0},
        {"gelu", PBITC_OP_Gelu, 0, 0},
        {"gelu-tanh", PBITC_OP_Gelu, 0, 0},
        {"silu", PBITC_OP_Swish, logf(unit / (1 - unit)), 0},
        {"leaky-relu", PBITC_OP_LeakyRelu, -below, 0},
        {"elu", PBITC_OP_Elu, -f[0], 1},
        {"hard-sigmoid", PBITC_OP_HardSigmoid, (f[ZERO + 1] - f[ZERO]) * PER_UNIT, f[ZERO]},
    };
    match->op = f[0] == 0 && is_clip(f, &match->alpha, &match->beta) && match->beta == INFINITY
                    ? PBITC_OP_Relu
                    : PBITC_OP_Clip;
    if (is_clip(f, &match->alpha, &match->beta))
        return true;
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        match->op = functions[i].op;
        match->alpha = functions[i].alpha;
        match->beta = functions[i].beta;
        match->by_tanh = strcmp(functions[i].name, "gelu-tanh") == 0;
        if (is_function(functions[i].name, match->alpha, match->beta, f))
            return is_bent(match);
    }
    return false;
}

// ---- where a function begins

/// Values that the root depends on through elementwise nodes alone; returns how many.
static size_t find_cuts(const struct pbitc_node *root, struct pbitc_value **cuts)
{
    size_t count = 0;
    const struct pbitc_node *node = root;
    for (size_t next = 0;; next++) {
        for (size_t i = 0; node && is_elementwise(node) && i < node->input_count; i++) {
            struct pbitc_value *input = node->inputs[i];
            bool known = !input || input->constant;
            for (size_t k = 0; k < count; k++)
                known |= cuts[k] == input;
            if (!known && count < MAX_CUTS)
                cuts[count++] = input;
        }
        if (next == count)
            return count;
        node = cuts[next]->producer;
    }
}

static bool match_from(const struct pbitc_graph *graph, const struct pbitc_node *root, struct pbitc_value *x,
                       struct pbitc_activation_match *match)
{
    float f[POINTS];
    *match = (struct pbitc_activation_match){.root = root, .x = x};
    if (x->type != PBITC_FLOAT32 || !collect(match, root) || !is_closed(graph, match))
        return false;
    if (match->node_count == 1 && root->op->flags & PBITC_OPERATOR_ACTIVATION)
        return false;
    return evaluate(graph, match, f) && recognize(f, match);
}

bool pbitc_match_activation(const struct pbitc_graph *graph, const struct pbitc_node *root,
                            struct pbitc_activation_match *match)
{
    struct pbitc_value *cuts[MAX_CUTS];
    struct pbitc_activation_match found;
    *match = (struct pbitc_activation_match){0};
    if (!is_elementwise(root) || root->output_count != 1 || root->outputs[0]->type != PBITC_FLOAT32)
        return false;
    size_t count = find_cuts(root, cuts);
    for (size_t i = 0; i < count; i++)
        if (match_from(graph, root, cuts[i], &found) && found.node_count > match->node_count)
            *match = found;
    return match->node_count > 0;
}

static bool reads(const struct pbitc_node *node, const struct pbitc_value *value)
{
    for (size_t i = 0; i < node->input_count; i++)
        if (node->inputs[i] == value)
            return true;
    return false;
}

/// The first node after this one that reads its output; NULL: none.
static const struct pbitc_node *first_reader(const struct pbitc_node *node)
{
    for (const struct pbitc_node *reader = node->next; reader; reader = reader->next)
        if (reads(reader, node->outputs[0]))
            return reader;
    return NULL;
}

bool pbitc_match_around(const struct pbitc_graph *graph, const struct pbitc_node *node,
                        struct pbitc_activation_match *match)
{
    const struct pbitc_node *root = node;
    bool found = false;
    for (int step = 0; root && step < PBITC_MATCH_NODES && is_elementwise(root); step++) {
        struct pbitc_activation_match last;
        if (pbitc_match_activation(graph, root, &last) && contains(&last, node)) {
            *match = last;
            found = true;
        }
        root = first_reader(root);
    }
    return found;
}
