#include "converter/report/markup.h"
#include "converter/report/report_tables.h"

#include <string.h>

/// Longer commands and gates are cut: the whole file stays below the 64 KB of a step summary.
enum { COMMAND_LIMIT = 3000, TEXT_LIMIT = 300 };

/// Writes the text, its end cut off where it is long.
static void write_cut(FILE *stream, const char *text)
{
    char start[TEXT_LIMIT + 8];
    snprintf(start, TEXT_LIMIT, "%s", text);
    if (strlen(text) >= TEXT_LIMIT)
        strcat(start, "...");
    pbitc_markdown_write(stream, start);
}

static void write_findings(const struct pbitc_accuracy_report *report, struct pbitc_arena *arena,
                           FILE *stream)
{
    struct pbitc_finding findings[PBITC_FINDINGS_LIMIT];
    size_t count = pbitc_report_findings(report, arena, findings);
    for (size_t i = 0; i < count; i++) {
        fputs("- ", stream);
        pbitc_markdown_write(stream, findings[i].name);
        fputs(": **", stream);
        write_cut(stream, findings[i].value);
        fputs("** (", stream);
        write_cut(stream, findings[i].note);
        fputs(")\n", stream);
    }
}

/// A code block; a command that could end it is left out.
static void write_command(const struct pbitc_accuracy_report *report, FILE *stream)
{
    size_t length = strlen(report->command);
    fputs("\n## To repeat it\n\n", stream);
    if (length > COMMAND_LIMIT || strstr(report->command, "````````")) {
        fputs("The command is in report.html and report.json.\n", stream);
        return;
    }
    fputs("````````sh\n", stream);
    for (const char *text = report->command, *start = text; *text; start = text) {
        uint32_t character = pbitc_utf8_next(&text);
        if (character == 0xfffd)
            fputs("\xef\xbf\xbd", stream);
        else
            fwrite(start, 1, (size_t)(text - start), stream);
    }
    fputs("\n````````\n", stream);
}

bool pbitc_report_write_markdown(const struct pbitc_accuracy_report *report, FILE *stream)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    const char *name = arena ? pbitc_report_name(report, arena) : NULL;
    bool good = name;
    if (good) {
        fputs("# Accuracy of ", stream);
        write_cut(stream, name);
        fputs("\n\n", stream);
        if (report->partial)
            fprintf(stream,
                    "> **PARTIAL REPORT: %zu of %zu images are measured.** The figures are of these.\n\n",
                    report->measured_images, report->images);
        write_findings(report, arena, stream);
    }
    for (size_t i = 0; good && i < PBITC_TABLE_COUNT; i++) {
        struct pbitc_table table;
        pbitc_table_makers[i].make(&table, report, arena);
        good = !table.failed;
        if (good && table.rows)
            pbitc_table_write_markdown(&table, pbitc_table_makers[i].markdown_limit, stream);
    }
    if (good)
        write_command(report, stream);
    pbitc_arena_destroy(arena);
    return good;
}
