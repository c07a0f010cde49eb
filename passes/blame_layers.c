#include "passes/blame_layers.h"

#include "passes/borrow_weights.h"
#include "passes/calibration_run.h"
#include "passes/pass_support.h"
#include "passes/quantized.h"
#include "passes/twin_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 128 };

/// A layer gets a hint from this share of all layers' squared errors on.
static const double WORTH_A_HINT = 0.1;

struct pbitc_blame_copies {
    struct pbitc_graph *lifted;         ///< the float network, neuron by neuron
    struct pbitc_graph *exact;          ///< 8-bit neurons with the ranges of p-bits, float weights
    struct pbitc_graph *rounded;        ///< the same, to be quantized
    struct pbitc_range *rounded_ranges; ///< its context's
};

static bool is_exact(const struct pbitc_node *node)
{
    return !pbitc_node_is(node, PBITC_OP_PBit) || pbitc_is_neuron(node, "exact");
}

/// NULL when out of memory.
static struct pbitc_graph *copy_graph(struct pbitc_graph *graph, struct pbitc_context *context, bool lift)
{
    struct pbitc_graph *copy = pbitc_graph_clone(graph);
    bool good = copy && pbitc_infer_shapes(copy, 1, context->diagnostics) == PBIT_OK;
    if (good && lift)
        pbitc_lift_ranges(copy);
    for (struct pbitc_node *node = good ? copy->first : NULL; node && good; node = node->next)
        good = is_exact(node) || pbitc_node_set_string(copy, node, "kind", "exact");
    if (good)
        return copy;
    pbitc_graph_destroy(copy);
    return NULL;
}

enum pbit_status pbitc_blame_copies_create(struct pbitc_graph *graph, struct pbitc_context *context,
                                           struct pbitc_blame_copies **copies)
{
    struct pbitc_blame_copies *made = pbitc_arena_allocate(graph->arena, 1, sizeof(*made));
    *copies = made;
    if (!made)
        return pbitc_out_of_memory(context);
    made->lifted = copy_graph(graph, context, true);
    made->exact = copy_graph(graph, context, false);
    made->rounded = copy_graph(graph, context, false);
    bool good = made->lifted && made->exact && made->rounded &&
                pbitc_copy_ranges(made->rounded, context->ranges, &made->rounded_ranges);
    return good ? PBIT_OK : pbitc_out_of_memory(context);
}

void pbitc_blame_copies_destroy(struct pbitc_blame_copies *copies)
{
    if (!copies)
        return;
    pbitc_graph_destroy(copies->lifted);
    pbitc_graph_destroy(copies->exact);
    pbitc_graph_destroy(copies->rounded);
    *copies = (struct pbitc_blame_copies){.exact = NULL};
}

// ---- one layer

struct work {
    struct pbitc_blame_copies *copies;
    struct pbitc_graph *graph;
    struct pbitc_context *context;
    const float *wanted;
    float *now, *clipped; ///< of the exact copy with float weights
    size_t images, outputs;
    size_t count; ///< of lines
    struct pbitc_blame_line *lines;
};

