// The activations between two stages. Written element by element, read LANES elements at a time; each of the
// TILE = 2^TILE_BITS passes has its own copy. Lanes behind the last element stay 0.
module pbit_buffer #(
    parameter WIDTH = 1,
    parameter LANE_BITS = 0,
    parameter WORDS = 2,
    parameter WORD_BITS = 1,
    parameter TILE_BITS = 0,
    parameter PASS_BITS = 1
) (
    input wire clock,
    input wire write,
    input wire [WORD_BITS+LANE_BITS-1:0] write_index,
    input wire [PASS_BITS-1:0] write_pass,
    input wire [WIDTH-1:0] write_data,
    input wire read,
    input wire [WORD_BITS-1:0] read_word,
    input wire [PASS_BITS-1:0] read_pass,
    output reg [(WIDTH<<LANE_BITS)-1:0] read_data
);
    localparam LANES = 1 << LANE_BITS;
    localparam ADDRESS_BITS = WORD_BITS + TILE_BITS;
    localparam DEPTH = WORDS << TILE_BITS;

    reg [WIDTH*LANES-1:0] memory [0:DEPTH-1];
    wire [ADDRESS_BITS-1:0] write_address, read_address;
    wire [LANES-1:0] write_lane;
    integer i;

    initial
        for (i = 0; i < DEPTH; i = i + 1)
            memory[i] = {WIDTH*LANES{1'b0}};

    generate
        if (TILE_BITS == 0) begin : one_pass
            wire unused = &{1'b0, write_pass, read_pass};
            assign write_address = write_index[WORD_BITS+LANE_BITS-1:LANE_BITS];
            assign read_address = read_word;
        end else begin : passes
            assign write_address = {write_index[WORD_BITS+LANE_BITS-1:LANE_BITS], write_pass[TILE_BITS-1:0]};
            assign read_address = {read_word, read_pass[TILE_BITS-1:0]};
        end
        if (LANE_BITS == 0) begin : one_lane
            assign write_lane = write;
        end else begin : lanes
            assign write_lane = {{LANES-1{1'b0}}, write} << write_index[LANE_BITS-1:0];
        end
    endgenerate

    always @(posedge clock) begin
        for (i = 0; i < LANES; i = i + 1)
            if (write_lane[i])
                memory[write_address][i*WIDTH +: WIDTH] <= write_data;
        if (read)
            read_data <= memory[read_address];
    end
endmodule
