// What the operator families share: reading of inputs and attributes, shapes, broadcasting, element types.
#ifndef PBITC_OPERATOR_SUPPORT_H
#define PBITC_OPERATOR_SUPPORT_H

#include "passes/operators/operators.h"

// The functions of every row of the table.
#define PBITC_OPERATOR(identifier, domain, inputs, max_inputs, outputs, max_outputs, flags, attributes,      \
                       infer, evaluate)                                                                      \
    pbitc_infer_function infer;                                                                              \
    pbitc_evaluate_function evaluate;
#include "passes/operators/operators.def"
#undef PBITC_OPERATOR

/// `return PBITC_REFUSE(evaluation, remedy, "format", ...)`: valid ONNX that we cannot handle.
#define PBITC_REFUSE(evaluation, remedy, ...)                                                                \
    pbitc_report_node((evaluation)->diagnostics, PBIT_ERROR_UNSUPPORTED, (evaluation)->node, remedy,         \
                      __VA_ARGS__)
/// The same for a node that no ONNX runtime could run.
#define PBITC_MALFORMED(evaluation, ...)                                                                     \
    pbitc_report_node((evaluation)->diagnostics, PBIT_ERROR_FORMAT, (evaluation)->node, NULL, __VA_ARGS__)

/// Sets of element types: bit n stands for enum pbitc_type n.
enum {
    PBITC_TYPES_FLOAT = 1 << PBITC_FLOAT32 | 1 << PBITC_FLOAT64,
    PBITC_TYPES_SIGNED = 1 << PBITC_INT8 | 1 << PBITC_INT16 | 1 << PBITC_INT32 | 1 << PBITC_INT64,
    PBITC_TYPES_UNSIGNED = 1 << PBITC_UINT8 | 1 << PBITC_UINT16 | 1 << PBITC_UINT32 | 1 << PBITC_UINT64,
    PBITC_TYPES_NUMERIC = PBITC_TYPES_FLOAT | PBITC_TYPES_SIGNED | PBITC_TYPES_UNSIGNED,
    PBITC_TYPES_INDEX = 1 << PBITC_INT32 | 1 << PBITC_INT64,
    PBITC_TYPES_BOOL = 1 << PBITC_BOOL,
};

/// X(type, element, modular): element is the C type; modular the type in which its arithmetic cannot
/// overflow.
#define PBITC_FOR_FLOAT_TYPES(X)                                                                             \
    X(PBITC_FLOAT32, float, float)                                                                           \
    X(PBITC_FLOAT64, double, double)
#define PBITC_FOR_INTEGER_TYPES(X)                                                                           \
    X(PBITC_UINT8, uint8_t, uint32_t)                                                                        \
    X(PBITC_INT8, int8_t, uint32_t)                                                                          \
    X(PBITC_UINT16, uint16_t, uint32_t)                                                                      \
    X(PBITC_INT16, int16_t, uint32_t)                                                                        \
    X(PBITC_INT32, int32_t, uint32_t)                                                                        \
    X(PBITC_INT64, int64_t, uint64_t)                                                                        \
    X(PBITC_UINT32, uint32_t, uint32_t)                                                                      \
    X(PBITC_UINT64, uint64_t, uint64_t)
#define PBITC_FOR_NUMERIC_TYPES(X) PBITC_FOR_FLOAT_TYPES(X) PBITC_FOR_INTEGER_TYPES(X)

/// Input `index`, or NULL when it is omitted.
const struct pbitc_tensor *pbitc_input(const struct pbitc_evaluation *evaluation, size_t index);
/// True when somebody wants output `index`.
bool pbitc_output_used(const struct pbitc_evaluation *evaluation, size_t index);
void pbitc_set_output(struct pbitc_evaluation *evaluation, size_t index, enum pbitc_type type,
                      const struct pbitc_shape *shape);

enum pbit_status pbitc_require_type(struct pbitc_evaluation *evaluation, size_t index, unsigned types);
enum pbit_status pbitc_require_same_type(struct pbitc_evaluation *evaluation); ///< all inputs like input 0
enum pbit_status pbitc_require_rank(struct pbitc_evaluation *evaluation, size_t index, int least, int most);
enum pbit_status pbitc_require_scalar(struct pbitc_evaluation *evaluation, size_t index);
/// The shapes depend on data that is not known yet (`what`: whose); the node is asked again once it is.
/// Nothing is reported.
enum pbit_status pbitc_defer(struct pbitc_evaluation *evaluation, const char *what);
/// A parameter read while shapes are inferred: int32 or int64 (`types`), rank 0 or 1, data known,
/// else the evaluation is deferred.
enum pbit_status pbitc_require_parameter(struct pbitc_evaluation *evaluation, size_t index, const char *what,
                                         unsigned types);

/// The size of a result depends on the data of an input, of any shape.
enum pbit_status pbitc_require_data(struct pbitc_evaluation *evaluation, size_t index, const char *what);

int64_t pbitc_integer_at(const struct pbitc_tensor *tensor, int64_t index); ///< of an int32 or int64 tensor
double pbitc_real_at(const struct pbitc_tensor *tensor, int64_t index);     ///< of any numeric tensor

