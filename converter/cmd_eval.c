// pbitc eval: the accuracy surface over draws m and samples T, its report, and the gates on it.
#include "converter/command.h"
#include "converter/early_stop.h"
#include "converter/energy/energy_constants.h"
#include "converter/eval_run.h"
#include "converter/interrupt.h"
#include "converter/options.h"
#include "converter/ranks.h"
#include "converter/report/report_files.h"
#include "converter/shapes.h"
#include "converter/threads.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS_LIMIT = 1000, BATCH_LIMIT = 4096, DEFAULT_BATCH = 16, SHARDS_LIMIT = 65535 };

static const struct pbitc_option options[] = {
    {"data", 0, "DATA", "labelled images, see below", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_eval_arguments, data), .required = true},
    {"limit", 0, "N", "use at most the first N images", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_eval_arguments, limit), .minimum = 1, .maximum = INT32_MAX},
    {"samples", 0, "T,T,...",
     "numbers of passes (1,2,4,8 and the file's default); 'auto' among\nthem: each image takes passes until "
     "its "
     "decision is sure",
     PBITC_OPTION_INTEGERS, offsetof(struct pbitc_eval_arguments, samples_asked), .minimum = 1,
     .maximum = PBIT_SAMPLES_LIMIT, .word = "auto"},
    {"confidence", 0, "C,C,...", "with auto: how sure, above 0.5 and below 1 (0.99)", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_eval_arguments, confidence_text), .required = false},
    {"max-samples", 0, "T",
     "with auto: the most passes of an image (the largest number of\n--samples, else 16)",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_eval_arguments, max_samples), .minimum = 2,
     .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m,m,...", "numbers of p-bits per neuron and pass (1,2,4,8 and the file's\ndefault)",
     PBITC_OPTION_INTEGERS, offsetof(struct pbitc_eval_arguments, draws_asked), .minimum = 1,
     .maximum = PBIT_DRAWS_LIMIT},
    {"seeds", 0, "K", "measure with K seeds (1)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_eval_arguments, seeds), .minimum = 1, .maximum = SEEDS_LIMIT},
    {"seed", 0, "S", "the first seed (0)", PBITC_OPTION_INTEGER, offsetof(struct pbitc_eval_arguments, seed),
     .minimum = 0, .maximum = INT32_MAX},
    {"deterministic", 0, NULL,
     "measure without randomness: a p-bit counts how many of m fixed\nthresholds its activation exceeds",
     PBITC_OPTION_FLAG, offsetof(struct pbitc_eval_arguments, deterministic), .required = false},
    {"baseline", 0, "MODEL.onnx", "measure this model too, in float, and compare with it", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_eval_arguments, baseline), .required = false},
    {"report", 0, "DIR",
     "write report.html, .md, .json and .csv, plots, junit.xml and\nbadge.json there; measures the "
     "deterministic twins and every\nlayer's loss too",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_eval_arguments, report), .required = false},
    {"target", 0, "X", "find the smallest m and T that reach this accuracy (0..1; 0.01\nbelow the baseline)",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_eval_arguments, target_text), .required = false},
    PBITC_GATE_OPTIONS(struct pbitc_eval_arguments, gate_options),
    PBITC_ENERGY_OPTIONS(struct pbitc_eval_arguments, preset, constants),
    {"shard", 0, "i/n",
     "measure part i of n of the images, for 'pbitc report merge';\nneeds --report or --json",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_eval_arguments, shard_text), .required = false},
    {"resume", 0, NULL, "go on from what an interrupted run left in the report's DIR", PBITC_OPTION_FLAG,
     offsetof(struct pbitc_eval_arguments, resume), .required = false},
    {"batch", 0, "N", "images that a thread takes at once; no result depends on it (16)",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_eval_arguments, batch), .minimum = 1,
     .maximum = BATCH_LIMIT},
    PBITC_SHAPE_OPTION(struct pbitc_eval_arguments, shapes),
    PBITC_THREADS_OPTION(struct pbitc_eval_arguments, threads),
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct pbitc_eval_arguments, json),
     .required = false},
};

