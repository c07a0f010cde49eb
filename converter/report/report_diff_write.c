#include "converter/json.h"
#include "converter/report/markup.h"
#include "converter/report/page.h"
#include "converter/report/plot_support.h"
#include "converter/report/report_diff.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { TABLES = 3, MARKDOWN_LIMIT = 18000 };

static void make_facts(struct pbitc_table *table, const struct pbitc_report_diff *diff)
{
    static const char *const heads[] = {"what", "before", "after"};
    pbitc_table_start(table, diff->arena, "What differs", heads, "lll", diff->fact_count);
    for (size_t i = 0; i < diff->fact_count; i++) {
        pbitc_table_set(table, 0, "%s", diff->facts[i].name);
        if (*diff->facts[i].before)
            pbitc_table_set(table, 1, "%s", diff->facts[i].before);
        if (*diff->facts[i].after)
            pbitc_table_set(table, 2, "%s", diff->facts[i].after);
        pbitc_table_end_row(table, PBITC_ROW_PLAIN);
    }
}

/// The columns from `column` on, which budgets and networks share.
static void end_change(struct pbitc_table *table, size_t column, const struct pbitc_report_change *change)
{
    char text[PBITC_NUMBER_TEXT];
    const struct pbitc_accuracy_cell *cells[] = {change->before, change->after};
    for (size_t i = 0; i < 2; i++) {
        pbitc_table_set(table, column + i, "%.2f", 100 * cells[i]->accuracy);
        if (cells[i]->has_energy)
            pbitc_table_set(table, column + 5 + i, "%s", pbitc_energy_text(cells[i]->energy, 3, text));
    }
    pbitc_table_set(table, column + 2, "%+.2f", 100 * change->difference);
    pbitc_table_set(table, column + 3, "%.2g", change->p_value);
    const char *word = change->difference == 0  ? "same"
                       : !change->real          ? "not significant"
                       : change->difference < 0 ? "worse"
                                                : "better";
    pbitc_table_set(table, column + 4, "%s", word);
    pbitc_table_end_row(table, !change->real            ? PBITC_ROW_PLAIN
                               : change->difference < 0 ? PBITC_ROW_WRONG
                                                        : PBITC_ROW_GOOD);
}

static void make_budgets(struct pbitc_table *table, const struct pbitc_report_diff *diff)
{
    static const char *const heads[] = {"m",       "T",       "before %",      "after %",     "change",
                                        "p-value", "verdict", "energy before", "energy after"};
    pbitc_table_start(table, diff->arena, "Budgets", heads, "rrrrrrlrr", diff->change_count);
    for (size_t i = 0; i < diff->change_count; i++) {
        pbitc_table_set(table, 0, "%" PRIu32, diff->changes[i].after->draws);
        pbitc_table_set(table, 1, "%" PRIu32, diff->changes[i].after->samples);
        end_change(table, 2, &diff->changes[i]);
    }
}

static void make_networks(struct pbitc_table *table, const struct pbitc_report_diff *diff)
{
    static const char *const heads[] = {"activations", "before %", "after %",       "change",
                                        "p-value",     "verdict",  "energy before", "energy after"};
    pbitc_table_start(table, diff->arena, "Deterministic networks", heads, "lrrrrlrr", diff->fixed_count);
    for (size_t i = 0; i < diff->fixed_count; i++) {
        char name[PBITC_NUMBER_TEXT];
        pbitc_table_set(table, 0, "%s", pbitc_twin_text(diff->fixed[i].after, name));
        end_change(table, 1, &diff->fixed[i]);
    }
}

static bool make_tables(const struct pbitc_report_diff *diff, struct pbitc_table tables[TABLES])
{
    make_facts(&tables[0], diff);
    make_budgets(&tables[1], diff);
    make_networks(&tables[2], diff);
    return !tables[0].failed && !tables[1].failed && !tables[2].failed;
}

/// "2 of 16 budgets are worse, none is better."
static const char *verdict(const struct pbitc_report_diff *diff)
{
    return pbitc_arena_format(diff->arena,
                              "%zu of %zu budgets worse, %zu better by more than chance explains.",
                              diff->worse, diff->change_count, diff->better);
}

static const char *method(const struct pbitc_report_diff *diff)
{
    const char *test = diff->paired ? "Both measured the same images: the test is paired, image by image."
                                    : "The images are not the same: the test is that of two proportions.";
    const char *partial =
        diff->before->partial || diff->after->partial ? " PARTIAL: not all images are measured." : "";
    if (diff->only_before || diff->only_after)
        return pbitc_arena_format(diff->arena, "%s%s %zu budgets are only before, %zu only after.", test,
                                  partial, diff->only_before, diff->only_after);
    return pbitc_arena_format(diff->arena, "%s%s", test, partial);
}

