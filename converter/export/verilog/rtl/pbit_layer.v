// A convolution or dense layer: NEURONS output channels at a time, INPUTS weights of each per cycle.
//
//   for each output position
//     for each block of NEURONS channels
//       for each position under the fused pooling window (TAPS; 1 without)
//         for each word of the fan-in:     one word of weights is read, then used for
//           for each pass of the tile:     one word of levels is read
//             for each bit plane:          one cycle
//         (pooling) keep the largest sums: one cycle per pass
//       for each round of LANES channels:  one cycle
//         for each pass: 1 + MULTIPLIER_BITS cycles, then one per channel that is emitted
//
// Elements leave in the order (round, pass, channel), each when `ready` is 1.
module pbit_layer #(
    parameter NEURONS = 1,
    parameter INPUTS = 1,
    parameter WEIGHT_BITS = 4,
    parameter BINARY = 0,
    parameter MAC = 0,                  // the deterministic twin: whole levels are multiplied, PLANES is 1
    parameter LEVEL_BITS = 1,           // of a level; PLANES without MAC
    parameter PLANES = 1,
    parameter PLANE_BITS = 1,
    parameter TOTAL_BITS = 5,
    parameter PART_BITS = 5,
    parameter SUM_BITS = 16,
    parameter TILE_BITS = 0,
    parameter PASS_BITS = 1,
    parameter WORD_BITS = 4,            // address of a word of levels
    parameter POSITIONS = 1,
    parameter POSITION_BITS = 1,
    parameter TAPS = 1,
    parameter TAP_BITS = 1,
    parameter CHUNKS = 16,              // words of the fan-in
    parameter CHUNK_BITS = 4,
    parameter GROUPS = 1,               // of channels, as in ONNX
    parameter GROUP_CHANNELS = 1,       // outputs of a group
    parameter CHANNEL_BITS = 1,         // counts to GROUP_CHANNELS
    parameter [WORD_BITS-1:0] GROUP_OFFSET = 0,
    parameter INDEX_BITS = 2,           // wider than CHANNEL_BITS
    parameter LANES = 1,
    parameter SELECT_BITS = 1,
    parameter ROUNDS = 1,               // of LANES channels in a block
    parameter ROUND_BITS = 1,
    parameter MULTIPLIER_BITS = 16,
    parameter STEP_BITS = 5,            // counts to MULTIPLIER_BITS
    parameter CONSTANT_BITS = 16,
    parameter SHIFT = 8,
    parameter WIDE_BITS = 40,
    parameter Z_BITS = 32,
    parameter CLAMP = 0,
    parameter WEIGHT_WORDS = 16,
    parameter WEIGHT_ADDRESS_BITS = 4,
    parameter PARAMETER_WORDS = 2,
    parameter PARAMETER_ADDRESS_BITS = 1,
    parameter WEIGHTS = "weights.mem",
    parameter PARAMETERS = "parameters.mem",
    parameter CLASSES = 1,              // more: biases differ at the border
    parameter CLASS_FILE = "classes.mem" // first parameter word of each position
) (
    input wire clock,
    input wire reset,
    input wire start,
    output wire done,
    input wire [PASS_BITS-1:0] last_pass,
    // the walk over the input: pbit_window, or a counter for dense layers
    output wire first_position,
    output wire next_position,
    output wire next_tap,
    output wire next_word,
    output wire rewind,
    output wire restart,
    output wire [WORD_BITS-1:0] offset,
    input wire in_image,
    // the input buffer
    output wire read,
    output wire [PASS_BITS-1:0] read_pass,
    input wire [INPUTS*LEVEL_BITS-1:0] levels,
    // elements
    input wire ready,
    output wire valid,
    output wire [INDEX_BITS-1:0] index,
    output wire [PASS_BITS-1:0] index_pass,
    output wire [Z_BITS-1:0] z
);
    localparam [3:0] IDLE = 0, SETTLE = 1, REWIND = 2, RESTART = 3, RUN = 4, DRAIN = 5, FOLD = 6, FETCH = 7, LOAD = 8,
                     MULTIPLY = 9, EMIT = 10, FLUSH = 11;
    localparam [31:0] LAST_PLANE = PLANES - 1;
    localparam [31:0] LAST_CHUNK = CHUNKS - 1;
    localparam [31:0] LAST_TAP = TAPS - 1;
    localparam [31:0] LAST_ROUND = ROUNDS - 1;
    localparam [31:0] LAST_STEP = MULTIPLIER_BITS - 1;
    localparam [31:0] LAST_POSITION = POSITIONS - 1;
    localparam [31:0] CHANNELS = GROUP_CHANNELS;
    localparam [31:0] FULL_ROUND = LANES;
    localparam [31:0] REST_ROUND = NEURONS - (ROUNDS - 1) * LANES;
    localparam PARAMETER_BITS = LANES * (MULTIPLIER_BITS + CONSTANT_BITS);

    reg [3:0] state;
    reg [PLANE_BITS-1:0] plane;         // counts down
    reg [PASS_BITS-1:0] pass;
    reg [CHUNK_BITS-1:0] chunk;
    reg [TAP_BITS-1:0] tap;
    reg [ROUND_BITS-1:0] round;
    reg [STEP_BITS-1:0] step;
    reg [SELECT_BITS-1:0] lane;
    reg [POSITION_BITS-1:0] position;
    reg [CHANNEL_BITS-1:0] channels_left; // of the group, this round's included
    reg [2:0] drain;
    reg [WEIGHT_ADDRESS_BITS-1:0] weight_base, weight_address;
    reg [PARAMETER_ADDRESS_BITS-1:0] parameter_address;
    reg [INDEX_BITS-1:0] round_index;
    reg begins;                         // the first block of a position
    wire [PARAMETER_ADDRESS_BITS-1:0] class_word;

    wire running = state == RUN;
    wire plane_ends = plane == {PLANE_BITS{1'b0}};
    wire pass_ends = pass == last_pass;
    wire chunk_ends = chunk == LAST_CHUNK[CHUNK_BITS-1:0];
    wire tap_ends = tap == LAST_TAP[TAP_BITS-1:0];
    wire round_is_last = round == LAST_ROUND[ROUND_BITS-1:0];
    wire position_is_last = position == LAST_POSITION[POSITION_BITS-1:0];

    // ---- how many channels this round has
    wire [CHANNEL_BITS-1:0] round_limit =
        round_is_last ? REST_ROUND[CHANNEL_BITS-1:0] : FULL_ROUND[CHANNEL_BITS-1:0];
    wire channels_end = {1'b0, channels_left} <= {1'b0, round_limit};
    wire [CHANNEL_BITS-1:0] live = channels_end ? channels_left : round_limit;
    wire lane_is_last;
    wire block_ends = round_is_last || channels_end;

    // ---- emission
    wire emit = state == EMIT && ready;
    wire round_passes_end = emit && lane_is_last && pass_ends;
    wire block_done = round_passes_end && block_ends;
    wire position_done;

    assign valid = emit;
    assign index_pass = pass;
    assign done = state == FLUSH && ready && drain == 3'd0;

    generate
        if (LANES == 1) begin : one_lane
            wire unused = &{1'b0, lane};
            assign lane_is_last = 1'b1;
            assign index = round_index;
        end else begin : lanes
            wire [CHANNEL_BITS-1:0] last_lane = live - 1'b1;
            assign lane_is_last = {{CHANNEL_BITS-SELECT_BITS+1{1'b0}}, lane} == {1'b0, last_lane};
            assign index = round_index + {{INDEX_BITS-SELECT_BITS{1'b0}}, lane};
        end
    endgenerate

    // ---- the walk
    generate
        if (GROUPS == 1) begin : one_group
            assign position_done = block_done && channels_end;
            assign offset = {WORD_BITS{1'b0}};
        end else begin : groups
            localparam GROUP_BITS = 24;
            localparam [31:0] LAST_GROUP = GROUPS - 1;
            reg [GROUP_BITS-1:0] group;
            reg [WORD_BITS-1:0] group_offset;
            assign offset = group_offset;
            assign position_done = block_done && channels_end && group == LAST_GROUP[GROUP_BITS-1:0];
            always @(posedge clock)
                if (first_position || position_done) begin
                    group <= 0;
                    group_offset <= 0;
                end else if (block_done && channels_end) begin
                    group <= group + 1'b1;
                    group_offset <= group_offset + GROUP_OFFSET;
                end
        end
    endgenerate

    assign first_position = state == IDLE && start;
    assign next_position = position_done;
    assign rewind = state == REWIND;
    assign restart = state == RESTART;
    assign next_word = running && plane_ends && pass_ends;
    assign next_tap = next_word && chunk_ends;

    // ---- control
    always @(posedge clock) begin
        case (state)
        IDLE:
            if (start) begin
                position <= 0;
                round_index <= 0;
                state <= SETTLE;
            end
        SETTLE: begin // a position begins
            weight_base <= 0;
            begins <= 1'b1;
            channels_left <= CHANNELS[CHANNEL_BITS-1:0];
            state <= REWIND;
        end
        REWIND: begin // a block begins
            tap <= 0;
            round <= 0;
            begins <= 1'b0;
            if (begins)
                parameter_address <= class_word;
            state <= RESTART;
        end
        RESTART: begin // a position under the pooling window begins
            plane <= LAST_PLANE[PLANE_BITS-1:0];
            pass <= 0;
            chunk <= 0;
            weight_address <= weight_base;
            drain <= 3'd1;
            state <= RUN;
        end
        RUN: begin
            plane <= plane_ends ? LAST_PLANE[PLANE_BITS-1:0] : plane - 1'b1;
            if (plane_ends) begin
                pass <= pass_ends ? {PASS_BITS{1'b0}} : pass + 1'b1;
                if (pass_ends) begin
                    chunk <= chunk + 1'b1;
                    weight_address <= weight_address + 1'b1;
                    if (chunk_ends)
                        state <= DRAIN;
                end
            end
        end
        DRAIN: begin
            drain <= drain - 1'b1;
            if (drain == 3'd0)
                state <= TAPS > 1 ? FOLD : FETCH;
        end
        FOLD: begin
            pass <= pass_ends ? {PASS_BITS{1'b0}} : pass + 1'b1;
            if (pass_ends) begin
                tap <= tap + 1'b1;
                state <= tap_ends ? FETCH : RESTART;
            end
        end
        FETCH: begin // a round begins: its multipliers and biases are read
            parameter_address <= parameter_address + 1'b1;
            state <= LOAD;
        end
        LOAD: begin
            step <= 0;
            lane <= 0;
            state <= MULTIPLY;
        end
        MULTIPLY: begin
            step <= step + 1'b1;
            if (step == LAST_STEP[STEP_BITS-1:0])
                state <= EMIT;
        end
        EMIT:
            if (ready) begin
                lane <= lane + 1'b1;
                drain <= 3'd7;
                if (lane_is_last) begin
                    pass <= pass_ends ? {PASS_BITS{1'b0}} : pass + 1'b1;
                    state <= LOAD;
                    if (pass_ends) begin
                        round <= round + 1'b1;
                        round_index <= round_index + {{INDEX_BITS-CHANNEL_BITS{1'b0}}, live};
                        channels_left <= channels_end ? CHANNELS[CHANNEL_BITS-1:0] : channels_left - live;
                        state <= FETCH;
                        if (block_ends) begin
                            weight_base <= weight_address;
                            state <= REWIND;
                        end
                        if (position_done) begin
                            position <= position + 1'b1;
                            state <= position_is_last ? FLUSH : SETTLE;
                        end
                    end
                end
            end
        FLUSH: // what was emitted last passes through the stages behind
            if (ready) begin
                drain <= drain - 1'b1;
                if (drain == 3'd0)
                    state <= IDLE;
            end
        default:
            state <= IDLE;
        endcase
        if (reset)
            state <= IDLE;
    end

    // ---- weights and levels: they arrive one cycle after the address
    wire word_begins = running && plane == LAST_PLANE[PLANE_BITS-1:0];
    wire [NEURONS*INPUTS*WEIGHT_BITS-1:0] weights;

    assign read = word_begins;
    assign read_pass = pass;

    pbit_rom #(.WIDTH(NEURONS*INPUTS*WEIGHT_BITS), .WORDS(WEIGHT_WORDS), .ADDRESS_BITS(WEIGHT_ADDRESS_BITS),
               .FILE(WEIGHTS)) weight_memory (
        .clock(clock), .read(word_begins && pass == {PASS_BITS{1'b0}}), .address(weight_address), .data(weights));

    reg valid_1, in_image_1, first_word_1, first_plane_1, last_plane_1;
    reg [PASS_BITS-1:0] pass_1;
    reg first_word_2, first_plane_2, add_2;
    reg [PASS_BITS-1:0] pass_2;
    wire [INPUTS-1:0] bits;

    always @(posedge clock) begin
        valid_1 <= running;
        in_image_1 <= in_image;
        first_word_1 <= chunk == {CHUNK_BITS{1'b0}};
        first_plane_1 <= plane == LAST_PLANE[PLANE_BITS-1:0];
        last_plane_1 <= plane_ends;
        pass_1 <= pass;
        first_word_2 <= first_word_1;
        first_plane_2 <= first_plane_1;
        add_2 <= valid_1 && last_plane_1;
        pass_2 <= pass_1;
    end

    genvar i, n;
    generate
        if (MAC != 0) begin : whole
            assign bits = {INPUTS{1'b0}};
        end else if (PLANES == 1) begin : one_plane
            assign bits = levels & {INPUTS{in_image_1}};
        end else begin : planes
            reg [PLANE_BITS-1:0] plane_1;
            always @(posedge clock)
                plane_1 <= plane;
            for (i = 0; i < INPUTS; i = i + 1) begin : one
                wire [PLANES-1:0] level = levels[i*PLANES +: PLANES];
                assign bits[i] = level[plane_1] && in_image_1;
            end
        end
    endgenerate

    // ---- accumulate
    wire settled = state == FOLD || state == LOAD;
    wire [ROUNDS*LANES*SUM_BITS-1:0] sums;

    generate
        if (MAC != 0) begin : twin
            wire unused = &{1'b0, bits, first_plane_2, pass_2, settled};
            for (n = 0; n < NEURONS; n = n + 1) begin : neuron
                mac_pe #(.INPUTS(INPUTS), .WEIGHT_BITS(WEIGHT_BITS), .BINARY(BINARY), .LEVEL_BITS(LEVEL_BITS),
                         .TOTAL_BITS(TOTAL_BITS), .SUM_BITS(SUM_BITS), .POOL(TAPS > 1 ? 1 : 0)) pe (
                    .clock(clock), .weights(weights[n*INPUTS*WEIGHT_BITS +: INPUTS*WEIGHT_BITS]),
                    .levels(levels & {INPUTS*LEVEL_BITS{in_image_1}}), .add(add_2), .first_word(first_word_2),
                    .fold(state == FOLD), .first_fold(tap == {TAP_BITS{1'b0}}), .sum(sums[n*SUM_BITS +: SUM_BITS]));
            end
        end else for (n = 0; n < NEURONS; n = n + 1) begin : neuron
            pbit_pe #(.INPUTS(INPUTS), .WEIGHT_BITS(WEIGHT_BITS), .BINARY(BINARY), .PLANES(PLANES),
                      .TOTAL_BITS(TOTAL_BITS), .PART_BITS(PART_BITS), .SUM_BITS(SUM_BITS), .TILE_BITS(TILE_BITS),
                      .PASS_BITS(PASS_BITS), .POOL(TAPS > 1 ? 1 : 0)) pe (
                .clock(clock), .weights(weights[n*INPUTS*WEIGHT_BITS +: INPUTS*WEIGHT_BITS]), .bits(bits),
                .first_plane(first_plane_2), .add(add_2), .first_word(first_word_2), .fold(state == FOLD),
                .first_fold(tap == {TAP_BITS{1'b0}}), .pass(settled ? pass : pass_2),
                .sum(sums[n*SUM_BITS +: SUM_BITS]));
        end
        if (ROUNDS * LANES > NEURONS) begin : rest
            assign sums[ROUNDS*LANES*SUM_BITS-1:NEURONS*SUM_BITS] = {(ROUNDS*LANES-NEURONS)*SUM_BITS{1'b0}};
        end
        if (CLASSES > 1) begin : classes
            pbit_rom #(.WIDTH(PARAMETER_ADDRESS_BITS), .WORDS(POSITIONS), .ADDRESS_BITS(POSITION_BITS),
                       .FILE(CLASS_FILE)) class_memory (
                .clock(clock), .read(state == SETTLE), .address(position), .data(class_word));
        end else begin : one_class
            assign class_word = {PARAMETER_ADDRESS_BITS{1'b0}};
        end
    endgenerate

    // ---- finish
    wire [PARAMETER_BITS-1:0] parameters;
    wire [LANES*SUM_BITS-1:0] round_sums;

    generate
        if (ROUNDS == 1) begin : one_round
            assign round_sums = sums;
        end else begin : rounds
            pbit_select #(.WIDTH(LANES*SUM_BITS), .COUNT(ROUNDS), .SELECT_BITS(ROUND_BITS)) choose_round (
                .words(sums), .select(round), .word(round_sums));
        end
    endgenerate

    pbit_rom #(.WIDTH(PARAMETER_BITS), .WORDS(PARAMETER_WORDS), .ADDRESS_BITS(PARAMETER_ADDRESS_BITS),
               .FILE(PARAMETERS)) parameter_memory (
        .clock(clock), .read(state == FETCH), .address(parameter_address), .data(parameters));

    pbit_finish #(.LANES(LANES), .SELECT_BITS(SELECT_BITS), .SUM_BITS(SUM_BITS), .MULTIPLIER_BITS(MULTIPLIER_BITS),
                  .CONSTANT_BITS(CONSTANT_BITS), .SHIFT(SHIFT), .WIDE_BITS(WIDE_BITS), .Z_BITS(Z_BITS),
                  .CLAMP(CLAMP)) finish (
        .clock(clock), .load(state == LOAD), .sums(round_sums), .parameters(parameters), .step(state == MULTIPLY),
        .select(lane), .z(z));
endmodule