static const struct pbitc_usage usage = {
    .name = "eval",
    .operand = "FILE.pbit|MODEL.onnx",
    .summary =
        "Measures the top-1 accuracy of a .pbit file for every m and T asked for, or of an ONNX model in\n"
        "float. Exit code 1 when a gate (--min-accuracy, --max-drop, --compare, --require-monotonic) fails.\n"
        "The 95 % intervals are Wilson's, of the mean over the seeds, with the number of images as the\n"
        "number of trials. A signal keeps what was measured so far in DIR/report.partial.json.\n"
        "Preprocessing that DATA does not state is taken from the .pbit file.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .details = pbitc_dataset_help,
};

/// The list asked for or, when there is none, 1, 2, 4, 8 and the file's default as far as the file allows
/// them.
static size_t make_list(const struct pbitc_integers *asked, uint32_t limit, uint32_t file_default,
                        uint32_t *list)
{
    size_t count = 0;
    for (size_t i = 0; i < asked->count; i++)
        list[count++] = (uint32_t)asked->items[i];
    if (count)
        return count;
    for (uint32_t n = 1; n <= 8 && n <= limit; n *= 2) {
        if (file_default < n && (count == 0 || list[count - 1] < file_default))
            list[count++] = file_default;
        list[count++] = n;
    }
    if (file_default > list[count - 1])
        list[count++] = file_default;
    return count;
}

/// Where passes end at the latest: what was asked for, or the largest number of the list, or 16.
static uint32_t choose_stop_samples(const struct pbitc_eval_arguments *arguments, uint32_t limit)
{
    uint32_t most = 0;
    for (size_t i = 0; i < arguments->samples_asked.count; i++)
        most = arguments->samples[i] > most ? arguments->samples[i] : most;
    if (arguments->max_samples)
        return (uint32_t)arguments->max_samples;
    return most > 1 ? most : limit > 1 && limit < PBITC_STOP_SAMPLES ? limit : PBITC_STOP_SAMPLES;
}

/// Adds to the list the T that early stops are measured against.
static void add_stop(struct pbitc_eval_arguments *arguments, const struct pbitc_model_file *file)
{
    uint32_t most = arguments->stop_samples =
        choose_stop_samples(arguments, pbit_model_max_samples(&file->pbit));
    for (size_t i = 0; i < arguments->samples_count; i++) {
        if (arguments->samples[i] == most)
            return;
    }
    arguments->samples[arguments->samples_count++] = most;
}

/// "0.9,0.99" into the list. False when it is something else.
static bool parse_confidences(const char *text, struct pbitc_eval_arguments *arguments)
{
    for (const char *item = text; item;) {
        char number[32];
        size_t length = strcspn(item, ","), count = arguments->confidence_count;
        if (length >= sizeof(number) || count == PBITC_CONFIDENCES_LIMIT)
            return false;
        memcpy(number, item, length);
        number[length] = 0;
        double *confidence = &arguments->confidences[arguments->confidence_count++];
        if (!pbitc_parse_real(number, confidence) || *confidence <= 0.5 || *confidence >= 1)
            return false;
        item = item[length] ? item + length + 1 : NULL;
    }
    return true;
}

static int check_stop(struct pbitc_eval_arguments *arguments)
{
    if (!arguments->samples_asked.word && (arguments->confidence_text || arguments->max_samples))
        return pbitc_usage_error(usage.name, "--confidence and --max-samples need --samples auto");
    const char *text = arguments->confidence_text ? arguments->confidence_text : "0.99";
    if (arguments->samples_asked.word && !parse_confidences(text, arguments))
        return pbitc_usage_error(usage.name,
                                 "--confidence: '%s' is not a list of up to %d numbers above 0.5 and below 1",
                                 text, PBITC_CONFIDENCES_LIMIT);
    return PBITC_EXIT_DONE;
}

