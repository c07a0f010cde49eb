#include "converter/report/report_diff.h"

#include "converter/data/readers.h"
#include "converter/file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FACTS_LIMIT = 64 };

/// Whether both measured the same images, so that each can be held against itself.
static bool same_images(const struct pbitc_accuracy_report *a, const struct pbitc_accuracy_report *b)
{
    bool same = a->data_hash == b->data_hash && a->first_image == b->first_image && a->images == b->images &&
                a->measured_count == b->measured_count;
    for (size_t i = 0; same && i < a->measured_count; i++)
        same = a->measured[i].first == b->measured[i].first && a->measured[i].count == b->measured[i].count;
    return same;
}

/// Fills in the difference and its chance. False when out of memory.
static bool compare(const struct pbitc_report_diff *diff, struct pbitc_report_change *change)
{
    change->difference = change->after->accuracy - change->before->accuracy;
    if (diff->paired) {
        struct pbitc_paired paired;
        bool good = pbitc_cells_pair(diff->after->images, change->before, change->after, &paired);
        change->p_value = good ? paired.p_value : 1;
        return good;
    }
    double z = pbitc_two_proportion_z(change->before->accuracy, diff->before->measured_images,
                                      change->after->accuracy, diff->after->measured_images);
    change->p_value = fmin(2 * pbitc_normal(-fabs(z)), 1);
    return true;
}

/// Compares all of one kind and says which differences are real.
static bool compare_all(const struct pbitc_report_diff *diff, struct pbitc_report_change *changes,
                        size_t count)
{
    double *chances = calloc(count + 1, sizeof(*chances));
    unsigned char *real = calloc(count + 1, 1);
    bool good = chances && real;
    for (size_t i = 0; good && i < count; i++) {
        good = compare(diff, &changes[i]);
        chances[i] = changes[i].p_value;
    }
    if (good)
        pbitc_holm(chances, count, PBITC_FAMILY_ERROR, real);
    for (size_t i = 0; good && i < count; i++)
        changes[i].real = real[i];
    free(chances);
    free(real);
    return good;
}

/// Collects the budgets and networks that both have.
static bool find_changes(struct pbitc_report_diff *diff)
{
    const struct pbitc_accuracy_report *before = diff->before, *after = diff->after;
    diff->changes = pbitc_arena_allocate(diff->arena, after->cell_count, sizeof(*diff->changes));
    diff->fixed = pbitc_arena_allocate(diff->arena, after->twin_count + 1, sizeof(*diff->fixed));
    if (!diff->changes || !diff->fixed)
        return false;
    for (size_t i = 0; i < after->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &after->cells[i];
        const struct pbitc_accuracy_cell *old = pbitc_report_find_cell(before, cell->samples, cell->draws);
        if (old)
            diff->changes[diff->change_count++] = (struct pbitc_report_change){.before = old, .after = cell};
    }
    diff->only_before = before->cell_count - diff->change_count;
    diff->only_after = after->cell_count - diff->change_count;
    for (size_t i = 0; i < after->twin_count; i++) {
        for (size_t j = 0; j < before->twin_count; j++) {
            if (after->twins[i].bits == before->twins[j].bits)
                diff->fixed[diff->fixed_count++] =
                    (struct pbitc_report_change){.before = &before->twins[j], .after = &after->twins[i]};
        }
    }
    if (before->has_baseline && after->has_baseline)
        diff->fixed[diff->fixed_count++] =
            (struct pbitc_report_change){.before = &before->baseline, .after = &after->baseline};
    return compare_all(diff, diff->changes, diff->change_count) &&
           compare_all(diff, diff->fixed, diff->fixed_count);
}

static void add_fact(struct pbitc_report_diff *diff, const char *name, const char *before, const char *after)
{
    if (strcmp(before, after) != 0 && diff->fact_count < FACTS_LIMIT)
        diff->facts[diff->fact_count++] = (struct pbitc_report_fact){name, before, after};
}

static const char *hash(const struct pbitc_report_diff *diff, bool known, uint64_t value, bool *good)
{
    char buffer[PBITC_HASH_TEXT];
    const char *text = known ? pbitc_arena_format(diff->arena, "%s", pbitc_hash_text(value, buffer)) : "";
    *good &= text != NULL;
    return text ? text : "";
}

static const char *number(const struct pbitc_report_diff *diff, double value, bool *good)
{
    const char *text = pbitc_arena_format(diff->arena, "%.10g", value);
    *good &= text != NULL;
    return text ? text : "";
}

static const char *budget(const struct pbitc_report_diff *diff, const struct pbitc_accuracy_report *report,
                          bool *good)
{
    if (!report->cell_count)
        return "";
    const struct pbitc_accuracy_cell *cell = &report->cells[report->main_cell];
    const char *text =
        pbitc_arena_format(diff->arena, "m = %" PRIu32 ", T = %" PRIu32, cell->draws, cell->samples);
    *good &= text != NULL;
    return text ? text : "";
}

