// The network that the equations of energy.h are applied to: from an ONNX graph or from a .pbit file.
#ifndef PBITC_ENERGY_NETWORK_H
#define PBITC_ENERGY_NETWORK_H

#include "converter/energy/energy.h"
#include "converter/report/accuracy_report.h"
#include "passes/ir/graph.h"

/// Share of ones where nothing was measured: the paper's.
#define PBITC_ENERGY_ACTIVITY 0.5

/// Of an imported model with 32-bit weights, for one image. By the exact convention the graph is changed: the
/// passes fold it as convert does and move activations below max pooling. Reports what has no p-bit form.
/// The layers live in the graph's arena. Errors: UNSUPPORTED, FORMAT, MEMORY.
enum pbit_status pbitc_energy_network_of_graph(struct pbitc_graph *graph,
                                               enum pbitc_energy_convention convention, double activity,
                                               struct pbitc_diagnostics *diagnostics,
                                               struct pbitc_energy_network *network);

/// Of a .pbit file, as pbitc_report_layers_describe tells it. Layers whose activity was measured have it,
/// others `activity`. Names are borrowed, layers live in `arena`. False when out of memory.
bool pbitc_energy_network_of_layers(const struct pbitc_report_layer *layers, size_t count,
                                    enum pbitc_energy_convention convention, double activity,
                                    struct pbitc_arena *arena, struct pbitc_energy_network *network);

#endif
