// ai.onnx.ml: the preparation of features: Scaler, Normalizer, Binarizer, Imputer, ArrayFeatureExtractor,
// FeatureVectorizer, OneHotEncoder, LabelEncoder.
#include "passes/operators/operator_support.h"

#include <math.h>
#include <string.h>

enum { FEATURE_TYPES = PBITC_TYPES_FLOAT | PBITC_TYPES_INDEX };

static int64_t last_extent(const struct pbitc_shape *shape)
{
    return shape->rank ? shape->dims[shape->rank - 1] : 1;
}

static enum pbit_status infer_float_features(struct pbitc_evaluation *evaluation)
{
    enum pbit_status status = pbitc_require_type(evaluation, 0, FEATURE_TYPES);
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 1, PBITC_MAX_RANK);
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &evaluation->inputs[0]->shape);
    return status;
}

/// One number for all features, or one for each.
static enum pbit_status read_factors(struct pbitc_evaluation *evaluation, const char *name,
                                     const float **factors, size_t *count)
{
    *factors = pbitc_node_floats(evaluation->node, name, count);
    if (*count == 1 || *count == (size_t)last_extent(&evaluation->inputs[0]->shape))
        return PBIT_OK;
    return PBITC_MALFORMED(evaluation, "%s has %zu numbers for an input of %s", name, *count,
                           pbitc_shape_format(&evaluation->inputs[0]->shape).text);
}

/// Scaler: (x - offset) * scale.
enum pbit_status infer_scaler(struct pbitc_evaluation *evaluation)
{
    const float *factors;
    size_t count;
    enum pbit_status status = infer_float_features(evaluation);
    if (!status)
        status = read_factors(evaluation, "offset", &factors, &count);
    return status ? status : read_factors(evaluation, "scale", &factors, &count);
}

enum pbit_status evaluate_scaler(struct pbitc_evaluation *evaluation)
{
    const float *offsets, *scales;
    size_t offset_count, scale_count;
    enum pbit_status status = read_factors(evaluation, "offset", &offsets, &offset_count);
    if (!status)
        status = read_factors(evaluation, "scale", &scales, &scale_count);
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    for (int64_t i = 0; !status && i < count; i++) {
        float x = (float)pbitc_real_at(evaluation->inputs[0], i);
        ((float *)evaluation->outputs[0].data)[i] =
            (x - offsets[(size_t)i % offset_count]) * scales[(size_t)i % scale_count];
    }
    return status;
}

/// Normalizer: rows divided by their largest, by the sum of their magnitudes, or by their length.
enum pbit_status infer_normalizer(struct pbitc_evaluation *evaluation)
{
    const char *norm = pbitc_node_string(evaluation->node, "norm", "MAX");
    if (strcmp(norm, "MAX") != 0 && strcmp(norm, "L1") != 0 && strcmp(norm, "L2") != 0)
        return PBITC_REFUSE(evaluation, NULL, "norm = \"%s\" is not defined", norm);
    enum pbit_status status = infer_float_features(evaluation);
    return status ? status : pbitc_require_rank(evaluation, 0, 1, 2);
}

enum pbit_status evaluate_normalizer(struct pbitc_evaluation *evaluation)
{
    const char *norm = pbitc_node_string(evaluation->node, "norm", "MAX");
    int64_t width = last_extent(&evaluation->inputs[0]->shape);
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    for (int64_t start = 0; width && start < count; start += width) {
        double largest = -INFINITY, sum = 0, squares = 0;
        for (int64_t i = start; i < start + width; i++) {
            double x = pbitc_real_at(evaluation->inputs[0], i);
            largest = x > largest ? x : largest;
            sum += fabs(x);
            squares += x * x;
        }
        double divisor = strcmp(norm, "MAX") == 0 ? largest : strcmp(norm, "L1") == 0 ? sum : sqrt(squares);
        for (int64_t i = start; i < start + width; i++) {
            double x = pbitc_real_at(evaluation->inputs[0], i);
            ((float *)evaluation->outputs[0].data)[i] = (float)(divisor != 0 ? x / divisor : x);
        }
    }
    return PBIT_OK;
}

enum pbit_status infer_binarizer(struct pbitc_evaluation *evaluation)
{
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &evaluation->inputs[0]->shape);
    return pbitc_require_type(evaluation, 0, 1 << PBITC_FLOAT32);
}

enum pbit_status evaluate_binarizer(struct pbitc_evaluation *evaluation)
{
    float threshold = pbitc_node_float(evaluation->node, "threshold", 0);
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        ((float *)evaluation->outputs[0].data)[i] =
            ((const float *)evaluation->inputs[0]->data)[i] > threshold;
    return PBIT_OK;
}

