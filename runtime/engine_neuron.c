// NEURON in the fast executor, but for those on bits: its tables, and its draws.
#include "runtime/engine.h"

static void fill_buckets(struct pbit_fast_neuron *neuron, const int32_t *theta, int32_t *buckets)
{
    uint32_t range = (uint32_t)theta[PBIT_THETA_ENTRIES - 1] - (uint32_t)theta[0];
    while (range >> neuron->bucket_shift >= PBIT_BUCKETS)
        neuron->bucket_shift++;
    for (uint32_t i = 0; i <= range >> neuron->bucket_shift; i++) {
        uint64_t first = (uint64_t)i << neuron->bucket_shift,
                 last = first + ((uint64_t)1 << neuron->bucket_shift) - 1;
        last = last > range ? range : last;
        uint32_t low = pbit_theta_segment(theta, (int32_t)(theta[0] + (int64_t)first));
        uint32_t high = pbit_theta_segment(theta, (int32_t)(theta[0] + (int64_t)last));
        buckets[i] = (int32_t)low;
        neuron->steps = high - low > neuron->steps ? high - low : neuron->steps;
    }
}

/// How far P(z) is from the line of z's bucket.
static double distance_from_line(const struct pbit_fast_neuron *neuron, const int32_t *theta, int64_t z)
{
    if (z < theta[0] || z > theta[PBIT_THETA_ENTRIES - 1])
        return 0;
    uint32_t above = (uint32_t)(z - theta[0]), bucket = above >> neuron->bucket_shift;
    double off = pbit_theta_count_below(theta, (int32_t)z) -
                 (neuron->start[bucket] + (double)neuron->slope[bucket] * above);
    return off < 0 ? -off : off;
}

/// A line through the ends of each bucket. P bends where theta does, so it is farthest from it there or at
/// the ends.
static void fill_lines(struct pbit_fast_neuron *neuron, const int32_t *theta, float *start, float *slope)
{
    uint32_t range = (uint32_t)(theta[PBIT_THETA_ENTRIES - 1] - theta[0]),
             length = 1u << neuron->bucket_shift;
    double most = 0;
    neuron->start = start;
    neuron->slope = slope;
    for (uint32_t i = 0; i <= range >> neuron->bucket_shift; i++) {
        uint32_t first = i * length, last = first + length - 1 < range ? first + length - 1 : range;
        double low = pbit_theta_count_below(theta, (int32_t)(theta[0] + (int64_t)first)),
               high = pbit_theta_count_below(theta, (int32_t)(theta[0] + (int64_t)last));
        slope[i] = last > first ? (float)((high - low) / (last - first)) : 0;
        start[i] = (float)(low - (double)slope[i] * first);
        for (int end = 0; end < 2; end++) {
            double off = distance_from_line(neuron, theta, theta[0] + (int64_t)(end ? last : first));
            most = off > most ? off : most;
        }
    }
    for (uint32_t h = 0; h < PBIT_THETA_ENTRIES; h++)
        for (int64_t z = (int64_t)theta[h] - 1; z <= (int64_t)theta[h] + 1; z++) {
            double off = distance_from_line(neuron, theta, z);
            most = off > most ? off : most;
        }
    neuron->margin =
        (uint32_t)most + 3; // P is rounded up, the line's value down; floats of 2^17 have 7 bits more
}

/// The line of one piece from its first z on, which holds `length` of them: through its ends, then moved to
/// the middle of what it is off by.
static uint32_t fill_piece(struct pbit_neuron_pieces *pieces, uint32_t piece, const int32_t *theta)
{
    int64_t first = pieces->origin + ((int64_t)piece << (10 + pieces->shift)),
            last = first + ((int64_t)1 << (10 + pieces->shift)) - 1;
    int64_t low = pbit_theta_count_below(theta, (int32_t)first),
            high = pbit_theta_count_below(theta, (int32_t)last), least = 0, most = 0;
    low = low < UINT16_MAX ? low : UINT16_MAX;
    high = high < UINT16_MAX ? high : UINT16_MAX;
    pieces->start[piece] = (uint16_t)low;
    pieces->slope[piece] = (uint16_t)(high - low);
    int64_t checked[3 * PBIT_THETA_ENTRIES + 3] = {first, last, piece == 0 ? INT32_MIN : INT32_MAX};
    uint32_t count = piece == 0 || piece == PBIT_NEURON_PIECES - 1 ? 3 : 2;
    for (uint32_t h = 0; h < PBIT_THETA_ENTRIES; h++) // P bends here
        for (int64_t z = (int64_t)theta[h] - 1; z <= (int64_t)theta[h] + 1; z++)
            if (z > first && z < last)
                checked[count++] = z;
    for (uint32_t i = 0; i < count; i++) {
        int64_t z = checked[i] < first ? first : checked[i] > last ? last : checked[i];
        int64_t q = (z - first) >> pieces->shift;
        int64_t off = (int64_t)pbit_theta_count_below(theta, (int32_t)checked[i]) -
                      (low + (pieces->slope[piece] * q >> 10));
        least = off < least ? off : least;
        most = off > most ? off : most;
    }
    int64_t moved = (least + most) / 2, room = UINT16_MAX - high;
    moved = low + moved < 0 ? -low : moved > room ? room : moved;
    pieces->start[piece] = (uint16_t)(low + moved);
    int64_t margin = most - moved > moved - least ? most - moved : moved - least;
    margin += (high - low) / 1024 + 3; // all z of a q, and what is rounded
    pieces->margin[piece] = (uint16_t)(margin < UINT16_MAX ? margin : UINT16_MAX);
    return pieces->margin[piece];
}

