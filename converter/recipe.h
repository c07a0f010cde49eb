// A recipe: what convert shall do differently in single layers. A JSON file of this form (every key but the
// layer's name may be left out, and then the options of the command line hold):
//
//   {"weights": 4, "group": 64, "draws": 8, "samples": 1,           options, where the command line gives
//   none
//    "layers": {
//     "conv1": {"weights": 4, "group": 64},                      Conv, Gemm or MatMul: bits, weights per
//     group "relu1": {"neuron": "pbit", "draws": 2.5, "rho": 0.5}      an activation: kind, factor of m,
//     noise amplitude
//   }}
#ifndef PBITC_RECIPE_H
#define PBITC_RECIPE_H

#include "passes/pass.h"

#include <cjson/cJSON.h>

/// Of the options of convert; -1: the recipe does not say.
struct pbitc_recipe_options {
    int64_t weights, group, draws, samples;
};

struct pbitc_recipe {
    struct pbitc_recipe_options options;
    cJSON *json; ///< owns the names
    size_t count;
    struct pbitc_layer_recipe *layers;
};

/// The words for enum pbitc_neuron, closed by NULL.
extern const char *const pbitc_neuron_names[];

/// Reads the file and checks it against the graph; every problem is reported at once. On failure there is
/// nothing to free.
enum pbit_status pbitc_recipe_load(const char *path, const struct pbitc_graph *graph,
                                   struct pbitc_diagnostics *diagnostics, struct pbitc_recipe *recipe);
/// Writes a recipe that repeats a conversion: `options`, the layers of `recipe` (which may be empty), and
/// what allocate-draws and allocate-bits chose.
enum pbit_status pbitc_recipe_write(const char *path, const struct pbitc_recipe *recipe,
                                    const struct pbitc_recipe_options *options,
                                    const struct pbitc_layer_choice *choices,
                                    struct pbitc_diagnostics *diagnostics);
void pbitc_recipe_free(struct pbitc_recipe *recipe); ///< accepts a zeroed one

#endif
