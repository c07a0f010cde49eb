// fold-padding: a Pad with zeros becomes the padding of the layer that reads it.
#include "tests/passes/pass_case.h"

enum { AMOUNTS = 8 };

static struct pbitc_value *pad(struct pass_case *c, struct pbitc_value *x, const int64_t amounts[AMOUNTS])
{
    return pass_node(c, "Pad", x, pass_list(c, amounts, AMOUNTS), NULL);
}

START_TEST(convolutions_take_over_the_zeros)
{
    static const int64_t amounts[][AMOUNTS] = {{0}, {0, 0, 0, 1, 0, 0, 1, 2}, {0, 0, 2, 2, 0, 0, 2, 2}};
    for (int i = 0; i < 6; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 6, 7));
        struct pbitc_value *y = pass_conv(c, pad(c, x, amounts[i / 2]), SHAPE(4, 3, 3, 3), 1, i % 2);
        pass_output(c, y);
        ck_assert(pass_preserves(c, "fold-padding"));
        ck_assert_uint_eq(pass_count(c, "Pad"), 0);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(pools_count_the_zeros)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 6, 7));
    struct pbitc_value *padded = pad(c, x, (const int64_t[AMOUNTS]){0, 0, 1, 1, 0, 0, 1, 0});
    pass_output(c, pass_node(c, "AveragePool", padded, NULL, NULL));
    INTS(c, "kernel_shape", 2, 2);
    ck_assert(pass_preserves(c, "fold-padding"));
    ck_assert_uint_eq(pass_count(c, "Pad"), 0);
    pass_case_destroy(c);
}
END_TEST

/// Channels, cropping, a pool that leaves its own padding out of its means, a maximum, and two readers.
START_TEST(other_padding_stays)
{
    static const int64_t amounts[][AMOUNTS] = {
        {0, 1, 1, 1, 0, 0, 1, 1}, {0, 0, -1, 0, 0, 0, 0, 0}, {0, 0, 1, 1, 0, 0, 1, 1}};
    for (int i = 0; i < 5; i++) {
        struct pass_case *c = pass_case_create();
        struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 6, 7));
        struct pbitc_value *padded = pad(c, x, amounts[i < 2 ? i : 2]);
        struct pbitc_value *y = NULL;
        if (i < 2 || i == 4) {
            y = pass_conv(c, padded, SHAPE(4, i == 0 ? 4 : 3, 3, 3), 1, 0);
        } else {
            y = pass_node(c, i == 2 ? "AveragePool" : "MaxPool", padded, NULL, NULL);
            INTS(c, "kernel_shape", 2, 2);
            INTS(c, "pads", 1, 1, 1, 1);
        }
        pass_output(c, y);
        if (i == 4)
            pass_output(c, pass_node(c, "Relu", padded, NULL, NULL));
        ck_assert(!pass_preserves(c, "fold-padding"));
        ck_assert_uint_eq(pass_count(c, "Pad"), 1);
        pass_case_destroy(c);
    }
}
END_TEST

PASS_MAIN("fold-padding", convolutions_take_over_the_zeros, pools_count_the_zeros, other_padding_stays)
