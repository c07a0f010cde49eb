// Brings nodes from the form that their opset gives them to the newest one, so that no other file needs to
// know of opsets. Sources: the "Changelog" of ONNX's operators.
#include "converter/onnx/onnx_importer.h"
#include "passes/ir/signature.h"
#include "passes/operators/operator_support.h"

#include <inttypes.h>
#include <string.h>

static struct pbitc_onnx_place place_of(const struct pbitc_node *node)
{
    return (struct pbitc_onnx_place){.name = node->name, .op = node->op->name, .opset = node->opset};
}

/// Lists of integers that became inputs.
static const struct {
    const char *op;
    int before; ///< the opset from which on it is an input
    const char *attribute;
    size_t input;
} moved[] = {
    {"Reshape", 5, "shape", 1},         {"TopK", 10, "k", 1},
    {"Slice", 10, "starts", 1},         {"Slice", 10, "ends", 2},
    {"Slice", 10, "axes", 3},           {"Pad", 11, "pads", 1},
    {"Squeeze", 13, "axes", 1},         {"Unsqueeze", 13, "axes", 1},
    {"Split", 13, "split", 1},          {"ReduceSum", 13, "axes", 1},
    {"ReduceMean", 18, "axes", 1},      {"ReduceMax", 18, "axes", 1},
    {"ReduceMin", 18, "axes", 1},       {"ReduceProd", 18, "axes", 1},
    {"ReduceL1", 18, "axes", 1},        {"ReduceL2", 18, "axes", 1},
    {"ReduceLogSum", 18, "axes", 1},    {"ReduceLogSumExp", 18, "axes", 1},
    {"ReduceSumSquare", 18, "axes", 1},
};

/// Attributes that say nothing to inference, or of which one value does not; dropped unless the table lists
/// them.
static const struct {
    const char *op, *attribute;
    bool any_value;
    int64_t value; ///< the one that may be dropped
} obsolete[] = {
    {"BatchNormalization", "is_test", true, 0},
    {"BatchNormalization", "spatial", false, 1},
    {"Gemm", "broadcast", true, 0},
    {"Dropout", "is_test", true, 0},
    {"Dropout", "ratio", true, 0},
};

enum {
    MOVED_COUNT = sizeof(moved) / sizeof(moved[0]),
    OBSOLETE_COUNT = sizeof(obsolete) / sizeof(obsolete[0])
};

/// Makes a constant of `elements` input `index` of the node; it is named after the node and `what`.
static bool add_input(struct pbitc_onnx_importer *importer, struct pbitc_node *node, size_t index,
                      const char *what, enum pbitc_type type, const struct pbitc_shape *shape,
                      const void *elements)
{
    struct pbitc_graph *graph = importer->graph;
    const char *name = pbitc_arena_format(graph->arena, "%s_%s", node->name, what);
    struct pbitc_value *value = name ? pbitc_graph_add_constant(graph, name, type, shape) : NULL;
    if (!value)
        return false;
    size_t bytes = (size_t)pbitc_shape_elements(shape) * pbitc_type_bytes(type);
    if (bytes)
        memcpy(value->constant->data, elements, bytes);
    return pbitc_node_set_input(graph, node, index, value);
}

static bool move_lists(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    for (size_t i = 0; i < MOVED_COUNT; i++) {
        size_t count;
        if (strcmp(node->op->name, moved[i].op) != 0 || node->opset >= moved[i].before)
            continue;
        const int64_t *list = pbitc_node_ints(node, moved[i].attribute, &count);
        if (!list)
            continue;
        struct pbitc_shape shape = {.rank = 1, .dims = {(int64_t)count}};
        // An empty list has meant the same as none.
        if (count &&
            !add_input(importer, node, moved[i].input, moved[i].attribute, PBITC_INT64, &shape, list))
            return false;
        pbitc_node_remove_attribute(node, moved[i].attribute);
    }
    return true;
}

/// The element type of a value as far as it can be told before shapes are inferred: the one of the nearest
/// known value upstream. float32 where none is near.
static enum pbitc_type guess_type(const struct pbitc_value *value)
{
    enum { NEAR = 1000 };
    for (int steps = 0; value && steps < NEAR; steps++) {
        const struct pbitc_node *producer = value->producer;
        if (value->type != PBITC_TYPE_NONE)
            return value->type;
        if (!producer || !producer->op)
            break;
        if (pbitc_node_is(producer, PBITC_OP_Cast))
            return (enum pbitc_type)pbitc_node_int(producer, "to", PBITC_FLOAT32);
        value = producer->input_count ? producer->inputs[0] : NULL;
    }
    return PBITC_FLOAT32;
}

