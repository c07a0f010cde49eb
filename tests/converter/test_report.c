// Reports: what is derived, written, read and added up.
#include "converter/report/base64.h"
#include "converter/report/report_merge.h"
#include "converter/report/report_read.h"
#include "tests/converter/report_case.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct pbitc_diagnostics *diagnostics;

static void set_up(void)
{
    diagnostics = pbitc_diagnostics_create();
}

static void tear_down(void)
{
    pbitc_diagnostics_destroy(diagnostics);
}

START_TEST(base64_agrees_with_rfc_4648)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        size_t size = strlen(pairs[i][0]);
        char *text = pbitc_base64_encode((const uint8_t *)pairs[i][0], size);
        uint8_t bytes[8] = {0};
        ck_assert_str_eq(text, pairs[i][1]);
        ck_assert(pbitc_base64_decode(text, bytes, size));
        ck_assert_int_eq(memcmp(bytes, pairs[i][0], size), 0);
        ck_assert(!pbitc_base64_decode(text, bytes, size + 3));
        free(text);
    }
    uint8_t bytes[8];
    ck_assert(!pbitc_base64_decode("Zm9*", bytes, 3));
    ck_assert(!pbitc_base64_decode("Zm9v", bytes, 2));
    ck_assert(!pbitc_base64_decode("Zg==", bytes, 3));
}
END_TEST

START_TEST(shards_cover_all_images_once)
{
    for (size_t images = 1; images < 40; images++) {
        for (size_t count = 1; count <= images; count++) {
            size_t next = 0;
            for (size_t shard = 1; shard <= count; shard++) {
                struct pbitc_image_range range = pbitc_shard_range(images, shard, count);
                ck_assert_uint_eq(range.first, next);
                ck_assert_uint_ge(range.count, images / count);
                ck_assert_uint_le(range.count, (images + count - 1) / count);
                next += range.count;
            }
            ck_assert_uint_eq(next, images);
        }
    }
}
END_TEST

/// A cell of one seed by hand: 4 images, of which the float model has 3 right and the cell 2.
START_TEST(derived_numbers_agree_with_hand_computation)
{
    struct pbitc_accuracy_report *report = pbitc_report_create();
    static const uint8_t mask[4] = {1, 1, 1, 1};
    struct pbitc_accuracy_cell cell = {.samples = 1, .draws = 1, .seeds = 2};
    report->images = 4;
    report->has_baseline = true;
    report->baseline.seeds = 1;
    report->cells = &cell;
    report->cell_count = 1;
    ck_assert(pbitc_report_set_measured(report, mask));
    ck_assert(pbitc_report_allocate_cell(report, &cell));
    ck_assert(pbitc_report_allocate_cell(report, &report->baseline));
    static const uint16_t in_float[] = {1, 1, 1, 0}, with_pbits[] = {2, 1, 0, 2};
    memcpy(report->baseline.tally.correct_by_image, in_float, sizeof(in_float));
    memcpy(cell.tally.correct_by_image, with_pbits, sizeof(with_pbits));
    report->baseline.tally.correct[0] = 3;
    cell.tally.correct[0] = 3;
    cell.tally.correct[1] = 2;
    cell.tally.agreed = 4;
    // 6 answers of confidence 0.5, 3 right; 2 of 1, both right: |3 - 3| + |2 - 2| = 0; the next case errs.
    cell.tally.bins[7] = (struct pbitc_calibration_bin){6, 3, 6 * (PBITC_CONFIDENCE_UNIT / 2)};
    cell.tally.bins[14] = (struct pbitc_calibration_bin){2, 2, 2 * PBITC_CONFIDENCE_UNIT};
    ck_assert(pbitc_report_derive(report));
    ck_assert_double_eq(cell.accuracy, 0.625);
    ck_assert_double_eq(cell.drop, 0.125);
    ck_assert_double_eq(cell.agreement, 0.5);
    ck_assert_double_eq_tol(cell.spread, 0.176777, 1e-6); // of 0.75 and 0.5
    ck_assert_double_eq(cell.calibration_error, 0);
    // Image 1 lost one seed, image 2 both, image 3 won both.
    ck_assert_uint_eq(cell.paired.better, 1);
    ck_assert_uint_eq(cell.paired.worse, 2);
    ck_assert_double_eq_tol(cell.paired.z, (2 - 1 - 2) / 3.0, 1e-12);
    ck_assert(report->has_target && !report->target_given);
    ck_assert_double_eq_tol(report->target, 0.74, 1e-12);
    ck_assert_int_eq(report->smallest_cell, -1);
    cell.tally.bins[14].correct = 0;
    report->target_given = true;
    report->target = 0.625;
    ck_assert(pbitc_report_derive(report));
    ck_assert_double_eq(cell.calibration_error, 0.25);
    ck_assert_int_eq(report->smallest_cell, 0);
    pbitc_report_destroy(report);
}
END_TEST

START_TEST(confidences_fall_into_the_bins_of_their_value)
{
    for (int bin = 0; bin < PBITC_CALIBRATION_BINS; bin++) {
        double middle = (bin + 0.5) / PBITC_CALIBRATION_BINS;
        ck_assert_int_eq(pbitc_confidence_bin(pbitc_confidence_units(middle)), bin);
    }
    ck_assert_int_eq(pbitc_confidence_bin(pbitc_confidence_units(1)), PBITC_CALIBRATION_BINS - 1);
    ck_assert_int_eq(pbitc_confidence_bin(pbitc_confidence_units(0)), 0);
    ck_assert_uint_eq(pbitc_confidence_units(0.5), PBITC_CONFIDENCE_UNIT / 2);
}
END_TEST

