#include "converter/export/folder.h"

#include "converter/file.h"
#include "converter/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pbitc_folder_file {
    char *path;
    const char *text;
    size_t size;
    bool owned;
};

enum pbit_status pbitc_folder_add(struct pbitc_folder *folder, const char *path, const char *text,
                                  size_t size, bool owned)
{
    if (folder->count == folder->capacity) {
        size_t capacity = folder->capacity ? 2 * folder->capacity : 32;
        struct pbitc_folder_file *files = realloc(folder->files, capacity * sizeof(*files));
        if (files) {
            folder->files = files;
            folder->capacity = capacity;
        }
    }
    char *copy = folder->count < folder->capacity ? strdup(path) : NULL;
    if (!copy) {
        if (owned)
            free((void *)text);
        return PBIT_ERROR_MEMORY;
    }
    folder->files[folder->count++] = (struct pbitc_folder_file){copy, text, size, owned};
    return PBIT_OK;
}

enum pbit_status pbitc_folder_print(struct pbitc_folder *folder, const char *path, pbitc_folder_writer *write,
                                    const void *state)
{
    if (pbitc_interrupted())
        return PBIT_ERROR_STOPPED;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return PBIT_ERROR_MEMORY;
    enum pbit_status status = write(state, stream);
    bool failed = ferror(stream) != 0;
    if ((fclose(stream) != 0 || failed) && status == PBIT_OK)
        status = PBIT_ERROR_MEMORY;
    enum pbit_status added = pbitc_folder_add(folder, path, text, size, true);
    return status != PBIT_OK ? status : added;
}

static void free_folder(struct pbitc_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        free(folder->files[i].path);
        if (folder->files[i].owned)
            free((void *)folder->files[i].text);
    }
    free(folder->files);
    *folder = (struct pbitc_folder){0};
}

// ---- on disk

static enum pbit_status fail(const char *path, struct pbitc_diagnostics *diagnostics)
{
    return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot write %s: %s", path,
                        strerror(errno));
}

/// Makes the folders above a file of the folder.
static enum pbit_status make_parents(const char *path, size_t root, struct pbitc_diagnostics *diagnostics)
{
    const char *slash = strrchr(path + root, '/');
    if (!slash || slash == path + root)
        return PBIT_OK;
    char *parent = strndup(path, (size_t)(slash - path));
    enum pbit_status status = parent ? pbitc_directory_make(parent, diagnostics) : PBIT_ERROR_MEMORY;
    free(parent);
    return status;
}

static enum pbit_status write_files(const struct pbitc_folder *folder, const char *directory,
                                    struct pbitc_diagnostics *diagnostics)
{
    struct pbitc_file *files = calloc(folder->count + 1, sizeof(*files));
    enum pbit_status status = files ? PBIT_OK : PBIT_ERROR_MEMORY;
    for (size_t i = 0; i < folder->count && status == PBIT_OK; i++) {
        const struct pbitc_folder_file *file = &folder->files[i];
        files[i] = (struct pbitc_file){pbitc_path_join(directory, file->path), file->text, file->size};
        status =
            files[i].path ? make_parents(files[i].path, strlen(directory), diagnostics) : PBIT_ERROR_MEMORY;
    }
    if (status == PBIT_OK)
        status = pbitc_files_write(files, folder->count, diagnostics);
    for (size_t i = 0; files && i < folder->count; i++)
        free((void *)files[i].path);
    free(files);
    return status;
}

/// Removes what write_files left, subfolders from the deepest on.
static void remove_files(const struct pbitc_folder *folder, const char *directory)
{
    for (size_t i = 0; i < folder->count; i++) {
        char *path = pbitc_path_join(directory, folder->files[i].path);
        if (!path)
            continue;
        unlink(path);
        for (char *slash;
             (slash = strrchr(path + strlen(directory), '/')) != NULL && slash != path + strlen(directory);) {
            *slash = 0;
            if (rmdir(path) != 0)
                break;
        }
        free(path);
    }
    rmdir(directory);
}

/// Fills the new directory and renames it.
static enum pbit_status fill(const struct pbitc_folder *folder, const char *directory, const char *path,
                             struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = write_files(folder, directory, diagnostics);
    if (status == PBIT_ERROR_MEMORY)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "out of memory while writing %s", path);
    if (status == PBIT_OK && pbitc_interrupted())
        status = PBIT_ERROR_STOPPED;
    if (status == PBIT_OK && rename(directory, path) != 0)
        status = fail(path, diagnostics);
    return status;
}

static size_t clean_length(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

enum pbit_status pbitc_folder_check(const char *path, struct pbitc_diagnostics *diagnostics)
{
    struct stat existing;
    if (lstat(path, &existing) == 0)
        return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
                            "name a folder that does not exist yet", "%s exists already", path);
    return PBIT_OK;
}

static enum pbit_status write_folder(const struct pbitc_folder *folder, const char *path,
                                     struct pbitc_diagnostics *diagnostics)
{
    static const char suffix[] = ".partial-XXXXXX";
    enum pbit_status status = pbitc_folder_check(path, diagnostics);
    if (status != PBIT_OK)
        return status;
    size_t length = clean_length(path);
    char *directory = malloc(length + sizeof(suffix)), *clean = strndup(path, length);
    if (!directory || !clean) {
        status = pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    } else {
        sprintf(directory, "%s%s", clean, suffix);
        if (!mkdtemp(directory))
            status = fail(path, diagnostics);
    }
    if (status == PBIT_OK) {
        mode_t mask = umask(0);
        umask(mask);
        chmod(directory, 0777 & ~mask);
        status = fill(folder, directory, clean, diagnostics);
        if (status != PBIT_OK)
            remove_files(folder, directory);
    }
    free(directory);
    free(clean);
    return status;
}

enum pbit_status pbitc_folder_make(const char *path, pbitc_folder_source *add_files, const void *state,
                                   struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = pbitc_folder_check(path, diagnostics);
    if (status != PBIT_OK)
        return status;
    struct pbitc_folder folder = {0};
    status = add_files(state, &folder);
    if (status == PBIT_ERROR_MEMORY)
        pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "out of memory while writing %s", path);
    if (status == PBIT_OK)
        status = write_folder(&folder, path, diagnostics);
    free_folder(&folder);
    return status;
}
