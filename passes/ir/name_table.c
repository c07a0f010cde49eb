#include "passes/ir/name_table.h"

#include <stdint.h>
#include <string.h>

enum { FIRST_BUCKETS = 64 };

struct entry {
    const char *name;
    void *item;
    uint64_t hash;
    unsigned next_suffix; ///< the first that pbitc_name_table_unique has not tried yet
    struct entry *next;
};

struct pbitc_name_table {
    struct pbitc_arena *arena;
    size_t count, bucket_count; ///< bucket_count is a power of two
    struct entry **buckets;
};

/// FNV-1a.
static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const unsigned char *byte = (const unsigned char *)name; *byte; byte++)
        hash = (hash ^ *byte) * 0x100000001b3u;
    return hash;
}

struct pbitc_name_table *pbitc_name_table_create(struct pbitc_arena *arena)
{
    struct pbitc_name_table *table = pbitc_arena_allocate(arena, 1, sizeof(*table));
    struct entry **buckets = pbitc_arena_allocate(arena, FIRST_BUCKETS, sizeof(struct entry *));
    if (!table || !buckets)
        return NULL;
    *table = (struct pbitc_name_table){.arena = arena, .bucket_count = FIRST_BUCKETS, .buckets = buckets};
    return table;
}

/// The link that points to the entry of that name, or to the NULL at the end of its bucket.
static struct entry **find_link(const struct pbitc_name_table *table, const char *name)
{
    uint64_t hash = hash_name(name);
    struct entry **link = &table->buckets[hash & (table->bucket_count - 1)];
    while (*link && ((*link)->hash != hash || strcmp((*link)->name, name) != 0))
        link = &(*link)->next;
    return link;
}

void *pbitc_name_table_find(const struct pbitc_name_table *table, const char *name)
{
    const struct entry *entry = *find_link(table, name);
    return entry ? entry->item : NULL;
}

static bool grow(struct pbitc_name_table *table)
{
    size_t bucket_count = table->bucket_count * 2;
    struct entry **buckets = pbitc_arena_allocate(table->arena, bucket_count, sizeof(struct entry *));
    if (!buckets)
        return false;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct entry *entry = table->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (bucket_count - 1)];
            buckets[entry->hash & (bucket_count - 1)] = entry;
        }
    }
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return true;
}

bool pbitc_name_table_add(struct pbitc_name_table *table, const char *name, void *item)
{
    if (table->count == table->bucket_count && !grow(table))
        return false;
    struct entry *entry = pbitc_arena_allocate(table->arena, 1, sizeof(*entry));
    if (!entry)
        return false;
    *entry = (struct entry){.name = name, .item = item, .hash = hash_name(name), .next_suffix = 1};
    *find_link(table, name) = entry;
    table->count++;
    return true;
}

void pbitc_name_table_remove(struct pbitc_name_table *table, const char *name)
{
    struct entry **link = find_link(table, name);
    if (*link) {
        *link = (*link)->next;
        table->count--;
    }
}

void pbitc_name_table_swap(struct pbitc_name_table *table, const char *a, const char *b)
{
    struct entry *first = *find_link(table, a), *second = *find_link(table, b);
    void *item = first->item;
    first->item = second->item;
    second->item = item;
}

const char *pbitc_name_table_unique(const struct pbitc_name_table *table, const char *name)
{
    struct entry *taken = *find_link(table, name);
    if (!taken)
        return pbitc_arena_copy_string(table->arena, name, strlen(name));
    // The search goes on where the last one ended: thousands of equal names must not take quadratic time.
    const char *candidate;
    do
        candidate = pbitc_arena_format(table->arena, "%s_%u", name, taken->next_suffix++);
    while (candidate && pbitc_name_table_find(table, candidate));
    return candidate;
}