START_TEST(what_is_written_reads_back_equal)
{
    uint8_t masks[2][CASE_IMAGES] = {{0}};
    memset(masks[0], 1, CASE_IMAGES);
    for (size_t i = 0; i < CASE_IMAGES; i++)
        masks[1][i] = i % 7 != 3;
    for (int i = 0; i < 2; i++) {
        struct pbitc_accuracy_report *report = report_case(masks[i], 3, 70), *read;
        report->shard = i ? 2 : 0;
        report->shard_count = i ? 9 : 0;
        char *text = report_case_text(report);
        ck_assert_int_eq(pbitc_report_parse("text", text, strlen(text), diagnostics, &read), PBIT_OK);
        ck_assert_int_eq(read->partial, i);
        char *again = report_case_text(read);
        ck_assert_str_eq(again, text);
        free(again);
        free(text);
        pbitc_report_destroy(read);
        pbitc_report_destroy(report);
    }
}
END_TEST

START_TEST(no_damaged_text_is_a_crash)
{
    struct pbitc_accuracy_report *report = report_case_whole(3, 70), *read;
    char *text = report_case_text(report);
    size_t size = strlen(text);
    for (size_t length = 0; length + 2 < size; length += 7) // the last two are "}\n"
        ck_assert_int_ne(pbitc_report_parse("text", text, length, NULL, &read), PBIT_OK);
    uint32_t state = 1;
    for (int i = 0; i < 3000; i++) {
        state = state * 1664525u + 1013904223u;
        size_t place = (state >> 8) % size;
        char before = text[place];
        text[place] = "0129-.,:[]{}\"ne"[state % 15];
        if (pbitc_report_parse("text", text, size, NULL, &read) == PBIT_OK)
            free(report_case_text(read));
        pbitc_report_destroy(read);
        text[place] = before;
    }
    free(text);
    pbitc_report_destroy(report);
}
END_TEST

/// However the images are divided, and in whatever order the parts come.
START_TEST(parts_add_up_to_the_whole)
{
    for (uint32_t salt = 0; salt < 8; salt++) {
        enum { PARTS = 4 };
        uint8_t masks[PARTS][CASE_IMAGES] = {{0}};
        struct pbitc_report_part parts[PARTS];
        for (uint32_t i = 0; i < CASE_IMAGES; i++)
            masks[(i * 2654435761u * (2 * salt + 1) >> 20) % PARTS][i] = 1;
        for (int i = 0; i < PARTS; i++)
            parts[i] = (struct pbitc_report_part){"part", report_case(masks[i], salt, 30)};
        struct pbitc_accuracy_report *whole = report_case_whole(salt, 30), *sum;
        ck_assert_uint_gt(whole->changed_count, PBITC_THUMBNAIL_LIMIT);
        ck_assert_int_eq(pbitc_report_merge(parts, PARTS, diagnostics, &sum), PBIT_OK);
        ck_assert_int_eq(pbitc_report_check_whole(parts, PARTS, diagnostics), PBIT_OK);
        char *expected = report_case_text(whole), *actual = report_case_text(sum);
        ck_assert_str_eq(actual, expected);
        free(expected);
        free(actual);
        pbitc_report_destroy(whole);
        pbitc_report_destroy(sum);
        for (int i = 0; i < PARTS; i++)
            pbitc_report_destroy(parts[i].report);
    }
}
END_TEST

START_TEST(parts_of_other_measurements_are_refused_all_at_once)
{
    struct pbitc_report_part parts[] = {{"a", report_case_whole(1, 50)}, {"b", report_case_whole(1, 50)}};
    struct pbitc_accuracy_report *sum;
    parts[1].report->model_hash++;
    parts[1].report->first_seed++;
    parts[1].report->cells[3].draws++;
    ck_assert_int_eq(pbitc_report_merge(parts, 2, diagnostics, &sum), PBIT_ERROR_FORMAT);
    ck_assert_ptr_null(sum);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 4);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message, "b differs from a in the model");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 3)->message,
                     "a and b both measured 97 images, the first of them image 0");
    pbitc_report_destroy(parts[0].report);
    pbitc_report_destroy(parts[1].report);
}
END_TEST

START_TEST(missing_images_are_named)
{
    uint8_t mask[CASE_IMAGES];
    memset(mask, 1, sizeof(mask));
    memset(mask, 0, 10);
    mask[50] = 0;
    struct pbitc_report_part part = {"a", report_case(mask, 1, 50)};
    part.report->shard = 1;
    part.report->shard_count = 10;
    ck_assert_int_eq(pbitc_report_check_whole(&part, 1, diagnostics), PBIT_ERROR_FORMAT);
    ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), 2);
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 0)->message,
                     "images 0..9 of shard 1/10, 2/10 of 97 are in no part");
    ck_assert_str_eq(pbitc_diagnostics_get(diagnostics, 1)->message,
                     "images 50..50 of shard 6/10 of 97 are in no part");
    pbitc_report_destroy(part.report);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("report");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, base64_agrees_with_rfc_4648);
    tcase_add_test(tests, shards_cover_all_images_once);
    tcase_add_test(tests, derived_numbers_agree_with_hand_computation);
    tcase_add_test(tests, confidences_fall_into_the_bins_of_their_value);
    tcase_add_test(tests, what_is_written_reads_back_equal);
    tcase_add_test(tests, no_damaged_text_is_a_crash);
    tcase_add_test(tests, parts_add_up_to_the_whole);
    tcase_add_test(tests, parts_of_other_measurements_are_refused_all_at_once);
    tcase_add_test(tests, missing_images_are_named);
    Suite *suite = suite_create("report");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
