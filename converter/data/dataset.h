// Images and labels from files, described on the command line as KIND:PATH[,key=value...].
//
//   idx:IMAGES,labels=LABELS  the MNIST format, plain or gzip
//   idx:DIR                   the images and labels file in DIR whose names begin with "train" or, for the
//   split
//                             test, with "t10k" or "test"
//   cifar10:DIR               the binary version: data_batch_*.bin or, for the split test, test_batch.bin
//   npy:X.npy,labels=Y.npy    arrays of NumPy; X is N x F, N x H x W, N x C x H x W or (layout=nhwc) N x H x
//   W x C
//   folder:DIR                one folder per class in DIR, or in DIR/train and DIR/test; the classes in the
//                             order of their names, 8-bit images of one size (PNG, JPEG, BMP, PNM)
//
// A value x of the model's input is (pixel * scale - mean) / std.
#ifndef PBITC_DATASET_H
#define PBITC_DATASET_H

#include "passes/ir/graph.h"
#include "passes/pass.h"

enum pbitc_data_key {
    PBITC_DATA_SCALE,
    PBITC_DATA_MEAN,
    PBITC_DATA_STD,
    PBITC_DATA_LAYOUT,
    PBITC_DATA_SIZE,
    PBITC_DATA_GRAY,
    PBITC_DATA_PREPROCESSING, ///< the keys above say what the model expects, and a .pbit file remembers them
    PBITC_DATA_LABELS = PBITC_DATA_PREPROCESSING,
    PBITC_DATA_SPLIT,
    PBITC_DATA_RANGE,
    PBITC_DATA_KEYS,
};

/// By enum pbitc_data_key.
extern const char *const pbitc_data_key_names[PBITC_DATA_KEYS];

/// Values of the keys as text, NULL where not given.
struct pbitc_data_keys {
    const char *values[PBITC_DATA_KEYS];
};

/// What is asked of a dataset.
struct pbitc_data_request {
    const char *text;                         ///< KIND:PATH[,key=value...]
    const char *split;                        ///< "train" or "test", where the text does not say
    const struct pbitc_data_keys *remembered; ///< preprocessing where the text does not say; may be NULL
    bool labels;                              ///< labels are required (and read only then)
    size_t limit;                             ///< at most so many images; 0: all
    bool limit_without_range;                 ///< the limit holds only where the text names no range
};

/// Images in memory. Fields are for reading.
struct pbitc_dataset {
    char *text;                  ///< copy of the request's text into which `keys` point
    struct pbitc_data_keys keys; ///< in force: given or remembered
    size_t images;
    size_t first; ///< index in the files of image 0 here
    size_t channels, height, width;
    size_t rank; ///< of one image: 1 (W), 2 (H x W) or 3
    bool channels_last;
    size_t elements;      ///< channels * height * width
    int64_t *labels;      ///< [images], >= 0; NULL when not asked for
    uint64_t hash;        ///< of the pixels and labels, as they stand in the files
    uint64_t source_hash; ///< the same of all images in the files, whatever range and limit leave of them

    uint8_t *pixels; ///< 8-bit pixels as stored; else NULL
    float *values;   ///< other numbers as stored; else NULL
    size_t stored_channels;
    bool stored_channels_last;
    size_t normalized_channels; ///< entries of the two below that differ: 1 or `channels`
    float *offset, *step;       ///< [channels], x = offset + step * pixel
    double *scale, *mean, *std; ///< [channels]
};

/// Reads the data. Every problem of the request is reported at once. Errors: IO, FORMAT, UNSUPPORTED, RANGE,
/// MEMORY, STOPPED. *dataset is NULL on failure.
enum pbit_status pbitc_dataset_load(const struct pbitc_data_request *request,
                                    struct pbitc_diagnostics *diagnostics, struct pbitc_dataset **dataset);
void pbitc_dataset_destroy(struct pbitc_dataset *dataset); ///< accepts NULL

/// Writes image `index` to values[elements], preprocessed, in the layout asked for.
void pbitc_dataset_image(const struct pbitc_dataset *dataset, size_t index, float *values);

/// Writes image `index` to pixels[height][width][stored_channels], as stored; only for a dataset with
/// `pixels`.
void pbitc_dataset_pixels(const struct pbitc_dataset *dataset, size_t index, uint8_t *pixels);

/// One line without end about images, shape and preprocessing.
void pbitc_dataset_describe(const struct pbitc_dataset *dataset, FILE *stream);

/// Reports when the model's input does not have the elements of these images.
enum pbit_status pbitc_dataset_check_input(const struct pbitc_dataset *dataset, const char *input,
                                           size_t elements, struct pbitc_diagnostics *diagnostics);
/// Reports labels that the model's output cannot name.
enum pbit_status pbitc_dataset_check_labels(const struct pbitc_dataset *dataset, size_t classes,
                                            struct pbitc_diagnostics *diagnostics);

/// What --help says about DATA.
void pbitc_dataset_help(FILE *stream);

#endif
