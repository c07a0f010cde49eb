// Attention and RotaryEmbedding against their definition, written down one number at a time.
#include "tests/converter/onnx_run.h"
#include "tests/run_suite.h"

#include <math.h>

enum { FLOAT = 1, INT64 = 7, BOOL = 9 };
enum { BATCH = 2, HEADS = 4, KEY_HEADS = 2, LENGTH = 3, KEYS = 5, PAST = 2, SIZE = 4, VALUE_SIZE = 3 };
enum { TOTAL = KEYS + PAST };

struct variant {
    bool flat; ///< inputs [batch, sequence, heads x size]
    bool past, causal, nonpad;
    int mask;             ///< 0: none, FLOAT or BOOL; one key shorter than there are
    float scale, softcap; ///< 0: left out
};

static uint32_t state = 5;

static void fill(float *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        numbers[i] = (float)(state >> 8) / 8388608 - 1;
    }
}

/// Index in [batch, heads, sequence, size], or of the flat form.
static size_t at(bool flat, int heads, int length, int size, int b, int h, int s, int i)
{
    return flat ? (size_t)(((b * length + s) * heads + h) * size + i)
                : (size_t)(((b * heads + h) * length + s) * size + i);
}

static void add_heads(struct builder *b, bool flat, const char *name, const float *data, int64_t heads,
                      int64_t length, int64_t size)
{
    const int64_t flat_dims[] = {BATCH, length, heads * size, -1}, dims[] = {BATCH, heads, length, size, -1};
    builder_add_initializer(b, name, FLOAT, flat ? flat_dims : dims, data,
                            (size_t)(BATCH * heads * length * size) * sizeof(float));
}

struct arrays {
    float q[BATCH * HEADS * LENGTH * SIZE], k[BATCH * KEY_HEADS * KEYS * SIZE],
        v[BATCH * KEY_HEADS * KEYS * VALUE_SIZE];
    float past_k[BATCH * KEY_HEADS * PAST * SIZE], past_v[BATCH * KEY_HEADS * PAST * VALUE_SIZE];
    float mask[LENGTH][TOTAL - 1];
    uint8_t allowed[LENGTH][TOTAL - 1];
    int64_t nonpad[BATCH];
};

/// -INFINITY: query s of image b must not see key t.
static double bias_of(const struct arrays *a, const struct variant *v, int b, int s, int t)
{
    int total = KEYS + (v->past ? PAST : 0), offset = v->past     ? PAST
                                                      : v->nonpad ? (int)a->nonpad[b] - LENGTH
                                                                  : 0;
    double bias = 0;
    if ((v->causal && t > s + offset) || (v->nonpad && t >= a->nonpad[b]) || (v->mask && t >= total - 1))
        return -INFINITY;
    if (v->mask == FLOAT)
        bias = (double)(&a->mask[0][0])[s * (total - 1) + t];
    if (v->mask == BOOL && !(&a->allowed[0][0])[s * (total - 1) + t])
        bias = -INFINITY;
    return bias;
}

static float key_at(const struct arrays *a, const struct variant *v, int b, int h, int t, int i)
{
    int past = v->past ? PAST : 0;
    return t < past ? a->past_k[at(false, KEY_HEADS, PAST, SIZE, b, h, t, i)]
                    : a->k[at(v->flat, KEY_HEADS, KEYS, SIZE, b, h, t - past, i)];
}

static float value_at(const struct arrays *a, const struct variant *v, int b, int h, int t, int i)
{
    int past = v->past ? PAST : 0;
    return t < past ? a->past_v[at(false, KEY_HEADS, PAST, VALUE_SIZE, b, h, t, i)]
                    : a->v[at(v->flat, KEY_HEADS, KEYS, VALUE_SIZE, b, h, t - past, i)];
}

