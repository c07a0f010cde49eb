// Prints the hash of the outputs of all images for several T and m; reference.c prints the same on the host.
#include "board.h"
#include "images.h"
#include "network.h"

enum { SEED = 7 };

static struct network_workspace workspace;
static int64_t logits[NETWORK_OUTPUTS];

static uint64_t add_to_hash(uint64_t hash)
{
    for (uint32_t i = 0; i < NETWORK_OUTPUTS; i++)
        for (int byte = 0; byte < 8; byte++)
            hash = (hash ^ ((uint64_t)logits[i] >> 8 * byte & 255)) * 0x100000001b3u;
    return hash;
}

static void run_all(uint32_t draws, uint32_t samples)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t image = 0; image < IMAGE_COUNT; image++) {
        network_begin(&workspace, test_images + image * NETWORK_INPUT_BYTES, logits, draws, samples, SEED,
                      image);
        network_sample(&workspace, samples);
        hash = add_to_hash(hash);
    }
    put_text("m ");
    put_number(draws);
    put_text(" T ");
    put_number(samples);
    put_text(" images ");
    put_number(IMAGE_COUNT);
    put_text(" hash ");
    put_hexadecimal(hash);
    put_text("\n");
}

int main(void)
{
    static const uint32_t budgets[][2] = {BUDGETS};
    int wrong = network_selftest(&workspace);
    for (uint32_t i = 0; i < sizeof(budgets) / sizeof(*budgets); i++)
        run_all(budgets[i][0], budgets[i][1]);
    put_text(wrong ? "selftest failed\n" : "selftest passed\n");
    put_text("stack ");
    put_number(board_stack_used());
    put_text("\n");
    return 0;
}
