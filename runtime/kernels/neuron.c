// NEURON: fixed-point pre-activations become levels (FORMAT.md, sections 3 to 5).
#include "runtime/kernels/kernels.h"

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

void pbit_neuron_begin(struct pbit_neuron_state *state, const struct pbit_operation *neuron,
                       const struct pbit_draw *draw)
{
    pbit_lanes_seed(&state->lanes, draw->seed, draw->image, neuron->layer,
                    draw->sampler == PBIT_SAMPLER_IID ? draw->sample + 1 : 0);
    state->next = 0;
}

void pbit_neuron_continue(const struct pbit_model *model, const struct pbit_operation *neuron,
                          const struct pbit_draw *draw, struct pbit_neuron_state *state, size_t count,
                          const int32_t *in, uint8_t *out)
{
    int independent = draw->sampler == PBIT_SAMPLER_IID, multibit = neuron->neuron == PBIT_NEURON_MULTIBIT;
    uint32_t order = pbit_sample_order(draw->sample), rho = multibit ? 256 : neuron->amplitude;
    if (draw->sampler == PBIT_SAMPLER_MIDPOINT)
        rho = 0;
    uint32_t lane = state->next;
    for (size_t i = 0; i < count; i++, lane = (lane + 1) % PBIT_LANES) {
        uint32_t probability = pbit_probability(model, neuron, in[i]);
        if (independent && !multibit) {
            out[i] = (uint8_t)count_independent(&state->lanes, lane, probability, draw->levels);
            continue;
        }
        uint32_t r = pbit_lanes_next(&state->lanes, lane);
        uint32_t offset = independent ? r : pbit_stratified_offset(order, rho, r);
        out[i] = (uint8_t)(multibit ? pbit_level_multibit(probability, neuron->amplitude, offset)
                                    : pbit_level_stratified(probability, draw->levels, offset));
    }
    state->next = lane;
}

void pbit_neuron(const struct pbit_model *model, const struct pbit_operation *neuron,
                 const struct pbit_tensor *output, const struct pbit_draw *draw, const int32_t *in,
                 uint8_t *out)
{
    struct pbit_neuron_state state;
    pbit_neuron_begin(&state, neuron, draw);
    pbit_neuron_continue(model, neuron, draw, &state, pbit_tensor_elements(output), in, out);
}