static size_t top1(const float *values, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

void pbitc_blame_compare(const float *wanted, const float *now, size_t images, size_t outputs,
                         struct pbitc_blame_line *line)
{
    double error = 0, power = 0;
    size_t same = 0;
    for (size_t n = 0; n < images; n++, wanted += outputs, now += outputs) {
        for (size_t i = 0; i < outputs; i++) {
            error += (double)(now[i] - wanted[i]) * (now[i] - wanted[i]);
            power += (double)wanted[i] * wanted[i];
        }
        same += top1(now, outputs) == top1(wanted, outputs);
    }
    line->relative_error = power > 0 ? sqrt(error / power) : sqrt(error);
    line->agreement = (double)same / (double)images;
}

static enum pbit_status run(struct work *work, struct pbitc_graph *graph, uint32_t samples, float *result)
{
    return pbitc_calibration_outputs(graph, work->context, "blame", work->images,
                                     work->context->options->draws, samples, result);
}

static void add_line(struct work *work, const char *cause, const struct pbitc_node *node, const float *wanted)
{
    struct pbitc_blame_line *line = &work->lines[work->count++];
    *line = (struct pbitc_blame_line){.cause = cause, .name = node->name};
    pbitc_blame_compare(wanted, work->now, work->images, work->outputs, line);
}

/// Its draws and its range, in the float network.
static enum pbit_status measure_draws(struct work *work, const struct pbitc_node *node,
                                      struct pbitc_node *lifted)
{
    struct pbitc_graph *graph = work->copies->lifted;
    bool bare = !pbitc_node_attribute(lifted, "low");
    size_t count;
    const float *low = pbitc_node_floats(node, "low", &count),
                *high = pbitc_node_floats(node, "high", &count);
    const char *kind = pbitc_node_string(node, "kind", "pbit");
    bool good = pbitc_node_set_string(graph, lifted, "kind", kind) &&
                pbitc_node_set_floats(graph, lifted, "low", low, count) &&
                pbitc_node_set_floats(graph, lifted, "high", high, count);
    enum pbit_status status = good ? run(work, graph, work->context->options->samples, work->now)
                                   : pbitc_out_of_memory(work->context);
    if (status == PBIT_OK)
        add_line(work, strcmp(kind, "pbit") == 0 ? "draws" : "noise", node, work->wanted);
    if (bare) {
        pbitc_node_remove_attribute(lifted, "low");
        pbitc_node_remove_attribute(lifted, "high");
    }
    if (status == PBIT_OK && !pbitc_node_set_string(graph, lifted, "kind", "exact"))
        status = pbitc_out_of_memory(work->context);
    return status;
}

static enum pbit_status measure_weights(struct work *work, const struct pbitc_node *node,
                                        struct pbitc_node *exact, const struct pbitc_node *rounded)
{
    struct pbitc_graph *graph = work->copies->exact;
    struct pbitc_borrowed borrowed;
    if (!pbitc_borrow_weights(graph, exact, rounded, &borrowed))
        return pbitc_out_of_memory(work->context);
    enum pbit_status status = run(work, graph, 1, work->now);
    if (status == PBIT_OK)
        add_line(work, "weights", node, work->clipped);
    pbitc_return_weights(&borrowed);
    return status;
}

// ---- all layers

static int worse_first(const void *a, const void *b)
{
    double x = ((const struct pbitc_blame_line *)a)->relative_error,
           y = ((const struct pbitc_blame_line *)b)->relative_error;
    return (x < y) - (x > y);
}

/// What to write into the recipe for a layer that spoils more than others.
static const char *find_hint(struct work *work, const struct pbitc_blame_line *line)
{
    PBITC_FOR_EACH_NODE(node, work->graph)
    {
        if (strcmp(node->name, line->name) != 0)
            continue;
        if (strcmp(line->cause, "draws") == 0)
            return pbitc_arena_format(work->graph->arena,
                                      "\"draws\": %g halves it, \"neuron\": \"exact\" ends it",
                                      (double)pbitc_draw_factor(work->context, node->name) * 2);
        if (strcmp(line->cause, "noise") == 0)
            return "\"rho\" smaller, or \"neuron\": \"exact\"";
        int bits = node->quantized ? node->quantized->bits : 8;
        if (bits < 8)
            return pbitc_arena_format(work->graph->arena, "\"weights\": %d%s", bits < 6 ? bits + 2 : 8,
                                      node->quantized->group ? "" : ", or \"group\": 64");
    }
    return NULL;
}

static enum pbit_status measure_all(struct work *work)
{
    const struct pbitc_blame_copies *copies = work->copies;
    struct pbitc_node *lifted = copies->lifted->first, *exact = copies->exact->first,
                      *rounded = copies->rounded->first;
    enum pbit_status status = run(work, copies->exact, 1, work->clipped);
    for (struct pbitc_node *node = work->graph->first;
         node && lifted && exact && rounded && status == PBIT_OK;
         node = node->next, lifted = lifted->next, exact = exact->next, rounded = rounded->next) {
        if (!is_exact(node))
            status = measure_draws(work, node, lifted);
        else if (rounded->quantized)
            status = measure_weights(work, node, exact, rounded);
    }
    return status;
}

static void append_lines(struct work *work)
{
    double sum = 0;
    for (size_t i = 0; i < work->count; i++)
        sum += work->lines[i].relative_error * work->lines[i].relative_error;
    qsort(work->lines, work->count, sizeof(*work->lines), worse_first);
    struct pbitc_blame_line **end = &work->context->blame;
    while (*end)
        end = &(*end)->next;
    for (size_t i = 0; i < work->count; i++) {
        struct pbitc_blame_line *line = &work->lines[i];
        if (line->relative_error * line->relative_error > WORTH_A_HINT * sum)
            line->hint = find_hint(work, line);
        *end = line;
        end = &line->next;
    }
}

enum pbit_status pbitc_blame_layers(struct pbitc_blame_copies *copies, struct pbitc_graph *graph,
                                    struct pbitc_context *context, const float *wanted, size_t images,
                                    size_t outputs)
{
    struct work work = {.copies = copies,
                        .graph = graph,
                        .context = context,
                        .wanted = wanted,
                        .images = images < IMAGES ? images : IMAGES,
                        .outputs = outputs};
    size_t nodes = pbitc_graph_node_count(graph);
    work.now = pbitc_arena_allocate(graph->arena, work.images * outputs, sizeof(float));
    work.clipped = pbitc_arena_allocate(graph->arena, work.images * outputs, sizeof(float));
    work.lines = pbitc_arena_allocate(graph->arena, nodes, sizeof(*work.lines));
    if (!work.now || !work.clipped || !work.lines)
        return pbitc_out_of_memory(context);
    // Weights are rounded behind exact neurons, so that nothing in them makes up for draws.
    struct pbitc_context quiet = *context;
    struct pbitc_options options = pbitc_quiet_options(context->options);
    quiet.options = &options;
    quiet.ranges = copies->rounded_ranges;
    bool changed;
    enum pbit_status status =
        pbitc_pass_run(pbitc_pass_find("quantize-weights"), copies->rounded, &quiet, &changed);
    if (status == PBIT_OK)
        status = measure_all(&work);
    if (status == PBIT_OK)
        append_lines(&work);
    return status;
}
