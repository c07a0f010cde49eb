// The classic p-bit, for comparison with pbit_draw: an LFSR of its own, one shift per draw, whose low byte is compared
// with an 8-bit probability out of a table. Its bits are not libpbit's. Two draws in a row share seven of their
// eight bits. One element per cycle, one cycle later.
module lfsr_draw #(
    parameter [31:0] SEED = 1,          // not 0
    parameter INDEX_BITS = 6
) (
    input wire clock,
    input wire reset,
    input wire restart,                 // an image begins
    input wire valid,
    input wire [INDEX_BITS-1:0] index,
    input wire [7:0] probability,       // of 256
    output reg out_valid,
    output reg [INDEX_BITS-1:0] out_index,
    output reg level
);
    reg [31:0] lfsr;

    always @(posedge clock) begin
        out_valid <= valid && !reset;
        out_index <= index;
        level <= lfsr[7:0] < probability;
        if (reset || restart)
            lfsr <= SEED;
        else if (valid)
            lfsr <= {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]};
    end
endmodule
