#include "converter/eval_run.h"

#include "converter/compare.h"
#include "converter/data/readers.h"
#include "converter/energy/energy_report.h"
#include "converter/file.h"
#include "converter/interrupt.h"
#include "converter/ranks.h"
#include "converter/repeat_command.h"
#include "converter/report/report_files.h"
#include "converter/report/report_merge.h"
#include "converter/report/report_read.h"
#include "converter/shapes.h"
#include "converter/threads.h"

#include <stdlib.h>
#include <string.h>

static enum pbit_status first_problem(enum pbit_status a, enum pbit_status b)
{
    return a != PBIT_OK ? a : b;
}

static bool is_pbit(const struct pbitc_eval_run *run)
{
    return !run->model.graph;
}

/// The ONNX model to measure in float: the model itself or its baseline; NULL when there is none.
static const struct pbitc_model_file *float_file(const struct pbitc_eval_run *run)
{
    if (!is_pbit(run))
        return &run->model;
    return run->arguments->baseline ? &run->baseline : NULL;
}

/// Reports every m and T of the lists that the file does not allow.
static enum pbit_status check_budget(const struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < arguments->draws_count; i++)
        status = first_problem(
            status, pbitc_model_file_check_budget(&run->model, arguments->draws[i], 0, run->diagnostics));
    for (size_t i = 0; i < arguments->samples_count; i++)
        status = first_problem(
            status, pbitc_model_file_check_budget(&run->model, 0, arguments->samples[i], run->diagnostics));
    return status;
}

static enum pbit_status load_data(struct pbitc_eval_run *run)
{
    struct pbitc_data_keys remembered = pbitc_model_file_data_keys(&run->model);
    struct pbitc_data_request request = {.text = run->arguments->data,
                                         .split = "test",
                                         .remembered = &remembered,
                                         .labels = true,
                                         .limit = (size_t)run->arguments->limit};
    enum pbit_status status = pbitc_dataset_load(&request, run->diagnostics, &run->dataset);
    if (status == PBIT_OK && pbitc_rank() == 0) {
        pbitc_dataset_describe(run->dataset, stderr);
        fputc('\n', stderr);
    }
    return status;
}

static enum pbit_status open_baseline(struct pbitc_eval_run *run)
{
    const char *path = run->arguments->baseline;
    if (!path)
        return PBIT_OK;
    enum pbit_status status = pbitc_model_file_open(&run->baseline, path, run->diagnostics);
    if (status == PBIT_OK && !run->baseline.graph)
        return pbitc_report(run->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "give the ONNX model it was made from", "the baseline %s is a .pbit file", path);
    if (status == PBIT_OK)
        status = pbitc_shapes_apply(run->baseline.graph, &run->arguments->shapes, run->diagnostics);
    return status;
}

static const char *metadata_text(const struct pbitc_model_file *file, const char *key)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(file->metadata, "model");
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(model, key));
    return text ? text : "";
}

/// Of the conversion's options and recipe, as the metadata spells them.
static uint64_t recipe_hash(const struct pbitc_model_file *file)
{
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(file->metadata, "options"));
    uint64_t hash = text ? pbitc_hash(PBITC_HASH_START, text, strlen(text)) : 0;
    cJSON_free(text);
    return hash;
}

/// What is known of the measurement before it.
static enum pbit_status describe(struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    const struct pbitc_dataset *dataset = run->dataset;
    struct pbitc_accuracy_report *report = run->measured = pbitc_report_create();
    if (!report)
        return pbitc_report_memory(run->diagnostics);
    report->tool = "pbitc " PBITC_VERSION;
    report->command = pbitc_repeat_command(arguments, is_pbit(run), report->arena);
    report->images = dataset->images;
    report->shard = arguments->shard;
    report->shard_count = arguments->shard_count;
    report->data_hash = dataset->hash;
    report->source_hash = dataset->source_hash;
    report->first_image = dataset->first;
    report->image_height = dataset->height;
    report->image_width = dataset->width;
    report->image_channels = dataset->stored_channels;
    report->target_given = arguments->target_text != NULL;
    report->target = arguments->target;
    report->has_baseline = float_file(run) != NULL;
    report->baseline = (struct pbitc_accuracy_cell){.samples = 1, .bits = 32, .seeds = 1};
    report->baseline_hash = report->has_baseline ? float_file(run)->hash : 0;
    if (!report->command || !pbitc_report_allocate_cell(report, &report->baseline))
        return pbitc_report_memory(run->diagnostics);
    if (!is_pbit(run))
        return PBIT_OK;
    report->model_hash = run->model.hash;
    report->model_name = metadata_text(&run->model, "name");
    report->origin_hash = metadata_text(&run->model, "hash");
    report->recipe_hash = recipe_hash(&run->model);
    report->first_seed = arguments->seed > 0 ? (uint64_t)arguments->seed : 0;
    report->seed_count = arguments->seeds > 0 ? (size_t)arguments->seeds : 1;
    report->classes = pbit_model_output(&run->model.pbit, 0).elements;
    run->request = (struct pbitc_surface_request){
        .model = &run->model.pbit,
        .dataset = dataset,
        .samples_count = arguments->samples_count,
        .draws_count = arguments->draws_count,
        .samples = arguments->samples,
        .draws = arguments->draws,
        .confidence_count = arguments->confidence_count,
        .confidences = arguments->confidences,
        .stop_samples = arguments->stop_samples,
        .sampler = arguments->deterministic ? PBIT_SAMPLER_MIDPOINT : PBIT_SAMPLER_FILE,
        .thorough = arguments->report || arguments->shard,
        .threads = pbitc_threads(arguments->threads),
        .batch = (size_t)arguments->batch,
    };
    return pbitc_surface_describe(&run->request, run->diagnostics, report);
}

