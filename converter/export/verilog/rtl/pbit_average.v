// Adds the outputs of all passes (FORMAT.md, section 6) and sends the sums, one 64-bit word each; dividing by T is
// the receiver's.
module pbit_average #(
    parameter ELEMENTS = 10,
    parameter INDEX_BITS = 4,
    parameter Z_BITS = 32,
    parameter SUM_BITS = 48
) (
    input wire clock,
    input wire reset,
    input wire valid,
    input wire first,                   // pass 0: the sum starts anew
    input wire [INDEX_BITS-1:0] index,
    input wire [Z_BITS-1:0] z,
    input wire send,                    // pulse: all passes are in
    output wire sent,
    output wire out_valid,
    input wire out_ready,
    output wire [63:0] out_data,
    output wire out_last
);
    localparam [1:0] IDLE = 0, READ = 1, HOLD = 2;
    localparam [31:0] LAST = ELEMENTS - 1;

    reg [SUM_BITS-1:0] sums [0:ELEMENTS-1];
    reg [SUM_BITS-1:0] read_data, last_sum;
    reg [INDEX_BITS-1:0] index_1, last_index, word;
    reg [SUM_BITS-1:0] z_1;
    reg valid_1, first_1, last_valid;
    reg [1:0] state;

    // An element may come in the next cycle again, before its sum is in memory.
    wire [SUM_BITS-1:0] old = first_1 ? {SUM_BITS{1'b0}} :
                              last_valid && last_index == index_1 ? last_sum : read_data;
    wire [SUM_BITS-1:0] sum = old + z_1;

    assign out_valid = state == HOLD;
    assign out_data = {{64-SUM_BITS{read_data[SUM_BITS-1]}}, read_data};
    assign out_last = word == LAST[INDEX_BITS-1:0];
    assign sent = out_valid && out_ready && out_last;

    always @(posedge clock) begin
        valid_1 <= valid && !reset;
        first_1 <= first;
        index_1 <= index;
        z_1 <= {{SUM_BITS-Z_BITS{z[Z_BITS-1]}}, z};
        last_valid <= valid_1;
        last_index <= index_1;
        last_sum <= sum;
        if (valid_1)
            sums[index_1] <= sum;
        if (valid || state == READ)
            read_data <= sums[state == READ ? word : index];
        case (state)
        IDLE: begin
            word <= 0;
            if (send)
                state <= READ;
        end
        READ:
            state <= HOLD;
        HOLD:
            if (out_ready) begin
                word <= word + 1'b1;
                state <= out_last ? IDLE : READ;
            end
        default:
            state <= IDLE;
        endcase
        if (reset)
            state <= IDLE;
    end
endmodule
