#include "converter/report/report_files.h"

#include "converter/data/readers.h"
#include "converter/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// One file of the report.
static const struct form {
    const char *name;
    void (*write)(const struct pbitc_accuracy_report *report, FILE *stream);
} forms[] = {
    {PBITC_REPORT_NAME, pbitc_report_write_json}, {"report.csv", pbitc_report_write_csv},
    {"report.md", pbitc_report_write_markdown},   {"junit.xml", pbitc_report_write_junit},
    {"badge.json", pbitc_report_write_badge},
};
enum { FORM_COUNT = sizeof(forms) / sizeof(forms[0]) };

enum pbit_status pbitc_report_directory_make(const char *directory, struct pbitc_diagnostics *diagnostics,
                                             bool *created)
{
    *created = !pbitc_is_directory(directory);
    enum pbit_status status = pbitc_directory_make(directory, diagnostics);
    if (status != PBIT_OK)
        return status;
    char *path = pbitc_path_join(directory, ".pbitc-XXXXXX");
    int descriptor = path ? mkstemp(path) : -1;
    if (descriptor >= 0) {
        close(descriptor);
        unlink(path);
    } else if (path) {
        status = pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot write into %s: %s",
                              directory, strerror(errno));
    } else {
        status = pbitc_report_memory(diagnostics);
    }
    free(path);
    return status;
}

static bool make_file(const struct form *form, const char *name, const struct pbitc_accuracy_report *report,
                      const char *directory, struct pbitc_file *file)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, &file->size);
    if (stream)
        form->write(report, stream);
    bool good = stream && !ferror(stream);
    if (stream && fclose(stream) != 0)
        good = false;
    file->bytes = text;
    file->path = pbitc_path_join(directory, name);
    return good && file->path;
}

static enum pbit_status write_files(const struct pbitc_accuracy_report *report, const char *directory,
                                    size_t count, const char *first_name,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_file files[FORM_COUNT] = {{.path = NULL}};
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = make_file(&forms[i], i ? forms[i].name : first_name, report, directory, &files[i]);
    enum pbit_status status =
        good ? pbitc_files_write(files, count, diagnostics) : pbitc_report_memory(diagnostics);
    for (size_t i = 0; i < count; i++) {
        free((void *)files[i].path);
        free((void *)files[i].bytes);
    }
    return status;
}

enum pbit_status pbitc_report_files_write(const struct pbitc_accuracy_report *report, const char *directory,
                                          struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status =
        write_files(report, directory, report->partial ? 1 : FORM_COUNT, forms[0].name, diagnostics);
    char *path = status == PBIT_OK ? pbitc_path_join(directory, PBITC_REPORT_PARTIAL_NAME) : NULL;
    if (path)
        unlink(path);
    free(path);
    return status;
}

enum pbit_status pbitc_report_partial_write(const struct pbitc_accuracy_report *report, const char *directory,
                                            struct pbitc_diagnostics *diagnostics)
{
    return write_files(report, directory, 1, PBITC_REPORT_PARTIAL_NAME, diagnostics);
}
