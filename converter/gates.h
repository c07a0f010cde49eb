// What eval and `report merge` can be asked to insist on.
#ifndef PBITC_GATES_H
#define PBITC_GATES_H

#include "converter/options.h"
#include "converter/report/accuracy_report.h"
#include "passes/diagnostics.h"

/// The options as typed.
struct pbitc_gate_options {
    struct pbitc_texts min_accuracy, max_drop;
    const char *compare;
    bool require_monotonic;
};

/// Rows of an option table; `field` is a struct pbitc_gate_options.
#define PBITC_GATE_OPTIONS(arguments, field)                                                                 \
    {"min-accuracy",                                                                                         \
     0,                                                                                                      \
     "T:m:X",                                                                                                \
     "fail unless the accuracy at T (or auto) and m is at least X\n(0..1); may be repeated",                 \
     PBITC_OPTION_TEXTS,                                                                                     \
     offsetof(arguments, field.min_accuracy),                                                                \
     .required = false},                                                                                     \
        {"max-drop",                                                                                         \
         0,                                                                                                  \
         "T:m:X",                                                                                            \
         "fail unless the accuracy at T and m is at most X (0..1)\nbelow the baseline's; may be repeated",   \
         PBITC_OPTION_TEXTS,                                                                                 \
         offsetof(arguments, field.max_drop),                                                                \
         .required = false},                                                                                 \
        {"compare",                                                                                          \
         0,                                                                                                  \
         "OLD.json",                                                                                         \
         "fail when a cell is significantly worse than in this earlier\nreport: same data and same ONNX "    \
         "model",                                                                                            \
         PBITC_OPTION_TEXT,                                                                                  \
         offsetof(arguments, field.compare),                                                                 \
         .required = false},                                                                                 \
    {                                                                                                        \
        "require-monotonic", 0, NULL,                                                                        \
            "fail when for some m the accuracy falls with T by more than\nchance explains",                  \
            PBITC_OPTION_FLAG, offsetof(arguments, field.require_monotonic), .required = false               \
    }

/// A demand on one cell.
struct pbitc_cell_gate {
    uint32_t samples, draws; ///< samples 0: the early stop
    bool is_drop;            ///< the drop is at most `bound`; else the accuracy is at least `bound`
    double bound;            ///< fraction
    const char *text;        ///< T:m:X
};

struct pbitc_gates {
    struct pbitc_cell_gate cells[2 * PBITC_LIST_LIMIT];
    size_t cell_count;
    const char *compare; ///< path of the earlier report, or NULL
    bool monotonic;
};

/// Reads "T:m:X" with X in 0..1, T a number or "auto". False when it is no such text.
bool pbitc_cell_gate_parse(const char *text, struct pbitc_cell_gate *gate);

/// Returns PBITC_EXIT_DONE, or PBITC_EXIT_USAGE after a message for every mistake.
int pbitc_gates_parse(const char *command, const struct pbitc_gate_options *options,
                      struct pbitc_gates *gates);

/// Looks before the work whether the gates make sense: a demand on a cell that is not measured is a mistake,
/// not a failure. The cells are those of `samples` x `draws` and, when it `stops` early, of
/// auto x `draws`. Returns like pbitc_gates_parse.
int pbitc_gates_check(const char *command, const struct pbitc_gates *gates, const uint32_t *samples,
                      size_t samples_count, const uint32_t *draws, size_t draws_count, bool stops,
                      bool has_baseline);

/// Fills the report's gates with what they find. Reports an earlier report that cannot be compared with.
enum pbit_status pbitc_gates_judge(const struct pbitc_gates *gates, struct pbitc_diagnostics *diagnostics,
                                   struct pbitc_accuracy_report *report);

/// Prints one line for every broken gate; how many there are.
size_t pbitc_gates_print_broken(const struct pbitc_accuracy_report *report, FILE *talk);

#endif
