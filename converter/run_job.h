// pbitc run: one run from given inputs to outputs, of an ONNX model in float or of a .pbit file.
#ifndef PBITC_RUN_JOB_H
#define PBITC_RUN_JOB_H

#include "converter/model_file.h"
#include "converter/options.h"

/// The command line.
struct pbitc_run_arguments {
    struct pbitc_texts inputs, shapes;
    const char *output_directory;
    int64_t samples, draws, seed, threads; ///< samples, draws, seed: -1 = not given
};

/// The inputs in the order of the model, and the outputs with all rows. Arrays and their data are the
/// caller's to free, names are borrowed from the model.
struct pbitc_run_job {
    const struct pbitc_run_arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    size_t rows;
    size_t input_count, output_count;
    struct pbitc_tensor *inputs, *outputs;
    const char **output_names;
};

/// Load the inputs and fill outputs and output_names. Errors: those of reading arrays; FORMAT for inputs that
/// do not fit the model; UNSUPPORTED, MEMORY, STOPPED.
enum pbit_status pbitc_run_onnx(struct pbitc_run_job *job, struct pbitc_graph *graph);
enum pbit_status pbitc_run_pbit(struct pbitc_run_job *job, const struct pbitc_model_file *file);

/// Reads what --input names into inputs; `names` are those of the model.
enum pbit_status pbitc_run_load_inputs(struct pbitc_run_job *job, const char *const *names);
/// Checks one input against the `elements` of a row (-1: any) and brings it to the type that the model reads.
/// The first input says how many rows there are.
enum pbit_status pbitc_run_fit_input(struct pbitc_run_job *job, size_t index, const char *name,
                                     enum pbitc_type type, int64_t elements);
/// Brings an input to the type that the model reads.
enum pbit_status pbitc_run_fit_type(struct pbitc_run_job *job, size_t index, const char *name,
                                    enum pbitc_type type);
/// Gives the tensor another type and new data.
enum pbit_status pbitc_run_convert(enum pbitc_type type, struct pbitc_tensor *tensor,
                                   struct pbitc_diagnostics *diagnostics);

#endif
