// The folder as a whole: names, and all files or none.
#include "converter/export/c99/export_c99.h"

#include "converter/file.h"
#include "converter/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_LIMIT = 32 };

static const char *const subfolders[] = {"runtime/kernels", "runtime"};

// ---- names

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_keyword(const char *word)
{
    static const char words[] =
        " alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const "
        "constexpr "
        "const_cast continue decltype default delete do double dynamic_cast else enum explicit export extern "
        "false "
        "float for friend goto if inline int long main mutable namespace new noexcept not not_eq nullptr "
        "operator or "
        "or_eq private protected public register reinterpret_cast restrict return short signed sizeof static "
        "static_assert static_cast struct switch template this thread_local throw true try typedef typeid "
        "typename "
        "union unsigned using virtual void volatile wchar_t while xor xor_eq ";
    char padded[PBITC_FIRMWARE_PREFIX + 2];
    snprintf(padded, sizeof(padded), " %s ", word);
    return strstr(words, padded) != NULL;
}

const char *pbitc_firmware_prefix_problem(const char *prefix)
{
    size_t length = strlen(prefix);
    for (size_t i = 0; i < length; i++)
        if (!is_letter(prefix[i]) && !is_digit(prefix[i]))
            return "it may hold letters, digits and '_' only";
    if (!length || !is_letter(prefix[0]))
        return "it must begin with a letter";
    if (prefix[0] == '_')
        return "names that begin with '_' are reserved";
    if (length >= PBITC_FIRMWARE_PREFIX)
        return "it is longer than 47 characters";
    if (is_keyword(prefix))
        return "it is a keyword of C or C++";
    if (strncmp(prefix, "pbit_", 5) == 0 || strcmp(prefix, "pbit") == 0)
        return "pbit is the prefix of the runtime's own files";
    return NULL;
}

void pbitc_firmware_default_prefix(const char *path, char prefix[PBITC_FIRMWARE_PREFIX])
{
    const char *name = pbitc_path_name(path), *dot = strrchr(name, '.');
    size_t length = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    if (length > PBITC_FIRMWARE_PREFIX - 1)
        length = PBITC_FIRMWARE_PREFIX - 1;
    for (size_t i = 0; i < length; i++)
        prefix[i] = is_letter(name[i]) || is_digit(name[i]) ? name[i] : '_';
    prefix[length] = 0;
    if (pbitc_firmware_prefix_problem(prefix))
        strcpy(prefix, "network");
}

// ---- files

/// Files in the making; the texts are malloc'ed, or borrowed where `copied`.
struct folder {
    const struct pbitc_firmware *firmware;
    size_t count;
    struct pbitc_file files[FILES_LIMIT];
    bool copied[FILES_LIMIT];
    char *paths[FILES_LIMIT];
};

static enum pbit_status add_file(struct folder *folder, const char *directory, const char *name,
                                 const char *text, size_t size, bool copied)
{
    if (folder->count == FILES_LIMIT)
        return PBIT_ERROR_INTERNAL;
    char *path = pbitc_path_join(directory, name);
    folder->paths[folder->count] = path;
    folder->copied[folder->count] = copied;
    folder->files[folder->count++] = (struct pbitc_file){path, text, size};
    return path ? PBIT_OK : PBIT_ERROR_MEMORY;
}

typedef enum pbit_status write_function(const struct pbitc_firmware *firmware, FILE *stream);

static enum pbit_status write_header(const struct pbitc_firmware *firmware, FILE *stream)
{
    pbitc_firmware_write_header(firmware, stream);
    return PBIT_OK;
}

static enum pbit_status write_readme(const struct pbitc_firmware *firmware, FILE *stream)
{
    pbitc_firmware_write_readme(firmware, stream);
    return PBIT_OK;
}

static enum pbit_status write_makefile(const struct pbitc_firmware *firmware, FILE *stream)
{
    pbitc_firmware_write_makefile(firmware, stream);
    return PBIT_OK;
}

static enum pbit_status write_cmake(const struct pbitc_firmware *firmware, FILE *stream)
{
    pbitc_firmware_write_cmake(firmware, stream);
    return PBIT_OK;
}

static enum pbit_status generate(struct folder *folder, const char *directory, const char *name,
                                 write_function *write)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return PBIT_ERROR_MEMORY;
    enum pbit_status status = write(folder->firmware, stream);
    bool failed = ferror(stream) != 0;
    if ((fclose(stream) != 0 || failed) && status == PBIT_OK)
        status = PBIT_ERROR_MEMORY;
    enum pbit_status added = add_file(folder, directory, name, text, size, false);
    return status != PBIT_OK ? status : added;
}

