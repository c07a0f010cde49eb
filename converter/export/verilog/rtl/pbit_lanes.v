// The random numbers of one layer: 32 xorshift32 lanes (FORMAT.md, section 4). Neuron i takes lane i mod 32; its
// random word is the same in all passes, so the lane steps on with the last pass of the tile, and starts again
// from its seed in the next tile. The word leaves one cycle after the request.
module pbit_lanes #(
    parameter INDEX_BITS = 6
) (
    input wire clock,
    input wire seed_write,
    input wire [4:0] seed_lane,
    input wire [31:0] seed,
    input wire request,
    input wire last,                // of this neuron
    input wire [INDEX_BITS-1:0] index,
    output wire [15:0] random
);
    reg [31:0] states [0:63];       // 0..31 seeds, 32..63 where the lanes are
    reg [31:0] state;
    reg stepped;
    reg [4:0] lane;
    wire [INDEX_BITS+4:0] long_index = {5'd0, index};
    wire later = |long_index[INDEX_BITS+4:5];
    wire [31:0] a = state ^ state << 13;
    wire [31:0] b = a ^ a >> 17;
    wire [31:0] next = b ^ b << 5;

    assign random = next[31:16];

    always @(posedge clock) begin
        stepped <= request && last;
        lane <= long_index[4:0];
        state <= states[{later, long_index[4:0]}];
        if (seed_write || stepped)
            states[seed_write ? {1'b0, seed_lane} : {1'b1, lane}] <= seed_write ? seed : next;
    end
endmodule
