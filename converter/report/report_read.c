#include "converter/report/report_read.h"

#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/report/base64.h"
#include "converter/report/report_reader.h"
#include "converter/report/report_tally.h"

#include <stdlib.h>
#include <string.h>

enum {
    IMAGES_LIMIT = 1 << 24,
    CELLS_LIMIT = 1 << 12,
    SEEDS_LIMIT = 1 << 15,
    CLASSES_LIMIT = 1 << 24,
    LAYERS_LIMIT = 1 << 16,
    SIDE_LIMIT = 1 << 24,
    ANSWERS_LIMIT = 1 << 30, ///< cells times images
};

static void read_measured(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *ranges = pbitc_read_array(reader, root, "measured", report->images), *item;
    size_t end = 0;
    uint8_t *mask = pbitc_reader_allocate(reader, report->images, 1);
    if (!mask)
        return;
    cJSON_ArrayForEach(item, ranges)
    {
        uint64_t range[2] = {0, 0};
        pbitc_read_counts(reader, item, "measured", 2, range);
        if (range[0] < end || range[1] == 0 || range[0] > report->images ||
            range[1] > report->images - range[0]) {
            pbitc_reader_malformed(reader, "measured",
                                   " names images twice, out of order or beyond the last");
            return;
        }
        end = range[0] + range[1];
        memset(mask + range[0], 1, range[1]);
    }
    if (reader->status == PBIT_OK && !pbitc_report_set_measured(report, mask))
        reader->status = pbitc_report_memory(reader->diagnostics);
    if (reader->status == PBIT_OK && report->measured_images == 0)
        pbitc_reader_malformed(reader, "measured", " names no image");
}

static void read_shard(struct pbitc_report_reader *reader, const cJSON *root)
{
    const cJSON *item = pbitc_json_member(root, "shard");
    int end = 0;
    if (cJSON_IsNull(item))
        return;
    const char *text = cJSON_GetStringValue(item);
    if (!text ||
        sscanf(text, "%9zu/%9zu%n", &reader->report->shard, &reader->report->shard_count, &end) != 2 ||
        text[end] || reader->report->shard < 1 || reader->report->shard > reader->report->shard_count)
        pbitc_reader_malformed(reader, "shard", " is neither null nor \"i/n\"");
}

static void read_head(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *data = pbitc_json_member(root, "data");
    report->tool = pbitc_read_text(reader, root, "tool");
    report->command = pbitc_read_text(reader, root, "command");
    report->images = pbitc_read_count(reader, root, "images", IMAGES_LIMIT);
    report->classes = pbitc_read_count(reader, root, "classes", CLASSES_LIMIT);
    report->data_hash = pbitc_read_hash(reader, data, "hash");
    report->source_hash = pbitc_read_hash(reader, data, "source_hash");
    report->first_image = pbitc_read_count(reader, data, "first", PBITC_JSON_COUNT_LIMIT);
    report->image_height = pbitc_read_count(reader, data, "height", SIDE_LIMIT);
    report->image_width = pbitc_read_count(reader, data, "width", SIDE_LIMIT);
    report->image_channels = pbitc_read_count(reader, data, "channels", SIDE_LIMIT);
    read_shard(reader, root);
    read_measured(reader, root);
}

static void read_tally(struct pbitc_report_reader *reader, const cJSON *object,
                       struct pbitc_accuracy_cell *cell)
{
    if (reader->status != PBIT_OK)
        return;
    if (!pbitc_report_allocate_cell(reader->report, cell)) {
        reader->status = pbitc_report_memory(reader->diagnostics);
        return;
    }
    pbitc_read_counts(reader, pbitc_json_member(object, "correct"), "correct", cell->seeds,
                      cell->tally.correct);
    cell->tally.agreed = pbitc_read_count(reader, object, "agreed", PBITC_JSON_COUNT_LIMIT);
    const cJSON *bins = pbitc_read_array(reader, object, "bins", PBITC_CALIBRATION_BINS), *item;
    int i = 0;
    cJSON_ArrayForEach(item, bins)
    {
        uint64_t numbers[3] = {0, 0, 0};
        pbitc_read_counts(reader, item, "bins", 3, numbers);
        cell->tally.bins[i++] = (struct pbitc_calibration_bin){numbers[0], numbers[1], numbers[2]};
    }
    const char *text = cJSON_GetStringValue(pbitc_json_member(object, "correct_by_image"));
    enum pbitc_tally_result result =
        text ? pbitc_tally_decode(reader->report, text, cell) : PBITC_TALLY_MALFORMED;
    if (result == PBITC_TALLY_MALFORMED)
        pbitc_reader_malformed(reader, "correct_by_image",
                               " is missing or not what was measured of every image");
    else if (result == PBITC_TALLY_MEMORY)
        reader->status = pbitc_report_memory(reader->diagnostics);
}

