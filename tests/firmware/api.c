// The functions of an exported network beside NAME_run: pass by pass, votes, early stop, wrong arguments.
#include "network.h"

#include <stddef.h>

enum { PASSES = 7, SEED = 5, IMAGE = 9 };

static struct network_workspace workspace;
static uint8_t input[NETWORK_INPUT_BYTES];
static int64_t whole[NETWORK_OUTPUTS], pieces[NETWORK_OUTPUTS];

static int differ(void)
{
    for (uint32_t i = 0; i < NETWORK_OUTPUTS; i++)
        if (whole[i] != pieces[i])
            return 1;
    return 0;
}

/// Any way to cut a run into pieces gives its bits, and every pass has one vote.
static int check_pieces(void)
{
    uint32_t votes[NETWORK_CLASSES] = {0}, sum = 0;
    if (network_run(input, whole, PASSES, SEED, IMAGE, &workspace) != NETWORK_OK)
        return 1;
    network_begin(&workspace, input, pieces, 0, NETWORK_MAX_SAMPLES, SEED, IMAGE);
    network_count_votes(&workspace, votes);
    if (network_sample(&workspace, 1) != 1 || network_sample(&workspace, 0) != 1 ||
        network_sample(&workspace, 4) != 5 || network_sample(&workspace, 2) != PASSES)
        return 2;
    for (uint32_t k = 0; k < NETWORK_CLASSES; k++)
        sum += votes[k];
    return differ() || sum != PASSES ? 3 : 0;
}

/// A margin of 0 is reached in the first pass, one beyond every sum never.
static int check_early_stop(void)
{
    network_run(input, whole, 1, SEED, IMAGE, &workspace);
    if (network_run_until(input, pieces, PASSES, 0, SEED, IMAGE, &workspace) != 1 || differ())
        return 4;
    network_run(input, whole, PASSES, SEED, IMAGE, &workspace);
    if (network_run_until(input, pieces, PASSES, INT64_MAX / PASSES, SEED, IMAGE, &workspace) != PASSES ||
        differ())
        return 5;
    return 0;
}

static int check_arguments(void)
{
    if (network_run(NULL, whole, 1, SEED, IMAGE, &workspace) != NETWORK_ERROR_ARGUMENT ||
        network_run(input, NULL, 1, SEED, IMAGE, &workspace) != NETWORK_ERROR_ARGUMENT ||
        network_run(input, whole, 1, SEED, IMAGE, NULL) != NETWORK_ERROR_ARGUMENT ||
        network_run(input, whole, 0, SEED, IMAGE, &workspace) != NETWORK_ERROR_SAMPLES ||
        network_run(input, whole, NETWORK_MAX_SAMPLES + 1, SEED, IMAGE, &workspace) !=
            NETWORK_ERROR_SAMPLES ||
        network_begin(&workspace, input, whole, NETWORK_MAX_DRAWS + 1, 1, SEED, IMAGE) !=
            NETWORK_ERROR_DRAWS ||
        network_run_until(input, whole, 0, 0, SEED, IMAGE, &workspace) != 0)
        return 6;
    return 0;
}

int main(void)
{
    for (uint32_t i = 0; i < NETWORK_INPUT_BYTES; i++)
        input[i] = (uint8_t)(i * 37 % 251);
    int failed = check_pieces();
    if (!failed)
        failed = check_early_stop();
    return failed ? failed : check_arguments();
}
