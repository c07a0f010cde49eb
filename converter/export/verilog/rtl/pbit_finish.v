// From sums to pre-activations: z = sat32(RS(sum * multiplier, SHIFT) + constant), where RS rounds to nearest,
// halves up (FORMAT.md, CONV). LANES sums are multiplied at a time, serially: one bit of the multiplier per
// cycle, least significant first. Then the z of each lane is read out, one per cycle, through `select`.
module pbit_finish #(
    parameter LANES = 1,
    parameter SELECT_BITS = 1,
    parameter SUM_BITS = 16,
    parameter MULTIPLIER_BITS = 16, // unsigned
    parameter CONSTANT_BITS = 16,   // signed
    parameter SHIFT = 8,            // 0..SUM_BITS+MULTIPLIER_BITS
    parameter WIDE_BITS = 32,       // of RS(...) + constant
    parameter Z_BITS = 32,
    parameter CLAMP = 0             // z may leave 32 bits before it is clamped
) (
    input wire clock,
    input wire load,
    input wire [LANES*SUM_BITS-1:0] sums,
    input wire [LANES*(MULTIPLIER_BITS+CONSTANT_BITS)-1:0] parameters, // {constant, multiplier} per lane
    input wire step,
    input wire [SELECT_BITS-1:0] select,
    output wire [Z_BITS-1:0] z
);
    localparam PRODUCT_BITS = SUM_BITS + MULTIPLIER_BITS;
    localparam PARAMETER_BITS = MULTIPLIER_BITS + CONSTANT_BITS;
    localparam KEPT_BITS = WIDE_BITS + 1; // RS needs one bit below the point

    wire [LANES*KEPT_BITS-1:0] kept;
    wire [LANES*CONSTANT_BITS-1:0] constants;

    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : lane
            // The multiplier leaves `low` on the right while the product enters on the left.
            reg signed [SUM_BITS-1:0] factor, high;
            reg [MULTIPLIER_BITS-1:0] low;
            wire signed [SUM_BITS:0] sum = {high[SUM_BITS-1], high} +
                                           (low[0] ? {factor[SUM_BITS-1], factor} : {SUM_BITS+1{1'b0}});
            always @(posedge clock)
                if (load) begin
                    factor <= sums[l*SUM_BITS +: SUM_BITS];
                    high <= {SUM_BITS{1'b0}};
                    low <= parameters[l*PARAMETER_BITS +: MULTIPLIER_BITS];
                end else if (step) begin
                    high <= sum[SUM_BITS:1];
                    low <= {sum[0], low[MULTIPLIER_BITS-1:1]};
                end
            wire [PRODUCT_BITS+WIDE_BITS:0] product = {{WIDE_BITS{high[SUM_BITS-1]}}, high, low, 1'b0};
            wire unused = &{1'b0, product};
            assign kept[l*KEPT_BITS +: KEPT_BITS] = product[SHIFT +: KEPT_BITS];
            assign constants[l*CONSTANT_BITS +: CONSTANT_BITS] =
                parameters[l*PARAMETER_BITS+MULTIPLIER_BITS +: CONSTANT_BITS];
        end
    endgenerate

    wire [KEPT_BITS-1:0] chosen;
    wire [CONSTANT_BITS-1:0] constant;
    generate
        if (LANES == 1) begin : one
            wire unused = &{1'b0, select};
            assign chosen = kept;
            assign constant = constants;
        end else begin : several
            pbit_select #(.WIDTH(KEPT_BITS), .COUNT(LANES), .SELECT_BITS(SELECT_BITS)) choose_product (
                .words(kept), .select(select), .word(chosen));
            pbit_select #(.WIDTH(CONSTANT_BITS), .COUNT(LANES), .SELECT_BITS(SELECT_BITS)) choose_constant (
                .words(constants), .select(select), .word(constant));
        end
    endgenerate

    // Modulo 2^WIDE_BITS, which is exact where the result is known to fit.
    wire [CONSTANT_BITS+WIDE_BITS-1:0] long_constant = {{WIDE_BITS{constant[CONSTANT_BITS-1]}}, constant};
    wire unused = &{1'b0, long_constant};
    wire [WIDE_BITS-1:0] wide =
        chosen[KEPT_BITS-1:1] + long_constant[WIDE_BITS-1:0] + {{WIDE_BITS-1{1'b0}}, chosen[0]};

    pbit_saturate #(.IN_BITS(WIDE_BITS), .OUT_BITS(Z_BITS), .CLAMP(CLAMP)) saturate (.in(wide), .out(z));
endmodule
