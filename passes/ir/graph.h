// The intermediate representation: a graph of ONNX operators in their newest form (opset 22 semantics; the
// importer upgrades older ones) plus the p-bit operators that the passes put in their place. A graph owns an
// arena; values, nodes, names and constant data live in it and die with it.
#ifndef PBITC_IR_GRAPH_H
#define PBITC_IR_GRAPH_H

#include "passes/arena.h"
#include "passes/diagnostics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PBITC_MAX_RANK = 8 };

/// Element types, numbered as in ONNX TensorProto.DataType.
enum pbitc_type {
    PBITC_TYPE_NONE = 0,
    PBITC_FLOAT32 = 1,
    PBITC_UINT8 = 2,
    PBITC_INT8 = 3,
    PBITC_UINT16 = 4,
    PBITC_INT16 = 5,
    PBITC_INT32 = 6,
    PBITC_INT64 = 7,
    PBITC_BOOL = 9, ///< one byte, 0 or 1
    PBITC_FLOAT16 = 10,
    PBITC_FLOAT64 = 11,
    PBITC_UINT32 = 12,
    PBITC_UINT64 = 13,
    PBITC_BFLOAT16 = 16,
};

size_t pbitc_type_bytes(enum pbitc_type type);     ///< bytes of one element, 0 for PBITC_TYPE_NONE
const char *pbitc_type_name(enum pbitc_type type); ///< "float32", "int64", ...

/// rank -1: not known yet. A dimension of -1: not known yet.
struct pbitc_shape {
    int rank;
    int64_t dims[PBITC_MAX_RANK];
};

/// Number of elements (1 for a scalar); -1 when unknown or when the product overflows.
int64_t pbitc_shape_elements(const struct pbitc_shape *shape);
bool pbitc_shape_equal(const struct pbitc_shape *a, const struct pbitc_shape *b);

/// A dense row-major array. `data` belongs to whoever made it (for constants: the graph's arena).
struct pbitc_tensor {
    enum pbitc_type type;
    struct pbitc_shape shape;
    void *data;
};

struct pbitc_node;

/// An edge: graph input, constant, or output of one node.
struct pbitc_value {
    const char *name; ///< unique in the graph
    enum pbitc_type type;
    struct pbitc_shape shape; ///< set by the importer for inputs, by pbitc_infer_shapes for the rest
    /// Inputs only: the names of symbolic dimensions ("N", "height"), NULL for those that are fixed. The
    /// first is the batch.
    const char *dim_names[PBITC_MAX_RANK];
    struct pbitc_tensor *constant; ///< not NULL: the value is this constant and has no producer
    struct pbitc_node *producer;   ///< NULL for graph inputs and constants
    size_t index;                  ///< position in graph->values; never changes
    size_t mark;                   ///< scratch, without meaning between calls into ir/
};

enum pbitc_attribute_kind {
    PBITC_ATTRIBUTE_INT,
    PBITC_ATTRIBUTE_FLOAT,
    PBITC_ATTRIBUTE_STRING,
    PBITC_ATTRIBUTE_INTS,
    PBITC_ATTRIBUTE_FLOATS,
    PBITC_ATTRIBUTE_STRINGS,
    PBITC_ATTRIBUTE_TENSOR,
    PBITC_ATTRIBUTE_GRAPH,
};

struct pbitc_attribute {
    const char *name;
    enum pbitc_attribute_kind kind;
    size_t count; ///< elements of ints, floats, strings
    union {
        int64_t integer;
        float real;
        const char *string;
        const int64_t *integers;
        const float *reals;
        const char *const *strings;
        const struct pbitc_tensor *tensor;
        struct pbitc_graph *graph; ///< an inner graph of the same arena
    };
    struct pbitc_attribute *next;
};

struct pbitc_operator; // passes/operators/operators.h

