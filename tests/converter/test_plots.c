// The pictures of a report: made for every odd report, with nothing left out, the same bytes twice. With a
// directory as argument the pictures are written there too, to be looked at.
#include "converter/report/markup.h"
#include "converter/report/plot.h"
#include "converter/report/plot_support.h"
#include "tests/converter/odd_reports.h"
#include "tests/run_suite.h"

#include <stb_image.h>
#include <stdlib.h>

static const char *directory;

struct bytes {
    char *data;
    size_t size;
};

static struct bytes write_form(const struct pbitc_drawing *drawing, bool png)
{
    struct bytes bytes;
    FILE *stream = open_memstream(&bytes.data, &bytes.size);
    ck_assert_ptr_nonnull(stream);
    if (png)
        ck_assert(pbitc_drawing_write_png(drawing, 2, stream));
    else
        pbitc_drawing_write_svg(drawing, true, stream);
    ck_assert_int_eq(fclose(stream), 0);
    return bytes;
}

static void keep(const char *report, const char *plot, const char *ending, struct bytes bytes)
{
    char path[4096];
    if (!directory)
        return;
    snprintf(path, sizeof(path), "%s/%.12s-%s.%s", directory, *report == '<' ? "hostile" : report, plot,
             ending);
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    fwrite(bytes.data, 1, bytes.size, stream);
    fclose(stream);
}

/// PNG that another decoder reads, of the size asked for and with something on it.
static void check_png(struct bytes bytes)
{
    int width, height, channels;
    unsigned char *pixels = stbi_load_from_memory((const unsigned char *)bytes.data, (int)bytes.size, &width,
                                                  &height, &channels, 3);
    ck_assert_ptr_nonnull(pixels);
    ck_assert_int_eq(width, 2 * PBITC_PLOT_WIDTH);
    size_t ink = 0;
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++)
        ink += pixels[3 * i] < 128;
    ck_assert_uint_gt(ink, 500);
    free(pixels);
}

static void check_svg(struct bytes bytes)
{
    ck_assert_ptr_nonnull(strstr(bytes.data, "</svg>"));
    ck_assert_ptr_null(strstr(bytes.data, "nan"));
    ck_assert_ptr_null(strstr(bytes.data, "inf"));
    ck_assert_ptr_null(strstr(bytes.data, "<script"));
}

static void check_plot(const struct pbitc_accuracy_report *report, const struct pbitc_plot *plot,
                       const char *name)
{
    for (int png = 0; png < 2; png++) {
        struct pbitc_drawing *drawings[2];
        struct bytes bytes[2];
        for (int i = 0; i < 2; i++) {
            drawings[i] = plot->draw(report);
            ck_assert_ptr_nonnull(drawings[i]);
            ck_assert(pbitc_drawing_is_good(drawings[i]));
            ck_assert_msg(pbitc_drawing_left_out(drawings[i]) == 0, "%s of %s leaves shapes out", plot->name,
                          name);
            bytes[i] = write_form(drawings[i], png);
            pbitc_drawing_destroy(drawings[i]);
        }
        ck_assert_msg(bytes[0].size == bytes[1].size, "%s of %s differs from itself", plot->name, name);
        ck_assert_mem_eq(bytes[0].data, bytes[1].data, bytes[0].size);
        if (png)
            check_png(bytes[0]);
        else
            check_svg(bytes[0]);
        keep(name, plot->name, png ? "png" : "svg", bytes[0]);
        free(bytes[0].data);
        free(bytes[1].data);
    }
}

START_TEST(odd_reports_have_whole_pictures)
{
    const struct report_shape *shape = &odd_reports[_i];
    struct pbitc_accuracy_report *report = make_report(shape);
    size_t made = 0;
    for (size_t i = 0; i < PBITC_PLOT_COUNT; i++) {
        if (!pbitc_plots[i].is_possible(report))
            continue;
        check_plot(report, &pbitc_plots[i], shape->name);
        made++;
    }
    ck_assert_uint_ge(made, shape->draws ? 2 : 0);
    ck_assert_int_eq(pbitc_plots[0].is_possible(report), shape->draws > 0);
    destroy_report(report);
}
END_TEST

