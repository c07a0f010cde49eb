#include "passes/moments.h"

#include "passes/operators/window.h"
#include "passes/pass_support.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    POSITIONS = 32, ///< output positions of a Conv looked at per image, at most
    ROWS = 1024,    ///< rows of x gathered before they are multiplied
};

/// x and y of up to ROWS positions, [rows][n]; exact NULL: x alone.
struct patches {
    float *rows, *exact;
    size_t count;
};

static void add_rows(const float *rows, size_t count, size_t n, double *sum)
{
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < n; i++)
            sum[i] += rows[r * n + i];
}

static void multiply(struct pbitc_moments *moments, size_t group, struct patches *patches)
{
    size_t n = moments->fan_in.count;
    add_rows(patches->rows, patches->count, n, moments->sum + group * n);
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)n, (int)patches->count, 1, patches->rows, (int)n,
                1, moments->product + group * n * n, (int)n);
    if (patches->exact) {
        add_rows(patches->exact, patches->count, n, moments->exact_sum + group * n);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)n, (int)n, (int)patches->count, 1,
                    patches->rows, (int)n, patches->exact, (int)n, 1, moments->cross + group * n * n, (int)n);
    }
    if (group == 0)
        moments->count += (double)patches->count;
    patches->count = 0;
}

/// Gemm: x[n] of one image, in the layer's ONNX order.
static void gather_dense(const struct pbitc_moments *moments, const float *x, float *row)
{
    const struct pbitc_fan_in *fan_in = &moments->fan_in;
    for (size_t i = 0; i < fan_in->count; i++)
        row[i] = x[fan_in->source[i]] / moments->input.scale[fan_in->channel[i]];
}

/// Conv: the patch below output position (oy, ox), x[C][H][W] of one image.
static void gather_patch(const struct pbitc_moments *moments, const struct pbitc_window *window,
                         const float *x, size_t group, int64_t oy, int64_t ox, float *row)
{
    const int h = PBITC_SPATIAL - 2, w = PBITC_SPATIAL - 1;
    size_t channels = moments->fan_in.channels_per_group,
           pixels = (size_t)(window->input[h] * window->input[w]);
    for (int64_t ky = 0; ky < window->kernel[h]; ky++)
        for (int64_t kx = 0; kx < window->kernel[w]; kx++) {
            int64_t iy = oy * window->stride[h] - window->pad_begin[h] + ky * window->dilation[h];
            int64_t ix = ox * window->stride[w] - window->pad_begin[w] + kx * window->dilation[w];
            bool inside = iy >= 0 && iy < window->input[h] && ix >= 0 && ix < window->input[w];
            for (size_t c = group * channels; c < (group + 1) * channels; c++)
                *row++ = inside
                             ? x[c * pixels + (size_t)(iy * window->input[w] + ix)] / moments->input.scale[c]
                             : 0;
        }
}

/// What the layer reads at position p of one image: x of the p-bit network, y of the float network.
static void gather(struct pbitc_moments *moments, const struct pbitc_window *window, const float *x,
                   const float *y, size_t group, int64_t p, struct patches *patches)
{
    const float *images[] = {x, y};
    float *rows[] = {patches->rows, patches->exact};
    int64_t width = window ? window->output[PBITC_SPATIAL - 1] : 1;
    for (int i = 0; i < 2 && rows[i]; i++) {
        float *row = rows[i] + patches->count * moments->fan_in.count;
        if (window)
            gather_patch(moments, window, images[i], group, p / width, p % width, row);
        else
            gather_dense(moments, images[i], row);
    }
    if (++patches->count == ROWS)
        multiply(moments, group, patches);
}

enum pbit_status pbitc_add_moments(struct pbitc_context *context, struct pbitc_moments *moments,
                                   const struct pbitc_tensor *x, const struct pbitc_tensor *y, size_t first)
{
    const struct pbitc_node *layer = moments->layer;
    size_t images = (size_t)x->shape.dims[0], elements = (size_t)pbitc_shape_elements(&x->shape) / images;
    struct pbitc_window window;
    bool conv = pbitc_node_is(layer, PBITC_OP_Conv);
    if (conv) {
        struct pbitc_evaluation evaluation = {.node = layer, .diagnostics = context->diagnostics};
        enum pbit_status status =
            pbitc_window_read(&evaluation, x->shape.dims + 2, layer->inputs[1]->constant->shape.dims + 2,
                              x->shape.rank - 2, false, &window);
        if (status != PBIT_OK)
            return status;
    }
    size_t size = ROWS * moments->fan_in.count * sizeof(float);
    struct patches patches = {malloc(size), moments->cross ? malloc(size) : NULL, 0};
    bool ok = patches.rows && (patches.exact || !moments->cross);
    int64_t positions = conv ? window.output[PBITC_SPATIAL - 2] * window.output[PBITC_SPATIAL - 1] : 1,
            step = (positions + POSITIONS - 1) / POSITIONS;
    for (size_t group = 0; group < moments->groups && ok; group++) {
        for (size_t n = 0; n < images; n++) // other positions from image to image
            for (int64_t p = (int64_t)(first + n) % step; p < positions; p += step)
                gather(moments, conv ? &window : NULL, (const float *)x->data + n * elements,
                       (const float *)y->data + n * elements, group, p, &patches);
        multiply(moments, group, &patches);
    }
    free(patches.rows);
    free(patches.exact);
    return ok ? PBIT_OK : pbitc_out_of_memory(context);
}

