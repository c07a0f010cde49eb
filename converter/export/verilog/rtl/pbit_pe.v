// One neuron's accumulator. Each cycle takes one bit plane of INPUTS levels, most significant plane first:
// a bit of 1 adds its weight, so there is no multiplier. The sums of the TILE passes are kept apart.
// Step 1: adder tree. Step 2: shift the planes together, add into the pass's sum. With POOL, `fold` keeps
// the largest sum of the positions under a pooling window.
module pbit_pe #(
    parameter INPUTS = 1,
    parameter WEIGHT_BITS = 4,
    parameter BINARY = 0,       // weights are one bit: 0 is -1, 1 is +1
    parameter PLANES = 1,
    parameter TOTAL_BITS = 4,   // one plane of one word
    parameter PART_BITS = 4,    // all planes of one word
    parameter SUM_BITS = 16,
    parameter TILE_BITS = 0,
    parameter PASS_BITS = 1,
    parameter POOL = 0
) (
    input wire clock,
    input wire [INPUTS*WEIGHT_BITS-1:0] weights,
    input wire [INPUTS-1:0] bits,
    input wire first_plane,     // these belong to step 2
    input wire add,             // last plane: add into the sum
    input wire first_word,      // the sum starts anew
    input wire fold,
    input wire first_fold,
    input wire [PASS_BITS-1:0] pass,
    output wire [SUM_BITS-1:0] sum // of `pass`
);
    // ---- step 1
    reg signed [TOTAL_BITS-1:0] tree, total;
    integer i;

    always @* begin
        tree = {TOTAL_BITS{1'b0}};
        for (i = 0; i < INPUTS; i = i + 1)
            if (BINARY != 0)
                tree = tree + {{TOTAL_BITS-1{bits[i] & ~weights[i*WEIGHT_BITS]}}, bits[i]};
            else
                tree = tree + {{TOTAL_BITS-WEIGHT_BITS{bits[i] & weights[i*WEIGHT_BITS+WEIGHT_BITS-1]}},
                               weights[i*WEIGHT_BITS +: WEIGHT_BITS] & {WEIGHT_BITS{bits[i]}}};
    end

    always @(posedge clock)
        total <= tree;

    // ---- step 2
    wire signed [PART_BITS-1:0] part;
    wire signed [SUM_BITS-1:0] old_sum, new_sum;

    generate
        if (PLANES == 1) begin : one_plane
            wire unused = first_plane;
            assign part = total;
        end else begin : planes
            reg signed [PART_BITS-1:0] held;
            assign part = (first_plane ? {PART_BITS{1'b0}} : held <<< 1) +
                          {{PART_BITS-TOTAL_BITS{total[TOTAL_BITS-1]}}, total};
            always @(posedge clock)
                held <= part;
        end
    endgenerate

    assign new_sum = (first_word ? {SUM_BITS{1'b0}} : old_sum) +
                     {{SUM_BITS-PART_BITS{part[PART_BITS-1]}}, part};

    pbit_sums #(.WIDTH(SUM_BITS), .TILE_BITS(TILE_BITS), .PASS_BITS(PASS_BITS)) sums (
        .clock(clock), .write(add), .pass(pass), .write_data(new_sum), .read_data(old_sum));

    generate
        if (POOL != 0) begin : pool
            wire signed [SUM_BITS-1:0] best;
            wire signed [SUM_BITS-1:0] better = first_fold || old_sum > best ? old_sum : best;
            pbit_sums #(.WIDTH(SUM_BITS), .TILE_BITS(TILE_BITS), .PASS_BITS(PASS_BITS)) maxima (
                .clock(clock), .write(fold), .pass(pass), .write_data(better), .read_data(best));
            assign sum = best;
        end else begin : no_pool
            wire unused = &{1'b0, fold, first_fold};
            assign sum = old_sum;
        end
    endgenerate
endmodule
