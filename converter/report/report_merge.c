#include "converter/report/report_merge.h"

#include "converter/data/readers.h"
#include "converter/report/report_tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_cells(const struct pbitc_accuracy_cell *a, size_t count_a,
                       const struct pbitc_accuracy_cell *b, size_t count_b)
{
    bool same = count_a == count_b;
    for (size_t i = 0; i < count_a && same; i++)
        same = a[i].samples == b[i].samples && a[i].draws == b[i].draws && a[i].bits == b[i].bits &&
               a[i].confidence == b[i].confidence;
    return same;
}

static bool same_energy(const struct pbitc_accuracy_report *a, const struct pbitc_accuracy_report *b)
{
    bool same =
        same_text(a->energy_preset, b->energy_preset) && a->energy_constant_count == b->energy_constant_count;
    for (size_t i = 0; i < a->energy_constant_count && same; i++)
        same = same_text(a->energy_constants[i].name, b->energy_constants[i].name) &&
               a->energy_constants[i].value == b->energy_constants[i].value;
    return same;
}

static bool same_layers(const struct pbitc_accuracy_report *a, const struct pbitc_accuracy_report *b)
{
    bool same = a->layer_count == b->layer_count;
    for (size_t i = 0; i < a->layer_count && same; i++)
        same = same_text(a->layers[i].name, b->layers[i].name) &&
               a->layers[i].has_levels == b->layers[i].has_levels &&
               a->layers[i].has_loss == b->layers[i].has_loss && a->layers[i].levels == b->layers[i].levels;
    return same;
}

enum pbit_status pbitc_report_check_same(const struct pbitc_report_part *first,
                                         const struct pbitc_report_part *part,
                                         struct pbitc_diagnostics *diagnostics)
{
    const struct pbitc_accuracy_report *a = first->report, *b = part->report;
    const struct {
        bool same;
        const char *what;
    } facts[] = {
        {same_text(a->tool, b->tool), "version of pbitc"},
        {a->has_model == b->has_model && a->model_hash == b->model_hash, "model"},
        {a->has_baseline == b->has_baseline && a->baseline_hash == b->baseline_hash, "float model"},
        {a->source_hash == b->source_hash && a->data_hash == b->data_hash && a->first_image == b->first_image,
         "data"},
        {a->images == b->images, "number of images"},
        {a->first_seed == b->first_seed && a->seed_count == b->seed_count, "seeds"},
        {same_cells(a->cells, a->cell_count, b->cells, b->cell_count) && a->main_cell == b->main_cell,
         "m and T"},
        {same_cells(a->stops, a->stop_count, b->stops, b->stop_count), "early stops"},
        {same_cells(a->twins, a->twin_count, b->twins, b->twin_count) && same_layers(a, b) &&
             a->has_confusion == b->has_confusion && a->classes == b->classes,
         "set of twins or layers"},
        {same_energy(a, b), "energy constants"},
        {a->target_given == b->target_given && (!a->target_given || a->target == b->target), "target"},
    };
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        if (!facts[i].same)
            status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                  "measure all parts with the same files and options",
                                  "%s differs from %s in the %s", part->name, first->name, facts[i].what);
    }
    return status;
}

/// Reports images that both measured.
static enum pbit_status check_disjoint(const struct pbitc_report_part *a, const struct pbitc_report_part *b,
                                       struct pbitc_diagnostics *diagnostics)
{
    size_t both = 0, first = 0;
    for (size_t i = 0; i < a->report->measured_count; i++) {
        for (size_t j = 0; j < b->report->measured_count; j++) {
            const struct pbitc_image_range *x = &a->report->measured[i], *y = &b->report->measured[j];
            size_t low = x->first > y->first ? x->first : y->first;
            size_t x_end = x->first + x->count, y_end = y->first + y->count;
            size_t high = x_end < y_end ? x_end : y_end;
            if (low >= high)
                continue;
            first = both ? first : low;
            both += high - low;
        }
    }
    if (both == 0)
        return PBIT_OK;
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "give each shard once",
                        "%s and %s both measured %zu images, the first of them image %zu", a->name, b->name,
                        both, first);
}

static enum pbit_status check_parts(const struct pbitc_report_part *parts, size_t count,
                                    struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 1; i < count; i++) {
        enum pbit_status one = pbitc_report_check_same(&parts[0], &parts[i], diagnostics);
        bool same_images = parts[0].report->images == parts[i].report->images;
        for (size_t j = 0; j < i && same_images; j++) {
            enum pbit_status disjoint = check_disjoint(&parts[j], &parts[i], diagnostics);
            one = disjoint != PBIT_OK ? disjoint : one;
        }
        status = one != PBIT_OK ? one : status;
    }
    return status;
}

