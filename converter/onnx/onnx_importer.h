// What the files of the importer share; private to converter/onnx.
//
// Functions that return bool return false only when memory or a limit has run out, which ends the import.
// Problems of the model are noted, and the import goes on to find the others.
#ifndef PBITC_ONNX_IMPORTER_H
#define PBITC_ONNX_IMPORTER_H

#include "converter/onnx/onnx_import.h"
#include "onnx.pb-c.h"
#include "passes/operators/operators.h"

enum { PBITC_ONNX_MAX_DEPTH = 64 }; ///< of inner graphs and function bodies

/// A value of the graph around an inner one, which the inner one reads.
struct pbitc_onnx_capture {
    struct pbitc_value *outer;
    struct pbitc_onnx_capture *next;
};

/// What the names in a graph, an inner graph or a function body of the file mean.
struct pbitc_onnx_scope {
    struct pbitc_onnx_scope *parent; ///< an inner graph's: of the graph around it, whose names it may use;
                                     ///< a function body's: of the call
    int depth;
    const Onnx__FunctionProto *function; ///< whose body it is, or NULL
    const Onnx__NodeProto *call;
    struct pbitc_graph *graph;         ///< takes the values and nodes
    const char *prefix;                ///< of the names that they get there
    struct pbitc_name_table *values;   ///< by their name in the file
    struct pbitc_name_table *promised; ///< function bodies: the caller's values, by the name of the output
    struct pbitc_name_table *captured; ///< inner graphs: values, by the name of the one captured
    struct pbitc_onnx_capture *captures, *last_capture; ///< in order; without the constants
    Onnx__OperatorSetIdProto *const *opsets;
    size_t opset_count;
    struct pbitc_onnx_scope *opened, *sibling; ///< the inner graphs of the node at hand
};

struct pbitc_onnx_importer {
    const struct pbitc_allocator *allocator;
    struct pbitc_onnx_memory *memory; ///< for decoding inner graphs
    struct pbitc_diagnostics *diagnostics;
    const char *folder; ///< of external data; NULL: none allowed
    const Onnx__ModelProto *model;
    struct pbitc_onnx_scope *scope;                    ///< where we are
    struct pbitc_graph *graph;                         ///< the scope's
    enum pbit_status status;                           ///< the gravest so far
    size_t node_count, value_count;                    ///< read so far
    bool over_limit;                                   ///< noted; ends the import too
    struct pbitc_name_table *functions;                ///< of the model, by domain and name
    struct pbitc_onnx_decoded *decoded;                ///< inner graphs, to be freed at the end
    struct pbitc_onnx_unknown *unknown, *last_unknown; ///< operators that we do not have, in order
    struct pbitc_name_table *unknown_names;
};

/// The node, initializer or input that problems are reported for; op "" when it is no node.
struct pbitc_onnx_place {
    const char *name, *op;
    int opset;
};

/// onnx_importer.c. Remembers the status that pbitc_report gave back: note(importer, pbitc_report(...)).
void pbitc_onnx_note(struct pbitc_onnx_importer *importer, enum pbit_status status);

/// pbitc_report at a place, noted.
#define PBITC_ONNX_PROBLEM(importer, status, place, remedy, ...)                                             \
    pbitc_onnx_note(importer, pbitc_report((importer)->diagnostics, status, (place)->name, (place)->op,      \
                                           (place)->opset, remedy, __VA_ARGS__))

const char *pbitc_onnx_text(const char *text);           ///< "" for NULL
const char *pbitc_onnx_plain_domain(const char *domain); ///< the one name of a domain that goes by several
/// The opset version of a domain in the scope; 0 when it does not declare the domain.
int pbitc_onnx_find_opset(const struct pbitc_onnx_importer *importer, const char *domain);
bool pbitc_onnx_is_default_domain(const Onnx__NodeProto *node);
/// Notes a version of the default domain that is missing or too old or too new, if one of the nodes is of it.
void pbitc_onnx_check_default_opset(struct pbitc_onnx_importer *importer, const char *where,
                                    Onnx__NodeProto *const *nodes, size_t count);
/// Counts nodes and values; false, and noted once, when the model has too many.
bool pbitc_onnx_count(struct pbitc_onnx_importer *importer, size_t nodes, size_t values);
/// The same for what the model's header tells, before anything is read: false when it is too much.
bool pbitc_onnx_check_limits(struct pbitc_onnx_importer *importer);

