// What went wrong, for a person: functions return an enum pbit_status, the story goes here.
#ifndef PBITC_DIAGNOSTICS_H
#define PBITC_DIAGNOSTICS_H

#include "runtime/pbit.h"

#include <stddef.h>
#include <stdio.h>

struct pbitc_node; // passes/ir/graph.h

/// One problem. Strings are never NULL; "" where there is nothing to say. Owned by the diagnostics object.
struct pbitc_problem {
    enum pbit_status status;
    const char *node;    ///< name of the node (or file, option, tensor) the problem belongs to
    const char *op;      ///< operator, e.g. "Conv" or "com.example.Foo"
    int opset;           ///< opset version of the operator's domain in this model, 0 where it plays no part
    const char *message; ///< what is wrong, with the offending value
    const char *remedy;  ///< what the user can do
};

/// A growing list of problems. Reporting never fails: that memory ran out, or that there were more than
/// 10000, is remembered as a problem of its own.
struct pbitc_diagnostics;

struct pbitc_diagnostics *pbitc_diagnostics_create(void); ///< NULL when out of memory
void pbitc_diagnostics_destroy(struct pbitc_diagnostics *diagnostics);

/// Adds a problem and returns `status`, so that `return pbitc_report(...)` reads well. `node`, `op` and
/// `remedy` may be NULL. The message is printf-formatted. A NULL `diagnostics` only returns `status`.
enum pbit_status pbitc_report(struct pbitc_diagnostics *diagnostics, enum pbit_status status,
                              const char *node, const char *op, int opset, const char *remedy,
                              const char *format, ...) __attribute__((format(printf, 7, 8)));

/// The same for a node of the graph: takes name and operator from it.
enum pbit_status pbitc_report_node(struct pbitc_diagnostics *diagnostics, enum pbit_status status,
                                   const struct pbitc_node *node, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

size_t pbitc_diagnostics_count(const struct pbitc_diagnostics *diagnostics);
const struct pbitc_problem *pbitc_diagnostics_get(const struct pbitc_diagnostics *diagnostics, size_t index);

/// Prints every problem, one line each: `error: node 'conv1' (Conv, opset 13): message; remedy`.
void pbitc_diagnostics_print(const struct pbitc_diagnostics *diagnostics, FILE *stream);

#endif
