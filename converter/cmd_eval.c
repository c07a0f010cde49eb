// pbitc eval: the accuracy surface over draws m and samples T, and the gates on it.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/float_model.h"
#include "converter/gates.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/surface.h"
#include "converter/threads.h"

#include <math.h>
#include <stdlib.h>

enum { SEEDS_LIMIT = 1000, BATCH_LIMIT = 4096, DEFAULT_BATCH = 16 };

struct arguments {
    const char *data, *baseline, *report, *compare;
    int64_t limit, seeds, seed, threads, batch;
    struct pbitc_integers samples, draws;
    struct pbitc_texts min_accuracy, max_drop;
    bool json;
};

static const struct pbitc_option options[] = {
    {"data", 0, "DATA", "labelled images, see below", PBITC_OPTION_TEXT, offsetof(struct arguments, data),
     .required = true},
    {"limit", 0, "N", "use at most the first N images", PBITC_OPTION_INTEGER,
     offsetof(struct arguments, limit), .minimum = 1, .maximum = INT32_MAX},
    {"samples", 0, "T,T,...", "numbers of passes (1,2,4,8 and the file's default)", PBITC_OPTION_INTEGERS,
     offsetof(struct arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m,m,...", "numbers of p-bits per neuron and pass (1,2,4,8 and the file's\ndefault)",
     PBITC_OPTION_INTEGERS, offsetof(struct arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"seeds", 0, "K", "measure with K seeds (1)", PBITC_OPTION_INTEGER, offsetof(struct arguments, seeds),
     .minimum = 1, .maximum = SEEDS_LIMIT},
    {"seed", 0, "S", "the first seed (0)", PBITC_OPTION_INTEGER, offsetof(struct arguments, seed),
     .minimum = 0, .maximum = INT32_MAX},
    {"baseline", 0, "MODEL.onnx", "measure this model too, in float, and compare with it", PBITC_OPTION_TEXT,
     offsetof(struct arguments, baseline), .required = false},
    {"report", 0, "DIR", "write report.json, report.csv and report.md there", PBITC_OPTION_TEXT,
     offsetof(struct arguments, report), .required = false},
    {"min-accuracy", 0, "T:m:X", "fail unless the accuracy at T and m is at least X (0..1);\nmay be repeated",
     PBITC_OPTION_TEXTS, offsetof(struct arguments, min_accuracy), .required = false},
    {"max-drop", 0, "T:m:X",
     "fail unless the accuracy at T and m is at most X (0..1)\nbelow the baseline's; may be repeated",
     PBITC_OPTION_TEXTS, offsetof(struct arguments, max_drop), .required = false},
    {"compare", 0, "OLD.json",
     "fail when a cell is significantly worse than in this earlier\nresult on the same data",
     PBITC_OPTION_TEXT, offsetof(struct arguments, compare), .required = false},
    {"batch", 0, "N", "images that a thread takes at once; no result depends on it (16)",
     PBITC_OPTION_INTEGER, offsetof(struct arguments, batch), .minimum = 1, .maximum = BATCH_LIMIT},
    PBITC_THREADS_OPTION(struct arguments, threads),
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct arguments, json), .required = false},
};

static const struct pbitc_usage usage = {
    .name = "eval",
    .operand = "FILE.pbit|MODEL.onnx",
    .summary =
        "Measures the top-1 accuracy of a .pbit file for every m and T asked for, or of an ONNX model in\n"
        "float. Exit code 1 when a gate (--min-accuracy, --max-drop, --compare) fails. The 95 % intervals "
        "are\n"
        "Wilson's, of the mean over the seeds, with the number of images as the number of trials.\n"
        "Preprocessing that DATA does not state is taken from the .pbit file.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .details = pbitc_dataset_help,
};

/// Everything that an evaluation holds on to.
struct evaluation {
    const struct arguments *arguments;
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_progress progress;
    struct pbitc_model_file model, baseline;
    struct pbitc_dataset *dataset;
    uint32_t samples[PBITC_LIST_LIMIT], draws[PBITC_LIST_LIMIT];
    size_t samples_count, draws_count;
    uint32_t *float_decisions; ///< [images], with a baseline
    struct pbitc_count *counts;
    double *by_seed; ///< [cells * seeds]
    struct pbitc_gate gates[2 * PBITC_LIST_LIMIT];
    size_t gate_count;
    struct pbitc_accuracy_report report;
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

static bool is_in(const uint32_t *list, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}

static int read_gates(struct evaluation *evaluation, const char *option, const struct pbitc_texts *texts,
                      bool is_drop)
{
    int code = PBITC_EXIT_DONE;
    for (size_t i = 0; i < texts->count; i++) {
        struct pbitc_gate *gate = &evaluation->gates[evaluation->gate_count++];
        gate->is_drop = is_drop;
        if (!pbitc_gate_parse(texts->items[i], gate))
            code = pbitc_usage_error(usage.name, "%s: '%s' is not T:m:X with X in 0..1", option,
                                     texts->items[i]);
    }
    return code;
}

/// Gates are looked at before the work: a demand on a cell that is not measured is a mistake, not a failure.
static int check_gates(const struct evaluation *evaluation)
{
    int code = PBITC_EXIT_DONE;
    for (size_t i = 0; i < evaluation->gate_count; i++) {
        const struct pbitc_gate *gate = &evaluation->gates[i];
        if (!is_in(evaluation->samples, evaluation->samples_count, gate->samples) ||
            !is_in(evaluation->draws, evaluation->draws_count, gate->draws))
            code = pbitc_usage_error(usage.name, "the gate on T=%u m=%u asks for a cell that is not measured",
                                     gate->samples, gate->draws);
    }
    return code;
}

/// The options that fit the kind of file given.
static int check_kind(const struct arguments *arguments, bool is_pbit)
{
    if (is_pbit && arguments->max_drop.count && !arguments->baseline)
        return pbitc_usage_error(usage.name, "--max-drop needs --baseline MODEL.onnx");
    if (!is_pbit && (arguments->samples.count || arguments->draws.count || arguments->seeds > 0 ||
                     arguments->seed >= 0 || arguments->baseline || arguments->min_accuracy.count ||
                     arguments->max_drop.count || arguments->compare))
        return pbitc_usage_error(usage.name,
                                 "an ONNX model is the baseline itself: --samples, --draws, --seeds, "
                                 "--seed, --baseline and gates need a .pbit file");
    return PBITC_EXIT_DONE;
}

static enum pbit_status load_data(struct evaluation *evaluation)
{
    struct pbitc_data_keys remembered = pbitc_model_file_data_keys(&evaluation->model);
    struct pbitc_data_request request = {.text = evaluation->arguments->data,
                                         .split = "test",
                                         .remembered = &remembered,
                                         .labels = true,
                                         .limit = (size_t)evaluation->arguments->limit};
    enum pbit_status status = pbitc_dataset_load(&request, evaluation->diagnostics, &evaluation->dataset);
    if (status == PBIT_OK) {
        pbitc_dataset_describe(evaluation->dataset, stderr);
        fputc('\n', stderr);
    }
    return status;
}

static enum pbit_status open_baseline(struct evaluation *evaluation)
{
    const char *path = evaluation->arguments->baseline;
    if (!path)
        return PBIT_OK;
    enum pbit_status status = pbitc_model_file_open(&evaluation->baseline, path, evaluation->diagnostics);
    if (status == PBIT_OK && !evaluation->baseline.graph)
        return pbitc_report(evaluation->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "give the ONNX model it was made from", "the baseline %s is a .pbit file", path);
    return status;
}

static enum pbit_status measure_baseline(struct evaluation *evaluation, const struct pbitc_model_file *file)
{
    const struct arguments *arguments = evaluation->arguments;
    const struct pbitc_dataset *dataset = evaluation->dataset;
    evaluation->float_decisions = calloc(dataset->images, sizeof(*evaluation->float_decisions));
    if (!evaluation->float_decisions)
        return pbitc_report_memory(evaluation->diagnostics);
    struct pbitc_float_model model;
    enum pbit_status status =
        pbitc_float_model_open(&model, file->graph, (size_t)arguments->batch,
                               pbitc_threads(arguments->threads), evaluation->diagnostics);
    if (status == PBIT_OK)
        status = pbitc_float_model_decide(&model, dataset, &evaluation->progress, evaluation->diagnostics,
                                          evaluation->float_decisions);
    pbitc_float_model_close(&model);
    if (status != PBIT_OK)
        return status;
    size_t correct = 0;
    for (size_t i = 0; i < dataset->images; i++)
        correct += evaluation->float_decisions[i] == (uint64_t)dataset->labels[i];
    struct pbitc_accuracy_report *report = &evaluation->report;
    report->has_baseline = true;
    report->baseline.accuracy = (double)correct / (double)dataset->images;
    report->baseline.interval = pbitc_wilson(report->baseline.accuracy, dataset->images);
    report->baseline_hash = file->hash;
    return PBIT_OK;
}

/// From the counts of one cell to its numbers.
static void fill_cell(struct evaluation *evaluation, const struct pbitc_surface_request *request,
                      size_t draws, size_t samples)
{
    struct pbitc_accuracy_report *report = &evaluation->report;
    struct pbitc_accuracy_cell *cell = &report->cells[draws * request->samples_count + samples];
    size_t first = pbitc_surface_index(request, draws, samples, 0);
    double images = (double)report->images, trials = images * (double)request->seed_count;
    uint64_t correct = 0, agreed = 0;
    for (size_t seed = 0; seed < request->seed_count; seed++) {
        const struct pbitc_count *count = &evaluation->counts[first + seed];
        evaluation->by_seed[first + seed] = (double)count->correct / images;
        correct += count->correct;
        agreed += count->agreed;
    }
    cell->samples = request->samples[samples];
    cell->draws = request->draws[draws];
    cell->by_seed = evaluation->by_seed + first;
    cell->accuracy = (double)correct / trials;
    cell->interval = pbitc_wilson(cell->accuracy, report->images);
    // Counted, not subtracted: a drop of 40 in 2000 is exactly the 0.02 that a gate names.
    cell->drop =
        (round(report->baseline.accuracy * images) * (double)request->seed_count - (double)correct) / trials;
    cell->agreement = (double)agreed / trials;
}

static enum pbit_status measure_surface(struct evaluation *evaluation)
{
    const struct arguments *arguments = evaluation->arguments;
    struct pbitc_accuracy_report *report = &evaluation->report;
    struct pbitc_surface_request request = {
        .model = &evaluation->model.pbit,
        .dataset = evaluation->dataset,
        .samples_count = evaluation->samples_count,
        .draws_count = evaluation->draws_count,
        .seed_count = arguments->seeds > 0 ? (size_t)arguments->seeds : 1,
        .samples = evaluation->samples,
        .draws = evaluation->draws,
        .first_seed = arguments->seed > 0 ? (uint64_t)arguments->seed : 0,
        .float_decisions = evaluation->float_decisions,
        .threads = pbitc_threads(arguments->threads),
        .batch = (size_t)arguments->batch,
    };
    report->has_model = true;
    report->model_hash = evaluation->model.hash;
    report->first_seed = request.first_seed;
    report->seed_count = request.seed_count;
    report->cell_count = request.draws_count * request.samples_count;
    evaluation->counts = calloc(report->cell_count * request.seed_count, sizeof(*evaluation->counts));
    evaluation->by_seed = calloc(report->cell_count * request.seed_count, sizeof(*evaluation->by_seed));
    report->cells = calloc(report->cell_count, sizeof(*report->cells));
    if (!evaluation->counts || !evaluation->by_seed || !report->cells)
        return pbitc_report_memory(evaluation->diagnostics);
    enum pbit_status status =
        pbitc_surface_measure(&request, &evaluation->progress, evaluation->diagnostics, evaluation->counts);
    for (size_t draws = 0; draws < request.draws_count && status == PBIT_OK; draws++) {
        for (size_t samples = 0; samples < request.samples_count; samples++)
            fill_cell(evaluation, &request, draws, samples);
    }
    return status;
}

/// One file of the report.
static const struct form {
    const char *name;
    void (*write)(const struct pbitc_accuracy_report *report, FILE *stream);
} forms[] = {
    {"report.json", pbitc_report_write_json},
    {"report.csv", pbitc_report_write_csv},
    {"report.md", pbitc_report_write_markdown},
};
enum { FORM_COUNT = sizeof(forms) / sizeof(forms[0]) };

static bool make_form(const struct form *form, const struct evaluation *evaluation, struct pbitc_file *file)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, &file->size);
    if (stream)
        form->write(&evaluation->report, stream);
    bool good = stream && !ferror(stream);
    if (stream && fclose(stream) != 0)
        good = false;
    file->bytes = text;
    file->path = pbitc_path_join(evaluation->arguments->report, form->name);
    return good && file->path;
}

