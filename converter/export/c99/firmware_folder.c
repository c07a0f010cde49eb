// The folder as a whole: names, and all files or none.
#include "converter/export/c99/export_c99.h"

#include "converter/export/folder.h"
#include "converter/file.h"

#include <string.h>

// ---- names

static const char keywords[] =
    " alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl const "
    "constexpr const_cast continue decltype default delete do double dynamic_cast else enum explicit "
    "export extern false float for friend goto if inline int long main mutable namespace new noexcept "
    "not not_eq nullptr operator or or_eq private protected public register reinterpret_cast restrict "
    "return short signed sizeof static static_assert static_cast struct switch template this "
    "thread_local throw true try typedef typeid typename union unsigned using virtual void volatile "
    "wchar_t while xor xor_eq ";

const char *pbitc_firmware_prefix_problem(const char *prefix)
{
    const char *problem = pbitc_prefix_problem(prefix);
    if (problem)
        return problem;
    if (prefix[0] == '_')
        return "names that begin with '_' are reserved";
    if (pbitc_prefix_is_among(prefix, keywords))
        return "it is a keyword of C or C++";
    if (strncmp(prefix, "pbit_", 5) == 0 || strcmp(prefix, "pbit") == 0)
        return "pbit is the prefix of the runtime's own files";
    return NULL;
}

void pbitc_firmware_default_prefix(const char *path, char prefix[PBITC_EXPORT_PREFIX])
{
    pbitc_prefix_of_path(path, prefix);
    if (pbitc_firmware_prefix_problem(prefix))
        strcpy(prefix, "network");
}

// ---- files

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

struct generated {
    const struct pbitc_firmware *firmware;
    write_function *write;
};

static enum pbit_status print(const void *state, FILE *stream)
{
    const struct generated *generated = state;
    return generated->write(generated->firmware, stream);
}

static enum pbit_status make_files(const void *state, struct pbitc_folder *folder)
{
    const struct pbitc_firmware *firmware = state;
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
        char name[PBITC_EXPORT_PREFIX + 16];
        const char *rest = strstr(generated[i].format, "%s");
        snprintf(name, sizeof(name), "%s%s", rest ? firmware->name : "",
                 rest ? rest + 2 : generated[i].format);
        status = pbitc_folder_print(folder, name, print, &(struct generated){firmware, generated[i].write});
    }
    for (const struct pbitc_embedded *copy = pbitc_firmware_copies; copy->path && status == PBIT_OK; copy++)
        if (pbitc_firmware_needs(firmware, copy->path))
            status = pbitc_folder_add(folder, copy->path, copy->text, strlen(copy->text), false);
    return status;
}

enum pbit_status pbitc_firmware_write_folder(const struct pbitc_firmware *firmware, const char *path,
                                             struct pbitc_diagnostics *diagnostics)
{
    return pbitc_folder_make(path, make_files, firmware, diagnostics);
}
