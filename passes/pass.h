// Passes over the graph: what each is given, how they are registered (passes.def) and how a pipeline runs
// them.
#ifndef PBITC_PASS_H
#define PBITC_PASS_H

#include "passes/interpreter/interpreter.h"

enum pbitc_neuron {
    PBITC_NEURON_PBIT,  ///< binary stochastic neuron, m draws per pass
    PBITC_NEURON_NOISY, ///< 8-bit activation plus uniform noise (the paper's noise injection)
    PBITC_NEURON_EXACT, ///< 8-bit activation, not swapped
};

/// Unlabelled inputs on which ranges are measured. Borrowed; never test images. Without any, a quantized
/// model's own scales must say all ranges.
struct pbitc_calibration {
    size_t images;
    const float *values; ///< images x elements of graph input 0 (batch 1), ONNX layout, preprocessed
    size_t channels;     ///< entries of the two below: 1, or the channels of the input
    /// Inputs that come from 8-bit pixels: x = pixel_offset[c] + pixel_step[c] * pixel. NULL: they do not.
    const float *pixel_offset, *pixel_step;
};

/// What a recipe says of one layer (a node name of the ONNX file); the negative numbers mean "as the options
/// say".
struct pbitc_layer_recipe {
    const char *node;
    int weight_bits; ///< 1..8, weights of this Conv or Gemm
    int group;       ///< weights per group along the fan-in, 0 = one scale per output channel
    int neuron;      ///< enum pbitc_neuron, of this activation
    float draws;     ///< this activation draws m times this many p-bits, > 0
    float rho;       ///< noise amplitude inside a stratum, 0..1
    bool used;       ///< set when a node of this name was found
};

/// What allocate-draws shares out over the layers.
struct pbitc_budget {
    double mean;  ///< draws per pass that all layers could afford alike; 0: no budget, every layer draws m
    double spare; ///< what would be left then, in the unit of the price
    /// What `draws` draws cost in the layer of this name, which makes them or reads them; it does not fall
    /// with their number. NULL: accumulations.
    double (*price)(const void *state, const char *layer, uint32_t draws);
    const void *price_state;
};

enum { PBITC_LEAST_SHARED_BITS = 2 }; ///< of a weight, where allocate-bits chooses

struct pbitc_options {
    int weight_bits;  ///< b_w, 1..8
    int group;        ///< 0 = one scale per output channel
    uint32_t draws;   ///< default m of the file
    uint32_t samples; ///< default T of the file
    struct pbitc_budget budget;
    /// allocate-bits gives out so many bytes, beyond what all layers take with PBITC_LEAST_SHARED_BITS.
    bool shares_bytes;
    double spare_bytes;
    enum pbitc_neuron neuron;
    enum pbit_sampler sampler; ///< iid or stratified
    int threads;
    struct pbitc_layer_recipe *recipe;
    size_t recipe_count;
    uint64_t without;        ///< bit i: pass or step i of the registry is left out
    const char *print_after; ///< pass name, "all", or NULL
    bool timing, blame;
    FILE *talk; ///< where --print-after, --timing and --blame go
};

/// Called with 0..total; returns false to stop the work (PBIT_ERROR_STOPPED).
typedef bool pbitc_progress_function(void *state, const char *stage, size_t done, size_t total);

/// What `calibrate` measured of one value: bounds for all of it (count 1) or per channel (axis 1).
struct pbitc_range {
    const struct pbitc_value *value;
    size_t count;
    const float *low, *high;
    struct pbitc_range *next;
};

/// What allocate-draws or allocate-bits chose for a layer (a node name of the ONNX file).
struct pbitc_layer_choice {
    const char *node;
    float draws;     ///< the neuron draws m times so many p-bits; 0: nothing was chosen about that
    int weight_bits; ///< b_w; 0: nothing was chosen about that
    /// Root mean square of what this alone is expected to change the network's output by, as a share of the
    /// output's.
    double relative_error;
    struct pbitc_layer_choice *next;
};

/// What --blame found: the output of the network after a pass, or of a network in which only one layer is as
/// converted, against the float network's.
struct pbitc_blame_line {
    const char *cause;     ///< "pass", "weights" (rounded), "draws" or "noise"
    const char *name;      ///< of the pass or the layer
    double relative_error; ///< root mean square of the difference, by that of the float network's output
    double agreement;      ///< share of images with the same top-1 decision
    const char *hint;      ///< what a recipe can do about a layer, or NULL
    struct pbitc_blame_line *next;
};

struct pbitc_context {
    const struct pbitc_options *options;
    const struct pbitc_calibration *calibration;
    struct pbitc_range *ranges; ///< set by `calibrate`, in the graph's arena
    const float
        *float_outputs; ///< output 0 of the float network on the first calibration images, set by `calibrate`
    struct pbitc_layer_choice
        *layer_choices; ///< set by allocate-draws and allocate-bits, in the graph's arena
    struct pbitc_blame_line
        *blame;           ///< set by --blame, in the graph's arena: passes in order, then layers, worst first
    const char *metadata; ///< JSON text that `lower` puts into the file
    struct pbitc_diagnostics *diagnostics;
    pbitc_progress_function *progress; ///< may be NULL
    void *progress_state;
    uint8_t *file; ///< set by `lower`: the .pbit bytes, in the graph's arena
    size_t file_bytes;
};

typedef enum pbit_status pbitc_pass_function(struct pbitc_graph *graph, struct pbitc_context *context,
                                             bool *changed);

struct pbitc_pass {
    const char *name; ///< file name with '-' for '_', e.g. "fold-batchnorm" in fold_batchnorm.c
    const char *summary;
    pbitc_pass_function *run; ///< NULL: a step of the pass before it
    bool optional;            ///< can be left out
};

/// The registry, in pipeline order. `--help` is made of it.
const struct pbitc_pass *pbitc_passes(size_t *count);
const struct pbitc_pass *pbitc_pass_find(const char *name); ///< a pass or a step, or NULL

/// Leaves a pass or step out. False: it cannot be.
bool pbitc_leave_out(struct pbitc_options *options, const struct pbitc_pass *pass);

/// Runs one pass, verifies the graph after it and infers shapes anew; prints and times as the options say.
enum pbit_status pbitc_pass_run(const struct pbitc_pass *pass, struct pbitc_graph *graph,
                                struct pbitc_context *context, bool *changed);

/// A quantization that does, by its lowest level, what a Relu would do: it becomes a neuron. For listings.
bool pbitc_is_quantized_neuron(const struct pbitc_node *node);

/// The model has scales of its own (QuantizeLinear, Quant).
bool pbitc_is_quantized(const struct pbitc_graph *graph);

/// Runs every registered pass in order, from an imported graph to context->file. What the whole conversion
/// cannot handle is reported at once, before the first pass.
enum pbit_status pbitc_pipeline_run(struct pbitc_graph *graph, struct pbitc_context *context);

/// Folds constants if the graph has an If: the shapes behind one are known only once its condition is a
/// constant. Comes before pbitc_infer_shapes.
enum pbit_status pbitc_decide_branches(struct pbitc_graph *graph, struct pbitc_diagnostics *diagnostics);

/// Runs the passes before keep-skips, which need no images: the graph has the layers of a .pbit file after.
/// It must be convertible.
enum pbit_status pbitc_fold_graph(struct pbitc_graph *graph, struct pbitc_diagnostics *diagnostics);

/// Reports every node and input that cannot become part of a .pbit file (operator, shape, place), all at
/// once.
enum pbit_status pbitc_check_convertible(const struct pbitc_graph *graph,
                                         struct pbitc_diagnostics *diagnostics);

#endif
