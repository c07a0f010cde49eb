// The scripts of an exported folder that take the design to synthesis tools.
#ifndef PBITC_VERILOG_SCRIPTS_H
#define PBITC_VERILOG_SCRIPTS_H

#include <stdio.h>

/// top: name of the top module, whose clock port is `clock`. Failures are the stream's to tell (ferror).
void pbitc_verilog_write_synthesize(const char *top, FILE *stream); ///< synthesize: Yosys
void pbitc_verilog_write_vivado(const char *top, FILE *stream);     ///< vivado.tcl
void pbitc_verilog_write_xdc(double clock_mhz, FILE *stream);       ///< clock.xdc: Vivado
void pbitc_verilog_write_pcf(double clock_mhz, FILE *stream);       ///< ice40.pcf: nextpnr
void pbitc_verilog_write_lpf(double clock_mhz, FILE *stream);       ///< ecp5.lpf: nextpnr

#endif
