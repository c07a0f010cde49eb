#include "converter/shapes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/// One text, taken apart.
struct request {
    const char *text, *sizes; ///< sizes: behind the '='
    size_t name_length;
    struct pbitc_diagnostics *diagnostics;
};

static enum pbit_status refuse(const struct request *request, const char *remedy, const char *message)
{
    return pbitc_report(request->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, remedy, "--shape %s: %s",
                        request->text, message);
}

static bool is_named(const struct request *request, const char *name)
{
    return strlen(name) == request->name_length && memcmp(name, request->text, request->name_length) == 0;
}

/// Reads a size that ends at a comma or at the end; 0: it is none.
static int64_t read_size(const char *text, const char **end)
{
    char *after;
    long long size = *text >= '1' && *text <= '9' ? strtoll(text, &after, 10) : 0;
    *end = size > 0 ? after : text;
    return size > 0 && size < INT64_MAX && (*after == ',' || *after == '\0') ? size : 0;
}

static enum pbit_status fix_input(const struct request *request, struct pbitc_value *input)
{
    const char *at = request->sizes;
    for (int d = 0; d < input->shape.rank; d++) {
        int64_t *size = &input->shape.dims[d], wanted = read_size(at, &at);
        bool keeps = !wanted && !strchr(",-0123456789", *at) && input->dim_names[d]; // a name
        if (!wanted && !keeps)
            return refuse(request, "give one size for each dimension of the input",
                          "a size is missing, no number, or open where the model fixes it");
        at += strcspn(at, ",");
        if (wanted && !input->dim_names[d] && *size != wanted)
            return refuse(request, "change only sizes that the model leaves open (pbitc inspect lists them)",
                          "the model fixes another size");
        if (wanted) {
            *size = wanted;
            input->dim_names[d] = NULL;
        }
        if (*at == ',' && d + 1 < input->shape.rank)
            at++;
    }
    if (*at)
        return refuse(request, "give one size for each dimension of the input",
                      "more sizes than the input has dimensions");
    return PBIT_OK;
}

/// Fixes the symbolic dimension wherever it stands; *found tells whether it did anywhere.
static enum pbit_status fix_symbol(const struct request *request, struct pbitc_graph *graph, bool *found)
{
    const char *end;
    int64_t size = read_size(request->sizes, &end);
    for (size_t i = 0; i < graph->input_count; i++) {
        struct pbitc_value *input = graph->inputs[i];
        for (int d = 0; d < input->shape.rank; d++) {
            if (!input->dim_names[d] || !is_named(request, input->dim_names[d]))
                continue;
            *found = true;
            if (size && !*end) {
                input->shape.dims[d] = size;
                input->dim_names[d] = NULL;
            }
        }
    }
    if (*found && (!size || *end))
        return refuse(request, NULL, "the size of a dimension is a number from 1 on");
    return PBIT_OK;
}

static enum pbit_status report_names(const struct request *request, const struct pbitc_graph *graph)
{
    enum pbit_status status = refuse(request, "write NAME=SIZES with one of the names below",
                                     "no input and no open dimension has this name");
    for (size_t i = 0; i < graph->input_count; i++) {
        const struct pbitc_value *input = graph->inputs[i];
        pbitc_report(request->diagnostics, status, input->name, NULL, 0, NULL, "is an input");
        for (int d = 0; d < input->shape.rank; d++)
            if (input->dim_names[d])
                pbitc_report(request->diagnostics, status, input->name, NULL, 0, NULL,
                             "leaves dimension %d open ('%s')", d, input->dim_names[d]);
    }
    return status;
}

static enum pbit_status apply(struct pbitc_graph *graph, const char *text,
                              struct pbitc_diagnostics *diagnostics)
{
    const char *equals = strrchr(text, '=');
    struct request request = {.text = text, .diagnostics = diagnostics};
    if (!equals || equals == text || !equals[1])
        return refuse(&request, "write --shape NAME=SIZES", "a name, '=' and sizes are wanted");
    request.sizes = equals + 1;
    request.name_length = (size_t)(equals - text);
    for (size_t i = 0; i < graph->input_count; i++)
        if (is_named(&request, graph->inputs[i]->name))
            return fix_input(&request, graph->inputs[i]);
    bool found = false;
    enum pbit_status status = fix_symbol(&request, graph, &found);
    return found ? status : report_names(&request, graph);
}

enum pbit_status pbitc_shapes_apply(struct pbitc_graph *graph, const struct pbitc_texts *texts,
                                    struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    if (!graph && texts->count)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "leave --shape out",
                            "the sizes of a .pbit file are fixed");
    for (size_t i = 0; i < texts->count; i++) {
        enum pbit_status applied = apply(graph, texts->items[i], diagnostics);
        status = applied != PBIT_OK ? applied : status;
    }
    return status;
}