START_TEST(shapes_that_are_not_finite_are_counted_and_left_out)
{
    struct pbitc_drawing *drawing = pbitc_drawing_create(10, 10, "t", "d");
    const struct pbitc_brush brush = {.stroke = PBITC_INK, .width = 1};
    pbitc_draw_line(drawing, 0, 0, (double)NAN, 1, &brush);
    pbitc_draw_circle(drawing, 0, (double)INFINITY, 1, &brush);
    pbitc_draw_line(drawing, 0, 0, 1, 1, &brush);
    ck_assert_uint_eq(pbitc_drawing_left_out(drawing), 2);
    struct bytes bytes = write_form(drawing, false);
    check_svg(bytes);
    free(bytes.data);
    pbitc_drawing_destroy(drawing);
}
END_TEST

START_TEST(markup_shows_text_as_it_is)
{
    static const struct {
        const char *text, *html, *markdown;
    } cases[] = {
        {"a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;", "a&#60;b>&#38;\"'"},
        {"x|y_*`z a_b\n", "x|y_*`z a_b\n", "x\\|y\\_\\*\\`z a_b "},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\x01\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"", "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int markdown = 0; markdown < 2; markdown++) {
            char *text;
            size_t size;
            FILE *stream = open_memstream(&text, &size);
            (markdown ? pbitc_markdown_write : pbitc_markup_write)(stream, cases[i].text);
            fclose(stream);
            ck_assert_str_eq(text, markdown ? cases[i].markdown : cases[i].html);
            free(text);
        }
    }
}
END_TEST

START_TEST(labels_keep_their_distance_and_order)
{
    double places[] = {10, 11, 11, 50, 99, 100};
    bool shown[6];
    pbitc_labels_spread(places, shown, 6, 12, 0, 100);
    for (size_t i = 0; i < 6; i++) {
        ck_assert(shown[i]);
        ck_assert(places[i] >= 0 && places[i] <= 100);
        ck_assert(i == 0 || places[i] - places[i - 1] >= 12 - 1e-9);
    }
    double many[100];
    bool some[100];
    size_t count = 0;
    for (size_t i = 0; i < 100; i++)
        many[i] = 50;
    pbitc_labels_spread(many, some, 100, 12, 0, 100);
    for (size_t i = 0; i < 100; i++)
        count += some[i];
    ck_assert(some[0] && some[99]);
    ck_assert_uint_le(count, 9);
    ck_assert_uint_ge(count, 4);
}
END_TEST

START_TEST(axes_of_fractions_keep_good_accuracies_apart)
{
    struct pbitc_axis axis = pbitc_axis_of_fractions(0.9, 0.999, 10000, 0, 100);
    ck_assert_int_eq(axis.scale, PBITC_ERROR_LOGARITHMIC);
    ck_assert_double_gt(pbitc_axis_place(&axis, 0.999) - pbitc_axis_place(&axis, 0.99), 30);
    axis = pbitc_axis_of_fractions(0.2, 0.85, 10000, 0, 100);
    ck_assert_int_eq(axis.scale, PBITC_LINEAR);
    for (int i = 0; i <= 10; i++) { // any range has ticks inside it
        double ticks[PBITC_TICKS_LIMIT], low = i / 10.0;
        axis = pbitc_axis_of_fractions(low, fmin(low + 0.001 * i, 1), 100, 0, 100);
        size_t count = pbitc_axis_ticks(&axis, ticks);
        ck_assert_uint_ge(count, 2);
        for (size_t k = 0; k < count; k++)
            ck_assert(ticks[k] >= axis.low - 1e-9 && ticks[k] <= axis.high + 1e-9);
    }
}
END_TEST

int main(int argc, char **argv)
{
    directory = argc > 1 ? argv[1] : NULL;
    TCase *tests = tcase_create("plots");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, odd_reports_have_whole_pictures, 0, ODD_REPORTS);
    tcase_add_test(tests, shapes_that_are_not_finite_are_counted_and_left_out);
    tcase_add_test(tests, markup_shows_text_as_it_is);
    tcase_add_test(tests, labels_keep_their_distance_and_order);
    tcase_add_test(tests, axes_of_fractions_keep_good_accuracies_apart);
    Suite *suite = suite_create("plots");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
