// Written from runtime/FORMAT.md alone; the letters are the specification's. Nothing of libpbit is included.
#include "tests/runtime/reference.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

static uint32_t u32(const uint8_t *bytes, uint64_t offset)
{
    return bytes[offset] + 256u * bytes[offset + 1] + 65536u * bytes[offset + 2] +
           16777216u * bytes[offset + 3];
}

static int64_t i32(const uint8_t *bytes, uint64_t offset)
{
    int64_t word = u32(bytes, offset);
    return word < INT64_C(0x80000000) ? word : word - INT64_C(0x100000000);
}

static wide floor_shift(wide x, uint32_t s)
{
    wide unit = (wide)1 << s, quotient = x / unit;
    return quotient * unit > x ? quotient - 1 : quotient;
}

static wide RS(wide x, uint32_t s)
{
    return s == 0 ? x : floor_shift(x + ((wide)1 << (s - 1)), s);
}

static int64_t sat32(wide x)
{
    return x < INT32_MIN ? INT32_MIN : x > INT32_MAX ? INT32_MAX : (int64_t)x;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

struct tensor {
    uint32_t kind, factor;
    int64_t H, W, C;
    int64_t *values; ///< H x W x C
};

struct machine {
    const uint8_t *bytes;
    const struct reference_run *run;
    uint32_t t;
    struct tensor *tensors;
};

static int64_t levels_of(const struct tensor *tensor, uint32_t m)
{
    return tensor->factor == 0 ? 255 : clamp((m * tensor->factor + 128) >> 8, 1, 255);
}

/// Word w of an operation.
static uint32_t word(const struct machine *machine, uint32_t operation, uint32_t w)
{
    return u32(machine->bytes, u32(machine->bytes, 36) + 96 * (uint64_t)operation + 4 * w);
}

static struct tensor *input_of(const struct machine *machine, uint32_t operation, uint32_t i)
{
    return &machine->tensors[u32(machine->bytes, word(machine, operation, 3) + 4 * (uint64_t)i)];
}

// ---- CONV and pools

/// Pixel below tap (ky, kx) of output position (oy, ox); -1 when it is outside.
static int64_t pixel_below(const struct machine *machine, uint32_t operation, const struct tensor *in,
                           int64_t oy, int64_t ox, int64_t ky, int64_t kx)
{
    int64_t y =
        oy * word(machine, operation, 7) - word(machine, operation, 9) + ky * word(machine, operation, 11);
    int64_t x =
        ox * word(machine, operation, 8) - word(machine, operation, 10) + kx * word(machine, operation, 12);
    return y >= 0 && y < in->H && x >= 0 && x < in->W ? y * in->W + x : -1;
}

static int64_t weight(const uint8_t *row, int64_t i, int64_t b)
{
    int64_t code = 0;
    for (int64_t bit = 0; bit < b; bit++) {
        int64_t at = i * b + bit;
        code |= (int64_t)(row[at / 8] >> at % 8 & 1) << bit;
    }
    if (b == 1)
        return code ? 1 : -1;
    return code >= 1 << (b - 1) ? code - (1 << b) : code;
}

static void conv(struct machine *machine, uint32_t operation, const struct tensor *in, struct tensor *out)
{
    const uint8_t *bytes = machine->bytes;
    int64_t kh = word(machine, operation, 5), kw = word(machine, operation, 6),
            G = word(machine, operation, 13);
    int64_t b = word(machine, operation, 14), g = word(machine, operation, 15), group_channels = in->C / G;
    int64_t n = kh * kw * group_channels, row_bytes = (n * b + 31) / 32 * 4,
            factors = g ? (n + g - 1) / g : 0;
    uint32_t s = word(machine, operation, 20), zeros = word(machine, operation, 21);
    int64_t L = levels_of(in, machine->run->draws);
    for (int64_t position = 0; position < out->H * out->W; position++)
        for (int64_t k = 0; k < out->C; k++) {
            wide A = 0, E = 0;
            const uint8_t *row = bytes + word(machine, operation, 16) + k * row_bytes;
            for (int64_t i = 0; i < n; i++) {
                int64_t channel = k / (out->C / G) * group_channels + i % group_channels;
                int64_t pixel = pixel_below(machine, operation, in, position / out->W, position % out->W,
                                            i / group_channels / kw, i / group_channels % kw);
                int64_t w = weight(row, i, b);
                if (g)
                    w *= bytes[word(machine, operation, 17) + k * factors + i / g];
                if (pixel >= 0)
                    A += w * in->values[pixel * in->C + channel];
                else if (zeros)
                    E += w * (bytes[zeros + 2 * channel] + 256 * bytes[zeros + 2 * channel + 1]);
            }
            ck_assert(A >= INT32_MIN && A <= INT32_MAX && E >= INT32_MIN && E <= INT32_MAX);
            int64_t M = i32(bytes, word(machine, operation, 18) + 4 * (uint64_t)k);
            int64_t B = i32(bytes, word(machine, operation, 19) + 4 * (uint64_t)k);
            int64_t M_L = (2 * M + L) / (2 * L);
            out->values[position * out->C + k] = sat32(RS(A * M_L, s) + RS(E * M, s + 8) + B);
        }
}

static void pool(struct machine *machine, uint32_t operation, const struct tensor *in, struct tensor *out)
{
    int sums = word(machine, operation, 0) == 4;
    for (int64_t i = 0; i < out->H * out->W * out->C; i++) {
        wide total = 0, largest = 0;
        int inside = 0;
        for (int64_t ky = 0; ky < word(machine, operation, 5); ky++)
            for (int64_t kx = 0; kx < word(machine, operation, 6); kx++) {
                int64_t pixel =
                    pixel_below(machine, operation, in, i / out->C / out->W, i / out->C % out->W, ky, kx);
                if (pixel < 0)
                    continue;
                int64_t x = in->values[pixel * in->C + i % out->C];
                total += x;
                largest = inside++ == 0 || x > largest ? x : largest;
            }
        ck_assert_int_gt(inside, 0);
        out->values[i] = sums ? sat32(RS(total * word(machine, operation, 18), word(machine, operation, 20)))
                              : (int64_t)largest;
    }
}

// ---- NEURON

static int64_t theta(const uint8_t *table, int64_t u)
{
    int64_t h = u >> 8, l = u & 255, low = i32(table, 4 * (uint64_t)h);
    return low + (int64_t)floor_shift((wide)(i32(table, 4 * (uint64_t)h + 4) - low) * l, 8);
}

static int64_t curve(const uint8_t *p, int64_t d, uint32_t k, int64_t segments)
{
    if (d < 0)
        return u32(p, 0);
    int64_t i = d >> k;
    if (i >= segments)
        return u32(p, 4 * (uint64_t)segments);
    int64_t low = u32(p, 4 * (uint64_t)i);
    return low +
           (int64_t)floor_shift((wide)(u32(p, 4 * (uint64_t)i + 4) - low) * (d - i * (INT64_C(1) << k)), k);
}

/// P of n pre-activations.
static void probabilities(const struct machine *machine, uint32_t operation, const int64_t *z, int64_t n,
                          int64_t *P)
{
    const uint8_t *table = machine->bytes + word(machine, operation, 7);
    int64_t *thetas = malloc(65536 * sizeof(*thetas));
    if (word(machine, operation, 6) == 1)
        for (int64_t u = 0; u < 65536; u++)
            thetas[u] = theta(table, u);
    for (int64_t i = 0; i < n; i++) {
        switch (word(machine, operation, 6)) {
        case 0:
            P[i] = clamp(z[i], 0, 65536);
            break;
        case 1:
            P[i] = 0;
            for (int64_t u = 0; u < 65536; u++)
                P[i] += thetas[u] < z[i];
            break;
        default:
            P[i] = curve(table, z[i] - (int64_t)(int32_t)word(machine, operation, 12),
                         word(machine, operation, 10), word(machine, operation, 11));
        }
    }
    free(thetas);
}

static uint32_t fmix32(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x85EBCA6B;
    h ^= h >> 13;
    h *= 0xC2B2AE35;
    h ^= h >> 16;
    return h;
}

uint32_t reference_random(uint64_t seed, uint64_t image, uint32_t layer, uint32_t pass, uint32_t lane,
                          uint32_t step)
{
    const uint32_t words[6] = {
        (uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)image, (uint32_t)(image >> 32), layer, pass};
    uint32_t h = 0;
    for (int i = 0; i < 6; i++)
        h = fmix32((h ^ words[i]) + 0x9E3779B9);
    uint32_t s = fmix32((h ^ lane) + 0x9E3779B9);
    if (s == 0)
        s = 0x9E3779B9;
    for (uint32_t i = 0; i <= step; i++) {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
    }
    return s >> 16;
}

static uint32_t bitrev16(uint32_t t)
{
    uint32_t reversed = 0;
    for (int bit = 0; bit < 16; bit++)
        reversed |= (t >> bit & 1) << (15 - bit);
    return reversed;
}

uint32_t reference_offset(uint32_t t, uint32_t rho, uint32_t r)
{
    int64_t v = bitrev16(t) ^ r;
    return (uint32_t)(32768 + (int64_t)floor_shift((wide)rho * (v - 32768), 8));
}

static int64_t level(const struct machine *machine, uint32_t operation, int64_t i, int64_t L, int64_t P)
{
    const struct reference_run *run = machine->run;
    uint32_t layer = word(machine, operation, 8), amplitude = word(machine, operation, 9);
    uint32_t lane = (uint32_t)(i % 32), step = (uint32_t)(i / 32);
    int multibit = word(machine, operation, 5) == 1, iid = run->sampler == 1, midpoint = run->sampler == 3;
    if (multibit) {
        uint32_t r = reference_random(run->seed, run->image, layer, iid ? machine->t + 1 : 0, lane, step);
        int64_t noise = iid ? r : reference_offset(machine->t, midpoint ? 0 : 256, r);
        int64_t moved = P + (int64_t)floor_shift((wide)amplitude * (noise - 32768), 15);
        return (255 * clamp(moved, 0, 65536) + 32768) >> 16;
    }
    int64_t count = 0;
    if (iid) {
        for (int64_t j = 0; j < L; j++)
            count += reference_random(run->seed, run->image, layer, machine->t + 1, lane,
                                      (uint32_t)(step * L + j)) < P;
        return count;
    }
    uint32_t r = reference_random(run->seed, run->image, layer, 0, lane, step);
    int64_t v = reference_offset(machine->t, midpoint ? 0 : amplitude, r);
    for (int64_t j = 0; j < L; j++)
        count += j * 65536 + v < L * P;
    return count;
}

static void neuron(struct machine *machine, uint32_t operation, const struct tensor *in, struct tensor *out)
{
    int64_t n = out->H * out->W * out->C, L = levels_of(out, machine->run->draws);
    int64_t *P = malloc((size_t)n * sizeof(*P));
    probabilities(machine, operation, in->values, n, P);
    for (int64_t i = 0; i < n; i++)
        out->values[i] = level(machine, operation, i, L, P[i]);
    free(P);
}

// ---- the rest

static void concat(struct machine *machine, uint32_t operation, struct tensor *out)
{
    int64_t first = 0;
    for (uint32_t i = 0; i < word(machine, operation, 2); i++) {
        const struct tensor *in = input_of(machine, operation, i);
        for (int64_t p = 0; p < out->H * out->W; p++)
            for (int64_t c = 0; c < in->C; c++)
                out->values[p * out->C + first + c] = in->values[p * in->C + c];
        first += in->C;
    }
}

static void execute(struct machine *machine, uint32_t operation)
{
    struct tensor *in = input_of(machine, operation, 0),
                  *out = &machine->tensors[word(machine, operation, 4)];
    switch (word(machine, operation, 0)) {
    case 1:
        conv(machine, operation, in, out);
        break;
    case 2:
        neuron(machine, operation, in, out);
        break;
    case 3:
    case 4:
        pool(machine, operation, in, out);
        break;
    case 5:
        for (int64_t i = 0; i < out->H * out->W * out->C; i++)
            out->values[i] = sat32((wide)in->values[i] + input_of(machine, operation, 1)->values[i]);
        break;
    case 6:
        concat(machine, operation, out);
        break;
    case 7:
        for (int64_t i = 0; i < out->H * out->W * out->C; i++)
            out->values[i] = in->values[u32(machine->bytes, word(machine, operation, 5) + 4 * (uint64_t)i)];
        break;
    default:
        ck_abort_msg("unknown operation");
    }
}

static struct tensor *read_tensors(const uint8_t *bytes)
{
    uint32_t count = u32(bytes, 16);
    struct tensor *tensors = calloc(count, sizeof(*tensors));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t record = u32(bytes, 32) + 32 * (uint64_t)i;
        tensors[i] =
            (struct tensor){u32(bytes, record + 4),  u32(bytes, record + 8),  u32(bytes, record + 12),
                            u32(bytes, record + 16), u32(bytes, record + 20), NULL};
        tensors[i].values = calloc((size_t)(tensors[i].H * tensors[i].W * tensors[i].C), sizeof(int64_t));
    }
    return tensors;
}

