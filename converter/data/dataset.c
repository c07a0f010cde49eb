#include "converter/data/dataset.h"

#include "converter/data/readers.h"
#include "converter/file.h"
#include "converter/options.h"

#include <stdlib.h>
#include <string.h>

const char *const pbitc_data_key_names[PBITC_DATA_KEYS] = {
    [PBITC_DATA_SCALE] = "scale",   [PBITC_DATA_MEAN] = "mean",   [PBITC_DATA_STD] = "std",
    [PBITC_DATA_LAYOUT] = "layout", [PBITC_DATA_SIZE] = "size",   [PBITC_DATA_GRAY] = "gray",
    [PBITC_DATA_LABELS] = "labels", [PBITC_DATA_SPLIT] = "split", [PBITC_DATA_RANGE] = "range",
};

static const struct kind {
    const char *name;
    pbitc_reader *read;
} kinds[] = {
    {"idx", pbitc_read_idx},
    {"cifar10", pbitc_read_cifar10},
    {"npy", pbitc_read_npy},
    {"folder", pbitc_read_image_folder},
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]) };

void pbitc_dataset_help(FILE *stream)
{
    fputs("\nDATA is KIND:PATH[,key=value...]\n"
          "  idx:IMAGES,labels=LABELS    the MNIST format, plain or gzip\n"
          "  idx:DIR                     the images and labels of the split found there\n"
          "                              (train*images*, t10k*images* or test*images*)\n"
          "  cifar10:DIR                 data_batch_*.bin or test_batch.bin\n"
          "  npy:X.npy,labels=Y.npy      NumPy arrays, the first dimension counts the images\n"
          "  folder:DIR                  one folder of images (PNG, JPEG, BMP, PNM) per class, in DIR or in\n"
          "                              DIR/train and DIR/test; classes in the order of their names\n"
          "  split=train|test            part of a directory; train for --calibrate, test for --data\n"
          "  range=FIRST:COUNT           these images only\n"
          "  scale=S, mean=M, std=D      x = (pixel * S - M) / D; one number, or one per channel joined by "
          "':';\n"
          "                              1, 0 and 1 where neither DATA nor the .pbit file says\n"
          "  layout=nchw|nhwc            order of the values that the model reads (nchw)\n"
          "  size=HxW                    refuse images of another size\n"
          "  gray                        three channels become one (luma of BT.601)\n",
          stream);
}

enum pbit_status pbitc_report_memory(struct pbitc_diagnostics *diagnostics)
{
    return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
}

bool pbitc_split_is_test(const struct pbitc_data_keys *keys)
{
    return strcmp(keys->values[PBITC_DATA_SPLIT], "test") == 0;
}

bool pbitc_dataset_set_shape(struct pbitc_dataset *dataset, const int64_t *dims, int rank, bool channels_last)
{
    if (rank < 1 || rank > 3)
        return false;
    int channel_axis = rank < 3 ? -1 : channels_last ? 2 : 0;
    int width_axis = rank == 3 && channels_last ? 1 : rank - 1;
    dataset->rank = (size_t)rank;
    dataset->channels = channel_axis < 0 ? 1 : (size_t)dims[channel_axis];
    dataset->height = rank == 1 ? 1 : (size_t)dims[width_axis - 1];
    dataset->width = (size_t)dims[width_axis];
    dataset->stored_channels = dataset->channels;
    dataset->stored_channels_last = channels_last && rank == 3;
    dataset->channels_last = dataset->stored_channels_last;
    dataset->elements = dataset->channels * dataset->height * dataset->width;
    return true;
}

