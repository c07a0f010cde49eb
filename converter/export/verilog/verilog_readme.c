// README.md and diagram.svg of the folder.
#include "converter/export/golden.h"
#include "converter/export/verilog/verilog.h"
#include "converter/model_file.h"

#include <inttypes.h>
#include <string.h>

/// A name from the file as text of Markdown or XML, which it must not break.
/// At most about `limit` bytes of the name, whole characters.
static void print_name(const char *name, size_t limit, FILE *stream)
{
    for (size_t i = 0; name[i]; i++) {
        unsigned char c = (unsigned char)name[i];
        if (i >= limit && (c & 0xc0) != 0x80) {
            fputs("..", stream);
            return;
        }
        fputc(c < 0x20 || c == 0x7f || strchr("<>&|`\"\\", c) ? '?' : c, stream);
    }
}

static uint64_t buffer_bits(const struct pbitc_verilog_buffer *buffer)
{
    return (uint64_t)buffer->words * buffer->lanes * buffer->width * buffer->tile;
}

// ---- README.md

static void write_stages(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    fputs("| stage | layer | kind | runs | NEURONS x INPUTS | bits of weights x levels | finishers | cycles "
          "of a full "
          "run |\n|--:|---|---|---|--:|--:|--:|--:|\n",
          stream);
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[s];
        fprintf(stream, "| %" PRIu32 " | ", s);
        print_name(pbitc_verilog_stage_name(plan, stage), SIZE_MAX, stream);
        fprintf(stream, " | %s | once per %s | ", pbitc_verilog_kind_name(stage->kind),
                stage->random ? "tile" : "image");
        if (stage->kind == PBITC_VERILOG_CONV)
            fprintf(stream, "%" PRIu32 " x %" PRIu32 " | %" PRIu32 " x %" PRIu32 " | %" PRIu32,
                    stage->neurons, stage->inputs, stage->weight_bits, stage->buffers[0].width,
                    stage->finishers);
        else
            fputs("| |", stream);
        fprintf(stream, " | %" PRIu64 " |\n",
                pbitc_verilog_stage_cycles(stage, stage->random ? plan->tile : 1));
    }
}

static void write_memory(const struct pbitc_verilog *design, uint32_t s, const char *what, uint64_t words,
                         uint64_t bits, FILE *stream)
{
    char name[PBITC_VERILOG_MEMORY_NAME];
    if (words)
        fprintf(stream, "| `%s` | %" PRIu64 " x %" PRIu64 " | %" PRIu64 " |\n",
                pbitc_verilog_memory_name(design, s, what, name), words, bits, words * bits);
}

static void write_memories(const struct pbitc_verilog *design, FILE *stream)
{
    fputs("| memory | words x bits | bits |\n|---|--:|--:|\n", stream);
    for (uint32_t s = 0; s < design->plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &design->plan->stages[s];
        write_memory(design, s, "weights", stage->weight_words, stage->weight_word_bits, stream);
        write_memory(design, s, "parameters", stage->parameter_words, stage->parameter_word_bits, stream);
        write_memory(design, s, "table", stage->table_words, stage->table_word_bits, stream);
        for (uint32_t i = 0; i < stage->input_count; i++) {
            const struct pbitc_verilog_buffer *buffer = &stage->buffers[i];
            fprintf(stream,
                    "| input buffer %" PRIu32 " of stage %" PRIu32 " | %" PRIu64 " x %" PRIu32 " | %" PRIu64
                    " |\n",
                    i, s, (uint64_t)buffer->words * buffer->tile, buffer->lanes * buffer->width,
                    buffer_bits(buffer));
        }
    }
}

static void write_ends(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbit_model *model = design->model;
    for (uint32_t i = 0; i < model->input_count; i++) {
        struct pbit_port port = pbit_model_input(model, i);
        fprintf(stream,
                "Input %" PRIu32 ": %" PRIu32 " x %" PRIu32 " x %" PRIu32
                " bytes (height, width, channels; channels last).\n",
                i, port.height, port.width, port.channels);
    }
    for (uint32_t o = 0; o < model->output_count; o++) {
        struct pbit_port port = pbit_model_output(model, o);
        fprintf(stream,
                "Output %" PRIu32 ": %zu sums; a sum stands for the real number %.9g * sum / (65536 * T)", o,
                port.elements, (double)port.scale);
        if (pbitc_port_ending(&port))
            fprintf(stream, "; the model applies %s to it, which is left to you", pbitc_port_ending(&port));
        fputs(".\n", stream);
    }
}

