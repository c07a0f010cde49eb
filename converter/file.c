#include "converter/file.h"

#include "converter/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/// Larger files are refused rather than read: a few kilobytes of gzip can unpack to any size.
#define FILE_LIMIT ((size_t)4 << 30)
enum { CHUNK = 1 << 20 };

static enum pbit_status report_io(struct pbitc_diagnostics *diagnostics, const char *what, const char *path)
{
    return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot %s %s: %s", what, path,
                        strerror(errno));
}

static enum pbit_status report_read(struct pbitc_diagnostics *diagnostics, gzFile file, const char *path)
{
    int code;
    gzerror(file, &code);
    if (code == Z_ERRNO)
        return report_io(diagnostics, "read", path);
    return pbitc_report(diagnostics, PBIT_ERROR_FORMAT, NULL, NULL, 0, "fetch or write the file again",
                        "%s is a damaged gzip file", path);
}

/// Makes room for one more chunk and the closing NUL.
static bool grow(uint8_t **bytes, size_t used, size_t *capacity)
{
    if (*capacity - used > CHUNK)
        return true;
    *capacity = *capacity ? 2 * *capacity : 2 * CHUNK;
    uint8_t *larger = realloc(*bytes, *capacity);
    if (larger)
        *bytes = larger;
    return larger != NULL;
}

static enum pbit_status read_all(gzFile file, const char *path, uint8_t **bytes, size_t *size,
                                 struct pbitc_diagnostics *diagnostics)
{
    size_t capacity = 0;
    for (;;) {
        if (pbitc_interrupted())
            return PBIT_ERROR_STOPPED;
        if (!grow(bytes, *size, &capacity))
            return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL,
                                "out of memory while reading %s", path);
        int got = gzread(file, *bytes + *size, CHUNK);
        int code;
        gzerror(file, &code);
        if (got < 0 || code == Z_BUF_ERROR)
            return pbitc_interrupted() ? PBIT_ERROR_STOPPED : report_read(diagnostics, file, path);
        if (got == 0)
            break;
        *size += (size_t)got;
        if (*size > FILE_LIMIT)
            return pbitc_report(diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, "split it",
                                "%s holds more than %zu bytes", path, FILE_LIMIT);
    }
    (*bytes)[*size] = 0;
    return PBIT_OK;
}

enum pbit_status pbitc_file_read(const char *path, uint8_t **bytes, size_t *size,
                                 struct pbitc_diagnostics *diagnostics)
{
    *bytes = NULL;
    *size = 0;
    gzFile file = gzopen(path, "rb");
    if (!file)
        return report_io(diagnostics, "read", path);
    enum pbit_status status = read_all(file, path, bytes, size, diagnostics);
    gzclose(file);
    if (status != PBIT_OK) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

bool pbitc_file_map(const char *path, uint8_t **bytes, size_t *size)
{
    struct stat facts;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = MAP_FAILED;
    if (descriptor >= 0 && fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size > 0) {
        *size = (size_t)facts.st_size;
        mapped = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    }
    if (descriptor >= 0)
        close(descriptor);
    *bytes = mapped == MAP_FAILED ? NULL : mapped;
    return *bytes != NULL;
}

void pbitc_file_unmap(uint8_t *bytes, size_t size)
{
    munmap(bytes, size);
}

static bool write_all(int descriptor, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(descriptor, bytes, size < CHUNK ? size : CHUNK);
        if (written < 0 && errno != EINTR)
            return false;
        if (pbitc_interrupted())
            return errno = EINTR, false;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return true;
}

/// mkstemp makes private files; the finished one gets the permissions that creat would have given it.
static void permit_as_usual(int descriptor)
{
    mode_t mask = umask(0);
    umask(mask);
    fchmod(descriptor, 0666 & ~mask);
}

/// Writes the bytes to a new file beside the path. *beside is malloc'ed, NULL when the path itself was
/// written.
static enum pbit_status stage(const struct pbitc_file *file, char **beside,
                              struct pbitc_diagnostics *diagnostics)
{
    struct stat status;
    bool direct = stat(file->path, &status) == 0 && !S_ISREG(status.st_mode);
    int descriptor;
    if (direct) {
        descriptor = open(file->path, O_WRONLY);
    } else {
        static const char suffix[] = ".partial-XXXXXX";
        *beside = malloc(strlen(file->path) + sizeof(suffix));
        if (!*beside)
            return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL,
                                "out of memory while writing %s", file->path);
        strcat(strcpy(*beside, file->path), suffix);
        descriptor = mkstemp(*beside);
        if (descriptor < 0) {
            free(*beside);
            *beside = NULL;
        }
    }
    if (descriptor < 0)
        return report_io(diagnostics, "write", file->path);
    if (!direct)
        permit_as_usual(descriptor);
    bool good = write_all(descriptor, file->bytes, file->size) && (direct || fsync(descriptor) == 0);
    int reason = errno;
    if (close(descriptor) != 0 && good)
        return report_io(diagnostics, "write", file->path);
    errno = reason;
    if (good)
        return PBIT_OK;
    return pbitc_interrupted() ? PBIT_ERROR_STOPPED : report_io(diagnostics, "write", file->path);
}

/// Makes the renaming last through a power cut. File systems that cannot do it lose nothing else by it.
static void synchronize_directory(const char *path)
{
    size_t length = (size_t)(pbitc_path_name(path) - path);
    char *directory = length ? strndup(path, length) : strdup(".");
    int descriptor = directory ? open(directory, O_RDONLY | O_DIRECTORY) : -1;
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(directory);
}

enum pbit_status pbitc_files_write(const struct pbitc_file *files, size_t count,
                                   struct pbitc_diagnostics *diagnostics)
{
    char **beside = calloc(count, sizeof(*beside));
    if (!beside)
        return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL,
                            "out of memory while writing %s", files[0].path);
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < count && status == PBIT_OK; i++)
        status = stage(&files[i], &beside[i], diagnostics);
    if (status == PBIT_OK && pbitc_interrupted())
        status = PBIT_ERROR_STOPPED;
    for (size_t i = 0; i < count; i++) {
        if (!beside[i])
            continue;
        if (status == PBIT_OK && rename(beside[i], files[i].path) != 0)
            status = report_io(diagnostics, "write", files[i].path);
        if (status == PBIT_OK)
            synchronize_directory(files[i].path);
        else
            unlink(beside[i]);
        free(beside[i]);
    }
    free(beside);
    return status;
}

enum pbit_status pbitc_directory_make(const char *path, struct pbitc_diagnostics *diagnostics)
{
    char *copy = strdup(path);
    if (!copy)
        return pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    for (char *slash = strchr(copy + (*copy != 0), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(copy, 0777);
        *slash = '/';
    }
    free(copy);
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && pbitc_is_directory(path)))
        return PBIT_OK;
    return report_io(diagnostics, "make the directory", path);
}

bool pbitc_is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *pbitc_path_join(const char *directory, const char *name)
{
    size_t length = strlen(directory) + strlen(name) + 2;
    char *path = malloc(length);
    if (path)
        snprintf(path, length, "%s/%s", directory, name);
    return path;
}

const char *pbitc_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

uint64_t pbitc_hash(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

const char *pbitc_hash_text(uint64_t hash, char text[PBITC_HASH_TEXT])
{
    snprintf(text, PBITC_HASH_TEXT, "fnv1a64:%016" PRIx64, hash);
    return text;
}
