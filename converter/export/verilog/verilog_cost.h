// What a design takes on an FPGA, estimated without synthesis.
#ifndef PBITC_VERILOG_COST_H
#define PBITC_VERILOG_COST_H

#include "converter/export/verilog/verilog_plan.h"

/// Resources of a Xilinx 7-series device, as Yosys counts them. The twin is counted without DSPs.
struct pbitc_verilog_cost {
    double luts; ///< 6-input LUTs, those that serve as memories included
    double flip_flops;
    double block_rams; ///< of 36 kbit; halves are possible
};

/// Of one stage with its memories. The plan must be derived.
struct pbitc_verilog_cost pbitc_verilog_stage_cost(const struct pbitc_verilog_plan *plan,
                                                   const struct pbitc_verilog_stage *stage);
/// Of what all stages share: registers, sampler, output.
struct pbitc_verilog_cost pbitc_verilog_shared_cost(const struct pbitc_verilog_plan *plan);
/// Of the whole design.
struct pbitc_verilog_cost pbitc_verilog_plan_cost(const struct pbitc_verilog_plan *plan);

#endif