/// Imputer: what equals replaced_value (or is NaN when that is) becomes the imputed value.
enum pbit_status infer_imputer(struct pbitc_evaluation *evaluation)
{
    bool real = evaluation->inputs[0]->type == PBITC_FLOAT32;
    size_t count;
    enum pbit_status status = pbitc_require_type(evaluation, 0, 1 << PBITC_FLOAT32 | 1 << PBITC_INT64);
    if (real)
        pbitc_node_floats(evaluation->node, "imputed_value_floats", &count);
    else
        pbitc_node_ints(evaluation->node, "imputed_value_int64s", &count);
    if (!status && count != 1 && count != (size_t)last_extent(&evaluation->inputs[0]->shape))
        status = PBITC_MALFORMED(evaluation, "%zu imputed values for an input of %s", count,
                                 pbitc_shape_format(&evaluation->inputs[0]->shape).text);
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &evaluation->inputs[0]->shape);
    return status;
}

enum pbit_status evaluate_imputer(struct pbitc_evaluation *evaluation)
{
    int64_t count = pbitc_shape_elements(&evaluation->outputs[0].shape);
    size_t real_count, integer_count;
    const float *reals = pbitc_node_floats(evaluation->node, "imputed_value_floats", &real_count);
    const int64_t *integers = pbitc_node_ints(evaluation->node, "imputed_value_int64s", &integer_count);
    float real = pbitc_node_float(evaluation->node, "replaced_value_float", 0);
    int64_t integer = pbitc_node_int(evaluation->node, "replaced_value_int64", 0);
    for (int64_t i = 0; i < count; i++) {
        if (evaluation->inputs[0]->type == PBITC_FLOAT32) {
            float x = ((const float *)evaluation->inputs[0]->data)[i];
            bool replaced = x == real || (isnan(x) && isnan(real));
            ((float *)evaluation->outputs[0].data)[i] = replaced ? reals[(size_t)i % real_count] : x;
        } else {
            int64_t x = ((const int64_t *)evaluation->inputs[0]->data)[i];
            ((int64_t *)evaluation->outputs[0].data)[i] =
                x == integer ? integers[(size_t)i % integer_count] : x;
        }
    }
    return PBIT_OK;
}

