// Reads images from the serial port and answers each with its digit and a confidence: the share of the passes
// that agree. A line for the host, then 784 bytes of pixels, and so on; a first byte of 'q' ends the program.
#include "board.h"

#include "network.h"

enum { SAMPLES = 8, SEED = 1 };

static struct network_workspace workspace;
static uint8_t pixels[NETWORK_INPUT_BYTES];
static int64_t logits[NETWORK_OUTPUTS];
static uint32_t votes[NETWORK_CLASSES];

static void answer(uint32_t image)
{
    for (uint32_t k = 0; k < NETWORK_CLASSES; k++)
        votes[k] = 0;
    network_begin(&workspace, pixels, logits, 0, SAMPLES, SEED, image);
    network_count_votes(&workspace, votes);
    network_sample(&workspace, SAMPLES);
    uint32_t digit = network_best(logits);
    put_text("image ");
    put_number(image);
    put_text(": digit ");
    put_number(digit);
    put_text(", ");
    put_number(votes[digit] * 100 / SAMPLES);
    put_text(" % of the passes agree\n");
}

int main(void)
{
    put_text("ready\n");
    for (uint32_t image = 0; board_get() == 'i'; image++) {
        for (uint32_t i = 0; i < sizeof(pixels); i++)
            pixels[i] = board_get();
        answer(image);
    }
    return 0;
}
