#include "converter/recipe.h"

#include "converter/data/readers.h"
#include "converter/file.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *const pbitc_neuron_names[] = {
    [PBITC_NEURON_PBIT] = "pbit", [PBITC_NEURON_NOISY] = "noisy", [PBITC_NEURON_EXACT] = "exact", NULL};

/// The keys of a layer and the values they take.
static const struct key {
    const char *name;
    bool of_activation; ///< else of a layer with weights
    bool whole;
    double minimum, maximum;
    const char *values; ///< in words
} keys[] = {
    {"weights", false, true, 1, 8, "a whole number in 1..8"},
    {"group", false, true, 0, 65536, "a whole number in 0..65536"},
    {"neuron", true, false, 0, 0, "\"pbit\", \"noisy\" or \"exact\""},
    {"draws", true, false, 1.0 / 256, 255, "a number in 1/256..255"},
    {"rho", true, false, 0, 1, "a number in 0..1"},
};
enum { KEY_WEIGHTS, KEY_GROUP, KEY_NEURON, KEY_DRAWS, KEY_RHO, KEY_COUNT };

/// What is being checked.
struct check {
    const char *path;
    const struct pbitc_graph *graph;
    struct pbitc_diagnostics *diagnostics;
    enum pbit_status status;
};

static const struct pbitc_node *find_node(const struct pbitc_graph *graph, const char *name)
{
    PBITC_FOR_EACH_NODE(node, graph)
    {
        if (strcmp(node->name, name) == 0)
            return node;
    }
    return NULL;
}

/// The key's value as a number; -1 when it is not one the key takes.
static double read_value(int key, const cJSON *item)
{
    if (key == KEY_NEURON) {
        for (int i = 0; cJSON_IsString(item) && pbitc_neuron_names[i]; i++) {
            if (strcmp(pbitc_neuron_names[i], item->valuestring) == 0)
                return i;
        }
        return -1;
    }
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    bool fits = value >= keys[key].minimum && value <= keys[key].maximum;
    return fits && (!keys[key].whole || value == floor(value)) ? value : -1;
}

static bool has_weights(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_Conv) || pbitc_node_is(node, PBITC_OP_Gemm) ||
           pbitc_node_is(node, PBITC_OP_MatMul) || pbitc_node_is(node, PBITC_OP_QLinearConv) ||
           pbitc_node_is(node, PBITC_OP_QLinearMatMul);
}

/// In a quantized model the rounding may be what the activation is: its lowest level cuts as a Relu does.
static bool is_activation(const struct pbitc_node *node)
{
    return node->op->flags & PBITC_OPERATOR_ACTIVATION || pbitc_node_is(node, PBITC_OP_QuantizeLinear) ||
           pbitc_node_is(node, PBITC_OP_Quant);
}

static void read_key(struct check *check, struct pbitc_layer_recipe *layer, const struct pbitc_node *node,
                     const cJSON *item)
{
    int key = 0;
    while (key < KEY_COUNT && strcmp(keys[key].name, item->string) != 0)
        key++;
    if (key == KEY_COUNT) {
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, layer->node, NULL, 0,
                                     "the keys are weights, group, neuron, draws and rho",
                                     "unknown key '%s' in %s", item->string, check->path);
        return;
    }
    double value = read_value(key, item);
    if (value < 0) {
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, layer->node, NULL, 0, NULL,
                                     "'%s' in %s is not %s", keys[key].name, check->path, keys[key].values);
        return;
    }
    if (node && !(keys[key].of_activation ? is_activation(node) : has_weights(node)))
        check->status =
            pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, node->name, node->op->name, node->opset,
                         "name the node it is meant for", "'%s' in %s is a key of %s", keys[key].name,
                         check->path, keys[key].of_activation ? "activations" : "Conv, Gemm and MatMul");
    switch (key) {
    case KEY_WEIGHTS:
        layer->weight_bits = (int)value;
        break;
    case KEY_GROUP:
        layer->group = (int)value;
        break;
    case KEY_NEURON:
        layer->neuron = (int)value;
        break;
    case KEY_DRAWS:
        layer->draws = (float)value;
        break;
    default:
        layer->rho = (float)value;
        break;
    }
}

static void read_layer(struct check *check, struct pbitc_layer_recipe *layer, const cJSON *item)
{
    *layer = (struct pbitc_layer_recipe){
        .node = item->string, .weight_bits = -1, .group = -1, .neuron = -1, .draws = -1, .rho = -1};
    const struct pbitc_node *node = find_node(check->graph, layer->node);
    if (!node)
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, layer->node, NULL, 0,
                                     "'pbitc inspect MODEL.onnx' lists the names",
                                     "%s names a layer that the model does not have", check->path);
    if (!cJSON_IsObject(item)) {
        check->status =
            pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, layer->node, NULL, 0,
                         "write {\"weights\": 4, ...}", "the layer in %s is no JSON object", check->path);
        return;
    }
    const cJSON *key;
    cJSON_ArrayForEach(key, item) read_key(check, layer, node, key);
}

/// The keys beside "layers".
static const struct option_key {
    const char *name;
    size_t offset;
    double minimum, maximum;
} option_keys[] = {
    {"weights", offsetof(struct pbitc_recipe_options, weights), 1, 8},
    {"group", offsetof(struct pbitc_recipe_options, group), 0, 65536},
    {"draws", offsetof(struct pbitc_recipe_options, draws), 1, PBIT_DRAWS_LIMIT},
    {"samples", offsetof(struct pbitc_recipe_options, samples), 1, PBIT_SAMPLES_LIMIT},
};
enum { OPTION_KEYS = sizeof(option_keys) / sizeof(*option_keys) };

