// NAME.v: streams, registers, and the stages with the buffers between them.
#include "converter/export/golden.h"
#include "converter/export/verilog/verilog.h"
#include "converter/export/verilog/verilog_weights.h"

#include <inttypes.h>

static void write_ports(const struct pbitc_verilog *design, FILE *stream)
{
    fprintf(stream,
            "// A network of p-bits, written by pbitc %s from the .pbit file %s. README.md explains it.\n"
            "module %s (\n"
            "    input wire clock,\n"
            "    input wire reset,                       // synchronous\n"
            "    // registers: see pbit_control.v\n"
            "    input wire register_write,\n"
            "    input wire [3:0] register_address,\n"
            "    input wire [31:0] register_write_data,\n"
            "    output wire [31:0] register_read_data,\n"
            "    // images: AXI4-Stream, one byte per beat, channels last; TLAST with the last byte\n"
            "    input wire s_axis_tvalid,\n"
            "    output wire s_axis_tready,\n"
            "    input wire [7:0] s_axis_tdata,\n"
            "    input wire s_axis_tlast,\n"
            "    // sums over the T passes: AXI4-Stream, one signed 64-bit number per beat\n"
            "    output wire m_axis_tvalid,\n"
            "    input wire m_axis_tready,\n"
            "    output wire [63:0] m_axis_tdata,\n"
            "    output wire m_axis_tlast\n"
            ");\n",
            design->version, design->model_hash, design->name);
}

static void write_control(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    uint64_t bytes = pbitc_export_input_bytes(design->model);
    uint32_t byte_bits = pbitc_verilog_bits(bytes) + 1, layers = plan->random_layers;
    uint32_t samples = pbit_model_default_samples(design->model);
    fprintf(
        stream,
        "    wire in_write;\n    wire [%" PRIu32 ":0] in_index;\n    wire seed_start, seed_done;\n"
        "    wire [63:0] seed, image;\n    wire [%" PRIu32 ":0] start, done;\n    wire [15:0] first_pass;\n"
        "    wire [%" PRIu32 ":0] last_pass;\n    wire send, sent;\n\n"
        "    pbit_control #(\n        .BYTES(%" PRIu64 "),\n        .BYTE_BITS(%" PRIu32
        "),\n        .STAGES(%" PRIu32 "),\n"
        "        .STAGE_BITS(%" PRIu32 "),\n        .FIRST_RANDOM(%" PRIu32 "),\n        .TILE(%" PRIu32
        "),\n        .PASS_BITS(%" PRIu32 "),\n"
        "        .MAX_SAMPLES(%" PRIu32 "),\n        .SAMPLES(%" PRIu32 "),\n        .DRAWS(%" PRIu32 ")\n"
        "    ) control (\n"
        "        .clock(clock), .reset(reset), .register_write(register_write), "
        ".register_address(register_address),\n"
        "        .register_write_data(register_write_data), .register_read_data(register_read_data),\n"
        "        .in_valid(s_axis_tvalid), .in_ready(s_axis_tready), .in_last(s_axis_tlast), "
        ".in_write(in_write),\n"
        "        .in_index(in_index), .seed_start(seed_start), .seed(seed), .image(image), "
        ".seed_done(seed_done),\n"
        "        .start(start), .done(done), .first_pass(first_pass), .last_pass(last_pass), .send(send), "
        ".sent(sent));\n\n",
        byte_bits - 1, plan->stage_count - 1, plan->pass_bits - 1, bytes, byte_bits, plan->stage_count,
        pbitc_verilog_bits(plan->stage_count), plan->first_random, plan->tile, plan->pass_bits,
        plan->max_samples, samples < plan->max_samples ? samples : plan->max_samples, plan->draws);
    if (!layers) {
        fputs("    // nothing is seeded\n    assign seed_done = 1'b1;\n"
              "    wire seed_unused = &{1'b0, seed_start, seed, image};\n\n",
              stream);
        return;
    }
    fprintf(stream,
            "    wire seed_write;\n    wire [%" PRIu32 ":0] seed_layer;\n    wire [4:0] seed_lane;\n"
            "    wire [31:0] lane_seed;\n\n"
            "    pbit_seed #(\n        .LAYERS(%" PRIu32 "),\n        .LAYER_BITS(%" PRIu32
            "),\n        .NUMBERS({",
            layers - 1, layers, pbitc_verilog_bits(layers));
    bool comma = false;
    for (uint32_t s = plan->stage_count; s-- > 0;) { // the first layer is the lowest
        if (plan->stages[s].draw == PBITC_VERILOG_NONE)
            continue;
        struct pbit_operation neuron = pbit_model_operation(design->model, plan->stages[s].draw);
        if (!pbit_operation_draws(&neuron))
            continue;
        fprintf(stream, "%s32'd%" PRIu32, comma ? ", " : "", neuron.layer);
        comma = true;
    }
    fputs("})\n    ) seeds (\n"
          "        .clock(clock), .reset(reset), .start(seed_start), .seed(seed), .image(image), "
          ".done(seed_done),\n"
          "        .write(seed_write), .write_layer(seed_layer), .write_lane(seed_lane), "
          ".write_seed(lane_seed));\n\n",
          stream);
}