/// What only early stops have.
static void read_stop(struct pbitc_report_reader *reader, const cJSON *item, const cJSON *tally,
                      struct pbitc_accuracy_cell *cell)
{
    cell->confidence = pbitc_read_real(reader, item, "confidence");
    cell->deviation = pbitc_read_real(reader, item, "deviation");
    cell->tally.passes = pbitc_read_count(reader, tally, "passes", PBITC_JSON_COUNT_LIMIT);
    cell->tally.kept = pbitc_read_count(reader, tally, "kept", PBITC_JSON_COUNT_LIMIT);
}

/// Cells, twins or early stops: what is said of them stands under `key`, what was counted under "counted".
static struct pbitc_accuracy_cell *read_cells(struct pbitc_report_reader *reader, const cJSON *root,
                                              const char *key, size_t limit, size_t seeds, size_t *count)
{
    const cJSON *list = pbitc_read_array(reader, root, key, limit), *item;
    const cJSON *tallies = pbitc_read_array(reader, pbitc_json_member(root, "counted"), key, limit);
    *count = (size_t)cJSON_GetArraySize(list);
    if ((size_t)cJSON_GetArraySize(tallies) != *count)
        pbitc_reader_malformed(reader, key, " and what was counted for them differ in number");
    if (*count > 0 && reader->report->images > ANSWERS_LIMIT / *count)
        pbitc_reader_malformed(reader, key, " are more than fit for so many images");
    struct pbitc_accuracy_cell *cells = pbitc_reader_allocate(reader, *count, sizeof(*cells)), *cell = cells;
    const cJSON *tally = tallies ? tallies->child : NULL;
    if (reader->status != PBIT_OK)
        return cells;
    cJSON_ArrayForEach(item, list)
    {
        cell->samples = (uint32_t)pbitc_read_count(reader, item, "samples", PBIT_SAMPLES_LIMIT);
        cell->draws = (uint32_t)pbitc_read_count(reader, item, "draws", PBIT_DRAWS_LIMIT);
        cell->bits =
            pbitc_json_member(item, "bits") ? (uint32_t)pbitc_read_count(reader, item, "bits", 32) : 0;
        cell->seeds = seeds;
        if (pbitc_json_member(item, "confidence"))
            read_stop(reader, item, tally, cell);
        read_tally(reader, tally, cell++);
        tally = tally->next;
    }
    return cells;
}

static void read_seeds(struct pbitc_report_reader *reader, const cJSON *root)
{
    const cJSON *seeds = pbitc_read_array(reader, root, "seeds", SEEDS_LIMIT), *item;
    uint64_t expected = 0;
    cJSON_ArrayForEach(item, seeds)
    {
        if (item == seeds->child && pbitc_json_is_count(item, PBITC_JSON_COUNT_LIMIT))
            reader->report->first_seed = expected = (uint64_t)item->valuedouble;
        if (!pbitc_json_is_count(item, PBITC_JSON_COUNT_LIMIT) || (uint64_t)item->valuedouble != expected++) {
            pbitc_reader_malformed(reader, "seeds", " are not consecutive numbers");
            return;
        }
        reader->report->seed_count++;
    }
}

static void read_baseline(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *baseline = pbitc_json_member(root, "baseline");
    if (cJSON_IsNull(baseline))
        return;
    report->has_baseline = true;
    report->baseline_hash = pbitc_read_hash(reader, baseline, "hash");
    report->baseline.samples = 1;
    report->baseline.bits = 32;
    report->baseline.seeds = 1;
    read_tally(reader, pbitc_json_member(pbitc_json_member(root, "counted"), "baseline"), &report->baseline);
}

