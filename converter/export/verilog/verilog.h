// The files of an exported hardware folder. Everything but rtl/ and scripts/ is written by one function each.
#ifndef PBITC_VERILOG_H
#define PBITC_VERILOG_H

#include "converter/export/folder.h"
#include "converter/export/prefix.h"
#include "converter/export/verilog/verilog_plan.h"

#include <stdio.h>

enum { PBITC_VERILOG_SAMPLES = 64 };

/// The golden vectors: each image at each T of the list.
struct pbitc_verilog_vectors {
    uint32_t images, samples_count;
    uint32_t samples[PBITC_VERILOG_SAMPLES];
    uint64_t seed, first_image; ///< number of the first image
    const void *dataset;        ///< NULL: noise
    /// Writes the pixels of one image of the dataset.
    void (*fill)(const void *dataset, const struct pbit_model *model, uint32_t image, uint8_t *pixels);
};

/// What is exported.
struct pbitc_verilog {
    const struct pbit_model *model;
    const struct pbitc_verilog_plan *plan;
    const struct pbitc_verilog_vectors *vectors;
    char name[PBITC_EXPORT_PREFIX]; ///< of the top module and the files
    const char *model_hash;         ///< pbitc_hash_text of the .pbit file
    const char *version;
    double clock_mhz; ///< that the constraints ask for
};

/// Files that are copied into every folder: rtl/ and scripts/. Generated at build time; closed by a NULL
/// path.
extern const struct pbitc_embedded pbitc_verilog_copies[];

/// Each writes one file; failures are the stream's to tell (ferror).
void pbitc_verilog_write_top(const struct pbitc_verilog *design, FILE *stream); ///< rtl/NAME.v
void pbitc_verilog_write_readme(const struct pbitc_verilog *design, FILE *stream);
void pbitc_verilog_write_diagram(const struct pbitc_verilog *design, FILE *stream); ///< diagram.svg
/// A file of templates/, with the words between @ replaced: testbench.v, simulate.
void pbitc_verilog_write_template(const struct pbitc_verilog *design, const char *text, FILE *stream);

/// What the top module instantiates for one stage, behind its wires (verilog_stage.c).
void pbitc_verilog_write_stage(const struct pbitc_verilog *design, uint32_t stage, FILE *stream);

/// The memories of a stage, as text for $readmemh. Each adds its files, named pbitc_verilog_memory_name, to
/// the folder. Errors: MEMORY.
enum pbit_status pbitc_verilog_add_memories(const struct pbitc_verilog *design, struct pbitc_folder *folder);

/// "NAME_STAGE_WHAT.mem"
enum { PBITC_VERILOG_MEMORY_NAME = PBITC_EXPORT_PREFIX + 40 };
const char *pbitc_verilog_memory_name(const struct pbitc_verilog *design, uint32_t stage, const char *what,
                                      char name[PBITC_VERILOG_MEMORY_NAME]);

/// vectors/*.mem, computed by libpbit. Errors: MEMORY, INTERNAL.
enum pbit_status pbitc_verilog_add_vectors(const struct pbitc_verilog *design, struct pbitc_folder *folder);

/// Bits of what the top module wires up. Index of an element of a stage's output; words and lanes of a
/// buffer.
uint32_t pbitc_verilog_index_bits(const struct pbitc_verilog_stage *stage);
uint32_t pbitc_verilog_word_bits(const struct pbitc_verilog_buffer *buffer);
uint32_t pbitc_verilog_lane_bits(const struct pbitc_verilog_buffer *buffer);
/// Bits of the word address that a stage computes, at least those of its buffer.
uint32_t pbitc_verilog_walk_bits(const struct pbitc_verilog_stage *stage);

#endif
