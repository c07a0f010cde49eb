// pool-means: x.mean((2, 3)) is a GlobalAveragePool.
#include "tests/passes/pass_case.h"

static struct pass_case *mean_of(const int64_t *axes, int64_t count, int64_t keep)
{
    struct pass_case *c = pass_case_create();
    struct pbitc_value *x = pass_input(c, SHAPE(1, 3, 4, 5));
    pass_output(c, pass_node(c, "ReduceMean", x, pass_list(c, axes, count), NULL));
    ck_assert(pbitc_node_set_int(c->graph, c->node, "keepdims", keep));
    return c;
}

START_TEST(means_over_all_pixels_become_pools)
{
    static const int64_t axes[][2] = {{2, 3}, {-1, -2}, {3, 2}};
    for (int i = 0; i < 6; i++) {
        struct pass_case *c = mean_of(axes[i / 2], 2, i % 2);
        ck_assert(pass_preserves(c, "pool-means"));
        ck_assert_uint_eq(pass_count(c, "ReduceMean"), 0);
        ck_assert_uint_eq(pass_count(c, "GlobalAveragePool"), 1);
        ck_assert_uint_eq(pass_count(c, "Flatten"), i % 2 ? 0 : 1);
        pass_case_destroy(c);
    }
}
END_TEST

START_TEST(other_means_stay)
{
    static const int64_t axes[][2] = {{1, 2}, {0, 1}};
    for (int i = 0; i < 2; i++) {
        struct pass_case *c = mean_of(axes[i], 2, 1);
        ck_assert(!pass_preserves(c, "pool-means"));
        pass_case_destroy(c);
    }
    struct pass_case *c = mean_of((int64_t[]){3}, 1, 1);
    ck_assert(!pass_preserves(c, "pool-means"));
    pass_case_destroy(c);
}
END_TEST

PASS_MAIN("pool-means", means_over_all_pixels_become_pools, other_means_stay)
