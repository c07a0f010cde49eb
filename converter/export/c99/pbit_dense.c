// Three ways to the same sums, for rows of n weights of 4 bits, 8 to a word:
// - L = 1 (one p-bit per neuron): the weights of the set bits are added, 8 in a word at once. A mask per pass
// and word
//   keeps them; weights are moved to 0..15 first, which the number of set bits takes back.
// - several passes: the levels of two passes share a word, so that one multiplication by a weight serves
// both. A sum
//   of 16 bits is emptied into one of 32 before it can overflow.
// - one pass of levels: weight by weight.
#include "pbit_dense.h"

enum { PER_WORD = 8, LARGEST_WEIGHT = 8, WORDS_PER_BYTE_SUM = 8 };

/// The sums of one row, for each pass.
struct sums {
    int32_t of[PBIT_DENSE_PASSES];
};

static inline int32_t weight(uint32_t word, uint32_t i)
{
    return (int32_t)(word << (28 - 4 * i)) >> 28;
}

// ---- one p-bit per neuron

/// mask[word][column]: 15 in place of each set bit. Columns beyond the passes are 0.
static void make_masks(const struct pbit_conv_part *part, size_t n, uint32_t columns, const uint8_t *in,
                       uint32_t *mask)
{
    for (uint32_t column = 0; column < columns; column++) {
        const uint8_t *levels = in + (column < part->passes ? column : 0) * part->in_stride;
        for (size_t first = 0, word = 0; first < n; first += PER_WORD, word++) {
            uint32_t bits = 0;
            for (size_t i = 0; i < PER_WORD && first + i < n; i++)
                bits |= (uint32_t)levels[first + i] << (4 * i);
            mask[word * columns + column] = column < part->passes ? bits * 15 : 0;
        }
    }
}

/// `columns` is a constant wherever this is inlined.
static inline void add_masked(const uint8_t *row, const uint32_t *mask, size_t words, uint32_t columns,
                              struct sums *sums)
{
    uint32_t halves[PBIT_DENSE_PASSES] = {0};
    for (size_t word = 0; word < words;) {
        size_t end = words - word < WORDS_PER_BYTE_SUM ? words : word + WORDS_PER_BYTE_SUM;
        uint32_t bytes[PBIT_DENSE_PASSES] = {0};
        for (; word < end; word++, row += 4) {
            uint32_t weights = pbit_load_u32(row) ^ 0x88888888u;
            for (uint32_t c = 0; c < columns; c++) {
                uint32_t kept = weights & *mask++;
                bytes[c] += (kept & 0x0F0F0F0Fu) + (kept >> 4 & 0x0F0F0F0Fu);
            }
        }
        for (uint32_t c = 0; c < columns; c++)
            halves[c] += (bytes[c] & 0x00FF00FFu) + (bytes[c] >> 8 & 0x00FF00FFu);
    }
    for (uint32_t c = 0; c < columns; c++)
        sums->of[c] = (int32_t)((halves[c] & 0xFFFF) + (halves[c] >> 16));
}

static uint32_t mask_columns(uint32_t passes)
{
    return passes > 2 ? 4 : passes;
}

/// The row of one output channel.
static void sum_masked(const uint8_t *row, const uint32_t *mask, size_t words, uint32_t columns,
                       struct sums *sums)
{
    if (columns == 1)
        add_masked(row, mask, words, 1, sums);
    else if (columns == 2)
        add_masked(row, mask, words, 2, sums);
    else
        add_masked(row, mask, words, 4, sums);
}

/// What moving the weights adds to the sums: the largest weight for each set bit.
static void sum_excess(const struct pbit_conv_part *part, size_t n, const uint8_t *in, int32_t *excess)
{
    for (uint32_t pass = 0; pass < part->passes; pass++) {
        excess[pass] = 0;
        for (size_t i = 0; i < n; i++)
            excess[pass] += LARGEST_WEIGHT * in[pass * part->in_stride + i];
    }
}

// ---- two passes in a word

/// pair[i][column]: the levels of passes 2 * column and 2 * column + 1 of input i; 0 beyond the passes and
/// the row.
static void make_pairs(const struct pbit_conv_part *part, size_t n, const uint8_t *in, uint32_t *pair)
{
    uint32_t columns = (part->passes + 1) / 2;
    for (size_t i = 0; i < (n + PER_WORD - 1) / PER_WORD * PER_WORD; i++)
        for (uint32_t c = 0; c < columns; c++) {
            const uint8_t *low = in + 2 * c * part->in_stride;
            uint32_t high = i < n && 2 * c + 1 < part->passes ? low[part->in_stride + i] : 0;
            *pair++ = (i < n ? low[i] : 0) | high << 16;
        }
}

