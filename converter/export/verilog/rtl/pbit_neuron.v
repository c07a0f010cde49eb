// The p-bit: how many of its LEVELS draws are 1. Draw j is 1 when j * 65536 + offset < LEVELS * probability; with
// one draw that is one comparison, [offset < probability]. `offset` is the neuron's random number, v' in
// FORMAT.md.
module pbit_neuron #(
    parameter LEVELS = 1,
    parameter LEVEL_BITS = 1
) (
    input wire clock,
    input wire [15:0] offset,
    input wire [16:0] probability,  // 0..65536
    output reg [LEVEL_BITS-1:0] level
);
    generate
        if (LEVELS == 1) begin : one_draw
            always @(posedge clock)
                level <= {1'b0, offset} < probability;
        end else begin : several
            localparam SUM_BITS = LEVEL_BITS + 17;
            localparam [16:0] FACTOR = LEVELS;
            wire [SUM_BITS-1:0] scaled;
            wire [SUM_BITS-1:0] sum = scaled + {{SUM_BITS-16{1'b0}}, ~offset}; // 65535 - offset
            wire unused = &{1'b0, sum[SUM_BITS-1], sum[15:0]};
            pbit_scale #(.BITS(SUM_BITS), .FACTOR(FACTOR)) times_levels (
                .in({{SUM_BITS-17{1'b0}}, probability}), .out(scaled));
            always @(posedge clock)
                level <= sum[16 +: LEVEL_BITS];
        end
    endgenerate
endmodule
