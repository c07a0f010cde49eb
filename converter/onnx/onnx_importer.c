// What every file of the importer needs: the status, limits, domains and their opsets.
#include "converter/onnx/onnx_importer.h"

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

bool pbitc_onnx_check_limits(struct pbitc_onnx_importer *importer)
{
    const Onnx__GraphProto *proto = importer->model->graph;
    return check_limit(importer, "nodes", proto->n_node, MAX_NODES) &&
           check_limit(importer, "outputs", proto->n_output, MAX_OUTPUTS) &&
           check_limit(importer, "operator domains", importer->model->n_opset_import, MAX_DOMAINS);
}
