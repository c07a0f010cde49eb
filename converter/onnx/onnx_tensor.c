// TensorProto to dense arrays: data as raw bytes, in typed fields, or in an external file.
#include "converter/onnx/onnx_importer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOCATION_EXTERNAL = 1 };

const char *pbitc_onnx_type_name(int32_t data_type)
{
    static const char *const names[] = {
        "undefined",      "float32",  "uint8",        "int8",           "uint16",
        "int16",          "int32",    "int64",        "string",         "bool",
        "float16",        "float64",  "uint32",       "uint64",         "complex64",
        "complex128",     "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2",
        "float8e5m2fnuz", "uint4",    "int4",         "float4e2m1",     "float8e8m0",
    };
    bool known = data_type >= 0 && (size_t)data_type < sizeof(names) / sizeof(names[0]);
    return known ? names[data_type] : "unknown";
}

/// Where an external tensor's bytes lie.
struct external {
    const char *location;
    uint64_t offset;
    uint64_t length; ///< UINT64_MAX: not given
};

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool parse_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                           const Onnx__TensorProto *proto, struct external *external)
{
    *external = (struct external){.length = UINT64_MAX};
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        if (!key || !value)
            continue;
        bool valid = true;
        if (strcmp(key, "location") == 0)
            external->location = value;
        else if (strcmp(key, "offset") == 0)
            valid = parse_number(value, &external->offset);
        else if (strcmp(key, "length") == 0)
            valid = parse_number(value, &external->length);
        if (!valid) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "%s of the external data is '%s', no number", key, value);
            return false;
        }
    }
    if (!external->location)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "external data without a location");
    return external->location;
}

/// Opens the external file when it holds `bytes` bytes for the tensor; -1 otherwise (noted).
static int open_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                         const Onnx__TensorProto *proto, uint64_t bytes, uint64_t *offset)
{
    struct external external;
    uint64_t size;
    if (!parse_external(importer, place, proto, &external))
        return -1;
    if (external.length != UINT64_MAX && external.length != bytes) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                           "external data has length %" PRIu64 " where type and shape need %" PRIu64 " bytes",
                           external.length, bytes);
        return -1;
    }
    int file = pbitc_onnx_open_external(importer, place, external.location, &size);
    if (file < 0)
        return -1;
    if (external.offset > size || bytes > size - external.offset) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, "copy the external data again",
                           "external data: %" PRIu64 " bytes at offset %" PRIu64
                           " are not in '%s' of %" PRIu64 " bytes",
                           bytes, external.offset, external.location, size);
        close(file);
        return -1;
    }
    *offset = external.offset;
    return file;
}

/// Number of entries in the typed field in which ONNX keeps elements of this type.
static size_t typed_count(const Onnx__TensorProto *proto, enum pbitc_type type)
{
    switch (type) {
    case PBITC_FLOAT32:
        return proto->n_float_data;
    case PBITC_FLOAT64:
        return proto->n_double_data;
    case PBITC_INT64:
        return proto->n_int64_data;
    case PBITC_UINT32:
    case PBITC_UINT64:
        return proto->n_uint64_data;
    default:
        return proto->n_int32_data;
    }
}

static bool check_type(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       int32_t data_type)
{
    if (data_type > 0 && pbitc_type_bytes((enum pbitc_type)data_type))
        return true;
    if (data_type == 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "tensor without an element type");
    else
        PBITC_ONNX_PROBLEM(
            importer, PBIT_ERROR_UNSUPPORTED, place, "export the model with float or integer tensors",
            "tensors of type %s (%" PRId32 ") are not supported", pbitc_onnx_type_name(data_type), data_type);
    return false;
}

static bool check_shape(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                        const Onnx__TensorProto *proto, struct pbitc_tensor *tensor)
{
    if (proto->n_dims > PBITC_MAX_RANK) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, NULL,
                           "tensor of %zu dimensions; at most %d are supported", proto->n_dims,
                           PBITC_MAX_RANK);
        return false;
    }
    tensor->shape.rank = (int)proto->n_dims;
    for (size_t i = 0; i < proto->n_dims; i++) {
        tensor->shape.dims[i] = proto->dims[i];
        if (proto->dims[i] < 0) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "tensor dimension %zu is %" PRId64,
                               i, proto->dims[i]);
            return false;
        }
    }
    int64_t bytes, elements = pbitc_shape_elements(&tensor->shape);
    if (elements < 0 || __builtin_mul_overflow(elements, (int64_t)pbitc_type_bytes(tensor->type), &bytes)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL, "the tensor's dimensions overflow");
        return false;
    }
    return true;
}

/// Compares the data that is there with what type and shape need.
static bool check_data(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const Onnx__TensorProto *proto, const struct pbitc_tensor *tensor)
{
    uint64_t elements = (uint64_t)pbitc_shape_elements(&tensor->shape);
    uint64_t bytes = elements * pbitc_type_bytes(tensor->type), offset;
    if (proto->data_location == LOCATION_EXTERNAL) {
        int file = open_external(importer, place, proto, bytes, &offset);
        if (file >= 0)
            close(file);
        return file >= 0;
    }
    if (proto->has_raw_data && proto->raw_data.len != bytes) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, "the file may be cut off",
                           "tensor has %zu bytes of raw_data where type and shape need %" PRIu64,
                           proto->raw_data.len, bytes);
        return false;
    }
    if (!proto->has_raw_data && typed_count(proto, tensor->type) != elements) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, "the file may be cut off",
                           "tensor of type %s has %zu elements where its shape needs %" PRIu64,
                           pbitc_type_name(tensor->type), typed_count(proto, tensor->type), elements);
        return false;
    }
    return true;
}

