// How a .pbit file becomes firmware: which operations run together, how many passes at a time, and where in
// the workspace everything lies.
#ifndef PBITC_FIRMWARE_PLAN_H
#define PBITC_FIRMWARE_PLAN_H

#include "passes/diagnostics.h"
#include "runtime/format.h"

#include <stdbool.h>

enum {
    PBITC_FIRMWARE_NONE = UINT32_MAX & 0x7fffffff, ///< no such operation
    PBITC_FIRMWARE_PASSES_LIMIT = 4,               ///< passes at a time
};

enum pbitc_firmware_step_kind {
    PBITC_FIRMWARE_STAGE,  ///< CONV, then MAXPOOL and NEURON where there are
    PBITC_FIRMWARE_SINGLE, ///< one other operation
};

/// Bytes of the workspace that are needed from one step to another.
struct pbitc_firmware_buffer {
    uint32_t first_step, last_step;
    uint64_t bytes, offset;
};

/// What a step costs.
struct pbitc_firmware_cost {
    uint64_t flash;       ///< bytes of weights and tables
    uint64_t adds;        ///< accumulations of a weight times a level, once
    uint64_t multiplies;  ///< fixed-point multiply-adds, once
    uint64_t draws;       ///< p-bits per draw of m, once
    uint64_t unpacked;    ///< weights fetched and unpacked, once for all passes at a time
    bool sums_are_shared; ///< adds and multiplies serve all passes at a time
};

struct pbitc_firmware_step {
    enum pbitc_firmware_step_kind kind;
    uint32_t operation;                 ///< the CONV, or the single operation
    uint32_t pool, neuron;              ///< PBITC_FIRMWARE_NONE
    uint32_t last;                      ///< the last of its operations
    bool random;                        ///< runs for every pass, else once per image
    uint32_t kernel_rows;               ///< STAGE
    bool dense;                         ///< STAGE: pbit_dense.c computes it
    uint32_t channels;                  ///< STAGE: output channels at a time
    uint64_t sums_stride;               ///< STAGE: elements
    uint32_t row, sums, pooled, states; ///< STAGE: buffers of scratch
    struct pbitc_firmware_cost cost;
    uint64_t live; ///< bytes of workspace in use
};

struct pbitc_firmware_plan {
    const struct pbit_model *model;
    uint32_t passes; ///< at a time
    bool keep_sums;  ///< pre-activations that all passes share are kept, not computed again
    uint32_t step_count, buffer_count;
    struct pbitc_firmware_step *steps;     ///< [operation_count]
    struct pbitc_firmware_buffer *buffers; ///< of the tensors first, then scratch
    uint64_t *tensor_strides;              ///< elements from one pass to the next; 0: the same for all
    uint64_t arena;                        ///< bytes of workspace for the buffers
    uint64_t ram;                          ///< workspace and the sums of the outputs, on a 32-bit core
    uint64_t tables;                       ///< bytes of flash for weights and tables
    uint64_t code; ///< bytes of flash for code and records, an upper bound for Thumb-2 and RV32C at -Os
    uint64_t instructions_first, instructions_next; ///< the model of README.md: T = 1, and each further pass
};

/// Chooses, among 1, 2 and 4 passes at a time (at most `samples`) and keeping or computing again, the plan
/// with the fewest instructions for `samples` passes whose RAM is at most `ram_limit`; when none fits, the
/// one with the least RAM. Errors: MEMORY.
enum pbit_status pbitc_firmware_plan_make(struct pbitc_firmware_plan *plan, const struct pbit_model *model,
                                          uint32_t samples, uint64_t ram_limit);
void pbitc_firmware_plan_free(struct pbitc_firmware_plan *plan); ///< accepts a zeroed one

/// The step that needs most RAM, and the one at which the tables pass `limit` bytes of flash.
const struct pbitc_firmware_step *pbitc_firmware_largest_step(const struct pbitc_firmware_plan *plan);
const struct pbitc_firmware_step *pbitc_firmware_flash_step(const struct pbitc_firmware_plan *plan,
                                                            uint64_t limit);
const char *pbitc_firmware_step_name(const struct pbitc_firmware_plan *plan,
                                     const struct pbitc_firmware_step *step);

/// A table of an operation in the .pbit file; a list of them is closed by one of 0 bytes.
struct pbitc_firmware_table {
    uint32_t offset;
    uint64_t bytes;
};
enum { PBITC_FIRMWARE_TABLES = 6 };
void pbitc_firmware_tables(const struct pbit_model *model, const struct pbit_operation *operation,
                           struct pbitc_firmware_table tables[PBITC_FIRMWARE_TABLES]);

#endif
