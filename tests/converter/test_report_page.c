// report.html and report.md of every odd report: whole, escaped, the same bytes twice, the Markdown small
// enough for a step summary. With a directory as argument they are written there too, for
// tests/report/run_page.
#include "tests/converter/odd_reports.h"
#include "tests/run_suite.h"

#include <stdlib.h>

/// What GitHub takes is 1 MiB; other services take 64 KB.
enum { MARKDOWN_LIMIT = 64 * 1000 };

static const char *directory;

struct text {
    char *bytes;
    size_t size;
};

typedef bool writer(const struct pbitc_accuracy_report *report, FILE *stream);

static struct text write_text(const struct pbitc_accuracy_report *report, writer *write)
{
    struct text text;
    FILE *stream = open_memstream(&text.bytes, &text.size);
    ck_assert_ptr_nonnull(stream);
    ck_assert(write(report, stream));
    ck_assert_int_eq(fclose(stream), 0);
    return text;
}

/// The text, of which the second writing made the same.
static struct text write_twice(const struct pbitc_accuracy_report *report, writer *write)
{
    struct text first = write_text(report, write), second = write_text(report, write);
    ck_assert_uint_eq(first.size, second.size);
    ck_assert_mem_eq(first.bytes, second.bytes, first.size);
    free(second.bytes);
    return first;
}

static size_t count(const char *text, const char *word)
{
    size_t found = 0;
    for (const char *place = text; (place = strstr(place, word)); place += strlen(word))
        found++;
    return found;
}

static void keep(const char *name, const char *ending, struct text text)
{
    char path[4096];
    if (!directory)
        return;
    snprintf(path, sizeof(path), "%s/%.17s.%s", directory, *name == '<' ? "hostile" : name, ending);
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    fwrite(text.bytes, 1, text.size, stream);
    fclose(stream);
}

START_TEST(odd_reports_have_whole_pages)
{
    const struct report_shape *shape = &odd_reports[_i];
    struct pbitc_accuracy_report *report = make_report(shape);
    struct text page = write_twice(report, pbitc_report_write_html);
    ck_assert_uint_eq(count(page.bytes, "<script"), 0);
    ck_assert_uint_eq(count(page.bytes, "://"), 0); // nothing is fetched
    ck_assert_uint_eq(count(page.bytes, "nan"), 0);
    ck_assert_uint_eq(count(page.bytes, "<svg"), count(page.bytes, "</svg>"));
    ck_assert_uint_eq(count(page.bytes, "<table"), count(page.bytes, "</table>"));
    ck_assert_uint_eq(count(page.bytes, "</html>"), 1);
    ck_assert_uint_eq(count(page.bytes, "PARTIAL"), 0);
    ck_assert_uint_ge(count(page.bytes, "<svg"), shape->draws ? 2 : 0);
    keep(shape->name, "html", page);
    free(page.bytes);
    struct text markdown = write_twice(report, pbitc_report_write_markdown);
    ck_assert_uint_lt(markdown.size, MARKDOWN_LIMIT);
    keep(shape->name, "md", markdown);
    free(markdown.bytes);
    destroy_report(report);
}
END_TEST

START_TEST(partial_reports_say_so_loudly)
{
    struct pbitc_accuracy_report *report = make_report(&odd_reports[0]);
    report->partial = true;
    report->images = 3 * report->measured_images;
    struct text page = write_text(report, pbitc_report_write_html);
    ck_assert_uint_ge(count(page.bytes, "PARTIAL REPORT: 2000 of 6000 images"), 1);
    ck_assert_uint_ge(count(page.bytes, "(PARTIAL)"), 4); // in the pictures too
    struct text markdown = write_text(report, pbitc_report_write_markdown);
    ck_assert_uint_eq(count(markdown.bytes, "**PARTIAL REPORT: 2000 of 6000 images"), 1);
    free(page.bytes);
    free(markdown.bytes);
    destroy_report(report);
}
END_TEST

/// 4,096 cells, 2,000 layers whose names are long and all markup, 64 broken gates, a command of 100 KB.
START_TEST(markdown_of_the_largest_report_is_small)
{
    struct report_shape shape = odd_reports[7];
    char *name = malloc(5001), *command = malloc(100001);
    ck_assert(name && command);
    memset(name, '|', 5000);
    memset(command, '`', 100000);
    name[5000] = command[100000] = 0;
    shape.draws = shape.samples = 64;
    shape.layers = 1000;
    shape.name = name;
    struct pbitc_accuracy_report *report = make_report(&shape);
    report->command = command;
    report->gate_count = 64;
    report->gates = pbitc_arena_allocate(report->arena, report->gate_count, sizeof(*report->gates));
    for (size_t i = 0; i < report->gate_count; i++)
        report->gates[i] = (struct pbitc_gate_outcome){.option = name, .message = name};
    struct text markdown = write_text(report, pbitc_report_write_markdown);
    ck_assert_uint_lt(markdown.size, MARKDOWN_LIMIT);
    ck_assert_uint_ge(count(markdown.bytes, " more rows are in report.html"), 3);
    struct text page = write_text(report, pbitc_report_write_html);
    ck_assert_uint_ge(count(page.bytes, "<tr"), 4096 + 2000);
    free(page.bytes);
    free(markdown.bytes);
    destroy_report(report);
    free(name);
    free(command);
}
END_TEST

int main(int argc, char **argv)
{
    directory = argc > 1 ? argv[1] : NULL;
    TCase *tests = tcase_create("report_page");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, odd_reports_have_whole_pages, 0, ODD_REPORTS);
    tcase_add_test(tests, partial_reports_say_so_loudly);
    tcase_add_test(tests, markdown_of_the_largest_report_is_small);
    Suite *suite = suite_create("report_page");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