// ---- buffers

/// The next stage from `first` on that fills the tensor; a CONCAT has several.
static uint32_t find_writer(const struct pbitc_verilog_plan *plan, uint32_t tensor, uint32_t first)
{
    uint32_t s = first;
    while (s < plan->stage_count && plan->stages[s].output != tensor)
        s++;
    return s;
}

static void write_producers(const struct pbitc_verilog *design, uint32_t tensor, uint32_t index_bits,
                            FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    if (tensor < design->model->input_count) { // one of the images
        uint64_t first = 0, elements = pbit_model_input(design->model, tensor).elements;
        uint32_t byte_bits = pbitc_verilog_bits(pbitc_export_input_bytes(design->model)) + 1;
        for (uint32_t i = 0; i < tensor; i++)
            first += pbit_model_input(design->model, i).elements;
        fprintf(stream, "        .write(in_write");
        if (first)
            fprintf(stream, " && in_index >= %" PRIu32 "'d%" PRIu64, byte_bits, first);
        if (tensor + 1 < design->model->input_count)
            fprintf(stream, " && in_index < %" PRIu32 "'d%" PRIu64, byte_bits, first + elements);
        if (first)
            fprintf(stream, "), .write_index(in_%" PRIu32 "_index[%" PRIu32 ":0])", tensor, index_bits - 1);
        else
            fprintf(stream, "), .write_index(in_index[%" PRIu32 ":0])", index_bits - 1);
        fprintf(stream, ", .write_pass(%" PRIu32 "'d0), .write_data(s_axis_tdata),\n", plan->pass_bits);
        return;
    }
    uint32_t first = find_writer(plan, tensor, 0);
    if (find_writer(plan, tensor, first + 1) == plan->stage_count) {
        fprintf(stream,
                "        .write(s%" PRIu32 "_out_valid), .write_index(s%" PRIu32 "_out_index[%" PRIu32
                ":0]), .write_pass(s%" PRIu32 "_out_pass), .write_data(s%" PRIu32 "_out),\n",
                first, first, index_bits - 1, first, first);
        return;
    }
    static const char *const ends[][2] = {
        {"_out_index", ".write_index"}, {"_out_pass", ".write_pass"}, {"_out", ".write_data"}};
    fputs("        .write(1'b0", stream);
    for (uint32_t s = first; s < plan->stage_count; s = find_writer(plan, tensor, s + 1))
        fprintf(stream, " || s%" PRIu32 "_out_valid", s);
    fputs("),\n", stream);
    for (int i = 0; i < 3; i++) {
        fprintf(stream, "        %s(", ends[i][1]);
        for (uint32_t s = first; s < plan->stage_count;) {
            uint32_t next = find_writer(plan, tensor, s + 1);
            if (next < plan->stage_count)
                fprintf(stream, "s%" PRIu32 "_out_valid ? ", s);
            fprintf(stream, "s%" PRIu32 "%s", s, ends[i][0]);
            if (i == 0)
                fprintf(stream, "[%" PRIu32 ":0]", index_bits - 1);
            if (next < plan->stage_count)
                fputs(" : ", stream);
            s = next;
        }
        fputs("),\n", stream);
    }
}

