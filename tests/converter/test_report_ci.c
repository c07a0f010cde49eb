// What a pipeline reads of a report: junit.xml and badge.json. With an argument: writes the junit.xml of
// every odd report, and of one with gates, into that directory, for a validator
// (tests/report/validate_junit).
#include "tests/converter/odd_reports.h"
#include "tests/run_suite.h"

#include <stdlib.h>

typedef void write_function(const struct pbitc_accuracy_report *report, FILE *stream);

static char *text_of(write_function *write, const struct pbitc_accuracy_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    write(report, stream);
    fclose(stream);
    return text;
}

static void expect(write_function *write, const struct pbitc_accuracy_report *report, const char *expected)
{
    char *text = text_of(write, report);
    ck_assert_str_eq(text, expected);
    free(text);
}

static struct pbitc_gate_outcome gates[] = {
    {.option = "--min-accuracy 1:2:0.9", .passed = true, .message = "T=1 m=2: 0.95 is at least 0.9"},
    {.option = "--compare <old>&\"'.json\x01\xff", .passed = false, .message = "T=2 m=1: 0.8 < 0.9"},
};

/// Two gates of which one is broken; two seeds.
static struct pbitc_accuracy_report *gated_report(void)
{
    static const struct report_shape shape = {.draws = 2,
                                              .samples = 2,
                                              .seeds = 2,
                                              .images = 500,
                                              .classes = 3,
                                              .layers = 1,
                                              .best = 0.9,
                                              .worst = 0.5,
                                              .baseline = true,
                                              .name = "a&b"};
    struct pbitc_accuracy_report *report = make_report(&shape);
    report->first_seed = 7;
    report->data_hash = 1;
    report->source_hash = 2;
    report->baseline_hash = 3;
    report->model_hash = 4;
    report->recipe_hash = 5;
    report->origin_hash = "fnv1a64:0000000000000006";
    report->command = "pbitc eval 'a&b.pbit'";
    report->cells[report->main_cell].accuracy = 0.87654;
    report->gates = gates;
    report->gate_count = 2;
    return report;
}

START_TEST(a_gate_is_a_test_case)
{
    struct pbitc_accuracy_report *report = gated_report();
    expect(pbitc_report_write_junit, report,
           "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
           "<testsuites name=\"pbitc eval\" tests=\"2\" failures=\"1\" errors=\"0\">\n"
           "  <testsuite name=\"gates\" tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\">\n"
           "    <properties>\n"
           "      <property name=\"tool\" value=\"pbitc 0.1.0\"/>\n"
           "      <property name=\"command\" value=\"pbitc eval &#39;a&amp;b.pbit&#39;\"/>\n"
           "      <property name=\"images\" value=\"500\"/>\n"
           "      <property name=\"measured_images\" value=\"500\"/>\n"
           "      <property name=\"partial\" value=\"false\"/>\n"
           "      <property name=\"data_hash\" value=\"fnv1a64:0000000000000001\"/>\n"
           "      <property name=\"source_hash\" value=\"fnv1a64:0000000000000002\"/>\n"
           "      <property name=\"baseline_hash\" value=\"fnv1a64:0000000000000003\"/>\n"
           "      <property name=\"model\" value=\"a&amp;b\"/>\n"
           "      <property name=\"model_hash\" value=\"fnv1a64:0000000000000004\"/>\n"
           "      <property name=\"origin_hash\" value=\"fnv1a64:0000000000000006\"/>\n"
           "      <property name=\"recipe_hash\" value=\"fnv1a64:0000000000000005\"/>\n"
           "      <property name=\"seed\" value=\"7\"/>\n"
           "      <property name=\"seed\" value=\"8\"/>\n"
           "    </properties>\n"
           "    <testcase classname=\"pbitc.eval\" name=\"--min-accuracy 1:2:0.9\">\n"
           "      <system-out>T=1 m=2: 0.95 is at least 0.9</system-out>\n"
           "    </testcase>\n"
           "    <testcase classname=\"pbitc.eval\" name=\"--compare "
           "&lt;old&gt;&amp;&quot;&#39;.json\xef\xbf\xbd\xef\xbf\xbd\">\n"
           "      <failure type=\"gate\" message=\"T=2 m=1: 0.8 &lt; 0.9\">T=2 m=1: 0.8 &lt; 0.9</failure>\n"
           "    </testcase>\n"
           "  </testsuite>\n</testsuites>\n");
    destroy_report(report);
}
END_TEST

#define BADGE(label, message, color)                                                                         \
    "{\n  \"schemaVersion\": 1,\n  \"label\": \"" label "\",\n  \"message\": \"" message                     \
    "\",\n  \"color\": \"" color "\"\n}\n"

START_TEST(the_badge_has_the_color_of_the_gates)
{
    struct pbitc_accuracy_report *report = gated_report();
    expect(pbitc_report_write_badge, report,
           BADGE("p-bit accuracy", "87.7 % at m = 2, T = 2, 1 of 2 gates failed", "red"));
    report->gate_count = 1;
    expect(pbitc_report_write_badge, report,
           BADGE("p-bit accuracy", "87.7 % at m = 2, T = 2", "brightgreen"));
    report->gate_count = 0;
    expect(pbitc_report_write_badge, report, BADGE("p-bit accuracy", "87.7 % at m = 2, T = 2", "blue"));
    report->partial = true;
    expect(pbitc_report_write_badge, report,
           BADGE("p-bit accuracy", "87.7 % at m = 2, T = 2, partial", "lightgrey"));
    destroy_report(report);
    report = make_report(&odd_reports[ODD_REPORTS - 1]);
    expect(pbitc_report_write_badge, report, BADGE("accuracy", "90.0 %", "blue"));
    destroy_report(report);
}
END_TEST

static void write_file(const char *directory, size_t number, struct pbitc_accuracy_report *report)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/junit-%zu.xml", directory, number);
    FILE *stream = fopen(path, "w");
    ck_assert_ptr_nonnull(stream);
    pbitc_report_write_junit(report, stream);
    ck_assert_int_eq(fclose(stream), 0);
    destroy_report(report);
}

START_TEST(files_for_a_validator)
{
    const char *directory = getenv("JUNIT_DIRECTORY");
    for (size_t i = 0; directory && i < ODD_REPORTS; i++)
        write_file(directory, i, make_report(&odd_reports[i]));
    if (directory)
        write_file(directory, ODD_REPORTS, gated_report());
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("report_ci");
    tcase_add_test(tests, a_gate_is_a_test_case);
    tcase_add_test(tests, the_badge_has_the_color_of_the_gates);
    tcase_add_test(tests, files_for_a_validator);
    Suite *suite = suite_create("report_ci");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
