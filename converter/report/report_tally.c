#include "converter/report/report_tally.h"

#include "converter/report/base64.h"

#include <stdlib.h>

/// Bits that hold 0..seeds.
static size_t field_bits(size_t seeds)
{
    size_t bits = 1;
    while (seeds >> bits)
        bits++;
    return bits;
}

/// All fields one behind the other, in a buffer the caller frees.
struct fields {
    uint8_t *bytes;
    size_t size, position; ///< position: in bits
    size_t bits;           ///< of one field
};

static bool make_fields(struct fields *fields, const struct pbitc_accuracy_report *report,
                        const struct pbitc_accuracy_cell *cell)
{
    fields->bits = field_bits(cell->seeds);
    fields->size = (report->measured_images * fields->bits + 7) / 8;
    fields->position = 0;
    fields->bytes = calloc(fields->size + 1, 1);
    return fields->bytes != NULL;
}

static void put(struct fields *fields, uint16_t value)
{
    for (size_t bit = 0; bit < fields->bits; bit++, fields->position++)
        fields->bytes[fields->position / 8] |= (uint8_t)((value >> bit & 1) << fields->position % 8);
}

static uint16_t get(struct fields *fields)
{
    unsigned value = 0;
    for (size_t bit = 0; bit < fields->bits; bit++, fields->position++)
        value |= (unsigned)(fields->bytes[fields->position / 8] >> fields->position % 8 & 1) << bit;
    return (uint16_t)value;
}

char *pbitc_tally_encode(const struct pbitc_accuracy_report *report, const struct pbitc_accuracy_cell *cell)
{
    struct fields fields;
    if (!make_fields(&fields, report, cell))
        return NULL;
    for (size_t range = 0; range < report->measured_count; range++) {
        const struct pbitc_image_range *images = &report->measured[range];
        for (size_t i = 0; i < images->count; i++)
            put(&fields, cell->tally.correct_by_image[images->first + i]);
    }
    char *text = pbitc_base64_encode(fields.bytes, fields.size);
    free(fields.bytes);
    return text;
}

enum pbitc_tally_result pbitc_tally_decode(const struct pbitc_accuracy_report *report, const char *text,
                                           struct pbitc_accuracy_cell *cell)
{
    struct fields fields;
    if (!make_fields(&fields, report, cell))
        return PBITC_TALLY_MEMORY;
    bool good = pbitc_base64_decode(text, fields.bytes, fields.size);
    for (size_t range = 0; range < report->measured_count && good; range++) {
        const struct pbitc_image_range *images = &report->measured[range];
        for (size_t i = 0; i < images->count && good; i++) {
            uint16_t value = get(&fields);
            cell->tally.correct_by_image[images->first + i] = value;
            good = value <= cell->seeds;
        }
    }
    free(fields.bytes);
    return good ? PBITC_TALLY_READ : PBITC_TALLY_MALFORMED;
}

void pbitc_tally_add(struct pbitc_tally *sum, const struct pbitc_tally *tally, size_t seeds)
{
    for (size_t seed = 0; seed < seeds; seed++)
        sum->correct[seed] += tally->correct[seed];
    sum->agreed += tally->agreed;
    sum->passes += tally->passes;
    sum->kept += tally->kept;
    for (int i = 0; i < PBITC_CALIBRATION_BINS; i++) {
        sum->bins[i].count += tally->bins[i].count;
        sum->bins[i].correct += tally->bins[i].correct;
        sum->bins[i].confidence += tally->bins[i].confidence;
    }
}
