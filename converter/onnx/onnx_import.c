#include "converter/onnx/onnx_import.h"

#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_NODES = 100000, MAX_VALUES = 1000000, MAX_DOMAINS = 256, MAX_OUTPUTS = 1024 };

/// Gravest first; what is not listed does not come up.
static int rank_status(enum pbit_status status)
{
    static const int ranks[] = {
        [PBIT_OK] = 9,           [PBIT_ERROR_UNSUPPORTED] = 4, [PBIT_ERROR_IO] = 3,
        [PBIT_ERROR_FORMAT] = 2, [PBIT_ERROR_MEMORY] = 1,
    };
    return (size_t)status < sizeof(ranks) / sizeof(ranks[0]) ? ranks[status] : 0;
}

void pbitc_onnx_note(struct pbitc_onnx_importer *importer, enum pbit_status status)
{
    if (rank_status(status) < rank_status(importer->status))
        importer->status = status;
}

const char *pbitc_onnx_text(const char *text)
{
    return text ? text : "";
}

/// The one name of a domain that goes by several.
const char *pbitc_onnx_plain_domain(const char *domain)
{
    static const char *const others[][2] = {
        {"ai.onnx", ""},
        {"onnx.brevitas", "qonnx.custom_op.general"},
        {"finn.custom_op.general", "qonnx.custom_op.general"},
    };
    for (size_t i = 0; domain && i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(domain, others[i][0]) == 0)
            return others[i][1];
    return domain ? domain : "";
}

int pbitc_onnx_find_opset(const struct pbitc_onnx_importer *importer, const char *domain)
{
    const struct pbitc_onnx_scope *scope = importer->scope;
    for (size_t i = 0; i < scope->opset_count; i++) {
        const Onnx__OperatorSetIdProto *opset = scope->opsets[i];
        if (strcmp(pbitc_onnx_plain_domain(opset->domain), domain) == 0)
            return opset->version < 1 ? -1 : opset->version < INT32_MAX ? (int)opset->version : INT32_MAX;
    }
    // Before IR version 3 there was but one opset, and nobody named it.
    return importer->model->ir_version < 3 && !*domain ? 1 : 0;
}

bool pbitc_onnx_is_default_domain(const Onnx__NodeProto *node)
{
    return !*pbitc_onnx_plain_domain(node->domain);
}

void pbitc_onnx_check_default_opset(struct pbitc_onnx_importer *importer, const char *where,
                                    Onnx__NodeProto *const *nodes, size_t count)
{
    const struct pbitc_onnx_place model = {.name = where};
    bool used = false;
    for (size_t i = 0; i < count && !used; i++)
        used = pbitc_onnx_is_default_domain(nodes[i]);
    int opset = pbitc_onnx_find_opset(importer, "");
    if (!used)
        return;
    if (opset == 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, "export the model again",
                           "the model does not say which opset of the default domain it uses");
    else if (opset < PBITC_ONNX_OLDEST_OPSET)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model,
                           "export the model with a newer opset, or run onnx.version_converter",
                           "opset %d is too old; %d to %d are supported", opset, PBITC_ONNX_OLDEST_OPSET,
                           PBITC_ONNX_NEWEST_OPSET);
    else if (opset > PBITC_ONNX_NEWEST_OPSET)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model,
                           "export the model with an older opset, or run onnx.version_converter",
                           "opset %d is too new; %d to %d are supported", opset, PBITC_ONNX_OLDEST_OPSET,
                           PBITC_ONNX_NEWEST_OPSET);
}

/// Notes a size beyond its limit; true when it is within.
static bool check_limit(struct pbitc_onnx_importer *importer, const char *what, size_t count, size_t limit)
{
    const struct pbitc_onnx_place model = {0};
    if (count > limit)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, &model, NULL,
                           "the model has %zu %s; at most %zu are supported", count, what, limit);
    return count <= limit;
}

bool pbitc_onnx_count(struct pbitc_onnx_importer *importer, size_t nodes, size_t values)
{
    importer->node_count += nodes;
    importer->value_count += values;
    if (!importer->over_limit)
        importer->over_limit = !check_limit(importer, "nodes", importer->node_count, MAX_NODES) ||
                               !check_limit(importer, "values", importer->value_count, MAX_VALUES);
    return !importer->over_limit;
}

/// False: the model is not looked at any further.
static bool check_limits(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    return check_limit(importer, "nodes", proto->n_node, MAX_NODES) &&
           check_limit(importer, "outputs", proto->n_output, MAX_OUTPUTS) &&
           check_limit(importer, "operator domains", importer->model->n_opset_import, MAX_DOMAINS);
}

