// pbitc bench: how fast a .pbit file runs on this machine, and how close that is to what the processor can
// do.
#include "converter/bench/bench.h"
#include "converter/command.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/threads.h"

#include <math.h>

enum { BATCH_LIMIT = 4096 };
static const double seconds_limit = 3600;

struct arguments {
    struct pbitc_integers samples, draws, batch;
    const char *seconds;
    int64_t threads;
    bool json;
};

static const struct pbitc_option options[] = {
    {"samples", 0, "T,T,...", "numbers of passes (1,8)", PBITC_OPTION_INTEGERS,
     offsetof(struct arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m,m,...", "numbers of p-bits per neuron and pass (1,8)", PBITC_OPTION_INTEGERS,
     offsetof(struct arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"batch", 0, "N,N,...",
     "images at once, shared by the threads; where they\nare few, threads share the layers (1,64)",
     PBITC_OPTION_INTEGERS, offsetof(struct arguments, batch), .minimum = 1, .maximum = BATCH_LIMIT},
    {"seconds", 0, "S",
     "to measure each combination of these, about; every one is repeated\n5 times at least (1)",
     PBITC_OPTION_TEXT, offsetof(struct arguments, seconds), .required = false},
    PBITC_THREADS_OPTION(struct arguments, threads),
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct arguments, json), .required = false},
};

static const struct pbitc_usage usage = {
    .name = "bench",
    .operand = "FILE.pbit",
    .summary =
        "Measures how fast a .pbit file runs on this machine, on random images: medians of repetitions that\n"
        "take turns. Layer by layer, on one thread, it prints the share of the time, the useful multiply-\n"
        "accumulates per cycle (one per synapse and pass, whatever m) and their share of the ceiling: what\n"
        "the instruction that multiplies reaches on registers alone, as measured in the same run. Where a\n"
        "neuron does the work of the layers before it, the figures of all are in its line. 'further sample'\n"
        "is what one more pass costs, as a share of the first. Exit code 4 when a figure is above its\n"
        "ceiling.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

/// The list asked for, else 1 and 8 as far as the file allows them.
static struct pbitc_integers list_of(const struct pbitc_integers *asked, int64_t second, int64_t limit)
{
    struct pbitc_integers list = *asked;
    if (list.count == 0) {
        list.items[list.count++] = 1;
        if (limit > 1)
            list.items[list.count++] = second < limit ? second : limit;
    }
    return list;
}

static int64_t largest(const struct pbitc_integers *list)
{
    int64_t most = 0;
    for (size_t i = 0; i < list->count; i++)
        most = list->items[i] > most ? list->items[i] : most;
    return most;
}

static int make_cells(const struct arguments *arguments, struct pbitc_bench *bench)
{
    struct pbitc_integers samples = list_of(&arguments->samples, 8, pbit_model_max_samples(bench->model)),
                          draws = list_of(&arguments->draws, 8, pbit_model_max_draws(bench->model)),
                          batch = list_of(&arguments->batch, 64, BATCH_LIMIT);
    if (samples.count * draws.count * batch.count > PBITC_BENCH_CELLS)
        return pbitc_usage_error(usage.name,
                                 "--samples, --draws and --batch make %zu combinations; %d are allowed",
                                 samples.count * draws.count * batch.count, PBITC_BENCH_CELLS);
    for (size_t b = 0; b < batch.count; b++)
        for (size_t m = 0; m < draws.count; m++)
            for (size_t t = 0; t < samples.count; t++)
                bench->cells[bench->cell_count++] =
                    (struct pbitc_bench_cell){.samples = (uint32_t)samples.items[t],
                                              .draws = (uint32_t)draws.items[m],
                                              .batch = (size_t)batch.items[b]};
    return PBITC_EXIT_DONE;
}

static int run(const struct arguments *arguments, const struct pbitc_model_file *file,
               struct pbitc_bench *bench, struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = pbitc_model_file_check_budget(file, largest(&arguments->draws),
                                                            largest(&arguments->samples), diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    int code = make_cells(arguments, bench);
    if (code != PBITC_EXIT_DONE)
        return code;
    status = pbitc_bench_measure(bench, diagnostics);
    pbitc_progress_clear(bench->progress);
    if (status == PBIT_OK && arguments->json)
        pbitc_bench_write_json(bench, stdout);
    else if (status == PBIT_OK)
        pbitc_bench_print(bench, stdout);
    pbitc_bench_free(bench);
    return pbitc_exit_code(status);
}

int pbitc_cmd_bench(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.seconds = "1"};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    struct pbitc_progress progress = {false};
    struct pbitc_bench bench = {.threads = pbitc_threads(arguments.threads), .progress = &progress};
    if (!pbitc_parse_real(arguments.seconds, &bench.seconds) || bench.seconds < 0 ||
        bench.seconds > seconds_limit)
        return pbitc_usage_error(usage.name, "--seconds: '%s' is not in 0..%g", arguments.seconds,
                                 seconds_limit);
    struct pbitc_model_file file;
    enum pbit_status status = pbitc_model_file_open(&file, path, diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    bench.model = &file.pbit;
    bench.model_hash = file.hash;
    if (file.graph)
        code = pbitc_exit_code(pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                                            "pbitc convert makes one of it",
                                            "%s is an ONNX model, not a .pbit file", path));
    else
        code = run(&arguments, &file, &bench, diagnostics);
    pbitc_model_file_close(&file);
    return code;
}
