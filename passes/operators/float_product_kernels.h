// The kernels of float_product.c for one kind of processor; included once for each, with these defined:
// NAMED(name) names a thing of this kind, TARGET is the attribute of its functions, LANES the floats of its
// vectors; MULTIPLY_ADD(a, b, sum) is a * b + sum of vectors, fused or not; ROWS x VECTORS is the tile of C
// that its registers hold, WIDE the vectors of a tile of one row, SQUARE the rows and columns of a tile of
// the transposed product.

typedef float NAMED(vector) __attribute__((vector_size(LANES * sizeof(float)), aligned(4), may_alias));
#define VECTOR NAMED(vector)
#define LOAD(from) (*(const VECTOR *)(from))
#define STORE(to, vector) (*(VECTOR *)(to) = (vector))
#define UNROLL _Pragma("GCC unroll 16")

/// `rows` x `vectors` vectors of C stay in registers while k runs.
static inline __attribute__((always_inline)) TARGET void NAMED(tile)(const int rows, const int vectors,
                                                                     const struct product *p)
{
    VECTOR sum[MAX_ACCUMULATORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r * vectors + v] =
        LOAD(p->c + r * p->c_stride + v * LANES);
    for (int64_t k = 0; k < p->depth; k++) {
        const float *row = p->b + p->b_offsets[k];
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r * vectors + v] =
            MULTIPLY_ADD(p->a[r * p->a_stride + k] - (VECTOR){0}, LOAD(row + v * LANES),
                         sum[r * vectors + v]);
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
        STORE(p->c + r * p->c_stride + v * LANES, sum[r * vectors + v]);
}

#define TILE(name, rows, vectors)                                                                            \
    static TARGET void NAMED(name)(const struct product *p)                                                  \
    {                                                                                                        \
        NAMED(tile)(rows, vectors, p);                                                                       \
    }

TILE(block, ROWS, VECTORS)
TILE(block_narrow, ROWS, 1)
TILE(four, 4, VECTORS)
TILE(four_narrow, 4, 1)
TILE(pair, 2, VECTORS)
TILE(pair_narrow, 2, 1)
TILE(pair_wide, 2, WIDE / 2)
TILE(row, 1, VECTORS)
TILE(row_narrow, 1, 1)
TILE(row_wide, 1, WIDE)

/// All rows of `vectors` (1, VECTORS, WIDE / 2 for two rows or WIDE for a single one) vectors of C.
static void NAMED(strip)(int64_t rows, int vectors, struct product p)
{
    for (int step; rows > 0; rows -= step, p.a += step * p.a_stride, p.c += step * p.c_stride) {
        step = rows >= ROWS ? ROWS : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (vectors == 1)
            (step == ROWS ? NAMED(block_narrow)
             : step == 4  ? NAMED(four_narrow)
             : step == 2  ? NAMED(pair_narrow)
                          : NAMED(row_narrow))(&p);
        else if (vectors == VECTORS)
            (step == ROWS ? NAMED(block)
             : step == 4  ? NAMED(four)
             : step == 2  ? NAMED(pair)
                          : NAMED(row))(&p);
        else
            (step == 2 ? NAMED(pair_wide) : NAMED(row_wide))(&p);
    }
}

/// Copies `rows` rows of `columns` floats.
static void NAMED(copy)(int64_t rows, int64_t columns, float *to, int64_t to_stride, const float *from,
                        int64_t from_stride)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, (size_t)columns * sizeof(float));
}

/// Fewer columns than a vector has lanes: B and C by way of copies that are as wide as one.
static void NAMED(strip_partial)(int64_t rows, int64_t columns, struct product p)
{
    enum { DEPTH = 64 };
    const struct product whole = p;
    int64_t offsets[DEPTH];
    float panel[DEPTH * LANES] = {0}, c[ROWS * LANES] = {0};
    for (int64_t first = 0; first < whole.depth; first += DEPTH) {
        p = (struct product){.depth = whole.depth - first < DEPTH ? whole.depth - first : DEPTH,
                             .a_stride = whole.a_stride,
                             .b = panel,
                             .b_offsets = offsets,
                             .c = c,
                             .c_stride = LANES};
        for (int64_t k = 0; k < p.depth; k++) {
            offsets[k] = k * LANES;
            memcpy(panel + k * LANES, whole.b + whole.b_offsets[first + k], (size_t)columns * sizeof(float));
        }
        for (int64_t r = 0, step; r < rows; r += step) {
            step = rows - r < ROWS ? rows - r : ROWS;
            p.a = whole.a + r * whole.a_stride + first;
            NAMED(copy)(step, columns, c, LANES, whole.c + r * whole.c_stride, whole.c_stride);
            NAMED(strip)(step, 1, p);
            NAMED(copy)(step, columns, whole.c + r * whole.c_stride, whole.c_stride, c, LANES);
        }
    }
}

