// Signal processing: windows, DFT, STFT, MelWeightMatrix.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

/// Element `index` of a float or double output.
static void store_real(struct pbitc_tensor *output, int64_t index, double value)
{
    if (output->type == PBITC_FLOAT32)
        ((float *)output->data)[index] = (float)value;
    else
        ((double *)output->data)[index] = value;
}

static enum pbit_status output_type(struct pbitc_evaluation *evaluation, enum pbitc_type *type)
{
    int64_t asked = pbitc_node_int(evaluation->node, "output_datatype", PBITC_FLOAT32);
    *type = (enum pbitc_type)asked;
    if (asked != PBITC_FLOAT32 && asked != PBITC_FLOAT64)
        return PBITC_REFUSE(evaluation, NULL,
                            "output_datatype = %lld; only float32 and float64 are supported",
                            (long long)asked);
    return PBIT_OK;
}

/// A scalar parameter of 1..limit.
static enum pbit_status read_count(struct pbitc_evaluation *evaluation, size_t index, const char *what,
                                   int64_t *count)
{
    enum pbit_status status = pbitc_require_scalar(evaluation, index);
    if (!status)
        status = pbitc_require_parameter(evaluation, index, what, PBITC_TYPES_INDEX);
    if (status)
        return status;
    *count = pbitc_integer_at(evaluation->inputs[index], 0);
    if (*count < 1 || *count > INT32_MAX)
        return PBITC_MALFORMED(evaluation, "%s = %lld", what, (long long)*count);
    return PBIT_OK;
}

enum pbit_status infer_window(struct pbitc_evaluation *evaluation)
{
    enum pbitc_type type = PBITC_FLOAT32;
    int64_t size = 0;
    enum pbit_status status = read_count(evaluation, 0, "size", &size);
    if (!status)
        status = output_type(evaluation, &type);
    pbitc_set_output(evaluation, 0, type, &(struct pbitc_shape){1, {size}});
    return status;
}

/// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N); N is the size, or one less where not periodic.
static enum pbit_status make_window(struct pbitc_evaluation *evaluation, double a0, double a1, double a2)
{
    int64_t size = evaluation->outputs[0].shape.dims[0];
    int64_t period = pbitc_node_int(evaluation->node, "periodic", 1) ? size : size - 1;
    for (int64_t n = 0; n < size; n++) {
        double angle = 2 * PI * (double)n / (double)period;
        store_real(&evaluation->outputs[0], n, a0 - a1 * cos(angle) + a2 * cos(2 * angle));
    }
    return PBIT_OK;
}

enum pbit_status evaluate_hann_window(struct pbitc_evaluation *evaluation)
{
    return make_window(evaluation, 0.5, 0.5, 0);
}

enum pbit_status evaluate_hamming_window(struct pbitc_evaluation *evaluation)
{
    return make_window(evaluation, 25.0 / 46, 21.0 / 46, 0);
}

enum pbit_status evaluate_blackman_window(struct pbitc_evaluation *evaluation)
{
    return make_window(evaluation, 0.42, 0.5, 0.08);
}

/// A discrete Fourier transform of `count` numbers `step` elements apart, of which `present` are there and
/// the rest are 0.
struct transform {
    const struct pbitc_tensor *input;
    bool complex, inverse;
    int64_t count, present, step;
    const double *table;               ///< cos and sin of 2 pi i / count
    const struct pbitc_tensor *window; ///< or NULL
};

static void fill_table(double *table, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        table[2 * i] = cos(2 * PI * (double)i / (double)count);
        table[2 * i + 1] = sin(2 * PI * (double)i / (double)count);
    }
}

/// Coefficient k of the line that starts at element `start` (of real or complex numbers).
static void transform_at(const struct transform *t, int64_t start, int64_t k, double *real, double *imaginary)
{
    *real = *imaginary = 0;
    for (int64_t n = 0, turn = 0; n < t->present; n++, turn = (turn + k) % t->count) {
        int64_t at = start + n * t->step;
        double x = pbitc_real_at(t->input, t->complex ? 2 * at : at);
        double y = t->complex ? pbitc_real_at(t->input, 2 * at + 1) : 0;
        double weight = t->window ? pbitc_real_at(t->window, n) : 1;
        double c = weight * t->table[2 * turn], s = weight * (t->inverse ? 1 : -1) * t->table[2 * turn + 1];
        *real += x * c - y * s;
        *imaginary += x * s + y * c;
    }
    if (t->inverse) {
        *real /= (double)t->count;
        *imaginary /= (double)t->count;
    }
}

struct dft {
    int axis;
    bool onesided;
    struct transform transform;
    int64_t outputs; ///< coefficients
};

