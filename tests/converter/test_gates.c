// Gates: what they refuse, and what chance alone must not break.
#include "converter/compare.h"
#include "converter/gates.h"
#include "tests/converter/report_case.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pbitc_diagnostics *diagnostics;
static char path[] = "test_gates-XXXXXX";

static void set_up(void)
{
    diagnostics = pbitc_diagnostics_create();
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

static void tear_down(void)
{
    pbitc_diagnostics_destroy(diagnostics);
    unlink(path);
}

/// Writes the report to `path` and destroys it.
static void save(struct pbitc_accuracy_report *report)
{
    char *text = report_case_text(report);
    FILE *stream = fopen(path, "w");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_ge(fputs(text, stream), 0);
    ck_assert_int_eq(fclose(stream), 0);
    free(text);
    pbitc_report_destroy(report);
}

START_TEST(only_sensible_texts_are_cell_gates)
{
    static const char *const bad[] = {"",          "1",           "1:1",      "0:1:0.5", "1:0:0.5",
                                      "1:256:0.5", "65536:1:0.5", "1:1:x",    "1:1:1.1", "1:1:-.1",
                                      "1:1:nan",   "1:1:0.5:1",   "-1:1:0.5", "1:1:"};
    struct pbitc_cell_gate gate = {.is_drop = false};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!pbitc_cell_gate_parse(bad[i], &gate), "'%s' was taken", bad[i]);
    ck_assert(pbitc_cell_gate_parse("65535:255:1", &gate));
    ck_assert_uint_eq(gate.samples, 65535);
    ck_assert_uint_eq(gate.draws, 255);
    ck_assert_double_eq(gate.bound, 1);
}
END_TEST

/// The bound itself holds, a little more does not.
START_TEST(cell_gates_compare_with_their_bound)
{
    struct pbitc_accuracy_report *report = report_case_whole(1, 60);
    struct pbitc_gates gates = {.cell_count = 4};
    double accuracy = report->cells[3].accuracy, drop = report->cells[3].drop;
    ck_assert(drop > 0 && accuracy < 0.99);
    gates.cells[0] = (struct pbitc_cell_gate){2, 2, false, accuracy, "2:2:A"};
    gates.cells[1] = (struct pbitc_cell_gate){2, 2, false, accuracy + 0.01, "2:2:B"};
    gates.cells[2] = (struct pbitc_cell_gate){2, 2, true, drop, "2:2:C"};
    gates.cells[3] = (struct pbitc_cell_gate){2, 2, true, drop - 0.001, "2:2:D"};
    ck_assert_int_eq(pbitc_gates_judge(&gates, diagnostics, report), PBIT_OK);
    ck_assert_uint_eq(report->gate_count, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(report->gates[i].passed, i % 2 == 0);
    ck_assert_str_eq(report->gates[3].option, "--max-drop 2:2:D");
    ck_assert_str_eq(report->command,
                     "pbitc eval 'a b.pbit' --min-accuracy 2:2:A --min-accuracy 2:2:B --max-drop "
                     "2:2:C --max-drop 2:2:D");
    pbitc_report_destroy(report);
}
END_TEST

START_TEST(a_worse_measurement_is_a_fall_in_every_cell)
{
    save(report_case_whole(1, 90));
    struct pbitc_accuracy_report *report = report_case_whole(2, 40);
    ck_assert_int_eq(pbitc_report_compare(report, path, diagnostics), PBIT_OK);
    ck_assert_uint_eq(report->gate_count, report->cell_count);
    for (size_t i = 0; i < report->gate_count; i++)
        ck_assert(!report->gates[i].passed && report->gates[i].samples == report->cells[i].samples &&
                  report->gates[i].draws == report->cells[i].draws);
    pbitc_report_destroy(report);
}
END_TEST

/// 200 pairs of measurements that differ by chance alone: with a chance of 0.05 of a false alarm in each at
/// most, more than 22 of them have a probability below 0.001 (binomial).
START_TEST(chance_is_seldom_a_fall)
{
    enum { PAIRS = 200, LIMIT = 22 };
    int alarms = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        save(report_case_whole(2 * i + 100, 70));
        struct pbitc_accuracy_report *report = report_case_whole(2 * i + 101, 70);
        ck_assert_int_eq(pbitc_report_compare(report, path, diagnostics), PBIT_OK);
        alarms += !report->gates[0].passed;
        pbitc_report_destroy(report);
    }
    ck_assert_int_le(alarms, LIMIT);
}
END_TEST

START_TEST(a_better_measurement_is_no_fall)
{
    save(report_case_whole(1, 40));
    struct pbitc_accuracy_report *report = report_case_whole(2, 90);
    ck_assert_int_eq(pbitc_report_compare(report, path, diagnostics), PBIT_OK);
    ck_assert_uint_eq(report->gate_count, 1);
    ck_assert(report->gates[0].passed);
    ck_assert_str_eq(report->gates[0].message, "none of 4 cells fell by more than chance explains");
    pbitc_report_destroy(report);
}
END_TEST

