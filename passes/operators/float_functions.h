// exp, tanh and the logistic function of float32 arrays, in the processor's vectors. Only sums, products and
// one division, none of them fused: an element has the same bits wherever it stands and on every processor.
#ifndef PBITC_FLOAT_FUNCTIONS_H
#define PBITC_FLOAT_FUNCTIONS_H

#include <stdint.h>

/// out[i] = f(x[i]) for i < count, off by at most 3 units in the last place (the logistic function: for x >
/// -88; below it goes to 0); NaN stays NaN. out may be x.
void pbitc_exp_floats(int64_t count, const float *x, float *out);
void pbitc_tanh_floats(int64_t count, const float *x, float *out);
void pbitc_sigmoid_floats(int64_t count, const float *x, float *out);

#endif