/// DFT: input [... x 1 or 2], the last dimension holding real and imaginary parts; inputs 1 and 2 are the
/// length of the transform and the axis, which opset 17 has as an attribute.
static enum pbit_status dft_read(struct pbitc_evaluation *evaluation, struct dft *dft)
{
    const struct pbitc_tensor *input = evaluation->inputs[0];
    int64_t axis = -2, last = input->shape.rank ? input->shape.dims[input->shape.rank - 1] : 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    *dft = (struct dft){.onesided = pbitc_node_int(evaluation->node, "onesided", 0) != 0};
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_require_scalar(evaluation, 2);
    if (!status)
        status = pbitc_require_parameter(evaluation, 2, "axis", PBITC_TYPES_INDEX);
    if (!status && pbitc_input(evaluation, 2))
        axis = pbitc_integer_at(evaluation->inputs[2], 0);
    if (!status)
        status = pbitc_axis(evaluation, axis, input->shape.rank, &dft->axis);
    if (!status && (dft->axis == input->shape.rank - 1 || (last != 1 && last != 2)))
        status = PBITC_MALFORMED(evaluation, "axis %lld of %s", (long long)axis,
                                 pbitc_shape_format(&input->shape).text);
    if (status)
        return status;
    struct transform *t = &dft->transform;
    t->input = input;
    t->complex = last == 2;
    t->inverse = pbitc_node_int(evaluation->node, "inverse", 0) != 0;
    t->step = pbitc_extent(&input->shape, dft->axis + 1, input->shape.rank - 1);
    t->count = input->shape.dims[dft->axis];
    if (pbitc_input(evaluation, 1))
        status = read_count(evaluation, 1, "dft_length", &t->count);
    if (!status && dft->onesided && (t->inverse || t->complex))
        status = PBITC_REFUSE(evaluation, NULL, "onesided = 1 with complex numbers or an inverse transform");
    t->present = t->count < input->shape.dims[dft->axis] ? t->count : input->shape.dims[dft->axis];
    dft->outputs = dft->onesided ? t->count / 2 + 1 : t->count;
    return status;
}

enum pbit_status infer_dft(struct pbitc_evaluation *evaluation)
{
    struct dft dft;
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    enum pbit_status status = dft_read(evaluation, &dft);
    if (status)
        return status;
    shape.dims[dft.axis] = dft.outputs;
    shape.dims[shape.rank - 1] = 2;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return pbitc_add_scratch(evaluation, dft.transform.count, 2 * sizeof(double))
               ? PBIT_OK
               : PBITC_REFUSE(evaluation, NULL, "the transform is too long");
}

enum pbit_status evaluate_dft(struct pbitc_evaluation *evaluation)
{
    struct dft dft;
    enum pbit_status status = dft_read(evaluation, &dft);
    const struct pbitc_shape *input = &evaluation->inputs[0]->shape;
    struct pbitc_tensor *output = &evaluation->outputs[0];
    if (status || pbitc_shape_elements(&output->shape) == 0)
        return status;
    fill_table(evaluation->scratch, dft.transform.count);
    dft.transform.table = evaluation->scratch;
    int64_t inner = dft.transform.step, lines = pbitc_extent(input, 0, dft.axis) * inner;
    for (int64_t l = 0; l < lines; l++)
        for (int64_t k = 0; k < dft.outputs; k++) {
            double real, imaginary;
            int64_t to = (l / inner * dft.outputs + k) * inner + l % inner;
            transform_at(&dft.transform, l / inner * input->dims[dft.axis] * inner + l % inner, k, &real,
                         &imaginary);
            store_real(output, 2 * to, real);
            store_real(output, 2 * to + 1, imaginary);
        }
    return PBIT_OK;
}

/// STFT: signal [N x L x 1 or 2] (or [N x L]), step, window, length of a frame.
struct stft {
    int64_t step, frames, outputs;
    struct transform transform;
};

static enum pbit_status stft_read(struct pbitc_evaluation *evaluation, struct stft *stft)
{
    const struct pbitc_tensor *signal = evaluation->inputs[0], *window = pbitc_input(evaluation, 2);
    bool onesided = pbitc_node_int(evaluation->node, "onesided", 1) != 0;
    enum pbit_status status = pbitc_require_type(evaluation, 0, PBITC_TYPES_FLOAT);
    *stft = (struct stft){.step = 1};
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 2, 3);
    if (!status)
        status = pbitc_require_type(evaluation, 2, PBITC_TYPES_FLOAT);
    if (!status)
        status = read_count(evaluation, 1, "frame_step", &stft->step);
    struct transform *t = &stft->transform;
    *t = (struct transform){.input = signal, .window = window, .step = 1};
    if (!status && pbitc_input(evaluation, 3))
        status = read_count(evaluation, 3, "frame_length", &t->count);
    else if (!status && window)
        t->count = pbitc_shape_elements(&window->shape);
    if (status)
        return status;
    int64_t last = signal->shape.rank == 3 ? signal->shape.dims[2] : 1;
    t->complex = last == 2;
    t->present = t->count;
    if (t->count < 1 || (window && (window->shape.rank != 1 || window->shape.dims[0] != t->count)) ||
        (last != 1 && last != 2) || t->count > signal->shape.dims[1] || (onesided && t->complex))
        return PBITC_MALFORMED(evaluation, "frames of %lld do not fit the window, or a signal of %s",
                               (long long)t->count, pbitc_shape_format(&signal->shape).text);
    stft->frames = (signal->shape.dims[1] - t->count) / stft->step + 1;
    stft->outputs = onesided ? t->count / 2 + 1 : t->count;
    return PBIT_OK;
}

