// One neuron's accumulator of the deterministic twin: pbit_pe with a multiplier for each input. A cycle takes
// INPUTS whole levels of LEVEL_BITS bits.
// Step 1: products and adder tree. Step 2: add into the sum. With POOL, `fold` keeps the largest sum of the
// positions under a pooling window.
module mac_pe #(
    parameter INPUTS = 1,
    parameter WEIGHT_BITS = 4,
    parameter BINARY = 0,       // weights are one bit: 0 is -1, 1 is +1
    parameter LEVEL_BITS = 8,   // unsigned
    parameter TOTAL_BITS = 13,  // the products of one word
    parameter SUM_BITS = 24,
    parameter POOL = 0
) (
    input wire clock,
    input wire [INPUTS*WEIGHT_BITS-1:0] weights,
    input wire [INPUTS*LEVEL_BITS-1:0] levels,
    input wire add,             // these belong to step 2
    input wire first_word,      // the sum starts anew
    input wire fold,
    input wire first_fold,
    output wire [SUM_BITS-1:0] sum
);
    localparam FACTOR_BITS = BINARY != 0 ? 2 : WEIGHT_BITS;

    // ---- step 1
    wire [INPUTS*TOTAL_BITS-1:0] products;
    reg signed [TOTAL_BITS-1:0] tree, total;
    integer i;

    genvar n;
    generate
        for (n = 0; n < INPUTS; n = n + 1) begin : synapse
            wire signed [FACTOR_BITS-1:0] weight;
            wire signed [LEVEL_BITS:0] level = {1'b0, levels[n*LEVEL_BITS +: LEVEL_BITS]};
            wire signed [FACTOR_BITS+LEVEL_BITS:0] product = weight * level;
            if (BINARY != 0) begin : sign
                assign weight = {~weights[n*WEIGHT_BITS], 1'b1};
            end else begin : number
                assign weight = weights[n*WEIGHT_BITS +: WEIGHT_BITS];
            end
            assign products[n*TOTAL_BITS +: TOTAL_BITS] =
                {{TOTAL_BITS-FACTOR_BITS-LEVEL_BITS{product[FACTOR_BITS+LEVEL_BITS]}},
                 product[FACTOR_BITS+LEVEL_BITS-1:0]};
        end
    endgenerate

    always @* begin
        tree = {TOTAL_BITS{1'b0}};
        for (i = 0; i < INPUTS; i = i + 1)
            tree = tree + products[i*TOTAL_BITS +: TOTAL_BITS];
    end

    always @(posedge clock)
        total <= tree;

    // ---- step 2
    reg signed [SUM_BITS-1:0] value;

    always @(posedge clock)
        if (add)
            value <= (first_word ? {SUM_BITS{1'b0}} : value) +
                     {{SUM_BITS-TOTAL_BITS{total[TOTAL_BITS-1]}}, total};

    generate
        if (POOL != 0) begin : pool
            reg signed [SUM_BITS-1:0] best;
            always @(posedge clock)
                if (fold && (first_fold || value > best))
                    best <= value;
            assign sum = best;
        end else begin : no_pool
            wire unused = &{1'b0, fold, first_fold};
            assign sum = value;
        end
    endgenerate
endmodule
