// Attention and RotaryEmbedding (opset 23 and 24) as functions of older operators (onnx_contributed.c tells
// the language). Source: ONNX Operators.md.
#include "converter/onnx/onnx_importer.h"

#include <math.h>
#include <string.h>

static const Onnx__AttributeProto *find_attribute(const Onnx__NodeProto *call, const char *name)
{
    for (size_t i = 0; i < call->n_attribute; i++)
        if (call->attribute[i]->name && strcmp(call->attribute[i]->name, name) == 0)
            return call->attribute[i];
    return NULL;
}

static long long integer(const Onnx__NodeProto *call, const char *name, long long fallback)
{
    const Onnx__AttributeProto *attribute = find_attribute(call, name);
    return attribute ? (long long)attribute->i : fallback;
}

static bool is_given(const Onnx__NodeProto *call, size_t input)
{
    return input < call->n_input && *call->input[input];
}

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, NONPAD };

/// q, k and v as [batch, heads, sequence, size]; with what the cache has before them.
static const char *heads_text(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    long long query = integer(call, "q_num_heads", 0), key = integer(call, "kv_num_heads", 0);
    bool past = is_given(call, PAST_KEY);
    const char *heads =
        query ? pbitc_arena_format(
                    arena,
                    "hq = Constant{value_ints=0:0:%lld:-1}(); hk = Constant{value_ints=0:0:%lld:-1}();"
                    "q3 = Reshape(I0, hq); k3 = Reshape(I1, hk); v3 = Reshape(I2, hk);"
                    "q = Transpose{perm=0:2:1:3}(q3); kn = Transpose{perm=0:2:1:3}(k3);"
                    "vn = Transpose{perm=0:2:1:3}(v3);",
                    query, key)
              : "q = Identity(I0); kn = Identity(I1); vn = Identity(I2);";
    return heads ? pbitc_arena_format(arena, "%s%s%s%s", heads,
                                      past ? "k = Concat{axis=2}(I4, kn); v = Concat{axis=2}(I5, vn);"
                                           : "k = Identity(kn); v = Identity(vn);",
                                      call->n_output > 1 ? "O1 = Identity(k);" : "",
                                      call->n_output > 2 ? "O2 = Identity(v);" : "")
                 : NULL;
}

/// Scores: every head of k and v serves as many heads of q as there are for it.
static const char scores_text[] =
    "i0 = Constant{value_ints=0}(); i1 = Constant{value_ints=1}(); i2 = Constant{value_ints=2}();"
    "i3 = Constant{value_ints=3}(); last = Constant{value_ints=-1}(); ones = Constant{value_ints=1:1}();"
    "qs = Shape(q); ks = Shape(k); vs = Shape(v);"
    "nq = Gather(qs, i1); nk = Gather(ks, i1); length = Gather(qs, i2); total = Gather(ks, i2);"
    "ksize = Gather(ks, i3); vsize = Gather(vs, i3); times = Div(nq, nk);"
    "wide = Concat{axis=0}(ones, times, ones);"
    "ku = Unsqueeze(k, i2); ke = Expand(ku, wide); kto = Concat{axis=0}(i0, nq, total, ksize);"
    "kr = Reshape(ke, kto);"
    "vu = Unsqueeze(v, i2); ve = Expand(vu, wide); vto = Concat{axis=0}(i0, nq, total, vsize);"
    "vr = Reshape(ve, vto);"
    "sl = CastLike(s, q); qx = Mul(q, sl); kx = Mul(kr, sl); kt = Transpose{perm=0:1:3:2}(kx);"
    "scores = MatMul(qx, kt); zf = Constant{value_float=0.0}(); nf = Constant{value_float=-inf.}();"
    "zero = CastLike(zf, q); never = CastLike(nf, q);";

static const char *scale_text(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    const Onnx__AttributeProto *scale = find_attribute(call, "scale");
    return scale ? pbitc_arena_format(arena, "s = Constant{value_float=%.9e}();", sqrt((double)scale->f))
                 : "sh = Shape{start=3,end=4}(q); sd = Cast{to=1}(sh); sr = Sqrt(sd); si = Reciprocal(sr);"
                   "s = Sqrt(si);";
}

