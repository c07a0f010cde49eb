// The processes that share one measurement: the ranks that mpirun started when pbitc is built with the Meson
// option `mpi` and runs under it, else this one alone.
#ifndef PBITC_RANKS_H
#define PBITC_RANKS_H

#include <stdbool.h>
#include <stddef.h>

void pbitc_ranks_begin(void); ///< call once, before the functions below
void pbitc_ranks_end(void);
int pbitc_rank(void);       ///< 0..pbitc_rank_count() - 1
int pbitc_rank_count(void); ///< 1 without MPI

/// The largest of all ranks' values, on every rank.
int pbitc_ranks_largest(int value);

/// Copies rank 0's bytes to all ranks.
void pbitc_ranks_share(void *bytes, size_t size);

/// Every other rank sends a text of at most 2 GB (NULL: none) to rank 0. There texts[pbitc_rank_count()]
/// receives them, malloc'ed, NULL for none; texts[0] stays NULL. False on rank 0 when out of memory.
bool pbitc_ranks_gather(const char *text, char **texts);

#endif
