// The ends of a network: float images in, float results out. The only floating point of libpbit.
#include "runtime/format.h"

static struct pbit_port port_of_tensor(const struct pbit_model *model, uint32_t tensor_index)
{
    struct pbit_tensor tensor = pbit_model_tensor(model, tensor_index);
    return (struct pbit_port){
        .name = tensor.name,
        .height = tensor.height,
        .width = tensor.width,
        .channels = tensor.channels,
        .elements = pbit_tensor_elements(&tensor),
    };
}

struct pbit_port pbit_model_input(const struct pbit_model *model, uint32_t index)
{
    const uint8_t *record =
        model->bytes + pbit_header_field(model, PBIT_HEADER_INPUTS) + (size_t)index * PBIT_PORT_BYTES;
    struct pbit_port port = port_of_tensor(model, index);
    port.rank = pbit_load_u32(record);
    port.channels_last = pbit_load_u32(record + 4) != 0;
    return port;
}

struct pbit_port pbit_model_output(const struct pbit_model *model, uint32_t index)
{
    const uint8_t *record =
        model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS) + (size_t)index * PBIT_PORT_BYTES;
    struct pbit_port port = port_of_tensor(model, pbit_load_u32(record));
    port.rank = pbit_load_u32(record + 4);
    uint32_t flags = pbit_load_u32(record + 8);
    port.softmax = (flags & PBIT_OUTPUT_SOFTMAX) != 0;
    port.log_softmax = (flags & PBIT_OUTPUT_LOG_SOFTMAX) != 0;
    port.channels_last = (flags & PBIT_OUTPUT_CHANNELS_LAST) != 0;
    port.scale = pbit_load_f32(record + 12);
    return port;
}

/// Index in the ONNX tensor of element (pixel, channel) of H x W x C.
static size_t onnx_index(const struct pbit_port *port, size_t pixel, size_t channel)
{
    return port->channels_last ? pixel * port->channels + channel
                               : channel * port->height * port->width + pixel;
}

/// To the nearest of 0..255, halves up. Written so that a NaN becomes 0 instead of undefined behaviour.
static uint8_t round_level(float level)
{
    if (!(level > 0))
        return 0;
    if (level >= 255)
        return 255;
    uint8_t below = (uint8_t)level; // exact, where level + 0.5f may round up once too often
    return level - (float)below >= 0.5f ? below + 1 : below;
}

void pbit_input_quantize(const struct pbit_model *model, uint32_t index, const float *values, uint8_t *pixels)
{
    struct pbit_port port = pbit_model_input(model, index);
    const uint8_t *record =
        model->bytes + pbit_header_field(model, PBIT_HEADER_INPUTS) + (size_t)index * PBIT_PORT_BYTES;
    const uint8_t *offsets = model->bytes + pbit_load_u32(record + 8);
    const uint8_t *steps = model->bytes + pbit_load_u32(record + 12);
    size_t pixel_count = (size_t)port.height * port.width;
    for (size_t c = 0; c < port.channels; c++) {
        float offset = pbit_load_f32(offsets + 4 * c), step = pbit_load_f32(steps + 4 * c);
        for (size_t p = 0; p < pixel_count; p++) {
            float level = (values[onnx_index(&port, p, c)] - offset) / step;
            pixels[p * port.channels + c] = round_level(level);
        }
    }
}

void pbit_output_float(const struct pbit_model *model, uint32_t index, const int64_t *sums, uint32_t samples,
                       float *values)
{
    struct pbit_port port = pbit_model_output(model, index);
    size_t pixel_count = (size_t)port.height * port.width;
    double unit = (double)port.scale / ((double)samples * PBIT_ONE);
    for (size_t p = 0; p < pixel_count; p++)
        for (size_t c = 0; c < port.channels; c++)
            values[onnx_index(&port, p, c)] = (float)((double)sums[p * port.channels + c] * unit);
}
