// A memory that is filled from a file and never written: weights, multipliers and biases, theta tables.
// The word read is held until the next read.
module pbit_rom #(
    parameter WIDTH = 8,
    parameter WORDS = 2,
    parameter ADDRESS_BITS = 1,
    parameter FILE = "rom.mem"
) (
    input wire clock,
    input wire read,
    input wire [ADDRESS_BITS-1:0] address,
    output reg [WIDTH-1:0] data
);
    reg [WIDTH-1:0] memory [0:WORDS-1];

    initial $readmemh(FILE, memory);

    always @(posedge clock)
        if (read)
            data <= memory[address];
endmodule