/// Other images of the same files: not paired, but compared.
START_TEST(other_images_of_the_same_files_are_compared_as_proportions)
{
    struct pbitc_accuracy_report *old = report_case_whole(1, 90), *report = report_case_whole(2, 40);
    old->data_hash++;
    save(old);
    ck_assert_int_eq(pbitc_report_compare(report, path, diagnostics), PBIT_OK);
    ck_assert_uint_eq(report->gate_count, report->cell_count);
    pbitc_report_destroy(report);
}
END_TEST

START_TEST(what_cannot_be_compared_is_said_all_at_once)
{
    uint8_t mask[CASE_IMAGES] = {1};
    struct pbitc_accuracy_report *old = report_case(mask, 1, 50), *report = report_case_whole(2, 50);
    old->source_hash++;
    old->origin_hash = "fnv1a64:0000000000000002";
    for (size_t i = 0; i < old->cell_count; i++)
        old->cells[i].draws += 10;
    save(old);
    ck_assert_int_eq(pbitc_report_compare(report, path, diagnostics), PBIT_ERROR_FORMAT);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 4);
    static const char *const words[] = {"is partial", "other data", "another model", "no cell in common"};
    for (size_t i = 0; i < 4; i++)
        ck_assert_ptr_nonnull(strstr(pbitc_diagnostics_get(diagnostics, i)->message, words[i]));
    pbitc_report_destroy(report);
}
END_TEST

/// The files may differ when they come from the same ONNX model; when one does not tell, they may not.
START_TEST(models_are_the_same_by_their_origin)
{
    struct pbitc_accuracy_report *old = report_case_whole(1, 50), *report = report_case_whole(1, 50);
    old->model_hash++;
    save(old);
    ck_assert_int_eq(pbitc_report_compare_check(report, path, diagnostics), PBIT_OK);
    report->origin_hash = "";
    ck_assert_int_eq(pbitc_report_compare_check(report, path, diagnostics), PBIT_ERROR_FORMAT);
    pbitc_report_destroy(report);
}
END_TEST

/// Copies the answers of the T = 1 cells to T = 2 except for `lost` images that all seeds get wrong.
static struct pbitc_accuracy_report *falling(uint32_t salt, size_t lost)
{
    struct pbitc_accuracy_report *report = report_case_whole(salt, 80);
    for (size_t i = 0; i < report->cell_count; i += CASE_SAMPLES) {
        struct pbitc_tally *from = &report->cells[i].tally, *to = &report->cells[i + 1].tally;
        size_t left = lost;
        memset(to->correct, 0, CASE_SEEDS * sizeof(*to->correct));
        for (size_t image = 0; image < CASE_IMAGES; image++) {
            bool loses = left > 0 && from->correct_by_image[image] == CASE_SEEDS;
            left -= loses;
            to->correct_by_image[image] = loses ? 0 : from->correct_by_image[image];
            to->correct[0] += to->correct_by_image[image];
        }
    }
    return report;
}

START_TEST(falls_with_samples_are_found_when_chance_does_not_explain_them)
{
    // All lost and none won: p = 2^-lost / 2 against 0.05 / 2 and 0.05, the two pairs of T by Holm.
    static const struct {
        size_t lost;
        bool holds;
    } cases[] = {{0, true}, {3, true}, {4, true}, {5, false}, {20, false}};
    struct pbitc_gates gates = {.monotonic = true};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pbitc_accuracy_report *report = falling(3, cases[i].lost);
        ck_assert_int_eq(pbitc_gates_judge(&gates, diagnostics, report), PBIT_OK);
        ck_assert_msg(report->gates[0].passed == cases[i].holds, "%zu lost: %s", cases[i].lost,
                      report->gates[0].message);
        ck_assert_uint_eq(report->gate_count, cases[i].holds ? 1 : CASE_DRAWS);
        pbitc_report_destroy(report);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("gates");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, only_sensible_texts_are_cell_gates);
    tcase_add_test(tests, cell_gates_compare_with_their_bound);
    tcase_add_test(tests, a_worse_measurement_is_a_fall_in_every_cell);
    tcase_add_test(tests, chance_is_seldom_a_fall);
    tcase_add_test(tests, a_better_measurement_is_no_fall);
    tcase_add_test(tests, other_images_of_the_same_files_are_compared_as_proportions);
    tcase_add_test(tests, what_cannot_be_compared_is_said_all_at_once);
    tcase_add_test(tests, models_are_the_same_by_their_origin);
    tcase_add_test(tests, falls_with_samples_are_found_when_chance_does_not_explain_them);
    Suite *suite = suite_create("gates");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
