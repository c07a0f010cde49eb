#include "converter/data/npy.h"

#include "converter/data/readers.h"
#include "converter/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC_BYTES = 8, ALIGNMENT = 64 };

/// The types of NumPy, by what stands behind the byte order.
static const struct npy_type {
    const char *code;
    enum pbitc_type type;
} npy_types[] = {
    {"f4", PBITC_FLOAT32}, {"f8", PBITC_FLOAT64}, {"f2", PBITC_FLOAT16}, {"u1", PBITC_UINT8},
    {"i1", PBITC_INT8},    {"u2", PBITC_UINT16},  {"i2", PBITC_INT16},   {"u4", PBITC_UINT32},
    {"i4", PBITC_INT32},   {"u8", PBITC_UINT64},  {"i8", PBITC_INT64},   {"b1", PBITC_BOOL},
};
enum { NPY_TYPE_COUNT = sizeof(npy_types) / sizeof(npy_types[0]) };

static enum pbit_status report_damage(struct pbitc_diagnostics *diagnostics, const char *path,
                                      const char *what)
{
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "write it with numpy.save",
                        "%s is no valid .npy file: %s", path, what);
}

/// The header is a Python dictionary literal; this is the text behind 'key': in it, or NULL.
static const char *find_key(const char *header, const char *key)
{
    const char *place = strstr(header, key);
    if (!place)
        return NULL;
    place += strlen(key);
    return place + strspn(place, " :");
}

static enum pbit_status parse_type(const char *header, const char *path, enum pbitc_type *type,
                                   struct pbitc_diagnostics *diagnostics)
{
    const char *text = find_key(header, "'descr'");
    if (!text || *text != '\'')
        return report_damage(diagnostics, path, "its header names no type");
    text++;
    int length = (int)strcspn(text, "'");
    for (size_t i = 0; i < NPY_TYPE_COUNT; i++) {
        if (length == 3 && (*text == '<' || *text == '|') && strncmp(text + 1, npy_types[i].code, 2) == 0) {
            *type = npy_types[i].type;
            return PBIT_OK;
        }
    }
    return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                        "save little-endian numbers, for example x.astype('<f4')",
                        "%s holds elements of type '%.*s'", path, length < 40 ? length : 40, text);
}

static enum pbit_status parse_shape(const char *header, const char *path, struct pbitc_shape *shape,
                                    struct pbitc_diagnostics *diagnostics)
{
    const char *text = find_key(header, "'shape'");
    if (!text || *text++ != '(')
        return report_damage(diagnostics, path, "its header names no shape");
    shape->rank = 0;
    for (text += strspn(text, " "); *text != ')'; text += strspn(text, ", ")) {
        if (shape->rank == PBITC_MAX_RANK)
            return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "reshape it",
                                "%s has more than %d dimensions", path, PBITC_MAX_RANK);
        int64_t dimension = 0;
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 15)
            return report_damage(diagnostics, path, "its shape is malformed");
        for (size_t i = 0; i < digits; i++)
            dimension = 10 * dimension + (text[i] - '0');
        shape->dims[shape->rank++] = dimension;
        text += digits;
    }
    return PBIT_OK;
}

/// Finds the header: *header is its text, *data_offset where the elements begin.
static enum pbit_status split_header(const uint8_t *bytes, size_t size, const char *path, char **header,
                                     size_t *data_offset, struct pbitc_diagnostics *diagnostics)
{
    if (size < MAGIC_BYTES + 2 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        return report_damage(diagnostics, path, "it does not begin as one");
    if (bytes[6] < 1 || bytes[6] > 3)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "write it with numpy.save",
                            "%s has .npy format version %d", path, bytes[6]);
    size_t field = bytes[6] == 1 ? 2 : 4, length = 0;
    if (size < MAGIC_BYTES + field)
        return report_damage(diagnostics, path, "it is cut off");
    for (size_t i = 0; i < field; i++)
        length |= (size_t)bytes[MAGIC_BYTES + i] << 8 * i;
    if (length > size - MAGIC_BYTES - field)
        return report_damage(diagnostics, path, "it is cut off");
    *header = strndup((const char *)bytes + MAGIC_BYTES + field, length);
    *data_offset = MAGIC_BYTES + field + length;
    return *header ? PBIT_OK : pbitc_report_memory(diagnostics);
}

/// Copies elements from Fortran order (first index fastest) to row-major order.
static void copy_transposed(const struct pbitc_tensor *tensor, const uint8_t *from, size_t elements,
                            size_t bytes)
{
    int64_t index[PBITC_MAX_RANK] = {0};
    for (size_t element = 0; element < elements; element++) {
        size_t place = 0;
        for (int axis = 0; axis < tensor->shape.rank; axis++)
            place = place * (size_t)tensor->shape.dims[axis] + (size_t)index[axis];
        memcpy((uint8_t *)tensor->data + place * bytes, from + element * bytes, bytes);
        for (int axis = 0; axis < tensor->shape.rank && ++index[axis] == tensor->shape.dims[axis]; axis++)
            index[axis] = 0;
    }
}

