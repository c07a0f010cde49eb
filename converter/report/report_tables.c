#include "converter/report/report_tables.h"

#include "converter/file.h"
#include "converter/report/plot_support.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TIMES "\xc3\x97" // multiplication sign

static void set_percent(struct pbitc_table *table, size_t column, bool known, double fraction)
{
    if (known)
        pbitc_table_set(table, column, "%.2f", 100 * fraction);
}

static void set_interval(struct pbitc_table *table, size_t column, struct pbitc_interval interval)
{
    pbitc_table_set(table, column, "%.2f to %.2f", 100 * interval.low, 100 * interval.high);
}

static void set_energy(struct pbitc_table *table, size_t column, const struct pbitc_accuracy_cell *cell)
{
    char text[PBITC_NUMBER_TEXT];
    if (cell && cell->has_energy)
        pbitc_table_set(table, column, "%s", pbitc_energy_text(cell->energy, 3, text));
}

static void set_count(struct pbitc_table *table, size_t column, uint64_t count)
{
    char text[PBITC_NUMBER_TEXT];
    if (count)
        pbitc_table_set(table, column, "%s", pbitc_count_text(count, text));
}

static void set_budget(struct pbitc_table *table, size_t column, const struct pbitc_accuracy_cell *cell)
{
    if (cell)
        pbitc_table_set(table, column, "m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples);
}

static void make_gates(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                       struct pbitc_arena *arena)
{
    static const char *const heads[] = {"gate", "result", "found"};
    pbitc_table_start(table, arena, "Gates", heads, "lll", report->gate_count);
    for (size_t i = 0; i < report->gate_count; i++) {
        const struct pbitc_gate_outcome *gate = &report->gates[i];
        pbitc_table_set(table, 0, "%s", gate->option);
        pbitc_table_set(table, 1, "%s", gate->passed ? "holds" : "BROKEN");
        pbitc_table_set(table, 2, "%s", gate->message);
        pbitc_table_end_row(table, gate->passed ? PBITC_ROW_GOOD : PBITC_ROW_WRONG);
    }
}

const struct pbitc_accuracy_cell *pbitc_report_find_match(const struct pbitc_accuracy_report *report,
                                                          const struct pbitc_accuracy_cell *cell,
                                                          uint32_t draws)
{
    const struct pbitc_accuracy_cell *best = NULL;
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *candidate = &report->cells[i];
        uint64_t cost = (uint64_t)candidate->draws * candidate->samples;
        if (candidate->accuracy < cell->accuracy || (draws && candidate->draws != draws))
            continue;
        if (!best || cost < (uint64_t)best->draws * best->samples)
            best = candidate;
    }
    return best;
}

static void add_network(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                        const struct pbitc_accuracy_cell *cell, uint32_t fewest)
{
    char name[PBITC_NUMBER_TEXT];
    const struct pbitc_accuracy_cell *match = pbitc_report_find_match(report, cell, 0);
    const struct pbitc_accuracy_cell *slow = pbitc_report_find_match(report, cell, fewest);
    pbitc_table_set(table, 0, "%s", pbitc_twin_text(cell, name));
    set_percent(table, 1, true, cell->accuracy);
    set_interval(table, 2, cell->interval);
    set_energy(table, 3, cell);
    set_percent(table, 4, true, cell->calibration_error);
    if (slow)
        pbitc_table_set(table, 5, "%" PRIu32 " sample%s", slow->samples, slow->samples == 1 ? "" : "s");
    set_budget(table, 6, match);
    set_percent(table, 7, match != NULL, match ? match->accuracy : 0);
    set_energy(table, 8, match);
    pbitc_table_end_row(table, PBITC_ROW_PLAIN);
}

