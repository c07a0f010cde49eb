// pbitc convert: from an ONNX model to a .pbit file.
#include "converter/budgets.h"
#include "converter/command.h"
#include "converter/conversion_summary.h"
#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/float_model.h"
#include "converter/options.h"
#include "converter/shapes.h"
#include "converter/threads.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/// More images than this do not move the measured ranges, only the time it takes. range= asks for others.
enum { CALIBRATION_IMAGES = 1000 };

enum { DEFAULT_SAMPLER = 1, DEFAULT_WEIGHTS = 4, DEFAULT_GROUP = 0, DEFAULT_DRAWS = 8, DEFAULT_SAMPLES = 1 };

static const struct pbitc_option options[] = {
    {"output", 'o', "FILE.pbit", "where to write the result", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_convert_arguments, output), .required = true},
    {"calibrate", 0, "DATA",
     "images on which ranges are measured: the first 1000, or range=;\nnever test images. A quantized model "
     "can do without: its own scales\nsay the ranges",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_convert_arguments, calibrate), .required = false},
    {"weights", 0, "BITS", "bits of a weight, 1..8 (4); first, last and small layers\nhave 4 or more",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_convert_arguments, weights), .minimum = 1, .maximum = 8},
    {"group", 0, "N", "weights per group along the fan-in; 0: one scale per output\nchannel (0)",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_convert_arguments, group), .minimum = 0, .maximum = 65536},
    {"draws", 0, "m", "default p-bits per neuron and pass, 1..255 (8)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_convert_arguments, draws), .minimum = 1, .maximum = PBIT_DRAWS_LIMIT},
    {"samples", 0, "T", "default passes of the network, 1..65535 (1)", PBITC_OPTION_INTEGER,
     offsetof(struct pbitc_convert_arguments, samples), .minimum = 1, .maximum = PBIT_SAMPLES_LIMIT},
    {"draw-budget", 0, "D",
     "draws per synapse and image, on average: each layer draws what it\nneeds, all together D; m is D / T "
     "then, if --draws does not say",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_convert_arguments, draw_budget_text), .required = false},
    {"energy-budget", 0, "E",
     "nJ per image, all passes, as 'pbitc energy' counts: each layer draws\nwhat it needs, and an image "
     "takes "
     "no more than E",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_convert_arguments, energy_budget_text), .required = false},
    {"size-budget", 0, "BYTES",
     "of FILE.pbit: each layer gets the bits of weights it needs, 2..8,\nand the file takes no more than "
     "BYTES",
     PBITC_OPTION_INTEGER, offsetof(struct pbitc_convert_arguments, size_budget), .minimum = 1,
     .maximum = INT64_MAX},
    {"target-drop", 0, "X",
     "find the cheapest m, bits of weights and shares of draws that lose\nno more than X (0..1) of the float "
     "model's accuracy; half of DATA\ncalibrates, the other half checks. Options given stay as they are",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_convert_arguments, target_text), .required = false},
    PBITC_ENERGY_OPTIONS(struct pbitc_convert_arguments, preset, constants),
    {"write-recipe", 0, "R.json", "write what was chosen as a recipe, for --recipe", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_convert_arguments, write_recipe), .required = false},
    {"neuron", 0, "KIND", "what activations become: pbit, noisy (8 bits and noise) or exact\n(8 bits) (pbit)",
     PBITC_OPTION_CHOICE, offsetof(struct pbitc_convert_arguments, neuron), .choices = pbitc_neuron_names},
    {"sampler", 0, "NAME", "iid or stratified (stratified)", PBITC_OPTION_CHOICE,
     offsetof(struct pbitc_convert_arguments, sampler), .choices = pbitc_sampler_choices},
    {"recipe", 0, "R.json", "what to do differently in single layers, see below", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_convert_arguments, recipe), .required = false},
    {"without", 0, "PASS,...", "leave out these passes or steps, of those marked with * below",
     PBITC_OPTION_TEXT, offsetof(struct pbitc_convert_arguments, without), .required = false},
    {"print-after", 0, "PASS", "print the graph after this pass, or after all", PBITC_OPTION_TEXT,
     offsetof(struct pbitc_convert_arguments, print_after), .required = false},
    {"timing", 0, NULL, "print how long each pass took", PBITC_OPTION_FLAG,
     offsetof(struct pbitc_convert_arguments, timing), .required = false},
    {"blame", 0, NULL,
     "print what each pass, and then each layer by itself, costs in\noutput error, the worst layer first, "
     "with what a recipe can do",
     PBITC_OPTION_FLAG, offsetof(struct pbitc_convert_arguments, blame), .required = false},
    PBITC_SHAPE_OPTION(struct pbitc_convert_arguments, shapes),
    PBITC_THREADS_OPTION(struct pbitc_convert_arguments, threads),
    {"json", 0, NULL, "print the summary as JSON on standard output", PBITC_OPTION_FLAG,
     offsetof(struct pbitc_convert_arguments, json), .required = false},
};