static void read_layer(struct pbitc_report_reader *reader, const cJSON *item,
                       struct pbitc_report_layer *layer)
{
    layer->name = pbitc_read_text(reader, item, "name");
    layer->op = pbitc_read_text(reader, item, "op");
    layer->input = (int32_t)pbitc_read_real(reader, item, "input");
    layer->height = (uint32_t)pbitc_read_count(reader, item, "height", SIDE_LIMIT);
    layer->width = (uint32_t)pbitc_read_count(reader, item, "width", SIDE_LIMIT);
    layer->channels = (uint32_t)pbitc_read_count(reader, item, "channels", SIDE_LIMIT);
    layer->random = pbitc_read_bool(reader, item, "random");
    layer->fan_in = (uint32_t)pbitc_read_count(reader, item, "fan_in", UINT32_MAX);
    layer->weight_bits = (uint32_t)pbitc_read_count(reader, item, "weight_bits", 32);
    layer->weight_group = (uint32_t)pbitc_read_count(reader, item, "weight_group", UINT32_MAX);
    layer->weights = pbitc_read_count(reader, item, "weights", PBITC_JSON_COUNT_LIMIT);
    layer->macs = pbitc_read_count(reader, item, "macs", PBITC_JSON_COUNT_LIMIT);
    layer->neurons = pbitc_read_count(reader, item, "neurons", PBITC_JSON_COUNT_LIMIT);
    layer->draws = pbitc_read_bool(reader, item, "draws");
    layer->multibit = pbitc_read_bool(reader, item, "multibit");
    layer->draw_factor = (uint32_t)pbitc_read_count(reader, item, "draw_factor", UINT16_MAX);
    layer->amplitude = (uint32_t)pbitc_read_count(reader, item, "amplitude", UINT32_MAX);
    layer->has_levels = pbitc_json_member(item, "levels") != NULL;
    if (layer->has_levels) {
        uint64_t counted[4] = {0, 0, 0, 0};
        layer->levels = (uint32_t)pbitc_read_count(reader, item, "levels", UINT8_MAX);
        pbitc_read_counts(reader, pbitc_json_member(item, "counted"), "counted", 4, counted);
        layer->elements = counted[0];
        layer->level_sum = counted[1];
        layer->zeros = counted[2];
        layer->full = counted[3];
    }
    layer->has_loss = pbitc_json_member(item, "loss_agreed") != NULL;
    if (layer->has_loss)
        layer->loss_agreed = pbitc_read_count(reader, item, "loss_agreed", PBITC_JSON_COUNT_LIMIT);
}

static void read_layers(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *layers = pbitc_read_array(reader, root, "layers", LAYERS_LIMIT), *item;
    size_t count = (size_t)cJSON_GetArraySize(layers);
    report->layers = pbitc_reader_allocate(reader, count, sizeof(*report->layers));
    cJSON_ArrayForEach(item, pbitc_json_only_if(report->layers != NULL, layers))
    {
        struct pbitc_report_layer *layer = &report->layers[report->layer_count++];
        read_layer(reader, item, layer);
        if (layer->input < -1 || layer->input >= (int32_t)count)
            pbitc_reader_malformed(reader, "input", " of a layer names no layer");
    }
}

static void read_confusion(struct pbitc_report_reader *reader, const cJSON *main)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *rows = pbitc_json_member(main, "confusion"), *row;
    if (!rows)
        return;
    size_t classes = report->classes, label = 0;
    if (classes > PBITC_CONFUSION_CLASSES || !cJSON_IsArray(rows) ||
        (size_t)cJSON_GetArraySize(rows) != classes) {
        pbitc_reader_malformed(reader, "confusion", " is no square of the number of classes");
        return;
    }
    report->confusion = pbitc_reader_allocate(reader, classes * classes, sizeof(*report->confusion));
    report->has_confusion = report->confusion != NULL;
    cJSON_ArrayForEach(row, pbitc_json_only_if(report->has_confusion, rows))
        pbitc_read_counts(reader, row, "confusion", classes, report->confusion + classes * label++);
}

static const uint8_t *read_pixels(struct pbitc_report_reader *reader, const cJSON *item)
{
    const struct pbitc_accuracy_report *report = reader->report;
    const char *text = cJSON_GetStringValue(item);
    bool fits = text && report->image_height <= PBITC_THUMBNAIL_SIDE &&
                report->image_width <= PBITC_THUMBNAIL_SIDE &&
                report->image_channels <= PBITC_THUMBNAIL_CHANNELS;
    size_t size = fits ? report->image_height * report->image_width * report->image_channels : 0;
    uint8_t *pixels = fits ? pbitc_reader_allocate(reader, size, 1) : NULL;
    if (!pixels || !pbitc_base64_decode(text, pixels, size))
        pbitc_reader_malformed(reader, "pixels", " are not those of an image");
    return pixels;
}

