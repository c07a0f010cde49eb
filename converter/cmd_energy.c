// pbitc energy: what an image costs, by the paper's equations.
#include "converter/command.h"
#include "converter/data/readers.h"
#include "converter/energy/energy_network.h"
#include "converter/energy/energy_print.h"
#include "converter/model_file.h"
#include "converter/options.h"
#include "converter/report/report_layers.h"
#include "converter/report/report_read.h"

struct arguments {
    int preset, convention;
    const char *constants, *activity, *report, *min_accuracy;
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
    {"report", 0, "report.json", "take the measured share of every layer from this report of the\n.pbit file",
     PBITC_OPTION_TEXT, offsetof(struct arguments, report), .required = false},
    {"min-accuracy", 0, "X",
     "find the m and T of --report that reach this accuracy (0..1) at the\nleast energy; exit code 1 when "
     "none "
     "does",
     PBITC_OPTION_TEXT, offsetof(struct arguments, min_accuracy), .required = false},
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
                                     double activity, const struct pbitc_accuracy_report *report,
                                     struct pbitc_arena *arena, struct pbitc_diagnostics *diagnostics,
                                     struct pbitc_energy_network *network)
{
    if (file->graph)
        return pbitc_energy_network_of_graph(file->graph, convention, activity, diagnostics, network);
    size_t count = report ? report->layer_count : 0;
    const struct pbitc_report_layer *layers = report ? report->layers : NULL;
    if (!report)
        layers = pbitc_report_layers_describe(arena, &file->pbit, &count);
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

/// The report has to be of the very file.
static enum pbit_status read_report(const struct arguments *arguments, const struct pbitc_model_file *file,
                                    struct pbitc_diagnostics *diagnostics,
                                    struct pbitc_accuracy_report **report)
{
    if (!arguments->report)
        return PBIT_OK;
    enum pbit_status status = pbitc_report_read(arguments->report, diagnostics, report);
    if (status == PBIT_OK && (file->graph || !(*report)->has_model || (*report)->model_hash != file->hash))
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "give the .pbit file that was measured", "%s is no report of this file",
                            arguments->report);
    return status;
}

/// What is printed, and all it stands on.
struct estimate {
    struct pbitc_energy_constants constants;
    struct pbitc_model_file file;
    struct pbitc_accuracy_report *report;
    struct pbitc_energy_network network;
    uint32_t samples[PBITC_LIST_LIMIT], draws[PBITC_LIST_LIMIT];
    struct pbitc_energy_listing listing;
};

static enum pbit_status prepare(struct estimate *estimate, const struct arguments *arguments,
                                struct pbitc_arena *arena, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_energy_listing *listing = &estimate->listing;
    enum pbit_status status = pbitc_energy_constants_choose(arguments->preset, arguments->constants, arena,
                                                            diagnostics, &estimate->constants);
    listing->network = &estimate->network;
    listing->constants = &estimate->constants;
    listing->model_hash = estimate->file.hash;
    listing->samples = estimate->samples;
    listing->draws = estimate->draws;
    listing->samples_count = make_list(&arguments->samples, estimate->samples);
    listing->draws_count = make_list(&arguments->draws, estimate->draws);
    enum pbit_status budgets = check_budgets(&estimate->file, listing, diagnostics);
    enum pbit_status read = read_report(arguments, &estimate->file, diagnostics, &estimate->report);
    listing->report = estimate->report;
    status = status != PBIT_OK ? status : budgets;
    return status != PBIT_OK ? status : read;
}

static int print_energy(struct estimate *estimate, const struct arguments *arguments, double activity,
                        struct pbitc_arena *arena, struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = prepare(estimate, arguments, arena, diagnostics);
    if (status == PBIT_OK)
        status = find_network(&estimate->file, (enum pbitc_energy_convention)arguments->convention, activity,
                              estimate->report, arena, diagnostics, &estimate->network);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    if (arguments->json)
        pbitc_energy_write_json(&estimate->listing, stdout);
    else
        pbitc_energy_write_text(&estimate->listing, stdout);
    double energy;
    bool reached =
        !estimate->listing.has_target || pbitc_energy_find_cheapest(&estimate->listing, &energy) != NULL;
    return reached ? PBITC_EXIT_DONE : PBITC_EXIT_GATE;
}

/// A share of 0..1 out of an option; false after a message.
static bool read_share(const char *option, const char *text, double *value)
{
    if (!text || (pbitc_parse_real(text, value) && *value >= 0 && *value <= 1))
        return true;
    pbitc_usage_error(usage.name, "%s: '%s' is not a number in 0..1", option, text);
    return false;
}

static bool check_arguments(const struct arguments *arguments, double *activity, double *target)
{
    bool good = read_share("--activity", arguments->activity, activity);
    good &= read_share("--min-accuracy", arguments->min_accuracy, target);
    if (arguments->constants && arguments->preset >= 0) {
        pbitc_usage_error(usage.name, "--preset and --constants exclude each other");
        good = false;
    }
    if (arguments->min_accuracy && !arguments->report) {
        pbitc_usage_error(usage.name, "--min-accuracy needs --report report.json");
        good = false;
    }
    return good;
}

int pbitc_cmd_energy(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct arguments arguments = {.preset = -1};
    struct estimate estimate = {.report = NULL};
    double activity = PBITC_ENERGY_ACTIVITY;
    const char *path;
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &path);
    if (code != PBITC_PARSED)
        return code;
    estimate.listing.has_target = arguments.min_accuracy != NULL;
    if (!check_arguments(&arguments, &activity, &estimate.listing.target))
        return PBITC_EXIT_USAGE;
    enum pbit_status status = pbitc_model_file_open(&estimate.file, path, diagnostics);
    if (status != PBIT_OK)
        return pbitc_exit_code(status);
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    code = arena ? print_energy(&estimate, &arguments, activity, arena, diagnostics)
                 : pbitc_exit_code(pbitc_report_memory(diagnostics));
    pbitc_arena_destroy(arena);
    pbitc_report_destroy(estimate.report);
    pbitc_model_file_close(&estimate.file);
    return code;
}
