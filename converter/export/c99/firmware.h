// The files of an exported firmware folder. Everything but the runtime's sources is written by one function
// each.
#ifndef PBITC_FIRMWARE_H
#define PBITC_FIRMWARE_H

#include "converter/export/c99/firmware_plan.h"
#include "converter/export/folder.h"
#include "converter/export/prefix.h"

#include <stdint.h>
#include <stdio.h>

/// What is exported.
struct pbitc_firmware {
    const struct pbit_model *model;
    const struct pbitc_firmware_plan *plan;
    char name[PBITC_EXPORT_PREFIX];   ///< of functions and files
    char macros[PBITC_EXPORT_PREFIX]; ///< the same in capitals
    uint32_t draws, samples;          ///< m of NAME_run; largest T
    const char *model_hash;           ///< pbitc_hash_text of the .pbit file
    const char *version;
};

/// Each writes one file; failures are the stream's to tell (ferror).
void pbitc_firmware_write_header(const struct pbitc_firmware *firmware, FILE *stream); ///< NAME.h
void pbitc_firmware_write_readme(const struct pbitc_firmware *firmware, FILE *stream);
void pbitc_firmware_write_makefile(const struct pbitc_firmware *firmware, FILE *stream);
void pbitc_firmware_write_cmake(const struct pbitc_firmware *firmware, FILE *stream);
/// NAME.c. Errors: MEMORY.
enum pbit_status pbitc_firmware_write_source(const struct pbitc_firmware *firmware, FILE *stream);
/// NAME_selftest.c, with what libpbit computes. Errors: MEMORY, INTERNAL.
enum pbit_status pbitc_firmware_write_selftest(const struct pbitc_firmware *firmware, FILE *stream);

/// The sources that are copied, some only into the folders that need them. Generated at build time from the
/// runtime's own files.
extern const struct pbitc_embedded pbitc_firmware_copies[];
/// Whether the network needs that file.
int pbitc_firmware_needs(const struct pbitc_firmware *firmware, const char *path);

#endif