static void write_cycles(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    uint32_t shown[] = {1, plan->tile, plan->max_samples};
    fputs("| T | cycles | images per second |\n|--:|--:|--:|\n", stream);
    for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++)
        if (i == 0 || shown[i] != shown[i - 1]) {
            uint64_t cycles = pbitc_verilog_cycles(plan, shown[i]);
            fprintf(stream, "| %" PRIu32 " | %" PRIu64 " | %.0f |\n", shown[i], cycles,
                    design->clock_mhz * 1e6 / (double)cycles);
        }
}

void pbitc_verilog_write_readme(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    fprintf(stream, "# %s\n\nA network as Verilog-2001, written by pbitc %s from the .pbit file %s. ",
            design->name, design->version, design->model_hash);
    if (plan->twin_bits)
        fprintf(stream,
                "It is the\ndeterministic twin: activations of %" PRIu32
                " bits from a table, a multiplier per synapse, one pass.\n",
                plan->twin_bits);
    else if (plan->lfsr)
        fprintf(stream,
                "Its\np-bits are the classic ones, for comparison: an LFSR and a table of 256 sigmoid values "
                "per layer, for T = 1 to %" PRIu32 "\npasses. **These are not the bits of libpbit**, nor as "
                "good ones: 8 bits of probability, correlated draws. vectors/ and\n`export --verify` hold "
                "the design against an integer reference of its own. The seed register changes nothing.\n",
                plan->max_samples);
    else
        fprintf(stream,
                "It computes the\nbits of libpbit with m = %" PRIu32 " draws, for T = 1 to %" PRIu32
                " passes, every seed and image number.\n",
                plan->draws, plan->max_samples);
    fprintf(
        stream,
        "\n![block diagram](diagram.svg)\n\nThe stages run one after the other. Each has its own weights and "
        "an input buffer that the stage "
        "before fills.\n"
        "Stages that nothing random precedes run once per image; the others once per tile of up to %" PRIu32
        " passes: a word of\n"
        "weights is read once and used for all passes of the tile (weights outer, passes inner, one "
        "accumulator "
        "per neuron\n"
        "and pass). ",
        plan->tile);
    if (!plan->twin_bits)
        fputs("Levels come as bit planes, one per cycle: a bit of 1 adds its weight, so no synapse "
              "multiplies. Sums\n"
              "become pre-activations by shift and add, bit by bit. There is no `*` in it, so no DSP block. ",
              stream);
    if (!plan->twin_bits && !plan->lfsr)
        fputs("A neuron takes\n"
              "one random word per image, from 32 xorshift lanes per layer; theta tables are shared by a "
              "whole layer.\n",
              stream);
    else
        fputc('\n', stream);
    fputs("\n## Use it\n\n`s_axis` takes images, one byte per beat, TLAST with the last one. `m_axis` gives "
          "signed 64-bit "
          "sums over the passes,\n"
          "TLAST with the last one. One clock, synchronous reset. Both streams may stall at any time.\n\n",
          stream);
    write_ends(design, stream);
    fputs("\n| address | register |\n|--:|---|\n"
          "| 0 | \"PBIT\" |\n| 1 | bit 0: start; images are taken while it is 1 |\n| 2 | T |\n"
          "| 3, 4 | seed, low and high word |\n| 5, 6 | number of the next image, low and high word; counts "
          "up |\n"
          "| 7 | bit 0: busy; bit 1: an image had the wrong length; bit 2: a T out of range was refused; "
          "writing "
          "clears |\n"
          "| 8 | cycles of the stages for the last image |\n| 9, 10 | largest T; m |\n\n"
          "T, seed and number count for the image whose first byte comes after they are written. An image "
          "that TLAST "
          "ends early\n"
          "is dropped.\n\n## Simulate and synthesize\n\n"
          "```sh\nsh simulate verilator     # or iverilog: compares every bit and the cycles with vectors/\n"
          "sh simulate verilator +stall +reset +faults   # stalls at random, resets and broken images in "
          "between\n"
          "sh simulate iverilog 1 +vcd=signals.vcd       # one image, all signals recorded\n"
          "sh simulate lint          # verilator --lint-only -Wall\n"
          "sh synthesize xc7        # Yosys: xc7, xcup, ice40, ecp5\n"
          "vivado -mode batch -source vivado.tcl\n```\n\n"
          "`vivado.tcl` was written without Vivado at hand and has not been run. Run everything from this "
          "folder, where "
          "the\n"
          "`.mem` files are.\n\n## Cycles\n\nFrom the last byte of an image to the first sum, exact; the "
          "testbench compares. ",
          stream);
    fprintf(stream, "Images per second at %g MHz, without\nthe %" PRIu64 " cycles that the bytes take.\n\n",
            design->clock_mhz, pbitc_export_input_bytes(design->model));
    write_cycles(design, stream);
    fputc('\n', stream);
    write_stages(design, stream);
    fputs("\n## Memories\n\n", stream);
    write_memories(design, stream);
}

