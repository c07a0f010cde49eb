// The .mem files: one line of hexadecimal digits per word.
#include "converter/export/verilog/verilog.h"
#include "converter/export/verilog/verilog_twin.h"
#include "converter/export/verilog/verilog_weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// A word in the making, bit 0 first.
struct word {
    uint64_t bits;
    uint8_t *bytes;
};

static enum pbit_status make_word(struct word *word, uint64_t bits)
{
    *word = (struct word){bits, calloc((size_t)(bits / 8 + 9), 1)};
    return word->bytes ? PBIT_OK : PBIT_ERROR_MEMORY;
}

/// Puts the low `bits` bits of a number at bit `at`. bits: up to 56.
static void put(struct word *word, uint64_t at, uint32_t bits, uint64_t value)
{
    uint64_t shifted = (value & ((UINT64_C(1) << bits) - 1)) << at % 8;
    for (int i = 0; i < 8; i++)
        word->bytes[at / 8 + i] |= (uint8_t)(shifted >> 8 * i);
}

/// Prints the word and clears it.
static void print_word(struct word *word, FILE *stream)
{
    for (uint64_t digit = (word->bits + 3) / 4; digit-- > 0;)
        fputc("0123456789abcdef"[word->bytes[digit / 2] >> (digit % 2) * 4 & 15], stream);
    fputc('\n', stream);
    memset(word->bytes, 0, (size_t)(word->bits / 8 + 9));
}

struct source {
    const struct pbitc_verilog *design;
    uint32_t stage;
};

// ---- CONV

/// Rows of a block of channels; 0 beyond the last channel.
static void print_weight_block(const struct pbitc_verilog_stage *stage, const int32_t *rows, uint32_t live,
                               struct word *word, FILE *stream)
{
    for (uint32_t chunk = 0; chunk < stage->chunks; chunk++) {
        for (uint32_t n = 0; n < live; n++)
            for (uint32_t i = 0; i < stage->inputs; i++) {
                uint64_t at = (uint64_t)chunk * stage->inputs + i;
                if (at >= stage->fan_in)
                    break;
                int32_t weight = rows[(size_t)n * stage->fan_in + at];
                put(word, ((uint64_t)n * stage->inputs + i) * stage->weight_bits, stage->weight_bits,
                    stage->binary ? weight > 0 : (uint64_t)(int64_t)weight);
            }
        print_word(word, stream);
    }
}

static enum pbit_status print_weights(const void *state, FILE *stream)
{
    const struct source *source = state;
    const struct pbit_model *model = source->design->model;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    struct pbit_operation conv = pbit_model_operation(model, stage->operation);
    uint32_t group = stage->channels / stage->groups;
    int32_t *rows = malloc((size_t)stage->neurons * stage->fan_in * sizeof(*rows));
    struct word word = {0};
    enum pbit_status status = rows ? make_word(&word, stage->weight_word_bits) : PBIT_ERROR_MEMORY;
    for (uint32_t g = 0; g < stage->groups && status == PBIT_OK; g++)
        for (uint32_t first = 0; first < group; first += stage->neurons) {
            uint32_t live = group - first < stage->neurons ? group - first : stage->neurons;
            for (uint32_t n = 0; n < live; n++)
                pbitc_verilog_weight_row(model, &conv, stage->fan_in, g * group + first + n,
                                         rows + (size_t)n * stage->fan_in);
            print_weight_block(stage, rows, live, &word, stream);
        }
    free(rows);
    free(word.bytes);
    return status;
}

/// Everything that the parameters of a CONV are made of.
struct parameters {
    const struct pbitc_verilog_stage *stage;
    const uint32_t *multipliers; ///< [channels]
    const int64_t *constants;    ///< [classes][channels]
    struct word word;
};

