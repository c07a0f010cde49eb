// Views: planes as the columns of a CONV's window see them.
#include "runtime/engine_bits_layout.h"

/// Every stride-th column of `in`.
static void copy_row(uint8_t *restrict out, const uint8_t *restrict in, uint32_t stride, size_t columns)
{
    if (stride == 1)
        memcpy(out, in, columns);
    else if (stride == 2) // the most frequent one: compilers know how to take every second byte
        for (size_t x = 0; x < columns; x++)
            out[x] = in[2 * x];
    else
        for (size_t x = 0; x < columns; x++)
            out[x] = in[x * stride];
}

/// The rows of an instance as a column of the window sees them, one by one. in: of the instance.
static void copy_rows(const struct pbit_engine_operation *conv, uint32_t phase, uint32_t tap,
                      const uint8_t *in, uint8_t *out)
{
    const struct pbit_window *w = &conv->operation.window;
    struct pbit_bit_grid grid = conv->bits.view.grid;
    int64_t height = conv->input.height, width = conv->input.width, stride = w->stride_x,
            x0 = (int64_t)tap * w->dilation_x - w->pad_x;
    int64_t first = x0 < 0 ? (-x0 + stride - 1) / stride : 0,
            end = width > x0 ? (width - x0 + stride - 1) / stride : 0;
    end = end > grid.width ? grid.width : end;
    memset(out, 0, pbit_bit_area(grid));
    for (uint32_t row = 0; row < grid.height; row++, out += grid.width) {
        int64_t y =
            conv->bits.view.origin_y + (int64_t)conv->bits.view.phase[phase] + (int64_t)row * w->stride_y;
        if (y >= 0 && y < height && first < end)
            copy_row(out + first, in + y * width + x0 + first * stride, w->stride_x, (size_t)(end - first));
    }
}

/// A plane of the input as a column of the window sees it, for all instances. map: adds what its bits become.
static void show_plane(const struct pbit_bit_viewing *viewing, uint32_t phase, uint32_t tap,
                       const uint8_t *in, const uint8_t *map, uint8_t *out)
{
    const struct pbit_engine_operation *conv = viewing->conv;
    const struct pbit_bit_view *view = &conv->bits.view;
    const struct pbit_window *w = &conv->operation.window;
    size_t pixels = (size_t)conv->input.height * conv->input.width, area = pbit_bit_area(view->grid);
    for (size_t i = 0; i < viewing->instances; i++, in += pixels, out += area) {
        if (view->mask) {
            viewing->kernels->show(in + (int32_t)(tap * w->dilation_x) - (int32_t)w->pad_x,
                                   view->mask + tap * pbit_bit_mask_stride(&conv->input), map, pixels, out);
            if (!map)
                memset(out + pixels, 0, area - pixels);
        } else if (!map) {
            copy_rows(conv, phase, tap, in, out);
        } else {
            copy_rows(conv, phase, tap, in, viewing->rows);
            memset(viewing->rows + area, 0, PBIT_BIT_OVERRUN);
            viewing->kernels->show(viewing->rows, NULL, map, area, out);
        }
    }
}

void pbit_bit_make_view(const struct pbit_bit_viewing *viewing, const struct pbit_piece *piece,
                        const struct pbit_bit_plane_set *source, const struct pbit_bit_plane_set *to)
{
    const struct pbit_bit_view *view = &viewing->conv->bits.view;
    uint32_t taps = viewing->conv->operation.window.kernel_x, planes = pbit_bit_view_planes(view, taps);
    struct pbit_range range = pbit_piece_range(piece, taps * view->full);
    uint8_t *out = to->first;
    if (taps * view->full < piece->pieces) // merged planes end where the first of the next phase begins
        range = (struct pbit_range){0, piece->index == 0 ? taps * view->full : 0};
    for (uint32_t phase = 0; phase < view->phases; phase++) {
        for (uint32_t plane = 0; plane < planes; plane++, out += to->stride) {
            int merged = plane >= taps * view->full;
            if (merged ? piece->index != 0 : plane < range.first || plane >= range.end)
                continue;
            memset(out - to->gap, 0, merged ? to->stride : to->gap);
            if (!merged)
                show_plane(viewing, phase, plane / view->full,
                           source->first + plane % view->full * source->stride, NULL, out);
        }
        for (uint32_t i = 0; piece->index == 0 && i < view->piece_count; i++)
            show_plane(viewing, phase, view->piece[i].tap, source->first + view->full * source->stride,
                       view->piece[i].map, out - (view->merged - view->piece[i].plane) * to->stride);
    }
    if (piece->index == 0)
        memset(out - to->gap, 0, to->gap + PBIT_BIT_OVERRUN);
}
