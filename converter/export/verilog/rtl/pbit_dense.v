// The walk over the input of a dense layer: all words in a row. Stands where pbit_window stands for
// convolutions.
module pbit_dense #(
    parameter WORD_BITS = 4
) (
    input wire clock,
    input wire restart,
    input wire next_word,
    output reg [WORD_BITS-1:0] word
);
    always @(posedge clock)
        if (restart)
            word <= 0;
        else if (next_word)
            word <= word + 1'b1;
endmodule
