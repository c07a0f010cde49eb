#include "converter/json.h"
#include "tests/run_suite.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t size;
static struct pbitc_json json;

static void set_up(void)
{
    json = (struct pbitc_json){.stream = open_memstream(&text, &size)};
    ck_assert_ptr_nonnull(json.stream);
}

static void tear_down(void)
{
    free(text);
}

static const char *finish(void)
{
    fclose(json.stream);
    return text;
}

START_TEST(text_is_escaped_and_always_utf8)
{
    pbitc_json_string(&json, NULL, "\"\\\n\x01\x7f \xc3\xa9 \xff\xc3 \xed\xa0\x80");
    // Each byte that belongs to no character becomes U+FFFD; a surrogate is none.
    ck_assert_str_eq(finish(),
                     "\"\\\"\\\\\\u000a\\u0001\\u007f \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\"");
}
END_TEST

START_TEST(members_stand_in_the_order_of_the_calls)
{
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "z", -3);
    pbitc_json_open_array(&json, "a");
    pbitc_json_bool(&json, NULL, true);
    pbitc_json_null(&json, NULL);
    pbitc_json_close_array(&json);
    pbitc_json_open_object(&json, "empty");
    pbitc_json_close_object(&json);
    pbitc_json_close_object(&json);
    ck_assert_str_eq(finish(), "{\"z\": -3, \"a\": [true, null], \"empty\": {}}");
}
END_TEST

START_TEST(outer_containers_can_take_lines)
{
    json.indent = 1;
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "a", 1);
    pbitc_json_open_array(&json, "b");
    pbitc_json_integer(&json, NULL, 2);
    pbitc_json_integer(&json, NULL, 3);
    pbitc_json_close_array(&json);
    pbitc_json_close_object(&json);
    ck_assert_str_eq(finish(), "{\n  \"a\": 1,\n  \"b\": [2, 3]\n}\n");
}
END_TEST

START_TEST(numbers_are_as_short_as_they_can_be)
{
    static const double numbers[] = {0.9733, 1.0 / 3, 0, 1e300, 0.1 + 0.2};
    pbitc_json_open_array(&json, NULL);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        pbitc_json_real(&json, NULL, numbers[i]);
    pbitc_json_real(&json, NULL, (double)NAN);
    pbitc_json_close_array(&json);
    ck_assert_str_eq(finish(), "[0.9733, 0.3333333333333333, 0, 1e+300, 0.30000000000000004, null]");
}
END_TEST

START_TEST(strings_are_escaped)
{
    pbitc_json_string(&json, NULL, "a\"\\\n\x01\xc3\xa9");
    ck_assert_str_eq(finish(), "\"a\\\"\\\\\\u000a\\u0001\xc3\xa9\"");
}
END_TEST

START_TEST(parsed_values_come_out_as_they_went_in)
{
    static const char source[] = "{\"a\": [1, 2.5, \"x\", {\"b\": null}], \"c\": false}";
    cJSON *value = cJSON_Parse(source);
    pbitc_json_parsed(&json, NULL, value);
    cJSON_Delete(value);
    ck_assert_str_eq(finish(), source);
}
END_TEST

START_TEST(deep_nesting_ends)
{
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = 0;
    cJSON *value = cJSON_Parse(deep);
    ck_assert_ptr_nonnull(value);
    pbitc_json_parsed(&json, NULL, value);
    cJSON_Delete(value);
    value = cJSON_Parse(finish());
    ck_assert_ptr_nonnull(value);
    cJSON_Delete(value);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("json");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, members_stand_in_the_order_of_the_calls);
    tcase_add_test(tests, outer_containers_can_take_lines);
    tcase_add_test(tests, numbers_are_as_short_as_they_can_be);
    tcase_add_test(tests, strings_are_escaped);
    tcase_add_test(tests, text_is_escaped_and_always_utf8);
    tcase_add_test(tests, parsed_values_come_out_as_they_went_in);
    tcase_add_test(tests, deep_nesting_ends);
    Suite *suite = suite_create("json");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
