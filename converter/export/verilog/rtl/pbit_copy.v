// Streams the elements of a buffer, all passes of an element one after the other, one per cycle while `ready`.
// With PERMUTED, element i comes from place PLACES[i] and costs one more cycle. A part of a concatenation goes to
// CHANNELS elements of every OUT_CHANNELS, from FIRST_INDEX on: GAP = OUT_CHANNELS - CHANNELS + 1.
module pbit_copy #(
    parameter ELEMENTS = 1,
    parameter WORD_BITS = 1,
    parameter PASS_BITS = 1,
    parameter INDEX_BITS = 1,
    parameter CHANNELS = 1,
    parameter CHANNEL_BITS = 1,
    parameter [INDEX_BITS-1:0] FIRST_INDEX = 0,
    parameter [INDEX_BITS-1:0] GAP = 1,
    parameter PERMUTED = 0,
    parameter PLACES = "places.mem"
) (
    input wire clock,
    input wire reset,
    input wire start,
    output wire done,
    input wire [PASS_BITS-1:0] last_pass,
    output wire read,
    output wire [WORD_BITS-1:0] read_word,
    output wire [PASS_BITS-1:0] read_pass,
    input wire ready,
    output wire valid,                  // the word read belongs to these
    output reg [INDEX_BITS-1:0] index,
    output reg [PASS_BITS-1:0] index_pass
);
    localparam [1:0] IDLE = 0, FETCH = 1, RUN = 2, FLUSH = 3;
    localparam [31:0] LAST = ELEMENTS - 1;
    localparam [31:0] LAST_CHANNEL = CHANNELS - 1;

    reg [1:0] state;
    reg [2:0] drain;
    reg [WORD_BITS-1:0] element;
    reg [PASS_BITS-1:0] pass;
    reg [INDEX_BITS-1:0] next_index;
    reg [CHANNEL_BITS-1:0] channel;
    reg held;

    wire step = state == RUN && (!held || ready);
    wire pass_ends = pass == last_pass;
    wire channel_ends = channel == LAST_CHANNEL[CHANNEL_BITS-1:0];

    assign read = step;
    assign read_pass = pass;
    assign valid = held && ready;
    assign done = state == FLUSH && ready && drain == 3'd0;

    generate
        if (PERMUTED != 0) begin : permuted
            pbit_rom #(.WIDTH(WORD_BITS), .WORDS(ELEMENTS), .ADDRESS_BITS(WORD_BITS), .FILE(PLACES)) places (
                .clock(clock), .read(state == FETCH), .address(element), .data(read_word));
        end else begin : in_order
            assign read_word = element;
        end
    endgenerate

    always @(posedge clock) begin
        if (step || ready)
            held <= step;
        if (step) begin
            index <= next_index;
            index_pass <= pass;
        end
        case (state)
        IDLE: begin
            element <= 0;
            pass <= 0;
            channel <= 0;
            next_index <= FIRST_INDEX;
            held <= 1'b0;
            drain <= 3'd7;
            if (start)
                state <= PERMUTED != 0 ? FETCH : RUN;
        end
        FETCH:
            state <= RUN;
        RUN:
            if (step) begin
                pass <= pass_ends ? {PASS_BITS{1'b0}} : pass + 1'b1;
                if (pass_ends) begin
                    element <= element + 1'b1;
                    channel <= channel_ends ? {CHANNEL_BITS{1'b0}} : channel + 1'b1;
                    next_index <= next_index + (channel_ends ? GAP : {{INDEX_BITS-1{1'b0}}, 1'b1});
                    if (element == LAST[WORD_BITS-1:0])
                        state <= FLUSH;
                    else if (PERMUTED != 0)
                        state <= FETCH;
                end
            end
        FLUSH:
            if (ready && !held) begin
                drain <= drain - 1'b1;
                if (drain == 3'd0)
                    state <= IDLE;
            end
        default:
            state <= IDLE;
        endcase
        if (reset) begin
            state <= IDLE;
            held <= 1'b0;
        end
    end
endmodule