static const char *cap_text(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    const Onnx__AttributeProto *cap = find_attribute(call, "softcap");
    return cap && cap->f > 0
               ? pbitc_arena_format(
                     arena,
                     "cf = Constant{value_float=%.9e}(); cl = CastLike(cf, q); cd = Div(scores, cl);"
                     "ct = Tanh(cd); capped = Mul(ct, cl);",
                     (double)cap->f)
               : "capped = Identity(scores);";
}

/// The mask as a bias: of bool where 0.5, cast like it, is 1, and then 0 or -infinity; of float as it is. It
/// may be shorter than the keys.
static const char mask_text[] =
    "mh = Constant{value_float=0.5}(); mt = CastLike(mh, I3); mf = Cast{to=1}(mt); mo = "
    "Constant{value_float=1.0}();"
    "mbool = Equal(mf, mo); mb = Cast{to=9}(I3); mw = Where(mb, zero, never); ml = CastLike(I3, q);"
    "mv = Where(mbool, mw, ml); ms = Shape(I3); mn = Gather(ms, last); mp = Sub(total, mn);"
    "mpads = Concat{axis=0}(i0, mp); bias_mask = Pad(mv, mpads, never, last);";

/// Keys up to the query's own place are seen: j <= i + offset.
static const char *causal_text(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    const char *offset =
        is_given(call, PAST_KEY) ? "ps = Shape(I4); offset = Gather(ps, i2);"
        : is_given(call, NONPAD)
            ? "pl = Cast{to=7}(I6); pd = Sub(pl, length); pt = Constant{value_ints=-1:1:1:1}();"
              "offset = Reshape(pd, pt);"
            : "offset = Identity(i0);";
    return pbitc_arena_format(
        arena,
        "%s n0 = Squeeze(i0); n1 = Squeeze(i1); nl = Squeeze(length); nt = Squeeze(total);"
        "row = Range(n0, nl, n1); rows = Unsqueeze(row, i1); place = Add(rows, offset);"
        "column = Range(n0, nt, n1); seen = LessOrEqual(column, place);"
        "bias_causal = Where(seen, zero, never);",
        offset);
}

static const char nonpad_text[] =
    "g0 = Squeeze(i0); g1 = Squeeze(i1); gt = Squeeze(total); gc = Range(g0, gt, g1); gl = Cast{to=7}(I6);"
    "gs = Constant{value_ints=-1:1:1:1}(); gr = Reshape(gl, gs); gk = Less(gc, gr);"
    "bias_nonpad = Where(gk, zero, never);";

/// The sum of the biases; a query that sees no key at all gives 0.
static const char *softmax_text(struct pbitc_arena *arena, bool mask, bool causal, bool nonpad)
{
    if (!mask && !causal && !nonpad)
        return "biased = Identity(capped); weights = Softmax{axis=-1}(biased);";
    return pbitc_arena_format(
        arena,
        "bias = Sum(%s%s%s%s%s); biased = Add(capped, bias); soft = Softmax{axis=-1}(biased);"
        "most = ReduceMax{keepdims=1}(bias, last); blind = IsInf{detect_positive=0}(most);"
        "weights = Where(blind, zero, soft);",
        mask ? "bias_mask" : "", mask && (causal || nonpad) ? ", " : "", causal ? "bias_causal" : "",
        causal && nonpad ? ", " : "", nonpad ? "bias_nonpad" : "");
}

static const char *attention_body(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    static const char *const modes[] = {"scores", "capped", "biased", "weights"};
    bool mask = is_given(call, MASK), causal = integer(call, "is_causal", 0), nonpad = is_given(call, NONPAD);
    long long mode = integer(call, "qk_matmul_output_mode", 0);
    const char *parts[] = {heads_text(arena, call), scale_text(arena, call), cap_text(arena, call),
                           causal ? causal_text(arena, call) : "", softmax_text(arena, mask, causal, nonpad)};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!parts[i])
            return NULL;
    const char *seen = call->n_output > 3 ? pbitc_arena_format(arena, "O3 = Identity(%s);", modes[mode]) : "";
    return seen ? pbitc_arena_format(
                      arena, "%s%s%s%s%s%s%s%s%sy = MatMul(weights, vr); %s", parts[0], parts[1], scores_text,
                      parts[2], mask ? mask_text : "", parts[3], nonpad ? nonpad_text : "", parts[4], seen,
                      integer(call, "q_num_heads", 0)
                          ? "yt = Transpose{perm=0:2:1:3}(y); ys = Constant{value_ints=0:0:-1}();"
                            "O0 = Reshape(yt, ys)"
                          : "O0 = Identity(y)")
                : NULL;
}