/// "10 samples match 3 bits" as a row.
static void make_twins(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                       struct pbitc_arena *arena)
{
    size_t rows = report->cell_count ? report->twin_count + report->has_baseline : 0;
    uint32_t fewest = UINT32_MAX;
    for (size_t i = 0; i < report->cell_count; i++)
        fewest = report->cells[i].draws < fewest ? report->cells[i].draws : fewest;
    const char **heads = pbitc_arena_allocate(arena, 9, sizeof(*heads));
    static const char *const names[] = {"activations", "accuracy %", "95 % interval",  "energy",    "ECE %",
                                        NULL,          "matched by", "its accuracy %", "its energy"};
    if (heads) {
        memcpy((void *)heads, names, sizeof(names));
        heads[5] = pbitc_arena_format(arena, "matched at m = %" PRIu32 " by", fewest);
    }
    bool good = heads && heads[5];
    pbitc_table_start(table, arena, "Deterministic networks", heads, "lrrrrrlrr", rows);
    table->failed |= !good;
    table->note =
        "The same weights with k-bit activations that are not random, and the float model. A p-bit budget "
        "matches when its mean accuracy is at least as high; shown is the one with the smallest m " TIMES
        " T.";
    for (size_t i = 0; rows && i < report->twin_count; i++)
        add_network(table, report, &report->twins[i], fewest);
    if (rows && report->has_baseline)
        add_network(table, report, &report->baseline, fewest);
}

static void make_budgets(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                         struct pbitc_arena *arena)
{
    static const char *const heads[] = {"m",        "T",      "m " TIMES " T", "accuracy %", "95 % interval",
                                        "spread %", "drop %", "agreement %",   "p-value",    "ECE %",
                                        "energy"};
    pbitc_table_start(table, arena, "Budgets", heads, "rrrrrrrrrrr", report->cell_count);
    table->note =
        "Mean over the seeds. The interval is Wilson's over the images, the spread is the standard deviation "
        "over the seeds; drop, agreement and p-value (paired, two-sided) are against the float model.";
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i];
        pbitc_table_set(table, 0, "%" PRIu32, cell->draws);
        pbitc_table_set(table, 1, "%" PRIu32, cell->samples);
        pbitc_table_set(table, 2, "%" PRIu64, (uint64_t)cell->draws * cell->samples);
        set_percent(table, 3, true, cell->accuracy);
        set_interval(table, 4, cell->interval);
        set_percent(table, 5, cell->seeds > 1, cell->spread);
        set_percent(table, 6, report->has_baseline, cell->drop);
        set_percent(table, 7, report->has_baseline, cell->agreement);
        if (report->has_baseline)
            pbitc_table_set(table, 8, "%.2g", cell->paired.p_value);
        set_percent(table, 9, true, cell->calibration_error);
        set_energy(table, 10, cell);
        pbitc_table_end_row(table, i == report->main_cell ? PBITC_ROW_MAIN : PBITC_ROW_PLAIN);
    }
}

static void make_stops(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                       struct pbitc_arena *arena)
{
    static const char *const heads[] = {
        "m",      "T at most",  "sure to %",     "mean T",   "m " TIMES " mean T",
        "kept %", "accuracy %", "95 % interval", "spread %", "drop %",
        "energy"};
    pbitc_table_start(table, arena, "Early stop", heads, "rrrrrrrrrrr", report->stop_count);
    table->note =
        "Each image takes passes until the margin of its leading output is sure against its standard "
        "error. Kept: decisions that are those after all passes.";
    for (size_t i = 0; i < report->stop_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->stops[i];
        pbitc_table_set(table, 0, "%" PRIu32, cell->draws);
        pbitc_table_set(table, 1, "%" PRIu32, cell->samples);
        pbitc_table_set(table, 2, "%g", 100 * cell->confidence);
        pbitc_table_set(table, 3, "%.2f", cell->mean_samples);
        pbitc_table_set(table, 4, "%.2f", cell->draws * cell->mean_samples);
        set_percent(table, 5, true, cell->kept);
        set_percent(table, 6, true, cell->accuracy);
        set_interval(table, 7, cell->interval);
        set_percent(table, 8, cell->seeds > 1, cell->spread);
        set_percent(table, 9, report->has_baseline, cell->drop);
        set_energy(table, 10, cell);
        pbitc_table_end_row(table, PBITC_ROW_PLAIN);
    }
}