/// Reports have energies, if only the paper's; elsewhere they have to be asked for.
static enum pbit_status choose_energies(struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    struct pbitc_energy_constants constants;
    if (!is_pbit(run) ||
        !(arguments->report || arguments->shard || arguments->preset >= 0 || arguments->constants))
        return PBIT_OK;
    enum pbit_status status = pbitc_energy_constants_choose(
        arguments->preset, arguments->constants, run->measured->arena, run->diagnostics, &constants);
    if (status == PBIT_OK && !pbitc_report_set_constants(run->measured, &constants))
        status = pbitc_report_memory(run->diagnostics);
    return status;
}

static enum pbit_status check_shard(const struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    if (arguments->shard == 0 || arguments->shard_count <= run->dataset->images)
        return PBIT_OK;
    return pbitc_report(run->diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0, "choose fewer shards",
                        "%zu images cannot be divided into %zu shards", run->dataset->images,
                        arguments->shard_count);
}

/// Reads FILE of the report's directory; *report is NULL when it is not there.
static enum pbit_status read_if_there(const struct pbitc_eval_run *run, const char *file,
                                      struct pbitc_accuracy_report **report, char **path)
{
    *report = NULL;
    *path = pbitc_path_join(run->arguments->report, file);
    if (!*path)
        return pbitc_report_memory(run->diagnostics);
    FILE *stream = fopen(*path, "rb");
    if (!stream)
        return PBIT_OK;
    fclose(stream);
    return pbitc_report_read(*path, run->diagnostics, report);
}

/// What --resume goes on from.
static enum pbit_status read_earlier(struct pbitc_eval_run *run)
{
    char *path;
    enum pbit_status status = read_if_there(run, PBITC_REPORT_PARTIAL_NAME, &run->earlier, &path);
    struct pbitc_accuracy_report *earlier = run->earlier, *now = run->measured;
    if (status == PBIT_OK && earlier) {
        const struct pbitc_report_part parts[] = {{"this command", now}, {path, earlier}};
        status = pbitc_report_check_same(&parts[0], &parts[1], run->diagnostics);
        if (earlier->shard != now->shard || earlier->shard_count != now->shard_count)
            status = pbitc_report(run->diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                  "resume with the --shard it was started with",
                                  "%s is of shard %zu/%zu, this command of %zu/%zu (0/0: no --shard)", path,
                                  earlier->shard, earlier->shard_count, now->shard, now->shard_count);
    } else if (status == PBIT_OK) {
        fprintf(stderr, "nothing to resume: there is no %s\n", path);
    }
    free(path);
    return status;
}

/// A directory keeps one shard: a second one would replace it.
static enum pbit_status check_other_shard(const struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    struct pbitc_accuracy_report *there = NULL;
    char *path = pbitc_path_join(arguments->report, PBITC_REPORT_NAME);
    if (!path)
        return pbitc_report_memory(run->diagnostics);
    enum pbit_status status = PBIT_OK;
    // Whatever else is there, or nothing, may be replaced.
    if (arguments->shard && pbitc_report_read(path, NULL, &there) == PBIT_OK && there->partial &&
        (there->shard != arguments->shard || there->shard_count != arguments->shard_count))
        status = pbitc_report(run->diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
                              "give each shard a directory of its own", "%s holds shard %zu/%zu", path,
                              there->shard, there->shard_count);
    pbitc_report_destroy(there);
    free(path);
    return status;
}