static void add_outputs(const struct machine *machine, int64_t *const *sums)
{
    for (uint32_t o = 0; o < u32(machine->bytes, 28); o++) {
        const struct tensor *tensor =
            &machine->tensors[u32(machine->bytes, u32(machine->bytes, 44) + 16 * (uint64_t)o)];
        for (int64_t i = 0; i < tensor->H * tensor->W * tensor->C; i++)
            sums[o][i] = (machine->t == 0 ? 0 : sums[o][i]) + tensor->values[i];
    }
}

void reference_execute(const uint8_t *bytes, const struct reference_run *run, const uint8_t *const *inputs,
                       int64_t *const *sums)
{
    struct machine machine = {bytes, run, 0, read_tensors(bytes)};
    for (uint32_t i = 0; i < u32(bytes, 24); i++) {
        struct tensor *tensor = &machine.tensors[i];
        for (int64_t j = 0; j < tensor->H * tensor->W * tensor->C; j++)
            tensor->values[j] = inputs[i][j];
    }
    for (machine.t = 0; machine.t < run->samples; machine.t++) {
        for (uint32_t operation = 0; operation < u32(bytes, 20); operation++)
            execute(&machine, operation);
        add_outputs(&machine, sums);
    }
    for (uint32_t i = 0; i < u32(bytes, 16); i++)
        free(machine.tensors[i].values);
    free(machine.tensors);
}
