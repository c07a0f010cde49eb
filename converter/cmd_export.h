// What the targets of `pbitc export` share.
#ifndef PBITC_CMD_EXPORT_H
#define PBITC_CMD_EXPORT_H

#include "converter/model_file.h"
#include "converter/options.h"

struct pbitc_export_arguments {
    int target;
    const char *output, *prefix;
    int64_t samples, draws;
    bool dry_run, json;
    // c99
    int64_t ram_limit, flash_limit;
    // verilog
    const char *parallel, *frames, *clock, *data, *twin;
    int style;
    int64_t luts, tile, limit, seed;
    struct pbitc_integers vector_samples;
    bool verify;
};

/// Writes the folder of Verilog, or prints its plan; returns the exit code.
int pbitc_export_verilog(const struct pbitc_export_arguments *arguments, const struct pbitc_model_file *file,
                         const char *path, struct pbitc_diagnostics *diagnostics);

#endif
