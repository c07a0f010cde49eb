// A layer that works with the weights of its twin in another copy of the graph for a while.
#ifndef PBITC_BORROW_WEIGHTS_H
#define PBITC_BORROW_WEIGHTS_H

#include "passes/ir/graph.h"

struct pbitc_borrowed {
    struct pbitc_node *layer;
    struct pbitc_value **inputs, *replaced[3]; ///< its own; those it has now
    size_t input_count;
};

/// Copies weights and bias of `from` (inputs 1 and 2) into the graph of `layer`. False when out of memory,
/// and nothing has changed then.
bool pbitc_borrow_weights(struct pbitc_graph *graph, struct pbitc_node *layer, const struct pbitc_node *from,
                          struct pbitc_borrowed *borrowed);
void pbitc_return_weights(struct pbitc_borrowed *borrowed);

#endif
