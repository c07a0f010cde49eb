// Activations that a model spells out in elementwise operators (x * Sigmoid(x), 0.5 x (1 + Erf(x / 1.414)),
// Min and Max, ...), recognized by what they compute, not by how they are written: the nodes are evaluated on
// a grid of points and the values compared with those of the functions that p-bits can have.
#ifndef PBITC_ACTIVATION_MATCH_H
#define PBITC_ACTIVATION_MATCH_H

#include "passes/operators/operators.h"

enum { PBITC_MATCH_NODES = 16 };

struct pbitc_activation_match {
    const struct pbitc_node *root; ///< its output 0 is f(x)
    struct pbitc_value *x;
    enum pbitc_operator_id op; ///< the one operator that computes f
    float alpha, beta;         ///< its parameters; Clip: its bounds, +-INFINITY where there is none
    bool by_tanh;              ///< Gelu in its approximation
    const struct pbitc_node *nodes[PBITC_MATCH_NODES]; ///< in graph order; the last is the root
    size_t node_count;
};

/// The largest part of the graph that ends in `root` and is one such function of one float32 value, without
/// anything else reading what is inside. False: none, or `root` alone is that operator already.
bool pbitc_match_activation(const struct pbitc_graph *graph, const struct pbitc_node *root,
                            struct pbitc_activation_match *match);

/// The match that `node` is part of; the one that ends last, as fuse-activations goes from the end to the
/// beginning.
bool pbitc_match_around(const struct pbitc_graph *graph, const struct pbitc_node *node,
                        struct pbitc_activation_match *match);

#endif
