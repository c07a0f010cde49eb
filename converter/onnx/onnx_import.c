#include "converter/onnx/onnx_import.h"

#include "converter/onnx/onnx_importer.h"
#include "passes/ir/name_table.h"

#include <string.h>

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
    if (!pbitc_onnx_check_limits(importer))
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
