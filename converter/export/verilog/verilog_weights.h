// The numbers of a CONV as the hardware stores them.
#ifndef PBITC_VERILOG_WEIGHTS_H
#define PBITC_VERILOG_WEIGHTS_H

#include "converter/export/verilog/verilog_plan.h"
#include "runtime/kernels/kernels.h"

/// Bits of x as an unsigned number, at least 1.
uint32_t pbitc_verilog_bits(uint64_t x);
/// Bits that hold low..high as signed numbers.
uint32_t pbitc_verilog_signed_bits(int64_t low, int64_t high);

/// Row k of the weights, group factors multiplied in. row: i32[fan-in].
void pbitc_verilog_weight_row(const struct pbit_model *model, const struct pbit_operation *conv,
                              uint32_t fan_in, uint32_t k, int32_t *row);

/// M_L of channel k for an input of `levels` levels (FORMAT.md, CONV).
uint32_t pbitc_verilog_multiplier(const struct pbit_model *model, const struct pbit_operation *conv,
                                  uint32_t k, uint32_t levels);

/// Which taps lie inside the image, for one output position.
struct pbitc_verilog_class {
    struct pbit_taps y, x;
};

/// The classes of output positions between which biases differ, in the order they are met. classes:
/// [at most 4096]; class_of: u32[H' * W'], may be NULL. Returns how many; more than 4096 are not told apart
/// and give 0. One class when the CONV has no zero points or no padding.
uint32_t pbitc_verilog_classes(const struct pbit_model *model, const struct pbit_operation *conv,
                               struct pbitc_verilog_class *classes, uint32_t *class_of);

/// The constant of channel k at the positions of a class: the bias, and what zero points outside contribute.
/// row: from pbitc_verilog_weight_row.
int64_t pbitc_verilog_constant(const struct pbit_model *model, const struct pbit_operation *conv, uint32_t k,
                               const struct pbitc_verilog_class *where, const int32_t *row);

/// RS(sum * multiplier, shift), exact for every sum and shift.
int64_t pbitc_verilog_scale(int64_t sum, int64_t multiplier, uint32_t shift);

enum { PBITC_VERILOG_CLASSES_LIMIT = 4096 };

#endif