bool pbitc_onnx_tensor_header(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                              const Onnx__TensorProto *proto, struct pbitc_tensor *tensor)
{
    *tensor = (struct pbitc_tensor){.type = (enum pbitc_type)proto->data_type};
    if (proto->has_segment) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "store the tensor in one piece",
                           "tensors stored in segments are not supported");
        return false;
    }
    return check_type(importer, place, proto->data_type) && check_shape(importer, place, proto, tensor) &&
           check_data(importer, place, proto, tensor);
}

/// Narrows int32_data and uint64_data to the element type, low bytes first. False: an element is out of
/// range.
static bool narrow(const struct pbitc_tensor *tensor, size_t i, int64_t value)
{
    void *data = tensor->data;
    switch (tensor->type) {
    case PBITC_UINT8:
    case PBITC_BOOL:
        ((uint8_t *)data)[i] = (uint8_t)value;
        return value >= 0 && value <= UINT8_MAX;
    case PBITC_INT8:
        ((int8_t *)data)[i] = (int8_t)value;
        return value >= INT8_MIN && value <= INT8_MAX;
    case PBITC_INT16:
        ((int16_t *)data)[i] = (int16_t)value;
        return value >= INT16_MIN && value <= INT16_MAX;
    case PBITC_UINT16:
    case PBITC_FLOAT16: // the bits of the float
    case PBITC_BFLOAT16:
        ((uint16_t *)data)[i] = (uint16_t)value;
        return value >= 0 && value <= UINT16_MAX;
    case PBITC_UINT32:
        ((uint32_t *)data)[i] = (uint32_t)value;
        return value >= 0 && value <= UINT32_MAX;
    default:
        ((int32_t *)data)[i] = (int32_t)value;
        return true;
    }
}

static void copy_narrow(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                        const Onnx__TensorProto *proto, const struct pbitc_tensor *tensor, size_t elements)
{
    for (size_t i = 0; i < elements; i++) {
        // A uint64 beyond int64 turns negative, which no unsigned type takes.
        int64_t value = tensor->type == PBITC_UINT32 ? (int64_t)proto->uint64_data[i] : proto->int32_data[i];
        if (!narrow(tensor, i, value)) {
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, NULL,
                               "element %zu of the tensor, %" PRId64 ", is no %s", i, value,
                               pbitc_type_name(tensor->type));
            return;
        }
    }
}

static void copy_typed(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                       const Onnx__TensorProto *proto, struct pbitc_tensor *tensor, size_t elements)
{
    const void *source = NULL;
    switch (tensor->type) {
    case PBITC_FLOAT32:
        source = proto->float_data;
        break;
    case PBITC_FLOAT64:
        source = proto->double_data;
        break;
    case PBITC_INT64:
        source = proto->int64_data;
        break;
    case PBITC_UINT64:
        source = proto->uint64_data;
        break;
    default:
        copy_narrow(importer, place, proto, tensor, elements);
        return;
    }
    if (elements)
        memcpy(tensor->data, source, elements * pbitc_type_bytes(tensor->type));
}

/// Raw and external data are little-endian.
static void bytes_to_host(struct pbitc_tensor *tensor, size_t elements)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    const size_t size = pbitc_type_bytes(tensor->type);
    unsigned char *element = tensor->data;
    for (size_t i = 0; i < elements; i++, element += size) {
        for (size_t b = 0; b < size / 2; b++) {
            unsigned char byte = element[b];
            element[b] = element[size - 1 - b];
            element[size - 1 - b] = byte;
        }
    }
#else
    (void)tensor, (void)elements;
#endif
}

static void copy_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                          const Onnx__TensorProto *proto, struct pbitc_tensor *tensor, size_t bytes)
{
    uint64_t offset;
    int file = open_external(importer, place, proto, bytes, &offset);
    if (file < 0)
        return;
    if (!pbitc_onnx_read_at(file, tensor->data, bytes, offset))
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_IO, place, NULL, "cannot read the external data: %s",
                           strerror(errno));
    close(file);
}

void pbitc_onnx_tensor_data(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                            const Onnx__TensorProto *proto, struct pbitc_tensor *tensor)
{
    size_t elements = (size_t)pbitc_shape_elements(&tensor->shape);
    size_t bytes = elements * pbitc_type_bytes(tensor->type);
    if (proto->data_location == LOCATION_EXTERNAL) {
        copy_external(importer, place, proto, tensor, bytes);
        bytes_to_host(tensor, elements);
    } else if (proto->has_raw_data) {
        if (bytes)
            memcpy(tensor->data, proto->raw_data.data, bytes);
        bytes_to_host(tensor, elements);
    } else {
        copy_typed(importer, place, proto, tensor, elements);
    }
    // The graph promises that a bool is 0 or 1; files need not keep to that.
    uint8_t *flags = tensor->data;
    for (size_t i = 0; tensor->type == PBITC_BOOL && i < elements; i++)
        flags[i] = flags[i] != 0;
}