static void write_buffer(const struct pbitc_verilog *design, uint32_t s, uint32_t i, FILE *stream)
{
    const struct pbitc_verilog_buffer *buffer = &design->plan->stages[s].buffers[i];
    uint32_t word_bits = pbitc_verilog_word_bits(buffer), lane_bits = pbitc_verilog_lane_bits(buffer);
    fprintf(stream,
            "    pbit_buffer #(\n        .WIDTH(%" PRIu32 "),\n        .LANE_BITS(%" PRIu32
            "),\n        .WORDS(%" PRIu32 "),\n        .WORD_BITS(%" PRIu32 "),\n        .TILE_BITS(%" PRIu32
            "),\n        .PASS_BITS(%" PRIu32 ")\n    ) s%" PRIu32 "_buffer_%" PRIu32
            " (\n        .clock(clock),\n",
            buffer->width, lane_bits, buffer->words, word_bits, pbitc_verilog_bits(buffer->tile) - 1,
            design->plan->pass_bits, s, i);
    write_producers(design, buffer->tensor, word_bits + lane_bits, stream);
    fprintf(stream,
            "        .read(s%" PRIu32 "_read), .read_word(s%" PRIu32 "_word[%" PRIu32
            ":0]), .read_pass(s%" PRIu32 "_read_pass), .read_data(s%" PRIu32 "_data_%" PRIu32 "));\n\n",
            s, s, word_bits - 1, s, s, i);
}

// ---- wires

static void write_wires(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    const struct pbitc_verilog_stage *stage = &plan->stages[s];
    uint32_t index = pbitc_verilog_index_bits(stage) - 1, pass = plan->pass_bits - 1;
    fprintf(stream,
            "    wire s%" PRIu32 "_read, s%" PRIu32 "_ready, s%" PRIu32 "_valid, s%" PRIu32 "_out_valid;\n"
            "    wire [%" PRIu32 ":0] s%" PRIu32 "_word;\n"
            "    wire [%" PRIu32 ":0] s%" PRIu32 "_last_pass, s%" PRIu32 "_read_pass, s%" PRIu32
            "_pass, s%" PRIu32 "_out_pass;\n"
            "    wire [%" PRIu32 ":0] s%" PRIu32 "_index, s%" PRIu32 "_out_index;\n"
            "    wire [%" PRIu32 ":0] s%" PRIu32 "_z;\n    wire [%" PRIu32 ":0] s%" PRIu32 "_out;\n",
            s, s, s, s, pbitc_verilog_walk_bits(stage) - 1, s, pass, s, s, s, s, index, s, s,
            stage->z_bits - 1, s, stage->out_bits - 1, s);
    for (uint32_t i = 0; i < stage->input_count; i++)
        fprintf(stream, "    wire [%" PRIu32 ":0] s%" PRIu32 "_data_%" PRIu32 ";\n",
                stage->buffers[i].width * stage->buffers[i].lanes - 1, s, i);
    fprintf(stream,
            "    wire s%" PRIu32 "_unused = &{1'b0, s%" PRIu32 "_out_valid, s%" PRIu32 "_out_index, s%" PRIu32
            "_out_pass, s%" PRIu32 "_out,\n                        s%" PRIu32 "_word};\n",
            s, s, s, s, s, s);
    if (stage->random)
        fprintf(stream, "    assign s%" PRIu32 "_last_pass = last_pass;\n", s);
    else
        fprintf(stream, "    assign s%" PRIu32 "_last_pass = %" PRIu32 "'d0;\n", s, plan->pass_bits);
    bool activates = stage->activation != PBITC_VERILOG_NONE, draws = stage->draw != PBITC_VERILOG_NONE;
    if (activates && plan->twin_bits) { // the table neuron makes all the rest
        fprintf(stream,
                "    assign s%" PRIu32 "_ready = 1'b1;\n    assign s%" PRIu32 "_out_pass = %" PRIu32
                "'d0;\n    wire s%" PRIu32 "_unused_pass = &{1'b0, s%" PRIu32 "_pass};\n\n",
                s, s, plan->pass_bits, s, s);
        return;
    }
    if (!activates || plan->lfsr)
        fprintf(stream, "    assign s%" PRIu32 "_ready = 1'b1;\n", s);
    if (activates || draws)
        fprintf(stream,
                "    wire s%" PRIu32 "_p_valid;\n    wire [%" PRIu32 ":0] s%" PRIu32
                "_p_index;\n    wire [%" PRIu32 ":0] s%" PRIu32 "_p_pass;\n    wire [%" PRIu32 ":0] s%" PRIu32
                "_p;\n",
                s, index, s, pass, s, plan->p_bits - 1, s);
    if (plan->lfsr && (activates || draws)) // its tile is 1
        fprintf(stream,
                "    wire s%" PRIu32 "_unused_pass = &{1'b0, s%" PRIu32 "_pass, s%" PRIu32 "_p_pass};\n", s,
                s, s);
    if (plan->lfsr && activates)
        fprintf(stream, "    assign s%" PRIu32 "_p_pass = %" PRIu32 "'d0;\n", s, plan->pass_bits);
    if (plan->lfsr && draws)
        fprintf(stream, "    assign s%" PRIu32 "_out_pass = %" PRIu32 "'d0;\n", s, plan->pass_bits);
    static const char *const names[][2] = {{"valid", "valid"}, {"index", "index"}, {"pass", "pass"}};
    if (draws && !activates) { // P comes out of the buffer
        for (int i = 0; i < 3; i++)
            fprintf(stream, "    assign s%" PRIu32 "_p_%s = s%" PRIu32 "_%s;\n", s, names[i][0], s,
                    names[i][1]);
        fprintf(stream, "    assign s%" PRIu32 "_p = s%" PRIu32 "_z;\n", s, s);
    }
    const char *from = activates ? "_p" : "";
    if (!draws) {
        for (int i = 0; i < 3; i++)
            fprintf(stream, "    assign s%" PRIu32 "_out_%s = s%" PRIu32 "%s_%s;\n", s, names[i][0], s, from,
                    names[i][1]);
        fprintf(stream, "    assign s%" PRIu32 "_out = s%" PRIu32 "%s;\n", s, s, activates ? "_p" : "_z");
    }
    fputc('\n', stream);
}