static double constant_of(const struct pbitc_accuracy_report *report, const char *name)
{
    for (size_t i = 0; i < report->energy_constant_count; i++) {
        if (!strcmp(report->energy_constants[i].name, name))
            return report->energy_constants[i].value;
    }
    return (double)NAN;
}

/// Energies change with their constants, which a preset's name does not tell.
static void find_constants(struct pbitc_report_diff *diff, bool *good)
{
    const struct pbitc_accuracy_report *a = diff->before, *b = diff->after;
    add_fact(diff, "energy constants", a->energy_preset ? a->energy_preset : "",
             b->energy_preset ? b->energy_preset : "");
    for (size_t i = 0; a->energy_preset && i < b->energy_constant_count; i++) {
        const struct pbitc_named_number *constant = &b->energy_constants[i];
        double old = constant_of(a, constant->name);
        if (isfinite(old))
            add_fact(diff, constant->name, number(diff, old, good), number(diff, constant->value, good));
    }
}

/// Everything that is not the same in model, data and options.
static bool find_facts(struct pbitc_report_diff *diff)
{
    const struct pbitc_accuracy_report *a = diff->before, *b = diff->after;
    bool good = true;
    diff->facts = pbitc_arena_allocate(diff->arena, FACTS_LIMIT, sizeof(*diff->facts));
    if (!diff->facts)
        return false;
    add_fact(diff, "tool", a->tool, b->tool);
    add_fact(diff, "name of the model", a->has_model ? a->model_name : "", b->has_model ? b->model_name : "");
    add_fact(diff, "made from (ONNX file)", a->has_model ? a->origin_hash : "",
             b->has_model ? b->origin_hash : "");
    add_fact(diff, "recipe of the conversion", hash(diff, a->has_model, a->recipe_hash, &good),
             hash(diff, b->has_model, b->recipe_hash, &good));
    add_fact(diff, "model (.pbit file)", hash(diff, a->has_model, a->model_hash, &good),
             hash(diff, b->has_model, b->model_hash, &good));
    add_fact(diff, "float model (ONNX file)", hash(diff, a->has_baseline, a->baseline_hash, &good),
             hash(diff, b->has_baseline, b->baseline_hash, &good));
    add_fact(diff, "files of the data", hash(diff, true, a->source_hash, &good),
             hash(diff, true, b->source_hash, &good));
    add_fact(diff, "images and labels in use", hash(diff, true, a->data_hash, &good),
             hash(diff, true, b->data_hash, &good));
    add_fact(diff, "first image", number(diff, (double)a->first_image, &good),
             number(diff, (double)b->first_image, &good));
    add_fact(diff, "images", number(diff, (double)a->images, &good), number(diff, (double)b->images, &good));
    add_fact(diff, "images measured", number(diff, (double)a->measured_images, &good),
             number(diff, (double)b->measured_images, &good));
    add_fact(diff, "first seed", number(diff, (double)a->first_seed, &good),
             number(diff, (double)b->first_seed, &good));
    add_fact(diff, "seeds", number(diff, (double)a->seed_count, &good),
             number(diff, (double)b->seed_count, &good));
    add_fact(diff, "main budget", budget(diff, a, &good), budget(diff, b, &good));
    find_constants(diff, &good);
    return good;
}

static enum pbit_status check(const struct pbitc_report_diff *diff, struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    if (diff->before->classes != diff->after->classes)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "compare reports of one task",
                              "%s has %zu classes, %s has %zu", diff->before_name, diff->before->classes,
                              diff->after_name, diff->after->classes);
    if (diff->change_count == 0 && diff->fixed_count == 0)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "measure the same m and T",
                              "%s and %s have nothing in common: no m and T, no float model",
                              diff->before_name, diff->after_name);
    return status;
}

static void count_real(struct pbitc_report_diff *diff)
{
    for (size_t i = 0; i < diff->change_count; i++) {
        if (!diff->changes[i].real)
            continue;
        if (diff->changes[i].difference < 0)
            diff->worse++;
        else
            diff->better++;
    }
}

enum pbit_status pbitc_report_diff_make(const struct pbitc_accuracy_report *before, const char *before_name,
                                        const struct pbitc_accuracy_report *after, const char *after_name,
                                        struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_report_diff **diff)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    *diff = arena ? pbitc_arena_allocate(arena, 1, sizeof(**diff)) : NULL;
    if (!*diff) {
        pbitc_arena_destroy(arena);
        return pbitc_report_memory(diagnostics);
    }
    **diff = (struct pbitc_report_diff){
        .arena = arena,
        .before = before,
        .after = after,
        .before_name = before_name,
        .after_name = after_name,
        .paired = same_images(before, after),
    };
    enum pbit_status status = find_changes(*diff) && find_facts(*diff) ? check(*diff, diagnostics)
                                                                       : pbitc_report_memory(diagnostics);
    if (status == PBIT_OK) {
        count_real(*diff);
    } else {
        pbitc_report_diff_destroy(*diff);
        *diff = NULL;
    }
    return status;
}

void pbitc_report_diff_destroy(struct pbitc_report_diff *diff)
{
    if (diff)
        pbitc_arena_destroy(diff->arena);
}
