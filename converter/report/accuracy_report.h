// The result of eval and its forms. Nothing in it depends on the time, the machine, threads, batch or where
// files lie beyond what the user typed.
//
// What was counted (tallies, confusion, levels of the layers, changed images) adds up over disjoint sets of
// images; everything else follows from it in pbitc_report_derive. So a shard, an interrupted measurement and
// the share of one MPI rank are reports too, whose union is the whole, byte for byte.
#ifndef PBITC_ACCURACY_REPORT_H
#define PBITC_ACCURACY_REPORT_H

#include "converter/statistics.h"
#include "passes/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/// `schema` changes when a key goes or changes its meaning, `revision` grows when keys are added; revisions
/// from OLDEST on can be read.
enum { PBITC_REPORT_SCHEMA = 1, PBITC_REPORT_REVISION = 3, PBITC_REPORT_OLDEST = 2 };

enum {
    PBITC_CALIBRATION_BINS = 15,     ///< of equal width over 0..1
    PBITC_CONFIDENCE_UNIT = 1 << 20, ///< a confidence of 1 in the sums of the bins
    PBITC_CHANGED_LIMIT = 100,       ///< changed images that are listed; the first by index
    PBITC_THUMBNAIL_LIMIT = 24,      ///< of them with pixels
    PBITC_THUMBNAIL_SIDE = 64,       ///< images larger than this in height or width have none
    PBITC_THUMBNAIL_CHANNELS = 4,
    PBITC_CONFUSION_CLASSES = 100, ///< more classes than this get no confusion matrix
    PBITC_TWINS_LIMIT = 5,         ///< 1, 2, 3, 4 and 8 bits
};

/// The images whose confidence (largest softmax probability of the mean output) fell into one bin.
struct pbitc_calibration_bin {
    uint64_t count, correct;
    uint64_t confidence; ///< sum, in 1/PBITC_CONFIDENCE_UNIT
};

/// What was counted for one network state over the measured images. Integers only, so that it adds up in any
/// order.
struct pbitc_tally {
    uint64_t *correct; ///< [seeds] images whose top-1 class is the label
    uint64_t agreed;   ///< over images and seeds: decisions that are the float model's; 0 without a baseline
    struct pbitc_calibration_bin bins[PBITC_CALIBRATION_BINS]; ///< over images and seeds
    uint16_t *correct_by_image; ///< [images] seeds whose decision is the label; 0 where not measured
    // Early stops only, over images and seeds:
    uint64_t passes; ///< run before stopping
    uint64_t kept;   ///< decisions that are those after all T passes
};

/// The accuracy of one network state: p-bits at one (m, T), a deterministic twin, or the float model.
/// Fractions are in 0..1.
struct pbitc_accuracy_cell {
    uint32_t samples, draws; ///< T, m; a twin of k bits: 1, 2^k - 1; the float model: 1, 0
    uint32_t bits; ///< of the activations: 0 for p-bits, 1, 2, 3, 4 or 8 for a twin, 32 for the float model
    size_t seeds;  ///< the report's seed_count for p-bits, 1 for a twin and the float model
    /// An early stop: passes end when the decision is sure with this confidence (early_stop.h), at the latest
    /// after `samples` of them; 0: all passes are run.
    double confidence;
    double deviation; ///< early stop: standard deviation of the leading output's margin from pass to pass
                      ///< that the test starts from, in the output's units
    struct pbitc_tally tally;

    // From here on derived.
    double accuracy;                ///< mean over the seeds
    double *by_seed;                ///< [seeds]
    struct pbitc_interval interval; ///< Wilson, 95 %, of `accuracy` over the images
    double spread;                  ///< standard deviation over the seeds (n - 1); 0 for one seed
    double drop;                    ///< float accuracy - accuracy; only with a baseline
    double agreement;               ///< share of decisions that are the float model's; only with a baseline
    struct pbitc_paired paired;     ///< against the float model; only with a baseline
    double calibration_error;       ///< expected calibration error (ECE), 0..1
    double mean_samples;            ///< passes per image: T, or fewer for an early stop
    double kept;                    ///< early stop: share of decisions that are those after all T passes
    bool has_energy;
    double first_energy, further_energy; ///< nJ per image: of the first and of each further pass
    double energy;                       ///< nJ per image: first + (mean T - 1) * further
};

