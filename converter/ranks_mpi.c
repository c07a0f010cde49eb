// The ranks that mpirun started; only with the Meson option `mpi`, in place of ranks_alone.c.
#include "converter/ranks.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static bool started;

/// Whether mpirun (of Open MPI, MPICH or Slurm) started this process: alone, it needs no MPI.
static bool is_launched(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_SIZE") || getenv("PMIX_RANK");
}

void pbitc_ranks_begin(void)
{
    started = is_launched() && MPI_Init(NULL, NULL) == MPI_SUCCESS;
}

void pbitc_ranks_end(void)
{
    if (started)
        MPI_Finalize();
    started = false;
}

int pbitc_rank(void)
{
    int rank = 0;
    if (started)
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

int pbitc_rank_count(void)
{
    int count = 1;
    if (started)
        MPI_Comm_size(MPI_COMM_WORLD, &count);
    return count;
}

int pbitc_ranks_largest(int value)
{
    int largest = value;
    if (started)
        MPI_Allreduce(&value, &largest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return largest;
}

void pbitc_ranks_share(void *bytes, size_t size)
{
    if (started)
        MPI_Bcast(bytes, (int)size, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static bool receive(int rank, char **text)
{
    int length;
    MPI_Recv(&length, 1, MPI_INT, rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (length == 0)
        return true;
    *text = calloc((size_t)length + 1, 1);
    if (!*text) // the sender must not wait for ever
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
    else
        MPI_Recv(*text, length, MPI_CHAR, rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return *text != NULL;
}

bool pbitc_ranks_gather(const char *text, char **texts)
{
    bool good = true;
    if (pbitc_rank() > 0) {
        int length = text && strlen(text) < INT_MAX ? (int)strlen(text) : 0;
        MPI_Send(&length, 1, MPI_INT, 0, 0, MPI_COMM_WORLD);
        if (length)
            MPI_Send(text, length, MPI_CHAR, 0, 1, MPI_COMM_WORLD);
        return true;
    }
    for (int rank = 1; rank < pbitc_rank_count(); rank++)
        good = receive(rank, &texts[rank]) && good;
    return good;
}