static bool import_header(struct pbitc_onnx_importer *importer)
{
    const Onnx__ModelProto *model = importer->model;
    struct pbitc_graph *graph = importer->graph;
    const char *version = pbitc_onnx_text(model->producer_version);
    graph->producer = pbitc_arena_format(graph->arena, "%s%s%s", pbitc_onnx_text(model->producer_name),
                                         *version ? " " : "", version);
    graph->ir_version = model->ir_version;
    graph->opset = pbitc_onnx_find_opset(importer, "");
    pbitc_onnx_check_default_opset(importer, NULL, model->graph->node, model->graph->n_node);
    return graph->producer;
}

/// False: out of memory.
static bool import_all(struct pbitc_onnx_importer *importer)
{
    importer->unknown_names = pbitc_name_table_create(importer->graph->arena);
    return importer->unknown_names && pbitc_onnx_enter(importer, importer->graph, "") &&
           import_header(importer) && pbitc_onnx_read_functions(importer) &&
           pbitc_onnx_import_graph(importer, importer->model->graph) && pbitc_onnx_report_unknown(importer) &&
           pbitc_onnx_finish_graph(importer);
}

static enum pbit_status import_model(struct pbitc_onnx_importer *importer)
{
    const struct pbitc_onnx_place model = {0};
    if (!importer->model->graph || importer->model->ir_version < 1) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, &model, "check that the file is an ONNX model",
                           "not an ONNX model: there is no graph or no IR version in it");
        return importer->status;
    }
    if (!check_limits(importer))
        return importer->status;
    struct pbitc_graph *graph =
        pbitc_graph_create(importer->allocator, pbitc_onnx_text(importer->model->graph->name));
    importer->graph = graph;
    if ((!graph || !import_all(importer)) && !importer->over_limit)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_MEMORY, &model, NULL, "out of memory");
    importer->graph = graph; // not where memory ran out
    pbitc_onnx_free_decoded(importer);
    if (importer->status == PBIT_OK)
        importer->status = pbitc_graph_verify(graph, NULL, importer->diagnostics);
    return importer->status;
}

static enum pbit_status import_and_free(Onnx__ModelProto *model, struct pbitc_onnx_memory *memory,
                                        const char *folder, struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_graph **graph)
{
    struct pbitc_onnx_importer importer = {.allocator = memory->allocator,
                                           .memory = memory,
                                           .diagnostics = diagnostics,
                                           .folder = folder,
                                           .model = model};
    enum pbit_status status = import_model(&importer);
    pbitc_onnx_free(model, memory);
    if (status == PBIT_OK)
        *graph = importer.graph;
    else
        pbitc_graph_destroy(importer.graph);
    return status;
}

enum pbit_status pbitc_onnx_import_bytes(const void *bytes, size_t size, const char *folder,
                                         const struct pbitc_allocator *allocator,
                                         struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph)
{
    struct pbitc_onnx_memory memory = {.allocator = allocator};
    Onnx__ModelProto *model;
    *graph = NULL;
    enum pbit_status status = pbitc_onnx_unpack(bytes, size, &memory, diagnostics, &model);
    return status == PBIT_OK ? import_and_free(model, &memory, folder, diagnostics, graph) : status;
}

/// The part of the path before its last '/', in memory of the allocator; NULL when out of memory.
static char *copy_folder(const char *path, const struct pbitc_allocator *allocator)
{
    const char *slash = strrchr(path, '/');
    // "model.onnx" lies in ".", "/model.onnx" in "/".
    const char *folder = slash ? path : ".";
    size_t length = slash && slash != path ? (size_t)(slash - path) : 1;
    char *copy = pbitc_allocate(allocator, length + 1);
    if (copy) {
        memcpy(copy, folder, length);
        copy[length] = '\0';
    }
    return copy;
}

enum pbit_status pbitc_onnx_import(const char *path, const struct pbitc_allocator *allocator,
                                   struct pbitc_diagnostics *diagnostics, struct pbitc_graph **graph)
{
    struct pbitc_onnx_memory memory = {.allocator = allocator};
    Onnx__ModelProto *model;
    void *bytes;
    size_t size;
    *graph = NULL;
    enum pbit_status status = pbitc_onnx_read_file(path, allocator, diagnostics, &bytes, &size);
    if (status != PBIT_OK)
        return status;
    // The decoded model holds copies; a large file need not be in memory twice while the graph is made.
    status = pbitc_onnx_unpack(bytes, size, &memory, diagnostics, &model);
    pbitc_release(allocator, bytes);
    if (status != PBIT_OK)
        return status;
    char *folder = copy_folder(path, allocator);
    if (folder) {
        status = import_and_free(model, &memory, folder, diagnostics, graph);
    } else {
        pbitc_onnx_free(model, &memory);
        status = pbitc_report(diagnostics, PBIT_ERROR_MEMORY, path, NULL, 0, NULL, "out of memory");
    }
    pbitc_release(allocator, folder);
    return status;
}