/// onnx_unpack.c. Decodes the model with a limit on memory; *model is NULL unless PBIT_OK.
struct pbitc_onnx_memory {
    const struct pbitc_allocator *allocator;
    size_t left; ///< bytes that decoding may still ask for
    bool over_limit, exhausted;
};
enum pbit_status pbitc_onnx_unpack(const void *bytes, size_t size, struct pbitc_onnx_memory *memory,
                                   struct pbitc_diagnostics *diagnostics, Onnx__ModelProto **model);
void pbitc_onnx_free(Onnx__ModelProto *model, struct pbitc_onnx_memory *memory); ///< accepts a NULL model
/// The same for an inner graph, with what is left of the memory; reports nothing.
enum pbit_status pbitc_onnx_unpack_graph(const void *bytes, size_t size, struct pbitc_onnx_memory *memory,
                                         Onnx__GraphProto **graph);
void pbitc_onnx_free_graph(Onnx__GraphProto *graph, struct pbitc_onnx_memory *memory);

/// onnx_file.c. The whole file, from `allocator`; FORMAT when it is larger than 2 GiB.
enum pbit_status pbitc_onnx_read_file(const char *path, const struct pbitc_allocator *allocator,
                                      struct pbitc_diagnostics *diagnostics, void **bytes, size_t *size);
/// Opens `location` below the importer's folder. Returns a descriptor and the file's size; -1 when it may not
/// or cannot be opened (noted).
int pbitc_onnx_open_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                             const char *location, uint64_t *size);
/// Reads `count` bytes at `offset`; false when they cannot be had.
bool pbitc_onnx_read_at(int file, void *bytes, size_t count, uint64_t offset);

/// onnx_scope.c. Names are kept as pointers: they must live as long as the importer.
extern const struct pbitc_shape pbitc_onnx_unknown_shape;
extern struct pbitc_value pbitc_onnx_omitted; ///< what a function's input means that the call omits
/// A new scope inside the current one becomes the current one; NULL when out of memory.
struct pbitc_onnx_scope *pbitc_onnx_enter(struct pbitc_onnx_importer *importer, struct pbitc_graph *graph,
                                          const char *prefix);
void pbitc_onnx_leave(struct pbitc_onnx_importer *importer);
/// False, and noted: one more would be too deep.
bool pbitc_onnx_may_enter(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place);
/// The name with the scope's prefix; NULL when out of memory.
const char *pbitc_onnx_graph_name(struct pbitc_onnx_importer *importer, const char *name);
bool pbitc_onnx_bind(struct pbitc_onnx_importer *importer, const char *name, struct pbitc_value *value);
struct pbitc_value *pbitc_onnx_find_own(const struct pbitc_onnx_importer *importer, const char *name);
/// A value of unknown type that a name may be bound to; NULL when out of memory.
struct pbitc_value *pbitc_onnx_add_value(struct pbitc_onnx_importer *importer, const char *name);
/// What the name means here; a value of a graph around is captured. *value NULL: nothing.
bool pbitc_onnx_find(struct pbitc_onnx_importer *importer, const char *name, struct pbitc_value **value);
/// Notes an empty name or one that the scope knows already; true when the name is good.
bool pbitc_onnx_check_name(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const char *kind, const char *name);
/// Stands in for a value that was refused, so that its readers are not reported as well.
bool pbitc_onnx_add_placeholder(struct pbitc_onnx_importer *importer, const char *name);
/// What the inner graphs of the node have captured becomes their and the node's inputs, after `declared`
/// others.
bool pbitc_onnx_close_captures(struct pbitc_onnx_importer *importer, struct pbitc_node *node,
                               size_t declared);

/// onnx_declarations.c. What a graph declares beside its nodes. Outputs come after the nodes.
bool pbitc_onnx_import_initializers(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto);
bool pbitc_onnx_import_inputs(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto);
bool pbitc_onnx_import_outputs(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto);

/// onnx_graph.c. The graph of the model; its inner graphs are complete after.
bool pbitc_onnx_import_graph(struct pbitc_onnx_importer *importer, const Onnx__GraphProto *proto);
void pbitc_onnx_free_decoded(struct pbitc_onnx_importer *importer);
/// Brings the graph's nodes to the newest form and into order.
bool pbitc_onnx_finish_graph(struct pbitc_onnx_importer *importer);