static bool parse_shard(const char *text, size_t *shard, size_t *count)
{
    int end = 0;
    return text[0] >= '1' && text[0] <= '9' && sscanf(text, "%5zu/%5zu%n", shard, count, &end) == 2 &&
           !text[end] && *shard >= 1 && *shard <= *count && *count <= SHARDS_LIMIT;
}

static bool has_gates(const struct pbitc_gates *gates)
{
    return gates->cell_count || gates->compare || gates->monotonic;
}

/// What can be said of the command line before the files are opened.
static int check_arguments(struct pbitc_eval_arguments *arguments)
{
    int code = pbitc_gates_parse(usage.name, &arguments->gate_options, &arguments->gates);
    int stop = check_stop(arguments);
    code = stop != PBITC_EXIT_DONE ? stop : code;
    if (arguments->shard_text &&
        !parse_shard(arguments->shard_text, &arguments->shard, &arguments->shard_count))
        code = pbitc_usage_error(usage.name, "--shard: '%s' is not i/n with i in 1..n and n up to %d",
                                 arguments->shard_text, SHARDS_LIMIT);
    if (arguments->shard_text && !arguments->report && !arguments->json)
        code = pbitc_usage_error(usage.name, "--shard needs --report DIR or --json");
    if (arguments->shard_text && has_gates(&arguments->gates))
        code = pbitc_usage_error(usage.name, "gates are for the whole: give them to 'pbitc report merge'");
    if (arguments->preset >= 0 && arguments->constants)
        code = pbitc_usage_error(usage.name, "--preset and --constants exclude each other");
    if (arguments->resume && !arguments->report)
        code = pbitc_usage_error(usage.name, "--resume needs --report DIR");
    if (arguments->target_text && !(pbitc_parse_real(arguments->target_text, &arguments->target) &&
                                    arguments->target >= 0 && arguments->target <= 1))
        code = pbitc_usage_error(usage.name, "--target: '%s' is not in 0..1", arguments->target_text);
    return code;
}

/// The options that fit the kind of file given.
static int check_kind(struct pbitc_eval_arguments *arguments, const struct pbitc_model_file *file)
{
    if (!file->graph) {
        arguments->samples_count = make_list(&arguments->samples_asked, pbit_model_max_samples(&file->pbit),
                                             pbit_model_default_samples(&file->pbit), arguments->samples);
        arguments->draws_count = make_list(&arguments->draws_asked, pbit_model_max_draws(&file->pbit),
                                           pbit_model_default_draws(&file->pbit), arguments->draws);
        if (arguments->confidence_count)
            add_stop(arguments, file);
        return pbitc_gates_check(usage.name, &arguments->gates, arguments->samples, arguments->samples_count,
                                 arguments->draws, arguments->draws_count, arguments->confidence_count > 0,
                                 arguments->baseline != NULL);
    }
    if (arguments->samples_asked.count || arguments->samples_asked.word || arguments->draws_asked.count ||
        arguments->seeds > 0 || arguments->seed >= 0 || arguments->deterministic || arguments->baseline ||
        arguments->target_text || arguments->preset >= 0 || arguments->constants ||
        has_gates(&arguments->gates))
        return pbitc_usage_error(usage.name,
                                 "an ONNX model is the baseline itself: --samples, --draws, --seeds, "
                                 "--seed, --deterministic, --baseline, --target, --preset, --constants and "
                                 "gates need a .pbit file");
    return PBITC_EXIT_DONE;
}

/// After a signal: keeps what was measured, where there is a place for it.
static enum pbit_status keep_partial(const struct pbitc_eval_run *run,
                                     const struct pbitc_accuracy_report *report)
{
    const char *directory = run->arguments->report;
    if (!directory)
        return PBIT_ERROR_STOPPED;
    if (!report) {
        if (run->directory_created)
            rmdir(directory);
        return PBIT_ERROR_STOPPED;
    }
    pbitc_interrupt_hold(true);
    enum pbit_status status = pbitc_report_partial_write(report, directory, run->diagnostics);
    pbitc_interrupt_hold(false);
    if (status != PBIT_OK)
        return status;
    return pbitc_report(run->diagnostics, PBIT_ERROR_STOPPED, NULL, NULL, 0,
                        "the same command with --resume goes on from there",
                        "stopped; %zu of %zu images are kept in %s/%s", report->measured_images,
                        report->images, directory, PBITC_REPORT_PARTIAL_NAME);
}

