// The files of a model: the model itself, and external data, which may lie nowhere but below the model's
// folder.
#define _XOPEN_SOURCE 700 // realpath

#include "converter/onnx/onnx_importer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const off_t MAX_MODEL_BYTES = INT32_MAX; // the limit of protobuf itself

bool pbitc_onnx_read_at(int file, void *bytes, size_t count, uint64_t offset)
{
    for (size_t done = 0; done < count;) {
        ssize_t got = pread(file, (char *)bytes + done, count - done, (off_t)(offset + done));
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/// Opens a regular file. O_NONBLOCK: a pipe of that name must not make us wait. -1 with errno otherwise.
static int open_regular(const char *path, struct stat *status)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return -1;
    if (fstat(file, status) == 0 && S_ISREG(status->st_mode))
        return file;
    errno = S_ISDIR(status->st_mode) ? EISDIR : EINVAL;
    close(file);
    return -1;
}

enum pbit_status pbitc_onnx_read_file(const char *path, const struct pbitc_allocator *allocator,
                                      struct pbitc_diagnostics *diagnostics, void **bytes, size_t *size)
{
    struct stat status = {0};
    int file = open_regular(path, &status);
    if (file < 0)
        return pbitc_report(diagnostics, PBIT_ERROR_IO, path, NULL, 0, NULL, "cannot open the model: %s",
                            errno == EINVAL ? "not a regular file" : strerror(errno));
    enum pbit_status result = PBIT_OK;
    *bytes = NULL;
    *size = (size_t)status.st_size;
    if (status.st_size > MAX_MODEL_BYTES)
        result = pbitc_report(
            diagnostics, PBIT_ERROR_FORMAT, path, NULL, 0, "save the weights as external data",
            "the file has %lld bytes; an ONNX file has at most 2 GiB", (long long)status.st_size);
    else if (!(*bytes = pbitc_allocate(allocator, *size + 1)))
        result = pbitc_report(diagnostics, PBIT_ERROR_MEMORY, path, NULL, 0, NULL, "out of memory");
    else if (!pbitc_onnx_read_at(file, *bytes, *size, 0))
        result = pbitc_report(diagnostics, PBIT_ERROR_IO, path, NULL, 0, NULL, "cannot read the model");
    close(file);
    if (result != PBIT_OK) {
        pbitc_release(allocator, *bytes);
        *bytes = NULL;
    }
    return result;
}

/// No absolute path, no empty, "." or ".." step.
static bool location_is_plain(const char *location)
{
    for (const char *step = location;;) {
        size_t length = strcspn(step, "/");
        if (length == 0 || strncmp(step, ".", length) == 0 || (length == 2 && strncmp(step, "..", 2) == 0))
            return false;
        if (!step[length])
            return true;
        step += length + 1;
    }
}

/// True when `path`, with its symbolic links followed, lies below `folder`. The real path is left in `real`.
static bool resolve_below(const char *folder, const char *path, char real[PATH_MAX])
{
    char real_folder[PATH_MAX];
    if (!realpath(folder, real_folder) || !realpath(path, real))
        return false;
    size_t length = strlen(real_folder);
    if (length == 1) // the root
        return true;
    return strncmp(real, real_folder, length) == 0 && real[length] == '/';
}

int pbitc_onnx_open_external(struct pbitc_onnx_importer *importer, const struct pbitc_onnx_place *place,
                             const char *location, uint64_t *size)
{
    const char *remedy = "keep external data in the model's folder, under a relative name";
    char path[PATH_MAX], real[PATH_MAX];
    if (!importer->folder) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_UNSUPPORTED, place, "import the model from its file",
                           "external data '%s' cannot be read: the model does not come from a folder",
                           location);
        return -1;
    }
    if (!location_is_plain(location)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, remedy,
                           "external data '%s' is not a plain path below the model's folder", location);
        return -1;
    }
    int length = snprintf(path, sizeof(path), "%s/%s", importer->folder, location);
    bool fits = length >= 0 && (size_t)length < sizeof(path);
    if (!fits || access(path, F_OK) != 0) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_IO, place, "copy the external data along with the model",
                           "cannot open external data '%s': %s", location,
                           strerror(fits ? errno : ENAMETOOLONG));
        return -1;
    }
    if (!resolve_below(importer->folder, path, real)) {
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_FORMAT, place, remedy,
                           "external data '%s' is a link that leaves the model's folder", location);
        return -1;
    }
    struct stat status = {0};
    int file = open_regular(real, &status);
    if (file < 0)
        PBITC_ONNX_PROBLEM(importer, PBIT_ERROR_IO, place, NULL, "cannot open external data '%s': %s",
                           location, errno == EINVAL ? "not a regular file" : strerror(errno));
    *size = (uint64_t)status.st_size;
    return file;
}