static void add_layer(struct pbitc_table *table, const struct pbitc_report_layer *layer, size_t number)
{
    pbitc_table_set(table, 0, "%zu", number);
    pbitc_table_set(table, 1, "%s", layer->name);
    pbitc_table_set(table, 2, "%s", layer->op);
    pbitc_table_set(table, 3, "%" PRIu32 TIMES "%" PRIu32 TIMES "%" PRIu32, layer->height, layer->width,
                    layer->channels);
    set_count(table, 4, layer->fan_in);
    set_count(table, 5, layer->weights);
    if (layer->weight_bits)
        pbitc_table_set(table, 6, layer->weight_group ? "%" PRIu32 " (group %" PRIu32 ")" : "%" PRIu32,
                        layer->weight_bits, layer->weight_group);
    set_count(table, 7, layer->macs);
    set_count(table, 8, layer->neurons);
    set_percent(table, 9, layer->has_levels, layer->activity);
    set_percent(table, 10, layer->has_levels, layer->saturated_low);
    set_percent(table, 11, layer->has_levels, layer->saturated_high);
    set_percent(table, 12, layer->has_loss, layer->loss);
    set_percent(table, 13, layer->has_loss, layer->loss_share);
    pbitc_table_end_row(table, PBITC_ROW_PLAIN);
}

static void make_layers(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                        struct pbitc_arena *arena)
{
    static const char *const heads[] = {
        "#",    "layer",   "operation",  "output",       "fan-in",     "weights", "bits",
        "MACs", "neurons", "activity %", "none fires %", "all fire %", "loss %",  "share of loss %"};
    pbitc_table_start(table, arena, "Layers", heads, "rlllrrrrrrrrrr", report->layer_count);
    if (report->cell_count)
        table->note = pbitc_arena_format(arena,
                                         "Activity at m = %" PRIu32 ", T = %" PRIu32
                                         ": the mean share of p-bits that fire, and the shares of outputs "
                                         "where none and where all do. Loss: images decided otherwise when "
                                         "only this layer draws p-bits and all "
                                         "others have 8 bits.",
                                         report->cells[report->main_cell].draws,
                                         report->cells[report->main_cell].samples);
    for (size_t i = 0; i < report->layer_count; i++)
        add_layer(table, &report->layers[i], i);
}

enum { CONFUSIONS = 12 };

static uint64_t confused(const struct pbitc_accuracy_report *report, size_t pair)
{
    return pair / report->classes == pair % report->classes ? 0 : report->confusion[pair];
}

/// The most frequent wrong decisions; of equals the first.
static void make_confusions(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                            struct pbitc_arena *arena)
{
    static const char *const heads[] = {"label", "decided as", "decisions", "of the label %"};
    size_t pairs = report->has_confusion ? report->classes * report->classes : 0, previous = 0;
    uint64_t bound = UINT64_MAX;
    pbitc_table_start(table, arena, "Most frequent mistakes", heads, "rrrr", CONFUSIONS);
    table->note = "Over all images and seeds, at the main budget.";
    while (table->rows < CONFUSIONS && !table->failed) {
        size_t best = pairs;
        for (size_t pair = 0; pair < pairs; pair++) {
            uint64_t count = confused(report, pair);
            bool is_left = count < bound || (count == bound && pair > previous);
            if (count && is_left && (best == pairs || count > confused(report, best)))
                best = pair;
        }
        if (best == pairs)
            return;
        size_t label = best / report->classes;
        uint64_t total = 0;
        for (size_t i = 0; i < report->classes; i++)
            total += report->confusion[label * report->classes + i];
        previous = best;
        bound = confused(report, best);
        pbitc_table_set(table, 0, "%zu", label);
        pbitc_table_set(table, 1, "%zu", best % report->classes);
        pbitc_table_set(table, 2, "%" PRIu64, bound);
        set_percent(table, 3, true, (double)bound / (double)total);
        pbitc_table_end_row(table, PBITC_ROW_PLAIN);
    }
}