static enum pbit_status write_report(const struct evaluation *evaluation)
{
    struct pbitc_file files[FORM_COUNT] = {{.path = NULL}};
    enum pbit_status status = pbitc_directory_make(evaluation->arguments->report, evaluation->diagnostics);
    for (size_t i = 0; i < FORM_COUNT && status == PBIT_OK; i++) {
        if (!make_form(&forms[i], evaluation, &files[i]))
            status = pbitc_report_memory(evaluation->diagnostics);
    }
    if (status == PBIT_OK)
        status = pbitc_files_write(files, FORM_COUNT, evaluation->diagnostics);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        free((void *)files[i].path);
        free((void *)files[i].bytes);
    }
    return status;
}

static enum pbit_status measure(struct evaluation *evaluation)
{
    bool is_pbit = !evaluation->model.graph;
    enum pbit_status status = open_baseline(evaluation), data = load_data(evaluation);
    status = status != PBIT_OK ? status : data;
    if (status != PBIT_OK)
        return status;
    evaluation->report.images = evaluation->dataset->images;
    evaluation->report.data_hash = evaluation->dataset->hash;
    if (!is_pbit || evaluation->arguments->baseline)
        status = measure_baseline(evaluation, is_pbit ? &evaluation->baseline : &evaluation->model);
    if (status == PBIT_OK && is_pbit)
        status = measure_surface(evaluation);
    pbitc_progress_clear(&evaluation->progress);
    return status;
}

