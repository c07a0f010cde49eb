// The neuron of the deterministic twin: an activation from a table of 256 levels over the pre-activations from
// START on, 2^SHIFT apart; outside, the first and the last one. Two cycles, one element per cycle.
module mac_neuron #(
    parameter Z_BITS = 32,
    parameter INDEX_BITS = 1,
    parameter LEVEL_BITS = 8,
    parameter WORK_BITS = 33,           // holds z - START, at least SHIFT + 10
    parameter SHIFT = 12,
    parameter [WORK_BITS-1:0] START = 0,
    parameter TABLE = "table.mem"
) (
    input wire clock,
    input wire reset,
    input wire valid,
    input wire [INDEX_BITS-1:0] index,
    input wire [Z_BITS-1:0] z,
    output reg out_valid,
    output reg [INDEX_BITS-1:0] out_index,
    output wire [LEVEL_BITS-1:0] level
);
    wire [WORK_BITS-1:0] distance = {{WORK_BITS-Z_BITS{z[Z_BITS-1]}}, z} - START;
    wire is_before = distance[WORK_BITS-1];
    wire is_behind = !is_before && |distance[WORK_BITS-2:SHIFT+8];
    reg [7:0] address;
    reg valid_1;
    reg [INDEX_BITS-1:0] index_1;

    generate
        if (SHIFT > 0) begin : rest
            wire unused = &{1'b0, distance[SHIFT-1:0]};
        end
    endgenerate

    always @(posedge clock) begin
        address <= is_before ? 8'd0 : is_behind ? 8'd255 : distance[SHIFT+7:SHIFT];
        index_1 <= index;
        out_index <= index_1;
        valid_1 <= valid && !reset;
        out_valid <= valid_1 && !reset;
    end

    pbit_rom #(.WIDTH(LEVEL_BITS), .WORDS(256), .ADDRESS_BITS(8), .FILE(TABLE)) table_memory (
        .clock(clock), .read(1'b1), .address(address), .data(level));
endmodule
