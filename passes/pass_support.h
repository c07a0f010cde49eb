// Small helpers that several passes share.
#ifndef PBITC_PASS_SUPPORT_H
#define PBITC_PASS_SUPPORT_H

#include "passes/pass.h"

/// Registered passes: one function and one file each.
#define PBITC_PASS(name, function, optional, summary) pbitc_pass_function function;
#define PBITC_STEP(name, summary)
#include "passes/passes.def"
#undef PBITC_PASS
#undef PBITC_STEP

/// Whether the options leave out this pass or step.
bool pbitc_is_left_out(const struct pbitc_context *context, const char *name);

/// The float32 constant at input `index`, or NULL.
const float *pbitc_constant_floats(const struct pbitc_node *node, size_t index, struct pbitc_shape *shape);

/// Fills vector[channels] when the constant, broadcast to `target`, varies along axis 1 only. False when it
/// does not.
bool pbitc_channel_vector(const struct pbitc_tensor *constant, const struct pbitc_shape *target,
                          float *vector);

/// A new float32 constant; its zeroed data is the caller's to fill. NULL when out of memory.
struct pbitc_value *pbitc_add_floats(struct pbitc_graph *graph, const char *name,
                                     const struct pbitc_shape *shape);

/// Conv or Gemm (not transposed on the input side) with constant weights and an absent or constant bias.
bool pbitc_is_linear_layer(const struct pbitc_node *node);

/// y = scale[k] * y + shift[k] for every output channel k of a linear layer, folded into new weights and
/// bias.
enum pbit_status pbitc_scale_outputs(struct pbitc_graph *graph, struct pbitc_node *layer, const float *scale,
                                     const float *shift);

/// Output channels of a linear layer.
size_t pbitc_output_channels(const struct pbitc_node *layer);

/// The branch that an If with a constant condition takes; NULL: the node is none.
struct pbitc_graph *pbitc_decided_branch(const struct pbitc_node *node);

/// The nodes of the branch take the place of the If; false when out of memory. The branch is used up.
bool pbitc_inline_branch(struct pbitc_graph *graph, struct pbitc_node *node, struct pbitc_graph *branch);

/// ReduceMean over every axis but batch and channels.
bool pbitc_is_spatial_mean(const struct pbitc_node *node);
/// True for a Pad that `fold-padding` makes part of the layer which reads it.
bool pbitc_is_layer_padding(const struct pbitc_graph *graph, const struct pbitc_node *node);

/// Reshape, Flatten, Squeeze, Unsqueeze, Identity, Transpose: elements are moved, not changed.
bool pbitc_is_movement(const struct pbitc_node *node);

/// Softmax or LogSoftmax, which at the end of a model is left to whoever runs the .pbit file. Accepts NULL.
bool pbitc_is_softmax(const struct pbitc_node *node);
/// What a .pbit file computes of a graph output: the output, or what Softmax or LogSoftmax makes it of.
const struct pbitc_value *pbitc_before_softmax(const struct pbitc_value *output);

/// A node with one input and one output, before `position`.
struct pbitc_node *pbitc_insert_unary(struct pbitc_graph *graph, struct pbitc_node *position,
                                      const char *name, enum pbitc_operator_id id, struct pbitc_value *input,
                                      struct pbitc_value *output);

/// Gives all of the value one range; false when out of memory.
bool pbitc_add_range(struct pbitc_graph *graph, struct pbitc_context *context,
                     const struct pbitc_value *value, float low, float high);

/// The range of `from`, if it has one, becomes that of `to`.
void pbitc_move_range(struct pbitc_context *context, const struct pbitc_value *from,
                      const struct pbitc_value *to);

/// Ranges of a copy's values (pbitc_graph_clone), as those of the graph it was made from. False when out of
/// memory.
bool pbitc_copy_ranges(struct pbitc_graph *copy, const struct pbitc_range *ranges,
                       struct pbitc_range **copies);

const struct pbitc_range *pbitc_find_range(const struct pbitc_context *context,
                                           const struct pbitc_value *value);

/// What the recipe says of a node, or NULL; marks it as used.
const struct pbitc_layer_recipe *pbitc_find_recipe(const struct pbitc_context *context, const char *node);

/// A neuron that swap-activations made, of this kind: "pbit", "noisy" or "exact".
bool pbitc_is_neuron(const struct pbitc_node *node, const char *kind);

enum { PBITC_LEAST_NOISE = 512 }; ///< one over the least half width of noise, half a level of 8 bits

/// The recipe leaves the neuron's amplitude to the passes.
bool pbitc_amplitude_is_open(const struct pbitc_context *context, const struct pbitc_node *neuron);

/// The options for passes that run on a copy of the graph, of which the user is told nothing.
struct pbitc_options pbitc_quiet_options(const struct pbitc_options *options);

/// A neuron draws m times this many p-bits, as the recipe or else allocate-draws says.
float pbitc_draw_factor(const struct pbitc_context *context, const char *node);

/// Calls the context's progress function, if there is one; PBIT_ERROR_STOPPED when it asks to stop.
enum pbit_status pbitc_progress(struct pbitc_context *context, const char *stage, size_t done, size_t total);

enum pbit_status pbitc_out_of_memory(struct pbitc_context *context);

#endif