/// What only rank 0 looks at: where the report goes, and what it is compared with.
static enum pbit_status prepare_output(struct pbitc_eval_run *run)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    enum pbit_status status = PBIT_OK;
    if (pbitc_rank() > 0)
        return status;
    if (arguments->gates.compare)
        status = pbitc_report_compare_check(run->measured, arguments->gates.compare, run->diagnostics);
    if (!arguments->report)
        return status;
    enum pbit_status directory =
        pbitc_report_directory_make(arguments->report, run->diagnostics, &run->directory_created);
    if (directory == PBIT_OK)
        directory = check_other_shard(run);
    if (directory == PBIT_OK && arguments->resume)
        directory = read_earlier(run);
    return first_problem(status, directory);
}

enum pbit_status pbitc_eval_prepare(struct pbitc_eval_run *run)
{
    enum pbit_status status = is_pbit(run) ? check_budget(run) : PBIT_OK;
    if (status == PBIT_OK) {
        status = open_baseline(run);
        status = first_problem(status, load_data(run));
    }
    if (status == PBIT_OK)
        status = check_shard(run);
    if (status == PBIT_OK)
        status = describe(run);
    if (status == PBIT_OK)
        status = choose_energies(run);
    if (status == PBIT_OK)
        status = prepare_output(run);
    int worst = pbitc_ranks_largest((int)status);
    return status != PBIT_OK ? status : (enum pbit_status)worst;
}

/// The images this rank measures: its share of those of the shard that are not measured yet.
static size_t choose_images(const struct pbitc_eval_run *run, uint8_t *mask, size_t *images)
{
    size_t all = run->dataset->images, left = 0, count = 0;
    struct pbitc_image_range range = {0, all};
    if (run->arguments->shard)
        range = pbitc_shard_range(all, run->arguments->shard, run->arguments->shard_count);
    if (run->earlier)
        pbitc_report_mark_measured(run->earlier, mask);
    pbitc_ranks_share(mask, all);
    for (size_t i = range.first; i < range.first + range.count; i++) {
        if (!mask[i])
            images[left++] = i;
    }
    struct pbitc_image_range share =
        pbitc_shard_range(left, (size_t)pbitc_rank() + 1, (size_t)pbitc_rank_count());
    for (; count < share.count; count++)
        images[count] = images[share.first + count];
    return count;
}

static enum pbit_status answer_in_float(struct pbitc_eval_run *run, const size_t *images, size_t count)
{
    const struct pbitc_eval_arguments *arguments = run->arguments;
    struct pbitc_float_model model;
    enum pbit_status status =
        pbitc_float_model_open_images(&model, float_file(run)->graph, (size_t)arguments->batch,
                                      pbitc_threads(arguments->threads), run->diagnostics);
    if (status == PBIT_OK)
        status = pbitc_float_model_answer(&model, run->dataset, images, count, &run->progress,
                                          run->diagnostics, run->float_answers);
    if (status == PBIT_OK && !is_pbit(run))
        run->measured->classes = pbitc_float_model_classes(&model);
    pbitc_float_model_close(&model);
    return status;
}

/// Counts the float model's answers on the images that are done.
static void tally_float(const struct pbitc_eval_run *run, const uint8_t *done)
{
    struct pbitc_tally *tally = &run->measured->baseline.tally;
    for (size_t i = 0; i < run->dataset->images; i++) {
        if (!done[i])
            continue;
        const struct pbitc_float_answer *answer = &run->float_answers[i];
        struct pbitc_calibration_bin *bin = &tally->bins[pbitc_confidence_bin(answer->confidence)];
        bool correct = answer->decision == (uint64_t)run->dataset->labels[i];
        tally->correct_by_image[i] = correct;
        tally->correct[0] += correct;
        tally->agreed++;
        bin->count++;
        bin->correct += correct;
        bin->confidence += answer->confidence;
    }
}

static enum pbit_status measure_images(struct pbitc_eval_run *run, const size_t *images, size_t count,
                                       uint8_t *done)
{
    enum pbit_status status = PBIT_OK;
    if (float_file(run)) {
        run->float_answers = calloc(run->dataset->images, sizeof(*run->float_answers));
        if (!run->float_answers)
            return pbitc_report_memory(run->diagnostics);
        status = answer_in_float(run, images, count);
    }
    if (status != PBIT_OK)
        return status;
    if (is_pbit(run))
        status = pbitc_surface_measure(&run->request, images, count, run->float_answers, &run->progress,
                                       run->diagnostics, run->measured, done);
    for (size_t i = 0; !is_pbit(run) && i < count; i++)
        done[images[i]] = 1;
    if (float_file(run) && (status == PBIT_OK || status == PBIT_ERROR_STOPPED))
        tally_float(run, done);
    return status;
}