static void print_details(FILE *stream)
{
    pbitc_dataset_help(stream);
    fputs("\nA recipe is JSON; keys that are left out follow the options above:\n"
          "  {\"layers\": {\"conv1\": {\"weights\": 4, \"group\": 64},\n"
          "              \"relu1\": {\"neuron\": \"pbit\", \"draws\": 2.5, \"rho\": 0.5}}}\n"
          "where draws is a factor of m and rho the noise amplitude, 0..1. Beside layers it may have\n"
          "weights, group, draws and samples, for options that are not given.\n\nPasses, in this order, and "
          "steps of the pass before them:\n",
          stream);
    size_t count;
    const struct pbitc_pass *passes = pbitc_passes(&count);
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "%c %-21s%s\n", passes[i].optional ? '*' : ' ', passes[i].name, passes[i].summary);
}

static const struct pbitc_usage usage = {
    .name = "convert",
    .operand = "MODEL.onnx",
    .summary = "Turns a trained ONNX model into a .pbit file: swaps its activations for p-bits, without "
               "retraining,\n"
               "and quantizes its weights. The file remembers the preprocessing of DATA.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .details = print_details,
};

static enum pbit_status check_input(struct pbitc_conversion *conversion)
{
    const struct pbitc_graph *graph = conversion->model.graph;
    const struct pbitc_value *input = graph->input_count ? graph->inputs[0] : NULL;
    int64_t elements = input ? pbitc_row_elements(&input->shape) : -1;
    if (elements < 0)
        return PBIT_OK; // the pipeline says what is wrong with such a model
    return pbitc_dataset_check_input(conversion->dataset, input->name, (size_t)elements,
                                     conversion->diagnostics);
}

/// With labels where --target-drop can use them and the data has some.
static enum pbit_status load_images(struct pbitc_conversion *conversion, struct pbitc_data_request *request)
{
    struct pbitc_diagnostics *unseen = conversion->arguments->target_text ? pbitc_diagnostics_create() : NULL;
    enum pbit_status status = PBIT_ERROR_FORMAT;
    request->labels = true;
    if (unseen)
        status = pbitc_dataset_load(request, unseen, &conversion->dataset);
    pbitc_diagnostics_destroy(unseen);
    request->labels = false;
    return status == PBIT_OK || status == PBIT_ERROR_STOPPED
               ? status
               : pbitc_dataset_load(request, conversion->diagnostics, &conversion->dataset);
}

/// Reads recipe and data. When they have faults, those of the model are listed along with them.
static enum pbit_status prepare(struct pbitc_conversion *conversion)
{
    struct pbitc_convert_arguments *arguments = conversion->arguments;
    struct pbitc_diagnostics *diagnostics = conversion->diagnostics;
    enum pbit_status recipe = PBIT_OK, data = PBIT_OK;
    if (arguments->recipe)
        recipe =
            pbitc_recipe_load(arguments->recipe, conversion->model.graph, diagnostics, &conversion->recipe);
    struct pbitc_data_request request = {.text = arguments->calibrate,
                                         .split = "train",
                                         .limit = CALIBRATION_IMAGES,
                                         .limit_without_range = true};
    if (arguments->calibrate)
        data = load_images(conversion, &request);
    if (arguments->calibrate && data == PBIT_OK)
        data = check_input(conversion);
    enum pbit_status status = recipe != PBIT_OK ? recipe : data;
    if (status != PBIT_OK && status != PBIT_ERROR_STOPPED) {
        pbitc_decide_branches(conversion->model.graph, diagnostics);
        pbitc_infer_shapes(conversion->model.graph, 1, diagnostics);
        pbitc_check_convertible(conversion->model.graph, diagnostics);
    }
    return status;
}