/// One operation of the .pbit file, in the file's order (struct pbit_layer).
struct pbitc_report_layer {
    const char *name; ///< the ONNX node
    const char *op;   ///< "conv", "neuron", "maxpool", "sumpool", "add", "concat" or "permute"
    int32_t input;    ///< index of the layer that writes its (first) input; -1: the model's input image
    uint32_t height, width, channels;           ///< of the output
    bool random;                                ///< runs in every pass
    uint32_t fan_in, weight_bits, weight_group; ///< conv
    uint64_t weights;                           ///< conv: number of weights
    uint64_t macs;                              ///< conv: multiply-accumulates per pass
    uint64_t neurons;                           ///< neuron: height * width * channels
    bool draws;                                 ///< neuron: it draws p-bits or noise
    bool multibit;                              ///< neuron: 8-bit output
    uint32_t draw_factor;                       ///< neuron: draws m * draw_factor / 256 p-bits; 0: 8 bits
    uint32_t amplitude;                         ///< neuron: rho or noise amplitude (struct pbit_layer)
    bool
        has_levels; ///< its output are levels 0..L (counts of p-bits), not fixed point, and they were counted
    /// Counted over the passes of the main cell with the first seed: elements, sum of the levels, elements at
    /// 0 and at L.
    uint64_t elements, level_sum, zeros, full;
    uint32_t levels; ///< L at the main cell's m
    bool has_loss;
    uint64_t loss_agreed; ///< images decided like the 8-bit twin when only this neuron layer draws p-bits
                          ///< (main cell, first seed) and all others have 8 bits

    // From here on derived.
    double activity;                      ///< mean level / L: the share of ones among the p-bits
    double saturated_low, saturated_high; ///< share of elements at 0 and at L
    double loss;                          ///< 1 - agreement of loss_agreed
    double loss_share;                    ///< of the sum over the layers; 0 when that is 0
};

/// An image that the main cell's p-bits (first seed) decide otherwise than the float model.
struct pbitc_changed_image {
    uint64_t index; ///< in the files of the data
    uint32_t label, float_decision, decision;
    const uint8_t *pixels; ///< [height][width][channels] as stored; NULL: none kept
};

/// What a gate found.
struct pbitc_gate_outcome {
    const char *option;      ///< as typed: "--min-accuracy 1:8:0.9", "--require-monotonic"
    uint32_t samples, draws; ///< the cell, or 0, 0 where the gate looks at all
    double bound, value;     ///< demanded and measured, where the gate looks at one cell
    bool passed;
    const char *message; ///< one line: what was measured and demanded
};

struct pbitc_named_number {
    const char *name;
    double value;
};

/// Consecutive images FIRST .. FIRST + COUNT - 1, counted from the first image of the data.
struct pbitc_image_range {
    size_t first, count;
};

struct pbitc_accuracy_report {
    struct pbitc_arena *arena; ///< owns everything below

    const char *tool;    ///< "pbitc 0.1.0"
    const char *command; ///< repeats the whole measurement, as one line for a shell
    size_t images;       ///< of the whole measurement; a partial report has measured fewer
    size_t measured_count;
    struct pbitc_image_range *measured; ///< disjoint, ascending, not adjacent
    size_t measured_images;             ///< sum of their counts; fractions are of this number
    bool partial;                       ///< measured_images < images
    size_t shard, shard_count;          ///< 1-based; 0, 0: the measurement was not divided
    size_t classes;
    uint64_t data_hash;   ///< of the images and labels in use
    uint64_t source_hash; ///< of all images and labels in the data's files, whatever range is in use
    size_t first_image;   ///< index in the files of image 0 here
    size_t image_height, image_width, image_channels; ///< of the stored pixels

    bool has_baseline;
    uint64_t baseline_hash;              ///< of the ONNX file
    struct pbitc_accuracy_cell baseline; ///< bits = 32

