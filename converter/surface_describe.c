// What there is to measure: cells, twins and layers of a report.
#include "converter/data/readers.h"
#include "converter/isolate_layer.h"
#include "converter/report/report_layers.h"
#include "converter/surface.h"

#include "runtime/format.h"

#include <stdlib.h>
#include <string.h>

static enum pbit_status check(const struct pbitc_surface_request *request,
                              struct pbitc_diagnostics *diagnostics)
{
    if (request->model->input_count != 1)
        return pbitc_report(
            diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "use 'pbitc run' for such files",
            "accuracy is measured on files with one input, this one has %u", request->model->input_count);
    struct pbit_port input = pbit_model_input(request->model, 0),
                     output = pbit_model_output(request->model, 0);
    enum pbit_status status =
        pbitc_dataset_check_input(request->dataset, input.name, input.elements, diagnostics);
    if (request->confidence_count && output.elements < 2)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, output.name, NULL, 0,
                            "name numbers of --samples",
                            "is a single number: there is no margin to stop early on");
    enum pbit_status labels = pbitc_dataset_check_labels(request->dataset, output.elements, diagnostics);
    return status != PBIT_OK ? status : labels;
}

/// The file's default (m, T) where it is measured, else the cell with the largest m*T.
static size_t choose_main_cell(const struct pbit_model *model, const struct pbitc_accuracy_report *report)
{
    size_t largest = 0;
    for (size_t i = 0; i < report->cell_count; i++) {
        const struct pbitc_accuracy_cell *cell = &report->cells[i], *best = &report->cells[largest];
        if (cell->draws == pbit_model_default_draws(model) &&
            cell->samples == pbit_model_default_samples(model))
            return i;
        if ((uint64_t)cell->draws * cell->samples > (uint64_t)best->draws * best->samples)
            largest = i;
    }
    return largest;
}

static bool describe_cells(const struct pbitc_surface_request *request, struct pbitc_accuracy_report *report)
{
    report->cells = pbitc_arena_allocate(report->arena, request->draws_count * request->samples_count,
                                         sizeof(*report->cells));
    for (size_t m = 0; m < request->draws_count && report->cells; m++) {
        for (size_t t = 0; t < request->samples_count; t++) {
            struct pbitc_accuracy_cell *cell = &report->cells[report->cell_count++];
            *cell = (struct pbitc_accuracy_cell){
                .samples = request->samples[t], .draws = request->draws[m], .seeds = report->seed_count};
            if (!pbitc_report_allocate_cell(report, cell))
                return false;
        }
    }
    return report->cells != NULL;
}

static bool describe_stops(const struct pbitc_surface_request *request, struct pbitc_accuracy_report *report)
{
    report->stops = pbitc_arena_allocate(report->arena, request->draws_count * request->confidence_count,
                                         sizeof(*report->stops));
    for (size_t m = 0; m < request->draws_count && report->stops; m++) {
        for (size_t c = 0; c < request->confidence_count; c++) {
            struct pbitc_accuracy_cell *stop = &report->stops[report->stop_count++];
            *stop = (struct pbitc_accuracy_cell){.samples = request->stop_samples,
                                                 .draws = request->draws[m],
                                                 .seeds = report->seed_count,
                                                 .confidence = request->confidences[c]};
            if (!pbitc_report_allocate_cell(report, stop))
                return false;
        }
    }
    return report->stops != NULL;
}

static bool describe_twins(const struct pbitc_surface_request *request, struct pbitc_accuracy_report *report)
{
    static const uint32_t widths[PBITC_TWINS_LIMIT] = {1, 2, 3, 4, 8};
    report->twins = pbitc_arena_allocate(report->arena, PBITC_TWINS_LIMIT, sizeof(*report->twins));
    for (size_t i = 0; i < PBITC_TWINS_LIMIT && report->twins && request->thorough; i++) {
        uint32_t draws = (UINT32_C(1) << widths[i]) - 1;
        if (draws > pbit_model_max_draws(request->model))
            continue;
        struct pbitc_accuracy_cell *twin = &report->twins[report->twin_count++];
        *twin = (struct pbitc_accuracy_cell){.samples = 1, .draws = draws, .bits = widths[i], .seeds = 1};
        if (!pbitc_report_allocate_cell(report, twin))
            return false;
    }
    return report->twins != NULL;
}

int pbitc_find_byte_twin(const struct pbitc_accuracy_report *report)
{
    for (size_t i = 0; i < report->twin_count; i++) {
        if (report->twins[i].bits == 8)
            return (int)i;
    }
    return -1;
}

/// Which layers' levels are counted, and which can be looked at alone.
static void describe_measured(const struct pbit_model *model, uint32_t index, uint8_t *copy,
                              struct pbitc_accuracy_report *report)
{
    struct pbitc_report_layer *layer = &report->layers[index];
    struct pbit_tensor output = pbit_model_tensor(model, pbit_model_operation(model, index).output);
    layer->has_levels = output.kind == PBIT_LEVELS;
    if (layer->has_levels)
        layer->levels = pbit_tensor_levels(&output, report->cells[report->main_cell].draws);
    layer->has_loss = copy && layer->draws && pbitc_layer_can_isolate(model, index, copy);
}

static bool describe_layers(const struct pbitc_surface_request *request, struct pbitc_accuracy_report *report)
{
    const struct pbit_model *model = request->model;
    bool losses = pbitc_find_byte_twin(report) >= 0;
    uint8_t *copy = losses ? malloc(model->size) : NULL;
    if (copy)
        memcpy(copy, model->bytes, model->size);
    report->layers = pbitc_report_layers_describe(report->arena, model, &report->layer_count);
    bool good = report->layers && (copy || !losses);
    for (uint32_t i = 0; i < model->operation_count && good; i++)
        describe_measured(model, i, copy, report);
    free(copy);
    return good;
}

enum pbit_status pbitc_surface_describe(const struct pbitc_surface_request *request,
                                        struct pbitc_diagnostics *diagnostics,
                                        struct pbitc_accuracy_report *report)
{
    enum pbit_status status = check(request, diagnostics);
    if (status != PBIT_OK)
        return status;
    report->has_model = true;
    if (!describe_cells(request, report) || !describe_stops(request, report) ||
        !describe_twins(request, report))
        return pbitc_report_memory(diagnostics);
    report->main_cell = choose_main_cell(request->model, report);
    if (!describe_layers(request, report))
        return pbitc_report_memory(diagnostics);
    report->has_confusion = report->classes <= PBITC_CONFUSION_CLASSES;
    report->confusion =
        pbitc_arena_allocate(report->arena, report->has_confusion ? report->classes * report->classes : 0,
                             sizeof(*report->confusion));
    report->changed = pbitc_arena_allocate(report->arena, PBITC_CHANGED_LIMIT, sizeof(*report->changed));
    return report->confusion && report->changed ? PBIT_OK : pbitc_report_memory(diagnostics);
}