bool pbitc_report_diff_write_text(const struct pbitc_report_diff *diff, FILE *stream)
{
    struct pbitc_table tables[TABLES];
    const char *found = verdict(diff), *how = method(diff);
    if (!make_tables(diff, tables) || !found || !how)
        return false;
    for (size_t i = 0; i < TABLES; i++) {
        if (tables[i].rows)
            pbitc_table_write_text(&tables[i], stream);
    }
    if (!diff->fact_count)
        fputs("Nothing differs in model, data and options.\n\n", stream);
    fprintf(stream, "%s\n%s\n", how, found);
    return true;
}

bool pbitc_report_diff_write_markdown(const struct pbitc_report_diff *diff, FILE *stream)
{
    struct pbitc_table tables[TABLES];
    const char *found = verdict(diff), *how = method(diff);
    if (!make_tables(diff, tables) || !found || !how)
        return false;
    fputs("# Accuracy: ", stream);
    pbitc_markdown_write(stream, diff->before_name);
    fputs(" and ", stream);
    pbitc_markdown_write(stream, diff->after_name);
    fprintf(stream, "\n\n**%s** %s\n", found, how);
    if (!diff->fact_count)
        fputs("\nNothing differs in model, data and options.\n", stream);
    for (size_t i = 0; i < TABLES; i++) {
        if (tables[i].rows)
            pbitc_table_write_markdown(&tables[i], MARKDOWN_LIMIT, stream);
    }
    return true;
}

static void write_paragraph(FILE *stream, const char *text)
{
    fputs("<p>", stream);
    pbitc_markup_write(stream, text);
    fputs("</p>\n", stream);
}

bool pbitc_report_diff_write_html(const struct pbitc_report_diff *diff, FILE *stream)
{
    struct pbitc_table tables[TABLES];
    const char *found = verdict(diff), *how = method(diff);
    if (!make_tables(diff, tables) || !found || !how)
        return false;
    pbitc_page_begin(stream, "Two reports compared");
    fputs("<h1>", stream);
    pbitc_markup_write(stream, diff->before_name);
    fputs(" and ", stream);
    pbitc_markup_write(stream, diff->after_name);
    fprintf(stream,
            "</h1>\n<dl class=\"findings\"><div class=\"%s\"><dt>Budgets</dt><dd class=\"value\">%zu worse, "
            "%zu better</dd><dd class=\"note\">of %zu, by more than chance explains</dd></div></dl>\n",
            diff->worse ? "wrong" : "good", diff->worse, diff->better, diff->change_count);
    write_paragraph(stream, how);
    if (!diff->fact_count)
        write_paragraph(stream, "Nothing differs in model, data and options.");
    for (size_t i = 0; i < TABLES; i++) {
        if (tables[i].rows)
            pbitc_table_write_html(&tables[i], stream);
    }
    pbitc_page_end(stream);
    return true;
}

static void write_energy(struct pbitc_json *json, const char *key, const struct pbitc_accuracy_cell *cell)
{
    if (cell->has_energy)
        pbitc_json_real(json, key, cell->energy);
    else
        pbitc_json_null(json, key);
}

static void write_change(struct pbitc_json *json, const struct pbitc_report_change *change)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_integer(json, "samples", change->after->samples);
    pbitc_json_integer(json, "draws", change->after->draws);
    pbitc_json_integer(json, "bits", change->after->bits);
    pbitc_json_real(json, "before", change->before->accuracy);
    pbitc_json_real(json, "after", change->after->accuracy);
    pbitc_json_real(json, "difference", change->difference);
    pbitc_json_real(json, "p_value", change->p_value);
    pbitc_json_bool(json, "real", change->real);
    write_energy(json, "energy_before_nj", change->before);
    write_energy(json, "energy_after_nj", change->after);
    pbitc_json_close_object(json);
}

static void write_changes(struct pbitc_json *json, const char *key, const struct pbitc_report_change *changes,
                          size_t count)
{
    pbitc_json_open_array(json, key);
    for (size_t i = 0; i < count; i++)
        write_change(json, &changes[i]);
    pbitc_json_close_array(json);
}

bool pbitc_report_diff_write_json(const struct pbitc_report_diff *diff, FILE *stream)
{
    struct pbitc_json json = {.stream = stream, .indent = 2};
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_bool(&json, "paired", diff->paired);
    pbitc_json_integer(&json, "worse", (int64_t)diff->worse);
    pbitc_json_integer(&json, "better", (int64_t)diff->better);
    pbitc_json_integer(&json, "only_before", (int64_t)diff->only_before);
    pbitc_json_integer(&json, "only_after", (int64_t)diff->only_after);
    pbitc_json_open_array(&json, "differs");
    for (size_t i = 0; i < diff->fact_count; i++) {
        pbitc_json_open_object(&json, NULL);
        pbitc_json_string(&json, "what", diff->facts[i].name);
        pbitc_json_string(&json, "before", diff->facts[i].before);
        pbitc_json_string(&json, "after", diff->facts[i].after);
        pbitc_json_close_object(&json);
    }
    pbitc_json_close_array(&json);
    write_changes(&json, "cells", diff->changes, diff->change_count);
    write_changes(&json, "deterministic", diff->fixed, diff->fixed_count);
    pbitc_json_close_object(&json);
    return true;
}
