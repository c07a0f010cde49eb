#include "passes/refit_weights.h"

#include <cblas.h>
#include <lapacke.h>
#include <stdlib.h>

/// Rows per weight that it takes to tell errors of the inputs from chance.
enum { LEAST_ROWS = 4 };

/// Fills covariance[n][n] of x, and turns cross into the covariance of x with y - x, both [n][n].
static void fill(const struct pbitc_moments *moments, size_t group, float *covariance, float *cross)
{
    size_t n = moments->fan_in.count;
    const float *product = moments->product + group * n * n;
    const double *x = moments->sum + group * n, *y = moments->exact_sum + group * n;
    double rows = moments->count;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = i < j ? product[i * n + j] : product[j * n + i];
            covariance[i * n + j] = (float)(sum / rows - x[i] / rows * (x[j] / rows));
            cross[i * n + j] =
                (float)(cross[i * n + j] / rows - x[i] / rows * (y[j] / rows)) - covariance[i * n + j];
        }
}

bool pbitc_refit_weights(struct pbitc_moments *moments, size_t group, float share, float *weights)
{
    size_t n = moments->fan_in.count, outputs = moments->fan_in.outputs_per_group;
    if (moments->count < (double)LEAST_ROWS * (double)n)
        return true;
    float *cross = moments->cross + group * n * n, *covariance = malloc(n * n * sizeof(float)),
          *change = malloc(outputs * n * sizeof(float));
    bool ok = covariance && change;
    if (ok) {
        fill(moments, group, covariance, cross);
        pbitc_damp(covariance, n, moments->count);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)outputs, (int)n, (int)n, share, weights,
                    (int)n, cross, (int)n, 0, change, (int)n);
        // Rows of `change` are columns to LAPACK. Inputs that hardly vary leave the weights as they are.
        lapack_int order = (lapack_int)n;
        if (covariance[0] > 0 && LAPACKE_sposv(LAPACK_COL_MAJOR, 'U', order, (lapack_int)outputs, covariance,
                                               order, change, order) == 0)
            cblas_saxpy((int)(outputs * n), 1, change, 1, weights, 1);
    }
    free(covariance);
    free(change);
    return ok;
}
