// Whole files in, whole files out.
#ifndef PBITC_FILE_H
#define PBITC_FILE_H

#include "passes/diagnostics.h"

#include <stdbool.h>
#include <stdint.h>

/// Reads the whole file at `path`, unpacking it when it is gzip. *bytes is malloc'ed, one NUL byte stands
/// behind it, and it is the caller's to free; NULL on failure. Reports what went wrong. Errors: IO, FORMAT
/// (damaged gzip), MEMORY, STOPPED.
enum pbit_status pbitc_file_read(const char *path, uint8_t **bytes, size_t *size,
                                 struct pbitc_diagnostics *diagnostics);

/// The bytes of a plain file without a copy, read-only: pages come from the file when they are looked at.
/// False where that is not to be had (no regular file, empty); then nothing is to be released. Who replaces
/// the file by renaming does not change them.
bool pbitc_file_map(const char *path, uint8_t **bytes, size_t *size);
void pbitc_file_unmap(uint8_t *bytes, size_t size);

/// One file to be written.
struct pbitc_file {
    const char *path;
    const void *bytes;
    size_t size;
};

/// Writes all files or none: each is written beside its place and synchronized, and only when all are
/// complete are they renamed into place. Failure and interruption leave nothing behind. A path that is no
/// regular file
/// (/dev/null, a pipe) is written to directly.
enum pbit_status pbitc_files_write(const struct pbitc_file *files, size_t count,
                                   struct pbitc_diagnostics *diagnostics);

/// Makes the directory and those above it; one that exists already is fine.
enum pbit_status pbitc_directory_make(const char *path, struct pbitc_diagnostics *diagnostics);

bool pbitc_is_directory(const char *path);

/// "DIRECTORY/NAME", malloc'ed; NULL when out of memory.
char *pbitc_path_join(const char *directory, const char *name);

/// The part of the path behind its last '/'.
const char *pbitc_path_name(const char *path);

/// 64-bit FNV-1a, the hash by which reports name models and data. Start with PBITC_HASH_START; chain for
/// several pieces.
#define PBITC_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t pbitc_hash(uint64_t hash, const void *bytes, size_t size);

enum { PBITC_HASH_TEXT = 32 };
/// "fnv1a64:0123456789abcdef"
const char *pbitc_hash_text(uint64_t hash, char text[PBITC_HASH_TEXT]);

#endif