/// Operators whose output has the rank of input 0.
static bool keeps_rank(const struct pbitc_node *node)
{
    static const enum pbitc_operator_id ids[] = {
        PBITC_OP_Conv,        PBITC_OP_ConvTranspose, PBITC_OP_MaxPool,
        PBITC_OP_AveragePool, PBITC_OP_LRN,           PBITC_OP_BatchNormalization,
        PBITC_OP_Add,         PBITC_OP_Mul,           PBITC_OP_InstanceNormalization,
        PBITC_OP_Sub,         PBITC_OP_Div,           PBITC_OP_GlobalAveragePool,
        PBITC_OP_Concat,      PBITC_OP_Transpose,     PBITC_OP_GlobalMaxPool,
        PBITC_OP_Dropout,     PBITC_OP_Identity,      PBITC_OP_Softmax,
        PBITC_OP_MatMul,      PBITC_OP_Pad,           PBITC_OP_Slice,
    };
    bool found = node->op && node->op->flags & PBITC_OPERATOR_ACTIVATION;
    for (size_t i = 0; !found && i < sizeof(ids) / sizeof(ids[0]); i++)
        found = pbitc_node_is(node, ids[i]);
    return found;
}

/// The rank of a value as far as it can be told before shapes are inferred; -1 where it cannot.
static int guess_rank(const struct pbitc_value *value)
{
    enum { NEAR = 1000 };
    for (int steps = 0; value && steps < NEAR; steps++) {
        const struct pbitc_node *producer = value->producer;
        if (value->shape.rank >= 0)
            return value->shape.rank;
        if (producer && (pbitc_node_is(producer, PBITC_OP_Gemm) || pbitc_node_is(producer, PBITC_OP_Flatten)))
            return 2;
        if (!producer || !keeps_rank(producer))
            break;
        value = producer->input_count ? producer->inputs[0] : NULL;
    }
    return -1;
}

/// Until opset 6 the dimensions of input 1 stood for those of input 0 from `axis` on; now they are aligned at
/// the end: input 1 gets as many dimensions of 1 as follow them.
static bool align_operand(struct pbitc_onnx_importer *importer, struct pbitc_node *node, int64_t axis)
{
    struct pbitc_graph *graph = importer->graph;
    struct pbitc_onnx_place place = place_of(node);
    int rank = node->input_count > 1 ? guess_rank(node->inputs[0]) : -1;
    int own = rank >= 0 ? guess_rank(node->inputs[1]) : -1;
    int64_t axes[PBITC_MAX_RANK], count = rank - axis - own;
    if (own < 0 || axis < 0 || axis > rank || count < 0) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place,
                           "export the model with opset 7 or newer, or run onnx.version_converter",
                           "the shapes that it broadcasts at axis %" PRId64 " are not known", axis);
        return true;
    }
    if (count == 0 || own == 0)
        return true;
    for (int i = 0; i < count; i++)
        axes[i] = own + i;
    static const struct pbitc_shape unknown = {.rank = -1};
    const char *name = pbitc_arena_format(graph->arena, "%s_aligned", node->name);
    struct pbitc_value *aligned = name ? pbitc_graph_add_value(graph, name, PBITC_TYPE_NONE, &unknown) : NULL;
    struct pbitc_node *unsqueeze =
        aligned ? pbitc_graph_insert_node(graph, node, name, pbitc_operator_get(PBITC_OP_Unsqueeze),
                                          &node->inputs[1], 1, &aligned, 1)
                : NULL;
    if (!unsqueeze)
        return false;
    unsqueeze->opset = PBITC_ONNX_NEWEST_OPSET;
    aligned->mark = 1;
    return add_input(importer, unsqueeze, 1, "axes", PBITC_INT64, &(struct pbitc_shape){1, {count}}, axes) &&
           pbitc_node_set_input(graph, node, 1, aligned);
}

/// Broadcasting as until opset 6, asked for by attributes; PRelu's slopes have always stood for channels.
static bool upgrade_broadcast(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    bool prelu = pbitc_node_is(node, PBITC_OP_PRelu);
    const struct pbitc_attribute *axis = pbitc_node_attribute(node, "axis");
    if (prelu && node->input_count > 1 && guess_rank(node->inputs[1]) == 1 &&
        pbitc_shape_elements(&node->inputs[1]->shape) != 1)
        return align_operand(importer, node, 1);
    if (prelu || !pbitc_node_attribute(node, "broadcast"))
        return true;
    if (axis && axis->kind == PBITC_ATTRIBUTE_INT && !align_operand(importer, node, axis->integer))
        return false;
    pbitc_node_remove_attribute(node, "broadcast");
    pbitc_node_remove_attribute(node, "axis");
    return true;
}

