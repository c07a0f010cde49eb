// pbitc report diff: what changed from one report to another.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/options.h"
#include "converter/report/report_diff.h"
#include "converter/report/report_files.h"
#include "converter/report/report_read.h"

#include <stdlib.h>

struct arguments {
    const char *markdown, *html;
    bool json;
};

static const struct pbitc_option options[] = {
    {"markdown", 0, "FILE", "write it as Markdown too", PBITC_OPTION_TEXT,
     offsetof(struct arguments, markdown), .required = false},
    {"html", 0, "FILE", "write it as a page too", PBITC_OPTION_TEXT, offsetof(struct arguments, html),
     .required = false},
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct arguments, json), .required = false},
};

static const struct pbitc_usage usage = {
    .name = "report diff",
    .operand = "BEFORE AFTER",
    .operands_least = 2,
    .operands_most = 2,
    .summary =
        "Shows what changed between two reports, each a report.json, the output of 'eval --json' or the\n"
        "directory of a report: what differs in model, data and options, then accuracy and energy of every\n"
        "m and T that both have. A change is called better or worse when the chance of calling any of them\n"
        "so by mistake is below 5 %. Exit code 0 whatever changed; gates are eval's --compare.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

typedef bool writer(const struct pbitc_report_diff *diff, FILE *stream);

static enum pbit_status make_file(const struct pbitc_report_diff *diff, writer *write, const char *path,
                                  struct pbitc_file *file, struct pbitc_diagnostics *diagnostics)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, &file->size);
    bool good = stream && write(diff, stream) && !ferror(stream);
    if (stream && fclose(stream) != 0)
        good = false;
    file->path = path;
    file->bytes = text;
    return good ? PBIT_OK : pbitc_report_memory(diagnostics);
}

/// The files asked for, both or none, then what is printed.
static enum pbit_status write_all(const struct pbitc_report_diff *diff, const struct arguments *arguments,
                                  struct pbitc_diagnostics *diagnostics)
{
    const struct {
        const char *path;
        writer *write;
    } forms[] = {{arguments->markdown, pbitc_report_diff_write_markdown},
                 {arguments->html, pbitc_report_diff_write_html}};
    struct pbitc_file files[2] = {{.path = NULL}};
    size_t count = 0;
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < 2 && status == PBIT_OK; i++) {
        if (forms[i].path)
            status = make_file(diff, forms[i].write, forms[i].path, &files[count++], diagnostics);
    }
    if (status == PBIT_OK && count)
        status = pbitc_files_write(files, count, diagnostics);
    for (size_t i = 0; i < count; i++)
        free((void *)files[i].bytes);
    writer *print = arguments->json ? pbitc_report_diff_write_json : pbitc_report_diff_write_text;
    if (status == PBIT_OK && !print(diff, stdout))
        status = pbitc_report_memory(diagnostics);
    return status;
}

static enum pbit_status read_report(const char *path, struct pbitc_diagnostics *diagnostics,
                                    struct pbitc_accuracy_report **report)
{
    char *file = pbitc_report_find_file(path);
    enum pbit_status status =
        file ? pbitc_report_read(file, diagnostics, report) : pbitc_report_memory(diagnostics);
    free(file);
    return status;
}

static enum pbit_status compare(const char *const *paths, const struct arguments *arguments,
                                struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_accuracy_report *before = NULL, *after = NULL;
    struct pbitc_report_diff *diff = NULL;
    enum pbit_status status = read_report(paths[0], diagnostics, &before);
    enum pbit_status second = read_report(paths[1], diagnostics, &after);
    status = status != PBIT_OK ? status : second;
    if (status == PBIT_OK)
        status = pbitc_report_diff_make(before, paths[0], after, paths[1], diagnostics, &diff);
    if (status == PBIT_OK)
        status = write_all(diff, arguments, diagnostics);
    pbitc_report_diff_destroy(diff);
    pbitc_report_destroy(before);
    pbitc_report_destroy(after);
    return status;
}

int pbitc_cmd_report_diff(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {0};
    size_t count;
    const char **paths = calloc((size_t)argc, sizeof(*paths));
    if (!paths)
        return pbitc_exit_code(pbitc_report_memory(diagnostics));
    int code = pbitc_options_parse_operands(&usage, argc, argv, &arguments, paths, &count);
    if (code == PBITC_PARSED)
        code = pbitc_exit_code(compare(paths, &arguments, diagnostics));
    free((void *)paths);
    return code;
}