// ---- what rounding needs of them

/// Share of the mean variance that is added to every variance, so that the covariance can be inverted: more
/// where few rows were seen, whose chance correlations are no reason to trade errors.
static const double DAMPING = 0.01, DAMPING_OF_FEW = 0.3;

void pbitc_damp(float *covariance, size_t n, double rows)
{
    double trace = 0;
    for (size_t i = 0; i < n; i++)
        trace += covariance[i * n + i];
    float damping = (float)((DAMPING + DAMPING_OF_FEW * (double)n / rows) * trace / (double)n);
    for (size_t i = 0; i < n; i++)
        covariance[i * n + i] += damping;
}

/// covariance[n][n] (upper triangle) becomes the upper Cholesky factor of its inverse. False: it cannot.
static bool invert(float *covariance, size_t n)
{
    lapack_int order = (lapack_int)n;
    // LAPACK's own (column-major) names: the upper triangle of rows is the lower one of columns.
    return covariance[0] > 0 && LAPACKE_spotrf(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0 &&
           LAPACKE_spotri(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0 &&
           LAPACKE_spotrf(LAPACK_ROW_MAJOR, 'U', order, covariance, order) == 0;
}

struct ranked {
    float variance;
    uint32_t index;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->variance != y->variance)
        return x->variance < y->variance ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/// Fills order[n]: the inputs from the largest variance to the smallest.
static bool rank_inputs(struct pbitc_statistics *statistics, size_t n)
{
    struct ranked *ranked = malloc(n * sizeof(*ranked));
    if (!ranked)
        return false;
    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){statistics->variance[i], (uint32_t)i};
    qsort(ranked, n, sizeof(*ranked), compare_ranked);
    for (size_t i = 0; i < n; i++)
        statistics->order[i] = ranked[i].index;
    free(ranked);
    return true;
}

/// covariance[n][n], upper triangle, in the order of ranks.
static void fill_covariance(const struct pbitc_moments *moments, const float *product,
                            const struct pbitc_statistics *statistics, float *covariance)
{
    size_t n = moments->fan_in.count;
    for (size_t a = 0; a < n; a++)
        for (size_t b = a; b < n; b++) {
            size_t i = statistics->order[a], j = statistics->order[b];
            float sum = i < j ? product[i * n + j] : product[j * n + i];
            covariance[a * n + b] =
                (float)(sum / moments->count - (double)statistics->mean[i] * statistics->mean[j]);
        }
}

/// memory, in the order of ranks, becomes the whole covariance of the inputs as they stand.
static void put_in_place(struct pbitc_statistics *statistics, size_t n)
{
    for (size_t a = 0; a < n; a++)
        for (size_t b = a; b < n; b++) {
            size_t i = statistics->order[a], j = statistics->order[b];
            statistics->covariance[i * n + j] = statistics->covariance[j * n + i] =
                statistics->memory[a * n + b];
        }
}

bool pbitc_find_statistics(const struct pbitc_moments *moments, size_t group, bool compensate,
                           struct pbitc_statistics *statistics)
{
    size_t n = moments->fan_in.count;
    statistics->factor = NULL;
    bool known = moments->product && moments->count > 0;
    const float *product = known ? moments->product + group * n * n : NULL;
    for (size_t i = 0; i < n; i++) {
        statistics->mean[i] = known ? (float)(moments->sum[group * n + i] / moments->count) : 0;
        // A share for all alike, so that the steps of inputs that never changed are not left to chance.
        statistics->variance[i] = known ? fmaxf((float)(product[i * n + i] / moments->count -
                                                        (double)statistics->mean[i] * statistics->mean[i]),
                                                0) +
                                              1e-6f
                                        : 1;
    }
    if (!rank_inputs(statistics, n))
        return false;
    if (known && compensate) {
        fill_covariance(moments, product, statistics, statistics->memory);
        pbitc_damp(statistics->memory, n, moments->count);
        if (statistics->covariance)
            put_in_place(statistics, n);
        statistics->factor = invert(statistics->memory, n) ? statistics->memory : NULL;
    }
    return true;
}