// ---- outputs

/// A choice among what the stages that make the outputs send: `format` sees the stage, its output's first
/// place in the sums, and the bits of the choice.
typedef void choice(const struct pbitc_verilog_stage *stage, uint32_t s, uint64_t first, uint32_t bits,
                    FILE *stream);

static void choose_valid(const struct pbitc_verilog_stage *stage, uint32_t s, uint64_t first, uint32_t bits,
                         FILE *stream)
{
    (void)stage, (void)first, (void)bits;
    fprintf(stream, "s%" PRIu32 "_out_valid", s);
}

static void choose_index(const struct pbitc_verilog_stage *stage, uint32_t s, uint64_t first, uint32_t bits,
                         FILE *stream)
{
    uint32_t own = pbitc_verilog_index_bits(stage);
    if (own >= bits)
        fprintf(stream, "s%" PRIu32 "_out_index[%" PRIu32 ":0]", s, bits - 1);
    else
        fprintf(stream, "{%" PRIu32 "'d0, s%" PRIu32 "_out_index}", bits - own, s);
    if (first)
        fprintf(stream, " + %" PRIu32 "'d%" PRIu64, bits, first);
}

static void choose_z(const struct pbitc_verilog_stage *stage, uint32_t s, uint64_t first, uint32_t bits,
                     FILE *stream)
{
    (void)first;
    if (stage->out_bits < bits)
        fprintf(stream, "{{%" PRIu32 "{s%" PRIu32 "_out[%" PRIu32 "]}}, s%" PRIu32 "_out}",
                bits - stage->out_bits, s, stage->out_bits - 1, s);
    else
        fprintf(stream, "s%" PRIu32 "_out", s);
}

static void choose_pass(const struct pbitc_verilog_stage *stage, uint32_t s, uint64_t first, uint32_t bits,
                        FILE *stream)
{
    (void)stage, (void)first, (void)bits;
    fprintf(stream, "s%" PRIu32 "_out_pass", s);
}