// ---- diagram.svg

enum { WIDTH = 860, LEFT = 110, BOX = 600, HEIGHT = 54, GAP = 26, SIDE = 110, NAME_LIMIT = 60 };

static void write_box(FILE *stream, int x, int y, int width, const char *fill)
{
    fprintf(stream,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\" fill=\"%s\" stroke=\"#444\"/>\n", x,
            y, width, HEIGHT, fill);
}

static void begin_text(FILE *stream, int x, int y, int size)
{
    fprintf(stream, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" text-anchor=\"middle\">", x, y, size);
}

static void write_arrow(FILE *stream, int y)
{
    int x = LEFT + BOX / 2;
    fprintf(stream, "<path d=\"M%d %d V%d m-5 -8 l5 8 l5 -8\" fill=\"none\" stroke=\"#444\"/>\n", x, y - GAP,
            y - 1);
}

/// What the stage is made of, in the order data passes.
static void write_parts(const struct pbitc_verilog *design, const struct pbitc_verilog_stage *stage,
                        FILE *stream)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < stage->input_count; i++)
        bits += buffer_bits(&stage->buffers[i]);
    fprintf(stream, "buffer %" PRIu64 " bits", bits);
    if (stage->kind == PBITC_VERILOG_CONV) {
        fprintf(stream, " | weights %" PRIu64 " x %" PRIu64 " | %" PRIu32 " x %" PRIu32 " accumulate",
                stage->weight_words, stage->weight_word_bits, stage->neurons, stage->inputs);
        if (stage->taps > 1)
            fputs(" | max", stream);
        fprintf(stream, " | %" PRIu32 " finish", stage->finishers);
    } else {
        fprintf(stream, " | %s", pbitc_verilog_kind_name(stage->kind));
    }
    if ((design->plan->twin_bits || design->plan->lfsr) && stage->activation != PBITC_VERILOG_NONE)
        fputs(" | table", stream);
    else if (stage->activation != PBITC_VERILOG_NONE)
        fputs(" | P", stream);
    if (stage->draw != PBITC_VERILOG_NONE)
        fprintf(stream, " | draw 0..%" PRIu32, stage->levels);
}

static void write_end(FILE *stream, int y, const char *text)
{
    write_box(stream, LEFT, y, BOX, "#eee");
    begin_text(stream, LEFT + BOX / 2, y + HEIGHT / 2 + 5, 13);
    fprintf(stream, "%s</text>\n", text);
}

void pbitc_verilog_write_diagram(const struct pbitc_verilog *design, FILE *stream)
{
    const struct pbitc_verilog_plan *plan = design->plan;
    int step = HEIGHT + GAP, y = 20, height = 40 + step * (int)(plan->stage_count + 2) - GAP;
    fprintf(stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\">\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            WIDTH, height, WIDTH, height, WIDTH, height);
    write_end(stream, y,
              plan->random_layers ? "s_axis: image bytes | control: registers, order of the stages | seeds"
                                  : "s_axis: image bytes | control: registers, order of the stages");
    for (uint32_t s = 0; s < plan->stage_count; s++) {
        const struct pbitc_verilog_stage *stage = &plan->stages[s];
        y += step;
        write_arrow(stream, y);
        write_box(stream, LEFT, y, BOX, stage->random ? "#dcebfa" : "#e6f4e2");
        begin_text(stream, LEFT + BOX / 2, y + 22, 13);
        fprintf(stream, "%" PRIu32 ": ", s);
        print_name(pbitc_verilog_stage_name(plan, stage), NAME_LIMIT, stream);
        fputs("</text>\n", stream);
        begin_text(stream, LEFT + BOX / 2, y + 41, 11);
        write_parts(design, stage, stream);
        fputs("</text>\n", stream);
        begin_text(stream, LEFT + BOX + SIDE / 2 + 10, y + HEIGHT / 2 + 4, 11);
        fprintf(stream, "once per %s</text>\n", stage->random ? "tile" : "image");
    }
    write_arrow(stream, y + step);
    write_end(stream, y + step, "sums over the passes | m_axis: 64-bit sums");
    fputs("</svg>\n", stream);
}