/// Prints and writes the report, then judges it by the gates.
static int conclude(struct evaluation *evaluation)
{
    const struct arguments *arguments = evaluation->arguments;
    if (arguments->json)
        pbitc_report_write_json(&evaluation->report, stdout);
    else
        pbitc_report_write_text(&evaluation->report, stdout);
    enum pbit_status status = arguments->report ? write_report(evaluation) : PBIT_OK;
    size_t broken = 0, fell = 0;
    for (size_t i = 0; i < evaluation->gate_count; i++)
        broken += !pbitc_gate_check(&evaluation->gates[i], &evaluation->report, stderr);
    if (status == PBIT_OK && arguments->compare)
        status = pbitc_report_compare(&evaluation->report, arguments->compare, stderr,
                                      evaluation->diagnostics, &fell);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    return broken || fell ? PBITC_EXIT_GATE : PBITC_EXIT_DONE;
}

/// Reports every m and T of the lists that the file does not allow.
static enum pbit_status check_budget(const struct evaluation *evaluation)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < evaluation->draws_count; i++) {
        enum pbit_status one = pbitc_model_file_check_budget(&evaluation->model, evaluation->draws[i], 0,
                                                             evaluation->diagnostics);
        status = one != PBIT_OK ? one : status;
    }
    for (size_t i = 0; i < evaluation->samples_count; i++) {
        enum pbit_status one = pbitc_model_file_check_budget(&evaluation->model, 0, evaluation->samples[i],
                                                             evaluation->diagnostics);
        status = one != PBIT_OK ? one : status;
    }
    return status;
}

