// Where a dense layer on bits turns into p-bits without z in between: what its sums are compared with.
#include "runtime/engine.h"

enum {
    LARGEST_SUM = 12000,
    LARGEST_MIDDLE = 20000, ///< no sum comes near thresholds beyond
    LARGEST_RANGE = 2 * (LARGEST_MIDDLE - LARGEST_SUM) - 16,
    LARGEST_SHIFT = 12,
    LARGEST_RISE = 1 << 15,
    ROUNDED = 3,             ///< more than products, rounded down, start and rise, to the nearest, are off by
    LARGEST_MARGIN = 100,    ///< where more is unclear, z by itself is quicker
    WEIGHTLESS_RANGE = 1024, ///< of thresholds where all sums are 0
};
_Static_assert(LARGEST_SUM + LARGEST_MIDDLE <= INT16_MAX &&
                   LARGEST_RISE / 2 + 2 * (1 << LARGEST_SHIFT) + LARGEST_MARGIN <= INT16_MAX,
               "kernels have 16 bits");

/// Neurons as thresholds see them: z of a p-bit is above theta(v'), which is `first` and y * unit more for
/// random numbers xored with the order of the pass.
struct drawing {
    const int32_t *theta; ///< NULL: v' itself
    uint32_t rho;
    int64_t first;
    double unit;
};

static int64_t find_theta(const struct drawing *drawing, uint32_t random)
{
    uint32_t offset = pbit_stratified_offset(0, drawing->rho, random);
    if (!drawing->theta)
        return offset;
    const int32_t *at = drawing->theta + (offset >> 8);
    return at[0] + (((int64_t)at[1] - at[0]) * (offset & 255) >> 8);
}

/// The line of a piece, moved to the middle of what it is off by. Returns by how much it still is.
static double fill_piece(struct pbit_dense_thresholds *thresholds, uint32_t piece,
                         const struct drawing *drawing)
{
    enum { LENGTH = 65536 / PBIT_NEURON_PIECES };
    uint32_t first = piece * LENGTH, next = first + LENGTH < 65535 ? first + LENGTH : 65535;
    double low = (double)(find_theta(drawing, first) - drawing->first) / drawing->unit,
           high = (double)(find_theta(drawing, next) - drawing->first) / drawing->unit, least = 0, most = 0;
    uint32_t start = (uint32_t)low, slope = (uint32_t)(high - low);
    for (uint32_t i = 0; i < LENGTH; i++) {
        double y = (double)(find_theta(drawing, first + i) - drawing->first) / drawing->unit,
               off = y - (start + (slope * i >> 10));
        least = off < least ? off : least;
        most = off > most ? off : most;
    }
    int64_t moved = (int64_t)((least + most) / 2), room = 65535 - (int64_t)start - slope;
    moved = start + moved < 0 ? -(int64_t)start : moved > room ? room : moved;
    thresholds->y[piece] = (uint16_t)(start + moved);
    thresholds->slope[piece] = (uint16_t)slope;
    return (most - (double)moved > (double)moved - least ? most - (double)moved : (double)moved - least) + 1;
}

/// Of one output; returns 0 where 16 bits do not hold it. one: what a sum of 1 adds to z, which is `constant`
/// without.
static int fill_output(struct pbit_dense_thresholds *thresholds, uint32_t k, double one, double constant,
                       const struct drawing *drawing)
{
    double range = 65536 * drawing->unit / one; // of thresholds, in sums
    int shift = LARGEST_SHIFT;
    while (shift > 0 && (range * (1 << shift) > LARGEST_RISE || 1 << shift > one))
        shift--;
    if (range > LARGEST_RANGE || 1 << shift > one)
        return 0;
    double middle = ((double)drawing->first + 0.5 - constant) / one + range / 2;
    middle = middle > LARGEST_MIDDLE ? LARGEST_MIDDLE : middle < -LARGEST_MIDDLE ? -LARGEST_MIDDLE : middle;
    thresholds->middle[k] = (int16_t)middle;
    double start = (middle - thresholds->middle[k] - range / 2) * (1 << shift); // products are rounded down
    thresholds->start[k] = (int16_t)((int)(start + LARGEST_RISE + 1) - LARGEST_RISE + (1 << shift) - 1);
    thresholds->rise[k] = (uint16_t)(range * (1 << shift) + 0.5);
    thresholds->shift[k] = (uint16_t)shift;
    return 1;
}

int pbit_fill_thresholds(struct pbit_dense_thresholds *thresholds, const struct pbit_engine_operation *conv,
                         const struct pbit_engine_operation *neuron)
{
    struct drawing drawing = {.theta = neuron->neuron.table, .rho = neuron->operation.amplitude};
    drawing.first = find_theta(&drawing, 0);
    drawing.unit = drawing.theta ? (double)(find_theta(&drawing, 65535) - drawing.first) / 65535
                                 : (double)drawing.rho / 256;
    if (drawing.rho == 0 || drawing.unit <= 0)
        return 0;
    uint32_t steepest = 0;
    for (uint32_t k = 0; k < conv->dense.outputs; k++) {
        double one = (double)conv->conv.multipliers[k] / (double)((int64_t)1 << conv->operation.shift);
        if (thresholds->largest[k] == 0)
            one = 65536 * drawing.unit / WEIGHTLESS_RANGE;
        if (thresholds->largest[k] > LARGEST_SUM ||
            !fill_output(thresholds, k, one, (double)conv->conv.constants[k], &drawing))
            return 0;
        steepest = thresholds->rise[k] > steepest ? thresholds->rise[k] : steepest;
    }
    double off = drawing.theta ? 0 : 1; // v' is rounded down, too
    for (uint32_t piece = 0; drawing.theta && piece < PBIT_NEURON_PIECES; piece++) {
        double of_piece = fill_piece(thresholds, piece, &drawing) * steepest / 65536;
        off = of_piece > off ? of_piece : off;
    }
    if (off > LARGEST_MARGIN - ROUNDED)
        return 0;
    thresholds->margin = (uint16_t)(off + ROUNDED);
    thresholds->theta = drawing.theta;
    return 1;
}