/// Between two q there are two margins, or three where they are of two pieces, and what P jumps by between
/// these.
static void find_reach(struct pbit_neuron_pieces *pieces, const int32_t *theta)
{
    uint32_t margin = 0, jump = 0;
    pieces->steepest = 0;
    for (uint32_t piece = 0; piece < PBIT_NEURON_PIECES; piece++) {
        int64_t next = pieces->origin + ((int64_t)(piece + 1) << (10 + pieces->shift));
        uint32_t step =
            pbit_theta_count_below(theta, (int32_t)next) - pbit_theta_count_below(theta, (int32_t)(next - 1));
        jump = step > jump ? step : jump;
        margin = pieces->margin[piece] > margin ? pieces->margin[piece] : margin;
        if (pieces->slope[piece] > pieces->steepest)
            pieces->steepest = pieces->slope[piece];
    }
    pieces->reach = 3 * margin + jump + 3;
}

/// The pieces lie around the median and are as long as serves best: what is beyond counts as off, too.
int pbit_neuron_fill_pieces(struct pbit_neuron_pieces *best, const int32_t *theta)
{
    uint32_t least = PBIT_LARGEST_MARGIN + 1;
    int64_t range = (int64_t)theta[PBIT_THETA_ENTRIES - 1] - theta[0], middle = theta[PBIT_THETA_ENTRIES / 2];
    for (uint32_t shift = 1; shift < 15; shift++) {
        int64_t span = (int64_t)1 << (16 + shift);
        if (span < range / 16 || span / 4 > range || middle - span / 2 < INT32_MIN ||
            middle + span / 2 > INT32_MAX)
            continue;
        struct pbit_neuron_pieces pieces = {.origin = (int32_t)(middle - span / 2), .shift = shift};
        uint32_t most = 0;
        for (uint32_t piece = 0; piece < PBIT_NEURON_PIECES; piece++) {
            uint32_t margin = fill_piece(&pieces, piece, theta);
            most = margin > most ? margin : most;
        }
        if (most < least) {
            find_reach(&pieces, theta);
            *best = pieces;
        }
        least = most < least ? most : least;
    }
    return least <= PBIT_LARGEST_MARGIN;
}

void pbit_pack_neuron(struct pbit_engine_memory *memory, const struct pbit_model *model,
                      struct pbit_engine_operation *operation)
{
    const struct pbit_operation *neuron = &operation->operation;
    int theta = neuron->function == PBIT_FUNCTION_THETA;
    uint32_t entries = theta ? PBIT_THETA_ENTRIES : neuron->curve_segments + 1;
    operation->packed = 1;
    operation->neuron = (struct pbit_fast_neuron){0};
    if (neuron->function == PBIT_FUNCTION_LINEAR)
        return;
    int32_t *table = pbit_engine_take(memory, entries * sizeof(*table));
    int32_t *buckets = theta ? pbit_engine_take(memory, PBIT_BUCKETS * sizeof(*buckets)) : NULL;
    float *lines = theta ? pbit_engine_take(memory, 2 * PBIT_BUCKETS * sizeof(*lines)) : NULL;
    struct pbit_neuron_pieces *pieces = theta ? pbit_engine_take(memory, sizeof(*pieces)) : NULL;
    if (!memory->base)
        return;
    for (uint32_t i = 0; i < entries; i++)
        table[i] = pbit_load_i32(model->bytes + neuron->table + 4 * (size_t)i);
    operation->neuron.table = table;
    operation->neuron.buckets = buckets;
    if (theta)
        fill_buckets(&operation->neuron, table, buckets);
    if (theta && pbit_neuron_fill_pieces(pieces, table))
        operation->neuron.pieces = pieces;
    // Floats hold z - theta[0] exactly; beyond, or where P jumps, lines do not pay.
    if (theta && (int64_t)table[PBIT_THETA_ENTRIES - 1] - table[0] < 1 << 23)
        fill_lines(&operation->neuron, table, lines, lines + PBIT_BUCKETS);
    if (operation->neuron.margin > PBIT_LARGEST_MARGIN)
        operation->neuron.start = NULL;
}

/// Steps of the lanes that draw a layer.
static uint32_t count_steps(const struct pbit_engine_operation *operation)
{
    return (uint32_t)((pbit_tensor_elements(&operation->output) + PBIT_LANES - 1) / PBIT_LANES);
}

