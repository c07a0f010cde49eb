#include "converter/data/readers.h"
#include "converter/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/// A record is one label byte and three 32 x 32 planes: red, green, blue.
enum { SIDE = 32, CHANNELS = 3, PIXELS = CHANNELS * SIDE * SIDE, RECORD = 1 + PIXELS, CLASSES = 10 };

/// Appends the records of one file.
static enum pbit_status append_batch(struct pbitc_dataset *dataset, const char *path,
                                     struct pbitc_diagnostics *diagnostics)
{
    uint8_t *bytes;
    size_t size;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, diagnostics);
    if (status != PBIT_OK)
        return status;
    size_t count = size / RECORD, before = dataset->images;
    uint8_t *pixels = NULL;
    int64_t *labels = NULL;
    if (size == 0 || size % RECORD) {
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "give the binary version of CIFAR-10, not the one for Python",
                              "%s holds %zu bytes, no multiple of %d", path, size, RECORD);
    } else {
        pixels = realloc(dataset->pixels, (before + count) * PIXELS);
        dataset->pixels = pixels ? pixels : dataset->pixels;
        labels = realloc(dataset->labels, (before + count) * sizeof(*labels));
        dataset->labels = labels ? labels : dataset->labels;
        if (!pixels || !labels)
            status = pbitc_report_memory(diagnostics);
    }
    for (size_t i = 0; i < count && status == PBIT_OK; i++) {
        const uint8_t *record = bytes + i * RECORD;
        memcpy(pixels + (before + i) * PIXELS, record + 1, PIXELS);
        labels[before + i] = record[0];
        if (record[0] >= CLASSES)
            status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "fetch the file again",
                                  "%s: label %zu is %d", path, i, record[0]);
    }
    free(bytes);
    dataset->images += status == PBIT_OK ? count : 0;
    return status;
}

/// Appends DIRECTORY/NAME or DIRECTORY/NAME.gz; *found says whether one of them is there.
static enum pbit_status append_named(struct pbitc_dataset *dataset, const char *directory, const char *name,
                                     bool *found, struct pbitc_diagnostics *diagnostics)
{
    char packed[40];
    snprintf(packed, sizeof(packed), "%s.gz", name);
    const char *names[] = {name, packed};
    *found = false;
    for (size_t i = 0; i < 2 && !*found; i++) {
        char *path = pbitc_path_join(directory, names[i]);
        if (!path)
            return pbitc_report_memory(diagnostics);
        *found = access(path, F_OK) == 0;
        enum pbit_status status = *found ? append_batch(dataset, path, diagnostics) : PBIT_OK;
        free(path);
        if (status != PBIT_OK)
            return status;
    }
    return PBIT_OK;
}

enum pbit_status pbitc_read_cifar10(struct pbitc_dataset *dataset, const char *path, bool labels,
                                    const struct pbitc_data_keys *keys, struct pbitc_diagnostics *diagnostics)
{
    (void)labels; // they stand between the pixels anyway
    static const int64_t dims[] = {CHANNELS, SIDE, SIDE};
    pbitc_dataset_set_shape(dataset, dims, 3, false);
    bool test = pbitc_split_is_test(keys), found = true;
    enum pbit_status status = PBIT_OK;
    if (test)
        status = append_named(dataset, path, "test_batch.bin", &found, diagnostics);
    for (int batch = 1; !test && found && status == PBIT_OK; batch++) {
        char name[32];
        snprintf(name, sizeof(name), "data_batch_%d.bin", batch);
        status = append_named(dataset, path, name, &found, diagnostics);
    }
    if (status == PBIT_OK && dataset->images == 0)
        status = pbitc_report(
            diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
            "name the directory of the binary version of CIFAR-10, and split=train or split=test",
            "there is no %s in %s", test ? "test_batch.bin" : "data_batch_1.bin", path);
    return status;
}