/// Output of query s, head h of image b.
static void attend(const struct arrays *a, const struct variant *v, int b, int h, int s, double *y)
{
    int total = KEYS + (v->past ? PAST : 0), key_head = h / (HEADS / KEY_HEADS);
    double weights[TOTAL], sum = 0, scale = v->scale > 0 ? (double)v->scale : 1 / sqrt(SIZE);
    for (int t = 0; t < total; t++) {
        double score = 0;
        for (int i = 0; i < SIZE; i++)
            score += (double)a->q[at(v->flat, HEADS, LENGTH, SIZE, b, h, s, i)] *
                     (double)key_at(a, v, b, key_head, t, i);
        score *= scale;
        if (v->softcap > 0)
            score = (double)v->softcap * tanh(score / (double)v->softcap);
        weights[t] = exp(score + bias_of(a, v, b, s, t));
        sum += weights[t];
    }
    for (int i = 0; i < VALUE_SIZE; i++) {
        y[i] = 0;
        for (int t = 0; sum > 0 && t < total; t++)
            y[i] += weights[t] / sum * (double)value_at(a, v, b, key_head, t, i);
    }
}

static struct builder make_model(const struct arrays *a, const struct variant *v)
{
    struct builder b = builder_start(24);
    int64_t masked = KEYS + (v->past ? PAST : 0) - 1;
    add_heads(&b, v->flat, "q", a->q, HEADS, LENGTH, SIZE);
    add_heads(&b, v->flat, "k", a->k, KEY_HEADS, KEYS, SIZE);
    add_heads(&b, v->flat, "v", a->v, KEY_HEADS, KEYS, VALUE_SIZE);
    add_heads(&b, false, "pk", a->past_k, KEY_HEADS, PAST, SIZE);
    add_heads(&b, false, "pv", a->past_v, KEY_HEADS, PAST, VALUE_SIZE);
    if (v->mask)
        builder_add_initializer(&b, "m", v->mask, (int64_t[]){LENGTH, masked, -1},
                                v->mask == BOOL ? (const void *)a->allowed : a->mask,
                                (size_t)(LENGTH * masked) * (v->mask == BOOL ? 1 : sizeof(float)));
    builder_add_initializer(&b, "n", INT64, (int64_t[]){BATCH, -1}, a->nonpad, sizeof(a->nonpad));
    char inputs[64];
    snprintf(inputs, sizeof(inputs), "q,k,v,%s,%s,%s,%s", v->mask ? "m" : "", v->past ? "pk" : "",
             v->past ? "pv" : "", v->nonpad ? "n" : "");
    Onnx__NodeProto *node = builder_add_node(&b, "attention", "Attention", inputs, "y");
    if (v->flat) {
        builder_set_int(&b, node, "q_num_heads", HEADS);
        builder_set_int(&b, node, "kv_num_heads", KEY_HEADS);
    }
    builder_set_int(&b, node, "is_causal", v->causal);
    if (v->scale > 0)
        builder_set_float(&b, node, "scale", v->scale);
    if (v->softcap > 0)
        builder_set_float(&b, node, "softcap", v->softcap);
    builder_add_output(&b, "y");
    return b;
}

/// Runs a model without inputs; its output is copied into `y`.
static void run_model(struct builder b, float *y, size_t count)
{
    struct onnx_run run;
    const struct pbitc_tensor *output = onnx_run_start(&run, &b, PBITC_FLOAT32, (int64_t)count);
    memcpy(y, output->data, count * sizeof(*y));
    onnx_run_end(&run, &b);
}

static void check(const struct variant *v)
{
    struct arrays a = {.nonpad = {LENGTH - 1, KEYS}};
    float y[BATCH * HEADS * LENGTH * VALUE_SIZE];
    fill(a.q, sizeof(a.q) / sizeof(float));
    fill(a.k, sizeof(a.k) / sizeof(float));
    fill(a.v, sizeof(a.v) / sizeof(float));
    fill(a.past_k, sizeof(a.past_k) / sizeof(float));
    fill(a.past_v, sizeof(a.past_v) / sizeof(float));
    fill(&a.mask[0][0], sizeof(a.mask) / sizeof(float));
    for (int i = 0; i < LENGTH * (TOTAL - 1); i++)
        (&a.allowed[0][0])[i] = i >= TOTAL - 1 && i % 3 != 0; // the first query sees nothing
    run_model(make_model(&a, v), y, sizeof(y) / sizeof(float));
    for (int b = 0; b < BATCH; b++)
        for (int h = 0; h < HEADS; h++)
            for (int s = 0; s < LENGTH; s++) {
                double expected[VALUE_SIZE];
                attend(&a, v, b, h, s, expected);
                for (int i = 0; i < VALUE_SIZE; i++)
                    ck_assert_double_eq_tol((double)y[at(v->flat, HEADS, LENGTH, VALUE_SIZE, b, h, s, i)],
                                            expected[i], 1e-5);
            }
}

