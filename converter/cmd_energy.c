// pbitc energy: what an image costs, by the paper's equations.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/energy/energy_print.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/report/report_layers.h"

struct arguments {
    int preset, convention;
    const char *constants, *activity;
    struct pbitc_integers samples, draws;
    bool json;
};

static const struct pbitc_option options[] = {
    PBITC_ENERGY_OPTIONS(struct arguments, preset, constants),
    {"convention", 0, "NAME",
     "exact (the default): layer by layer, as the network is; paper: every\nneuron with the mean fan-in, "
     "every input a p-bit",
     PBITC_OPTION_CHOICE, offsetof(struct arguments, convention), .choices = pbitc_energy_convention_names},
    {"samples", 0, "T,T,...", "numbers of passes (1,2,4,8)", PBITC_OPTION_INTEGERS,
     offsetof(struct arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draws", 0, "m,m,...", "numbers of p-bits per neuron and pass (1,2,4,8)", PBITC_OPTION_INTEGERS,
     offsetof(struct arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"activity", 0, "X", "share of ones among the p-bits, 0..1 (0.5)", PBITC_OPTION_TEXT,
     offsetof(struct arguments, activity), .required = false},
    {"json", 0, NULL, "print JSON", PBITC_OPTION_FLAG, offsetof(struct arguments, json), .required = false},
};

static void print_details(FILE *stream)
{
    fputs("\nconstants FILE.json: energies in pJ by the symbols of the paper, 32-bit multiplication and "
          "addition, "
          "memory\nper bit:\n"
          "  {\"e_wM\": 0.0384, \"e_aM\": 0.0384, \"e_mul\": 8.989, \"e_add\": 0.239,\n"
          "   \"e_act\": 0.087, \"e_rng\": 0.181, \"e_compare\": 0.022, \"name\": \"65 nm\"}\n",
          stream);
}

static const struct pbitc_usage usage = {
    .name = "energy",
    .operand = "FILE.pbit|MODEL.onnx",
    .summary =
        "Estimates the energy of one image by the equations of the paper (arXiv 2507.07763): the first "
        "pass,\neach further pass, and the gain over the deterministic network of 32 bits and over twins "
        "with k-bit\nactivations. A .pbit file counts with its own weight bits, an ONNX model with 32.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .details = print_details,
};

static size_t make_list(const struct pbitc_integers *asked, uint32_t *list)
{
    static const struct pbitc_integers standard = {.count = 4, .items = {1, 2, 4, 8}};
    if (asked->count == 0)
        asked = &standard;
    for (size_t i = 0; i < asked->count; i++)
        list[i] = (uint32_t)asked->items[i];
    return asked->count;
}

static enum pbit_status find_network(struct pbitc_model_file *file, enum pbitc_energy_convention convention,
                                     double activity, struct pbitc_arena *arena,
                                     struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_energy_network *network)
{
    if (file->graph)
        return pbitc_energy_network_of_graph(file->graph, convention, activity, diagnostics, network);
    size_t count;
    struct pbitc_report_layer *layers = pbitc_report_layers_describe(arena, &file->pbit, &count);
    if (!layers || !pbitc_energy_network_of_layers(layers, count, convention, activity, arena, network))
        return pbitc_report_memory(diagnostics);
    return PBIT_OK;
}

/// Reports m and T above what a .pbit file allows.
static enum pbit_status check_budgets(const struct pbitc_model_file *file,
                                      const struct pbitc_energy_listing *listing,
                                      struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < listing->draws_count && !file->graph; i++) {
        enum pbit_status one = pbitc_model_file_check_budget(file, listing->draws[i], 0, diagnostics);
        status = one != PBIT_OK ? one : status;
    }
    for (size_t i = 0; i < listing->samples_count && !file->graph; i++) {
        enum pbit_status one = pbitc_model_file_check_budget(file, 0, listing->samples[i], diagnostics);
        status = one != PBIT_OK ? one : status;
    }
    return status;
}

static enum pbit_status print_energy(const struct arguments *arguments, double activity, const char *path,
                                     struct pbitc_arena *arena, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_energy_constants constants;
    struct pbitc_model_file file;
    enum pbit_status status = pbitc_energy_constants_choose(arguments->preset, arguments->constants, arena,
                                                            diagnostics, &constants);
    enum pbit_status opened = pbitc_model_file_open(&file, path, diagnostics);
    if (opened != PBIT_OK)
        return opened;
    struct pbitc_energy_network network;
    uint32_t samples[PBITC_LIST_LIMIT], draws[PBITC_LIST_LIMIT];
    struct pbitc_energy_listing listing = {
        .network = &network,
        .constants = &constants,
        .model_hash = file.hash,
        .samples_count = make_list(&arguments->samples, samples),
        .draws_count = make_list(&arguments->draws, draws),
        .samples = samples,
        .draws = draws,
    };
    if (status == PBIT_OK)
        status = check_budgets(&file, &listing, diagnostics);
    if (status == PBIT_OK)
        status = find_network(&file, (enum pbitc_energy_convention)arguments->convention, activity, arena,
                              diagnostics, &network);
    if (status == PBIT_OK && arguments->json)
        pbitc_energy_write_json(&listing, stdout);
    else if (status == PBIT_OK)
        pbitc_energy_write_text(&listing, stdout);
    pbitc_model_file_close(&file);
    return status;
}

int pbitc_cmd_energy(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.preset = -1};
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    double activity = PBITC_ENERGY_ACTIVITY;
    if (arguments.activity &&
        (!pbitc_parse_real(arguments.activity, &activity) || activity < 0 || activity > 1))
        return pbitc_usage_error(usage.name, "--activity: '%s' is not a number in 0..1", arguments.activity);
    if (arguments.constants && arguments.preset >= 0)
        return pbitc_usage_error(usage.name, "--preset and --constants exclude each other");
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    if (!arena)
        return pbitc_exit_code(pbitc_report_memory(diagnostics));
    enum pbit_status status = print_energy(&arguments, activity, path, arena, diagnostics);
    pbitc_arena_destroy(arena);
    return pbitc_exit_code(status);
}
