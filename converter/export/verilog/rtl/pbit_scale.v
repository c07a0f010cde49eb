// Times a constant, as a sum of shifted terms: never a multiplier block.
module pbit_scale #(
    parameter BITS = 16,            // in and out, signed; the product must fit
    parameter [16:0] FACTOR = 256   // 0..65536
) (
    input wire [BITS-1:0] in,
    output reg [BITS-1:0] out
);
    integer i;

    always @* begin
        out = {BITS{1'b0}};
        for (i = 0; i < 17; i = i + 1)
            if (FACTOR[i])
                out = out + (in << i);
    end
endmodule
