#include "converter/export/golden.h"

#include <stdlib.h>

enum { WORKSPACE_ALIGNMENT = 64 };

uint64_t pbitc_export_input_bytes(const struct pbit_model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < model->input_count; i++)
        bytes += pbit_model_input(model, i).elements;
    return bytes;
}

uint64_t pbitc_export_output_elements(const struct pbit_model *model)
{
    uint64_t elements = 0;
    for (uint32_t o = 0; o < model->output_count; o++)
        elements += pbit_model_output(model, o).elements;
    return elements;
}

void pbitc_export_noise(uint64_t image, uint8_t *pixels, uint64_t bytes)
{
    uint32_t state = 0x9E3779B9u + (uint32_t)image;
    for (uint64_t i = 0; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        pixels[i] = (uint8_t)(state >> 24);
    }
}

struct pbitc_golden_ports pbitc_golden_ports(const struct pbit_model *model, const uint8_t *pixels,
                                             int64_t *sums)
{
    struct pbitc_golden_ports ports;
    for (uint32_t i = 0; i < model->input_count; i++) {
        ports.inputs[i] = pixels;
        pixels += pbit_model_input(model, i).elements;
    }
    for (uint32_t o = 0; o < model->output_count; o++) {
        ports.outputs[o] = sums;
        sums += pbit_model_output(model, o).elements;
    }
    return ports;
}

void *pbitc_golden_workspace(const struct pbit_model *model, size_t *bytes)
{
    *bytes = (pbit_workspace_bytes(model) + WORKSPACE_ALIGNMENT) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
    return aligned_alloc(WORKSPACE_ALIGNMENT, *bytes);
}