/// Forms that the text above has; windows are of opset 25.
static bool is_known_attention(const Onnx__NodeProto *call)
{
    long long mode = integer(call, "qk_matmul_output_mode", 0);
    return call->n_input >= 3 && mode >= 0 && mode <= 3 && integer(call, "left_window_size", -1) == -1 &&
           integer(call, "right_window_size", -1) == -1 &&
           !integer(call, "q_num_heads", 0) == !integer(call, "kv_num_heads", 0) &&
           is_given(call, PAST_KEY) == is_given(call, PAST_VALUE);
}

/// x as [batch, sequence, heads, size], of which the first `rotated` (0: all) numbers turn.
static const char *rotary_body(struct pbitc_arena *arena, const Onnx__NodeProto *call)
{
    long long heads = integer(call, "num_heads", 0), rotated = integer(call, "rotary_embedding_dim", 0);
    bool places = is_given(call, 3), interleaved = integer(call, "interleaved", 0);
    const char *start =
        heads ? pbitc_arena_format(arena, "hs = Constant{value_ints=0:0:%lld:-1}(); x = Reshape(I0, hs);",
                                   heads)
              : "x = Transpose{perm=0:2:1:3}(I0);";
    const char *part =
        rotated ? pbitc_arena_format(
                      arena,
                      "c0 = Constant{value_ints=0}(); cr = Constant{value_ints=%lld}();"
                      "ce = Constant{value_ints=9223372036854775807}(); c3 = Constant{value_ints=3}();"
                      "xr = Slice(x, c0, cr, c3); rest = Slice(x, cr, ce, c3);",
                      rotated)
                : "xr = Identity(x);";
    if (!start || !part)
        return NULL;
    return pbitc_arena_format(
        arena,
        "%s%s%s two = Constant{value_ints=2}(); end = Constant{value_ints=-1}();"
        "cos = Unsqueeze(cc, two); sin = Unsqueeze(ss, two); %s"
        "a = Mul(cos, x1); b = Mul(sin, x2); real = Sub(a, b);"
        "c = Mul(sin, x1); d = Mul(cos, x2); imaginary = Add(c, d); %s"
        "%s %s",
        start, part,
        places ? "cc = Gather{axis=0}(I1, I3); ss = Gather{axis=0}(I2, I3);"
               : "cc = Identity(I1); ss = Identity(I2);",
        interleaved
            ? "pairs = Constant{value_ints=0:0:0:-1:2}(); xp = Reshape(xr, pairs);"
              "p1, p2 = Split{axis=-1,num_outputs=2}(xp); x1 = Squeeze(p1, end); x2 = Squeeze(p2, end);"
            : "x1, x2 = Split{axis=-1,num_outputs=2}(xr);",
        interleaved
            ? "ru = Unsqueeze(real, end); iu = Unsqueeze(imaginary, end); rp = Concat{axis=-1}(ru, iu);"
              "flat = Constant{value_ints=0:0:0:-1}(); turned = Reshape(rp, flat);"
            : "turned = Concat{axis=-1}(real, imaginary);",
        rotated ? "whole = Concat{axis=-1}(turned, rest);" : "whole = Identity(turned);",
        heads ? "ys = Constant{value_ints=0:0:-1}(); O0 = Reshape(whole, ys)"
              : "O0 = Transpose{perm=0:2:1:3}(whole)");
}

bool pbitc_onnx_find_attention(struct pbitc_onnx_importer *importer, const Onnx__NodeProto *call,
                               const Onnx__FunctionProto **function)
{
    struct pbitc_arena *arena = importer->graph->arena;
    bool attention = call->op_type && strcmp(call->op_type, "Attention") == 0 && is_known_attention(call);
    bool rotary = call->op_type && strcmp(call->op_type, "RotaryEmbedding") == 0 && call->n_input >= 3;
    if (!pbitc_onnx_is_default_domain(call) || !(attention || rotary))
        return true;
    const char *body = attention ? attention_body(arena, call) : rotary_body(arena, call);
    return body && pbitc_onnx_function_of_text(arena, call, NULL, NULL, body, function);
}