static void print_parameter_block(struct parameters *parameters, uint32_t class, uint32_t first,
                                  uint32_t live, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = parameters->stage;
    uint32_t bits = stage->multiplier_bits + stage->constant_bits;
    for (uint32_t round = 0; round < live; round += stage->finishers) {
        for (uint32_t lane = 0; lane < stage->finishers && round + lane < live; lane++) {
            uint32_t k = first + round + lane;
            put(&parameters->word, (uint64_t)lane * bits, stage->multiplier_bits,
                parameters->multipliers[k] >> stage->multiplier_zeros);
            put(&parameters->word, (uint64_t)lane * bits + stage->multiplier_bits, stage->constant_bits,
                (uint64_t)parameters->constants[(size_t) class * stage->channels + k]);
        }
        print_word(&parameters->word, stream);
    }
}

static void fill_parameters(const struct source *source, uint32_t *multipliers, int64_t *constants,
                            int32_t *row, struct pbitc_verilog_class *classes)
{
    const struct pbit_model *model = source->design->model;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    struct pbit_operation conv = pbit_model_operation(model, stage->operation);
    pbitc_verilog_classes(model, &conv, classes, NULL);
    for (uint32_t k = 0; k < stage->channels; k++) {
        pbitc_verilog_weight_row(model, &conv, stage->fan_in, k, row);
        multipliers[k] = pbitc_verilog_multiplier(model, &conv, k, stage->multiplier_levels);
        for (uint32_t c = 0; c < stage->classes; c++)
            constants[(size_t)c * stage->channels + k] =
                pbitc_verilog_constant(model, &conv, k, &classes[c], row);
    }
}

static enum pbit_status print_parameters(const void *state, FILE *stream)
{
    const struct source *source = state;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    uint32_t group = stage->channels / stage->groups;
    uint32_t *multipliers = malloc(stage->channels * sizeof(*multipliers));
    int64_t *constants = malloc((size_t)stage->classes * stage->channels * sizeof(*constants));
    int32_t *row = malloc(((size_t)stage->fan_in + 1) * sizeof(*row));
    struct pbitc_verilog_class *classes = malloc(PBITC_VERILOG_CLASSES_LIMIT * sizeof(*classes));
    struct parameters parameters = {.stage = stage, .multipliers = multipliers, .constants = constants};
    enum pbit_status status = multipliers && constants && row && classes
                                  ? make_word(&parameters.word, stage->parameter_word_bits)
                                  : PBIT_ERROR_MEMORY;
    if (status == PBIT_OK) {
        fill_parameters(source, multipliers, constants, row, classes);
        for (uint32_t c = 0; c < stage->classes; c++)
            for (uint32_t k = 0; k < stage->channels; k += group)
                for (uint32_t first = 0; first < group; first += stage->neurons)
                    print_parameter_block(&parameters, c, k + first,
                                          group - first < stage->neurons ? group - first : stage->neurons,
                                          stream);
    }
    free(multipliers);
    free(constants);
    free(row);
    free(classes);
    free(parameters.word.bytes);
    return status;
}

static enum pbit_status print_classes(const void *state, FILE *stream)
{
    const struct source *source = state;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    struct pbit_operation conv = pbit_model_operation(source->design->model, stage->operation);
    struct pbitc_verilog_class *classes = malloc(PBITC_VERILOG_CLASSES_LIMIT * sizeof(*classes));
    uint32_t *class_of = malloc((size_t)stage->positions * sizeof(*class_of));
    enum pbit_status status = classes && class_of ? PBIT_OK : PBIT_ERROR_MEMORY;
    if (status == PBIT_OK) {
        pbitc_verilog_classes(source->design->model, &conv, classes, class_of);
        for (uint32_t p = 0; p < stage->positions; p++)
            fprintf(stream, "%" PRIx64 "\n", class_of[p] * (stage->parameter_words / stage->classes));
    }
    free(classes);
    free(class_of);
    return status;
}

// ---- tables

