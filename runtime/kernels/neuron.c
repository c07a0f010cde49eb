// NEURON: fixed-point pre-activations become levels (FORMAT.md, sections 3 to 5).
#include "runtime/kernels/kernels.h"
#include "runtime/sampler.h"

/// The number of u in 0..65535 with theta(u) < z.
static uint32_t count_below(const uint8_t *theta, int32_t z)
{
    uint32_t low = 0, high = PBIT_THETA_ENTRIES - 1; // segments: the first whose end is not below z
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (pbit_load_i32(theta + 4 * ((size_t)middle + 1)) < z)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == PBIT_THETA_ENTRIES - 1)
        return PBIT_ONE;
    int64_t start = pbit_load_i32(theta + 4 * (size_t)low);
    int64_t rise = pbit_load_i32(theta + 4 * ((size_t)low + 1)) - start;
    if (z <= start)
        return low << 8;
    // theta(u) < z  <=>  (rise * l) >> 8 < z - start  <=>  rise * l < (z - start) * 256
    int64_t below = ((z - start) * 256 + rise - 1) / rise;
    return (low << 8) + (below < 256 ? (uint32_t)below : 256);
}

static uint32_t curve(const uint8_t *table, const struct pbit_operation *neuron, int32_t z)
{
    int64_t distance = (int64_t)z - neuron->curve_start;
    if (distance < 0)
        return pbit_load_u32(table);
    int64_t segment = distance >> neuron->curve_shift;
    if (segment >= neuron->curve_segments)
        return pbit_load_u32(table + 4 * (size_t)neuron->curve_segments);
    int64_t start = pbit_load_i32(table + 4 * (size_t)segment);
    int64_t rise = pbit_load_i32(table + 4 * (size_t)segment + 4) - start;
    return (uint32_t)(start +
                      ((rise * (distance - (segment << neuron->curve_shift))) >> neuron->curve_shift));
}

uint32_t pbit_probability(const struct pbit_model *model, const struct pbit_operation *neuron, int32_t z)
{
    const uint8_t *table = model->bytes + neuron->table;
    switch (neuron->function) {
    case PBIT_FUNCTION_THETA:
        return count_below(table, z);
    case PBIT_FUNCTION_CURVE:
        return curve(table, neuron, z);
    default:
        return z < 0 ? 0 : z > PBIT_ONE ? PBIT_ONE : (uint32_t)z;
    }
}

static uint32_t count_independent(struct pbit_lanes *lanes, uint32_t lane, uint32_t probability,
                                  uint32_t draws)
{
    uint32_t count = 0;
    for (uint32_t j = 0; j < draws; j++)
        count += pbit_lanes_next(lanes, lane) < probability;
    return count;
}

void pbit_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                 const struct pbit_tensor *output, const struct pbit_draw *draw, const int32_t *in,
                 uint8_t *out)
{
    int independent = draw->sampler == PBIT_SAMPLER_IID, multibit = neuron->neuron == PBIT_NEURON_MULTIBIT;
    struct pbit_stratum stratum =
        pbit_stratum_of(draw->sample, draw->samples, multibit ? 256 : neuron->amplitude);
    struct pbit_lanes lanes;
    pbit_lanes_seed(&lanes, draw->seed, draw->image, neuron->layer, independent ? draw->sample + 1 : 0);
    size_t count = pbit_tensor_elements(output);
    for (size_t i = 0; i < count; i++) {
        uint32_t probability = pbit_probability(model, neuron, in[i]), lane = (uint32_t)(i % PBIT_LANES);
        if (independent && !multibit) {
            out[i] = (uint8_t)count_independent(&lanes, lane, probability, draw->levels);
            continue;
        }
        uint32_t r = pbit_lanes_next(&lanes, lane);
        uint32_t offset = independent ? r : pbit_stratum_offset(&stratum, r);
        out[i] = (uint8_t)(multibit ? pbit_level_multibit(probability, neuron->amplitude, offset)
                                    : pbit_level_stratified(probability, draw->levels, offset));
    }
}