/// This process's share, complete or as far as it came.
static enum pbit_status measure_share(struct pbitc_eval_run *run)
{
    size_t all = run->dataset->images;
    uint8_t *mask = calloc(all, 1), *done = calloc(all, 1);
    size_t *images = calloc(all, sizeof(*images));
    enum pbit_status status = PBIT_ERROR_MEMORY;
    if (mask && done && images) {
        size_t count = choose_images(run, mask, images);
        status = count ? measure_images(run, images, count, done) : PBIT_OK;
        if (!pbitc_report_set_measured(run->measured, done))
            status = pbitc_report_memory(run->diagnostics);
    } else {
        pbitc_report_memory(run->diagnostics);
    }
    pbitc_progress_clear(&run->progress);
    free(mask);
    free(done);
    free(images);
    return status;
}

static char *to_text(const struct pbitc_accuracy_report *report)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    pbitc_report_write_json(report, stream);
    if (fclose(stream) == 0)
        return text;
    free(text);
    return NULL;
}

/// Sends what this rank measured to rank 0, which reads all of them.
static enum pbit_status gather(struct pbitc_eval_run *run)
{
    size_t ranks = (size_t)pbitc_rank_count();
    char **texts = calloc(ranks, sizeof(*texts));
    run->others = calloc(ranks, sizeof(struct pbitc_accuracy_report *));
    bool sends = pbitc_rank() > 0 && run->measured->measured_images > 0;
    char *text = sends ? to_text(run->measured) : NULL;
    bool good = texts && run->others && (text || !sends);
    enum pbit_status status = PBIT_OK;
    good = pbitc_ranks_gather(text, texts) && good;
    for (size_t rank = 1; rank < ranks && good; rank++) {
        char name[32];
        snprintf(name, sizeof(name), "rank %zu", rank);
        if (texts[rank])
            status = first_problem(status, pbitc_report_parse(name, texts[rank], strlen(texts[rank]),
                                                              run->diagnostics, &run->others[rank]));
    }
    for (size_t rank = 0; texts && rank < ranks; rank++)
        free(texts[rank]);
    free(texts);
    free(text);
    return good ? status : pbitc_report_memory(run->diagnostics);
}

/// Adds up all that was measured. *report stays NULL when that is nothing.
static enum pbit_status put_together(struct pbitc_eval_run *run, struct pbitc_accuracy_report **report)
{
    size_t ranks = (size_t)pbitc_rank_count(), count = 0;
    struct pbitc_report_part *parts = calloc(ranks + 1, sizeof(*parts));
    if (!parts)
        return pbitc_report_memory(run->diagnostics);
    if (run->measured->measured_images)
        parts[count++] = (struct pbitc_report_part){"this run", run->measured};
    if (run->earlier)
        parts[count++] = (struct pbitc_report_part){PBITC_REPORT_PARTIAL_NAME, run->earlier};
    for (size_t rank = 1; rank < ranks; rank++) {
        if (run->others[rank])
            parts[count++] = (struct pbitc_report_part){"another rank", run->others[rank]};
    }
    enum pbit_status status = PBIT_OK;
    if (count > 0)
        status = pbitc_report_merge(parts, count, run->diagnostics, &run->sum);
    *report = run->sum;
    free(parts);
    return status;
}

enum pbit_status pbitc_eval_measure(struct pbitc_eval_run *run, struct pbitc_accuracy_report **report)
{
    *report = NULL;
    enum pbit_status status = measure_share(run);
    bool stopped = status == PBIT_ERROR_STOPPED;
    if ((status == PBIT_OK || stopped) && run->measured->measured_images)
        status = pbitc_report_derive(run->measured) ? PBIT_OK : pbitc_report_memory(run->diagnostics);
    else if (stopped)
        status = PBIT_OK;
    stopped = pbitc_ranks_largest(stopped) != 0;
    int worst = pbitc_ranks_largest((int)status);
    if (worst != PBIT_OK)
        return status != PBIT_OK ? status : (enum pbit_status)worst;
    status = gather(run);
    if (status == PBIT_OK && pbitc_rank() == 0)
        status = put_together(run, report);
    return status == PBIT_OK && stopped ? PBIT_ERROR_STOPPED : status;
}

void pbitc_eval_close(struct pbitc_eval_run *run)
{
    pbitc_report_destroy(run->sum);
    for (int rank = 1; run->others && rank < pbitc_rank_count(); rank++)
        pbitc_report_destroy(run->others[rank]);
    free(run->others);
    pbitc_report_destroy(run->earlier);
    pbitc_report_destroy(run->measured);
    free(run->float_answers);
    pbitc_dataset_destroy(run->dataset);
    pbitc_model_file_close(&run->baseline);
    pbitc_model_file_close(&run->model);
}