static enum pbit_status read_images(struct pbitc_conversion *conversion)
{
    const struct pbitc_dataset *dataset = conversion->dataset;
    if (!dataset)
        return PBIT_OK;
    conversion->values = calloc(dataset->images, dataset->elements * sizeof(float));
    if (!conversion->values)
        return pbitc_report_memory(conversion->diagnostics);
    for (size_t i = 0; i < dataset->images; i++)
        pbitc_dataset_image(dataset, i, conversion->values + i * dataset->elements);
    return PBIT_OK;
}

static enum pbit_status finish(struct pbitc_conversion *conversion, const struct pbitc_made *made)
{
    struct pbit_model model;
    if (pbit_model_open(&model, made->converted.file, made->converted.bytes) != PBIT_OK)
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_INTERNAL, NULL, NULL, 0, "report this bug",
                            "the passes made a file that libpbit refuses: %s",
                            pbit_model_problem(made->converted.file, made->converted.bytes));
    struct pbitc_file file = {conversion->arguments->output, made->converted.file, made->converted.bytes};
    enum pbit_status status = pbitc_files_write(&file, 1, conversion->diagnostics);
    if (status != PBIT_OK)
        return status;
    return pbitc_conversion_summarize(conversion, made, &model);
}

/// What the command line leaves open, the recipe says, and else the defaults do.
static enum pbit_status settle(struct pbitc_conversion *conversion)
{
    struct pbitc_convert_arguments *arguments = conversion->arguments;
    const struct pbitc_recipe_options *recipe = &conversion->recipe.options;
    bool searched = arguments->target_text != NULL;
    if (arguments->samples == 0)
        arguments->samples = recipe->samples > 0 ? recipe->samples : DEFAULT_SAMPLES;
    if (arguments->group < 0)
        arguments->group = recipe->group >= 0 ? recipe->group : DEFAULT_GROUP;
    if (arguments->weights == 0 && (recipe->weights > 0 || !searched))
        arguments->weights = recipe->weights > 0 ? recipe->weights : DEFAULT_WEIGHTS;
    double mean = arguments->draw_budget / (double)arguments->samples;
    if (arguments->draw_budget_text && (mean < 1 || mean > PBIT_DRAWS_LIMIT))
        return pbitc_report(conversion->diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0, NULL,
                            "--draw-budget: with T = %" PRId64 " the budget has to be in %" PRId64
                            "..%" PRId64,
                            arguments->samples, arguments->samples, arguments->samples * PBIT_DRAWS_LIMIT);
    arguments->budget.mean = mean;
    if (arguments->draws == 0)
        arguments->draws = arguments->draw_budget_text ? (int64_t)round(mean)
                           : recipe->draws > 0         ? recipe->draws
                                                       : DEFAULT_DRAWS;
    return PBIT_OK;
}

static void print_refusal(const struct pbitc_conversion *conversion, const struct pbitc_search *search)
{
    const struct pbitc_trial *nearest = search->nearest;
    fprintf(stderr,
            "pbitc convert: nothing that was tried keeps the drop within %g points; nothing was written\n",
            100 * conversion->arguments->target);
    if (nearest)
        fprintf(stderr, "nearest: %" PRId64 "-bit weights, m = %" PRId64 ", %.2f points lost%s\n",
                nearest->weights, nearest->draws,
                100 * (nearest->checked ? fmax(nearest->drops[0], nearest->drops[1]) : nearest->drops[0]),
                nearest->checked ? " on the worse half" : "");
}

/// --target-drop: the options become those of the cheapest recipe that holds.
static enum pbit_status choose_recipe(struct pbitc_conversion *conversion, struct pbitc_search *search)
{
    struct pbitc_convert_arguments *arguments = conversion->arguments;
    enum pbit_status status = pbitc_search_recipe(conversion, search);
    if (status != PBIT_OK)
        return status;
    if (!search->best) {
        print_refusal(conversion, search);
        return PBIT_OK;
    }
    arguments->weights = search->best->weights;
    arguments->draws = search->best->draws;
    arguments->draw_budget = search->best->draw_budget;
    arguments->budget.mean = arguments->draw_budget / (double)arguments->samples;
    return PBIT_OK;
}

