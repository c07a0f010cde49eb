// Seeds the lanes of every layer that draws (FORMAT.md, section 4): the finalizer of MurmurHash3 over seed, image
// number and layer. Its multiplications by constants are serial, one bit per cycle. The layers come one after
// the other, 32 lanes each.
module pbit_seed #(
    parameter LAYERS = 1,
    parameter LAYER_BITS = 1,
    parameter [32*LAYERS-1:0] NUMBERS = 0   // the layer numbers of the file, first one lowest
) (
    input wire clock,
    input wire reset,
    input wire start,
    input wire [63:0] seed,
    input wire [63:0] image,
    output wire done,                       // stays 1 until the next start
    output wire write,
    output wire [LAYERS-1:0] write_layer,   // one-hot
    output wire [4:0] write_lane,
    output wire [31:0] write_seed
);
    localparam [2:0] IDLE = 0, BEGIN = 1, FIRST = 2, SECOND = 3, END = 4;
    localparam [31:0] STEP = 32'h9E3779B9, FACTOR_1 = 32'h85EBCA6B, FACTOR_2 = 32'hC2B2AE35;
    localparam [LAYERS-1:0] FIRST_LAYER = 1;
    localparam [31:0] LAST_LAYER = LAYERS - 1;

    reg [2:0] state;
    reg [5:0] word;                         // 0..3 seed and image, 4 layer, 5 pass (0), 6..37 lanes
    reg [LAYER_BITS-1:0] layer;
    reg [LAYERS-1:0] layer_is;
    reg [32*LAYERS-1:0] numbers;
    reg [4:0] bit_number;
    reg [31:0] common;                      // hash of seed and image
    reg [31:0] hash;                        // what the next word is mixed into
    reg [31:0] x, product, factor;
    reg [31:0] mixed;

    wire [5:0] lane = word - 6'd6;
    wire unused = lane[5];
    wire [31:0] sum = (product << 1) + (factor[31] ? x : 32'd0);
    wire [31:0] folded = sum ^ sum >> (state == FIRST ? 13 : 16);

    always @*
        case (word)
        6'd0: mixed = seed[31:0];
        6'd1: mixed = seed[63:32];
        6'd2: mixed = image[31:0];
        6'd3: mixed = image[63:32];
        6'd4: mixed = numbers[31:0];
        6'd5: mixed = 32'd0;
        default: mixed = {27'd0, lane[4:0]};
        endcase

    wire [31:0] entered = (hash ^ mixed) + STEP;

    assign done = state == IDLE;
    assign write = state == END && word >= 6'd6;
    assign write_lane = lane[4:0];
    assign write_layer = layer_is;
    assign write_seed = x == 32'd0 ? STEP : x;

    always @(posedge clock) begin
        case (state)
        IDLE:
            if (start) begin
                word <= 0;
                layer <= 0;
                layer_is <= FIRST_LAYER;
                numbers <= NUMBERS;
                hash <= 0;
                state <= BEGIN;
            end
        BEGIN: begin
            x <= entered ^ entered >> 16;
            product <= 0;
            factor <= FACTOR_1;
            bit_number <= 0;
            state <= FIRST;
        end
        FIRST, SECOND: begin
            product <= sum;
            factor <= factor << 1;
            bit_number <= bit_number + 1'b1;
            if (bit_number == 5'd31) begin
                x <= folded;
                product <= 0;
                factor <= FACTOR_2;
                state <= state == FIRST ? SECOND : END;
            end
        end
        END: begin
            if (word < 6'd6)
                hash <= x;
            if (word == 6'd3)
                common <= x;
            word <= word + 1'b1;
            state <= BEGIN;
            if (word == 6'd37) begin
                word <= 6'd4;
                layer <= layer + 1'b1;
                layer_is <= layer_is << 1;
                numbers <= numbers >> 32;
                hash <= common;
                if (layer == LAST_LAYER[LAYER_BITS-1:0])
                    state <= IDLE;
            end
        end
        default:
            state <= IDLE;
        endcase
        if (reset)
            state <= IDLE;
    end
endmodule
