// What elementary operations cost: presets, or a JSON file of the user's.
#ifndef PBITC_ENERGY_CONSTANTS_H
#define PBITC_ENERGY_CONSTANTS_H

#include "passes/arena.h"
#include "passes/diagnostics.h"

enum { PBITC_ENERGY_CONSTANTS = 7 };

/// The constants of the paper's Table 1, in pJ; none is negative.
struct pbitc_energy_constants {
    const char *name;     ///< of the preset; of a file: what it calls itself, else the file's own name
    const char *source;   ///< where the numbers come from; "" when a file does not tell
    double weight_memory; ///< e_wM, per bit read
    double memory;        ///< e_aM, per bit of an activation read or written
    double multiply;      ///< e_mul, 32 x 32 bits
    double add;           ///< e_add, 32 bits
    double activation;    ///< e_act, one neuron's activation function
    double random;        ///< e_rng, one random number
    double compare;       ///< e_compare, one comparison
};

/// Names of the presets, closed by NULL, in the order of pbitc_energy_preset.
extern const char *const pbitc_energy_preset_names[];
const struct pbitc_energy_constants *pbitc_energy_preset(int index);

/// The paper's symbols: "e_wM", "e_aM", "e_mul", "e_add", "e_act", "e_rng", "e_compare".
extern const char *const pbitc_energy_symbols[PBITC_ENERGY_CONSTANTS];
double pbitc_energy_constant(const struct pbitc_energy_constants *constants, int index);
void pbitc_energy_set_constant(struct pbitc_energy_constants *constants, int index, double value);

/// Reads a JSON object that has every symbol as a key, a number >= 0 in pJ, and may have "name" and "source".
/// Reports every missing, unknown, repeated and wrong key at once. Texts are copied into `arena`. Errors: IO,
/// FORMAT, MEMORY, STOPPED.
enum pbit_status pbitc_energy_constants_read(const char *path, struct pbitc_arena *arena,
                                             struct pbitc_diagnostics *diagnostics,
                                             struct pbitc_energy_constants *constants);

/// What --preset (an index, or -1) and --constants (a path, or NULL) ask for; paper-sram when neither does.
enum pbit_status pbitc_energy_constants_choose(int preset, const char *path, struct pbitc_arena *arena,
                                               struct pbitc_diagnostics *diagnostics,
                                               struct pbitc_energy_constants *constants);

/// Rows of an option table; `preset` is an int, -1 when none is chosen, `constants` a const char *.
#define PBITC_ENERGY_OPTIONS(arguments, preset, constants)                                                   \
    {"preset",                                                                                               \
     0,                                                                                                      \
     "NAME",                                                                                                 \
     "energies of the elementary operations: paper-sram (the\ndefault), paper-hbm2, zcu104-bram or "         \
     "horowitz-45nm",                                                                                        \
     PBITC_OPTION_CHOICE,                                                                                    \
     offsetof(arguments, preset),                                                                            \
     .choices = pbitc_energy_preset_names},                                                                  \
    {                                                                                                        \
        "constants", 0, "FILE.json", "the same from a file: 'pbitc energy --help' has an example",           \
            PBITC_OPTION_TEXT, offsetof(arguments, constants), .required = false                             \
    }

#endif