/// Splits "path,key=value,..." in place into dataset->keys. Returns the number of problems.
static int parse_keys(struct pbitc_dataset *dataset, char *list, struct pbitc_diagnostics *diagnostics)
{
    int problems = 0;
    char *save;
    strtok_r(list, ",", &save); // the path
    for (char *item; (item = strtok_r(NULL, ",", &save));) {
        size_t length = strcspn(item, "=");
        int key = 0;
        while (key < PBITC_DATA_KEYS && (strlen(pbitc_data_key_names[key]) != length ||
                                         strncmp(pbitc_data_key_names[key], item, length) != 0))
            key++;
        bool flag = key == PBITC_DATA_GRAY;
        if (key == PBITC_DATA_KEYS || (!flag && !item[length])) {
            pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                         "the keys are scale= mean= std= layout= size= gray labels= split= range=",
                         key == PBITC_DATA_KEYS ? "DATA: unknown key '%s'" : "DATA: key '%s' has no value",
                         item);
            problems++;
        } else {
            dataset->keys.values[key] = flag ? "1" : item + length + 1;
        }
    }
    return problems;
}

static int check_word(const char *text, const char *key, const char *a, const char *b,
                      struct pbitc_diagnostics *diagnostics)
{
    if (!text || strcmp(text, a) == 0 || strcmp(text, b) == 0)
        return 0;
    pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL, "DATA: %s=%s is neither %s nor %s", key,
                 text, a, b);
    return 1;
}

/// Two whole numbers with `separator` between them; true when there is no text.
static bool parse_pair(const char *text, char separator, size_t *first, size_t *second)
{
    if (!text)
        return true;
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *first = strtoull(text, &end, 10);
    if (*end != separator || end[1] < '0' || end[1] > '9')
        return false;
    *second = strtoull(end + 1, &end, 10);
    return !*end;
}

/// "a" or "a:b:c" to one number per channel. An absent text gives `fallback`.
static bool parse_channels(const char *text, double fallback, size_t channels, double *numbers, size_t *given)
{
    for (size_t i = 0; i < channels; i++)
        numbers[i] = fallback;
    *given = 1;
    if (!text)
        return true;
    for (size_t i = 0;; i++) {
        size_t length = strcspn(text, ":");
        char number[64];
        if (i == channels || length >= sizeof(number))
            return false;
        memcpy(number, text, length);
        number[length] = 0;
        if (!pbitc_parse_real(number, &numbers[i]))
            return false;
        *given = i + 1;
        if (!text[length])
            break;
        text += length + 1;
    }
    for (size_t i = 1; i < channels && *given == 1; i++)
        numbers[i] = numbers[0];
    return *given == 1 || *given == channels;
}

static bool allocate_channels(struct pbitc_dataset *dataset)
{
    size_t channels = dataset->channels ? dataset->channels : 1;
    dataset->scale = calloc(channels, sizeof(double));
    dataset->mean = calloc(channels, sizeof(double));
    dataset->std = calloc(channels, sizeof(double));
    dataset->offset = calloc(channels, sizeof(float));
    dataset->step = calloc(channels, sizeof(float));
    return dataset->scale && dataset->mean && dataset->std && dataset->offset && dataset->step;
}

static enum pbit_status set_normalization(struct pbitc_dataset *dataset,
                                          struct pbitc_diagnostics *diagnostics)
{
    const struct {
        enum pbitc_data_key key;
        double fallback, *numbers;
    } lists[] = {{PBITC_DATA_SCALE, 1, dataset->scale},
                 {PBITC_DATA_MEAN, 0, dataset->mean},
                 {PBITC_DATA_STD, 1, dataset->std}};
    enum pbit_status status = PBIT_OK;
    dataset->normalized_channels = 1;
    for (size_t i = 0; i < 3; i++) {
        const char *text = dataset->keys.values[lists[i].key];
        size_t given;
        bool good = parse_channels(text, lists[i].fallback, dataset->channels, lists[i].numbers, &given);
        for (size_t c = 0; c < dataset->channels && good; c++)
            good = lists[i].key == PBITC_DATA_MEAN || lists[i].numbers[c] > 0;
        if (!good)
            status =
                pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                             "give one number, or one per channel joined by ':'; scale and std are above 0",
                             "DATA: %s=%s does not fit images with %zu channel(s)",
                             pbitc_data_key_names[lists[i].key], text, dataset->channels);
        else if (given > 1)
            dataset->normalized_channels = dataset->channels;
    }
    for (size_t c = 0; c < dataset->channels && status == PBIT_OK; c++) {
        dataset->offset[c] = (float)(-dataset->mean[c] / dataset->std[c]);
        dataset->step[c] = (float)(dataset->scale[c] / dataset->std[c]);
    }
    return status;
}

