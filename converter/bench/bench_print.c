#include "converter/bench/bench.h"

#include "converter/file.h"
#include "converter/model_file.h"
#include "converter/terminal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/// Not a number where it is not known.
static double macs_per_cycle(const struct pbitc_bench *bench, double macs_per_second)
{
    return bench->peaks.clock > 0 && macs_per_second > 0 ? macs_per_second / bench->peaks.clock : NAN;
}

static double ceiling_share(const struct pbitc_bench *bench, const struct pbitc_bench_layer *layer)
{
    double ceiling = layer->instruction ? pbitc_bench_ceiling(&bench->peaks, layer->instruction) : 0;
    return ceiling > 0 ? (double)layer->macs / layer->seconds / ceiling : NAN;
}

static double layers_seconds(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell)
{
    double sum = 0;
    for (uint32_t i = 0; i < bench->model->operation_count; i++)
        sum += cell->layers[i].seconds;
    return sum;
}

/// What the neurons take of the layers' time; without those that do the work of others.
static double neuron_share(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell)
{
    double sum = 0;
    for (uint32_t i = 0; i < bench->model->operation_count; i++)
        if (pbit_model_layer(bench->model, i).kind == PBIT_OPERATION_NEURON && !cell->layers[i].instruction)
            sum += cell->layers[i].seconds;
    return sum / layers_seconds(bench, cell);
}

static void print_share(FILE *stream, int width, double share)
{
    if (isnan(share))
        fprintf(stream, "%*s  ", width, "");
    else
        fprintf(stream, "%*.1f %%", width, 100 * share);
}

static void print_machine(const struct pbitc_bench *bench, FILE *stream)
{
    fprintf(stream, "kernels   %s\nthreads   %d\nweights   %zu bytes as the kernels want them\n",
            pbit_cpu_name(bench->cpu), bench->threads, bench->engine_bytes);
    if (bench->peaks.clock > 0)
        fprintf(stream, "clock     %.2f GHz, measured\n", bench->peaks.clock / 1e9);
    for (size_t i = 0; i < bench->peaks.ceiling_count; i++)
        fprintf(stream, "ceiling   %.1f multiply-accumulates per cycle and thread with %s, measured\n",
                macs_per_cycle(bench, bench->peaks.ceilings[i].macs_per_second),
                bench->peaks.ceilings[i].instruction);
}

static void print_cells(const struct pbitc_bench *bench, FILE *stream)
{
    fprintf(stream, "\n%5s %5s %6s %12s %14s %16s %14s\n", "m", "T", "batch", "images/s", "ns per image",
            "workspace bytes", "further sample");
    for (size_t i = 0; i < bench->cell_count; i++) {
        const struct pbitc_bench_cell *cell = &bench->cells[i];
        fprintf(stream, "%5" PRIu32 " %5" PRIu32 " %6zu %12.1f %14.0f %16zu ", cell->draws, cell->samples,
                cell->batch, 1 / cell->seconds, 1e9 * cell->seconds, cell->workspace_bytes);
        print_share(stream, 12, cell->samples > 1 ? pbitc_bench_further_sample(bench, cell) : NAN);
        fputc('\n', stream);
    }
}

static void print_layers(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell, FILE *stream)
{
    double whole = layers_seconds(bench, cell);
    size_t width = sizeof("layer") - 1;
    for (uint32_t i = 0; i < bench->model->operation_count; i++) {
        size_t name = strlen(pbit_model_layer(bench->model, i).name);
        width = name > width ? name : width;
    }
    fprintf(stream,
            "\nm = %" PRIu32 ", T = %" PRIu32
            ", batch %zu, on one thread; neurons by themselves take %.1f %% of the time:\n",
            cell->draws, cell->samples, cell->batch, 100 * neuron_share(bench, cell));
    fprintf(stream, "%-*s  %-9s %14s %8s %10s %10s  %s\n", (int)width, "layer", "operation", "ns per image",
            "of time", "MAC/cycle", "of ceiling", "instruction");
    for (uint32_t i = 0; i < bench->model->operation_count; i++) {
        const struct pbitc_bench_layer *layer = &cell->layers[i];
        struct pbit_layer described = pbit_model_layer(bench->model, i);
        double rate = macs_per_cycle(bench, (double)layer->macs / layer->seconds);
        pbitc_terminal_name(stream, described.name, width);
        fprintf(stream, "  %-9s %14.0f", pbitc_operation_name(described.kind), 1e9 * layer->seconds);
        print_share(stream, 7, layer->seconds / whole);
        if (isnan(rate))
            fprintf(stream, "%11s", "");
        else
            fprintf(stream, "%11.1f", rate);
        print_share(stream, 9, ceiling_share(bench, layer));
        fprintf(stream, "  %s", layer->instruction ? layer->instruction : layer->done_by != i ? "in " : "");
        if (layer->done_by != i)
            pbitc_terminal_name(stream, pbit_model_layer(bench->model, layer->done_by).name, 0);
        fputc('\n', stream);
    }
}