/// One or two rows are wide tiles, where there are as many columns: a narrow one would wait for its sums.
static void NAMED(strips)(int64_t rows, int64_t columns, struct product p)
{
    int wide = rows == 1 ? WIDE : rows == 2 ? WIDE / 2 : VECTORS;
    for (int64_t width; columns > 0; columns -= width, p.b += width, p.c += width) {
        int vectors = columns >= wide * LANES ? wide : columns >= VECTORS * LANES ? VECTORS : 1;
        width = vectors * LANES;
        if (columns >= width)
            NAMED(strip)(rows, vectors, p);
        else
            NAMED(strip_partial)(rows, columns, p);
    }
}

static void NAMED(multiply_add)(int64_t rows, int64_t columns, struct product p)
{
    int64_t rest = rows % ROWS % 4;
    rest = rest == 3 || columns < WIDE / 2 * LANES ? 0 : rest;
    NAMED(strips)(rows - rest, columns, p);
    p.a += (rows - rest) * p.a_stride;
    p.c += (rows - rest) * p.c_stride;
    if (rest)
        NAMED(strips)(rest, columns, p);
}

/// Partial sums of `rows` x `columns` elements of A times B transposed, while k runs to a multiple of
/// PARTIAL_SUMS; then what is left of both, filled up with zeros.
static inline __attribute__((always_inline)) TARGET void NAMED(dot_tile)(const int rows, const int columns,
                                                                         const struct product *p)
{
    enum { PARTS = PARTIAL_SUMS / LANES };
    VECTOR sum[MAX_ACCUMULATORS] = {{0}};
    float left[2][8][PARTIAL_SUMS] = {{{0}}};
    int64_t whole = p->depth - p->depth % PARTIAL_SUMS;
    for (int64_t k = 0; k < whole; k += LANES * PARTS)
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < columns; j++)
            UNROLL for (int part = 0; part < PARTS; part++) sum[(r * columns + j) * PARTS + part] =
                MULTIPLY_ADD(LOAD(p->a + r * p->a_stride + k + part * LANES),
                             LOAD(p->b + j * p->depth + k + part * LANES),
                             sum[(r * columns + j) * PARTS + part]);
    if (whole < p->depth) {
        for (int r = 0; r < rows; r++)
            memcpy(left[0][r], p->a + r * p->a_stride + whole, (size_t)(p->depth - whole) * sizeof(float));
        for (int j = 0; j < columns; j++)
            memcpy(left[1][j], p->b + j * p->depth + whole, (size_t)(p->depth - whole) * sizeof(float));
        UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < columns; j++)
            UNROLL for (int part = 0; part < PARTS; part++) sum[(r * columns + j) * PARTS + part] =
                MULTIPLY_ADD(LOAD(left[0][r] + part * LANES), LOAD(left[1][j] + part * LANES),
                             sum[(r * columns + j) * PARTS + part]);
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int j = 0; j < columns; j++)
    {
        float sums[PARTIAL_SUMS];
        UNROLL for (int part = 0; part < PARTS; part++)
            STORE(sums + part * LANES, sum[(r * columns + j) * PARTS + part]);
        p->c[r * p->c_stride + j] = add_pairwise(sums);
    }
}

#define DOT_TILE(name, rows, columns)                                                                        \
    static TARGET void NAMED(name)(const struct product *p)                                                  \
    {                                                                                                        \
        NAMED(dot_tile)(rows, columns, p);                                                                   \
    }

DOT_TILE(dot_square, SQUARE, SQUARE)
DOT_TILE(dot_column, SQUARE, 1)
DOT_TILE(dot_row, 1, 2 * SQUARE)
DOT_TILE(dot_one, 1, 1)

static void NAMED(multiply_transposed)(int64_t rows, int64_t columns, struct product p)
{
    const struct product whole = p;
    for (int64_t r = 0, step; r < rows; r += step) {
        step = rows - r >= SQUARE ? SQUARE : 1;
        int64_t width = step == 1 ? 2 * SQUARE : SQUARE, j = 0;
        p.a = whole.a + r * p.a_stride;
        for (int64_t columns_step; j < columns; j += columns_step) {
            bool full = columns - j >= width;
            columns_step = full ? width : 1;
            p.b = whole.b + j * p.depth;
            p.c = whole.c + r * p.c_stride + j;
            if (step == 1)
                (full ? NAMED(dot_row) : NAMED(dot_one))(&p);
            else
                (full ? NAMED(dot_square) : NAMED(dot_column))(&p);
        }
    }
}

#undef VECTOR
#undef MULTIPLY_ADD
#undef LOAD
#undef STORE
#undef UNROLL
#undef TILE
#undef DOT_TILE
#undef NAMED
#undef TARGET
#undef LANES
#undef ROWS
#undef VECTORS
#undef WIDE
#undef SQUARE
