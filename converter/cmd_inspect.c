// pbitc inspect: lists what an ONNX model or a .pbit file holds.
#include "converter/command.h"
#include "converter/export/verilog/verilog_plan.h"
#include "converter/file.h"
#include "converter/inspect_graph.h"
#include "converter/json.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/shapes.h"
#include "converter/terminal.h"

#include <inttypes.h>
#include <string.h>

struct arguments {
    struct pbitc_texts shapes;
    bool json;
};

static const struct pbitc_option options[] = {
    PBITC_SHAPE_OPTION(struct arguments, shapes),
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct arguments, json), .required = false},
};

static const struct pbitc_usage usage = {
    .name = "inspect",
    .operand = "MODEL.onnx|FILE.pbit",
    .summary =
        "Lists what a model holds. Of an ONNX model: operators, shapes for one image, parameters, multiply-\n"
        "accumulates, the activations that p-bits will replace, and everything that convert cannot handle.\n"
        "Of a .pbit file: its layers, limits and defaults, and where it came from.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

static const char *const sampler_names[] = {
    [PBIT_SAMPLER_IID] = "iid", [PBIT_SAMPLER_STRATIFIED] = "stratified"};

static void print_port(const char *what, const struct pbit_port *port)
{
    printf("%-12s", what);
    pbitc_terminal_name(stdout, port->name, 0);
    const char *ending = pbitc_port_ending(port);
    printf(": %" PRIu32 "x%" PRIu32 "x%" PRIu32 " (height, width, channels)%s%s%s\n", port->height,
           port->width, port->channels, ending ? ", " : "", ending ? ending : "", ending ? " follows" : "");
}

static void print_layer(const struct pbit_layer *layer, size_t width)
{
    char shape[64], detail[96] = "";
    snprintf(shape, sizeof(shape), "%" PRIu32 "x%" PRIu32 "x%" PRIu32, layer->height, layer->width,
             layer->channels);
    if (layer->kind == PBIT_OPERATION_CONV)
        snprintf(detail, sizeof(detail), "%" PRIu64 " weights of %" PRIu32 " bits", layer->weights,
                 layer->weight_bits);
    else if (layer->draws && layer->multibit)
        snprintf(detail, sizeof(detail), "8 bits, noise %g", layer->amplitude / 65536.0);
    else if (layer->draws)
        snprintf(detail, sizeof(detail), "p-bits, %g m draws, rho %g", layer->draw_factor / 256.0,
                 layer->amplitude / 256.0);
    else if (layer->kind == PBIT_OPERATION_NEURON)
        snprintf(detail, sizeof(detail), "exact, 8 bits");
    pbitc_terminal_name(stdout, layer->name, width);
    printf("  %-9s %-14s %-6s %12" PRIu64 "%s%s\n", pbitc_operation_name(layer->kind), shape,
           layer->random ? "pass" : "image", layer->synapses, *detail ? "  " : "", detail);
}

/// Whether `export --target verilog` can build the file's network; reports what it cannot.
static bool check_verilog(const struct pbit_model *model, struct pbitc_diagnostics *problems)
{
    struct pbitc_verilog_plan plan;
    struct pbitc_verilog_wish wish = {.draws = pbit_model_default_draws(model),
                                      .max_samples = pbit_model_default_samples(model),
                                      .tile = 1};
    enum pbit_status status = pbitc_verilog_plan_make(&plan, model, &wish, problems);
    pbitc_verilog_plan_free(&plan);
    return status == PBIT_OK;
}

static void print_pbit(const struct pbitc_model_file *file, struct pbitc_diagnostics *problems)
{
    const struct pbit_model *model = &file->pbit;
    size_t length;
    const char *metadata = pbit_model_metadata(model, &length);
    for (uint32_t i = 0; i < model->input_count; i++) {
        struct pbit_port port = pbit_model_input(model, i);
        print_port("input", &port);
    }
    for (uint32_t i = 0; i < model->output_count; i++) {
        struct pbit_port port = pbit_model_output(model, i);
        print_port("output", &port);
    }
    printf("%-12s%zu bytes\n%-12s%zu bytes\n", "file", file->size, "workspace", pbit_workspace_bytes(model));
    printf("%-12s%" PRIu32 " by default, %" PRIu32 " at most\n", "draws m", pbit_model_default_draws(model),
           pbit_model_max_draws(model));
    printf("%-12s%" PRIu32 " by default, %" PRIu32 " at most\n", "samples T",
           pbit_model_default_samples(model), pbit_model_max_samples(model));
    printf("%-12s%s\n%-12s", "sampler", sampler_names[pbit_model_sampler(model)], "metadata");
    pbitc_terminal_text(stdout, metadata, length, 0);
    putchar('\n');
    bool verilog = check_verilog(model, problems);
    printf("%-12syes\n%-12syes\n%-12s%s\n", "host", "c99", "verilog", verilog ? "yes" : "no, see below");
    size_t width = sizeof("layer") - 1;
    for (uint32_t i = 0; i < model->operation_count; i++) {
        size_t name = strlen(pbit_model_layer(model, i).name);
        width = name > width ? name : width;
    }
    printf("\n%-*s  %-9s %-14s %-6s %12s\n", (int)width, "layer", "operation", "output", "per", "synapses");
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        print_layer(&layer, width);
    }
    if (!verilog) {
        puts("\nwhat the verilog target cannot build:");
        pbitc_diagnostics_print(problems, stdout);
    }
}