/// Brings the shape from how the pixels are stored to how the model reads them.
static enum pbit_status set_layout(struct pbitc_dataset *dataset, struct pbitc_diagnostics *diagnostics)
{
    const char *layout = dataset->keys.values[PBITC_DATA_LAYOUT];
    if (layout && dataset->rank == 3)
        dataset->channels_last = strcmp(layout, "nhwc") == 0;
    if (dataset->keys.values[PBITC_DATA_GRAY] && dataset->channels != 1) {
        if (dataset->channels != 3)
            return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "leave gray away",
                                "DATA: gray needs three channels, the images have %zu", dataset->channels);
        dataset->channels = 1;
    }
    dataset->elements = dataset->channels * dataset->height * dataset->width;
    const char *size = dataset->keys.values[PBITC_DATA_SIZE];
    size_t height = dataset->height, width = dataset->width;
    if (!parse_pair(size, 'x', &height, &width))
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL, "DATA: size=%s is not HxW",
                            size);
    if (height != dataset->height || width != dataset->width)
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "give images of that size",
                            "DATA: the images are %zu x %zu, not size=%s", dataset->height, dataset->width,
                            size);
    return PBIT_OK;
}

static size_t stored_elements(const struct pbitc_dataset *dataset)
{
    return dataset->stored_channels * dataset->height * dataset->width;
}

/// Keeps the images of range= and of the limit.
static enum pbit_status select_images(struct pbitc_dataset *dataset, const struct pbitc_data_request *request,
                                      struct pbitc_diagnostics *diagnostics)
{
    const char *range = dataset->keys.values[PBITC_DATA_RANGE];
    size_t first = 0, count = dataset->images;
    if (!parse_pair(range, ':', &first, &count))
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL,
                            "DATA: range=%s is not FIRST:COUNT", range);
    if (first > dataset->images || count > dataset->images - first)
        return pbitc_report(diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0, "choose a smaller range",
                            "DATA: range=%s ends behind the last of %zu images", range, dataset->images);
    if (request->limit && count > request->limit && !(range && request->limit_without_range))
        count = request->limit;
    if (count == 0 || dataset->elements == 0)
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, NULL,
                            "DATA: there are no images in %s", request->text);
    size_t elements = stored_elements(dataset);
    if (dataset->pixels)
        memmove(dataset->pixels, dataset->pixels + first * elements, count * elements);
    else
        memmove(dataset->values, dataset->values + first * elements, count * elements * sizeof(float));
    if (dataset->labels)
        memmove(dataset->labels, dataset->labels + first, count * sizeof(*dataset->labels));
    dataset->first = first;
    dataset->images = count;
    return PBIT_OK;
}

static uint64_t hash_images(const struct pbitc_dataset *dataset)
{
    size_t count = dataset->images * stored_elements(dataset);
    uint64_t hash = dataset->pixels ? pbitc_hash(PBITC_HASH_START, dataset->pixels, count)
                                    : pbitc_hash(PBITC_HASH_START, dataset->values, count * sizeof(float));
    if (dataset->labels)
        hash = pbitc_hash(hash, dataset->labels, dataset->images * sizeof(*dataset->labels));
    return hash;
}