static void add_tally(struct pbitc_tally *sum, const struct pbitc_accuracy_cell *cell, size_t images)
{
    const struct pbitc_tally *tally = &cell->tally;
    pbitc_tally_add(sum, tally, cell->seeds);
    for (size_t i = 0; i < images; i++)
        sum->correct_by_image[i] = (uint16_t)(sum->correct_by_image[i] + tally->correct_by_image[i]);
}

static int compare_changed(const void *a, const void *b)
{
    uint64_t x = ((const struct pbitc_changed_image *)a)->index;
    uint64_t y = ((const struct pbitc_changed_image *)b)->index;
    return (x > y) - (x < y);
}

/// The first of all changed images, as one measurement of all would list them.
static bool merge_changed(struct pbitc_accuracy_report *sum, const struct pbitc_report_part *parts,
                          size_t count)
{
    struct pbitc_changed_image *all = calloc(count * PBITC_CHANGED_LIMIT, sizeof(*all));
    sum->changed = pbitc_arena_allocate(sum->arena, PBITC_CHANGED_LIMIT, sizeof(*sum->changed));
    size_t listed = 0;
    for (size_t i = 0; i < count && all; i++) {
        const struct pbitc_accuracy_report *report = parts[i].report;
        sum->changed_total += report->changed_total;
        for (size_t j = 0; j < report->changed_count; j++)
            all[listed++] = report->changed[j];
    }
    bool good = all && sum->changed;
    if (good) {
        qsort(all, listed, sizeof(*all), compare_changed);
        sum->changed_count = listed < PBITC_CHANGED_LIMIT ? listed : PBITC_CHANGED_LIMIT;
        memcpy(sum->changed, all, sum->changed_count * sizeof(*all));
        for (size_t i = PBITC_THUMBNAIL_LIMIT; i < sum->changed_count; i++)
            sum->changed[i].pixels = NULL;
    }
    free(all);
    return good;
}

static void add_layers(struct pbitc_accuracy_report *sum, const struct pbitc_accuracy_report *report)
{
    for (size_t i = 0; i < sum->layer_count; i++) {
        struct pbitc_report_layer *layer = &sum->layers[i];
        layer->elements += report->layers[i].elements;
        layer->level_sum += report->layers[i].level_sum;
        layer->zeros += report->layers[i].zeros;
        layer->full += report->layers[i].full;
        layer->loss_agreed += report->layers[i].loss_agreed;
    }
}

/// Cells like those of a part, with nothing counted.
static struct pbitc_accuracy_cell *make_cells(struct pbitc_accuracy_report *sum,
                                              const struct pbitc_accuracy_cell *like, size_t count)
{
    struct pbitc_accuracy_cell *cells = pbitc_arena_allocate(sum->arena, count, sizeof(*cells));
    bool good = cells != NULL;
    for (size_t i = 0; i < count && good; i++) {
        cells[i] = (struct pbitc_accuracy_cell){.samples = like[i].samples,
                                                .draws = like[i].draws,
                                                .bits = like[i].bits,
                                                .seeds = like[i].seeds,
                                                .confidence = like[i].confidence,
                                                .deviation = like[i].deviation};
        good = pbitc_report_allocate_cell(sum, &cells[i]);
    }
    return good ? cells : NULL;
}

/// Everything that a part says before counting; arrays of its own for what will be counted.
static bool copy_head(struct pbitc_accuracy_report *sum, const struct pbitc_accuracy_report *part)
{
    struct pbitc_arena *arena = sum->arena;
    size_t squares = part->classes * part->classes;
    *sum = *part;
    sum->arena = arena;
    sum->gate_count = 0;
    sum->gates = NULL;
    sum->changed_total = sum->changed_count = 0;
    sum->cells = make_cells(sum, part->cells, part->cell_count);
    sum->twins = make_cells(sum, part->twins, part->twin_count);
    sum->stops = make_cells(sum, part->stops, part->stop_count);
    struct pbitc_accuracy_cell *baseline = make_cells(sum, &part->baseline, part->has_baseline);
    sum->layers = pbitc_arena_allocate(arena, part->layer_count, sizeof(*sum->layers));
    if (part->has_confusion)
        sum->confusion = pbitc_arena_allocate(arena, squares, sizeof(*sum->confusion));
    if (!sum->cells || !sum->twins || !sum->stops || !baseline || !sum->layers ||
        (part->has_confusion && !sum->confusion))
        return false;
    if (part->has_baseline)
        sum->baseline = *baseline;
    for (size_t i = 0; i < sum->layer_count; i++) {
        struct pbitc_report_layer *layer = &sum->layers[i];
        *layer = part->layers[i];
        layer->elements = layer->level_sum = layer->zeros = layer->full = layer->loss_agreed = 0;
    }
    return true;
}

