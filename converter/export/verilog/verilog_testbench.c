// The testbench, the script that runs it, and the golden vectors.
#include "converter/export/golden.h"
#include "converter/export/verilog/verilog.h"
#include "converter/export/verilog/verilog_twin.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE = 100000 };

static uint64_t longest_run(const struct pbitc_verilog *design)
{
    uint64_t longest = 0;
    for (uint32_t i = 0; i < design->vectors->samples_count; i++) {
        uint64_t cycles = pbitc_verilog_cycles(design->plan, design->vectors->samples[i]);
        longest = cycles > longest ? cycles : longest;
    }
    return longest;
}

/// The value of @WORD@.
static void print_value(const struct pbitc_verilog *design, const char *word, size_t length, FILE *stream)
{
    uint64_t value = 0;
    if (strncmp(word, "NAME", length) == 0) {
        fputs(design->name, stream);
        return;
    }
    if (strncmp(word, "IMAGES", length) == 0)
        value = (uint64_t)design->vectors->images * design->vectors->samples_count;
    else if (strncmp(word, "BYTES", length) == 0)
        value = pbitc_export_input_bytes(design->model);
    else if (strncmp(word, "SUMS", length) == 0)
        value = pbitc_export_output_elements(design->model);
    else if (strncmp(word, "PATIENCE", length) == 0)
        value = 2 * longest_run(design) + PATIENCE;
    else
        value = design->plan->max_samples;
    fprintf(stream, "%" PRIu64, value);
}

void pbitc_verilog_write_template(const struct pbitc_verilog *design, const char *text, FILE *stream)
{
    for (const char *mark; (mark = strchr(text, '@')) != NULL;) {
        fwrite(text, 1, (size_t)(mark - text), stream);
        size_t length = strspn(mark + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        if (length == 0 || mark[1 + length] != '@') { // a Verilog event or shell's $@
            fputc('@', stream);
            text = mark + 1;
            continue;
        }
        print_value(design, mark + 1, length, stream);
        text = mark + length + 2;
    }
    fputs(text, stream);
}

// ---- golden vectors

/// Streams of the three files and what a run needs.
struct vectors {
    const struct pbitc_verilog *design;
    FILE *pixels, *cases, *sums;
    uint8_t *image;
    int64_t *results;
    void *workspace;
    size_t workspace_bytes;
};

static enum pbit_status run(struct vectors *vectors, uint64_t image, uint32_t samples)
{
    const struct pbit_model *model = vectors->design->model;
    const struct pbitc_golden_ports ports = pbitc_golden_ports(model, vectors->image, vectors->results);
    uint32_t twin_bits = vectors->design->plan->twin_bits;
    if (twin_bits)
        return pbitc_twin_run(model, twin_bits, ports.inputs, ports.outputs);
    if (vectors->design->plan->lfsr)
        return pbitc_lfsr_run(model, samples, ports.inputs, ports.outputs);
    struct pbit_options options = {.seed = vectors->design->vectors->seed,
                                   .image = image,
                                   .draws = vectors->design->plan->draws,
                                   .samples = samples};
    return pbit_run(model, &options, ports.inputs, ports.outputs, vectors->workspace,
                    vectors->workspace_bytes) == PBIT_OK
               ? PBIT_OK
               : PBIT_ERROR_INTERNAL;
}

static enum pbit_status write_case(struct vectors *vectors, uint64_t number, uint32_t samples)
{
    const struct pbitc_verilog *design = vectors->design;
    uint64_t bytes = pbitc_export_input_bytes(design->model), seed = design->vectors->seed;
    enum pbit_status status = run(vectors, number, samples);
    for (uint64_t i = 0; i < bytes; i++)
        fprintf(vectors->pixels, "%02x\n", vectors->image[i]);
    fprintf(vectors->cases,
            "%08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 " %08" PRIx32 "\n", samples,
            (uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)number, (uint32_t)(number >> 32),
            (uint32_t)pbitc_verilog_cycles(design->plan, samples));
    for (uint64_t i = 0; i < pbitc_export_output_elements(design->model); i++)
        fprintf(vectors->sums, "%016" PRIx64 "\n", (uint64_t)vectors->results[i]);
    return status;
}

/// The images outermost: T changes from one to the next.
static enum pbit_status write_cases(struct vectors *vectors)
{
    const struct pbitc_verilog_vectors *wanted = vectors->design->vectors;
    uint64_t bytes = pbitc_export_input_bytes(vectors->design->model);
    enum pbit_status status = PBIT_OK;
    for (uint32_t i = 0; i < wanted->images && status == PBIT_OK; i++) {
        if (wanted->dataset)
            wanted->fill(wanted->dataset, vectors->design->model, i, vectors->image);
        else
            pbitc_export_noise(i, vectors->image, bytes);
        for (uint32_t t = 0; t < wanted->samples_count && status == PBIT_OK; t++)
            status = write_case(vectors, wanted->first_image + i, wanted->samples[t]);
    }
    return status;
}

static enum pbit_status close_file(FILE *stream, const char *path, char **text, size_t *size,
                                   struct pbitc_folder *folder, enum pbit_status status)
{
    if (!stream)
        return PBIT_ERROR_MEMORY;
    bool failed = ferror(stream) != 0;
    if ((fclose(stream) != 0 || failed) && status == PBIT_OK)
        status = PBIT_ERROR_MEMORY;
    enum pbit_status added = pbitc_folder_add(folder, path, *text, *size, true);
    return status != PBIT_OK ? status : added;
}

enum pbit_status pbitc_verilog_add_vectors(const struct pbitc_verilog *design, struct pbitc_folder *folder)
{
    struct vectors vectors = {.design = design};
    char *texts[3] = {NULL, NULL, NULL};
    size_t sizes[3];
    vectors.pixels = open_memstream(&texts[0], &sizes[0]);
    vectors.cases = open_memstream(&texts[1], &sizes[1]);
    vectors.sums = open_memstream(&texts[2], &sizes[2]);
    vectors.image = malloc(pbitc_export_input_bytes(design->model));
    vectors.results = calloc(pbitc_export_output_elements(design->model), sizeof(*vectors.results));
    vectors.workspace = pbitc_golden_workspace(design->model, &vectors.workspace_bytes);
    enum pbit_status status = vectors.pixels && vectors.cases && vectors.sums && vectors.image &&
                                      vectors.results && vectors.workspace
                                  ? write_cases(&vectors)
                                  : PBIT_ERROR_MEMORY;
    status = close_file(vectors.pixels, "vectors/pixels.mem", &texts[0], &sizes[0], folder, status);
    status = close_file(vectors.cases, "vectors/cases.mem", &texts[1], &sizes[1], folder, status);
    status = close_file(vectors.sums, "vectors/sums.mem", &texts[2], &sizes[2], folder, status);
    free(vectors.image);
    free(vectors.results);
    free(vectors.workspace);
    return status;
}