static enum pbit_status write_recipe(const struct pbitc_conversion *conversion,
                                     const struct pbitc_converted *converted)
{
    const struct pbitc_convert_arguments *arguments = conversion->arguments;
    if (!arguments->write_recipe)
        return PBIT_OK;
    struct pbitc_recipe_options options = {arguments->weights, arguments->group, arguments->draws,
                                           arguments->samples};
    return pbitc_recipe_write(arguments->write_recipe, &conversion->recipe, &options, converted->choices,
                              conversion->diagnostics);
}

static enum pbit_status make(struct pbitc_conversion *conversion, const struct pbitc_search *search)
{
    struct pbitc_made made = {.search = conversion->arguments->target_text ? search : NULL};
    if (conversion->dataset)
        made.images = made.search ? search->half : conversion->dataset->images;
    enum pbit_status status = pbitc_conversion_run(conversion, conversion->arguments, conversion->model.graph,
                                                   made.images, false, &made.converted);
    if (status == PBIT_OK)
        status = write_recipe(conversion, &made.converted);
    return status == PBIT_OK ? finish(conversion, &made) : status;
}

static enum pbit_status make_for_energy(struct pbitc_conversion *conversion)
{
    struct pbitc_energy_budget budget;
    enum pbit_status status = pbitc_energy_budget_open(conversion, &budget);
    if (status == PBIT_OK)
        status = make(conversion, NULL);
    pbitc_energy_budget_close(&budget);
    return status;
}

static enum pbit_status convert(struct pbitc_conversion *conversion, struct pbitc_search *search)
{
    enum pbit_status status =
        pbitc_model_file_open(&conversion->model, conversion->path, conversion->diagnostics);
    if (status == PBIT_OK && !conversion->model.graph)
        status = pbitc_report(conversion->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                              "give the ONNX model it was made from", "%s is a .pbit file already",
                              conversion->path);
    if (status == PBIT_OK)
        status = pbitc_shapes_apply(conversion->model.graph, &conversion->arguments->shapes,
                                    conversion->diagnostics);
    if (status == PBIT_OK && !conversion->arguments->calibrate &&
        !pbitc_is_quantized(conversion->model.graph)) {
        conversion->lacks_images = true;
        return PBIT_ERROR_ARGUMENT;
    }
    if (status == PBIT_OK)
        status = prepare(conversion);
    if (status == PBIT_OK)
        status = read_images(conversion);
    if (status == PBIT_OK)
        status = settle(conversion);
    if (status == PBIT_OK && conversion->arguments->size_budget)
        status = pbitc_size_budget(conversion);
    if (status == PBIT_OK && conversion->arguments->energy_budget_text)
        return make_for_energy(conversion);
    if (status == PBIT_OK && conversion->arguments->target_text)
        status = choose_recipe(conversion, search);
    bool refused = conversion->arguments->target_text && !search->best;
    return status == PBIT_OK && !refused ? make(conversion, search) : status;
}

static bool is_pass(const char *name)
{
    const struct pbitc_pass *pass = pbitc_pass_find(name);
    return pass && pass->run;
}

/// The passes of --without; false after a message when one cannot be left out.
static bool parse_without(const char *list, uint64_t *without)
{
    struct pbitc_options options = {.without = 0};
    bool ok = true;
    for (const char *name = list; name; name = strchr(name, ',') ? strchr(name, ',') + 1 : NULL) {
        char text[64];
        snprintf(text, sizeof(text), "%.*s", (int)strcspn(name, ","), name);
        const struct pbitc_pass *pass = pbitc_pass_find(text);
        if (pass && pbitc_leave_out(&options, pass))
            continue;
        ok = false;
        pbitc_usage_error(
            usage.name,
            pass ? "--without: the pass '%s' is needed; --help marks those that can be left out with *"
                 : "--without: there is no pass '%s'; --help lists them",
            text);
    }
    *without = options.without;
    return ok;
}