static int64_t *find_option(struct pbitc_recipe_options *options, size_t key)
{
    return (int64_t *)(void *)((char *)options + option_keys[key].offset);
}

static void read_option(struct check *check, struct pbitc_recipe *recipe, const cJSON *item)
{
    size_t key = 0;
    while (key < OPTION_KEYS && strcmp(option_keys[key].name, item->string) != 0)
        key++;
    if (key == OPTION_KEYS) {
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                     "the keys are layers, weights, group, draws and samples",
                                     "unknown key '%s' in %s", item->string, check->path);
        return;
    }
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (value < option_keys[key].minimum || value > option_keys[key].maximum || value != floor(value))
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL,
                                     "'%s' in %s is not a whole number in %g..%g", item->string, check->path,
                                     option_keys[key].minimum, option_keys[key].maximum);
    else
        *find_option(&recipe->options, key) = (int64_t)value;
}

static void read_layers(struct check *check, struct pbitc_recipe *recipe)
{
    const cJSON *layers = cJSON_GetObjectItemCaseSensitive(recipe->json, "layers"), *item;
    if (!cJSON_IsObject(layers)) {
        check->status = pbitc_report(check->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                     "write {\"layers\": {\"NODE\": {\"weights\": 4, ...}, ...}}",
                                     "%s is no JSON object with an object \"layers\"", check->path);
        return;
    }
    cJSON_ArrayForEach(item, recipe->json)
    {
        if (item != layers)
            read_option(check, recipe, item);
    }
    recipe->layers = calloc((size_t)cJSON_GetArraySize(layers) + 1, sizeof(*recipe->layers));
    if (!recipe->layers) {
        check->status = pbitc_report_memory(check->diagnostics);
        return;
    }
    cJSON_ArrayForEach(item, layers) read_layer(check, &recipe->layers[recipe->count++], item);
}

enum pbit_status pbitc_recipe_load(const char *path, const struct pbitc_graph *graph,
                                   struct pbitc_diagnostics *diagnostics, struct pbitc_recipe *recipe)
{
    *recipe = (struct pbitc_recipe){.options = {-1, -1, -1, -1}};
    uint8_t *bytes;
    size_t size;
    struct check check = {path, graph, diagnostics, pbitc_file_read(path, &bytes, &size, diagnostics)};
    if (check.status != PBIT_OK)
        return check.status;
    const char *end = NULL;
    recipe->json = cJSON_ParseWithLengthOpts((const char *)bytes, size + 1, &end, true);
    if (!recipe->json)
        check.status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "correct it there",
                                    "%s is no valid JSON from byte %zu on", path,
                                    end ? (size_t)(end - (const char *)bytes) : 0);
    else
        read_layers(&check, recipe);
    free(bytes);
    if (check.status != PBIT_OK)
        pbitc_recipe_free(recipe);
    return check.status;
}

static bool add_choice(cJSON *layers, const struct pbitc_layer_choice *choice)
{
    cJSON *layer = cJSON_GetObjectItemCaseSensitive(layers, choice->node);
    if (!layer)
        layer = cJSON_AddObjectToObject(layers, choice->node);
    if (layer && choice->weight_bits)
        return cJSON_AddNumberToObject(layer, keys[KEY_WEIGHTS].name, choice->weight_bits);
    return layer && cJSON_AddNumberToObject(layer, keys[KEY_DRAWS].name, (double)choice->draws);
}

/// NULL when out of memory.
static cJSON *make_recipe(const struct pbitc_recipe *recipe, const struct pbitc_recipe_options *options,
                          const struct pbitc_layer_choice *choices)
{
    cJSON *json = cJSON_CreateObject(), *layers;
    bool good = json != NULL;
    struct pbitc_recipe_options values = *options;
    for (size_t key = 0; key < OPTION_KEYS && good; key++)
        good = cJSON_AddNumberToObject(json, option_keys[key].name, (double)*find_option(&values, key));
    layers = recipe->json ? cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(recipe->json, "layers"), true)
                          : cJSON_CreateObject();
    good = good && layers;
    for (; choices && good; choices = choices->next)
        good = add_choice(layers, choices);
    if (!good || !cJSON_AddItemToObject(json, "layers", layers)) {
        cJSON_Delete(layers);
        cJSON_Delete(json);
        return NULL;
    }
    return json;
}

enum pbit_status pbitc_recipe_write(const char *path, const struct pbitc_recipe *recipe,
                                    const struct pbitc_recipe_options *options,
                                    const struct pbitc_layer_choice *choices,
                                    struct pbitc_diagnostics *diagnostics)
{
    cJSON *json = make_recipe(recipe, options, choices);
    char *text = json ? cJSON_Print(json) : NULL;
    enum pbit_status status = PBIT_OK;
    if (text) {
        size_t length = strlen(text);
        text[length] = '\n'; // in place of the end
        struct pbitc_file file = {path, (const uint8_t *)text, length + 1};
        status = pbitc_files_write(&file, 1, diagnostics);
    } else {
        status = pbitc_report_memory(diagnostics);
    }
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}

void pbitc_recipe_free(struct pbitc_recipe *recipe)
{
    cJSON_Delete(recipe->json);
    free(recipe->layers);
    *recipe = (struct pbitc_recipe){.json = NULL};
}
