// Instructions of one image for T = 1, 2 and 8, as qemu counts them.
#include "board.h"
#include "images.h"
#include "network.h"

static struct network_workspace workspace;
static int64_t logits[NETWORK_OUTPUTS];

static void count(uint32_t draws, uint32_t samples)
{
    uint32_t start = board_instructions();
    network_begin(&workspace, test_images, logits, draws, samples, 1, 0);
    network_sample(&workspace, samples);
    uint32_t instructions = board_instructions() - start;
    put_text("m ");
    put_number(draws);
    put_text(" T ");
    put_number(samples);
    put_text(" instructions ");
    put_number(instructions);
    put_text("\n");
}

int main(void)
{
    for (uint32_t draws = 1; draws <= 8; draws += 7) {
        count(draws, 1);
        count(draws, 2);
        count(draws, 8);
    }
    return 0;
}
