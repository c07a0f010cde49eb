// Draws: a level for each P (FORMAT.md, sections 4 and 5, the stratified sampler). One element per cycle, three
// cycles later. KIND 0: p-bits with amplitude rho; KIND 1: 8-bit activations with additive noise of AMPLITUDE,
// or none.
module pbit_draw #(
    parameter KIND = 0,
    parameter LEVELS = 1,
    parameter LEVEL_BITS = 1,
    parameter [16:0] AMPLITUDE = 256,
    parameter INDEX_BITS = 6,
    parameter PASS_BITS = 1
) (
    input wire clock,
    input wire reset,
    input wire seed_write,
    input wire [4:0] seed_lane,
    input wire [31:0] seed,
    input wire [15:0] first_pass,   // of the tile
    input wire [PASS_BITS-1:0] last_pass,
    input wire valid,
    input wire [INDEX_BITS-1:0] index,
    input wire [PASS_BITS-1:0] pass,
    input wire [16:0] probability,
    output reg out_valid,
    output reg [INDEX_BITS-1:0] out_index,
    output reg [PASS_BITS-1:0] out_pass,
    output wire [LEVEL_BITS-1:0] level
);
    reg valid_1, valid_2;
    reg [INDEX_BITS-1:0] index_1, index_2;
    reg [PASS_BITS-1:0] pass_1, pass_2;
    reg [16:0] probability_1, probability_2;

    always @(posedge clock) begin
        valid_1 <= valid && !reset;
        valid_2 <= valid_1 && !reset;
        out_valid <= valid_2 && !reset;
        index_1 <= index;
        index_2 <= index_1;
        out_index <= index_2;
        pass_1 <= pass;
        pass_2 <= pass_1;
        out_pass <= pass_2;
        probability_1 <= probability;
        probability_2 <= probability_1;
    end

    generate
        if (KIND == 1 && AMPLITUDE == 17'd0) begin : exact
            wire unused = &{1'b0, seed_write, seed_lane, seed, first_pass, last_pass};
            pbit_multibit value (.clock(clock), .probability({2'b00, probability_2}), .level(level));
        end else begin : draws
            wire [15:0] word;
            wire [15:0] sample = first_pass | {{16-PASS_BITS{1'b0}}, pass_1};
            wire [15:0] order = {sample[0], sample[1], sample[2], sample[3], sample[4], sample[5], sample[6],
                                 sample[7], sample[8], sample[9], sample[10], sample[11], sample[12], sample[13],
                                 sample[14], sample[15]};
            wire [15:0] v = order ^ word;
            wire [32:0] centered = {{18{~v[15]}}, v[14:0]}; // v - 32768
            wire [32:0] scaled;

            pbit_lanes #(.INDEX_BITS(INDEX_BITS)) lanes (
                .clock(clock), .seed_write(seed_write), .seed_lane(seed_lane), .seed(seed), .request(valid),
                .last(pass == last_pass), .index(index), .random(word));
            pbit_scale #(.BITS(33), .FACTOR(AMPLITUDE)) amplitude (.in(centered), .out(scaled));

            if (KIND == 0) begin : pbits
                reg [15:0] offset;
                wire unused = &{1'b0, scaled[32:24], scaled[7:0]};
                always @(posedge clock)
                    offset <= {~scaled[23], scaled[22:8]};
                pbit_neuron #(.LEVELS(LEVELS), .LEVEL_BITS(LEVEL_BITS)) neuron (
                    .clock(clock), .offset(offset), .probability(probability_2), .level(level));
            end else begin : noisy
                reg [18:0] noise;
                wire unused = &{1'b0, scaled[14:0]};
                always @(posedge clock)
                    noise <= {scaled[32], scaled[32:15]};
                pbit_multibit value (.clock(clock), .probability({2'b00, probability_2} + noise), .level(level));
            end
        end
    endgenerate
endmodule