enum pbit_status infer_stft(struct pbitc_evaluation *evaluation)
{
    struct stft stft;
    enum pbit_status status = stft_read(evaluation, &stft);
    if (status)
        return status;
    pbitc_set_output(
        evaluation, 0, evaluation->inputs[0]->type,
        &(struct pbitc_shape){4, {evaluation->inputs[0]->shape.dims[0], stft.frames, stft.outputs, 2}});
    return pbitc_add_scratch(evaluation, stft.transform.count, 2 * sizeof(double))
               ? PBIT_OK
               : PBITC_REFUSE(evaluation, NULL, "the frames are too long");
}

enum pbit_status evaluate_stft(struct pbitc_evaluation *evaluation)
{
    struct stft stft;
    enum pbit_status status = stft_read(evaluation, &stft);
    const struct pbitc_shape *shape = &evaluation->outputs[0].shape;
    if (status)
        return status;
    fill_table(evaluation->scratch, stft.transform.count);
    stft.transform.table = evaluation->scratch;
    for (int64_t i = 0; i < shape->dims[0] * stft.frames * stft.outputs; i++) {
        double real, imaginary;
        int64_t frame = i / stft.outputs % stft.frames, batch = i / stft.outputs / stft.frames;
        transform_at(&stft.transform, batch * evaluation->inputs[0]->shape.dims[1] + frame * stft.step,
                     i % stft.outputs, &real, &imaginary);
        store_real(&evaluation->outputs[0], 2 * i, real);
        store_real(&evaluation->outputs[0], 2 * i + 1, imaginary);
    }
    return PBIT_OK;
}

/// MelWeightMatrix: number of mel bins, length of the DFT, sample rate, lower and upper edge in Hz.
enum pbit_status infer_mel_weight_matrix(struct pbitc_evaluation *evaluation)
{
    int64_t bins = 0, length = 0, rate = 0;
    enum pbitc_type type = PBITC_FLOAT32;
    enum pbit_status status = read_count(evaluation, 0, "num_mel_bins", &bins);
    if (!status)
        status = read_count(evaluation, 1, "dft_length", &length);
    if (!status)
        status = read_count(evaluation, 2, "sample_rate", &rate);
    for (size_t i = 3; !status && i < 5; i++)
        status = pbitc_require_scalar(evaluation, i);
    for (size_t i = 3; !status && i < 5; i++)
        status = pbitc_require_type(evaluation, i, PBITC_TYPES_FLOAT);
    if (!status)
        status = output_type(evaluation, &type);
    pbitc_set_output(evaluation, 0, type, &(struct pbitc_shape){2, {length / 2 + 1, bins}});
    return status;
}

static double hertz_to_mel(double hertz)
{
    return 2595 * log10(1 + hertz / 700);
}

/// The first of the DFT's bins at edge `i` of the mel bins.
static int64_t mel_edge(const struct pbitc_evaluation *evaluation, int64_t i)
{
    double low = hertz_to_mel(pbitc_real_at(evaluation->inputs[3], 0));
    double high = hertz_to_mel(pbitc_real_at(evaluation->inputs[4], 0));
    double mel = low + (double)i * (high - low) / (double)(evaluation->outputs[0].shape.dims[1] + 2);
    double hertz = 700 * (pow(10, mel / 2595) - 1);
    double bin = floor((double)(pbitc_integer_at(evaluation->inputs[1], 0) + 1) * hertz /
                       (double)pbitc_integer_at(evaluation->inputs[2], 0));
    return bin >= 0 && bin < INT32_MAX ? (int64_t)bin : 0;
}

enum pbit_status evaluate_mel_weight_matrix(struct pbitc_evaluation *evaluation)
{
    struct pbitc_tensor *output = &evaluation->outputs[0];
    int64_t rows = output->shape.dims[0], columns = output->shape.dims[1];
    memset(output->data, 0, (size_t)(rows * columns) * pbitc_type_bytes(output->type));
    for (int64_t column = 0; column < columns; column++) {
        int64_t low = mel_edge(evaluation, column), top = mel_edge(evaluation, column + 1);
        int64_t high = mel_edge(evaluation, column + 2);
        if (low == top && top < rows)
            store_real(output, top * columns + column, 1);
        for (int64_t row = low; low != top && row <= top && row < rows; row++)
            store_real(output, row * columns + column, (double)(row - low) / (double)(top - low));
        for (int64_t row = top; top != high && row < high && row < rows; row++)
            store_real(output, row * columns + column, (double)(high - row) / (double)(high - top));
    }
    return PBIT_OK;
}