START_TEST(attention_with_all_options)
{
    static const int masks[] = {0, FLOAT, BOOL};
    for (int bits = 0; bits < 48; bits++)
        check(&(struct variant){.flat = bits & 1,
                                .past = bits & 2,
                                .causal = bits & 4,
                                .nonpad = !(bits & 2) && bits & 8,
                                .mask = masks[bits / 16],
                                .scale = bits & 1 ? 0.3f : 0,
                                .softcap = bits & 8 ? 0.7f : 0});
}
END_TEST

/// x is [1, 2 heads, 3 tokens, size 6], of which 4 numbers turn; flat: [1, 3, 12].
static void check_rotary(bool flat, bool interleaved, bool places)
{
    enum { TOKENS = 3, TURNED = 4, WHOLE = 6, POSITIONS = 8 };
    const int64_t places_of[] = {5, 0, 7};
    float x[2 * TOKENS * WHOLE], cosines[POSITIONS][TURNED / 2], sines[POSITIONS][TURNED / 2],
        y[2 * TOKENS * WHOLE];
    fill(x, sizeof(x) / sizeof(float));
    fill(&cosines[0][0], sizeof(cosines) / sizeof(float));
    fill(&sines[0][0], sizeof(sines) / sizeof(float));
    struct builder b = builder_start(23);
    builder_add_initializer(
        &b, "x", FLOAT, flat ? (int64_t[]){1, TOKENS, 2 * WHOLE, -1} : (int64_t[]){1, 2, TOKENS, WHOLE, -1},
        x, sizeof(x));
    const int64_t cache[] = {POSITIONS, TURNED / 2, -1}, given[] = {1, TOKENS, TURNED / 2, -1};
    size_t bytes = (places ? POSITIONS : TOKENS) * sizeof(cosines[0]);
    builder_add_initializer(&b, "c", FLOAT, places ? cache : given, cosines, bytes);
    builder_add_initializer(&b, "s", FLOAT, places ? cache : given, sines, bytes);
    builder_add_initializer(&b, "p", INT64, (int64_t[]){1, TOKENS, -1}, places_of, sizeof(places_of));
    Onnx__NodeProto *node =
        builder_add_node(&b, "rotary", "RotaryEmbedding", places ? "x,c,s,p" : "x,c,s", "y");
    builder_set_int(&b, node, "rotary_embedding_dim", TURNED);
    builder_set_int(&b, node, "interleaved", interleaved);
    if (flat)
        builder_set_int(&b, node, "num_heads", 2);
    builder_add_output(&b, "y");
    run_model(b, y, sizeof(y) / sizeof(float));
    for (int h = 0; h < 2; h++)
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < WHOLE; i++) {
                size_t here = flat ? (size_t)((t * 2 + h) * WHOLE) : (size_t)((h * TOKENS + t) * WHOLE);
                float expected = x[here + (size_t)i];
                if (i < TURNED) {
                    int pair = interleaved ? i / 2 : i % (TURNED / 2), place = places ? (int)places_of[t] : t;
                    bool second = interleaved ? i % 2 : i >= TURNED / 2;
                    int other = interleaved ? i ^ 1 : (i + TURNED / 2) % TURNED;
                    float turn = second ? sines[place][pair] : -sines[place][pair];
                    expected = expected * cosines[place][pair] + x[here + (size_t)other] * turn;
                }
                ck_assert_float_eq_tol(y[here + (size_t)i], expected, 1e-6f);
            }
}

START_TEST(rotary_embedding_in_all_forms)
{
    for (int bits = 0; bits < 8; bits++)
        check_rotary(bits & 1, bits & 2, bits & 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_attention");
    TCase *tcase = tcase_create("attention");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, attention_with_all_options);
    tcase_add_test(tcase, rotary_embedding_in_all_forms);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
