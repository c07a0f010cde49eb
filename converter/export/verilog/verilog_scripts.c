#include "converter/export/verilog/verilog_scripts.h"

void pbitc_verilog_write_synthesize(const char *top, FILE *stream)
{
    fprintf(
        stream,
        "#!/bin/sh\n"
        "# synthesize FAMILY [RUN [OPTION...]]: runs Yosys (0.23 or newer) for xc7, xcup, ice40 or ecp5.\n"
        "# Results: synthesis/RUN.json (cells per module), RUN.netlist.json (for nextpnr), RUN.log. RUN is "
        "FAMILY\n"
        "# unless named; options go to Yosys' synth command, for example -nodsp, or -noflatten for ecp5 and "
        "ice40.\n"
        "set -eu\n"
        "cd \"$(dirname \"$0\")\"\n"
        "family=${1:-}\n"
        "run=${2:-$family}\n"
        "if [ $# -gt 2 ]; then shift 2; else shift $#; fi\n"
        "case $family in\n"
        "xc7 | xcup) synth=\"synth_xilinx -family $family -noiopad\" ;;\n"
        "ice40 | ecp5) synth=\"synth_$family\" ;;\n"
        "*)\n"
        "    echo 'synthesize: FAMILY is xc7, xcup, ice40 or ecp5' >&2\n"
        "    exit 2\n"
        "    ;;\n"
        "esac\n"
        "mkdir -p synthesis\n"
        "# -defer: each module is read with its parameters, so that none looks for another one's memory "
        "files.\n"
        "yosys -q -l \"synthesis/$run.log\" -p \"read_verilog -defer rtl/*.v; $synth -top %s $*;\n"
        "    tee -q -o synthesis/$run.json stat -json -top %s;\n"
        "    write_json synthesis/$run.netlist.json\"\n",
        top, top);
}

void pbitc_verilog_write_vivado(const char *top, FILE *stream)
{
    fprintf(stream,
            "# vivado -mode batch -source vivado.tcl [-tclargs PART]: synthesis, placement and routing out "
            "of context.\n"
            "# This script was written without Vivado at hand and has not been run.\n"
            "set part [expr {$argc > 0 ? [lindex $argv 0] : {xczu7ev-ffvc1156-2-e}}]\n"
            "cd [file dirname [file normalize [info script]]]\n"
            "file mkdir vivado\n"
            "create_project -in_memory -part $part\n"
            "read_verilog [glob rtl/*.v]\n"
            "read_mem [glob *.mem]\n"
            "read_xdc clock.xdc\n"
            "synth_design -top %s -part $part -mode out_of_context\n"
            "report_utilization -hierarchical -file vivado/synthesis.txt\n"
            "opt_design\n"
            "place_design\n"
            "route_design\n"
            "report_utilization -hierarchical -file vivado/utilization.txt\n"
            "report_timing_summary -file vivado/timing.txt\n"
            "report_power -file vivado/power.txt\n"
            "write_checkpoint -force vivado/%s.dcp\n",
            top, top);
}

void pbitc_verilog_write_xdc(double clock_mhz, FILE *stream)
{
    fprintf(stream, "create_clock -name clock -period %.3f [get_ports clock]\n", 1000 / clock_mhz);
}

void pbitc_verilog_write_pcf(double clock_mhz, FILE *stream)
{
    fprintf(stream, "set_frequency clock %g\n", clock_mhz);
}

void pbitc_verilog_write_lpf(double clock_mhz, FILE *stream)
{
    fprintf(stream, "FREQUENCY PORT \"clock\" %g MHZ;\n", clock_mhz);
}