/// onnx_function.c. The model's functions, whose bodies take the place of their calls.
bool pbitc_onnx_read_functions(struct pbitc_onnx_importer *importer);
const Onnx__FunctionProto *pbitc_onnx_find_function(const struct pbitc_onnx_importer *importer,
                                                    const char *domain, const char *name);
/// The scope of the function's body, its inputs bound to the call's, becomes the current one. *entered false:
/// the call does not fit, which was noted.
bool pbitc_onnx_enter_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const Onnx__NodeProto *call, const Onnx__FunctionProto *function, bool *entered);
/// After the body's nodes: its outputs become the call's.
bool pbitc_onnx_leave_call(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place);
/// onnx_contributed.c. An operator of ONNX Runtime as a function of standard ones, for this call; *function
/// NULL: none that we know.
bool pbitc_onnx_find_contributed(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *call,
                                 const Onnx__FunctionProto **function);
/// onnx_attention.c. The same for Attention and RotaryEmbedding of the default domain.
bool pbitc_onnx_find_attention(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *call,
                               const Onnx__FunctionProto **function);
/// A function for one call, whose nodes the text lists (onnx_contributed.c). Names of inputs and outputs are
/// separated by spaces; NULL: I0, I1, ... and O0, O1, ... for as many as the call has. The call must outlive
/// the function.
bool pbitc_onnx_function_of_text(struct pbitc_arena *arena, const Onnx__NodeProto *call, const char *inputs,
                                 const char *outputs, const char *body, const Onnx__FunctionProto **function);
/// onnx_gradient.c. A Gradient among the nodes of a graph as a function, and the call of it; *function is
/// left alone when the node is none that we can derive.
bool pbitc_onnx_find_gradient(struct pbitc_onnx_importer *importer, Onnx__NodeProto *const *nodes,
                              size_t count, const Onnx__NodeProto *call, Onnx__NodeProto *expanded,
                              const Onnx__FunctionProto **function);

/// onnx_tensor.c. "double", "string", ...: a TensorProto.DataType in words, for messages.
const char *pbitc_onnx_type_name(int32_t data_type);
/// Type and shape of a tensor whose data is there in the right amount; anything else is noted and gives
/// false.
bool pbitc_onnx_tensor_header(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                              const Onnx__TensorProto *proto, struct pbitc_tensor *tensor);
/// Fills tensor->data (allocated by the caller) after the header was accepted. Notes what cannot be read.
void pbitc_onnx_tensor_data(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                            const Onnx__TensorProto *proto, struct pbitc_tensor *tensor);

/// onnx_attribute.c. An attribute of a node whose operator is known. *inner: the attribute, when it is an
/// inner graph, which is left to the caller; else NULL.
bool pbitc_onnx_import_attribute(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                                 const Onnx__AttributeProto *proto, struct pbitc_node *node,
                                 const Onnx__AttributeProto **inner);
/// The constant that a Constant node stands for, as a value of the graph called `name`; *value is NULL when
/// it was refused.
bool pbitc_onnx_import_constant_node(struct pbitc_onnx_importer *importer,
                                     const struct pbitc_onnx_place *place, const Onnx__NodeProto *proto,
                                     const char *name, struct pbitc_value **value);

/// onnx_unknown.c. Collects the operators that we do not have, and reports each once with all its nodes.
bool pbitc_onnx_add_unknown(struct pbitc_onnx_importer *importer, const char *domain, const char *op,
                            int opset, const char *node);
bool pbitc_onnx_report_unknown(struct pbitc_onnx_importer *importer);

/// onnx_widen.c. Brings a graph, whose types are those of the file, from 16-bit floats to float32.
bool pbitc_onnx_widen_floats(struct pbitc_onnx_importer *importer);

/// onnx_upgrade.c. What an operator of the default domain that was renamed is called now.
const char *pbitc_onnx_newest_name(const char *op);
/// Brings a node from the form of its opset to the newest; checks attributes and arity.
bool pbitc_onnx_upgrade_node(struct pbitc_onnx_importer *importer, struct pbitc_node *node);

#endif