static void read_changed(struct pbitc_report_reader *reader, const cJSON *main)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *list = pbitc_read_array(reader, main, "changed", PBITC_CHANGED_LIMIT), *item;
    report->changed_total = pbitc_read_count(reader, main, "changed_total", report->images);
    report->changed = pbitc_reader_allocate(reader, PBITC_CHANGED_LIMIT, sizeof(*report->changed));
    cJSON_ArrayForEach(item, pbitc_json_only_if(report->changed != NULL, list))
    {
        report->changed[report->changed_count++] = (struct pbitc_changed_image){
            .index = pbitc_read_count(reader, item, "index", PBITC_JSON_COUNT_LIMIT),
            .label = (uint32_t)pbitc_read_count(reader, item, "label", report->classes),
            .float_decision = (uint32_t)pbitc_read_count(reader, item, "float", report->classes),
            .decision = (uint32_t)pbitc_read_count(reader, item, "decision", report->classes),
            .pixels = pbitc_json_member(item, "pixels")
                          ? read_pixels(reader, pbitc_json_member(item, "pixels"))
                          : NULL,
        };
    }
}

static void read_main(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *main = pbitc_json_member(root, "main");
    uint64_t samples = pbitc_read_count(reader, main, "samples", PBIT_SAMPLES_LIMIT);
    uint64_t draws = pbitc_read_count(reader, main, "draws", PBIT_DRAWS_LIMIT);
    while (report->main_cell < report->cell_count && (report->cells[report->main_cell].samples != samples ||
                                                      report->cells[report->main_cell].draws != draws))
        report->main_cell++;
    if (report->main_cell == report->cell_count)
        pbitc_reader_malformed(reader, "main", " names none of the cells");
    read_confusion(reader, main);
    read_changed(reader, main);
}

static void read_model(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *model = pbitc_json_member(root, "model");
    if (cJSON_IsNull(model)) {
        if (!report->has_baseline)
            pbitc_reader_malformed(reader, "model", " and baseline are both null");
        return;
    }
    report->has_model = true;
    report->model_hash = pbitc_read_hash(reader, model, "hash");
    report->model_name = pbitc_read_text(reader, model, "name");
    report->origin_hash = pbitc_read_text(reader, model, "origin_hash");
    report->recipe_hash = pbitc_read_hash(reader, model, "recipe_hash");
    read_seeds(reader, root);
    if (report->seed_count == 0)
        pbitc_reader_malformed(reader, "seeds", " are missing");
    report->cells = read_cells(reader, root, "cells", CELLS_LIMIT, report->seed_count, &report->cell_count);
    report->twins = read_cells(reader, root, "twins", PBITC_TWINS_LIMIT, 1, &report->twin_count);
    if (pbitc_json_member(root, "early_stops")) // from revision 3 on
        report->stops =
            read_cells(reader, root, "early_stops", CELLS_LIMIT, report->seed_count, &report->stop_count);
    read_layers(reader, root);
    if (reader->status == PBIT_OK)
        read_main(reader, root);
}

static void read_energy(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *energy = pbitc_json_member(root, "energy"),
                *constants = pbitc_json_member(energy, "constants"), *item;
    if (!cJSON_IsObject(energy))
        return;
    report->energy_preset = pbitc_read_text(reader, energy, "preset");
    report->energy_constants = pbitc_reader_allocate(reader, (size_t)cJSON_GetArraySize(constants),
                                                     sizeof(*report->energy_constants));
    cJSON_ArrayForEach(item, pbitc_json_only_if(report->energy_constants != NULL, constants))
    {
        struct pbitc_named_number *number = &report->energy_constants[report->energy_constant_count++];
        number->name = pbitc_arena_copy_string(report->arena, item->string, strlen(item->string));
        number->value = pbitc_read_real(reader, constants, item->string);
        if (!number->name && reader->status == PBIT_OK)
            reader->status = pbitc_report_memory(reader->diagnostics);
    }
}

