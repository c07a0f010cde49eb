// The option --shape: sizes for dimensions that a model leaves open, the same for every command that has it.
#ifndef PBITC_SHAPES_H
#define PBITC_SHAPES_H

#include "converter/options.h"
#include "passes/ir/graph.h"

/// A row of an option table; the field is a struct pbitc_texts.
#define PBITC_SHAPE_OPTION(arguments, field)                                                                 \
    {                                                                                                        \
        "shape", 0, "NAME=SIZES",                                                                            \
            ".onnx: sizes that the model leaves open, of an input (x=N,3,224,224; a name\n"                  \
            "keeps a dimension open) or of a symbolic dimension (height=224)",                               \
            PBITC_OPTION_TEXTS, offsetof(arguments, field), .required = false                                \
    }

/// Fixes dimensions of the graph's inputs as the texts ask, in their order. Every text that does not fit is
/// reported (FORMAT), then the graph should not be used. A NULL graph takes no texts (UNSUPPORTED).
enum pbit_status pbitc_shapes_apply(struct pbitc_graph *graph, const struct pbitc_texts *texts,
                                    struct pbitc_diagnostics *diagnostics);

#endif
