// The instances of one stage: what reads and computes, then activation and draw.
#include "converter/export/verilog/verilog.h"
#include "converter/export/verilog/verilog_twin.h"
#include "converter/export/verilog/verilog_weights.h"

#include <inttypes.h>

uint32_t pbitc_verilog_index_bits(const struct pbitc_verilog_stage *stage)
{
    return pbitc_verilog_bits(stage->elements) + 1;
}

uint32_t pbitc_verilog_word_bits(const struct pbitc_verilog_buffer *buffer)
{
    return pbitc_verilog_bits(buffer->words - 1);
}

uint32_t pbitc_verilog_lane_bits(const struct pbitc_verilog_buffer *buffer)
{
    return pbitc_verilog_bits(buffer->lanes) - 1;
}

/// Counts 0..count - 1.
static uint32_t count_bits(uint64_t count)
{
    return pbitc_verilog_bits(count - 1);
}

static void number(FILE *stream, const char *name, uint64_t value)
{
    fprintf(stream, ",\n        .%s(%" PRIu64 ")", name, value);
}

uint32_t pbitc_verilog_walk_bits(const struct pbitc_verilog_stage *stage)
{
    uint32_t words = pbitc_verilog_word_bits(&stage->buffers[0]), elements = count_bits(stage->elements);
    return stage->permuted && elements > words ? elements : words;
}

/// A parameter of `bits` bits; modulo 2^bits.
static void sized(FILE *stream, const char *name, uint32_t bits, int64_t value)
{
    uint64_t mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
    fprintf(stream, ",\n        .%s(%" PRIu32 "'d%" PRIu64 ")", name, bits, (uint64_t)value & mask);
}

static void memory(const struct pbitc_verilog *design, uint32_t s, const char *parameter, const char *what,
                   FILE *stream)
{
    char name[PBITC_VERILOG_MEMORY_NAME];
    fprintf(stream, ",\n        .%s(\"%s\")", parameter, pbitc_verilog_memory_name(design, s, what, name));
}

static void begin(FILE *stream, const char *module)
{
    fprintf(stream, "    %s #(", module);
}

/// How the walk over the input of a window moves. Strides and dilations are products of those of a fused pool
/// and of the CONV.
struct walk {
    uint32_t height, width; ///< of the input
    uint32_t columns;       ///< of the output
    uint32_t pixel_words;   ///< words of a pixel, all groups
    uint32_t words;         ///< of them that a tap reads
    struct pbit_window pool, window;
};

static bool leaves_image(const struct walk *walk, uint32_t rows)
{
    const struct pbit_window *p = &walk->pool, *w = &walk->window;
    uint64_t last_y = (uint64_t)(rows - 1) * p->stride_y + (uint64_t)(p->kernel_y - 1) * p->dilation_y;
    uint64_t last_x =
        (uint64_t)(walk->columns - 1) * p->stride_x + (uint64_t)(p->kernel_x - 1) * p->dilation_x;
    return w->pad_y || w->pad_x ||
           last_y * w->stride_y + (uint64_t)(w->kernel_y - 1) * w->dilation_y >= walk->height ||
           last_x * w->stride_x + (uint64_t)(w->kernel_x - 1) * w->dilation_x >= walk->width;
}

static uint32_t coordinate_bits(uint32_t extent, uint32_t positions, uint32_t stride, uint32_t kernel,
                                uint32_t dilation, uint32_t pad)
{
    return pbitc_verilog_bits((uint64_t)positions * stride + (uint64_t)kernel * dilation + pad + extent) + 1;
}

static uint32_t largest_count(const struct walk *walk)
{
    uint32_t counts[] = {walk->columns, walk->pool.kernel_x, walk->window.kernel_x, walk->words}, largest = 2;
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
        largest = counts[i] > largest ? counts[i] : largest;
    return largest;
}

