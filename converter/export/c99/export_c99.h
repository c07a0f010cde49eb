// `pbitc export --target c99`: one folder of C for a microcontroller.
#ifndef PBITC_EXPORT_C99_H
#define PBITC_EXPORT_C99_H

#include "converter/export/c99/firmware.h"
#include "converter/model_file.h"

/// Checks that the text is a C and C++ identifier that no kernel of the runtime uses. NULL when it is, else
/// what is wrong with it.
const char *pbitc_firmware_prefix_problem(const char *prefix);

/// A prefix from the name of the .pbit file: what no identifier may hold becomes '_'.
void pbitc_firmware_default_prefix(const char *path, char prefix[PBITC_EXPORT_PREFIX]);

/// Writes the folder, or nothing: it is made beside its place and renamed when it is complete. Errors: IO
/// (also when the path exists), MEMORY, STOPPED, INTERNAL.
enum pbit_status pbitc_firmware_write_folder(const struct pbitc_firmware *firmware, const char *path,
                                             struct pbitc_diagnostics *diagnostics);

#endif
