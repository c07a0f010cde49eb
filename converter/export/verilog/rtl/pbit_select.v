// One word out of COUNT, bit by bit: an index times a width that is no power of two would become a shifter.
module pbit_select #(
    parameter WIDTH = 8,
    parameter COUNT = 2,
    parameter SELECT_BITS = 1
) (
    input wire [COUNT*WIDTH-1:0] words,
    input wire [SELECT_BITS-1:0] select,
    output wire [WIDTH-1:0] word
);
    genvar b, w;
    generate
        for (b = 0; b < WIDTH; b = b + 1) begin : place
            wire [COUNT-1:0] column;
            for (w = 0; w < COUNT; w = w + 1) begin : from
                assign column[w] = words[w*WIDTH+b];
            end
            assign word[b] = column[select];
        end
    endgenerate
endmodule
