// Views: planes as the columns of a CONV's window see them.
#include "runtime/engine_bits_layout.h"

typedef uint16_t pairs __attribute__((vector_size(16)));
typedef uint8_t bytes __attribute__((vector_size(8)));

enum { CHUNK = 16 };

/// Every stride-th column of `in`. Rows are short: where columns follow each other, or every second one
/// counts, they are copied in chunks, of which the last may reach beyond the row.
static void copy_row(uint8_t *restrict out, const uint8_t *restrict in, uint32_t stride, size_t columns)
{
    if (stride == 1)
        for (size_t x = 0; x < columns; x += CHUNK)
            memcpy(out + x, in + x, CHUNK);
    else if (stride == 2)
        for (size_t x = 0; x < columns; x += sizeof(bytes)) {
            pairs both;
            memcpy(&both, in + 2 * x, sizeof(both));
            bytes lower =
                __builtin_convertvector(both, bytes); // processors with kernels on bits have it first
            memcpy(out + x, &lower, sizeof(lower));
        }
    else
        for (size_t x = 0; x < columns; x++)
            out[x] = in[x * stride];
}

/// Lines of `columns`, which are taken from lines `pitch` apart.
struct lines {
    size_t count, columns, pitch;
    uint32_t stride;
};

/// What a line writes beyond its end, the next one writes again.
static void copy_lines(const struct lines *lines, const uint8_t *restrict in, uint8_t *restrict out,
                       size_t out_pitch)
{
    if (lines->stride == 1 && lines->columns <= CHUNK)
        for (size_t i = 0; i < lines->count; i++, in += lines->pitch, out += out_pitch)
            memcpy(out, in, CHUNK);
    else
        for (size_t i = 0; i < lines->count; i++, in += lines->pitch, out += out_pitch)
            copy_row(out, in, lines->stride, lines->columns);
}

static void clear(uint8_t *bytes, int64_t first, int64_t end)
{
    if (first < end)
        memset(bytes + first, 0, (size_t)(end - first));
}

/// Few columns of many rows.
static void clear_columns(uint8_t *rows, int64_t first, int64_t end, int64_t count, int64_t pitch)
{
    for (int64_t x = first; x < end; x++)
        for (int64_t y = 0; y < count; y++)
            rows[y * pitch + x] = 0;
}

/// Rounded up; most strides are 1, and divisions take long.
static int64_t divide(int64_t length, int64_t stride)
{
    return stride == 1 ? length : (length + stride - 1) / stride;
}

/// The places of a line that see one inside of `size`, where the first place sees `origin`.
static void find_inside(int64_t origin, int64_t stride, int64_t size, int64_t *first, int64_t *end)
{
    int64_t from = origin < 0 ? divide(-origin, stride) : 0,
            to = size > origin ? divide(size - origin, stride) : 0;
    *end = to < *end ? to : *end;
    *first = from > *first ? from : *first;
    *first = *first < *end ? *first : *end;
}

/// Rows of an instance as a column of the window sees them, one by one. in, out: of the instance.
static void copy_rows(const struct pbit_engine_operation *conv, uint32_t phase, uint32_t tap,
                      const struct pbit_range *rows, const uint8_t *in, uint8_t *out)
{
    const struct pbit_window *w = &conv->operation.window;
    int64_t columns = conv->bits.view.grid.width, width = conv->input.width,
            x = (int64_t)tap * w->dilation_x - w->pad_x,
            y = conv->bits.view.origin_y + (int64_t)conv->bits.view.phase[phase];
    int64_t first = 0, end = columns, row = (int64_t)rows->first, end_row = (int64_t)rows->end;
    find_inside(x, w->stride_x, width, &first, &end);
    find_inside(y, w->stride_y, conv->input.height, &row, &end_row);
    clear(out, (int64_t)rows->first * columns, row * columns);
    in += (y + row * w->stride_y) * width + x + first * w->stride_x;
    copy_lines(&(struct lines){(size_t)(end_row - row), (size_t)(end - first), (size_t)(w->stride_y * width),
                               w->stride_x},
               in, out + row * columns + first, (size_t)columns);
    clear_columns(out + row * columns, 0, first, end_row - row, columns);
    clear_columns(out + row * columns, end, columns, end_row - row, columns);
    clear(out, end_row * columns, (int64_t)rows->end * columns);
}