/// Splits the text into kind, path and keys, and adds remembered and default keys.
static enum pbit_status parse_request(struct pbitc_dataset *dataset, const struct pbitc_data_request *request,
                                      const struct kind **kind, const char **path,
                                      struct pbitc_diagnostics *diagnostics)
{
    dataset->text = strdup(request->text);
    if (!dataset->text)
        return pbitc_report_memory(diagnostics);
    char *list = strchr(dataset->text, ':');
    for (size_t i = 0; i < KIND_COUNT && list; i++) {
        if (strncmp(dataset->text, kinds[i].name, strlen(kinds[i].name)) == 0 &&
            list == dataset->text + strlen(kinds[i].name))
            *kind = &kinds[i];
    }
    if (!*kind || !list[1] || list[1] == ',')
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                            "write idx:PATH, cifar10:DIR, npy:X.npy or folder:DIR",
                            "DATA: '%s' is not KIND:PATH", request->text);
    *path = list + 1;
    int problems = parse_keys(dataset, list + 1, diagnostics);
    for (int key = 0; key < PBITC_DATA_PREPROCESSING && request->remembered; key++) {
        if (!dataset->keys.values[key])
            dataset->keys.values[key] = request->remembered->values[key];
    }
    if (!dataset->keys.values[PBITC_DATA_SPLIT])
        dataset->keys.values[PBITC_DATA_SPLIT] = request->split;
    problems += check_word(dataset->keys.values[PBITC_DATA_LAYOUT], "layout", "nchw", "nhwc", diagnostics);
    problems += check_word(dataset->keys.values[PBITC_DATA_SPLIT], "split", "train", "test", diagnostics);
    return problems ? PBIT_ERROR_FORMAT : PBIT_OK;
}

static enum pbit_status load(struct pbitc_dataset *dataset, const struct pbitc_data_request *request,
                             struct pbitc_diagnostics *diagnostics)
{
    const struct kind *kind = NULL;
    const char *path = NULL;
    enum pbit_status status = parse_request(dataset, request, &kind, &path, diagnostics);
    if (status == PBIT_OK)
        status = kind->read(dataset, path, request->labels, &dataset->keys, diagnostics);
    if (status == PBIT_OK)
        status = set_layout(dataset, diagnostics);
    size_t all = dataset->images;
    if (status == PBIT_OK) {
        dataset->source_hash = hash_images(dataset);
        status = select_images(dataset, request, diagnostics);
    }
    if (status == PBIT_OK && !allocate_channels(dataset))
        status = pbitc_report_memory(diagnostics);
    if (status == PBIT_OK)
        status = set_normalization(dataset, diagnostics);
    if (status == PBIT_OK)
        dataset->hash = dataset->images == all ? dataset->source_hash : hash_images(dataset);
    return status;
}

enum pbit_status pbitc_dataset_load(const struct pbitc_data_request *request,
                                    struct pbitc_diagnostics *diagnostics, struct pbitc_dataset **dataset)
{
    *dataset = calloc(1, sizeof(**dataset));
    if (!*dataset)
        return pbitc_report_memory(diagnostics);
    enum pbit_status status = load(*dataset, request, diagnostics);
    if (status != PBIT_OK) {
        pbitc_dataset_destroy(*dataset);
        *dataset = NULL;
    }
    return status;
}

void pbitc_dataset_destroy(struct pbitc_dataset *dataset)
{
    if (!dataset)
        return;
    free(dataset->text);
    free(dataset->labels);
    free(dataset->pixels);
    free(dataset->values);
    free(dataset->offset);
    free(dataset->step);
    free(dataset->scale);
    free(dataset->mean);
    free(dataset->std);
    free(dataset);
}

static double stored_number(const struct pbitc_dataset *dataset, size_t image, size_t position,
                            size_t channel)
{
    size_t area = dataset->height * dataset->width, channels = dataset->stored_channels;
    size_t place = dataset->stored_channels_last ? position * channels + channel : channel * area + position;
    place += image * area * channels;
    return dataset->pixels ? dataset->pixels[place] : (double)dataset->values[place];
}

