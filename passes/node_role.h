// What the conversion makes of each node of an ONNX graph.
#ifndef PBITC_NODE_ROLE_H
#define PBITC_NODE_ROLE_H

#include "passes/operators/operators.h"

enum pbitc_role {
    PBITC_ROLE_NEURON,   ///< p-bits take its place
    PBITC_ROLE_INTEGERS, ///< a layer, a sum, a pooling: integers on every target
    PBITC_ROLE_NOTHING,  ///< folded into others, or only moves values
    PBITC_ROLE_FLOAT,    ///< a float island: stays as it is, in float on the host
    PBITC_ROLE_REFUSED,  ///< cannot be part of a .pbit file
};

/// The node's role; *reason says why it is not another (NEURON, INTEGERS and NOTHING: NULL). Shapes must have
/// been inferred as far as they can be.
enum pbitc_role pbitc_node_role(const struct pbitc_graph *graph, const struct pbitc_node *node,
                                const char **reason);

#endif
