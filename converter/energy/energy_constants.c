#include "converter/energy/energy_constants.h"

#include "converter/data/readers.h"
#include "converter/file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/// converter/energy/README.md tells where each number comes from.
static const struct pbitc_energy_constants presets[] = {
    {.name = "paper-sram",
     .source = "65 nm, Table 1 of arXiv 2507.07763, weights in SRAM",
     .weight_memory = 0.0384,
     .memory = 0.0384,
     .multiply = 8.989,
     .add = 0.239,
     .activation = 0.087,
     .random = 0.181,
     .compare = 0.022},
    {.name = "paper-hbm2",
     .source = "65 nm, Table 1 of arXiv 2507.07763, weights in HBM2 DRAM",
     .weight_memory = 3.97,
     .memory = 0.0384,
     .multiply = 8.989,
     .add = 0.239,
     .activation = 0.087,
     .random = 0.181,
     .compare = 0.022},
    {.name = "zcu104-bram",
     .source = "Zynq UltraScale+ of a ZCU104 board, arXiv 2507.07763, weights in block RAM",
     .weight_memory = 1.875,
     .memory = 1.875,
     .multiply = 150,
     .add = 4.9,
     .activation = 2,
     .random = 1,
     .compare = 1},
    {.name = "horowitz-45nm",
     .source = "45 nm, M. Horowitz, ISSCC 2014, figure 1.1.9: integer arithmetic, weights in a 1 MB and "
               "activations in an 8 KB cache",
     .weight_memory = 100.0 / 64,
     .memory = 10.0 / 64,
     .multiply = 3.1,
     .add = 0.1,
     // Not in the figure: the 65 nm ones in proportion to the addition.
     .activation = 0.087 * 0.1 / 0.239,
     .random = 0.181 * 0.1 / 0.239,
     .compare = 0.022 * 0.1 / 0.239},
};
enum { PRESET_COUNT = sizeof(presets) / sizeof(presets[0]) };

const char *const pbitc_energy_preset_names[PRESET_COUNT + 1] = {"paper-sram", "paper-hbm2", "zcu104-bram",
                                                                 "horowitz-45nm", NULL};

const struct pbitc_energy_constants *pbitc_energy_preset(int index)
{
    return &presets[index];
}

const char *const pbitc_energy_symbols[PBITC_ENERGY_CONSTANTS] = {"e_wM",  "e_aM",  "e_mul",    "e_add",
                                                                  "e_act", "e_rng", "e_compare"};

static double *member(struct pbitc_energy_constants *constants, int index)
{
    double *const members[PBITC_ENERGY_CONSTANTS] = {
        &constants->weight_memory, &constants->memory, &constants->multiply, &constants->add,
        &constants->activation,    &constants->random, &constants->compare};
    return members[index];
}

double pbitc_energy_constant(const struct pbitc_energy_constants *constants, int index)
{
    struct pbitc_energy_constants copy = *constants;
    return *member(&copy, index);
}

void pbitc_energy_set_constant(struct pbitc_energy_constants *constants, int index, double value)
{
    *member(constants, index) = value;
}

/// A file being read.
struct reader {
    const char *path;
    struct pbitc_arena *arena;
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_energy_constants *constants;
    bool found[PBITC_ENERGY_CONSTANTS], named, sourced;
    enum pbit_status status;
};

static void wrong(struct reader *reader, const char *key, const char *what)
{
    reader->status = pbitc_report(reader->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                  "the keys are e_wM, e_aM, e_mul, e_add, e_act, e_rng and e_compare, "
                                  "numbers in pJ, and the texts name and source",
                                  "%s: '%s' %s", reader->path, key, what);
}

static bool is_one_line(const char *text)
{
    while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
        text++;
    return !*text;
}

static void read_text(struct reader *reader, const cJSON *item, bool *seen, const char **text)
{
    if (*seen)
        wrong(reader, item->string, "is given twice");
    *seen = true;
    if (!cJSON_IsString(item) || !is_one_line(item->valuestring)) {
        wrong(reader, item->string, "is no text of one line");
        return;
    }
    *text = pbitc_arena_copy_string(reader->arena, item->valuestring, strlen(item->valuestring));
    if (!*text)
        reader->status = pbitc_report_memory(reader->diagnostics);
}

static void read_key(struct reader *reader, const cJSON *item)
{
    if (strcmp(item->string, "name") == 0) {
        read_text(reader, item, &reader->named, &reader->constants->name);
        return;
    }
    if (strcmp(item->string, "source") == 0) {
        read_text(reader, item, &reader->sourced, &reader->constants->source);
        return;
    }
    int index = 0;
    while (index < PBITC_ENERGY_CONSTANTS && strcmp(pbitc_energy_symbols[index], item->string) != 0)
        index++;
    if (index == PBITC_ENERGY_CONSTANTS) {
        wrong(reader, item->string, "is no key of it");
        return;
    }
    if (reader->found[index])
        wrong(reader, item->string, "is given twice");
    reader->found[index] = true;
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || item->valuedouble < 0)
        wrong(reader, item->string, "is no number of at least 0");
    else
        *member(reader->constants, index) = item->valuedouble;
}

enum pbit_status pbitc_energy_constants_read(const char *path, struct pbitc_arena *arena,
                                             struct pbitc_diagnostics *diagnostics,
                                             struct pbitc_energy_constants *constants)
{
    uint8_t *bytes;
    size_t size;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, diagnostics);
    if (status != PBIT_OK)
        return status;
    cJSON *root = cJSON_ParseWithLength((const char *)bytes, size);
    free(bytes);
    *constants = (struct pbitc_energy_constants){.source = ""};
    struct reader reader = {
        .path = path, .arena = arena, .diagnostics = diagnostics, .constants = constants, .status = PBIT_OK};
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                            "'pbitc energy --help' shows an example", "%s holds no JSON object", path);
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, root) read_key(&reader, item);
    for (int i = 0; i < PBITC_ENERGY_CONSTANTS; i++) {
        if (!reader.found[i])
            wrong(&reader, pbitc_energy_symbols[i], "is missing");
    }
    cJSON_Delete(root);
    if (!constants->name) {
        const char *name = pbitc_path_name(path);
        constants->name = pbitc_arena_copy_string(arena, name, strlen(name));
        if (!constants->name)
            return pbitc_report_memory(diagnostics);
    }
    return reader.status;
}

enum pbit_status pbitc_energy_constants_choose(int preset, const char *path, struct pbitc_arena *arena,
                                               struct pbitc_diagnostics *diagnostics,
                                               struct pbitc_energy_constants *constants)
{
    if (path)
        return pbitc_energy_constants_read(path, arena, diagnostics, constants);
    *constants = *pbitc_energy_preset(preset < 0 ? 0 : preset);
    return PBIT_OK;
}