static void write_window(const struct walk *walk, uint32_t rows, uint32_t word_bits, uint32_t s, FILE *stream)
{
    const struct pbit_window *p = &walk->pool, *w = &walk->window;
    int64_t pixel = walk->pixel_words, line = pixel * walk->width, words = walk->words;
    int64_t position_y = (int64_t)p->stride_y * w->stride_y, position_x = (int64_t)p->stride_x * w->stride_x;
    int64_t tap_y = (int64_t)p->dilation_y * w->stride_y, tap_x = (int64_t)p->dilation_x * w->stride_x;
    uint32_t y_bits = coordinate_bits(walk->height, rows * p->stride_y + p->kernel_y * p->dilation_y,
                                      w->stride_y, w->kernel_y, w->dilation_y, w->pad_y);
    uint32_t x_bits = coordinate_bits(walk->width, walk->columns * p->stride_x + p->kernel_x * p->dilation_x,
                                      w->stride_x, w->kernel_x, w->dilation_x, w->pad_x);
    fprintf(stream, "    pbit_window #(\n        .WORD_BITS(%" PRIu32 ")", word_bits);
    number(stream, "Y_BITS", y_bits);
    number(stream, "X_BITS", x_bits);
    number(stream, "PADDED", leaves_image(walk, rows));
    number(stream, "HEIGHT", walk->height);
    number(stream, "WIDTH", walk->width);
    number(stream, "COLUMNS", walk->columns);
    number(stream, "TAP_ROWS", p->kernel_y);
    number(stream, "TAP_COLUMNS", p->kernel_x);
    number(stream, "KERNEL_COLUMNS", w->kernel_x);
    number(stream, "WORDS", walk->words);
    number(stream, "COUNTER_BITS", count_bits(largest_count(walk)));
    sized(stream, "FIRST", word_bits, -(int64_t)w->pad_y * line - w->pad_x * pixel);
    sized(stream, "FIRST_Y", y_bits, -(int64_t)w->pad_y);
    sized(stream, "FIRST_X", x_bits, -(int64_t)w->pad_x);
    sized(stream, "POSITION_NEXT", word_bits, position_x * pixel);
    sized(stream, "POSITION_WRAP", word_bits, position_y * line - (walk->columns - 1) * position_x * pixel);
    sized(stream, "POSITION_Y", y_bits, position_y);
    sized(stream, "POSITION_X", x_bits, position_x);
    sized(stream, "TAP_NEXT", word_bits, tap_x * pixel);
    sized(stream, "TAP_WRAP", word_bits, tap_y * line - (p->kernel_x - 1) * tap_x * pixel);
    sized(stream, "TAP_Y", y_bits, tap_y);
    sized(stream, "TAP_X", x_bits, tap_x);
    sized(stream, "KERNEL_NEXT", word_bits, w->dilation_x * pixel - (words - 1));
    sized(stream, "KERNEL_WRAP", word_bits,
          w->dilation_y * line - (int64_t)(w->kernel_x - 1) * w->dilation_x * pixel - (words - 1));
    sized(stream, "KERNEL_Y", y_bits, w->dilation_y);
    sized(stream, "KERNEL_X", x_bits, w->dilation_x);
    fprintf(stream,
            "\n    ) s%" PRIu32 "_window (\n"
            "        .clock(clock), .first_position(s%" PRIu32 "_first_position), .next_position(s%" PRIu32
            "_next_position),\n"
            "        .next_tap(s%" PRIu32 "_next_tap), .next_word(s%" PRIu32 "_next_word), .rewind(s%" PRIu32
            "_rewind),\n"
            "        .restart(s%" PRIu32 "_restart), .offset(s%" PRIu32 "_offset), .word(s%" PRIu32
            "_word), .in_image(s%" PRIu32 "_in_image));\n\n",
            s, s, s, s, s, s, s, s, s, s);
}

static const struct pbit_window one_position = {1, 1, 1, 1, 0, 0, 1, 1};

static void write_walk_wires(uint32_t word_bits, uint32_t s, bool taps, FILE *stream)
{
    fprintf(stream,
            "    wire s%" PRIu32 "_first_position, s%" PRIu32 "_next_position, s%" PRIu32
            "_next_tap, s%" PRIu32 "_next_word, s%" PRIu32 "_rewind;\n"
            "    wire s%" PRIu32 "_restart, s%" PRIu32 "_in_image;\n    wire [%" PRIu32 ":0] s%" PRIu32
            "_offset;\n",
            s, s, s, s, s, s, s, word_bits - 1, s);
    if (!taps)
        fprintf(stream, "    assign s%" PRIu32 "_next_tap = 1'b0;\n    assign s%" PRIu32 "_rewind = 1'b0;\n",
                s, s);
}