/// An operation. Nodes stand in the graph's list in topological order (the verifier checks it).
struct pbitc_node {
    const char *name; ///< unique in the graph; the importer invents "Conv_12" where the model has none
    const struct pbitc_operator *op;
    int opset; ///< version of the operator's domain in the model it came from; 0 for nodes that a pass made
    size_t input_count;
    struct pbitc_value **inputs; ///< NULL entries are omitted optional inputs
    size_t output_count;
    struct pbitc_value **outputs; ///< NULL entries are unused optional outputs
    struct pbitc_attribute *attributes;
    struct pbitc_quantized
        *quantized; ///< integer form of the weights, set by quantize-weights (passes/quantized.h)
    struct pbitc_node *previous, *next;
    struct {
        size_t next_input;
        struct pbitc_node *reader;
        bool on_cycle;
    } sort; ///< scratch of pbitc_graph_sort; on_cycle may be read after it
};

/// An inner graph is an attribute of a node of another (If, Loop, Scan). It sees no value of the graph around
/// it: what it captures from there are its last inputs, and the node's, so that only its node looks inside.
struct pbitc_graph {
    struct pbitc_arena *arena;
    bool inner; ///< lives in the arena of the graph around it; its inputs may be of any type and shape
    size_t capture_count; ///< inner graphs: how many of the last inputs are captures
    const char *name;
    const char *producer; ///< producer name and version of the ONNX file
    int64_t ir_version;
    int opset; ///< of the default domain in the ONNX file
    size_t input_count;
    struct pbitc_value **inputs; ///< constants that an old model lists as inputs are not among them
    size_t output_count;
    struct pbitc_value **outputs;
    struct pbitc_node *first, *last;
    /// Types of the inputs and outputs in the model; where it has 16-bit floats, the graph has float32. NULL:
    /// a graph that no model declares.
    enum pbitc_type *input_types, *output_types;
    size_t value_count, value_capacity;
    struct pbitc_value *
        *values; ///< every value ever made, in order of making; unused ones are pruned by name
    struct pbitc_name_table *value_names, *node_names; ///< private to ir/ (name_table.h)
};

#define PBITC_FOR_EACH_NODE(node, graph)                                                                     \
    for (struct pbitc_node *node = (graph)->first; node; node = node->next)

/// Creation. All return NULL when out of memory; names are copied into the arena.
struct pbitc_graph *pbitc_graph_create(const struct pbitc_allocator *allocator, const char *name);
void pbitc_graph_destroy(struct pbitc_graph *graph); ///< accepts NULL
/// An inner graph; it goes with the graph around it.
struct pbitc_graph *pbitc_graph_create_inner(const struct pbitc_graph *outer, const char *name);
/// A value without producer. A name that is taken gets a suffix "_1", "_2", ...
struct pbitc_value *pbitc_graph_add_value(struct pbitc_graph *graph, const char *name, enum pbitc_type type,
                                          const struct pbitc_shape *shape);
/// A constant; its zeroed data is allocated in the arena and is the caller's to fill (value->constant->data).
struct pbitc_value *pbitc_graph_add_constant(struct pbitc_graph *graph, const char *name,
                                             enum pbitc_type type, const struct pbitc_shape *shape);
/// A node before `position` (NULL: at the end). The arrays are copied; outputs get this node as producer.
/// A name that is taken gets a suffix "_1", "_2", ...
struct pbitc_node *pbitc_graph_insert_node(struct pbitc_graph *graph, struct pbitc_node *position,
                                           const char *name, const struct pbitc_operator *op,
                                           struct pbitc_value *const *inputs, size_t input_count,
                                           struct pbitc_value *const *outputs, size_t output_count);
struct pbitc_value *pbitc_graph_find_value(const struct pbitc_graph *graph, const char *name); ///< or NULL

/// Change.
void pbitc_graph_remove_node(struct pbitc_graph *graph,
                             struct pbitc_node *node); ///< its outputs lose their producer
/// Every use of `old` (node inputs and graph outputs) becomes `replacement`. When `old` is a graph output the
/// two swap names, so that outputs keep the name the model gave them. When `replacement` is itself an input
/// or output of the graph, a graph output that is `old` stays `old`: one value cannot carry two of those
/// names.
void pbitc_graph_replace_uses(struct pbitc_graph *graph, struct pbitc_value *old,
                              struct pbitc_value *replacement);
