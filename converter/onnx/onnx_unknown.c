// Operators that pbitc does not have: a model may use one in hundreds of nodes, so each is reported once,
// with the names of all its nodes.
#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <string.h>

struct node_name {
    const char *name;
    struct node_name *next;
};

struct pbitc_onnx_unknown {
    const char *domain, *op; ///< op with its domain in front: "com.example.Foo"
    int opset;
    size_t count;
    struct node_name *first, *last;
    struct pbitc_onnx_unknown *next;
};

static struct pbitc_onnx_unknown *find_or_add(struct pbitc_onnx_importer *importer, const char *domain,
                                              const char *op, int opset)
{
    struct pbitc_arena *arena = importer->graph->arena;
    const char *key = pbitc_arena_format(arena, "%s%s%s", domain, *domain ? "." : "", op);
    struct pbitc_onnx_unknown *unknown = key ? pbitc_name_table_find(importer->unknown_names, key) : NULL;
    if (unknown || !key)
        return unknown;
    unknown = pbitc_arena_allocate(arena, 1, sizeof(*unknown));
    const char *copied_domain = pbitc_arena_copy_string(arena, domain, strlen(domain));
    if (!unknown || !copied_domain || !pbitc_name_table_add(importer->unknown_names, key, unknown))
        return NULL;
    *unknown = (struct pbitc_onnx_unknown){.domain = copied_domain, .op = key, .opset = opset};
    *(importer->last_unknown ? &importer->last_unknown->next : &importer->unknown) = unknown;
    importer->last_unknown = unknown;
    return unknown;
}

bool pbitc_onnx_add_unknown(struct pbitc_onnx_importer *importer, const char *domain, const char *op,
                            int opset, const char *node)
{
    struct pbitc_onnx_unknown *unknown = find_or_add(importer, domain, op, opset);
    struct node_name *entry = pbitc_arena_allocate(importer->graph->arena, 1, sizeof(*entry));
    if (!unknown || !entry)
        return false;
    entry->name = node;
    *(unknown->last ? &unknown->last->next : &unknown->first) = entry;
    unknown->last = entry;
    unknown->count++;
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names;
}

static const char *find_remedy(const struct pbitc_onnx_unknown *unknown)
{
    static const char *const random[] = {
        "Bernoulli",         "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike", NULL};
    if (strcmp(unknown->domain, "pbitc") == 0)
        return "operators of this domain are made by pbitc's passes and cannot be read from a file";
    if (strcmp(unknown->domain, "ai.onnx.ml") == 0)
        return "pbitc converts neural networks; run classical machine learning parts outside of the model";
    if (strcmp(unknown->domain, "com.microsoft") == 0)
        return "save the model without ONNX Runtime's own fused operators";
    if (!*unknown->domain && is_one_of(unknown->op, random))
        return "it draws random numbers, so that no two runs agree: make its result an input of the model";
    return "replace it before the export, or cut it off (onnx.utils.extract_model)";
}

/// "'a', 'b', 'c'"; NULL when out of memory.
static const char *join_names(struct pbitc_arena *arena, const struct node_name *first)
{
    size_t length = 0;
    for (const struct node_name *name = first; name; name = name->next)
        length += strlen(name->name) + strlen("'', ");
    char *text = pbitc_arena_allocate(arena, length + 1, 1), *end = text;
    for (const struct node_name *name = first; text && name; name = name->next)
        end += sprintf(end, "'%s'%s", name->name, name->next ? ", " : "");
    return text;
}

bool pbitc_onnx_report_unknown(struct pbitc_onnx_importer *importer)
{
    for (const struct pbitc_onnx_unknown *unknown = importer->unknown; unknown; unknown = unknown->next) {
        struct pbitc_onnx_place place = {
            .name = unknown->first->name, .op = unknown->op, .opset = unknown->opset};
        const char *remedy = find_remedy(unknown);
        const char *names = join_names(importer->graph->arena, unknown->first);
        if (!names)
            return false;
        if (unknown->count == 1)
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, remedy,
                               "the operator is not supported");
        else
            PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &place, remedy,
                               "the operator is not supported (%zu nodes: %s)", unknown->count, names);
    }
    return true;
}
