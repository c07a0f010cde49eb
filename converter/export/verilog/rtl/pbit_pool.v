// A pooling stage of its own: for each output position, channel and pass, one cycle per tap, of which those
// outside of the image do not count. SUM 0: the maximum, of signed or unsigned numbers. SUM 1: the sum times
// MULTIPLIER, shifted right by SHIFT and rounded, serially.
module pbit_pool #(
    parameter SUM = 0,
    parameter SIGNED = 0,
    parameter IN_BITS = 8,
    parameter SUM_BITS = 10,
    parameter MULTIPLIER_BITS = 2,
    parameter [MULTIPLIER_BITS-1:0] MULTIPLIER = 1,
    parameter SHIFT = 0,
    parameter WIDE_BITS = 40,
    parameter STEP_BITS = 2,
    parameter OUT_BITS = 8,
    parameter CLAMP = 0,
    parameter WORD_BITS = 4,
    parameter TAPS = 4,
    parameter TAP_BITS = 2,
    parameter POSITIONS = 4,
    parameter POSITION_BITS = 2,
    parameter CHANNELS = 1,
    parameter CHANNEL_BITS = 1,
    parameter INDEX_BITS = 4,
    parameter PASS_BITS = 1
) (
    input wire clock,
    input wire reset,
    input wire start,
    output wire done,
    input wire [PASS_BITS-1:0] last_pass,
    output wire first_position,
    output wire next_position,
    output wire next_word,
    output wire restart,
    output wire [WORD_BITS-1:0] offset,
    input wire in_image,
    output wire read,
    output wire [PASS_BITS-1:0] read_pass,
    input wire [IN_BITS-1:0] data,
    input wire ready,
    output wire valid,
    output reg [INDEX_BITS-1:0] index,
    output wire [PASS_BITS-1:0] index_pass,
    output wire [OUT_BITS-1:0] out
);
    localparam [2:0] IDLE = 0, RESTART = 1, RUN = 2, DRAIN = 3, LOAD = 4, MULTIPLY = 5, EMIT = 6, FLUSH = 7;
    localparam [31:0] LAST_TAP = TAPS - 1;
    localparam [31:0] LAST_CHANNEL = CHANNELS - 1;
    localparam [31:0] LAST_POSITION = POSITIONS - 1;
    localparam [31:0] LAST_STEP = MULTIPLIER_BITS - 1;

    reg [2:0] state, drain;
    reg [TAP_BITS-1:0] tap;
    reg [CHANNEL_BITS-1:0] channel;
    reg [WORD_BITS-1:0] channel_offset;
    reg [POSITION_BITS-1:0] position;
    reg [STEP_BITS-1:0] step;
    reg [PASS_BITS-1:0] pass;
    reg begins, running_1, in_image_1;
    reg [SUM_BITS-1:0] value;

    wire emit = state == EMIT && ready;
    wire pass_ends = pass == last_pass;
    wire channel_ends = channel == LAST_CHANNEL[CHANNEL_BITS-1:0];
    wire position_is_last = position == LAST_POSITION[POSITION_BITS-1:0];
    wire [SUM_BITS-1:0] wide = {{SUM_BITS-IN_BITS{SIGNED != 0 && data[IN_BITS-1]}}, data};
    wire larger = $signed(wide) > $signed(value);

    assign first_position = state == IDLE && start;
    assign next_position = emit && pass_ends && channel_ends;
    assign next_word = state == RUN;
    assign restart = state == RESTART;
    assign offset = channel_offset;
    assign read = state == RUN;
    assign read_pass = pass;
    assign valid = emit;
    assign index_pass = pass;
    assign done = state == FLUSH && ready && drain == 3'd0;

    always @(posedge clock) begin
        running_1 <= state == RUN;
        in_image_1 <= in_image;
        if (state == RESTART)
            begins <= 1'b1;
        else if (running_1 && in_image_1) begin
            begins <= 1'b0;
            if (SUM != 0)
                value <= begins ? wide : value + wide;
            else if (begins || larger)
                value <= wide;
        end
        case (state)
        IDLE: begin
            index <= 0;
            pass <= 0;
            channel <= 0;
            channel_offset <= 0;
            position <= 0;
            if (start)
                state <= RESTART;
        end
        RESTART: begin
            tap <= 0;
            state <= RUN;
        end
        RUN: begin
            tap <= tap + 1'b1;
            if (tap == LAST_TAP[TAP_BITS-1:0])
                state <= DRAIN;
        end
        DRAIN:
            state <= SUM != 0 ? LOAD : EMIT;
        LOAD: begin
            step <= 0;
            state <= MULTIPLY;
        end
        MULTIPLY: begin
            step <= step + 1'b1;
            if (step == LAST_STEP[STEP_BITS-1:0])
                state <= EMIT;
        end
        EMIT:
            if (ready) begin
                drain <= 3'd7;
                pass <= pass_ends ? {PASS_BITS{1'b0}} : pass + 1'b1;
                state <= RESTART;
                if (pass_ends) begin
                    index <= index + 1'b1;
                    channel <= channel_ends ? {CHANNEL_BITS{1'b0}} : channel + 1'b1;
                    channel_offset <= channel_ends ? {WORD_BITS{1'b0}} : channel_offset + 1'b1;
                    if (channel_ends) begin
                        position <= position + 1'b1;
                        if (position_is_last)
                            state <= FLUSH;
                    end
                end
            end
        FLUSH:
            if (ready) begin
                drain <= drain - 1'b1;
                if (drain == 3'd0)
                    state <= IDLE;
            end
        endcase
        if (reset)
            state <= IDLE;
    end

    generate
        if (SUM != 0) begin : average
            pbit_finish #(.LANES(1), .SUM_BITS(SUM_BITS), .MULTIPLIER_BITS(MULTIPLIER_BITS), .CONSTANT_BITS(1),
                          .SHIFT(SHIFT), .WIDE_BITS(WIDE_BITS), .Z_BITS(OUT_BITS), .CLAMP(CLAMP)) finish (
                .clock(clock), .load(state == LOAD), .sums(value), .parameters({1'b0, MULTIPLIER}),
                .step(state == MULTIPLY), .select(1'b0), .z(out));
        end else begin : maximum
            wire unused = &{1'b0, value[SUM_BITS-1:OUT_BITS]};
            assign out = value[OUT_BITS-1:0];
        end
    endgenerate
endmodule
