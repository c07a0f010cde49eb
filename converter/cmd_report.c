// pbitc report: works on reports that eval has written.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/gates.h"
#include "converter/options.h"
#include "converter/report/report_files.h"
#include "converter/report/report_merge.h"
#include "converter/report/report_read.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS_LIMIT = 65535 };

struct merge_arguments {
    const char *directory;
    struct pbitc_gate_options gate_options;
    bool json;
};

static const struct pbitc_option merge_options[] = {
    {"output", 'o', "DIR", "where the whole report goes", PBITC_OPTION_TEXT,
     offsetof(struct merge_arguments, directory), .required = true},
    PBITC_GATE_OPTIONS(struct merge_arguments, gate_options),
    {"json", 0, NULL, "print JSON too", PBITC_OPTION_FLAG, offsetof(struct merge_arguments, json),
     .required = false},
};

static const struct pbitc_usage merge_usage = {
    .name = "report merge",
    .operand = "PART...",
    .operands_least = 1,
    .operands_most = PARTS_LIMIT,
    .summary =
        "Joins what 'pbitc eval --shard i/n' measured into the report that one run would have written, byte\n"
        "for byte. PART is a report.json, the output of 'eval --shard i/n --json', or the directory of a\n"
        "report. Gates are judged on the whole: exit code 1 when one fails.",
    .options = merge_options,
    .option_count = sizeof(merge_options) / sizeof(merge_options[0]),
};

/// What merge holds on to.
struct merge {
    struct merge_arguments arguments;
    struct pbitc_gates gates;
    struct pbitc_report_part *parts;
    size_t part_count;
    struct pbitc_accuracy_report *whole;
    struct pbitc_diagnostics *diagnostics;
};

static enum pbit_status read_parts(struct merge *merge, const char *const *paths)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < merge->part_count; i++) {
        char *file = pbitc_report_find_file(paths[i]);
        enum pbit_status one = file ? pbitc_report_read(file, merge->diagnostics, &merge->parts[i].report)
                                    : pbitc_report_memory(merge->diagnostics);
        merge->parts[i].name = paths[i];
        status = status != PBIT_OK ? status : one;
        free(file);
    }
    return status;
}

/// The gates have to fit what was measured.
static int check_gates(const struct merge *merge)
{
    const struct pbitc_accuracy_report *report = merge->whole;
    uint32_t *samples = calloc(report->cell_count + 1, sizeof(*samples));
    uint32_t *draws = calloc(report->cell_count + 1, sizeof(*draws));
    int code = PBITC_EXIT_INTERNAL;
    for (size_t i = 0; i < report->cell_count && samples && draws; i++) {
        samples[i] = report->cells[i].samples;
        draws[i] = report->cells[i].draws;
    }
    if (samples && draws)
        code = pbitc_gates_check(merge_usage.name, &merge->gates, samples, report->cell_count, draws,
                                 report->cell_count, report->stop_count > 0, report->has_baseline);
    free(samples);
    free(draws);
    return code;
}

static enum pbit_status join(struct merge *merge)
{
    enum pbit_status status =
        pbitc_report_merge(merge->parts, merge->part_count, merge->diagnostics, &merge->whole);
    enum pbit_status whole = pbitc_report_check_whole(merge->parts, merge->part_count, merge->diagnostics);
    return status != PBIT_OK ? status : whole;
}

static int conclude(struct merge *merge)
{
    int code = check_gates(merge);
    if (code != PBITC_EXIT_DONE)
        return code;
    bool created;
    enum pbit_status status =
        pbitc_report_directory_make(merge->arguments.directory, merge->diagnostics, &created);
    if (status == PBIT_OK)
        status = pbitc_gates_judge(&merge->gates, merge->diagnostics, merge->whole);
    if (status == PBIT_OK)
        status = pbitc_report_files_write(merge->whole, merge->arguments.directory, merge->diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    if (merge->arguments.json)
        pbitc_report_write_json(merge->whole, stdout);
    else
        pbitc_report_write_text(merge->whole, stdout);
    return pbitc_gates_print_broken(merge->whole, stderr) ? PBITC_EXIT_GATE : PBITC_EXIT_DONE;
}

static int merge_paths(struct merge *merge, const char *const *paths)
{
    merge->parts = calloc(merge->part_count, sizeof(*merge->parts));
    enum pbit_status status =
        merge->parts ? read_parts(merge, paths) : pbitc_report_memory(merge->diagnostics);
    if (status == PBIT_OK)
        status = join(merge);
    int code = status == PBIT_OK ? conclude(merge) : pbitc_exit_code(status);
    pbitc_report_destroy(merge->whole);
    for (size_t i = 0; merge->parts && i < merge->part_count; i++)
        pbitc_report_destroy(merge->parts[i].report);
    free(merge->parts);
    return code;
}

static int run_merge(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct merge merge = {.diagnostics = diagnostics};
    const char **paths = calloc((size_t)argc, sizeof(*paths));
    if (!paths)
        return pbitc_exit_code(pbitc_report_memory(diagnostics));
    int code =
        pbitc_options_parse_operands(&merge_usage, argc, argv, &merge.arguments, paths, &merge.part_count);
    if (code == PBITC_PARSED) {
        code = pbitc_gates_parse(merge_usage.name, &merge.arguments.gate_options, &merge.gates);
        if (code == PBITC_EXIT_DONE)
            code = merge_paths(&merge, paths);
    }
    free(paths);
    return code;
}

static const struct subcommand {
    const char *name, *summary;
    pbitc_command_function *run;
} subcommands[] = {
    {"diff", "show what changed between two reports", pbitc_cmd_report_diff},
    {"merge", "join the reports of shards", run_merge},
};
enum { SUBCOMMAND_COUNT = sizeof(subcommands) / sizeof(subcommands[0]) };

static void print_usage(FILE *stream)
{
    fputs("Usage: pbitc report SUBCOMMAND ...\n\nWorks on the reports that 'pbitc eval' writes.\n\n"
          "Subcommands:\n",
          stream);
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(stream, "  %-10s%s\n", subcommands[i].name, subcommands[i].summary);
    fputs("\n'pbitc report SUBCOMMAND --help' tells more.\n", stream);
}

int pbitc_cmd_report(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return PBITC_EXIT_DONE;
    }
    for (size_t i = 0; argc >= 2 && i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return subcommands[i].run(argc - 1, argv + 1, diagnostics);
    }
    if (argc < 2)
        pbitc_usage_error("report", "SUBCOMMAND is missing");
    else
        pbitc_usage_error("report", "unknown subcommand '%s'", argv[1]);
    fputs("Try 'pbitc report --help'.\n", stderr);
    return PBITC_EXIT_USAGE;
}
