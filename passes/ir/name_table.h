// A hash table from names to whatever carries them. Lives in an arena; names and items are borrowed.
#ifndef PBITC_IR_NAME_TABLE_H
#define PBITC_IR_NAME_TABLE_H

#include "passes/arena.h"

#include <stdbool.h>

struct pbitc_name_table;

struct pbitc_name_table *pbitc_name_table_create(struct pbitc_arena *arena); ///< NULL when out of memory
void *pbitc_name_table_find(const struct pbitc_name_table *table, const char *name); ///< or NULL
/// The name must not be in the table. False: out of memory.
bool pbitc_name_table_add(struct pbitc_name_table *table, const char *name, void *item);
void pbitc_name_table_remove(struct pbitc_name_table *table, const char *name); ///< nothing when it is not in
/// The items of two names that are both in the table trade places; cannot fail.
void pbitc_name_table_swap(struct pbitc_name_table *table, const char *a, const char *b);
/// `name` when it is free, else the first free one of name_1, name_2, ...; in the arena. NULL when out of
/// memory.
const char *pbitc_name_table_unique(const struct pbitc_name_table *table, const char *name);

#endif