static void make_changed(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                         struct pbitc_arena *arena)
{
    static const char *const heads[] = {"image", "label", "float", "p-bits", "result"};
    pbitc_table_start(table, arena, "Images that p-bits decide otherwise", heads, "rrrrl",
                      report->changed_count);
    table->note =
        pbitc_arena_format(arena,
                           "%" PRIu64 " of %zu images at the main budget with the first seed%s. Images are "
                           "numbered as in the files of the data, classes from 0.",
                           report->changed_total, report->measured_images,
                           report->changed_total > report->changed_count ? "; the first are listed" : "");
    for (size_t i = 0; i < report->changed_count; i++) {
        const struct pbitc_changed_image *image = &report->changed[i];
        bool was = image->label == image->float_decision, is = image->label == image->decision;
        pbitc_table_set(table, 0, "%" PRIu64, image->index);
        pbitc_table_set(table, 1, "%" PRIu32, image->label);
        pbitc_table_set(table, 2, "%" PRIu32, image->float_decision);
        pbitc_table_set(table, 3, "%" PRIu32, image->decision);
        pbitc_table_set(table, 4, "%s", was ? "lost" : is ? "gained" : "wrong both times");
        pbitc_table_end_row(table, was ? PBITC_ROW_WRONG : is ? PBITC_ROW_GOOD : PBITC_ROW_PLAIN);
    }
}

static void add_fact(struct pbitc_table *table, const char *name, const char *text)
{
    pbitc_table_set(table, 0, "%s", name);
    pbitc_table_set(table, 1, "%s", text);
    pbitc_table_end_row(table, PBITC_ROW_PLAIN);
}

static void add_hash(struct pbitc_table *table, const char *name, uint64_t hash)
{
    char text[PBITC_HASH_TEXT];
    add_fact(table, name, pbitc_hash_text(hash, text));
}

/// What the figures rest on.
static void make_facts(struct pbitc_table *table, const struct pbitc_accuracy_report *report,
                       struct pbitc_arena *arena)
{
    static const char *const heads[] = {"what", "value"};
    char text[160], count[PBITC_NUMBER_TEXT];
    pbitc_table_start(table, arena, "What was measured", heads, "ll", 12 + report->energy_constant_count);
    add_fact(table, "tool", report->tool);
    if (report->has_model) {
        add_hash(table, "model (.pbit file)", report->model_hash);
        if (*report->origin_hash)
            add_fact(table, "made from (ONNX file)", report->origin_hash);
        add_hash(table, "recipe of the conversion", report->recipe_hash);
    }
    if (report->has_baseline)
        add_hash(table, "float model (ONNX file)", report->baseline_hash);
    add_hash(table, "data", report->data_hash);
    pbitc_text_print(text, sizeof(text), "%s of %zu", pbitc_count_text(report->measured_images, count),
                     report->images);
    add_fact(table, "images", text);
    if (report->has_model) {
        pbitc_text_print(text, sizeof(text), "%" PRIu64 " to %" PRIu64, report->first_seed,
                         report->first_seed + report->seed_count - 1);
        add_fact(table, "seeds", text);
    }
    if (report->energy_preset)
        add_fact(table, "energy constants", report->energy_preset);
    for (size_t i = 0; report->energy_preset && i < report->energy_constant_count; i++) {
        pbitc_text_print(text, sizeof(text), "%g", report->energy_constants[i].value);
        add_fact(table, report->energy_constants[i].name, text);
    }
}

// Together with what stands between them they stay below the 64 KB of a step summary.
const struct pbitc_table_maker pbitc_table_makers[PBITC_TABLE_COUNT] = {
    {make_gates, 10000},  {make_twins, 4000},      {make_budgets, 16000}, {make_stops, 3000},
    {make_layers, 14000}, {make_confusions, 2500}, {make_changed, 4000},  {make_facts, 4000},
};