static enum pbit_status print_table(const void *state, FILE *stream)
{
    const struct source *source = state;
    const struct pbit_model *model = source->design->model;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    struct pbit_operation neuron = pbit_model_operation(model, stage->activation);
    uint32_t start_bits = stage->table_start_bits, rise_bits = (uint32_t)stage->table_word_bits - start_bits;
    struct word word;
    if (make_word(&word, stage->table_word_bits) != PBIT_OK)
        return PBIT_ERROR_MEMORY;
    for (uint64_t i = 0; i < stage->table_words; i++) {
        const uint8_t *entry = model->bytes + neuron.table + 4 * i;
        int64_t start = pbit_load_i32(entry);
        bool last = neuron.function == PBIT_FUNCTION_CURVE && i == neuron.curve_segments;
        int64_t rise = last ? 0 : pbit_load_i32(entry + 4) - start;
        put(&word, 0, start_bits, (uint64_t)start);
        put(&word, start_bits, rise_bits, (uint64_t)rise);
        print_word(&word, stream);
    }
    free(word.bytes);
    return PBIT_OK;
}

static enum pbit_status print_twin_table(const void *state, FILE *stream)
{
    const struct source *source = state;
    uint32_t bits = source->design->plan->lfsr ? PBITC_LFSR_BITS : source->design->plan->twin_bits;
    struct pbit_operation neuron =
        pbit_model_operation(source->design->model, source->design->plan->stages[source->stage].activation);
    struct pbitc_twin_table table;
    pbitc_twin_table_fill(&table, source->design->model, &neuron, bits);
    for (uint32_t i = 0; i < PBITC_TWIN_ENTRIES; i++)
        fprintf(stream, "%0*" PRIx32 "\n", (int)(bits + 3) / 4, table.levels[i]);
    return PBIT_OK;
}

static enum pbit_status print_places(const void *state, FILE *stream)
{
    const struct source *source = state;
    const struct pbit_model *model = source->design->model;
    const struct pbitc_verilog_stage *stage = &source->design->plan->stages[source->stage];
    struct pbit_operation permute = pbit_model_operation(model, stage->operation);
    for (uint32_t i = 0; i < stage->elements; i++)
        fprintf(stream, "%" PRIx32 "\n", pbit_load_u32(model->bytes + permute.table + 4 * (size_t)i));
    return PBIT_OK;
}

// ---- all of them

const char *pbitc_verilog_memory_name(const struct pbitc_verilog *design, uint32_t stage, const char *what,
                                      char name[PBITC_VERILOG_MEMORY_NAME])
{
    snprintf(name, PBITC_VERILOG_MEMORY_NAME, "%s_%" PRIu32 "_%s.mem", design->name, stage, what);
    return name;
}

static enum pbit_status add(const struct source *source, const char *what, pbitc_folder_writer *print,
                            struct pbitc_folder *folder)
{
    char name[PBITC_VERILOG_MEMORY_NAME];
    return pbitc_folder_print(folder, pbitc_verilog_memory_name(source->design, source->stage, what, name),
                              print, source);
}

enum pbit_status pbitc_verilog_add_memories(const struct pbitc_verilog *design, struct pbitc_folder *folder)
{
    enum pbit_status status = PBIT_OK;
    for (uint32_t s = 0; s < design->plan->stage_count && status == PBIT_OK; s++) {
        const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
        struct source source = {design, s};
        if (stage->kind == PBITC_VERILOG_CONV) {
            status = add(&source, "weights", print_weights, folder);
            if (status == PBIT_OK)
                status = add(&source, "parameters", print_parameters, folder);
            if (status == PBIT_OK && stage->classes > 1)
                status = add(&source, "classes", print_classes, folder);
        }
        if (status == PBIT_OK && stage->table_words)
            status =
                add(&source, "table",
                    design->plan->twin_bits || design->plan->lfsr ? print_twin_table : print_table, folder);
        if (status == PBIT_OK && stage->permuted)
            status = add(&source, "places", print_places, folder);
    }
    return status;
}
