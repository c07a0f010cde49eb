// What a p-bit costs without the shared tables: an LFSR of its own, a sigmoid table of 256 levels of 8 bits and a
// comparator. Only for comparison with pbit_neuron; a network of these would not give libpbit's bits.
module lfsr_neuron #(
    parameter [31:0] SEED = 32'h9E3779B9
) (
    input wire clock,
    input wire reset,
    input wire [15:0] z,                // signed, 12 fractional bits: -8..8
    output reg level
);
    reg [31:0] lfsr;
    reg [7:0] table_memory [0:255];
    reg [7:0] probability;

    initial $readmemh("sigmoid.mem", table_memory);

    always @(posedge clock) begin
        lfsr <= reset ? SEED : {lfsr[30:0], lfsr[31] ^ lfsr[21] ^ lfsr[1] ^ lfsr[0]};
        probability <= table_memory[{~z[15], z[14:8]}];
        level <= lfsr[7:0] < probability;
    end
endmodule
