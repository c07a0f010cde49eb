// Conversion between element types: ONNX Cast, and the widening of 16-bit floats to float32.
#include "passes/operators/operator_support.h"

#include <string.h>

static float bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t float_to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) // infinity or NaN
        return bits_to_float(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
    if (magnitude < 0x400) { // subnormal: magnitude * 2^-24
        float value = (float)magnitude * 0x1p-24f;
        return sign ? -value : value;
    }
    return bits_to_float(sign | ((magnitude << 13) + ((127 - 15) << 23)));
}

/// Rounds to nearest, ties to even.
static uint16_t float_to_half(float value)
{
    uint32_t bits = float_to_bits(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000) // rounds to 65536 or beyond
        return sign | 0x7c00;
    if (bits < 0x38800000) // below 2^-14: the float adder rounds to a multiple of 2^-24
        return sign | (uint16_t)(float_to_bits(bits_to_float(bits) + 0.5f) - float_to_bits(0.5f));
    bits += 0xfff + (bits >> 13 & 1);
    return sign | (uint16_t)((bits - ((127 - 15) << 23)) >> 13);
}

static float bfloat_to_float(uint16_t half)
{
    return bits_to_float((uint32_t)half << 16);
}

static uint16_t float_to_bfloat(float value)
{
    uint32_t bits = float_to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

enum { BLOCK = 256 };

/// A block of elements in the widest type of their kind, between the two halves of a conversion.
struct wide {
    enum { WIDE_REAL, WIDE_SIGNED, WIDE_UNSIGNED } kind;
    union {
        double real[BLOCK];
        int64_t integer[BLOCK];
        uint64_t natural[BLOCK];
    };
};

#define LOAD(type, element, wide_kind, field, expression)                                                    \
    case type:                                                                                               \
        wide->kind = wide_kind;                                                                              \
        for (int64_t i = 0; i < count; i++) {                                                                \
            const element x = ((const element *)input)[i];                                                   \
            wide->field[i] = expression;                                                                     \
        }                                                                                                    \
        break;

static void load(struct wide *wide, enum pbitc_type from, const void *input, int64_t count)
{
    switch (from) {
        LOAD(PBITC_FLOAT32, float, WIDE_REAL, real, (double)x)
        LOAD(PBITC_FLOAT64, double, WIDE_REAL, real, x)
        LOAD(PBITC_FLOAT16, uint16_t, WIDE_REAL, real, (double)half_to_float(x))
        LOAD(PBITC_BFLOAT16, uint16_t, WIDE_REAL, real, (double)bfloat_to_float(x))
        LOAD(PBITC_INT8, int8_t, WIDE_SIGNED, integer, x)
        LOAD(PBITC_INT16, int16_t, WIDE_SIGNED, integer, x)
        LOAD(PBITC_INT32, int32_t, WIDE_SIGNED, integer, x)
        LOAD(PBITC_INT64, int64_t, WIDE_SIGNED, integer, x)
        LOAD(PBITC_BOOL, uint8_t, WIDE_UNSIGNED, natural, x != 0)
        LOAD(PBITC_UINT8, uint8_t, WIDE_UNSIGNED, natural, x)
        LOAD(PBITC_UINT16, uint16_t, WIDE_UNSIGNED, natural, x)
        LOAD(PBITC_UINT32, uint32_t, WIDE_UNSIGNED, natural, x)
        LOAD(PBITC_UINT64, uint64_t, WIDE_UNSIGNED, natural, x)
    case PBITC_TYPE_NONE:
        break;
    }
}

/// Truncates; both bounds are powers of two (or 0), so they are exact as doubles.
static int64_t saturate_signed(double x, double bound)
{
    if (x != x)
        return 0;
    return x >= bound ? (int64_t)((uint64_t)bound - 1) : x < -bound ? (int64_t)-bound : (int64_t)x;
}

static uint64_t saturate_unsigned(double x, double bound)
{
    if (!(x > 0))
        return 0;
    return x >= bound ? (bound == 0x1p64 ? UINT64_MAX : (uint64_t)bound - 1) : (uint64_t)x;
}

#define STORE(type, element, from_real, from_integer)                                                        \
    case type:                                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                                \
            element *y = (element *)output + i;                                                              \
            if (wide->kind == WIDE_REAL) {                                                                   \
                const double x = wide->real[i];                                                              \
                *y = (element)(from_real);                                                                   \
            } else if (wide->kind == WIDE_SIGNED) {                                                          \
                const int64_t x = wide->integer[i];                                                          \
                *y = (element)(from_integer);                                                                \
            } else {                                                                                         \
                const uint64_t x = wide->natural[i];                                                         \
                *y = (element)(from_integer);                                                                \
            }                                                                                                \
        }                                                                                                    \
        break;

