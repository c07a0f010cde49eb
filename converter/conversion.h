// One conversion of an ONNX model: what `pbitc convert` is asked for, what it holds on to, and the run of the
// passes, which a search for a recipe repeats with other options.
#ifndef PBITC_CONVERSION_H
#define PBITC_CONVERSION_H

#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/recipe.h"

/// The command line. Numbers are 0 or, where 0 means something, -1 when not given, until the command settles
/// them.
struct pbitc_convert_arguments {
    struct pbitc_texts shapes;
    const char *output, *calibrate, *recipe, *write_recipe, *without, *print_after;
    const char *draw_budget_text, *energy_budget_text, *target_text, *constants;
    double draw_budget, energy_budget, target; ///< read from the above
    int64_t size_budget;                       ///< bytes of the file; 0: not given
    double spare_bytes;                        ///< of these, that more bits of weights may take
    struct pbitc_budget budget;                ///< that they come to
    int64_t weights, group, draws, samples, threads;
    int neuron;  ///< enum pbitc_neuron
    int sampler; ///< index into pbitc_sampler_choices
    int preset;  ///< of the energies, -1: none chosen
    bool timing, blame, json;
};

extern const char *const pbitc_sampler_choices[]; ///< closed by NULL

struct pbitc_conversion {
    struct pbitc_convert_arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    const char *path; ///< of the model
    struct pbitc_model_file model;
    struct pbitc_recipe recipe;
    struct pbitc_dataset *dataset;      ///< of the calibration images; NULL: none
    float *values;                      ///< [images][elements], preprocessed
    uint64_t without;                   ///< pbitc_options
    struct pbitc_layer_choice *choices; ///< of another run, which this one keeps; it may add to them
    bool lacks_images;                  ///< nothing says the ranges of the model's values
};

/// Borrowed from the graph's arena.
struct pbitc_converted {
    const uint8_t *file; ///< the .pbit bytes
    size_t bytes;
    struct pbitc_layer_choice *choices;   ///< what allocate-draws and allocate-bits chose
    const struct pbitc_blame_line *blame; ///< what --blame found
};

/// Runs the passes over `graph` with `arguments`, calibrated on the first `images` images. `quiet`: nothing
/// of what --print-after, --timing and --blame ask for.
enum pbit_status pbitc_conversion_run(const struct pbitc_conversion *conversion,
                                      const struct pbitc_convert_arguments *arguments,
                                      struct pbitc_graph *graph, size_t images, bool quiet,
                                      struct pbitc_converted *result);

#endif
