// An 8-bit activation: (255 * P + 32768) >> 16 with P clamped to 0..65536.
module pbit_multibit (
    input wire clock,
    input wire [18:0] probability,  // signed, noise included
    output reg [7:0] level
);
    wire [16:0] clamped = probability[18] ? 17'd0 :
                          probability[17:0] > 18'd65536 ? 17'd65536 : probability[16:0];
    wire [24:0] rounded = {clamped, 8'd0} - {8'd0, clamped} + 25'd32768;
    wire unused = &{1'b0, rounded[24], rounded[15:0]};

    always @(posedge clock)
        level <= rounded[23:16];
endmodule
