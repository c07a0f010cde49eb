#include "converter/data/readers.h"
#include "converter/file.h"

#include <dirent.h>
#include <errno.h>
#include <stb_image.h>
#include <stdlib.h>
#include <string.h>

/// Names in a directory without those that begin with a dot, in the order of their bytes.
struct names {
    struct dirent **entries;
    int count;
};

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum pbit_status list_directory(const char *path, struct names *names,
                                       struct pbitc_diagnostics *diagnostics)
{
    names->count = scandir(path, &names->entries, is_visible, compare_names);
    if (names->count >= 0)
        return PBIT_OK;
    *names = (struct names){NULL, 0};
    return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot read %s: %s", path,
                        strerror(errno));
}

static void free_names(struct names *names)
{
    for (int i = 0; i < names->count; i++)
        free(names->entries[i]);
    free(names->entries);
}

/// Images of all classes while they are read. Every image takes the channels and the size of the first.
struct reading {
    struct pbitc_dataset *dataset;
    struct pbitc_diagnostics *diagnostics;
    size_t capacity; ///< images that fit the arrays
    enum pbit_status status;
};

/// Keeps the first status and goes on: all images with problems are reported.
static void report_image(struct reading *reading, enum pbit_status status, const char *path,
                         const char *remedy, const char *problem)
{
    pbitc_report(reading->diagnostics, status, NULL, NULL, 0, remedy, "%s: %s", path, problem);
    if (reading->status == PBIT_OK)
        reading->status = status;
}

/// Drops alpha where all of it is opaque: 2 channels become 1, 4 become 3. False for a transparent pixel.
static bool drop_alpha(uint8_t *pixels, size_t count, int *channels)
{
    size_t stored = (size_t)*channels, kept = stored - 1;
    if (stored % 2)
        return true;
    for (size_t i = 0; i < count; i++) {
        if (pixels[i * stored + kept] != UINT8_MAX)
            return false;
        memmove(pixels + i * kept, pixels + i * stored, kept);
    }
    *channels = (int)kept;
    return true;
}

static bool grow(struct reading *reading)
{
    struct pbitc_dataset *dataset = reading->dataset;
    size_t capacity = reading->capacity ? 2 * reading->capacity : 64, bytes;
    if (__builtin_mul_overflow(capacity, dataset->elements, &bytes))
        return false;
    uint8_t *pixels = realloc(dataset->pixels, bytes);
    if (!pixels)
        return false;
    dataset->pixels = pixels;
    int64_t *labels = realloc(dataset->labels, capacity * sizeof(*labels));
    if (!labels)
        return false;
    dataset->labels = labels;
    reading->capacity = capacity;
    return true;
}

static void append_image(struct reading *reading, const char *path, const uint8_t *pixels, int height,
                         int width, int channels, int64_t label)
{
    struct pbitc_dataset *dataset = reading->dataset;
    const int64_t dims[] = {height, width, channels};
    if (!dataset->rank)
        pbitc_dataset_set_shape(dataset, dims, 3, true);
    if (dataset->height != (size_t)height || dataset->width != (size_t)width ||
        dataset->channels != (size_t)channels) {
        char problem[120];
        snprintf(problem, sizeof(problem),
                 "%d x %d pixels of %d channel(s), the first image has %zu x %zu of %zu", height, width,
                 channels, dataset->height, dataset->width, dataset->channels);
        report_image(reading, PBIT_ERROR_UNSUPPORTED, path, "give all images one size and kind of color",
                     problem);
    } else if (dataset->images == reading->capacity && !grow(reading)) {
        reading->status = pbitc_report_memory(reading->diagnostics);
    } else {
        memcpy(dataset->pixels + dataset->images * dataset->elements, pixels, dataset->elements);
        dataset->labels[dataset->images++] = label;
    }
}

static void read_image(struct reading *reading, const char *path, int64_t label)
{
    uint8_t *bytes;
    size_t size;
    enum pbit_status status = pbitc_file_read(path, &bytes, &size, reading->diagnostics);
    if (status != PBIT_OK) {
        reading->status = status;
        return;
    }
    int length = size > INT32_MAX ? 0 : (int)size, width, height, channels;
    uint8_t *pixels = NULL;
    if (stbi_is_16_bit_from_memory(bytes, length))
        report_image(reading, PBIT_ERROR_UNSUPPORTED, path, "save 8 bits, or all images as one .npy",
                     "its channels have 16 bits");
    else if (!(pixels = stbi_load_from_memory(bytes, length, &width, &height, &channels, 0)))
        report_image(reading, PBIT_ERROR_FORMAT, path,
                     "keep only images (PNG, JPEG, BMP, PNM ...) in the folders of the classes",
                     stbi_failure_reason());
    else if (!drop_alpha(pixels, (size_t)width * (size_t)height, &channels))
        report_image(reading, PBIT_ERROR_UNSUPPORTED, path, "lay it on a background",
                     "it has transparent pixels");
    else
        append_image(reading, path, pixels, height, width, channels, label);
    stbi_image_free(pixels);
    free(bytes);
}

static bool may_go_on(const struct reading *reading)
{
    return reading->status != PBIT_ERROR_MEMORY && reading->status != PBIT_ERROR_STOPPED;
}

/// Reads all files of one class.
static void read_class(struct reading *reading, const char *path, int64_t label)
{
    struct names files;
    enum pbit_status status = list_directory(path, &files, reading->diagnostics);
    reading->status = reading->status == PBIT_OK ? status : reading->status;
    for (int i = 0; i < files.count && may_go_on(reading); i++) {
        char *file = pbitc_path_join(path, files.entries[i]->d_name);
        if (file)
            read_image(reading, file, label);
        else
            reading->status = pbitc_report_memory(reading->diagnostics);
        free(file);
    }
    free_names(&files);
}

/// The folders in `path` are the classes, in the order of their names.
static void read_classes(struct reading *reading, const char *path)
{
    struct names names;
    int64_t label = 0;
    reading->status = list_directory(path, &names, reading->diagnostics);
    for (int i = 0; i < names.count && may_go_on(reading); i++) {
        char *folder = pbitc_path_join(path, names.entries[i]->d_name);
        if (!folder)
            reading->status = pbitc_report_memory(reading->diagnostics);
        else if (pbitc_is_directory(folder))
            read_class(reading, folder, label++);
        free(folder);
    }
    free_names(&names);
    if (reading->status == PBIT_OK && reading->dataset->images == 0)
        reading->status = pbitc_report(reading->diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
                                       "make one folder per class and put its images there",
                                       "there are no images in folders of %s", path);
}

enum pbit_status pbitc_read_image_folder(struct pbitc_dataset *dataset, const char *path, bool labels,
                                         const struct pbitc_data_keys *keys,
                                         struct pbitc_diagnostics *diagnostics)
{
    (void)labels; // the folders' names say them anyway
    struct reading reading = {.dataset = dataset, .diagnostics = diagnostics, .status = PBIT_OK};
    bool test = pbitc_split_is_test(keys);
    char *split = pbitc_path_join(path, test ? "test" : "train");
    char *other = pbitc_path_join(path, test ? "train" : "test");
    if (!split || !other)
        reading.status = pbitc_report_memory(diagnostics);
    else // the folder of the other split is no class: what is missing is reported
        read_classes(&reading, pbitc_is_directory(split) || pbitc_is_directory(other) ? split : path);
    dataset->channels_last = false; // only stored so: layout= says what the model reads
    free(split);
    free(other);
    return reading.status;
}
