// What NEURONs on packed bits need to compare or round sums of 16 bits.
#include "runtime/engine.h"

enum { LARGEST_SHIFT = 7 };

/// A term of z: step * number + start.
struct part {
    double step, start;
    uint32_t reach; ///< the largest number
    struct pbit_bit_word *word;
};

static double largest_of(const struct part *part)
{
    return part->start + part->step * part->reach;
}

/// Rounded down.
static uint16_t clip(double number, uint32_t least, uint32_t most)
{
    return (uint16_t)(number < least ? least : number > most ? most : number);
}

/// Numbers with which z is at most 0 in any case do not differ, nor do those with which it is at least 65536.
static void cut(const struct part *parts, uint32_t count, uint32_t index)
{
    const struct part *part = &parts[index];
    double least = 0, most = 0; // of the others
    for (uint32_t i = 0; i < count; i++) {
        least += i == index ? 0 : parts[i].start;
        most += i == index ? 0 : largest_of(&parts[i]);
    }
    *part->word = (struct pbit_bit_word){.low = 0};
    if (part->step <= 0)
        return;
    part->word->low = clip((-most - part->start) / part->step, 0, part->reach);
    uint32_t high = clip((PBIT_ONE - least - part->start) / part->step + 1, part->word->low, part->reach);
    part->word->span = (uint16_t)(high - part->word->low);
}

/// The factor of a term in steps of 2^shift. Returns 0 where it has more than 16 bits.
static int scale(const struct part *part, uint32_t shift)
{
    struct pbit_bit_word *word = part->word;
    for (word->left = 0; word->left < 15 && word->span << (word->left + 1) <= UINT16_MAX;)
        word->left++;
    double factor = word->span ? part->step * 65536 / (1u << (word->left + shift)) + 0.5 : 0;
    word->scale = (uint16_t)(factor <= UINT16_MAX ? factor : 0);
    return factor <= UINT16_MAX;
}

/// Returns 0 where 16 bits are too few.
static int describe(const struct part *parts, uint32_t count, struct pbit_bit_words *words)
{
    double least = -32768, most = -32768;
    for (uint32_t i = 0; i < count; i++) {
        const struct pbit_bit_word *word = parts[i].word;
        if (parts[i].step < 0 || parts[i].reach > UINT16_MAX)
            return 0;
        cut(parts, count, i);
        least += parts[i].start + parts[i].step * word->low;
        most += parts[i].start + parts[i].step * (word->low + word->span);
    }
    // Of each term, up to 0.5 of a step of 2^shift in what is cut off below it and in the factor, and 0.25 in
    // RS; and up to 1 in v', 0.5 in the offset.
    words->margin = (int16_t)(2 + (5 * count + 3) / 4);
    for (words->shift = 1; words->shift <= LARGEST_SHIFT; words->shift++) {
        double step = 1u << words->shift;
        int fits = least / step > -32700 && most / step < 32700;
        for (uint32_t i = 0; i < count; i++)
            fits &= scale(&parts[i], words->shift);
        if (fits) {
            words->offset = (int16_t)((int32_t)(least / step + 0.5 * count + 32768.5) - 32768);
            return 1;
        }
    }
    return 0;
}

int pbit_bit_fill_words(const struct pbit_engine_operation *operations,
                        const struct pbit_engine_operation *neuron, struct pbit_bit_words *words)
{
    const struct pbit_bit_operation *bits = &neuron->bits;
    for (uint32_t k = 0; k < neuron->output.channels; k++) {
        struct part parts[PBIT_BIT_TERMS] = {{.step = 0}};
        uint32_t terms = 0;
        words[k] = (struct pbit_bit_words){.offset = 0};
        for (uint32_t t = 0; t < bits->terms; t++) {
            const struct pbit_bit_operation *conv = &operations[bits->term[t]].bits;
            const struct pbit_bit_channel *channel = &conv->channel[k];
            if (conv->conv.factors)
                return 0;
            parts[t] = (struct part){.step = channel->step,
                                     .start = channel->bias + channel->least * channel->step,
                                     .reach = channel->reach,
                                     .word = conv->identity ? &words[k].residual : &words[k].term[terms++]};
        }
        if (!describe(parts, bits->terms, &words[k]))
            return 0;
    }
    return bits->terms > 0;
}

struct pbit_bit_product pbit_bit_describe_product(int64_t multiplier, uint32_t shift, int32_t least,
                                                  uint32_t reach)
{
    enum { LEAST = 17, MOST = 46 }; // 0.5 is a multiple of 2^16
    struct pbit_bit_product product = {.shift = 0};
    uint32_t missing = shift < LEAST ? LEAST - shift : 0;
    if (least < -INT16_MAX || (int64_t)least + reach > INT16_MAX || shift > MOST || multiplier < 0 ||
        multiplier > (INT32_MAX - 32768) >> missing)
        return product;
    int32_t factor = (int32_t)multiplier << missing;
    product.low = (int16_t)((factor & 65535) - (factor & 32768 ? 65536 : 0));
    product.high = (int16_t)((factor - product.low) >> 16);
    product.shift = shift + missing - 16;
    product.half = 1 << (product.shift - 1);
    return product;
}