/// Judges the report by the gates, prints and writes it.
static int conclude(struct pbitc_eval_run *run, struct pbitc_accuracy_report *report)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    enum pbit_status status = pbitc_gates_judge(&arguments->gates, run->diagnostics, report);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    if (arguments->json)
        pbitc_report_write_json(report, stdout);
    else
        pbitc_report_write_text(report, stdout);
    if (arguments->report)
        status = pbitc_report_files_write(report, arguments->report, run->diagnostics);
    size_t broken = pbitc_gates_print_broken(report, stderr);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    return broken ? PBITC_EXIT_GATE : PBITC_EXIT_DONE;
}

static int evaluate(struct pbitc_eval_run *run)
{
    struct pbitc_accuracy_report *report;
    enum pbit_status status = pbitc_eval_prepare(run);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    status = pbitc_eval_measure(run, &report);
    if (pbitc_rank() > 0) // rank 0 speaks for all that were stopped
        return status == PBIT_ERROR_STOPPED ? PBITC_EXIT_DONE : pbitc_exit_code(status);
    if (status == PBIT_ERROR_STOPPED)
        status = keep_partial(run, report);
    return status == PBIT_OK ? conclude(run, report) : pbitc_exit_code(status);
}

/// The whole command on this rank; only rank 0 writes and prints.
static int run_rank(struct pbitc_eval_run *run, struct pbitc_eval_arguments *arguments)
{
    enum pbit_status status = pbitc_model_file_open(&run->model, arguments->model, run->diagnostics);
    if (status == PBIT_OK && (run->model.graph || !arguments->baseline)) // else they are the baseline's
        status = pbitc_shapes_apply(run->model.graph, &arguments->shapes, run->diagnostics);
    int code = status == PBIT_OK ? check_kind(arguments, &run->model) : pbitc_exit_code(status);
    int worst = pbitc_ranks_largest(code);
    if (worst == PBITC_EXIT_DONE)
        code = evaluate(run);
    else if (code == PBITC_EXIT_DONE)
        code = worst;
    pbitc_eval_close(run);
    return code;
}

/// On the ranks but 0: a problem is told when rank 0 does not have one to tell.
static int run_other_rank(struct pbitc_eval_run *run, struct pbitc_eval_arguments *arguments)
{
    run->diagnostics = pbitc_diagnostics_create(); // may be NULL: then nothing is told
    int code = run_rank(run, arguments), code_0 = PBITC_EXIT_DONE;
    pbitc_ranks_share(&code_0, sizeof(code_0));
    if (run->diagnostics && code_0 == PBITC_EXIT_DONE)
        pbitc_diagnostics_print(run->diagnostics, stderr);
    pbitc_diagnostics_destroy(run->diagnostics);
    return code;
}

int pbitc_cmd_eval(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_eval_arguments arguments = {.seeds = -1, .seed = -1, .batch = DEFAULT_BATCH, .preset = -1};
    struct pbitc_eval_run run = {.arguments = &arguments, .diagnostics = diagnostics};
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &arguments.model);
    if (code != PBITC_PARSED)
        return code;
    code = check_arguments(&arguments);
    if (code != PBITC_EXIT_DONE)
        return code;
    pbitc_ranks_begin();
    if (pbitc_rank() > 0) {
        code = run_other_rank(&run, &arguments);
    } else {
        code = run_rank(&run, &arguments);
        pbitc_ranks_share(&code, sizeof(code));
    }
    pbitc_ranks_end();
    return code;
}