/// A float attribute becomes a scalar input of the type of input 0. Nothing happens when the node does not
/// have it.
static bool move_float(struct pbitc_onnx_importer *importer, struct pbitc_node *node, const char *attribute,
                       size_t index)
{
    if (!pbitc_node_attribute(node, attribute))
        return true;
    float value = pbitc_node_float(node, attribute, 0);
    enum pbitc_type type = guess_type(node->input_count ? node->inputs[0] : NULL);
    if (!pbitc_type_bytes(type))
        type = PBITC_FLOAT32;
    uint64_t element = 0;
    pbitc_convert(type, &element, PBITC_FLOAT32, &value, 1);
    pbitc_node_remove_attribute(node, attribute);
    return add_input(importer, node, index, attribute, type, &(struct pbitc_shape){.rank = 0}, &element);
}

/// Before opset 13 Softmax saw its input as a matrix, coerced at an axis whose default was 1.
static bool mark_legacy_softmax(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    int64_t axis = pbitc_node_int(node, "axis", 1);
    // Along the last axis the two agree.
    return pbitc_node_set_int(importer->graph, node, "axis", axis) &&
           (axis == -1 || pbitc_node_set_int(importer->graph, node, "legacy", 1));
}

/// From opset 18 on a Split into equal parts says how many.
static bool count_parts(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    if ((node->input_count > 1 && node->inputs[1]) || pbitc_node_attribute(node, "num_outputs"))
        return true;
    return pbitc_node_set_int(importer->graph, node, "num_outputs", (int64_t)node->output_count);
}

const char *pbitc_onnx_newest_name(const char *op)
{
    return strcmp(op, "Upsample") == 0 ? "Resize" : strcmp(op, "Scatter") == 0 ? "ScatterElements" : op;
}

/// Resize of opset 10, and Upsample before it, whose scales were an attribute until opset 8 (and before 7
/// two): input 1 becomes input 2, and positions lie as they did.
static bool upgrade_resize(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    struct pbitc_graph *graph = importer->graph;
    size_t count;
    const float *scales = pbitc_node_floats(node, "scales", &count);
    float old[4] = {1, 1, pbitc_node_float(node, "height_scale", 1),
                    pbitc_node_float(node, "width_scale", 1)};
    bool oldest = pbitc_node_attribute(node, "height_scale") && pbitc_node_attribute(node, "width_scale");
    if (node->opset >= 11)
        return true;
    if (scales || oldest) {
        struct pbitc_shape shape = {1, {oldest ? 4 : (int64_t)count}};
        if (!add_input(importer, node, 2, "scales", PBITC_FLOAT32, &shape, oldest ? old : scales))
            return false;
        pbitc_node_remove_attribute(node, "scales");
        pbitc_node_remove_attribute(node, "height_scale");
        pbitc_node_remove_attribute(node, "width_scale");
    } else if (node->input_count == 2) {
        if (!pbitc_node_set_input(graph, node, 2, node->inputs[1]) ||
            !pbitc_node_set_input(graph, node, 1, NULL))
            return false;
    }
    if (strcmp(pbitc_node_string(node, "mode", ""), "bilinear") == 0 &&
        !pbitc_node_set_string(graph, node, "mode", "linear"))
        return false;
    return pbitc_node_set_string(graph, node, "coordinate_transformation_mode", "asymmetric") &&
           pbitc_node_set_string(graph, node, "nearest_mode", "simple");
}

/// DFT of opset 17 has its axis, 1 by default, as an attribute.
static bool upgrade_dft(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    int64_t axis = pbitc_node_int(node, "axis", 1);
    pbitc_node_remove_attribute(node, "axis");
    return add_input(importer, node, 2, "axis", PBITC_INT64, &(struct pbitc_shape){.rank = 0}, &axis);
}

static bool upgrade_form(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    if (!move_lists(importer, node) || (node->opset < 7 && !upgrade_broadcast(importer, node)))
        return false;
    if (pbitc_node_is(node, PBITC_OP_Concat) && node->opset < 4 && !pbitc_node_attribute(node, "axis"))
        return pbitc_node_set_int(importer->graph, node, "axis", 1);
    if (pbitc_node_is(node, PBITC_OP_Clip) && node->opset < 11)
        return move_float(importer, node, "min", 1) && move_float(importer, node, "max", 2);
    if (pbitc_node_is(node, PBITC_OP_Pad) && node->opset < 11)
        return move_float(importer, node, "value", 2);
    if ((pbitc_node_is(node, PBITC_OP_Softmax) || pbitc_node_is(node, PBITC_OP_LogSoftmax) ||
         pbitc_node_is(node, PBITC_OP_Hardmax)) &&
        node->opset < 13)
        return mark_legacy_softmax(importer, node);
    if (pbitc_node_is(node, PBITC_OP_DFT) && node->opset < 20)
        return upgrade_dft(importer, node);
    if (pbitc_node_is(node, PBITC_OP_Resize))
        return upgrade_resize(importer, node);
    if (pbitc_node_is(node, PBITC_OP_RoiAlign) && node->opset < 16)
        return pbitc_node_set_string(importer->graph, node, "coordinate_transformation_mode",
                                     "output_half_pixel");
    if (pbitc_node_is(node, PBITC_OP_Split) && node->opset < 18)
        return count_parts(importer, node);
    return true;
}

