#include "converter/gates.h"

#include "converter/command.h"
#include "converter/compare.h"
#include "converter/data/readers.h"
#include "converter/repeat_command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// The whole number before the next ':'; moves *text behind it.
static bool parse_count(const char **text, int64_t limit, uint32_t *count)
{
    char number[16];
    size_t length = strcspn(*text, ":");
    int64_t value;
    if (!(*text)[length] || length >= sizeof(number))
        return false;
    memcpy(number, *text, length);
    number[length] = 0;
    if (!pbitc_parse_integer(number, &value) || value < 1 || value > limit)
        return false;
    *count = (uint32_t)value;
    *text += length + 1;
    return true;
}

bool pbitc_cell_gate_parse(const char *text, struct pbitc_cell_gate *gate)
{
    static const char automatic[] = "auto:";
    bool stops = strncmp(text, automatic, strlen(automatic)) == 0;
    gate->text = text;
    gate->samples = 0;
    if (stops)
        text += strlen(automatic);
    return (stops || parse_count(&text, PBIT_SAMPLES_LIMIT, &gate->samples)) &&
           parse_count(&text, PBIT_DRAWS_LIMIT, &gate->draws) && pbitc_parse_real(text, &gate->bound) &&
           gate->bound >= 0 && gate->bound <= 1;
}

static const char *option_name(bool is_drop)
{
    return is_drop ? "--max-drop" : "--min-accuracy";
}

static int parse_cell_gates(const char *command, const struct pbitc_texts *texts, bool is_drop,
                            struct pbitc_gates *gates)
{
    int code = PBITC_EXIT_DONE;
    for (size_t i = 0; i < texts->count; i++) {
        struct pbitc_cell_gate *gate = &gates->cells[gates->cell_count++];
        gate->is_drop = is_drop;
        if (!pbitc_cell_gate_parse(texts->items[i], gate))
            code = pbitc_usage_error(command, "%s: '%s' is not T:m:X with X in 0..1", option_name(is_drop),
                                     texts->items[i]);
    }
    return code;
}

int pbitc_gates_parse(const char *command, const struct pbitc_gate_options *options,
                      struct pbitc_gates *gates)
{
    *gates = (struct pbitc_gates){.compare = options->compare, .monotonic = options->require_monotonic};
    int accuracies = parse_cell_gates(command, &options->min_accuracy, false, gates);
    int drops = parse_cell_gates(command, &options->max_drop, true, gates);
    return accuracies != PBITC_EXIT_DONE ? accuracies : drops;
}

static bool is_in(const uint32_t *list, size_t count, uint32_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}

static const char *samples_text(uint32_t samples, char number[16])
{
    if (samples == 0)
        return "auto";
    snprintf(number, 16, "%" PRIu32, samples);
    return number;
}

int pbitc_gates_check(const char *command, const struct pbitc_gates *gates, const uint32_t *samples,
                      size_t samples_count, const uint32_t *draws, size_t draws_count, bool stops,
                      bool has_baseline)
{
    int code = PBITC_EXIT_DONE;
    bool drops = false, several = false;
    for (size_t i = 0; i < gates->cell_count; i++) {
        const struct pbitc_cell_gate *gate = &gates->cells[i];
        drops = drops || gate->is_drop;
        bool measured = gate->samples ? is_in(samples, samples_count, gate->samples) : stops;
        char number[16];
        if (!measured || !is_in(draws, draws_count, gate->draws))
            code = pbitc_usage_error(command, "the gate on T=%s m=%u asks for a cell that is not measured",
                                     samples_text(gate->samples, number), gate->draws);
    }
    if (drops && !has_baseline)
        code = pbitc_usage_error(command, "--max-drop needs --baseline MODEL.onnx");
    for (size_t i = 1; i < samples_count; i++)
        several = several || samples[i] != samples[0];
    if (gates->monotonic && !several)
        code = pbitc_usage_error(command, "--require-monotonic needs two numbers of --samples at least");
    return code;
}

static bool judge_cell(const struct pbitc_cell_gate *gate, struct pbitc_accuracy_report *report)
{
    const struct pbitc_accuracy_cell *cell = pbitc_report_find_cell(report, gate->samples, gate->draws);
    struct pbitc_gate_outcome outcome = {
        .option = pbitc_arena_format(report->arena, "%s %s", option_name(gate->is_drop), gate->text),
        .samples = gate->samples,
        .draws = gate->draws,
        .bound = gate->bound,
        .value = gate->is_drop ? cell->drop : cell->accuracy};
    outcome.passed = gate->is_drop ? outcome.value <= gate->bound : outcome.value >= gate->bound;
    const char *relation = gate->is_drop    ? outcome.passed ? "at most" : "above"
                           : outcome.passed ? "at least"
                                            : "below";
    char number[16];
    return outcome.option &&
           pbitc_report_add_gate(report, outcome, "T=%s m=%" PRIu32 ": %s %.4f is %s %g",
                                 samples_text(gate->samples, number), gate->draws,
                                 gate->is_drop ? "drop" : "accuracy", outcome.value, relation, gate->bound);
}

