// A node against the line of its operator in the operator table: arity and attributes.
#ifndef PBITC_IR_SIGNATURE_H
#define PBITC_IR_SIGNATURE_H

#include "passes/operators/operators.h"

/// The letter by which the table calls the kind: i f s I F S t g.
char pbitc_attribute_letter(enum pbitc_attribute_kind kind);

/// The letter of the kind that the table gives the attribute of this name; 0 when it does not list the name.
char pbitc_signature_attribute(const struct pbitc_operator *op, const char *name);

/// What is wrong with the number of inputs or outputs, or with a missing required one, as text of at most
/// `size` bytes in `text`. False when nothing is.
bool pbitc_signature_arity_problem(const struct pbitc_node *node, char *text, size_t size);

/// How many of the node's inputs do not go to its inner graphs: the condition of If.
size_t pbitc_signature_own_inputs(const struct pbitc_node *node);

#endif
