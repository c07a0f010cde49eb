// A table of texts, made once and written as HTML and as Markdown.
#ifndef PBITC_REPORT_TABLE_H
#define PBITC_REPORT_TABLE_H

#include "passes/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/// What a row is marked with: a word in front in Markdown, colour and weight on the page.
enum pbitc_row_mark { PBITC_ROW_PLAIN, PBITC_ROW_MAIN, PBITC_ROW_GOOD, PBITC_ROW_WRONG };

struct pbitc_table {
    struct pbitc_arena *arena; ///< owns the texts
    const char *title, *note;  ///< note: a sentence below the title, may be NULL
    const char *alignment;     ///< a letter per column: 'l' or 'r'
    size_t columns, rows, capacity;
    const char *const *heads; ///< [columns]
    const char **texts;       ///< [rows][columns]; NULL: nothing known
    uint8_t *marks;           ///< [rows]
    bool failed;              ///< out of memory
};

/// Makes room for `capacity` rows. `heads` and `alignment` are borrowed.
void pbitc_table_start(struct pbitc_table *table, struct pbitc_arena *arena, const char *title,
                       const char *const *heads, const char *alignment, size_t capacity);

/// Sets a text of the row that is being made.
void pbitc_table_set(struct pbitc_table *table, size_t column, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/// Ends the row.
void pbitc_table_end_row(struct pbitc_table *table, enum pbitc_row_mark mark);

/// Title and table with aligned columns, for a terminal.
void pbitc_table_write_text(const struct pbitc_table *table, FILE *stream);

/// Title, note and table. Many rows scroll in a box of their own, on paper they stand all.
void pbitc_table_write_html(const struct pbitc_table *table, FILE *stream);

/// The same in at most `limit` bytes: rows that do not fit are left out, which the last line tells.
void pbitc_table_write_markdown(const struct pbitc_table *table, size_t limit, FILE *stream);

#endif