/// Two T of one m, the larger one behind.
struct pair {
    const struct pbitc_accuracy_cell *before, *after;
};

/// All pairs of cells with the same m. NULL when out of memory.
static struct pair *list_pairs(const struct pbitc_accuracy_report *report, size_t *count)
{
    const struct pbitc_accuracy_cell *cells = report->cells;
    struct pair *pairs = calloc(report->cell_count * report->cell_count, sizeof(*pairs));
    *count = 0;
    for (size_t i = 0; i < report->cell_count && pairs; i++) {
        for (size_t j = 0; j < report->cell_count; j++) {
            if (cells[i].draws == cells[j].draws && cells[i].samples < cells[j].samples)
                pairs[(*count)++] = (struct pair){&cells[i], &cells[j]};
        }
    }
    return pairs;
}

/// One outcome for every m whose accuracy falls (its surest pair), or one that all is well.
static bool add_falls(const struct pair *pairs, size_t count, const double *chances,
                      const unsigned char *falls, struct pbitc_accuracy_report *report)
{
    struct pbitc_gate_outcome outcome = {.option = "--require-monotonic"};
    bool good = true, fell = false;
    for (size_t i = 0; i < count && good; i++) {
        bool surest = falls[i];
        for (size_t j = 0; j < count; j++) {
            if (pairs[j].after->draws == pairs[i].after->draws && falls[j] &&
                (chances[j] < chances[i] || (chances[j] == chances[i] && j < i)))
                surest = false;
        }
        if (!surest)
            continue;
        fell = true;
        outcome.samples = pairs[i].after->samples;
        outcome.draws = pairs[i].after->draws;
        outcome.bound = pairs[i].before->accuracy;
        outcome.value = pairs[i].after->accuracy;
        good = pbitc_report_add_gate(report, outcome,
                                     "m=%" PRIu32 ": accuracy falls from %.4f at T=%" PRIu32
                                     " to %.4f at T=%" PRIu32 " (p = %.2g)",
                                     outcome.draws, outcome.bound, pairs[i].before->samples, outcome.value,
                                     outcome.samples, chances[i]);
    }
    if (good && !fell) {
        outcome.passed = true;
        good = pbitc_report_add_gate(report, outcome,
                                     "accuracy falls with T nowhere by more than chance explains");
    }
    return good;
}

static bool judge_monotonic(struct pbitc_accuracy_report *report)
{
    size_t count;
    struct pair *pairs = list_pairs(report, &count);
    double *chances = calloc(count + 1, sizeof(*chances));
    unsigned char *falls = calloc(count + 1, sizeof(*falls));
    bool good = pairs && chances && falls;
    for (size_t i = 0; i < count && good; i++) {
        struct pbitc_paired paired;
        good = pbitc_cells_pair(report->images, pairs[i].before, pairs[i].after, &paired);
        chances[i] = good ? paired.p_fall : 1;
    }
    if (good) {
        pbitc_holm(chances, count, PBITC_FAMILY_ERROR, falls);
        good = add_falls(pairs, count, chances, falls, report);
    }
    free(pairs);
    free(chances);
    free(falls);
    return good;
}

enum pbit_status pbitc_gates_judge(const struct pbitc_gates *gates, struct pbitc_diagnostics *diagnostics,
                                   struct pbitc_accuracy_report *report)
{
    bool good = true;
    for (size_t i = 0; i < gates->cell_count && good; i++)
        good = judge_cell(&gates->cells[i], report);
    if (good && gates->monotonic)
        good = judge_monotonic(report);
    report->command = pbitc_repeat_with_gates(report->command, gates, report->arena);
    if (!good || !report->command)
        return pbitc_report_memory(diagnostics);
    return gates->compare ? pbitc_report_compare(report, gates->compare, diagnostics) : PBIT_OK;
}

size_t pbitc_gates_print_broken(const struct pbitc_accuracy_report *report, FILE *talk)
{
    size_t broken = 0;
    for (size_t i = 0; i < report->gate_count; i++) {
        if (report->gates[i].passed)
            continue;
        fprintf(talk, "gate: %s\n", report->gates[i].message);
        broken++;
    }
    return broken;
}