/// Removes nodes none of whose outputs is used; returns how many went.
size_t pbitc_graph_remove_dead_nodes(struct pbitc_graph *graph);
/// Sorts the list topologically, keeping the given order where it can. False: the graph has a cycle; the
/// nodes of one cycle then have sort.on_cycle set.
bool pbitc_graph_sort(struct pbitc_graph *graph);

/// Reading.
size_t pbitc_graph_node_count(const struct pbitc_graph *graph);
size_t pbitc_graph_use_count(const struct pbitc_graph *graph,
                             const struct pbitc_value *value); ///< inputs + graph outputs
/// The type that an input or output has for its users: 16-bit floats where the model says so, else the
/// value's (NONE: not known before the graph runs).
enum pbitc_type pbitc_graph_input_type(const struct pbitc_graph *graph, size_t index);
enum pbitc_type pbitc_graph_output_type(const struct pbitc_graph *graph, size_t index);
/// The batch, where the model fixes the first dimension of this graph input; -1: it is open, or there is
/// none.
int64_t pbitc_fixed_batch(const struct pbitc_value *input);
/// The only node that reads `value`, when it is read once and is no graph output; else NULL.
struct pbitc_node *pbitc_graph_only_consumer(const struct pbitc_graph *graph,
                                             const struct pbitc_value *value);

/// Attributes. Getters return `fallback` (or NULL and count 0) when the node does not have the attribute.
const struct pbitc_attribute *pbitc_node_attribute(const struct pbitc_node *node, const char *name);
int64_t pbitc_node_int(const struct pbitc_node *node, const char *name, int64_t fallback);
float pbitc_node_float(const struct pbitc_node *node, const char *name, float fallback);
const char *pbitc_node_string(const struct pbitc_node *node, const char *name, const char *fallback);
const int64_t *pbitc_node_ints(const struct pbitc_node *node, const char *name, size_t *count);
const float *pbitc_node_floats(const struct pbitc_node *node, const char *name, size_t *count);
struct pbitc_graph *pbitc_node_graph(const struct pbitc_node *node, const char *name); ///< or NULL
/// Setters replace an attribute of the same name; false when out of memory. Data is copied into the arena.
bool pbitc_node_set_int(struct pbitc_graph *graph, struct pbitc_node *node, const char *name, int64_t value);
bool pbitc_node_set_float(struct pbitc_graph *graph, struct pbitc_node *node, const char *name, float value);
bool pbitc_node_set_string(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const char *value);
bool pbitc_node_set_ints(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                         const int64_t *values, size_t count);
bool pbitc_node_set_floats(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const float *values, size_t count);
bool pbitc_node_set_strings(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                            const char *const *values, size_t count);
/// The tensor itself is not copied: it must live in the graph's arena.
bool pbitc_node_set_tensor(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                           const struct pbitc_tensor *tensor);
/// The inner graph becomes the node's; it is not copied.
bool pbitc_node_set_graph(struct pbitc_graph *graph, struct pbitc_node *node, const char *name,
                          struct pbitc_graph *inner);
void pbitc_node_remove_attribute(struct pbitc_node *node, const char *name); ///< nothing when it has none
/// Input `index` becomes `value`; the array grows with NULL entries when it is shorter. False: out of memory.
bool pbitc_node_set_input(struct pbitc_graph *graph, struct pbitc_node *node, size_t index,
                          struct pbitc_value *value);

/// Checks every invariant: topological order, single producers, no dangling or foreign values, arity and
/// attribute names against the operator table, unique names, constants with data of the right size, graph
/// outputs produced. Reports every violation, naming the node; `after` (may be NULL) names the pass to blame.
enum pbit_status pbitc_graph_verify(const struct pbitc_graph *graph, const char *after,
                                    struct pbitc_diagnostics *diagnostics);

/// Deterministic text, the same for the same graph on every machine: header, inputs, constants (type, shape
/// and a hash of the data), nodes with attributes in alphabetical order, inner graphs below their node,
/// outputs.
void pbitc_graph_print(const struct pbitc_graph *graph, FILE *stream);

/// Copies the graph, constants included; only `quantized` of the nodes is shared with the original. NULL when
/// out of memory.
struct pbitc_graph *pbitc_graph_clone(const struct pbitc_graph *graph);

#endif