static void write_port(struct pbitc_json *json, const struct pbit_port *port)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "name", port->name);
    pbitc_json_integer(json, "height", port->height);
    pbitc_json_integer(json, "width", port->width);
    pbitc_json_integer(json, "channels", port->channels);
    pbitc_json_bool(json, "channels_last", port->channels_last);
    pbitc_json_bool(json, "softmax", port->softmax);
    pbitc_json_bool(json, "log_softmax", port->log_softmax);
    pbitc_json_close_object(json);
}

static void write_layer(struct pbitc_json *json, const struct pbit_layer *layer)
{
    pbitc_json_open_object(json, NULL);
    pbitc_json_string(json, "name", layer->name);
    pbitc_json_string(json, "operation", pbitc_operation_name(layer->kind));
    pbitc_json_integer(json, "height", layer->height);
    pbitc_json_integer(json, "width", layer->width);
    pbitc_json_integer(json, "channels", layer->channels);
    pbitc_json_bool(json, "random", layer->random);
    if (layer->kind == PBIT_OPERATION_CONV) {
        pbitc_json_integer(json, "fan_in", layer->fan_in);
        pbitc_json_integer(json, "weight_bits", layer->weight_bits);
        pbitc_json_integer(json, "weight_group", layer->weight_group);
        pbitc_json_integer(json, "weights", (int64_t)layer->weights);
        pbitc_json_integer(json, "synapses", (int64_t)layer->synapses);
    } else if (layer->kind == PBIT_OPERATION_NEURON) {
        pbitc_json_bool(json, "draws", layer->draws);
        pbitc_json_bool(json, "multibit", layer->multibit);
        pbitc_json_real(json, "draw_factor", layer->draw_factor / 256.0);
        pbitc_json_real(json, "amplitude", layer->amplitude / (layer->multibit ? 65536.0 : 256.0));
    }
    pbitc_json_close_object(json);
}

static void write_pbit(struct pbitc_json *json, const struct pbitc_model_file *file,
                       struct pbitc_diagnostics *problems)
{
    const struct pbit_model *model = &file->pbit;
    pbitc_json_open_array(json, "inputs");
    for (uint32_t i = 0; i < model->input_count; i++) {
        struct pbit_port port = pbit_model_input(model, i);
        write_port(json, &port);
    }
    pbitc_json_close_array(json);
    pbitc_json_open_array(json, "outputs");
    for (uint32_t i = 0; i < model->output_count; i++) {
        struct pbit_port port = pbit_model_output(model, i);
        write_port(json, &port);
    }
    pbitc_json_close_array(json);
    pbitc_json_integer(json, "file_bytes", (int64_t)file->size);
    pbitc_json_integer(json, "workspace_bytes", (int64_t)pbit_workspace_bytes(model));
    pbitc_json_integer(json, "default_draws", pbit_model_default_draws(model));
    pbitc_json_integer(json, "max_draws", pbit_model_max_draws(model));
    pbitc_json_integer(json, "default_samples", pbit_model_default_samples(model));
    pbitc_json_integer(json, "max_samples", pbit_model_max_samples(model));
    pbitc_json_string(json, "sampler", sampler_names[pbit_model_sampler(model)]);
    pbitc_json_parsed(json, "metadata", file->metadata);
    pbitc_json_open_object(json, "targets");
    pbitc_json_bool(json, "host", true);
    pbitc_json_bool(json, "c99", true);
    pbitc_json_bool(json, "verilog", check_verilog(model, problems));
    pbitc_json_close_object(json);
    pbitc_json_open_array(json, "layers");
    for (uint32_t i = 0; i < model->operation_count; i++) {
        struct pbit_layer layer = pbit_model_layer(model, i);
        write_layer(json, &layer);
    }
    pbitc_json_close_array(json);
}

static void write_json(const struct pbitc_model_file *file, struct pbitc_diagnostics *problems)
{
    struct pbitc_json json = {.stream = stdout, .indent = 2};
    char hash[PBITC_HASH_TEXT];
    pbitc_json_open_object(&json, NULL);
    pbitc_json_integer(&json, "schema", 1);
    pbitc_json_string(&json, "kind", file->graph ? "onnx" : "pbit");
    pbitc_json_string(&json, "hash", pbitc_hash_text(file->hash, hash));
    if (file->graph)
        pbitc_inspect_graph_write(&json, file->graph, problems);
    else
        write_pbit(&json, file, problems);
    pbitc_json_close_object(&json);
}

int pbitc_cmd_inspect(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.json = false};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    struct pbitc_model_file file;
    enum pbit_status status = pbitc_model_file_open(&file, path, diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    status = pbitc_shapes_apply(file.graph, &arguments.shapes, diagnostics);
    if (status != PBIT_OK) {
        pbitc_model_file_close(&file);
        return pbitc_exit_code(status);
    }
    // What convert could not handle is part of the answer here, not a failure.
    struct pbitc_diagnostics *problems = pbitc_diagnostics_create();
    if (!problems) {
        pbitc_model_file_close(&file);
        return pbitc_exit_code(PBIT_ERROR_MEMORY);
    }
    if (file.graph) {
        pbitc_decide_branches(file.graph, problems);
        pbitc_infer_shapes(file.graph, 1, problems);
        pbitc_check_convertible(file.graph, problems);
    }
    if (arguments.json)
        write_json(&file, problems);
    else if (file.graph)
        pbitc_inspect_graph_print(file.graph, problems);
    else
        print_pbit(&file, problems);
    pbitc_diagnostics_destroy(problems);
    pbitc_model_file_close(&file);
    return PBITC_EXIT_DONE;
}
