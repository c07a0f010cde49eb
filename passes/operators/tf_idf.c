// TfIdfVectorizer: how often each of a pool of n-grams of integers comes in a row.
#include "passes/operators/operator_support.h"

#include <string.h>

struct n_grams {
    int64_t least, most, skip;     ///< elements of an n-gram; elements left out between two
    size_t starts_count;           ///< lengths of n-grams that the pool has
    const int64_t *starts;         ///< of each length: where its n-grams begin in the pool
    const int64_t *pool, *columns; ///< columns: of each n-gram, in the order of the pool
    size_t pool_count, column_count;
    const float *weights; ///< of each n-gram, or NULL
};

/// The elements of the n-grams of length n: first..last-1 of the pool.
static void pool_bounds(const struct n_grams *grams, int64_t n, int64_t *first, int64_t *last)
{
    size_t index = (size_t)n - 1;
    *first = index < grams->starts_count ? grams->starts[index] : (int64_t)grams->pool_count;
    *last = index + 1 < grams->starts_count ? grams->starts[index + 1] : (int64_t)grams->pool_count;
}

static enum pbit_status n_grams_read(struct pbitc_evaluation *evaluation, struct n_grams *grams,
                                     int64_t *columns)
{
    const struct pbitc_node *node = evaluation->node;
    const char *mode = pbitc_node_string(node, "mode", "");
    size_t weight_count;
    if (pbitc_node_attribute(node, "pool_strings"))
        return PBITC_REFUSE(evaluation, NULL, "n-grams of strings are not supported");
    *grams = (struct n_grams){.least = pbitc_node_int(node, "min_gram_length", 0),
                              .most = pbitc_node_int(node, "max_gram_length", 0),
                              .skip = pbitc_node_int(node, "max_skip_count", 0)};
    grams->starts = pbitc_node_ints(node, "ngram_counts", &grams->starts_count);
    grams->pool = pbitc_node_ints(node, "pool_int64s", &grams->pool_count);
    grams->columns = pbitc_node_ints(node, "ngram_indexes", &grams->column_count);
    grams->weights = pbitc_node_floats(node, "weights", &weight_count);
    if (strcmp(mode, "TF") != 0 && strcmp(mode, "IDF") != 0 && strcmp(mode, "TFIDF") != 0)
        return PBITC_MALFORMED(evaluation, "mode = \"%s\"", mode);
    bool fits = grams->least >= 1 && grams->most >= grams->least && grams->most <= INT16_MAX &&
                grams->skip >= 0 && grams->column_count > 0 &&
                (!grams->weights || weight_count == grams->column_count);
    int64_t grams_found = 0;
    for (size_t i = 0; fits && i < grams->starts_count; i++) {
        int64_t first, last;
        pool_bounds(grams, (int64_t)i + 1, &first, &last);
        fits = first >= 0 && first <= last && last <= (int64_t)grams->pool_count &&
               (last - first) % ((int64_t)i + 1) == 0;
        grams_found += fits ? (last - first) / ((int64_t)i + 1) : 0;
    }
    *columns = 0;
    for (size_t i = 0; fits && i < grams->column_count; i++) {
        fits = grams->columns[i] >= 0 && grams->columns[i] < INT32_MAX;
        *columns = grams->columns[i] >= *columns ? grams->columns[i] + 1 : *columns;
    }
    if (!fits || grams_found != (int64_t)grams->column_count)
        return PBITC_MALFORMED(evaluation, "lengths, pool, indices and weights of the n-grams do not fit");
    return PBIT_OK;
}

enum pbit_status infer_tf_idf(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    struct n_grams grams;
    int64_t columns = 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_INDEX);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, 2);
    if (!status)
        status = n_grams_read(evaluation, &grams, &columns);
    struct pbitc_shape shape = {input->rank, {input->rank == 2 ? input->dims[0] : columns, columns}};
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &shape);
    return status;
}

/// Counts, in `counts`, the n-grams of length n of a row whose elements are `step` apart.
static void count_grams(const struct n_grams *grams, const struct pbitc_tensor *input, int64_t row,
                        int64_t width, int64_t n, int64_t step, float *counts)
{
    int64_t first, last, gram = 0;
    for (int64_t shorter = 1; shorter < n; shorter++) {
        pool_bounds(grams, shorter, &first, &last);
        gram += (last - first) / shorter;
    }
    pool_bounds(grams, n, &first, &last);
    for (; first < last; first += n, gram++)
        for (int64_t start = 0; start + (n - 1) * step < width; start++) {
            int64_t same = 0;
            while (same < n &&
                   pbitc_integer_at(input, row * width + start + same * step) == grams->pool[first + same])
                same++;
            counts[grams->columns[gram]] += same == n;
        }
}

enum pbit_status evaluate_tf_idf(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    const char *mode = pbitc_node_string(evaluation->node, "mode", "");
    struct n_grams grams;
    int64_t columns = 0;
    enum pbit_status status = n_grams_read(evaluation, &grams, &columns);
    int64_t width = input->shape.rank ? input->shape.dims[input->shape.rank - 1] : 1;
    int64_t rows = input->shape.rank == 2 ? input->shape.dims[0] : 1;
    float *output = evaluation->outputs[0].data;
    if (status)
        return status;
    memset(output, 0, (size_t)(rows * columns) * sizeof(*output));
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t n = grams.least; n <= grams.most && n <= width; n++)
            for (int64_t step = 1; step <= (n == 1 ? 1 : grams.skip + 1) && step < width + 1; step++)
                count_grams(&grams, input, row, width, n, step, output + row * columns);
        for (size_t i = 0; strcmp(mode, "TF") != 0 && i < grams.column_count; i++) {
            float *count = &output[row * columns + grams.columns[i]];
            float weight = grams.weights ? grams.weights[i] : 1;
            *count = strcmp(mode, "IDF") != 0 ? *count * weight : *count > 0 ? weight : 0;
        }
    }
    return PBIT_OK;
}