static void write_choice(const struct pbitc_verilog *design, const char *name, uint32_t bits, choice *choose,
                         FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    const uint8_t *record = design->model->bytes + pbit_header_field(design->model, PBIT_HEADER_OUTPUTS);
    uint64_t first = 0;
    fprintf(stream, "    wire [%" PRIu32 ":0] average_%s =", bits - 1, name);
    for (uint32_t o = 0; o < design->model->output_count; o++, record += PBIT_PORT_BYTES) {
        uint32_t tensor = pbit_load_u32(record);
        for (uint32_t s = find_writer(plan, tensor, 0); s < plan->stage_count;
             s = find_writer(plan, tensor, s + 1)) {
            fprintf(stream, "\n        s%" PRIu32 "_out_valid ? ", s);
            choose(&plan->stages[s], s, first, bits, stream);
            fputs(" :", stream);
        }
        first += pbit_model_output(design->model, o).elements;
    }
    fprintf(stream, " %" PRIu32 "'d0;\n", bits);
}

static void write_average(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    const struct pbit_model *model = design->model;
    const uint8_t *record = model->bytes + pbit_header_field(model, PBIT_HEADER_OUTPUTS);
    uint64_t elements = pbitc_export_output_elements(model);
    uint32_t index_bits = pbitc_verilog_bits(elements - 1), z_bits = 1;
    for (uint32_t o = 0; o < model->output_count; o++, record += PBIT_PORT_BYTES) {
        uint32_t s = find_writer(plan, pbit_load_u32(record), 0);
        z_bits = plan->stages[s].out_bits > z_bits ? plan->stages[s].out_bits : z_bits;
    }
    fputs("    // ---- sums over the passes\n", stream);
    write_choice(design, "valid", 1, choose_valid, stream);
    write_choice(design, "index", index_bits, choose_index, stream);
    write_choice(design, "z", z_bits, choose_z, stream);
    write_choice(design, "pass", plan->pass_bits, choose_pass, stream);
    fprintf(stream,
            "\n    pbit_average #(\n        .ELEMENTS(%" PRIu64 "),\n        .INDEX_BITS(%" PRIu32
            "),\n        .Z_BITS(%" PRIu32 "),\n        .SUM_BITS(%" PRIu32 ")\n    ) average (\n"
            "        .clock(clock), .reset(reset), .valid(average_valid),\n"
            "        .first(first_pass == 16'd0 && average_pass == %" PRIu32 "'d0), .index(average_index),\n"
            "        .z(average_z), .send(send), .sent(sent), .out_valid(m_axis_tvalid), "
            ".out_ready(m_axis_tready),\n"
            "        .out_data(m_axis_tdata), .out_last(m_axis_tlast));\n\n",
            elements, index_bits, z_bits, z_bits + pbitc_verilog_bits(plan->max_samples), plan->pass_bits);
}

static void write_input_indices(const struct pbitc_verilog *design, FILE *stream)
{
    uint32_t byte_bits = pbitc_verilog_bits(pbitc_export_input_bytes(design->model)) + 1;
    uint64_t first = 0;
    for (uint32_t i = 0; i < design->model->input_count; i++) {
        if (first)
            fprintf(stream,
                    "    wire [%" PRIu32 ":0] in_%" PRIu32 "_index = in_index - %" PRIu32 "'d%" PRIu64
                    ";\n    wire in_%" PRIu32 "_unused = &{1'b0, in_%" PRIu32 "_index};\n",
                    byte_bits - 1, i, byte_bits, first, i, i);
        first += pbit_model_input(design->model, i).elements;
    }
    fputs("    wire in_unused = &{1'b0, in_index};\n\n", stream);
}

static void write_comment(const struct pbitc_verilog *design, uint32_t s, FILE *stream)
{
    const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
    fprintf(stream, "    // ---- stage %" PRIu32 ": ", s);
    for (const char *c = pbitc_verilog_stage_name(design->plan, stage); *c; c++) // a name may hold anything
        fputc((unsigned char)*c < 0x20 || *c == 0x7f || *c == '\\' ? '?' : *c, stream);
    fprintf(stream, ", once per %s\n", stage->random ? "tile" : "image");
}

void pbitc_verilog_write_top(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    write_ports(design, stream);
    write_control(design, stream);
    write_input_indices(design, stream);
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        write_comment(design, s, stream);
        write_wires(design, s, stream);
    }
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        write_comment(design, s, stream);
        for (uint32_t i = 0; i < plan->stages[s].input_count; i++)
            write_buffer(design, s, i, stream);
        pbitc_verilog_write_stage(design, s, stream);
    }
    write_average(design, stream);
    fputs("endmodule\n", stream);
}
