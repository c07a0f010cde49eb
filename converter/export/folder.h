// An exported folder: all of its files or nothing.
#ifndef PBITC_EXPORT_FOLDER_H
#define PBITC_EXPORT_FOLDER_H

#include "passes/diagnostics.h"

#include <stdbool.h>

/// A file that pbitc carries as text, to be copied into folders. Tables of them are generated at build time
/// and closed by a NULL path.
struct pbitc_embedded {
    const char *path, *text; ///< path in the folder
};

/// Files in the making.
struct pbitc_folder {
    size_t count, capacity;
    struct pbitc_folder_file *files;
};

/// Adds a file; `path` is relative and may name subfolders. `text` is borrowed where `owned` is false, else
/// the folder frees it, also on failure. Errors: MEMORY.
enum pbit_status pbitc_folder_add(struct pbitc_folder *folder, const char *path, const char *text,
                                  size_t size, bool owned);

/// Adds what `write` prints. Errors: MEMORY, and what `write` returns.
typedef enum pbit_status pbitc_folder_writer(const void *state, FILE *stream);
enum pbit_status pbitc_folder_print(struct pbitc_folder *folder, const char *path, pbitc_folder_writer *write,
                                    const void *state);

/// Refuses a path that exists already, before any work is done. Errors: IO.
enum pbit_status pbitc_folder_check(const char *path, struct pbitc_diagnostics *diagnostics);

/// Makes the folder `path`, which must not exist, of the files that `add_files` adds: beside its place,
/// renamed when it is complete. Errors: IO, MEMORY, STOPPED, and what `add_files` returns (it reports its
/// own, but MEMORY).
typedef enum pbit_status pbitc_folder_source(const void *state, struct pbitc_folder *folder);
enum pbit_status pbitc_folder_make(const char *path, pbitc_folder_source *add_files, const void *state,
                                   struct pbitc_diagnostics *diagnostics);

#endif
