#include "converter/report/report_table.h"

#include "converter/report/markup.h"
#include "converter/terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/// Tables with more rows scroll in a box, longer texts may break into lines.
enum { TALL = 24, LONG = 32, FORMAT_LIMIT = 2048 };

static const char unknown[] = "\xe2\x80\x93"; // en dash

void pbitc_table_start(struct pbitc_table *table, struct pbitc_arena *arena, const char *title,
                       const char *const *heads, const char *alignment, size_t capacity)
{
    size_t columns = strlen(alignment);
    *table = (struct pbitc_table){
        .arena = arena,
        .title = title,
        .alignment = alignment,
        .columns = columns,
        .capacity = capacity,
        .heads = heads,
        .texts = pbitc_arena_allocate(arena, capacity, columns * sizeof(const char *)),
        .marks = pbitc_arena_allocate(arena, capacity, 1),
    };
    table->failed = !table->texts || !table->marks;
}

void pbitc_table_set(struct pbitc_table *table, size_t column, const char *format, ...)
{
    char text[FORMAT_LIMIT];
    if (table->failed || table->rows >= table->capacity)
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    char *copy = pbitc_arena_copy_string(table->arena, text, strlen(text));
    table->texts[table->rows * table->columns + column] = copy;
    table->failed |= !copy;
}

void pbitc_table_end_row(struct pbitc_table *table, enum pbitc_row_mark mark)
{
    if (table->failed || table->rows >= table->capacity)
        return;
    table->marks[table->rows++] = (uint8_t)mark;
}

/// Columns of which nothing is known are left out.
static bool is_shown(const struct pbitc_table *table, size_t column)
{
    for (size_t row = 0; row < table->rows; row++) {
        if (table->texts[row * table->columns + column])
            return true;
    }
    return false;
}

static const char *text_at(const struct pbitc_table *table, size_t row, size_t column)
{
    const char *text = table->texts[row * table->columns + column];
    return text ? text : unknown;
}

static size_t find_width(const struct pbitc_table *table, size_t column)
{
    size_t width = pbitc_utf8_length(table->heads[column]);
    for (size_t row = 0; row < table->rows; row++) {
        size_t length = pbitc_utf8_length(text_at(table, row, column));
        width = length > width ? length : width;
    }
    return width;
}

/// One text, filled up to the width of its column; the last column's is not.
static void write_padded(const struct pbitc_table *table, size_t column, const char *text, bool last,
                         FILE *stream)
{
    size_t length = pbitc_utf8_length(text);
    int padding = (int)(find_width(table, column) - length);
    bool is_number = table->alignment[column] == 'r';
    fprintf(stream, "%*s", is_number ? padding : 0, "");
    pbitc_terminal_name(stream, text, 0);
    fprintf(stream, "%*s", is_number || last ? 0 : padding, "");
}

void pbitc_table_write_text(const struct pbitc_table *table, FILE *stream)
{
    size_t last = 0;
    for (size_t i = 0; i < table->columns; i++)
        last = is_shown(table, i) ? i : last;
    fprintf(stream, "%s\n", table->title);
    for (size_t row = 0; row <= table->rows; row++) {
        for (size_t i = 0; i < table->columns; i++) {
            if (!is_shown(table, i))
                continue;
            fputs("  ", stream);
            write_padded(table, i, row ? text_at(table, row - 1, i) : table->heads[i], i == last, stream);
        }
        fputc('\n', stream);
    }
    fputc('\n', stream);
}

static void write_html_row(const struct pbitc_table *table, const char *const *texts, bool head,
                           const char *class, FILE *stream)
{
    const char *element = head ? "th" : "td";
    fprintf(stream, *class ? "<tr class=\"%s\">" : "<tr>", class);
    for (size_t i = 0; i < table->columns; i++) {
        const char *text = texts[i] ? texts[i] : unknown;
        bool is_number = table->alignment[i] == 'r', is_long = !head && strlen(text) > LONG;
        if (!is_shown(table, i))
            continue;
        fprintf(stream, is_number ? "<%s class=\"n\">" : is_long ? "<%s class=\"t\">" : "<%s>", element);
        pbitc_markup_write(stream, text);
        fprintf(stream, "</%s>", element);
    }
    fputs("</tr>\n", stream);
}

void pbitc_table_write_html(const struct pbitc_table *table, FILE *stream)
{
    static const char *const classes[] = {"", "main", "good", "wrong"};
    fputs("<section>\n<h2>", stream);
    pbitc_markup_write(stream, table->title);
    fputs("</h2>\n", stream);
    if (table->note) {
        fputs("<p>", stream);
        pbitc_markup_write(stream, table->note);
        fputs("</p>\n", stream);
    }
    // A box that scrolls can be reached by keyboard.
    fprintf(stream, "<div class=\"scroll%s\" tabindex=\"0\">\n<table>\n<thead>",
            table->rows > TALL ? " tall" : "");
    write_html_row(table, table->heads, true, "", stream);
    fputs("</thead>\n<tbody>\n", stream);
    for (size_t i = 0; i < table->rows; i++)
        write_html_row(table, table->texts + i * table->columns, false, classes[table->marks[i]], stream);
    fputs("</tbody>\n</table>\n</div>\n</section>\n", stream);
}

/// One line of Markdown, malloc'ed; NULL when out of memory.
static char *make_markdown_row(const struct pbitc_table *table, size_t row, size_t *size)
{
    char *line = NULL;
    FILE *stream = open_memstream(&line, size);
    bool first = true;
    for (size_t i = 0; stream && i < table->columns; i++) {
        const char *text = table->texts[row * table->columns + i];
        if (!is_shown(table, i))
            continue;
        fputs(first ? "| " : " | ", stream);
        if (first && table->marks[row] == PBITC_ROW_WRONG)
            fputs("**!** ", stream);
        pbitc_markdown_write(stream, text ? text : unknown);
        first = false;
    }
    if (stream)
        fputs(" |\n", stream);
    if (stream && fclose(stream) == 0)
        return line;
    free(line);
    return NULL;
}

static void write_markdown_heads(const struct pbitc_table *table, FILE *stream)
{
    for (size_t i = 0; i < table->columns; i++) {
        if (!is_shown(table, i))
            continue;
        fputs("| ", stream);
        pbitc_markdown_write(stream, table->heads[i]);
        fputc(' ', stream);
    }
    fputs("|\n|", stream);
    for (size_t i = 0; i < table->columns; i++) {
        if (is_shown(table, i))
            fputs(table->alignment[i] == 'r' ? "--:|" : "---|", stream);
    }
    fputc('\n', stream);
}

void pbitc_table_write_markdown(const struct pbitc_table *table, size_t limit, FILE *stream)
{
    size_t used = 600, row = 0; // title, heads and the last line
    fprintf(stream, "\n## %s\n\n", table->title);
    if (table->note) {
        pbitc_markdown_write(stream, table->note);
        fputs("\n\n", stream);
        used += 2 * strlen(table->note);
    }
    write_markdown_heads(table, stream);
    for (; row < table->rows; row++) {
        size_t size;
        char *line = make_markdown_row(table, row, &size);
        bool fits = line && used + size <= limit;
        if (fits)
            fwrite(line, 1, size, stream);
        free(line);
        if (!fits)
            break;
        used += size;
    }
    if (row < table->rows)
        fprintf(stream, "\n%zu more rows are in report.html and report.json.\n", table->rows - row);
}