static bool may_drop(const struct pbitc_node *node, const struct pbitc_attribute *attribute)
{
    if (strcmp(attribute->name, "consumed_inputs") == 0) // of opset 5 and before: a hint about memory
        return true;
    for (size_t i = 0; i < OBSOLETE_COUNT; i++)
        if (strcmp(node->op->name, obsolete[i].op) == 0 &&
            strcmp(attribute->name, obsolete[i].attribute) == 0)
            return obsolete[i].any_value ||
                   (attribute->kind == PBITC_ATTRIBUTE_INT && attribute->integer == obsolete[i].value);
    return false;
}

/// "storage_order = 1" for integers, else the name alone.
static void describe_attribute(const struct pbitc_attribute *attribute, char *text, size_t size)
{
    if (attribute->kind == PBITC_ATTRIBUTE_INT)
        snprintf(text, size, "'%.200s' = %" PRId64, attribute->name, attribute->integer);
    else
        snprintf(text, size, "'%.200s'", attribute->name);
}

static void check_attributes(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    struct pbitc_onnx_place place = place_of(node);
    for (const struct pbitc_attribute *attribute = node->attributes, *next; attribute; attribute = next) {
        next = attribute->next;
        char expected = pbitc_signature_attribute(node->op, attribute->name);
        char text[256];
        if (expected == pbitc_attribute_letter(attribute->kind))
            continue;
        describe_attribute(attribute, text, sizeof(text));
        if (expected)
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &place, NULL, "attribute %s is of the wrong kind",
                               text);
        else if (may_drop(node, attribute))
            pbitc_node_remove_attribute(node, attribute->name);
        else
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, "export the model without it",
                               "unknown attribute %s, or a value of it that is not supported", text);
    }
}

/// Optional outputs that nobody reads are dropped: the mask of Dropout, the statistics of an old
/// BatchNormalization. A value's mark is 1 when it is read.
static void drop_unread_outputs(struct pbitc_node *node)
{
    if (node->op->max_outputs < 0)
        return;
    while (node->output_count > (size_t)node->op->min_outputs) {
        struct pbitc_value *last = node->outputs[node->output_count - 1];
        if (last && last->mark)
            return;
        if (last)
            last->producer = NULL;
        node->output_count--;
    }
}

static void check_arity(struct pbitc_onnx_importer *importer, const struct pbitc_node *node)
{
    const struct pbitc_operator *op = node->op;
    struct pbitc_onnx_place place = place_of(node);
    char problem[256];
    if (!pbitc_signature_arity_problem(node, problem, sizeof(problem)))
        return;
    // More than we know of may be a form that we do not support; fewer than ONNX asks for is an invalid
    // model.
    bool more = (op->max_inputs >= 0 && node->input_count > (size_t)op->max_inputs) ||
                (op->max_outputs >= 0 && node->output_count > (size_t)op->max_outputs);
    PBITC_ONNX_PROBLEM(importer, more ? PBIT_ERROR_UNSUPPORTED : PBIT_ERROR_FORMAT, &place, NULL, "%s",
                       problem);
}

/// Labels that are strings are represented by numbers (passes/operators/scores.h), which no node may take for
/// what they are not.
static void check_labels(struct pbitc_onnx_importer *importer, const struct pbitc_node *node)
{
    struct pbitc_onnx_place place = place_of(node);
    bool strings = (pbitc_node_is(node, PBITC_OP_LinearClassifier) ||
                    pbitc_node_is(node, PBITC_OP_TreeEnsembleClassifier)) &&
                   pbitc_node_attribute(node, "classlabels_strings") && node->output_count;
    if (!strings || !node->outputs[0])
        return;
    PBITC_FOR_EACH_NODE(reader, importer->graph)
    for (size_t i = 0; i < reader->input_count; i++)
        if (reader->inputs[i] == node->outputs[0])
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place,
                               "train with integer class labels, or let the labels be an output only",
                               "its labels are strings, and node '%s' reads them", reader->name);
}

bool pbitc_onnx_upgrade_node(struct pbitc_onnx_importer *importer, struct pbitc_node *node)
{
    if (!*node->op->domain && !upgrade_form(importer, node))
        return false;
    check_attributes(importer, node);
    check_labels(importer, node);
    drop_unread_outputs(node);
    check_arity(importer, node);
    return true;
}
