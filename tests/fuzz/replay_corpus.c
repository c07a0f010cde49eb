// Gives every file of a folder to the fuzz target, once: what fuzzing found stays mended without a fuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int replay(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    // A copy of exactly this size, so that a sanitizer sees reads beyond it.
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        return -1;
    for (size_t i = 0; i < size; i++)
        exact[i] = bytes[i];
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

int main(int count, char **arguments)
{
    struct dirent **entries;
    int files = 0, found = count == 2 ? scandir(arguments[1], &entries, NULL, alphasort) : -1;
    for (int i = 0; i < found; i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s", arguments[1], entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            fprintf(stderr, "%s\n", path); // the last line names the file that crashed
            if (replay(path) != 0)
                return 1;
            files++;
        }
        free(entries[i]);
    }
    if (files == 0)
        return 1;
    free(entries);
    return 0;
}