static enum pbit_status decode_elements(const char *header, const uint8_t *data, size_t size,
                                        const char *path, struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_tensor *tensor)
{
    enum pbit_status status = parse_type(header, path, &tensor->type, diagnostics);
    if (status == PBIT_OK)
        status = parse_shape(header, path, &tensor->shape, diagnostics);
    if (status != PBIT_OK)
        return status;
    size_t width = pbitc_type_bytes(tensor->type), bytes;
    int64_t elements = pbitc_shape_elements(&tensor->shape);
    if (elements < 0 || __builtin_mul_overflow((size_t)elements, width, &bytes) || bytes != size)
        return report_damage(diagnostics, path, "its size does not fit its shape");
    const char *order = find_key(header, "'fortran_order'");
    if (!order)
        return report_damage(diagnostics, path, "its header does not tell the order");
    tensor->data = malloc(bytes ? bytes : 1);
    if (!tensor->data)
        return pbitc_report_memory(diagnostics);
    if (strncmp(order, "True", 4) == 0)
        copy_transposed(tensor, data, (size_t)elements, width);
    else
        memcpy(tensor->data, data, bytes);
    return PBIT_OK;
}

enum pbit_status pbitc_npy_decode(const uint8_t *bytes, size_t size, const char *path,
                                  struct pbitc_diagnostics *diagnostics, struct pbitc_tensor *tensor)
{
    *tensor = (struct pbitc_tensor){.data = NULL};
    char *header = NULL;
    size_t offset = 0;
    enum pbit_status status = split_header(bytes, size, path, &header, &offset, diagnostics);
    if (status == PBIT_OK)
        status = decode_elements(header, bytes + offset, size - offset, path, diagnostics, tensor);
    free(header);
    return status;
}

enum pbit_status pbitc_npy_load(const char *path, struct pbitc_diagnostics *diagnostics,
                                struct pbitc_tensor *tensor)
{
    uint8_t *bytes;
    size_t size;
    tensor->data = NULL;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, diagnostics);
    if (status == PBIT_OK)
        status = pbitc_npy_decode(bytes, size, path, diagnostics, tensor);
    free(bytes);
    return status;
}

static const char *type_code(enum pbitc_type type)
{
    for (size_t i = 0; i < NPY_TYPE_COUNT; i++) {
        if (npy_types[i].type == type)
            return npy_types[i].code;
    }
    return NULL;
}

uint8_t *pbitc_npy_encode(const struct pbitc_tensor *tensor, size_t *size)
{
    const char *code = type_code(tensor->type);
    int64_t elements = pbitc_shape_elements(&tensor->shape);
    char header[400] = "", dims[200] = "";
    if (!code || elements < 0)
        return NULL;
    for (int axis = 0, length = 0; axis < tensor->shape.rank; axis++)
        length += snprintf(dims + length, sizeof(dims) - (size_t)length,
                           axis ? " %" PRId64 "," : "%" PRId64 ",", tensor->shape.dims[axis]);
    if (tensor->shape.rank > 1) // only a one-tuple ends in a comma
        dims[strlen(dims) - 1] = 0;
    int length =
        snprintf(header, sizeof(header), "{'descr': '%c%s', 'fortran_order': False, 'shape': (%s), }",
                 code[1] == '1' ? '|' : '<', code, dims);
    // Blanks and a line end fill the header up, so that the elements stand aligned.
    size_t start = (MAGIC_BYTES + 2 + (size_t)length + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t data_bytes = (size_t)elements * pbitc_type_bytes(tensor->type);
    uint8_t *bytes = malloc(start + data_bytes);
    if (!bytes)
        return NULL;
    memset(bytes, ' ', start);
    memcpy(bytes, "\x93NUMPY\x01\x00", MAGIC_BYTES);
    bytes[MAGIC_BYTES] = (uint8_t)(start - MAGIC_BYTES - 2);
    bytes[MAGIC_BYTES + 1] = (uint8_t)((start - MAGIC_BYTES - 2) >> 8);
    memcpy(bytes + MAGIC_BYTES + 2, header, (size_t)length);
    bytes[start - 1] = '\n';
    if (data_bytes)
        memcpy(bytes + start, tensor->data, data_bytes);
    *size = start + data_bytes;
    return bytes;
}

static double half_to_double(uint16_t half)
{
    int exponent = half >> 10 & 31, mantissa = half & 1023;
    double magnitude = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                       : exponent     ? ldexp(1024 + mantissa, exponent - 25)
                                      : ldexp(mantissa, -24);
    return half >> 15 ? -magnitude : magnitude;
}

bool pbitc_tensor_element(const struct pbitc_tensor *tensor, size_t index, double *value)
{
    switch (tensor->type) {
    case PBITC_FLOAT32:
        *value = (double)((const float *)tensor->data)[index];
        return true;
    case PBITC_FLOAT64:
        *value = ((const double *)tensor->data)[index];
        return true;
    case PBITC_FLOAT16:
        *value = half_to_double(((const uint16_t *)tensor->data)[index]);
        return true;
    case PBITC_UINT8:
    case PBITC_BOOL:
        *value = ((const uint8_t *)tensor->data)[index];
        return true;
    case PBITC_INT8:
        *value = ((const int8_t *)tensor->data)[index];
        return true;
    case PBITC_UINT16:
        *value = ((const uint16_t *)tensor->data)[index];
        return true;
    case PBITC_INT16:
        *value = ((const int16_t *)tensor->data)[index];
        return true;
    case PBITC_UINT32:
        *value = ((const uint32_t *)tensor->data)[index];
        return true;
    case PBITC_INT32:
        *value = ((const int32_t *)tensor->data)[index];
        return true;
    case PBITC_UINT64:
        *value = (double)((const uint64_t *)tensor->data)[index];
        return true;
    case PBITC_INT64:
        *value = (double)((const int64_t *)tensor->data)[index];
        return true;
    case PBITC_TYPE_NONE:
    case PBITC_BFLOAT16:
        break;
    }
    return false;
}