static void read_target(struct pbitc_report_reader *reader, const cJSON *root)
{
    const cJSON *target = pbitc_json_member(root, "target");
    if (!cJSON_IsObject(target))
        return;
    reader->report->target_given = pbitc_read_bool(reader, target, "given");
    reader->report->target = pbitc_read_real(reader, target, "accuracy");
}

static void read_gates(struct pbitc_report_reader *reader, const cJSON *root)
{
    struct pbitc_accuracy_report *report = reader->report;
    const cJSON *gates = pbitc_read_array(reader, root, "gates", CELLS_LIMIT), *item;
    report->gates = pbitc_reader_allocate(reader, (size_t)cJSON_GetArraySize(gates), sizeof(*report->gates));
    cJSON_ArrayForEach(item, pbitc_json_only_if(report->gates != NULL, gates))
    {
        report->gates[report->gate_count++] = (struct pbitc_gate_outcome){
            .option = pbitc_read_text(reader, item, "option"),
            .samples = (uint32_t)pbitc_read_count(reader, item, "samples", PBIT_SAMPLES_LIMIT),
            .draws = (uint32_t)pbitc_read_count(reader, item, "draws", PBIT_DRAWS_LIMIT),
            .bound = pbitc_read_real(reader, item, "bound"),
            .value = pbitc_read_real(reader, item, "value"),
            .passed = pbitc_read_bool(reader, item, "passed"),
            .message = pbitc_read_text(reader, item, "message"),
        };
    }
}

static void read_root(struct pbitc_report_reader *reader, const cJSON *root)
{
    const cJSON *schema = pbitc_json_member(root, "schema"), *revision = pbitc_json_member(root, "revision");
    if (!cJSON_IsNumber(schema) || !cJSON_IsArray(pbitc_json_member(root, "cells"))) {
        pbitc_reader_problem(reader, PBIT_ERROR_FORMAT,
                             "give a report.json or the output of 'pbitc eval --json'",
                             "it is no result of eval", "");
        return;
    }
    if (schema->valuedouble != PBITC_REPORT_SCHEMA || !cJSON_IsNumber(revision) ||
        revision->valuedouble < PBITC_REPORT_OLDEST) {
        char what[160];
        snprintf(what, sizeof(what),
                 "schema %.9g, revision %.9g; this pbitc reads schema %d from revision %d on",
                 schema->valuedouble, cJSON_IsNumber(revision) ? revision->valuedouble : 0,
                 PBITC_REPORT_SCHEMA, PBITC_REPORT_OLDEST);
        pbitc_reader_problem(reader, PBIT_ERROR_FORMAT, "measure again with this pbitc", what, "it is of ");
        return;
    }
    read_head(reader, root);
    if (reader->status != PBIT_OK)
        return; // all sizes below depend on it
    read_baseline(reader, root);
    read_model(reader, root);
    read_energy(reader, root);
    read_target(reader, root);
    read_gates(reader, root);
}

enum pbit_status pbitc_report_parse(const char *name, const char *text, size_t size,
                                    struct pbitc_diagnostics *diagnostics,
                                    struct pbitc_accuracy_report **report)
{
    struct pbitc_report_reader reader = {name, diagnostics, PBIT_OK, pbitc_report_create()};
    cJSON *root = cJSON_ParseWithLength(text, size);
    *report = NULL;
    if (!reader.report) {
        reader.status = pbitc_report_memory(diagnostics);
    } else if (!cJSON_IsObject(root)) {
        pbitc_reader_problem(&reader, PBIT_ERROR_FORMAT,
                             "give a report.json or the output of 'pbitc eval --json'",
                             "it is no JSON object", "");
    } else {
        read_root(&reader, root);
        if (reader.status == PBIT_OK && !pbitc_report_derive(reader.report))
            reader.status = pbitc_report_memory(diagnostics);
    }
    cJSON_Delete(root);
    if (reader.status == PBIT_OK)
        *report = reader.report;
    else
        pbitc_report_destroy(reader.report);
    return reader.status;
}

enum pbit_status pbitc_report_read(const char *path, struct pbitc_diagnostics *diagnostics,
                                   struct pbitc_accuracy_report **report)
{
    uint8_t *bytes;
    size_t size;
    *report = NULL;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, diagnostics);
    if (status == PBIT_OK)
        status = pbitc_report_parse(path, (const char *)bytes, size, diagnostics, report);
    free(bytes);
    return status;
}
