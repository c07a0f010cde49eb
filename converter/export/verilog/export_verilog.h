// `pbitc export --target verilog`: a folder of Verilog for an FPGA.
#ifndef PBITC_EXPORT_VERILOG_H
#define PBITC_EXPORT_VERILOG_H

#include "converter/export/verilog/verilog.h"

/// Checks that the text can name the top module beside those of rtl/. NULL when it can, else what is wrong.
const char *pbitc_verilog_prefix_problem(const char *prefix);

/// A name from that of the .pbit file: what no identifier may hold becomes '_'.
void pbitc_verilog_default_prefix(const char *path, char prefix[PBITC_EXPORT_PREFIX]);

/// Writes the folder, or nothing. Errors: IO (also when the path exists), MEMORY, STOPPED, INTERNAL.
enum pbit_status pbitc_verilog_write_folder(const struct pbitc_verilog *design, const char *path,
                                            struct pbitc_diagnostics *diagnostics);

/// Runs the folder's testbench and lint with every simulator that is installed; what they print goes to
/// standard error. passed: how many agreed; failed: how many did not. Errors: IO (none is installed),
/// STOPPED.
enum pbit_status pbitc_verilog_verify(const char *path, int *passed, int *failed,
                                      struct pbitc_diagnostics *diagnostics);

#endif
