// The result of eval and its forms. Nothing in them depends on the time, the machine or where files lie.
#ifndef PBITC_ACCURACY_REPORT_H
#define PBITC_ACCURACY_REPORT_H

#include "converter/statistics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PBITC_REPORT_SCHEMA = 1 };

/// Accuracy at one (m, T). Fractions are in 0..1.
struct pbitc_accuracy_cell {
    uint32_t samples, draws;        ///< T, m
    double accuracy;                ///< mean over the seeds
    const double *by_seed;          ///< [seed_count]
    struct pbitc_interval interval; ///< Wilson, 95 %, of `accuracy` over the images
    double drop;                    ///< baseline - accuracy; only with a baseline
    double agreement;               ///< share of images decided as the float model does; only with a baseline
};

struct pbitc_accuracy_report {
    size_t images;
    uint64_t data_hash;
    bool has_baseline;
    double baseline; ///< accuracy of the float model
    struct pbitc_interval baseline_interval;
    uint64_t baseline_hash; ///< of the ONNX file
    bool has_model;         ///< false: only the baseline was measured
    uint64_t model_hash;    ///< of the .pbit file
    uint64_t first_seed;
    size_t seed_count, cell_count;
    struct pbitc_accuracy_cell *cells;
};

void pbitc_report_write_text(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_json(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_csv(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_markdown(const struct pbitc_accuracy_report *report, FILE *stream);

#endif