/// Adds the two sums in a word: the low one is signed, so the high one is short of 1 where it is negative.
static inline void empty(uint32_t packed, int32_t *low, int32_t *high)
{
    int32_t first = (int32_t)(packed << 16) >> 16;
    *low += first;
    *high += (int32_t)(packed - (uint32_t)first) >> 16;
}

/// `columns` is a constant wherever this is inlined; `step`: words after which a sum of 16 bits might
/// overflow.
static inline void add_pairs(const uint8_t *row, const uint32_t *pair, size_t words, size_t step,
                             uint32_t columns, struct sums *sums)
{
    *sums = (struct sums){{0}};
    for (size_t word = 0; word < words;) {
        size_t end = words - word < step ? words : word + step;
        uint32_t packed[PBIT_DENSE_PASSES / 2] = {0};
        for (; word < end; word++, row += 4) {
            uint32_t weights = pbit_load_u32(row);
            for (uint32_t i = 0; i < PER_WORD; i++)
                for (uint32_t c = 0; c < columns; c++)
                    packed[c] += (uint32_t)weight(weights, i) * pair[i * columns + c];
            pair += PER_WORD * columns;
        }
        for (uint32_t c = 0; c < columns; c++)
            empty(packed[c], &sums->of[2 * c], &sums->of[2 * c + 1]);
    }
}

static void sum_pairs(const uint8_t *row, const uint32_t *pair, size_t words, size_t step, uint32_t columns,
                      struct sums *sums)
{
    if (columns == 1)
        add_pairs(row, pair, words, step, 1, sums);
    else
        add_pairs(row, pair, words, step, 2, sums);
}

// ---- one pass

static void sum_levels(const uint8_t *row, const uint8_t *in, size_t n, struct sums *sums)
{
    int32_t sum = 0;
    for (; n >= PER_WORD; n -= PER_WORD, row += 4) {
        uint32_t weights = pbit_load_u32(row);
        for (uint32_t i = 0; i < PER_WORD; i++)
            sum += weight(weights, i) * *in++;
    }
    if (n) {
        uint32_t weights = pbit_load_u32(row);
        for (uint32_t i = 0; i < n; i++)
            sum += weight(weights, i) * *in++;
    }
    sums->of[0] = sum;
}

// ---- a layer

/// M_L of FORMAT.md without a 64-bit division.
static int32_t multiplier_of_levels(uint32_t multiplier, uint32_t levels)
{
    return (int32_t)(multiplier / levels + (2 * (multiplier % levels) + levels) / (2 * levels));
}

/// What all rows use. excess: of each pass, taken from its sums.
static void prepare(const struct pbit_conv_part *part, size_t n, const uint8_t *in, int32_t *excess,
                    uint32_t *prepared)
{
    for (uint32_t pass = 0; pass < PBIT_DENSE_PASSES; pass++)
        excess[pass] = 0;
    if (part->levels == 1) {
        sum_excess(part, n, in, excess);
        make_masks(part, n, mask_columns(part->passes), in, prepared);
    } else if (part->passes > 1) {
        make_pairs(part, n, in, prepared);
    }
}

void pbit_dense_rows(const struct pbit_model *model, const struct pbit_operation *conv,
                     const struct pbit_tensor *input, const struct pbit_tensor *output,
                     const struct pbit_conv_part *part, const uint8_t *in, int32_t *out, int16_t *row)
{
    size_t n = pbit_tensor_elements(input), words = (n + PER_WORD - 1) / PER_WORD;
    int32_t *excess = (int32_t *)(void *)row;
    uint32_t *prepared = (uint32_t *)(void *)row + PBIT_DENSE_PASSES, columns = mask_columns(part->passes);
    size_t step = INT16_MAX / (part->levels * LARGEST_WEIGHT * PER_WORD);
    struct sums sums;
    (void)output;
    if (part->first_channel == 0)
        prepare(part, n, in, excess, prepared);
    for (uint32_t i = 0; i < part->channels; i++) {
        uint32_t k = part->first_channel + i;
        const uint8_t *weights = model->bytes + conv->weights + k * words * 4;
        if (part->levels == 1)
            sum_masked(weights, prepared, words, columns, &sums);
        else if (part->passes > 1)
            sum_pairs(weights, prepared, words, step, (part->passes + 1) / 2, &sums);
        else
            sum_levels(weights, in, n, &sums);
        int32_t multiplier = multiplier_of_levels(
            (uint32_t)pbit_load_i32(model->bytes + conv->multipliers + 4 * (size_t)k), part->levels);
        int64_t bias = pbit_load_i32(model->bytes + conv->biases + 4 * (size_t)k);
        for (uint32_t pass = 0; pass < part->passes; pass++)
            out[pass * part->out_stride + i] = pbit_saturate(
                bias + pbit_round_shift((int64_t)(sums.of[pass] - excess[pass]) * multiplier, conv->shift));
    }
}