static void store(const struct wide *wide, enum pbitc_type to, void *output, int64_t count)
{
    switch (to) {
        STORE(PBITC_FLOAT32, float, x, x)
        STORE(PBITC_FLOAT64, double, x, x)
        STORE(PBITC_FLOAT16, uint16_t, float_to_half((float)x), float_to_half((float)x))
        STORE(PBITC_BFLOAT16, uint16_t, float_to_bfloat((float)x), float_to_bfloat((float)x))
        STORE(PBITC_BOOL, uint8_t, x != 0, x != 0)
        STORE(PBITC_INT8, int8_t, saturate_signed(x, 0x1p7), x)
        STORE(PBITC_INT16, int16_t, saturate_signed(x, 0x1p15), x)
        STORE(PBITC_INT32, int32_t, saturate_signed(x, 0x1p31), x)
        STORE(PBITC_INT64, int64_t, saturate_signed(x, 0x1p63), x)
        STORE(PBITC_UINT8, uint8_t, saturate_unsigned(x, 0x1p8), x)
        STORE(PBITC_UINT16, uint16_t, saturate_unsigned(x, 0x1p16), x)
        STORE(PBITC_UINT32, uint32_t, saturate_unsigned(x, 0x1p32), x)
        STORE(PBITC_UINT64, uint64_t, saturate_unsigned(x, 0x1p64), x)
    case PBITC_TYPE_NONE:
        break;
    }
}

/// The conversions of a model in float16 or 8 bits, which runs them for every value.
static void widen_halves(float *output, const uint16_t *input, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        output[i] = half_to_float(input[i]);
}

static void narrow_to_halves(uint16_t *output, const float *input, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        output[i] = float_to_half(input[i]);
}

static void widen_levels(float *output, const uint8_t *input, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        output[i] = input[i];
}

static void widen_signed_levels(float *output, const int8_t *input, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        output[i] = input[i];
}

void pbitc_convert(enum pbitc_type to, void *output, enum pbitc_type from, const void *input, int64_t count)
{
    size_t from_bytes = pbitc_type_bytes(from), to_bytes = pbitc_type_bytes(to);
    struct wide wide;
    wide.kind = WIDE_REAL;
    if (to == from && to != PBITC_BOOL && count) {
        memcpy(output, input, (size_t)count * to_bytes);
        return;
    }
    if (to == PBITC_FLOAT32 && from == PBITC_UINT8) {
        widen_levels(output, input, count);
        return;
    }
    if (to == PBITC_FLOAT32 && from == PBITC_INT8) {
        widen_signed_levels(output, input, count);
        return;
    }
    if (to == PBITC_FLOAT32 && from == PBITC_FLOAT16) {
        widen_halves(output, input, count);
        return;
    }
    if (to == PBITC_FLOAT16 && from == PBITC_FLOAT32) {
        narrow_to_halves(output, input, count);
        return;
    }
    for (int64_t done = 0; done < count; done += BLOCK) {
        int64_t block = count - done < BLOCK ? count - done : BLOCK;
        load(&wide, from, (const unsigned char *)input + (size_t)done * from_bytes, block);
        store(&wide, to, (unsigned char *)output + (size_t)done * to_bytes, block);
    }
}