static void write_conv_walk(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    struct pbit_operation conv = pbit_model_operation(design->model, stage->operation);
    struct pbit_tensor input = pbit_model_tensor(design->model, stage->buffers[0].tensor);
    struct pbit_tensor output = pbit_model_tensor(design->model, conv.output);
    uint32_t word_bits = pbitc_verilog_word_bits(&stage->buffers[0]);
    write_walk_wires(word_bits, s, true, stream);
    if (stage->dense) {
        fprintf(stream,
                "    wire s%" PRIu32 "_unused_walk = &{1'b0, s%" PRIu32 "_first_position, s%" PRIu32
                "_next_position, s%" PRIu32 "_next_tap,\n"
                "                             s%" PRIu32 "_rewind, s%" PRIu32 "_offset};\n"
                "    assign s%" PRIu32 "_in_image = 1'b1;\n\n    pbit_dense #(.WORD_BITS(%" PRIu32
                ")) s%" PRIu32 "_walk (\n        .clock(clock), .restart(s%" PRIu32
                "_restart), .next_word(s%" PRIu32 "_next_word), .word(s%" PRIu32 "_word));\n\n",
                s, s, s, s, s, s, s, word_bits, s, s, s, s);
        return;
    }
    struct walk walk = {.height = input.height,
                        .width = input.width,
                        .columns = output.width,
                        .pixel_words = input.channels / stage->inputs,
                        .words = input.channels / stage->groups / stage->inputs,
                        .pool = one_position,
                        .window = conv.window};
    uint32_t rows = output.height;
    if (stage->pool != PBITC_VERILOG_NONE) {
        struct pbit_operation pool = pbit_model_operation(design->model, stage->pool);
        struct pbit_tensor pooled = pbit_model_tensor(design->model, pool.output);
        walk.pool = pool.window;
        walk.columns = pooled.width;
        rows = pooled.height;
    }
    write_window(&walk, rows, word_bits, s, stream);
}

static void write_conv_parameters(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    const struct pbitc_verilog_buffer *buffer = &stage->buffers[0];
    uint32_t group = stage->channels / stage->groups, word_bits = pbitc_verilog_word_bits(buffer);
    fprintf(stream, "        .NEURONS(%" PRIu32 ")", stage->neurons);
    number(stream, "INPUTS", stage->inputs);
    number(stream, "WEIGHT_BITS", stage->weight_bits);
    number(stream, "BINARY", stage->binary);
    number(stream, "MAC", design->plan->twin_bits != 0);
    number(stream, "LEVEL_BITS", stage->level_bits);
    number(stream, "PLANES", stage->planes);
    number(stream, "PLANE_BITS", count_bits(stage->planes));
    number(stream, "TOTAL_BITS", stage->total_bits);
    number(stream, "PART_BITS", stage->part_bits);
    number(stream, "SUM_BITS", stage->sum_bits);
    number(stream, "TILE_BITS", stage->random ? pbitc_verilog_bits(design->plan->tile) - 1 : 0);
    number(stream, "PASS_BITS", design->plan->pass_bits);
    number(stream, "WORD_BITS", word_bits);
    number(stream, "POSITIONS", stage->positions);
    number(stream, "POSITION_BITS", count_bits(stage->positions));
    number(stream, "TAPS", stage->taps);
    number(stream, "TAP_BITS", count_bits(stage->taps));
    number(stream, "CHUNKS", stage->chunks);
    number(stream, "CHUNK_BITS", count_bits(stage->chunks));
    number(stream, "GROUPS", stage->groups);
    number(stream, "GROUP_CHANNELS", group);
    number(stream, "CHANNEL_BITS", pbitc_verilog_bits(group));
    if (stage->groups > 1) {
        struct pbit_tensor input = pbit_model_tensor(design->model, buffer->tensor);
        sized(stream, "GROUP_OFFSET", word_bits, input.channels / stage->groups / stage->inputs);
    }
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    number(stream, "LANES", stage->finishers);
    number(stream, "SELECT_BITS", count_bits(stage->finishers));
    number(stream, "ROUNDS", stage->rounds);
    number(stream, "ROUND_BITS", count_bits(stage->rounds));
    number(stream, "MULTIPLIER_BITS", stage->multiplier_bits);
    number(stream, "STEP_BITS", count_bits(stage->multiplier_bits));
    number(stream, "CONSTANT_BITS", stage->constant_bits);
    number(stream, "SHIFT", stage->product_shift);
    number(stream, "WIDE_BITS", stage->wide_bits);
    number(stream, "Z_BITS", stage->z_bits);
    number(stream, "CLAMP", stage->clamp);
    number(stream, "WEIGHT_WORDS", stage->weight_words);
    number(stream, "WEIGHT_ADDRESS_BITS", count_bits(stage->weight_words));
    number(stream, "PARAMETER_WORDS", stage->parameter_words);
    number(stream, "PARAMETER_ADDRESS_BITS", count_bits(stage->parameter_words));
    memory(design, s, "WEIGHTS", "weights", stream);
    memory(design, s, "PARAMETERS", "parameters", stream);
    number(stream, "CLASSES", stage->classes);
    if (stage->classes > 1)
        memory(design, s, "CLASS_FILE", "classes", stream);
}

