// Measures how fast a .pbit file runs on this machine, for pbitc bench.
#ifndef PBITC_BENCH_H
#define PBITC_BENCH_H

#include "converter/engine.h"
#include "converter/json.h"
#include "converter/progress.h"

enum {
    PBITC_BENCH_REPETITIONS = 5, ///< of every cell, at least
    PBITC_BENCH_CELLS = 64,
    PBITC_BENCH_CEILINGS = 8,
};

/// An instruction that multiplies, by the best of many short runs on registers alone.
struct pbitc_bench_ceiling {
    const char *instruction;
    double macs_per_second;
};

/// What one thread can do at best.
struct pbitc_bench_peaks {
    double clock; ///< cycles per second, of a chain of instructions whose latency is known; 0: not known here
    struct pbitc_bench_ceiling ceilings[PBITC_BENCH_CEILINGS];
    size_t ceiling_count;
};

/// Measures for about 50 microseconds and keeps what was better than before. peaks: zero at first. Only
/// instructions that `cpu` has are run.
void pbitc_bench_peaks_measure(struct pbitc_bench_peaks *peaks, enum pbit_cpu cpu);

/// Of an instruction; 0: not known.
double pbitc_bench_ceiling(const struct pbitc_bench_peaks *peaks, const char *instruction);

struct pbitc_bench_layer {
    double seconds;          ///< per image, median, on one thread
    uint32_t done_by;        ///< the layer whose time holds this one's work, mostly itself
    const char *instruction; ///< that its MACs were made with; NULL: it made none
    uint64_t macs;           ///< per image, of all layers whose work it did: a synapse is one in every pass,
                             ///< whatever m
};

/// One T, one m, so many images at once.
struct pbitc_bench_cell {
    uint32_t samples, draws;
    size_t batch;
    double seconds; ///< per image, median
    size_t repetitions;
    size_t workspace_bytes;           ///< of all threads
    struct pbitc_bench_layer *layers; ///< [operations]
};

struct pbitc_bench {
    const struct pbit_model *model;
    uint64_t model_hash;
    int threads;
    double seconds; ///< to spend on each cell, about
    struct pbitc_progress *progress;
    struct pbitc_bench_cell cells[PBITC_BENCH_CELLS]; ///< samples, draws and batch are set
    size_t cell_count;
    enum pbit_cpu cpu;
    size_t engine_bytes;
    struct pbitc_bench_peaks peaks;
};

/// Fills the rest. The images are random: no kernel's time depends on them. Errors: UNSUPPORTED (PBIT_CPU),
/// MEMORY, STOPPED, INTERNAL (a layer beat its ceiling).
enum pbit_status pbitc_bench_measure(struct pbitc_bench *bench, struct pbitc_diagnostics *diagnostics);
void pbitc_bench_free(struct pbitc_bench *bench);

/// What a further pass costs, as a share of the first: from the smallest and the largest T of the cell's m
/// and batch, when the smallest is 1 and there is another; else not a number.
double pbitc_bench_further_sample(const struct pbitc_bench *bench, const struct pbitc_bench_cell *cell);

void pbitc_bench_print(const struct pbitc_bench *bench, FILE *stream);
void pbitc_bench_write_json(const struct pbitc_bench *bench, FILE *stream);

#endif
