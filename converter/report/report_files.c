#include "converter/report/report_files.h"

#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/report/plot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// One file of the report, made in one of three ways.
struct form {
    const char *name;
    void (*write)(const struct pbitc_accuracy_report *report, FILE *stream);
    bool (*make)(const struct pbitc_accuracy_report *report, FILE *stream); ///< false: out of memory
    const struct pbitc_plot *plot;
    bool verdict; ///< for pipelines, which a partial report does not answer
};

static const struct form forms[] = {
    {PBITC_REPORT_NAME, .write = pbitc_report_write_json},
    {"report.csv", .write = pbitc_report_write_csv},
    {"report.md", .make = pbitc_report_write_markdown},
    {"report.html", .make = pbitc_report_write_html},
    {"junit.xml", .write = pbitc_report_write_junit, .verdict = true},
    {"badge.json", .write = pbitc_report_write_badge, .verdict = true},
};
enum { FORM_COUNT = sizeof(forms) / sizeof(forms[0]), FILE_COUNT = FORM_COUNT + PBITC_PLOT_COUNT };

/// Pixels of the PNG files for one of the drawing.
#define PLOT_SCALE 2

char *pbitc_report_find_file(const char *path)
{
    if (!pbitc_is_directory(path))
        return strdup(path);
    char *file = pbitc_path_join(path, PBITC_REPORT_NAME);
    if (file && access(file, F_OK) != 0) {
        free(file);
        file = pbitc_path_join(path, PBITC_REPORT_PARTIAL_NAME);
    }
    return file;
}

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

static bool write_plot(const struct pbitc_plot *plot, const struct pbitc_accuracy_report *report,
                       FILE *stream)
{
    struct pbitc_drawing *drawing = plot->draw(report);
    bool good =
        drawing && pbitc_drawing_is_good(drawing) && pbitc_drawing_write_png(drawing, PLOT_SCALE, stream);
    pbitc_drawing_destroy(drawing);
    return good;
}

static bool write_form(const struct form *form, const struct pbitc_accuracy_report *report, FILE *stream)
{
    if (form->plot)
        return write_plot(form->plot, report, stream);
    if (form->make)
        return form->make(report, stream);
    form->write(report, stream);
    return true;
}

static bool make_file(const struct form *form, const char *name, const struct pbitc_accuracy_report *report,
                      const char *directory, struct pbitc_file *file)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, &file->size);
    bool good = stream && write_form(form, report, stream) && !ferror(stream);
    if (stream && fclose(stream) != 0)
        good = false;
    file->bytes = text;
    file->path = pbitc_path_join(directory, name);
    return good && file->path;
}

static bool make_plot(const struct pbitc_plot *plot, const struct pbitc_accuracy_report *report,
                      const char *directory, struct pbitc_file *file)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.png", plot->name);
    return make_file(&(struct form){.plot = plot}, name, report, directory, file);
}

/// Writes the first `form_count` forms, the first of them under the name given, and the plots.
static enum pbit_status write_files(const struct pbitc_accuracy_report *report, const char *directory,
                                    size_t form_count, const char *first_name, bool plots,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_file files[FILE_COUNT] = {{.path = NULL}};
    size_t count = 0;
    bool good = true;
    for (size_t i = 0; i < form_count && good; i++) {
        if (report->partial && forms[i].verdict)
            continue;
        good = make_file(&forms[i], i ? forms[i].name : first_name, report, directory, &files[count++]);
    }
    for (size_t i = 0; plots && i < PBITC_PLOT_COUNT && good; i++) {
        if (pbitc_plots[i].is_possible(report))
            good = make_plot(&pbitc_plots[i], report, directory, &files[count++]);
    }
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
    enum pbit_status status = write_files(report, directory, FORM_COUNT, forms[0].name, true, diagnostics);
    char *path = status == PBIT_OK ? pbitc_path_join(directory, PBITC_REPORT_PARTIAL_NAME) : NULL;
    if (path)
        unlink(path);
    free(path);
    return status;
}

enum pbit_status pbitc_report_partial_write(const struct pbitc_accuracy_report *report, const char *directory,
                                            struct pbitc_diagnostics *diagnostics)
{
    return write_files(report, directory, 1, PBITC_REPORT_PARTIAL_NAME, false, diagnostics);
}
