// One evaluation: what `pbitc eval` opens, measures and puts together, from this process, other ranks and an
// interrupted run.
#ifndef PBITC_EVAL_RUN_H
#define PBITC_EVAL_RUN_H

#include "converter/gates.h"
#include "converter/model_file.h"
#include "converter/surface.h"

enum { PBITC_CONFIDENCES_LIMIT = 8 };

/// The command line.
struct pbitc_eval_arguments {
    struct pbitc_texts shapes;
    const char *model, *data, *baseline, *report, *target_text, *shard_text;
    const char *confidence_text;
    int64_t limit, seeds, seed, threads, batch, max_samples;
    struct pbitc_integers samples_asked, draws_asked;
    struct pbitc_gate_options gate_options;
    int preset;            ///< of the energies, -1: none chosen
    const char *constants; ///< file of energies, or NULL
    bool deterministic, resume, json;

    // Read from the above by the command.
    size_t shard, shard_count; ///< 0, 0: all
    double target;
    struct pbitc_gates gates;
    double confidences[PBITC_CONFIDENCES_LIMIT]; ///< of the early stops
    size_t confidence_count;
    uint32_t stop_samples; ///< their largest T
    uint32_t samples[PBITC_LIST_LIMIT + 5], draws[PBITC_LIST_LIMIT + 4];
    size_t samples_count, draws_count;
};

struct pbitc_eval_run {
    const struct pbitc_eval_arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_progress progress;
    struct pbitc_model_file model, baseline;
    struct pbitc_dataset *dataset;
    struct pbitc_surface_request request;
    struct pbitc_float_answer *float_answers; ///< [images], with a float model
    struct pbitc_accuracy_report *measured;   ///< by this process
    struct pbitc_accuracy_report *earlier;    ///< what --resume goes on from, or NULL
    struct pbitc_accuracy_report **others;    ///< [ranks], of the other ranks
    struct pbitc_accuracy_report *sum;        ///< of all these, when there are several
    bool directory_created;
};

/// Opens files and data and describes in `measured` what there is to measure, without measuring. `model` is
/// open. Every problem is reported. With MPI all ranks succeed or fail together.
enum pbit_status pbitc_eval_prepare(struct pbitc_eval_run *run);

/// Measures and puts together. *report (owned by the run) is what is known in the end, on rank 0; NULL on
/// failure and when nothing was measured. After STOPPED it holds what was measured until then.
enum pbit_status pbitc_eval_measure(struct pbitc_eval_run *run, struct pbitc_accuracy_report **report);

void pbitc_eval_close(struct pbitc_eval_run *run); ///< accepts a zeroed one

#endif
