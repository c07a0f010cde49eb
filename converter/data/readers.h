// The file formats behind dataset.h.
#ifndef PBITC_READERS_H
#define PBITC_READERS_H

#include "converter/data/dataset.h"

/// A reader fills images, rank, channels, height, width, channels_last, pixels or values (all malloc'ed) and,
/// when `labels` is set, labels. On failure the caller frees what is there. `keys` are in force for this
/// reading.
typedef enum pbit_status pbitc_reader(struct pbitc_dataset *dataset, const char *path, bool labels,
                                      const struct pbitc_data_keys *keys,
                                      struct pbitc_diagnostics *diagnostics);

pbitc_reader pbitc_read_idx;
pbitc_reader pbitc_read_cifar10;
pbitc_reader pbitc_read_npy;
pbitc_reader pbitc_read_image_folder;

bool pbitc_split_is_test(const struct pbitc_data_keys *keys);

/// From the dimensions of one image (rank 1..3) to channels, height, width. False for another rank.
bool pbitc_dataset_set_shape(struct pbitc_dataset *dataset, const int64_t *dims, int rank,
                             bool channels_last);

enum pbit_status pbitc_report_memory(struct pbitc_diagnostics *diagnostics);

#endif