/// An axis in -rank..rank-1 made one in 0..rank-1; reports others.
enum pbit_status pbitc_axis(struct pbitc_evaluation *evaluation, int64_t axis, int rank, int *result);
enum pbit_status pbitc_axis_attribute(struct pbitc_evaluation *evaluation, int64_t fallback, int rank,
                                      int *axis);
/// Axes given as an integer input; `chosen[axis]` becomes true. Reports axes that are out of range or
/// repeated.
enum pbit_status pbitc_axes_input(struct pbitc_evaluation *evaluation, size_t index, int rank,
                                  bool chosen[PBITC_MAX_RANK]);

/// Dimensions given as an integer input.
enum pbit_status pbitc_dims_input(struct pbitc_evaluation *evaluation, size_t index, const char *what,
                                  struct pbitc_shape *shape);

/// Product of dims[first..last-1]; sizes of tensors that exist cannot overflow.
int64_t pbitc_extent(const struct pbitc_shape *shape, int first, int last);
/// Adds `length` bytes to scratch; false on overflow.
bool pbitc_add_scratch(struct pbitc_evaluation *evaluation, int64_t count, size_t bytes);
/// "2x3x4", for messages.
struct pbitc_shape_text {
    char text[PBITC_MAX_RANK * 21 + 8];
};
struct pbitc_shape_text pbitc_shape_format(const struct pbitc_shape *shape);

/// Multidirectional broadcasting as ONNX defines it: widens `shape` by `other`.
enum pbit_status pbitc_broadcast(struct pbitc_evaluation *evaluation, struct pbitc_shape *shape,
                                 const struct pbitc_shape *other);

enum { PBITC_WALK_OPERANDS = 3 };

/// A walk over a dense output in runs along its innermost dimension, following strided operands.
struct pbitc_walk {
    bool done;
    int64_t position;                    ///< element of the output where the run starts
    int64_t length;                      ///< elements of a run
    int64_t offset[PBITC_WALK_OPERANDS]; ///< element of each operand where the run starts
    int64_t step[PBITC_WALK_OPERANDS];   ///< its stride along the run
    int rank, operands;                  ///< dimensions besides the run's
    int64_t dims[PBITC_MAX_RANK], index[PBITC_MAX_RANK];
    int64_t strides[PBITC_WALK_OPERANDS][PBITC_MAX_RANK];
};

/// Strides are in elements, one row per operand. Dimensions that all operands allow to are merged.
void pbitc_walk_strided(struct pbitc_walk *walk, const struct pbitc_shape *shape, int operands,
                        int64_t strides[][PBITC_MAX_RANK]);
/// Operands broadcast to `shape`.
void pbitc_walk_broadcast(struct pbitc_walk *walk, const struct pbitc_shape *shape, int operands,
                          const struct pbitc_shape *const *shapes);
void pbitc_walk_next(struct pbitc_walk *walk);
/// Row-major strides of `shape`.
void pbitc_strides(const struct pbitc_shape *shape, int64_t strides[PBITC_MAX_RANK]);
/// Copies along the walk's operand 0, elements of 1, 2, 4 or 8 bytes.
void pbitc_walk_copy(struct pbitc_walk *walk, void *output, const void *input, size_t element_bytes);

/// Copies in which each dimension is mapped by itself (mapping.c). pbitc_add_maps, for `infer`, sets output 0
/// and asks for scratch memory: one int64 per position of each dimension, one dimension after the other.
/// `evaluate` fills it with where each position comes from in input 0; PBITC_OUTSIDE: from `fill`.
enum { PBITC_OUTSIDE = -1 };
enum pbit_status pbitc_add_maps(struct pbitc_evaluation *evaluation, const struct pbitc_shape *shape);
void pbitc_copy_mapped(struct pbitc_evaluation *evaluation, const void *fill);

/// Converts elements as ONNX Cast does; floats outside an integer's range saturate, NaN becomes 0.
void pbitc_convert(enum pbitc_type to, void *output, enum pbitc_type from, const void *input, int64_t count);

/// Calls work(state, index, worker) for every index below count, on at most `threads` threads; worker is
/// below `threads` and no two calls with the same one run at once. What a call computes must not depend on
/// worker.
typedef void pbitc_work_function(void *state, int64_t index, int worker);
void pbitc_parallel_for(int threads, int64_t count, pbitc_work_function *work, void *state);

/// Calls work(state, stage, piece) for every stage below `stages` and every piece below `pieces`: those of a
/// stage at the same time, each piece mostly on the same thread as before, and none before all of the stage
/// before have returned. For stages of microseconds: how long calls of the same cost, stages and pieces take
/// is compared with work(state, stage, PBITC_WHOLE) for every stage, which must do the same, and the better
/// way is gone. Threads that are away do not hold up the others, but for the piece that they are in.
#define PBITC_WHOLE UINT32_MAX
typedef void pbitc_stage_function(void *state, uint32_t stage, uint32_t piece);
void pbitc_parallel_stages(uint64_t cost, uint32_t stages, uint32_t pieces, pbitc_stage_function *work,
                           void *state);

#endif