void pbitc_bench_print(const struct pbitc_bench *bench, FILE *stream)
{
    print_machine(bench, stream);
    print_cells(bench, stream);
    for (size_t i = 0; i < bench->cell_count; i++)
        print_layers(bench, &bench->cells[i], stream);
}

static void write_layer(struct pbitc_json *json, const struct pbitc_bench *bench,
                        const struct pbitc_bench_cell *cell, uint32_t index)
{
    const struct pbitc_bench_layer *layer = &cell->layers[index];
    struct pbit_layer described = pbit_model_layer(bench->model, index);
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "name", described.name);
    pbitc_json_string(json, "operation", pbitc_operation_name(described.kind));
    pbitc_json_real(json, "ns_per_image", 1e9 * layer->seconds);
    pbitc_json_real(json, "share_of_time", layer->seconds / layers_seconds(bench, cell));
    if (layer->done_by != index)
        pbitc_json_integer(json, "done_by", layer->done_by);
    if (layer->instruction) {
        pbitc_json_string(json, "instruction", layer->instruction);
        pbitc_json_integer(json, "macs_per_image", (int64_t)layer->macs);
        pbitc_json_real(json, "macs_per_cycle", macs_per_cycle(bench, (double)layer->macs / layer->seconds));
        pbitc_json_real(json, "share_of_ceiling", ceiling_share(bench, layer));
    }
    pbitc_json_close_object(json);
}

static void write_cell(struct pbitc_json *json, const struct pbitc_bench *bench,
                       const struct pbitc_bench_cell *cell)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_integer(json, "draws", cell->draws);
    pbitc_json_integer(json, "samples", cell->samples);
    pbitc_json_integer(json, "batch", (int64_t)cell->batch);
    pbitc_json_real(json, "images_per_second", 1 / cell->seconds);
    pbitc_json_real(json, "ns_per_image", 1e9 * cell->seconds);
    pbitc_json_integer(json, "repetitions", (int64_t)cell->repetitions);
    pbitc_json_integer(json, "workspace_bytes", (int64_t)cell->workspace_bytes);
    pbitc_json_real(json, "further_sample", pbitc_bench_further_sample(bench, cell));
    pbitc_json_real(json, "neurons_share_of_time", neuron_share(bench, cell));
    pbitc_json_open_array(json, "layers");
    for (uint32_t i = 0; i < bench->model->operation_count; i++)
        write_layer(json, bench, cell, i);
    pbitc_json_close_array(json);
    pbitc_json_close_object(json);
}

void pbitc_bench_write_json(const struct pbitc_bench *bench, FILE *stream)
{
    struct pbitc_json json = {.stream = stream, .indent = 4};
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "hash", pbitc_hash_text(bench->model_hash, hash));
    pbitc_json_string(&json, "kernels", pbit_cpu_name(bench->cpu));
    pbitc_json_integer(&json, "threads", bench->threads);
    pbitc_json_integer(&json, "engine_bytes", (int64_t)bench->engine_bytes);
    pbitc_json_real(&json, "clock_ghz", bench->peaks.clock > 0 ? bench->peaks.clock / 1e9 : NAN);
    pbitc_json_open_array(&json, "ceilings");
    for (size_t i = 0; i < bench->peaks.ceiling_count; i++) {
        const struct pbitc_bench_ceiling *ceiling = &bench->peaks.ceilings[i];
        pbitc_json_open_object(&json, NULL);
        pbitc_json_string(&json, "instruction", ceiling->instruction);
        pbitc_json_real(&json, "macs_per_second", ceiling->macs_per_second);
        pbitc_json_real(&json, "macs_per_cycle", macs_per_cycle(bench, ceiling->macs_per_second));
        pbitc_json_close_object(&json);
    }
    pbitc_json_close_array(&json);
    pbitc_json_open_array(&json, "cells");
    for (size_t i = 0; i < bench->cell_count; i++)
        write_cell(&json, bench, &bench->cells[i]);
    pbitc_json_close_array(&json);
    pbitc_json_close_object(&json);
}