/// A plane of the input as a column of the window sees it, where masks say what is inside: all instances.
static void show_masked(const struct pbit_bit_viewing *viewing, uint32_t tap, const uint8_t *in,
                        const uint8_t *map, uint8_t *out)
{
    enum { ALIGNED = 64 }; // what lies beyond a mask is not there
    const struct pbit_engine_operation *conv = viewing->conv;
    const struct pbit_window *w = &conv->operation.window;
    size_t pixels = (size_t)conv->input.height * conv->input.width,
           first = viewing->columns.first / ALIGNED * ALIGNED,
           end = viewing->columns.end < pixels ? viewing->columns.end : pixels;
    const struct pbit_bit_shown shown = {.mask = conv->bits.view.mask +
                                                 tap * pbit_bit_mask_stride(&conv->input) + first,
                                         .map = map,
                                         .count = first < end ? end - first : 0,
                                         .instances = viewing->instances.end - viewing->instances.first,
                                         .in_pitch = pixels,
                                         .out_pitch = viewing->columns.end - first};
    viewing->kernels->show(&shown, in + first + (int32_t)(tap * w->dilation_x) - (int32_t)w->pad_x,
                           out + first);
}

/// The same of an instance, row by row. map: adds what its bits become.
static void show_rows(const struct pbit_bit_viewing *viewing, uint32_t phase, uint32_t tap, const uint8_t *in,
                      const uint8_t *map, uint8_t *out)
{
    size_t width = viewing->conv->bits.view.grid.width;
    struct pbit_range rows = {viewing->columns.first / width, (viewing->columns.end + width - 1) / width};
    copy_rows(viewing->conv, phase, tap, &rows, in, map ? viewing->rows : out);
    if (!map)
        return;
    const struct pbit_bit_shown shown = {
        .map = map, .count = (rows.end - rows.first) * width, .instances = 1};
    memset(viewing->rows + rows.end * width, 0, PBIT_BIT_OVERRUN);
    viewing->kernels->show(&shown, viewing->rows + rows.first * width, out + rows.first * width);
}

static void show_plane(const struct pbit_bit_viewing *viewing, uint32_t phase, uint32_t tap,
                       const uint8_t *in, const uint8_t *map, uint8_t *out)
{
    const struct pbit_engine_operation *conv = viewing->conv;
    size_t pixels = (size_t)conv->input.height * conv->input.width,
           area = pbit_bit_area(conv->bits.view.grid), first = viewing->instances.first;
    if (conv->bits.view.mask)
        show_masked(viewing, tap, in + first * pixels, map, out + first * area);
    for (size_t i = first; !conv->bits.view.mask && i < viewing->instances.end; i++)
        show_rows(viewing, phase, tap, in + i * pixels, map, out + i * area);
}

void pbit_bit_make_view(const struct pbit_bit_viewing *viewing, const struct pbit_bit_plane_set *source,
                        const struct pbit_bit_plane_set *to)
{
    const struct pbit_bit_view *view = &viewing->conv->bits.view;
    uint32_t taps = viewing->conv->operation.window.kernel_x, planes = pbit_bit_view_planes(view, taps);
    size_t area = pbit_bit_area(view->grid), before = viewing->instances.first * area,
           all = viewing->instances.end * area - before;
    uint8_t *out = to->first;
    for (uint32_t phase = 0; phase < view->phases; phase++) {
        for (uint32_t plane = 0; plane < planes; plane++, out += to->stride) {
            int merged = plane >= taps * view->full;
            memset(out + before - to->gap, 0, to->gap + (merged ? all : 0));
            if (!merged)
                show_plane(viewing, phase, plane / view->full,
                           source->first + plane % view->full * source->stride, NULL, out);
        }
        for (uint32_t i = 0; i < view->piece_count; i++)
            show_plane(viewing, phase, view->piece[i].tap, source->first + view->full * source->stride,
                       view->piece[i].map, out - (view->merged - view->piece[i].plane) * to->stride);
    }
}