    bool has_model;          ///< false: only the baseline was measured, and nothing below is set
    uint64_t model_hash;     ///< of the .pbit file
    const char *model_name;  ///< name of the ONNX file it was made from; "" when the file does not tell
    const char *origin_hash; ///< hash (text) of that ONNX file; "" when the .pbit file does not tell
    uint64_t recipe_hash; ///< of the options and the recipe of the conversion, as the .pbit file tells them
    uint64_t first_seed;
    size_t seed_count;
    size_t cell_count;
    struct pbitc_accuracy_cell *cells; ///< ordered by place in the lists of m, then of T
    size_t twin_count;                 ///< those whose m the file allows
    struct pbitc_accuracy_cell *twins; ///< [PBITC_TWINS_LIMIT] same weights, deterministic k-bit activations
    size_t stop_count;                 ///< ordered by place in the lists of m, then of confidences
    struct pbitc_accuracy_cell *stops; ///< early stops; the cell of their m and T is among `cells`
    size_t
        main_cell; ///< index of the cell of the file's default (m, T), else of the one with the largest m*T

    size_t layer_count;
    struct pbitc_report_layer *layers;
    bool has_confusion;
    uint64_t *confusion; ///< [classes (label)][classes (decision)], main cell, over images and seeds
    uint64_t changed_total;
    size_t changed_count; ///< listed, at most PBITC_CHANGED_LIMIT
    struct pbitc_changed_image *changed;

    const char *energy_preset; ///< name of the constants, or NULL: no energies
    size_t energy_constant_count;
    struct pbitc_named_number *energy_constants;

    bool has_target;
    double target;         ///< accuracy: --target, or 0.01 below the float model
    bool target_given;     ///< by --target
    int32_t smallest_cell; ///< of those that reach the target the one with the smallest m*T; -1: none
    int32_t cheapest_cell; ///< the same for the energy; -1: none, or no energies

    size_t gate_count;
    struct pbitc_gate_outcome *gates;
};

struct pbitc_accuracy_report *pbitc_report_create(void);         ///< empty; NULL when out of memory
void pbitc_report_destroy(struct pbitc_accuracy_report *report); ///< accepts NULL

/// Makes the arrays of a cell whose `seeds` is set. False when out of memory.
bool pbitc_report_allocate_cell(struct pbitc_accuracy_report *report, struct pbitc_accuracy_cell *cell);

/// Sets which images were measured; mask[images], non-zero: measured. False when out of memory.
bool pbitc_report_set_measured(struct pbitc_accuracy_report *report, const uint8_t *mask);
/// The other way round: sets mask[i] for every measured image and leaves the others as they are.
void pbitc_report_mark_measured(const struct pbitc_accuracy_report *report, uint8_t *mask);

/// Fills all that is derived from what was counted. At least one image is measured. False when out of memory.
bool pbitc_report_derive(struct pbitc_accuracy_report *report);

/// Tests `after` against `before`, which were measured on the same images: per image, how many more of its
/// seeds are right (scaled to a common number of seeds). False when out of memory.
bool pbitc_cells_pair(size_t images, const struct pbitc_accuracy_cell *before,
                      const struct pbitc_accuracy_cell *after, struct pbitc_paired *paired);

/// samples 0: the first early stop with this m. NULL: there is none.
const struct pbitc_accuracy_cell *pbitc_report_find_cell(const struct pbitc_accuracy_report *report,
                                                         uint32_t samples, uint32_t draws);

/// Appends the outcome of a gate, whose message is printf-formatted. False when out of memory.
bool pbitc_report_add_gate(struct pbitc_accuracy_report *report, struct pbitc_gate_outcome outcome,
                           const char *format, ...) __attribute__((format(printf, 3, 4)));

/// A confidence in 0..1 as the bins count it, and the bin it falls into.
uint32_t pbitc_confidence_units(double confidence);
int pbitc_confidence_bin(uint32_t units);

/// Images a shard takes: shard number 1..count of `images`.
struct pbitc_image_range pbitc_shard_range(size_t images, size_t shard, size_t count);

void pbitc_report_write_text(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_json(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_csv(const struct pbitc_accuracy_report *report, FILE *stream);
void pbitc_report_write_junit(const struct pbitc_accuracy_report *report,
                              FILE *stream); ///< gates as test cases
void pbitc_report_write_badge(const struct pbitc_accuracy_report *report, FILE *stream); ///< shields endpoint
/// These two make texts and pictures on the way: false when out of memory.
bool pbitc_report_write_markdown(const struct pbitc_accuracy_report *report, FILE *stream);
bool pbitc_report_write_html(const struct pbitc_accuracy_report *report, FILE *stream);

#endif
