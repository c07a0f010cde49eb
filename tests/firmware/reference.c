// The hashes that bits.c must print, from libpbit: reference FILE.pbit IMAGES COUNT m:T ...
#include "runtime/pbit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEED = 7, ALIGNMENT = 64 };

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        exit(3);
    *size = (size_t)ftell(file);
    void *bytes = malloc(*size);
    rewind(file);
    if (!bytes || fread(bytes, 1, *size, file) != *size)
        exit(3);
    fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    size_t size, images_size;
    if (argc < 5)
        return 2;
    const void *bytes = read_file(argv[1], &size);
    const uint8_t *images = read_file(argv[2], &images_size);
    struct pbit_model model;
    if (pbit_model_open(&model, bytes, size) != PBIT_OK)
        return 3;
    size_t workspace_bytes = (pbit_workspace_bytes(&model) + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *workspace = aligned_alloc(ALIGNMENT, workspace_bytes);
    size_t elements = pbit_model_input(&model, 0).elements, outputs = pbit_model_output(&model, 0).elements;
    int64_t *sums = calloc(outputs, sizeof(*sums));
    uint32_t count = (uint32_t)atoi(argv[3]);
    if (!workspace || !sums || count * elements > images_size)
        return 3;
    for (int i = 4; i < argc; i++) {
        struct pbit_options options = {.seed = SEED};
        if (sscanf(argv[i], "%" SCNu32 ":%" SCNu32, &options.draws, &options.samples) != 2)
            return 2;
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (uint32_t image = 0; image < count; image++) {
            options.image = image;
            const uint8_t *input = images + image * elements;
            if (pbit_run(&model, &options, &input, &sums, workspace, workspace_bytes) != PBIT_OK)
                return 4;
            for (size_t k = 0; k < outputs; k++)
                for (int byte = 0; byte < 8; byte++)
                    hash = (hash ^ ((uint64_t)sums[k] >> 8 * byte & 255)) * UINT64_C(0x100000001b3);
        }
        printf("m %" PRIu32 " T %" PRIu32 " images %" PRIu32 " hash %016" PRIx64 "\n", options.draws,
               options.samples, count, hash);
    }
    return 0;
}
