// A residual: sat32(a + b) of two fixed-point numbers.
module pbit_add #(
    parameter A_BITS = 32,
    parameter B_BITS = 32,
    parameter WIDE_BITS = 33,           // more than either
    parameter Z_BITS = 32,
    parameter CLAMP = 0
) (
    input wire [A_BITS-1:0] a,
    input wire [B_BITS-1:0] b,
    output wire [Z_BITS-1:0] z
);
    wire [WIDE_BITS-1:0] sum = {{WIDE_BITS-A_BITS{a[A_BITS-1]}}, a} + {{WIDE_BITS-B_BITS{b[B_BITS-1]}}, b};

    pbit_saturate #(.IN_BITS(WIDE_BITS), .OUT_BITS(Z_BITS), .CLAMP(CLAMP)) saturate (.in(sum), .out(z));
endmodule