static void write_conv(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    write_conv_walk(design, s, stream);
    begin(stream, "pbit_layer");
    fputc('\n', stream);
    write_conv_parameters(design, s, stream);
    fprintf(stream,
            "\n    ) s%" PRIu32 "_layer (\n"
            "        .clock(clock), .reset(reset), .start(start[%" PRIu32 "]), .done(done[%" PRIu32
            "]), .last_pass(s%" PRIu32 "_last_pass),\n"
            "        .first_position(s%" PRIu32 "_first_position), .next_position(s%" PRIu32
            "_next_position), .next_tap(s%" PRIu32 "_next_tap),\n"
            "        .next_word(s%" PRIu32 "_next_word), .rewind(s%" PRIu32 "_rewind), .restart(s%" PRIu32
            "_restart),\n"
            "        .offset(s%" PRIu32 "_offset), .in_image(s%" PRIu32 "_in_image), .read(s%" PRIu32
            "_read), .read_pass(s%" PRIu32 "_read_pass),\n"
            "        .levels(s%" PRIu32 "_data_0), .ready(s%" PRIu32 "_ready), .valid(s%" PRIu32
            "_valid), .index(s%" PRIu32 "_index),\n"
            "        .index_pass(s%" PRIu32 "_pass), .z(s%" PRIu32 "_z));\n\n",
            s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s);
}

static void write_pool(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    const struct pbitc_verilog_buffer *buffer = &stage->buffers[0];
    struct pbit_operation pool = pbit_model_operation(design->model, stage->operation);
    struct pbit_tensor input = pbit_model_tensor(design->model, buffer->tensor);
    struct pbit_tensor output = pbit_model_tensor(design->model, pool.output);
    uint32_t word_bits = pbitc_verilog_word_bits(buffer), positions = output.height * output.width;
    bool sum = stage->kind == PBITC_VERILOG_SUMPOOL;
    struct walk walk = {.height = input.height,
                        .width = input.width,
                        .columns = output.width,
                        .pixel_words = input.channels,
                        .words = 1,
                        .pool = one_position,
                        .window = pool.window};
    write_walk_wires(word_bits, s, false, stream);
    write_window(&walk, output.height, word_bits, s, stream);
    fprintf(stream, "    pbit_pool #(\n        .SUM(%d)", sum);
    number(stream, "SIGNED", buffer->is_signed);
    number(stream, "IN_BITS", buffer->width);
    number(stream, "SUM_BITS", stage->sum_bits);
    if (sum) {
        number(stream, "MULTIPLIER_BITS", stage->multiplier_bits);
        sized(stream, "MULTIPLIER", stage->multiplier_bits, pool.multipliers);
        number(stream, "SHIFT", stage->product_shift);
        number(stream, "WIDE_BITS", stage->wide_bits);
        number(stream, "STEP_BITS", count_bits(stage->multiplier_bits));
        number(stream, "CLAMP", stage->clamp);
    }
    number(stream, "OUT_BITS", stage->z_bits);
    number(stream, "WORD_BITS", word_bits);
    number(stream, "TAPS", stage->taps);
    number(stream, "TAP_BITS", count_bits(stage->taps));
    number(stream, "POSITIONS", positions);
    number(stream, "POSITION_BITS", count_bits(positions));
    number(stream, "CHANNELS", output.channels);
    number(stream, "CHANNEL_BITS", count_bits(output.channels));
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    number(stream, "PASS_BITS", design->plan->pass_bits);
    fprintf(stream,
            "\n    ) s%" PRIu32 "_pool (\n"
            "        .clock(clock), .reset(reset), .start(start[%" PRIu32 "]), .done(done[%" PRIu32
            "]), .last_pass(s%" PRIu32 "_last_pass),\n"
            "        .first_position(s%" PRIu32 "_first_position), .next_position(s%" PRIu32
            "_next_position), .next_word(s%" PRIu32 "_next_word),\n"
            "        .restart(s%" PRIu32 "_restart), .offset(s%" PRIu32 "_offset), .in_image(s%" PRIu32
            "_in_image), .read(s%" PRIu32 "_read),\n"
            "        .read_pass(s%" PRIu32 "_read_pass), .data(s%" PRIu32 "_data_0), .ready(s%" PRIu32
            "_ready), .valid(s%" PRIu32 "_valid),\n"
            "        .index(s%" PRIu32 "_index), .index_pass(s%" PRIu32 "_pass), .out(s%" PRIu32 "_z));\n\n",
            s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s);
}