static void add_part(struct pbitc_accuracy_report *sum, const struct pbitc_accuracy_report *part)
{
    for (size_t i = 0; i < sum->cell_count; i++)
        add_tally(&sum->cells[i].tally, &part->cells[i], sum->images);
    for (size_t i = 0; i < sum->twin_count; i++)
        add_tally(&sum->twins[i].tally, &part->twins[i], sum->images);
    for (size_t i = 0; i < sum->stop_count; i++) {
        add_tally(&sum->stops[i].tally, &part->stops[i], sum->images);
        // The same of all parts, but a part that measured no image has not looked.
        sum->stops[i].deviation = fmax(sum->stops[i].deviation, part->stops[i].deviation);
    }
    if (sum->has_baseline)
        add_tally(&sum->baseline.tally, &part->baseline, sum->images);
    for (size_t i = 0; sum->has_confusion && i < sum->classes * sum->classes; i++)
        sum->confusion[i] += part->confusion[i];
    add_layers(sum, part);
    if (part->shard != sum->shard || part->shard_count != sum->shard_count)
        sum->shard = sum->shard_count = 0;
}

static bool set_measured(struct pbitc_accuracy_report *sum, const struct pbitc_report_part *parts,
                         size_t count)
{
    uint8_t *mask = calloc(sum->images, 1);
    for (size_t i = 0; i < count && mask; i++)
        pbitc_report_mark_measured(parts[i].report, mask);
    bool good = mask && pbitc_report_set_measured(sum, mask);
    free(mask);
    if (good && !sum->partial)
        sum->shard = sum->shard_count = 0;
    return good;
}

enum pbit_status pbitc_report_merge(const struct pbitc_report_part *parts, size_t count,
                                    struct pbitc_diagnostics *diagnostics, struct pbitc_accuracy_report **sum)
{
    *sum = NULL;
    enum pbit_status status = check_parts(parts, count, diagnostics);
    if (status != PBIT_OK)
        return status;
    struct pbitc_accuracy_report *report = pbitc_report_create();
    bool good = report && copy_head(report, parts[0].report);
    for (size_t i = 0; i < count && good; i++)
        add_part(report, parts[i].report);
    good = good && merge_changed(report, parts, count) && set_measured(report, parts, count) &&
           pbitc_report_derive(report);
    if (!good) {
        pbitc_report_destroy(report);
        return pbitc_report_memory(diagnostics);
    }
    *sum = report;
    return PBIT_OK;
}

/// "shard 2/3" for the missing images, where it is known how the whole was divided.
static void name_shards(const struct pbitc_report_part *parts, size_t count, struct pbitc_image_range missing,
                        char *text, size_t size)
{
    size_t shards = parts[0].report->shard_count, images = parts[0].report->images, length = 0;
    text[0] = 0;
    for (size_t i = 1; i < count; i++)
        shards = parts[i].report->shard_count == shards ? shards : 0;
    for (size_t shard = 1; shard <= shards && length < size; shard++) {
        struct pbitc_image_range range = pbitc_shard_range(images, shard, shards);
        if (range.first < missing.first + missing.count && missing.first < range.first + range.count)
            length += (size_t)snprintf(text + length, size - length, "%s%zu/%zu",
                                       length ? ", " : " of shard ", shard, shards);
    }
}

enum pbit_status pbitc_report_check_whole(const struct pbitc_report_part *parts, size_t count,
                                          struct pbitc_diagnostics *diagnostics)
{
    size_t images = parts[0].report->images, i = 0;
    enum pbit_status status = PBIT_OK;
    uint8_t *mask = calloc(images, 1);
    if (!mask)
        return pbitc_report_memory(diagnostics);
    for (size_t part = 0; part < count; part++) {
        if (parts[part].report->images == images)
            pbitc_report_mark_measured(parts[part].report, mask);
    }
    while (i < images) {
        size_t first = i;
        while (i < images && !mask[i])
            i++;
        char shards[128];
        name_shards(parts, count, (struct pbitc_image_range){first, i - first}, shards, sizeof(shards));
        if (i > first)
            status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                  "measure them, or give the report that has them",
                                  "images %zu..%zu%s of %zu are in no part", first, i - 1, shards, images);
        while (i < images && mask[i])
            i++;
    }
    free(mask);
    return status;
}