/// ArrayFeatureExtractor: picks positions of the last dimension.
enum pbit_status infer_array_feature_extractor(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    int64_t count = pbitc_shape_elements(&evaluation->inputs[1]->shape);
    enum pbit_status status = pbitc_require_rank(evaluation, 0, 1, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_require_type(evaluation, 1, 1 << PBITC_INT64);
    if (status)
        return status;
    if (shape.rank == 1) // a list gives a matrix of one row
        shape = (struct pbitc_shape){2, {1}};
    shape.dims[shape.rank - 1] = count;
    pbitc_set_output(evaluation, 0, evaluation->inputs[0]->type, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_array_feature_extractor(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *input = evaluation->inputs[0], *places = evaluation->inputs[1];
    int64_t width = last_extent(&input->shape), count = pbitc_shape_elements(&places->shape);
    int64_t rows = pbitc_extent(&input->shape, 0, input->shape.rank - 1);
    size_t bytes = pbitc_type_bytes(input->type);
    for (int64_t i = 0; i < count; i++) {
        int64_t place = pbitc_integer_at(places, i);
        if (place < 0 || place >= width)
            return PBITC_MALFORMED(evaluation, "feature %lld of %lld", (long long)place, (long long)width);
        for (int64_t row = 0; row < rows; row++)
            memcpy((unsigned char *)evaluation->outputs[0].data + (size_t)(row * count + i) * bytes,
                   (const unsigned char *)input->data + (size_t)(row * width + place) * bytes, bytes);
    }
    return PBIT_OK;
}

/// FeatureVectorizer: the features of all inputs beside each other, as float32.
enum pbit_status infer_feature_vectorizer(struct pbitc_evaluation *evaluation)
{
    size_t count;
    const int64_t *widths = pbitc_node_ints(evaluation->node, "inputdimensions", &count);
    int64_t total = 0, rows = -1;
    for (size_t i = 0; i < evaluation->input_count; i++) {
        const struct pbitc_shape *shape = &evaluation->inputs[i]->shape;
        enum pbit_status status = pbitc_require_type(evaluation, i, FEATURE_TYPES);
        if (!status)
            status = pbitc_require_rank(evaluation, i, 1, 2);
        if (status)
            return status;
        int64_t own = shape->rank == 2 ? shape->dims[0] : 1, width = last_extent(shape);
        if ((rows >= 0 && rows != own) || i >= count || widths[i] != width)
            return PBITC_MALFORMED(evaluation, "input %zu of shape %s does not fit inputdimensions", i,
                                   pbitc_shape_format(shape).text);
        rows = own;
        total += width;
    }
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &(struct pbitc_shape){2, {rows, total}});
    return PBIT_OK;
}

enum pbit_status evaluate_feature_vectorizer(struct pbitc_evaluation *evaluation)
{
    int64_t rows = evaluation->outputs[0].shape.dims[0], total = evaluation->outputs[0].shape.dims[1],
            done = 0;
    for (size_t i = 0; i < evaluation->input_count; i++) {
        const struct pbitc_tensor *input = evaluation->inputs[i];
        int64_t width = last_extent(&input->shape);
        for (int64_t row = 0; row < rows; row++)
            pbitc_convert(
                PBITC_FLOAT32, (float *)evaluation->outputs[0].data + row * total + done, input->type,
                (const unsigned char *)input->data + (size_t)(row * width) * pbitc_type_bytes(input->type),
                width);
        done += width;
    }
    return PBIT_OK;
}

/// OneHotEncoder of integers.
enum pbit_status infer_one_hot_encoder(struct pbitc_evaluation *evaluation)
{
    struct pbitc_shape shape = evaluation->inputs[0]->shape;
    size_t count;
    pbitc_node_ints(evaluation->node, "cats_int64s", &count);
    enum pbit_status status = pbitc_require_type(evaluation, 0, FEATURE_TYPES);
    if (!status && count == 0)
        status = PBITC_REFUSE(evaluation, NULL, "categories that are strings are not supported");
    if (!status)
        status = pbitc_require_rank(evaluation, 0, 0, PBITC_MAX_RANK - 1);
    if (status)
        return status;
    shape.dims[shape.rank++] = (int64_t)count;
    pbitc_set_output(evaluation, 0, PBITC_FLOAT32, &shape);
    return PBIT_OK;
}

enum pbit_status evaluate_one_hot_encoder(struct pbitc_evaluation *evaluation)
{
    size_t categories;
    const int64_t *category = pbitc_node_ints(evaluation->node, "cats_int64s", &categories);
    int64_t count = pbitc_shape_elements(&evaluation->inputs[0]->shape);
    float *output = evaluation->outputs[0].data;
    for (int64_t i = 0; i < count; i++) {
        bool found = false;
        int64_t x;
        pbitc_convert(PBITC_INT64, &x, evaluation->inputs[0]->type,
                      (const unsigned char *)evaluation->inputs[0]->data +
                          (size_t)i * pbitc_type_bytes(evaluation->inputs[0]->type),
                      1);
        for (size_t c = 0; c < categories; c++) {
            bool same = category[c] == x;
            output[(size_t)i * categories + c] = same;
            found = found || same;
        }
        if (!found && !pbitc_node_int(evaluation->node, "zeros", 1))
            return PBITC_MALFORMED(evaluation, "%lld is none of the categories", (long long)x);
    }
    return PBIT_OK;
}

/// LabelEncoder between numbers: keys_* to values_*; what is no key becomes default_*.
struct encoder {
    const int64_t *integer_keys, *integer_values;
    const float *real_keys, *real_values;
    size_t keys, values;
};

static enum pbit_status encoder_read(struct pbitc_evaluation *evaluation, struct encoder *encoder)
{
    size_t real_keys, real_values;
    encoder->integer_keys = pbitc_node_ints(evaluation->node, "keys_int64s", &encoder->keys);
    encoder->real_keys = pbitc_node_floats(evaluation->node, "keys_floats", &real_keys);
    encoder->integer_values = pbitc_node_ints(evaluation->node, "values_int64s", &encoder->values);
    encoder->real_values = pbitc_node_floats(evaluation->node, "values_floats", &real_values);
    encoder->keys = encoder->integer_keys ? encoder->keys : real_keys;
    encoder->values = encoder->integer_values ? encoder->values : real_values;
    if (encoder->keys == 0 || encoder->values == 0)
        return PBITC_REFUSE(evaluation, "encode strings outside of the model",
                            "keys or values that are not numbers are not supported");
    if (encoder->keys != encoder->values)
        return PBITC_MALFORMED(evaluation, "%zu keys for %zu values", encoder->keys, encoder->values);
    return pbitc_require_type(evaluation, 0, encoder->integer_keys ? 1u << PBITC_INT64 : 1u << PBITC_FLOAT32);
}

enum pbit_status infer_label_encoder(struct pbitc_evaluation *evaluation)
{
    struct encoder encoder;
    enum pbit_status status = encoder_read(evaluation, &encoder);
    pbitc_set_output(evaluation, 0, encoder.integer_values ? PBITC_INT64 : PBITC_FLOAT32,
                     &evaluation->inputs[0]->shape);
    return status;
}

enum pbit_status evaluate_label_encoder(struct pbitc_evaluation *evaluation)
{
    struct encoder encoder;
    enum pbit_status status = encoder_read(evaluation, &encoder);
    int64_t count = pbitc_shape_elements(&evaluation->inputs[0]->shape);
    const void *input = evaluation->inputs[0]->data;
    void *output = evaluation->outputs[0].data;
    for (int64_t i = 0; !status && i < count; i++) {
        size_t k = 0;
        if (encoder.integer_keys)
            while (k < encoder.keys && encoder.integer_keys[k] != ((const int64_t *)input)[i])
                k++;
        else
            while (k < encoder.keys && encoder.real_keys[k] != ((const float *)input)[i] &&
                   !(isnan(encoder.real_keys[k]) && isnan(((const float *)input)[i])))
                k++;
        if (encoder.integer_values)
            ((int64_t *)output)[i] = k < encoder.keys ? encoder.integer_values[k]
                                                      : pbitc_node_int(evaluation->node, "default_int64", -1);
        else
            ((float *)output)[i] = k < encoder.keys
                                       ? encoder.real_values[k]
                                       : pbitc_node_float(evaluation->node, "default_float", -0.0f);
    }
    return status;
}
