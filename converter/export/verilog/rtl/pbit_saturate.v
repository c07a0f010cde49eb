// A signed number in OUT_BITS bits: clamped, or cut where it is known to fit (CLAMP 0).
module pbit_saturate #(
    parameter IN_BITS = 33,
    parameter OUT_BITS = 32,
    parameter CLAMP = 1
) (
    input wire [IN_BITS-1:0] in,
    output wire [OUT_BITS-1:0] out
);
    generate
        if (IN_BITS <= OUT_BITS) begin : longer
            assign out = {{OUT_BITS-IN_BITS+1{in[IN_BITS-1]}}, in[IN_BITS-2:0]};
        end else if (CLAMP == 0) begin : cuts
            wire unused = &{1'b0, in[IN_BITS-1:OUT_BITS]};
            assign out = in[OUT_BITS-1:0];
        end else begin : clamps
            wire outside = in[IN_BITS-1:OUT_BITS-1] != {IN_BITS-OUT_BITS+1{in[IN_BITS-1]}};
            assign out = outside ? {in[IN_BITS-1], {OUT_BITS-1{~in[IN_BITS-1]}}} : in[OUT_BITS-1:0];
        end
    endgenerate
endmodule