/// ADD too: it walks like a copy and adds what it reads.
static void write_copy(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    const struct pbitc_verilog_buffer *buffer = &stage->buffers[0];
    struct pbit_tensor input = pbit_model_tensor(design->model, buffer->tensor);
    struct pbit_tensor output = pbit_model_tensor(design->model, stage->output);
    uint32_t index_bits = pbitc_verilog_index_bits(stage), before = 0;
    struct pbit_operation operation = pbit_model_operation(design->model, stage->operation);
    for (uint32_t i = 0; i < stage->part; i++)
        before +=
            pbit_model_tensor(design->model, pbit_operation_input(design->model, &operation, i)).channels;
    fprintf(stream, "    pbit_copy #(\n        .ELEMENTS(%" PRIu32 ")",
            stage->permuted ? stage->elements : buffer->words);
    number(stream, "WORD_BITS", pbitc_verilog_walk_bits(stage));
    number(stream, "PASS_BITS", design->plan->pass_bits);
    number(stream, "INDEX_BITS", index_bits);
    if (operation.kind == PBIT_OPERATION_CONCAT) {
        number(stream, "CHANNELS", input.channels);
        number(stream, "CHANNEL_BITS", count_bits(input.channels));
        sized(stream, "FIRST_INDEX", index_bits, before);
        sized(stream, "GAP", index_bits, output.channels - input.channels + 1);
    } else {
        sized(stream, "FIRST_INDEX", index_bits, 0);
        sized(stream, "GAP", index_bits, 1);
    }
    if (stage->permuted) {
        number(stream, "PERMUTED", 1);
        memory(design, s, "PLACES", "places", stream);
    }
    fprintf(stream,
            "\n    ) s%" PRIu32 "_copy (\n"
            "        .clock(clock), .reset(reset), .start(start[%" PRIu32 "]), .done(done[%" PRIu32
            "]), .last_pass(s%" PRIu32 "_last_pass),\n"
            "        .read(s%" PRIu32 "_read), .read_word(s%" PRIu32 "_word), .read_pass(s%" PRIu32
            "_read_pass), .ready(s%" PRIu32 "_ready),\n"
            "        .valid(s%" PRIu32 "_valid), .index(s%" PRIu32 "_index), .index_pass(s%" PRIu32
            "_pass));\n",
            s, s, s, s, s, s, s, s, s, s, s);
    if (stage->kind == PBITC_VERILOG_ADD)
        fprintf(stream,
                "    pbit_add #(.A_BITS(%" PRIu32 "), .B_BITS(%" PRIu32 "), .WIDE_BITS(%" PRIu32
                "), .Z_BITS(%" PRIu32 "), .CLAMP(%d)) s%" PRIu32 "_add (\n        .a(s%" PRIu32
                "_data_0), .b(s%" PRIu32 "_data_1), .z(s%" PRIu32 "_z));\n\n",
                buffer->width, stage->buffers[1].width, stage->wide_bits, stage->z_bits, stage->clamp, s, s,
                s, s);
    else if (buffer->is_signed && buffer->width < stage->z_bits)
        fprintf(stream,
                "    assign s%" PRIu32 "_z = {{%" PRIu32 "{s%" PRIu32 "_data_0[%" PRIu32 "]}}, s%" PRIu32
                "_data_0};\n\n",
                s, stage->z_bits - buffer->width, s, buffer->width - 1, s);
    else
        fprintf(stream, "    assign s%" PRIu32 "_z = s%" PRIu32 "_data_0;\n\n", s, s);
}