/// Reads the numbers that are no whole ones; false after a message for each that is wrong.
static bool read_numbers(struct pbitc_convert_arguments *arguments)
{
    const char *budget = arguments->draw_budget_text, *energy = arguments->energy_budget_text,
               *target = arguments->target_text;
    bool good = true;
    if (budget && !(pbitc_parse_real(budget, &arguments->draw_budget) && arguments->draw_budget >= 1)) {
        pbitc_usage_error(usage.name, "--draw-budget: '%s' is not a number from 1 on", budget);
        good = false;
    }
    if (energy && !(pbitc_parse_real(energy, &arguments->energy_budget) && arguments->energy_budget > 0)) {
        pbitc_usage_error(usage.name, "--energy-budget: '%s' is not a number above 0", energy);
        good = false;
    }
    if (target &&
        !(pbitc_parse_real(target, &arguments->target) && arguments->target >= 0 && arguments->target <= 1)) {
        pbitc_usage_error(usage.name, "--target-drop: '%s' is not a number in 0..1", target);
        good = false;
    }
    return good;
}

static bool check_passes(const struct pbitc_convert_arguments *arguments, uint64_t *without)
{
    const char *print_after = arguments->print_after;
    if (print_after && strcmp(print_after, "all") != 0 && !is_pass(print_after)) {
        pbitc_usage_error(usage.name, "--print-after: there is no pass '%s'; --help lists them", print_after);
        return false;
    }
    return parse_without(arguments->without, without);
}

static bool check_together(const struct pbitc_convert_arguments *arguments)
{
    const char *mistake = NULL;
    if (arguments->blame && !arguments->calibrate)
        mistake = "--blame needs the images of --calibrate";
    else if (arguments->target_text && !arguments->calibrate)
        mistake = "--target-drop needs the images of --calibrate";
    else if (arguments->energy_budget_text && !arguments->calibrate)
        mistake = "--energy-budget needs the images of --calibrate";
    else if (arguments->size_budget && !arguments->calibrate)
        mistake = "--size-budget needs the images of --calibrate";
    else if (arguments->size_budget && arguments->weights)
        mistake = "--size-budget chooses the bits: leave out --weights";
    else if (arguments->size_budget && arguments->target_text)
        mistake = "--size-budget and --target-drop exclude each other: write the recipe of one "
                  "(--write-recipe), and give that to the other";
    else if (arguments->target_text &&
             (arguments->draws || arguments->draw_budget_text || arguments->energy_budget_text))
        mistake = "--target-drop chooses the draws: leave out --draws, --draw-budget and --energy-budget";
    else if (arguments->energy_budget_text && (arguments->draws || arguments->draw_budget_text))
        mistake = "--energy-budget chooses the draws: leave out --draws and --draw-budget";
    else if (!arguments->target_text && !arguments->energy_budget_text && !arguments->draw_budget_text &&
             (arguments->preset >= 0 || arguments->constants))
        mistake = "--preset and --constants belong to --target-drop and the budgets";
    else if (arguments->preset >= 0 && arguments->constants)
        mistake = "--preset and --constants exclude each other";
    if (mistake)
        pbitc_usage_error(usage.name, "%s", mistake);
    return !mistake;
}

int pbitc_cmd_convert(int argc, char **argv, struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_convert_arguments arguments = {
        .group = -1, .neuron = PBITC_NEURON_PBIT, .sampler = DEFAULT_SAMPLER, .preset = -1};
    struct pbitc_conversion conversion = {
        .arguments = &arguments, .diagnostics = diagnostics, .recipe.options = {-1, -1, -1, -1}};
    int code = pbitc_options_parse(&usage, argc, argv, &arguments, &conversion.path);
    if (code != PBITC_PARSED)
        return code;
    if (!read_numbers(&arguments) || !check_passes(&arguments, &conversion.without) ||
        !check_together(&arguments))
        return PBITC_EXIT_USAGE;
    struct pbitc_search search = {.best = NULL};
    enum pbit_status status = convert(&conversion, &search);
    code = pbitc_exit_code(status);
    if (status == PBIT_OK && arguments.target_text && !search.best)
        code = PBITC_EXIT_GATE;
    if (conversion.lacks_images)
        code = pbitc_usage_error(usage.name, "--calibrate DATA is missing");
    free(conversion.values);
    pbitc_dataset_destroy(conversion.dataset);
    pbitc_recipe_free(&conversion.recipe);
    pbitc_model_file_close(&conversion.model);
    return code;
}
