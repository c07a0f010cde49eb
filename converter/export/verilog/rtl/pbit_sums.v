// One number per pass, read and written in the same cycle.
module pbit_sums #(
    parameter WIDTH = 16,
    parameter TILE_BITS = 0,
    parameter PASS_BITS = 1
) (
    input wire clock,
    input wire write,
    input wire [PASS_BITS-1:0] pass,
    input wire [WIDTH-1:0] write_data,
    output wire [WIDTH-1:0] read_data
);
    generate
        if (TILE_BITS == 0) begin : one_pass
            wire unused = &{1'b0, pass};
            reg [WIDTH-1:0] value;
            assign read_data = value;
            always @(posedge clock)
                if (write)
                    value <= write_data;
        end else begin : passes
            reg [WIDTH-1:0] values [0:(1<<TILE_BITS)-1];
            assign read_data = values[pass[TILE_BITS-1:0]];
            always @(posedge clock)
                if (write)
                    values[pass[TILE_BITS-1:0]] <= write_data;
        end
    endgenerate
endmodule