/// 8-bit pixels stay whole numbers, so that calibration's offset and step describe them.
static double gray_number(const struct pbitc_dataset *dataset, size_t image, size_t position)
{
    double luma = 0.299 * stored_number(dataset, image, position, 0) +
                  0.587 * stored_number(dataset, image, position, 1) +
                  0.114 * stored_number(dataset, image, position, 2);
    return dataset->pixels ? (double)(int)(luma + 0.5) : luma;
}

void pbitc_dataset_image(const struct pbitc_dataset *dataset, size_t index, float *values)
{
    size_t area = dataset->height * dataset->width, channels = dataset->channels;
    bool gray = channels != dataset->stored_channels;
    for (size_t channel = 0; channel < channels; channel++) {
        double scale = dataset->scale[channel], mean = dataset->mean[channel], std = dataset->std[channel];
        for (size_t position = 0; position < area; position++) {
            double pixel = gray ? gray_number(dataset, index, position)
                                : stored_number(dataset, index, position, channel);
            size_t place = dataset->channels_last ? position * channels + channel : channel * area + position;
            values[place] = (float)((pixel * scale - mean) / std);
        }
    }
}

void pbitc_dataset_pixels(const struct pbitc_dataset *dataset, size_t index, uint8_t *pixels)
{
    size_t area = dataset->height * dataset->width, channels = dataset->stored_channels;
    for (size_t position = 0; position < area; position++) {
        for (size_t channel = 0; channel < channels; channel++)
            pixels[position * channels + channel] = (uint8_t)stored_number(dataset, index, position, channel);
    }
}

static void print_numbers(FILE *stream, const double *numbers, size_t channels)
{
    bool same = true;
    for (size_t c = 1; c < channels; c++)
        same = same && numbers[c] == numbers[0];
    for (size_t c = 0; c < (same ? 1 : channels); c++)
        fprintf(stream, c ? ":%g" : "%g", numbers[c]);
}

void pbitc_dataset_describe(const struct pbitc_dataset *dataset, FILE *stream)
{
    fprintf(stream, "%zu image%s", dataset->images, dataset->images == 1 ? "" : "s");
    if (dataset->first)
        fprintf(stream, " from number %zu on", dataset->first);
    if (dataset->rank == 3 && dataset->channels_last)
        fprintf(stream, ", %zu x %zu x %zu", dataset->height, dataset->width, dataset->channels);
    else if (dataset->rank == 3)
        fprintf(stream, ", %zu x %zu x %zu", dataset->channels, dataset->height, dataset->width);
    else if (dataset->rank == 2)
        fprintf(stream, ", %zu x %zu", dataset->height, dataset->width);
    else
        fprintf(stream, ", %zu values", dataset->elements);
    fputs(", x = (pixel * ", stream);
    print_numbers(stream, dataset->scale, dataset->channels);
    fputs(" - ", stream);
    print_numbers(stream, dataset->mean, dataset->channels);
    fputs(") / ", stream);
    print_numbers(stream, dataset->std, dataset->channels);
}

enum pbit_status pbitc_dataset_check_input(const struct pbitc_dataset *dataset, const char *input,
                                           size_t elements, struct pbitc_diagnostics *diagnostics)
{
    if (dataset->elements == elements)
        return PBIT_OK;
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                        "give the data that the model was trained on, resized as the model expects",
                        "an image has %zu values, the model's input '%s' has %zu", dataset->elements, input,
                        elements);
}

enum pbit_status pbitc_dataset_check_labels(const struct pbitc_dataset *dataset, size_t classes,
                                            struct pbitc_diagnostics *diagnostics)
{
    for (size_t i = 0; i < dataset->images; i++) {
        if ((size_t)dataset->labels[i] >= classes)
            return pbitc_report(diagnostics, PBIT_ERROR_RANGE, NULL, NULL, 0,
                                "give the labels of this model's classes, counted from 0",
                                "the label of image %zu is %lld, the model has %zu classes",
                                dataset->first + i, (long long)dataset->labels[i], classes);
    }
    return PBIT_OK;
}
