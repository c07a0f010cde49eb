// compare_engine FILE.pbit...: pbit_engine_run against pbit_run, bit for bit, with the kernels of this
// processor. Needs libpbit alone, so that it can be built for any processor. Exit code 1 when a bit differs.
#include "runtime/pbit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 3, PORTS = 16, ALIGNMENT = 64 };

struct run {
    struct pbit_model model;
    const struct pbit_engine *engine;
    void *workspace;
    size_t workspace_bytes;
    uint8_t *inputs[IMAGES * PORTS];
    int64_t *sums[IMAGES * PORTS], *expected[PORTS];
};

static void *allocate(size_t bytes)
{
    void *memory = aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
    if (!memory)
        abort();
    return memset(memory, 0xA5, bytes);
}

static uint32_t random_word(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = allocate(*size);
    if (fread(bytes, 1, *size, file) != *size)
        *size = 0;
    fclose(file);
    return bytes;
}

static void make_ports(struct run *run, uint32_t *random)
{
    for (uint32_t i = 0; i < IMAGES * run->model.input_count; i++) {
        size_t elements = pbit_model_input(&run->model, i % run->model.input_count).elements;
        run->inputs[i] = allocate(elements);
        for (size_t j = 0; j < elements; j++)
            run->inputs[i][j] = (uint8_t)(random_word(random) >> 24);
    }
    for (uint32_t o = 0; o < IMAGES * run->model.output_count; o++) {
        size_t bytes = pbit_model_output(&run->model, o % run->model.output_count).elements * sizeof(int64_t);
        run->sums[o] = allocate(bytes);
        if (o < run->model.output_count)
            run->expected[o] = allocate(bytes);
    }
}

/// How many outputs of an image differ.
static int compare_image(struct run *run, struct pbit_options options, uint32_t image)
{
    int differ = 0;
    options.image += image;
    if (pbit_run(&run->model, &options, (const uint8_t *const *)run->inputs + image * run->model.input_count,
                 run->expected, run->workspace, run->workspace_bytes) != PBIT_OK)
        return 1;
    for (uint32_t o = 0; o < run->model.output_count; o++)
        differ += memcmp(run->expected[o], run->sums[image * run->model.output_count + o],
                         pbit_model_output(&run->model, o).elements * sizeof(int64_t)) != 0;
    return differ;
}

static int compare(struct run *run, struct pbit_options options)
{
    int differ = 0;
    if (pbit_engine_run(run->engine, &options, IMAGES, (const uint8_t *const *)run->inputs, run->sums,
                        run->workspace, run->workspace_bytes) != PBIT_OK)
        return 1;
    for (uint32_t image = 0; image < IMAGES; image++)
        differ += compare_image(run, options, image);
    return differ;
}

/// One file with every sampler and some m and T.
static int compare_file(const char *path)
{
    struct run run = {.engine = NULL};
    size_t size = 0;
    uint8_t *bytes = read_file(path, &size);
    if (!bytes || pbit_model_open(&run.model, bytes, size) != PBIT_OK)
        return 1;
    uint32_t random = (uint32_t)size | 1, most = pbit_model_max_draws(&run.model);
    size_t engine_bytes = pbit_engine_bytes(&run.model, pbit_cpu_present());
    void *memory = allocate(engine_bytes);
    if (pbit_engine_create(&run.model, pbit_cpu_present(), memory, engine_bytes, &run.engine) != PBIT_OK)
        return 1;
    size_t fast = pbit_engine_workspace_bytes(run.engine, IMAGES, 1), slow = pbit_workspace_bytes(&run.model);
    run.workspace_bytes = fast > slow ? fast : slow;
    run.workspace = allocate(run.workspace_bytes);
    make_ports(&run, &random);
    int differ = 0;
    for (int sampler = 0; sampler < 4; sampler++) {
        uint32_t draws = 1 + random_word(&random) % (sampler % 2 ? 255 : 6);
        differ += compare(&run, (struct pbit_options){.seed = random_word(&random),
                                                      .image = random_word(&random),
                                                      .draws = draws > most ? most : draws,
                                                      .samples = 1 + random_word(&random) % 10,
                                                      .sampler = (enum pbit_sampler)sampler});
    }
    for (uint32_t i = 0; i < IMAGES * PORTS; i++) {
        free(run.inputs[i]);
        free(run.sums[i]);
        free(i < PORTS ? run.expected[i] : NULL);
    }
    free(run.workspace);
    free(memory);
    free(bytes);
    return differ;
}

int main(int count, char **arguments)
{
    int bad = 0;
    for (int i = 1; i < count; i++) {
        int differ = compare_file(arguments[i]);
        if (differ)
            fprintf(stderr, "%s: %d outputs differ\n", arguments[i], differ);
        bad += differ != 0;
    }
    printf("%s kernels: %d of %d programs the same\n", pbit_cpu_name(pbit_cpu_present()), count - 1 - bad,
           count - 1);
    return bad || count < 2;
}
