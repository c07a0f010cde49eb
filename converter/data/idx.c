#include "converter/data/readers.h"
#include "converter/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IDX_UINT8 = 8, IDX_MAX_RANK = 4 };

/// An IDX file of unsigned bytes: 0, 0, type, rank, then the dimensions (u32, big-endian), then the elements.
struct idx {
    uint8_t *bytes; ///< the whole file
    const uint8_t *data;
    int rank;
    int64_t dims[IDX_MAX_RANK];
};

static enum pbit_status report_damage(struct pbitc_diagnostics *diagnostics, const char *path,
                                      const char *what)
{
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "fetch the file again",
                        "%s is no valid idx file: %s", path, what);
}

static enum pbit_status decode_idx(struct idx *idx, size_t size, const char *path,
                                   struct pbitc_diagnostics *diagnostics)
{
    const uint8_t *bytes = idx->bytes;
    if (size < 4 || bytes[0] || bytes[1])
        return report_damage(diagnostics, path, "it does not begin as one");
    if (bytes[2] != IDX_UINT8 || bytes[3] < 1 || bytes[3] > IDX_MAX_RANK)
        return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                            "give unsigned bytes, or save the data as .npy",
                            "%s holds elements of idx type 0x%02x in %d dimensions", path, bytes[2],
                            bytes[3]);
    idx->rank = bytes[3];
    size_t header = 4 + 4 * (size_t)idx->rank, elements = 1;
    if (size < header)
        return report_damage(diagnostics, path, "it is cut off");
    for (int axis = 0; axis < idx->rank; axis++) {
        const uint8_t *field = bytes + 4 + 4 * axis;
        idx->dims[axis] = (int64_t)field[0] << 24 | field[1] << 16 | field[2] << 8 | field[3];
        if (__builtin_mul_overflow(elements, (size_t)idx->dims[axis], &elements))
            return report_damage(diagnostics, path, "its size does not fit its dimensions");
    }
    if (elements != size - header)
        return report_damage(diagnostics, path, "its size does not fit its dimensions");
    idx->data = bytes + header;
    return PBIT_OK;
}

/// idx->bytes is the caller's to free.
static enum pbit_status load_idx(struct idx *idx, const char *path, struct pbitc_diagnostics *diagnostics)
{
    size_t size;
    enum pbit_status status = pbitc_file_read(path, &idx->bytes, &size, diagnostics);
    return status == PBIT_OK ? decode_idx(idx, size, path, diagnostics) : status;
}

static enum pbit_status read_images(struct pbitc_dataset *dataset, const char *path, bool channels_last,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct idx idx = {.bytes = NULL};
    enum pbit_status status = load_idx(&idx, path, diagnostics);
    if (status == PBIT_OK && !pbitc_dataset_set_shape(dataset, idx.dims + 1, idx.rank - 1, channels_last))
        status = report_damage(diagnostics, path, "it holds no images");
    if (status == PBIT_OK) {
        dataset->images = (size_t)idx.dims[0];
        size_t bytes = dataset->images * dataset->elements;
        dataset->pixels = malloc(bytes ? bytes : 1);
        if (dataset->pixels)
            memcpy(dataset->pixels, idx.data, bytes);
        else
            status = pbitc_report_memory(diagnostics);
    }
    free(idx.bytes);
    return status;
}

static enum pbit_status read_labels(struct pbitc_dataset *dataset, const char *path,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct idx idx = {.bytes = NULL};
    enum pbit_status status = load_idx(&idx, path, diagnostics);
    if (status == PBIT_OK && idx.rank != 1)
        status = report_damage(diagnostics, path, "it holds no labels");
    else if (status == PBIT_OK && (size_t)idx.dims[0] != dataset->images)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "give the labels of these images", "%s holds %lld labels for %zu images", path,
                              (long long)idx.dims[0], dataset->images);
    if (status == PBIT_OK) {
        dataset->labels = malloc((dataset->images + 1) * sizeof(*dataset->labels));
        if (!dataset->labels)
            status = pbitc_report_memory(diagnostics);
    }
    for (size_t i = 0; i < dataset->images && status == PBIT_OK; i++)
        dataset->labels[i] = idx.data[i];
    free(idx.bytes);
    return status;
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/// The only file of the split in `directory` whose name holds `word`; malloc'ed.
static enum pbit_status find_file(const char *directory, bool test, const char *word, char **path,
                                  struct pbitc_diagnostics *diagnostics)
{
    DIR *stream = opendir(directory);
    if (!stream)
        return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot read %s: %s", directory,
                            strerror(errno));
    size_t found = 0;
    for (struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        bool split = test ? begins(name, "t10k") || begins(name, "test") : begins(name, "train");
        if (!split || !strstr(name, word))
            continue;
        free(*path);
        *path = pbitc_path_join(directory, name);
        found++;
    }
    closedir(stream);
    if (found == 1)
        return *path ? PBIT_OK : pbitc_report_memory(diagnostics);
    return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
                        "choose with split=, or name the files: idx:IMAGES,labels=LABELS",
                        "%s holds %zu files %s...%s... where one is wanted", directory, found,
                        test ? "t10k" : "train", word);
}

enum pbit_status pbitc_read_idx(struct pbitc_dataset *dataset, const char *path, bool labels,
                                const struct pbitc_data_keys *keys, struct pbitc_diagnostics *diagnostics)
{
    const char *layout = keys->values[PBITC_DATA_LAYOUT], *labels_path = keys->values[PBITC_DATA_LABELS];
    char *found_images = NULL, *found_labels = NULL;
    enum pbit_status status = PBIT_OK;
    if (pbitc_is_directory(path)) {
        bool test = pbitc_split_is_test(keys);
        status = find_file(path, test, "images", &found_images, diagnostics);
        if (status == PBIT_OK && labels && !labels_path) {
            status = find_file(path, test, "labels", &found_labels, diagnostics);
            labels_path = found_labels;
        }
        path = found_images;
    }
    if (status == PBIT_OK)
        status = read_images(dataset, path, layout && strcmp(layout, "nhwc") == 0, diagnostics);
    if (status == PBIT_OK && labels && !labels_path)
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "add ,labels=LABELS",
                              "the labels of idx:%s are missing", path);
    else if (status == PBIT_OK && labels)
        status = read_labels(dataset, labels_path, diagnostics);
    free(found_images);
    free(found_labels);
    return status;
}
