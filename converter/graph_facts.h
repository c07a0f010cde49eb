// Numbers about a graph, for listings: what a node costs and how often each operator stands in it.
#ifndef PBITC_GRAPH_FACTS_H
#define PBITC_GRAPH_FACTS_H

#include "passes/operators/operators.h"

/// Elements of the float constants of rank >= 1 that the node reads (bounds of Clip are settings, not
/// parameters); of the weights and biases, where they are quantized.
uint64_t pbitc_node_parameters(const struct pbitc_node *node);
/// The same over the graph and its inner graphs, constants that several nodes read counted once.
uint64_t pbitc_graph_parameters(const struct pbitc_graph *graph);
/// Multiply-accumulates of a Conv, ConvTranspose, Gemm, MatMul, their quantized forms, an RNN, GRU or LSTM by
/// its inferred shapes; 0 for others and where shapes are unknown.
uint64_t pbitc_node_macs(const struct pbitc_node *node);

/// "Conv" or "com.example.Foo"
const char *pbitc_node_operator_name(const struct pbitc_node *node, char *buffer, size_t size);

#endif
