// The name of an exported network, with which its files, functions or modules begin.
#ifndef PBITC_EXPORT_PREFIX_H
#define PBITC_EXPORT_PREFIX_H

#include <stdbool.h>

enum { PBITC_EXPORT_PREFIX = 48 }; ///< bytes, with the NUL

/// Why this cannot be a prefix in any language; NULL: it can.
const char *pbitc_prefix_problem(const char *prefix);
/// `words` begins and ends with a space and has one between any two.
bool pbitc_prefix_is_among(const char *prefix, const char *words);

/// The file's name without its ending, '_' for what no prefix may hold.
void pbitc_prefix_of_path(const char *path, char prefix[PBITC_EXPORT_PREFIX]);

#endif
