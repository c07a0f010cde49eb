#include "converter/gates.h"

#include "converter/file.h"
#include "converter/options.h"

#include <cjson/cJSON.h>
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

bool pbitc_gate_parse(const char *text, struct pbitc_gate *gate)
{
    return parse_count(&text, PBIT_SAMPLES_LIMIT, &gate->samples) &&
           parse_count(&text, PBIT_DRAWS_LIMIT, &gate->draws) && pbitc_parse_real(text, &gate->bound) &&
           gate->bound >= 0 && gate->bound <= 1;
}

static const struct pbitc_accuracy_cell *find_cell(const struct pbitc_accuracy_report *report, double samples,
                                                   double draws)
{
    for (size_t i = 0; i < report->cell_count; i++) {
        if (report->cells[i].samples == samples && report->cells[i].draws == draws)
            return &report->cells[i];
    }
    return NULL;
}

bool pbitc_gate_check(const struct pbitc_gate *gate, const struct pbitc_accuracy_report *report, FILE *talk)
{
    const struct pbitc_accuracy_cell *cell = find_cell(report, gate->samples, gate->draws);
    double value = gate->is_drop ? cell->drop : cell->accuracy;
    if (gate->is_drop ? value <= gate->bound : value >= gate->bound)
        return true;
    fprintf(talk, "gate: T=%" PRIu32 " m=%" PRIu32 ": %s %.4f is %s %g\n", gate->samples, gate->draws,
            gate->is_drop ? "drop" : "accuracy", value, gate->is_drop ? "above" : "below", gate->bound);
    return false;
}

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

/// Why the two cannot be compared, or NULL.
static const char *find_difference(const struct pbitc_accuracy_report *report, const cJSON *old)
{
    char hash[PBITC_HASH_TEXT];
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(old, "data");
    const char *old_hash = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "hash"));
    if (!cJSON_IsObject(old))
        return "is no JSON object";
    if (number_of(old, "schema") != PBITC_REPORT_SCHEMA)
        return "is no eval result of schema 1";
    if (number_of(old, "images") != (double)report->images || !old_hash ||
        strcmp(old_hash, pbitc_hash_text(report->data_hash, hash)) != 0)
        return "was measured on other data";
    return NULL;
}

/// Returns whether the old cell was measured again; counts it in *fell when it did significantly better then.
static bool compare_cell(const struct pbitc_accuracy_report *report, const cJSON *old, FILE *talk,
                         size_t *fell)
{
    double samples = number_of(old, "samples"), draws = number_of(old, "draws");
    double before = number_of(old, "accuracy");
    const struct pbitc_accuracy_cell *cell = find_cell(report, samples, draws);
    if (!cell || before < 0 || before > 1)
        return false;
    double z = pbitc_two_proportion_z(before, report->images, cell->accuracy, report->images);
    if (z < -PBITC_Z_95) {
        fprintf(talk, "gate: T=%" PRIu32 " m=%" PRIu32 ": accuracy fell from %.4f to %.4f (z = %.2f)\n",
                cell->samples, cell->draws, before, cell->accuracy, z);
        ++*fell;
    }
    return true;
}

enum pbit_status pbitc_report_compare(const struct pbitc_accuracy_report *report, const char *path,
                                      FILE *talk, struct pbitc_diagnostics *diagnostics, size_t *fell)
{
    uint8_t *bytes;
    size_t size, compared = 0;
    *fell = 0;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, diagnostics);
    if (status != PBIT_OK)
        return status;
    cJSON *old = cJSON_ParseWithLength((const char *)bytes, size);
    const char *difference = find_difference(report, old);
    const cJSON *cell;
    if (!difference) {
        cJSON_ArrayForEach(cell, cJSON_GetObjectItemCaseSensitive(old, "cells"))
        {
            compared += compare_cell(report, cell, talk, fell);
        }
        if (compared == 0)
            difference = "has no cell in common with this measurement";
    }
    if (difference)
        status =
            pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                         "compare with the --json output of an eval of the same data and the same m and T",
                         "%s %s", path, difference);
    cJSON_Delete(old);
    free(bytes);
    return status;
}