static void write_activation(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    struct pbit_operation neuron = pbit_model_operation(design->model, stage->activation);
    uint32_t start_bits = stage->table_start_bits, rise_bits = (uint32_t)stage->table_word_bits - start_bits;
    uint32_t work_bits = stage->z_bits > start_bits ? stage->z_bits : start_bits;
    fprintf(stream, "    pbit_activation #(\n        .FUNCTION(%" PRIu32 ")", neuron.function);
    number(stream, "Z_BITS", stage->z_bits);
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    number(stream, "PASS_BITS", design->plan->pass_bits);
    if (neuron.function == PBIT_FUNCTION_THETA) {
        work_bits = (work_bits > rise_bits ? work_bits : rise_bits) + 2;
        number(stream, "START_BITS", start_bits);
        number(stream, "RISE_BITS", rise_bits);
        number(stream, "WORK_BITS", work_bits);
        memory(design, s, "TABLE", "table", stream);
    } else if (neuron.function == PBIT_FUNCTION_CURVE) {
        uint32_t address_bits = count_bits(stage->table_words);
        work_bits = pbitc_verilog_signed_bits(neuron.curve_start, neuron.curve_start);
        work_bits = (work_bits > stage->z_bits ? work_bits : stage->z_bits) + 1;
        if (work_bits < neuron.curve_shift + address_bits + 1)
            work_bits = neuron.curve_shift + address_bits + 1;
        number(stream, "START_BITS", start_bits);
        number(stream, "RISE_BITS", rise_bits);
        number(stream, "WORK_BITS", work_bits);
        number(stream, "TABLE_WORDS", stage->table_words);
        number(stream, "TABLE_ADDRESS_BITS", address_bits);
        number(stream, "CURVE_SHIFT", neuron.curve_shift);
        number(stream, "CURVE_STEP_BITS", count_bits(neuron.curve_shift));
        sized(stream, "CURVE_START", work_bits, neuron.curve_start);
        memory(design, s, "TABLE", "table", stream);
    }
    fprintf(stream,
            "\n    ) s%" PRIu32 "_activation (\n"
            "        .clock(clock), .reset(reset), .ready(s%" PRIu32 "_ready), .valid(s%" PRIu32
            "_valid), .index(s%" PRIu32 "_index),\n"
            "        .pass(s%" PRIu32 "_pass), .z(s%" PRIu32 "_z), .out_valid(s%" PRIu32
            "_p_valid), .out_index(s%" PRIu32 "_p_index),\n"
            "        .out_pass(s%" PRIu32 "_p_pass), .probability(s%" PRIu32 "_p));\n\n",
            s, s, s, s, s, s, s, s, s, s);
}

/// A table gives the level of the twin, or the probability of an LFSR neuron, at once.
static void write_table_neuron(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    struct pbit_operation neuron = pbit_model_operation(design->model, stage->activation);
    struct pbitc_twin_table table;
    uint32_t bits = design->plan->lfsr ? PBITC_LFSR_BITS : design->plan->twin_bits;
    const char *out = design->plan->lfsr ? "p" : "out";
    pbitc_twin_table_fill(&table, design->model, &neuron, bits);
    uint32_t work_bits = pbitc_verilog_signed_bits(table.start, table.start);
    work_bits = (work_bits > stage->z_bits ? work_bits : stage->z_bits) + 1;
    if (work_bits < table.shift + 10)
        work_bits = table.shift + 10;
    fprintf(stream, "    mac_neuron #(\n        .Z_BITS(%" PRIu32 ")", stage->z_bits);
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    number(stream, "LEVEL_BITS", bits);
    number(stream, "WORK_BITS", work_bits);
    number(stream, "SHIFT", table.shift);
    sized(stream, "START", work_bits, table.start);
    memory(design, s, "TABLE", "table", stream);
    fprintf(stream,
            "\n    ) s%" PRIu32 "_neuron (\n"
            "        .clock(clock), .reset(reset), .valid(s%" PRIu32 "_valid), .index(s%" PRIu32
            "_index), .z(s%" PRIu32 "_z),\n"
            "        .out_valid(s%" PRIu32 "_%s_valid), .out_index(s%" PRIu32 "_%s_index), .level(s%" PRIu32
            "_%s));\n\n",
            s, s, s, s, s, out, s, out, s, out);
}