static int evaluate(struct evaluation *evaluation)
{
    const struct arguments *arguments = evaluation->arguments;
    bool is_pbit = !evaluation->model.graph;
    int code = check_kind(arguments, is_pbit);
    if (code != PBITC_EXIT_DONE)
        return code;
    if (is_pbit) {
        const struct pbit_model *model = &evaluation->model.pbit;
        evaluation->samples_count = make_list(&arguments->samples, pbit_model_max_samples(model),
                                              pbit_model_default_samples(model), evaluation->samples);
        evaluation->draws_count = make_list(&arguments->draws, pbit_model_max_draws(model),
                                            pbit_model_default_draws(model), evaluation->draws);
        code = check_gates(evaluation);
    }
    if (code != PBITC_EXIT_DONE)
        return code;
    enum pbit_status status = check_budget(evaluation);
    if (status == PBIT_OK)
        status = measure(evaluation);
    return status == PBIT_OK ? conclude(evaluation) : pbitc_exit_code(status);
}

int pbitc_cmd_eval(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.seeds = -1, .seed = -1, .batch = DEFAULT_BATCH};
    struct evaluation evaluation = {.arguments = &arguments, .diagnostics = diagnostics};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    code = read_gates(&evaluation, "--min-accuracy", &arguments.min_accuracy, false);
    int drops = read_gates(&evaluation, "--max-drop", &arguments.max_drop, true);
    if (code != PBITC_EXIT_DONE || drops != PBITC_EXIT_DONE)
        return PBITC_EXIT_USAGE;
    enum pbit_status status = pbitc_model_file_open(&evaluation.model, path, diagnostics);
    code = status == PBIT_OK ? evaluate(&evaluation) : pbitc_exit_code(status);
    free(evaluation.report.cells);
    free(evaluation.by_seed);
    free(evaluation.counts);
    free(evaluation.float_decisions);
    pbitc_dataset_destroy(evaluation.dataset);
    pbitc_model_file_close(&evaluation.baseline);
    pbitc_model_file_close(&evaluation.model);
    return code;
}