/// The neurons of some steps of the lanes.
static struct pbit_range find_neurons(const struct pbit_engine_operation *operation,
                                      const struct pbit_rows *steps)
{
    size_t all = pbit_tensor_elements(&operation->output), end = (size_t)steps->end * PBIT_LANES;
    return (struct pbit_range){(size_t)steps->first * PBIT_LANES, end < all ? end : all};
}

void pbit_block_seed(const struct pbit_block *block, const struct pbit_operation *neuron, size_t instance,
                     uint32_t pass, uint64_t first, struct pbit_lanes *lanes)
{
    block->engine->kernels->seed(lanes, block->hash[instance / block->passes], neuron->layer, pass);
    block->engine->kernels->skip(lanes, block->engine->jump, first);
}

/// Draws some neurons for the passes of one image, or for one pass, from `instance` on; they share random
/// numbers.
static void draw_passes(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                        const struct pbit_rows *steps, size_t instance, uint32_t passes, uint8_t *scratch)
{
    enum { PIECE = PBIT_NEURON_SCRATCH / sizeof(uint16_t) };
    const struct pbit_engine_kernels *kernels = block->engine->kernels;
    const struct pbit_operation *neuron = &operation->operation;
    int independent = block->sampler == PBIT_SAMPLER_IID, multibit = neuron->neuron == PBIT_NEURON_MULTIBIT,
        midpoint = block->sampler == PBIT_SAMPLER_MIDPOINT;
    static const uint32_t no_order[PBIT_ENGINE_INSTANCES];
    uint32_t first = (uint32_t)(instance % block->passes), pass = block->first_pass + first;
    uint16_t *random = (uint16_t *)scratch;
    struct pbit_range neurons = find_neurons(operation, steps);
    struct pbit_lanes lanes;
    struct pbit_neuron_run run = {
        .levels = pbit_tensor_levels(&operation->output, block->draws),
        .rho = midpoint   ? 0
               : multibit ? 256
                          : neuron->amplitude,
        .passes = passes,
        .order = independent ? no_order : block->order + first,
        .random = random,
        .lanes = independent && !multibit ? &lanes : NULL,
        .in = (const int32_t *)pbit_block_tensor(block, operation->input_index, &operation->input, instance) +
              neurons.first,
        .in_stride = block->engine->tensor_random[operation->input_index]
                         ? block->engine->tensors_bytes / sizeof(int32_t)
                         : 0,
        .out = pbit_block_output(block, operation, instance) + neurons.first,
        .out_stride = block->engine->tensors_bytes};
    int any = !midpoint && (!multibit || neuron->amplitude != 0);
    if (any) {
        pbit_block_seed(block, neuron, instance, independent ? pass + 1 : 0,
                        (uint64_t)steps->first * (run.lanes ? run.levels : 1), &lanes);
    } else
        memset(random, 0, PBIT_NEURON_SCRATCH);
    for (size_t left = neurons.end - neurons.first; left > 0; left -= run.count) {
        run.count = left < PIECE ? left : PIECE;
        if (any && !run.lanes)
            kernels->random(&lanes, run.count, random);
        kernels->draw(&operation->neuron, neuron, &run);
        run.in += run.count;
        run.out += run.count;
    }
}

static void draw_by_reference(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                              const struct pbit_rows *steps, size_t instance)
{
    const struct pbit_draw draw = {.seed = block->options->seed,
                                   .image = block->first_image + instance / block->passes,
                                   .sample = block->first_pass + (uint32_t)(instance % block->passes),
                                   .levels = pbit_tensor_levels(&operation->output, block->draws),
                                   .sampler = block->sampler};
    const struct pbit_operation *neuron = &operation->operation;
    int many = draw.sampler == PBIT_SAMPLER_IID && neuron->neuron != PBIT_NEURON_MULTIBIT;
    struct pbit_range neurons = find_neurons(operation, steps);
    struct pbit_neuron_state state;
    pbit_neuron_begin(&state, neuron, &draw);
    pbit_lanes_skip(&state.lanes, block->engine->jump, (uint64_t)steps->first * (many ? draw.levels : 1));
    pbit_neuron_continue(
        &block->engine->model, neuron, &draw, &state, neurons.end - neurons.first,
        (const int32_t *)pbit_block_tensor(block, operation->input_index, &operation->input, instance) +
            neurons.first,
        pbit_block_output(block, operation, instance) + neurons.first);
}

void pbit_block_draw(const struct pbit_block *block, const struct pbit_engine_operation *operation,
                     const struct pbit_piece *piece)
{
    uint32_t together = block->sampler == PBIT_SAMPLER_IID || !operation->packed ? 1 : block->passes;
    size_t groups = block->images * block->passes / together;
    struct pbit_range range = pbit_piece_range(piece, groups * count_steps(operation));
    struct pbit_rows steps;
    while (pbit_next_rows(&range, count_steps(operation), &steps))
        if (operation->packed)
            draw_passes(block, operation, &steps, steps.instance * together, together, piece->scratch);
        else
            draw_by_reference(block, operation, &steps, steps.instance);
}
