#include "converter/data/npy.h"
#include "converter/data/readers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/// Takes over the tensor's pixels, or its numbers as float.
static enum pbit_status take_images(struct pbitc_dataset *dataset, struct pbitc_tensor *tensor,
                                    struct pbitc_diagnostics *diagnostics)
{
    if (tensor->type == PBITC_UINT8) {
        dataset->pixels = tensor->data;
        tensor->data = NULL;
        return PBIT_OK;
    }
    size_t count = dataset->images * dataset->elements;
    dataset->values = malloc((count ? count : 1) * sizeof(float));
    if (!dataset->values)
        return pbitc_report_memory(diagnostics);
    for (size_t i = 0; i < count; i++) {
        double value = 0;
        pbitc_tensor_element(tensor, i, &value);
        dataset->values[i] = (float)value;
    }
    return PBIT_OK;
}

static enum pbit_status read_images(struct pbitc_dataset *dataset, const char *path, bool channels_last,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_tensor tensor;
    enum pbit_status status = pbitc_npy_load(path, diagnostics, &tensor);
    if (status == PBIT_OK &&
        !pbitc_dataset_set_shape(dataset, tensor.shape.dims + 1, tensor.shape.rank - 1, channels_last)) {
        status = pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0,
                              "save N x F, N x H x W, N x C x H x W, or N x H x W x C with layout=nhwc",
                              "%s has %d dimensions", path, tensor.shape.rank);
    }
    if (status == PBIT_OK) {
        dataset->images = (size_t)tensor.shape.dims[0];
        status = take_images(dataset, &tensor, diagnostics);
    }
    free(tensor.data);
    return status;
}

static enum pbit_status read_labels(struct pbitc_dataset *dataset, const char *path,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_tensor tensor;
    enum pbit_status status = pbitc_npy_load(path, diagnostics, &tensor);
    if (status == PBIT_OK &&
        (tensor.shape.rank < 1 || pbitc_shape_elements(&tensor.shape) != (int64_t)dataset->images)) {
        status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                              "give the labels of these images", "%s holds %lld labels for %zu images", path,
                              (long long)pbitc_shape_elements(&tensor.shape), dataset->images);
    }
    if (status == PBIT_OK) {
        dataset->labels = malloc((dataset->images + 1) * sizeof(*dataset->labels));
        if (!dataset->labels)
            status = pbitc_report_memory(diagnostics);
    }
    for (size_t i = 0; i < dataset->images && status == PBIT_OK; i++) {
        double label = -1;
        pbitc_tensor_element(&tensor, i, &label);
        if (!(label >= 0 && label <= INT32_MAX) || label != floor(label))
            status = pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0,
                                  "labels are class indices counted from 0", "%s: label %zu is %g", path, i,
                                  label);
        else
            dataset->labels[i] = (int64_t)label;
    }
    free(tensor.data);
    return status;
}

enum pbit_status pbitc_read_npy(struct pbitc_dataset *dataset, const char *path, bool labels,
                                const struct pbitc_data_keys *keys, struct pbitc_diagnostics *diagnostics)
{
    const char *layout = keys->values[PBITC_DATA_LAYOUT];
    enum pbit_status status = read_images(dataset, path, layout && strcmp(layout, "nhwc") == 0, diagnostics);
    if (status != PBIT_OK || !labels)
        return status;
    if (!keys->values[PBITC_DATA_LABELS])
        return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "add ,labels=Y.npy",
                            "the labels of npy:%s are missing", path);
    return read_labels(dataset, keys->values[PBITC_DATA_LABELS], diagnostics);
}