static void write_lfsr_draw(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    struct pbit_operation neuron = pbit_model_operation(design->model, stage->draw);
    fprintf(stream, "    lfsr_draw #(\n        .SEED(32'h%08" PRIx32 ")", pbitc_lfsr_seed(neuron.layer));
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    fprintf(stream,
            "\n    ) s%" PRIu32 "_draw (\n"
            "        .clock(clock), .reset(reset), .restart(seed_start), .valid(s%" PRIu32
            "_p_valid), .index(s%" PRIu32 "_p_index),\n"
            "        .probability(s%" PRIu32 "_p), .out_valid(s%" PRIu32 "_out_valid), .out_index(s%" PRIu32
            "_out_index),\n        .level(s%" PRIu32 "_out));\n\n",
            s, s, s, s, s, s, s);
}

static void write_draw(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    struct pbit_operation neuron = pbit_model_operation(design->model, stage->draw);
    uint32_t lanes = 0; // which bank of lanes
    for (uint32_t i = 0; i < s; i++)
        if (design->plan->stages[i].draw != PBITC_VERILOG_NONE) {
            struct pbit_operation earlier = pbit_model_operation(design->model, design->plan->stages[i].draw);
            lanes += pbit_operation_draws(&earlier) != 0;
        }
    fprintf(stream, "    pbit_draw #(\n        .KIND(%" PRIu32 ")", neuron.neuron);
    number(stream, "LEVELS", stage->levels);
    number(stream, "LEVEL_BITS", stage->out_bits);
    sized(stream, "AMPLITUDE", 17, neuron.amplitude);
    number(stream, "INDEX_BITS", pbitc_verilog_index_bits(stage));
    number(stream, "PASS_BITS", design->plan->pass_bits);
    fprintf(stream, "\n    ) s%" PRIu32 "_draw (\n        .clock(clock), .reset(reset), ", s);
    if (pbit_operation_draws(&neuron))
        fprintf(stream,
                ".seed_write(seed_write && seed_layer[%" PRIu32 "]), .seed_lane(seed_lane), .seed(lane_seed)",
                lanes);
    else
        fputs(".seed_write(1'b0), .seed_lane(5'd0), .seed(32'd0)", stream);
    fprintf(stream,
            ",\n        .first_pass(first_pass), .last_pass(s%" PRIu32 "_last_pass), .valid(s%" PRIu32
            "_p_valid), .index(s%" PRIu32 "_p_index),\n"
            "        .pass(s%" PRIu32 "_p_pass), .probability(s%" PRIu32 "_p), .out_valid(s%" PRIu32
            "_out_valid), .out_index(s%" PRIu32 "_out_index),\n"
            "        .out_pass(s%" PRIu32 "_out_pass), .level(s%" PRIu32 "_out));\n\n",
            s, s, s, s, s, s, s, s, s);
}

void pbitc_verilog_write_stage(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    if (stage->kind == PBITC_VERILOG_CONV)
        write_conv(design, s, stream);
    else if (stage->kind == PBITC_VERILOG_MAXPOOL || stage->kind == PBITC_VERILOG_SUMPOOL)
        write_pool(design, s, stream);
    else
        write_copy(design, s, stream);
    if (stage->activation != PBITC_VERILOG_NONE && (design->plan->twin_bits || design->plan->lfsr))
        write_table_neuron(design, s, stream);
    else if (stage->activation != PBITC_VERILOG_NONE)
        write_activation(design, s, stream);
    if (stage->draw != PBITC_VERILOG_NONE && design->plan->lfsr)
        write_lfsr_draw(design, s, stream);
    else if (stage->draw != PBITC_VERILOG_NONE)
        write_draw(design, s, stream);
}
