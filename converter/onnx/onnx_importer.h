// What the files of the importer share; private to converter/onnx.
//
// Functions that return bool return false only when memory has run out, which ends the import. Problems of
// the model are noted, and the import goes on to find the others.
#ifndef PBITC_ONNX_IMPORTER_H
#define PBITC_ONNX_IMPORTER_H

#include "converter/onnx/onnx_import.h"
#include "onnx.pb-c.h"
#include "passes/operators/operators.h"

struct pbitc_onnx_importer {
    const struct pbitc_allocator *allocator;
    struct pbitc_diagnostics *diagnostics;
    const char *folder; ///< of external data; NULL: none allowed
    const Onnx__ModelProto *model;
    struct pbitc_graph *graph;
    enum pbit_status status;     ///< the gravest so far
    const char **node_names;     ///< of each node of the file
    struct pbitc_value *missing; ///< stands where an input that nothing produces is read
    struct pbitc_onnx_unknown *unknown, *last_unknown; ///< operators that we do not have, in order
    struct pbitc_name_table *unknown_names;
};

/// The node, initializer or input that problems are reported for; op "" when it is no node.
struct pbitc_onnx_place {
    const char *name, *op;
    int opset;
};

/// Remembers the status that pbitc_report gave back: note(importer, pbitc_report(...)).
void pbitc_onnx_note(struct pbitc_onnx_importer *importer, enum pbit_status status);

/// pbitc_report at a place, noted.
#define PBITC_ONNX_PROBLEM(importer, status, place, remedy, ...)                                             \
    pbitc_onnx_note(importer, pbitc_report((importer)->diagnostics, status, (place)->name, (place)->op,      \
                                           (place)->opset, remedy, __VA_ARGS__))

/// onnx_unpack.c. Decodes the model with a limit on memory; *model is NULL unless PBIT_OK.
struct pbitc_onnx_memory {
    const struct pbitc_allocator *allocator;
    size_t left; ///< bytes that decoding may still ask for
    bool over_limit, exhausted;
};
enum pbit_status pbitc_onnx_unpack(const void *bytes, size_t size, struct pbitc_onnx_memory *memory,
                                   struct pbitc_diagnostics *diagnostics, Onnx__ModelProto **model);
void pbitc_onnx_free(Onnx__ModelProto *model, struct pbitc_onnx_memory *memory); ///< accepts a NULL model

/// onnx_file.c. The whole file, from `allocator`; FORMAT when it is larger than 2 GiB.
enum pbit_status pbitc_onnx_read_file(const char *path, const struct pbitc_allocator *allocator,
                                      struct pbitc_diagnostics *diagnostics, void **bytes, size_t *size);
/// Opens `location` below the importer's folder. Returns a descriptor and the file's size; -1 when it may not
/// or cannot be opened (noted).
int pbitc_onnx_open_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                             const char *location, uint64_t *size);
/// Reads `count` bytes at `offset`; false when they cannot be had.
bool pbitc_onnx_read_at(int file, void *bytes, size_t count, uint64_t offset);

/// onnx_tensor.c. "double", "string", ...: a TensorProto.DataType in words, for messages.
const char *pbitc_onnx_type_name(int32_t data_type);
/// Type and shape of a tensor whose data is there in the right amount; anything else is noted and gives
/// false.
bool pbitc_onnx_tensor_header(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                              const Onnx__TensorProto *proto, struct pbitc_tensor *tensor);
/// Fills tensor->data (allocated by the caller) after the header was accepted. Notes what cannot be read.
void pbitc_onnx_tensor_data(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                            const Onnx__TensorProto *proto, struct pbitc_tensor *tensor);

/// onnx_attribute.c. The attributes of a node whose operator is known.
bool pbitc_onnx_import_attributes(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *proto,
                                  struct pbitc_node *node);
/// The constant that a Constant node stands for, as a value of that name; *value is NULL when it was refused.
bool pbitc_onnx_import_constant_node(struct pbitc_onnx_importer *importer,
                                     const struct pbitc_onnx_place *place, const Onnx__NodeProto *proto,
                                     struct pbitc_value **value);
/// The type of an attribute, also where old files leave it out.
int32_t pbitc_onnx_attribute_type(const Onnx__AttributeProto *proto);

/// onnx_unknown.c. Collects the operators that we do not have, and reports each once with all its nodes.
bool pbitc_onnx_add_unknown(struct pbitc_onnx_importer *importer, const char *domain, const char *op,
                            int opset, const char *node);
bool pbitc_onnx_report_unknown(struct pbitc_onnx_importer *importer);

/// onnx_upgrade.c. What an operator of the default domain that was renamed is called now.
const char *pbitc_onnx_newest_name(const char *op);
/// Brings a node from the form of its opset to the newest; checks attributes and arity.
bool pbitc_onnx_upgrade_node(struct pbitc_onnx_importer *importer, struct pbitc_node *node);

#endif
