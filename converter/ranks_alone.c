// Without MPI this process is the only rank.
#include "converter/ranks.h"

void pbitc_ranks_begin(void)
{
}

void pbitc_ranks_end(void)
{
}

int pbitc_rank(void)
{
    return 0;
}

int pbitc_rank_count(void)
{
    return 1;
}

int pbitc_ranks_largest(int value)
{
    return value;
}

void pbitc_ranks_share(void *bytes, size_t size)
{
    (void)bytes;
    (void)size;
}

bool pbitc_ranks_gather(const char *text, char **texts)
{
    (void)text;
    (void)texts;
    return true;
}