static enum pbit_status make_files(struct folder *folder, const char *directory)
{
    static const struct {
        const char *format;
        write_function *write;
    } generated[] = {
        {"%s.h", write_header},
        {"%s.c", pbitc_firmware_write_source},
        {"%s_selftest.c", pbitc_firmware_write_selftest},
        {"README.md", write_readme},
        {"Makefile", write_makefile},
        {"CMakeLists.txt", write_cmake},
    };
    enum pbit_status status = PBIT_OK;
    for (size_t i = 0; i < sizeof(generated) / sizeof(*generated) && status == PBIT_OK; i++) {
        char name[PBITC_FIRMWARE_PREFIX + 16];
        const char *rest = strstr(generated[i].format, "%s");
        snprintf(name, sizeof(name), "%s%s", rest ? folder->firmware->name : "",
                 rest ? rest + 2 : generated[i].format);
        status =
            pbitc_interrupted() ? PBIT_ERROR_STOPPED : generate(folder, directory, name, generated[i].write);
    }
    for (const struct pbitc_firmware_copy *copy = pbitc_firmware_copies; copy->path && status == PBIT_OK;
         copy++)
        if (pbitc_firmware_needs(folder->firmware, copy->path))
            status = add_file(folder, directory, copy->path, copy->text, strlen(copy->text), true);
    return status;
}

static void free_files(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++) {
        free(folder->paths[i]);
        if (!folder->copied[i])
            free((void *)folder->files[i].bytes);
    }
}

static void remove_folder(const struct folder *folder, const char *directory)
{
    for (size_t i = 0; i < folder->count; i++)
        if (folder->paths[i])
            unlink(folder->paths[i]);
    for (size_t i = 0; i < sizeof(subfolders) / sizeof(*subfolders); i++) {
        char *path = pbitc_path_join(directory, subfolders[i]);
        if (path)
            rmdir(path);
        free(path);
    }
    rmdir(directory);
}

/// Fills the new directory and renames it.
static enum pbit_status fill(struct folder *folder, const char *directory, const char *path,
                             struct pbitc_diagnostics *diagnostics)
{
    enum pbit_status status = make_files(folder, directory);
    if (status == PBIT_ERROR_MEMORY)
        return pbitc_report(diagnostics, status, NULL, NULL, 0, NULL, "out of memory while writing %s", path);
    char *kernels = status == PBIT_OK ? pbitc_path_join(directory, subfolders[0]) : NULL;
    if (kernels)
        status = pbitc_directory_make(kernels, diagnostics);
    free(kernels);
    if (status == PBIT_OK)
        status = pbitc_files_write(folder->files, folder->count, diagnostics);
    if (status == PBIT_OK && pbitc_interrupted())
        status = PBIT_ERROR_STOPPED;
    if (status == PBIT_OK && rename(directory, path) != 0)
        status = pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot write %s: %s", path,
                              strerror(errno));
    return status;
}

enum pbit_status pbitc_firmware_write_folder(const struct pbitc_firmware *firmware, const char *path,
                                             struct pbitc_diagnostics *diagnostics)
{
    static const char suffix[] = ".partial-XXXXXX";
    struct stat existing;
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (lstat(path, &existing) == 0)
        return pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0,
                            "name a folder that does not exist yet", "%s exists already", path);
    char *directory = malloc(length + sizeof(suffix)), *clean = strndup(path, length);
    enum pbit_status status = PBIT_OK;
    if (!directory || !clean) {
        status = pbitc_report(diagnostics, PBIT_ERROR_MEMORY, NULL, NULL, 0, NULL, "out of memory");
    } else {
        sprintf(directory, "%s%s", clean, suffix);
        if (!mkdtemp(directory))
            status = pbitc_report(diagnostics, PBIT_ERROR_IO, NULL, NULL, 0, NULL, "cannot write %s: %s",
                                  path, strerror(errno));
    }
    if (status == PBIT_OK) {
        struct folder folder = {.firmware = firmware};
        mode_t mask = umask(0);
        umask(mask);
        chmod(directory, 0777 & ~mask);
        status = fill(&folder, directory, clean, diagnostics);
        if (status != PBIT_OK)
            remove_folder(&folder, directory);
        free_files(&folder);
    }
    free(directory);
    free(clean);
    return status;
}
