// Takes images, runs the stages in order, and holds the registers.
//
//   address  register
//   0        "PBIT"
//   1        bit 0: start. Images are taken while it is 1; one that has begun is always finished
//   2        T, 1..MAX_SAMPLES
//   3, 4     seed, low and high word
//   5, 6     number of the next image, low and high word; counts up
//   7        status: bit 0 busy; bit 1 an image had the wrong length (TLAST early: it was dropped; TLAST missing: it
//            was taken); bit 2 a T out of range was refused. Writing clears bits 1 and 2
//   8        cycles that the last image took, without those of the streams
//   9, 10    MAX_SAMPLES, m
//
// T, seed and number count for the image whose first byte comes after they are written. Registers are read one
// cycle after the address.
module pbit_control #(
    parameter BYTES = 784,              // of an image
    parameter BYTE_BITS = 10,
    parameter STAGES = 1,
    parameter STAGE_BITS = 1,
    parameter FIRST_RANDOM = 0,         // stages before this one run once per image
    parameter TILE = 1,
    parameter PASS_BITS = 1,
    parameter MAX_SAMPLES = 1,
    parameter SAMPLES = 1,              // T after reset
    parameter DRAWS = 1
) (
    input wire clock,
    input wire reset,
    input wire register_write,
    input wire [3:0] register_address,
    input wire [31:0] register_write_data,
    output reg [31:0] register_read_data,
    input wire in_valid,
    output wire in_ready,
    input wire in_last,
    output wire in_write,               // of byte in_index
    output reg [BYTE_BITS-1:0] in_index,
    output reg seed_start,
    output reg [63:0] seed,
    output reg [63:0] image,
    input wire seed_done,
    output reg [STAGES-1:0] start,
    input wire [STAGES-1:0] done,
    output reg [15:0] first_pass,       // of the tile
    output wire [PASS_BITS-1:0] last_pass, // in the tile
    output reg send,
    input wire sent
);
    localparam [2:0] LOAD = 0, ONCE = 1, WAIT = 2, TILES = 3, SEND = 4;
    localparam [31:0] LAST_BYTE = BYTES - 1;
    localparam [31:0] LAST_ONCE = FIRST_RANDOM - 1;
    localparam [31:0] LAST_STAGE = STAGES - 1;
    localparam [31:0] FIRST = FIRST_RANDOM;
    localparam [31:0] TILE_WORD = TILE;
    localparam [31:0] LIMIT = MAX_SAMPLES;
    localparam [31:0] DEFAULT = SAMPLES;
    localparam [31:0] M = DRAWS;
    localparam [STAGES-1:0] ONE = 1;

    reg [2:0] state;
    reg run, wrong_length, wrong_samples;
    reg [15:0] samples, samples_left;
    reg [63:0] next_seed, next_image;
    reg [31:0] cycles, last_cycles;
    reg [STAGE_BITS-1:0] stage;

    wire take = in_valid && in_ready;
    wire byte_is_last = in_index == LAST_BYTE[BYTE_BITS-1:0];
    wire byte_is_first = in_index == {BYTE_BITS{1'b0}};
    wire stage_done = |done;
    wire tile_is_last = samples_left <= TILE_WORD[15:0];
    wire [15:0] last_of_tile = (tile_is_last ? samples_left : TILE_WORD[15:0]) - 1'b1;

    assign in_ready = state == LOAD && (run || !byte_is_first);
    assign in_write = take;
    assign last_pass = last_of_tile[PASS_BITS-1:0];

    generate
        if (PASS_BITS < 16) begin : short
            wire unused = &{1'b0, last_of_tile[15:PASS_BITS]};
        end
    endgenerate

    always @(posedge clock) begin
        start <= 0;
        seed_start <= 1'b0;
        send <= 1'b0;
        if (state == ONCE || state == WAIT || state == TILES)
            cycles <= cycles + 1'b1;
        case (state)
        LOAD:
            if (take) begin
                in_index <= in_index + 1'b1;
                if (byte_is_first) begin
                    seed <= next_seed;
                    image <= next_image;
                    samples_left <= samples;
                end
                if (byte_is_last) begin
                    in_index <= 0;
                    next_image <= next_image + 1'b1;
                    cycles <= 0;
                    first_pass <= 0;
                    stage <= 0;
                    seed_start <= 1'b1;
                    if (FIRST_RANDOM > 0) begin
                        start[0] <= 1'b1;
                        state <= ONCE;
                    end else begin
                        state <= WAIT;
                    end
                end else if (in_last) begin
                    in_index <= 0;
                end
            end
        ONCE:
            if (stage_done) begin
                stage <= stage + 1'b1;
                start <= ONE << (stage + 1'b1);
                if (stage == LAST_ONCE[STAGE_BITS-1:0]) begin
                    start <= 0;
                    state <= WAIT;
                end
            end
        WAIT: // for the seeds
            if (seed_done && !seed_start) begin
                stage <= FIRST[STAGE_BITS-1:0];
                start <= ONE << FIRST_RANDOM;
                state <= TILES;
            end
        TILES:
            if (stage_done) begin
                stage <= stage + 1'b1;
                start <= ONE << (stage + 1'b1);
                if (stage == LAST_STAGE[STAGE_BITS-1:0]) begin
                    stage <= FIRST[STAGE_BITS-1:0];
                    start <= ONE << FIRST_RANDOM;
                    first_pass <= first_pass + TILE_WORD[15:0];
                    samples_left <= samples_left - TILE_WORD[15:0];
                    if (tile_is_last) begin
                        start <= 0;
                        send <= 1'b1;
                        last_cycles <= cycles + 1'b1;
                        state <= SEND;
                    end
                end
            end
        SEND:
            if (sent)
                state <= LOAD;
        default:
            state <= LOAD;
        endcase

        if (register_write)
            case (register_address)
            4'd1: run <= register_write_data[0];
            4'd2:
                if (register_write_data == 32'd0 || register_write_data > LIMIT)
                    wrong_samples <= 1'b1;
                else
                    samples <= register_write_data[15:0];
            4'd3: next_seed[31:0] <= register_write_data;
            4'd4: next_seed[63:32] <= register_write_data;
            4'd5: next_image[31:0] <= register_write_data;
            4'd6: next_image[63:32] <= register_write_data;
            4'd7: begin
                wrong_length <= 1'b0;
                wrong_samples <= 1'b0;
            end
            default: ;
            endcase
        if (take && in_last != byte_is_last)
            wrong_length <= 1'b1;

        case (register_address)
        4'd0: register_read_data <= 32'h50424954;
        4'd1: register_read_data <= {31'd0, run};
        4'd2: register_read_data <= {16'd0, samples};
        4'd3: register_read_data <= next_seed[31:0];
        4'd4: register_read_data <= next_seed[63:32];
        4'd5: register_read_data <= next_image[31:0];
        4'd6: register_read_data <= next_image[63:32];
        4'd7: register_read_data <= {29'd0, wrong_samples, wrong_length, state != LOAD || !byte_is_first};
        4'd8: register_read_data <= last_cycles;
        4'd9: register_read_data <= LIMIT;
        4'd10: register_read_data <= M;
        default: register_read_data <= 32'd0;
        endcase

        if (reset) begin
            state <= LOAD;
            start <= 0;
            seed_start <= 1'b0;
            send <= 1'b0;
            in_index <= 0;
            run <= 1'b0;
            samples <= DEFAULT[15:0];
            next_seed <= 0;
            next_image <= 0;
            wrong_length <= 1'b0;
            wrong_samples <= 1'b0;
            cycles <= 0;
            last_cycles <= 0;
        end
    end
endmodule
