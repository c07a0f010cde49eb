// P of a pre-activation: the probability, in units of 2^-16, with which a p-bit is 1 (FORMAT.md, NEURON).
//   FUNCTION 0, linear: clamp(z, 0, 65536). No memory, no cycle.
//   FUNCTION 1, theta: P is the number of u with theta(u) < z: no activation is computed. A binary search over
//     the table (8 steps) finds the segment, a serial division (8 steps) the place in it.
//     Table: 256 words {theta[h+1] - theta[h], theta[h]}. 19 cycles per element.
//   FUNCTION 2, curve: the segment's start plus its rise times the place in it, serially; CURVE_SHIFT + 3
//     cycles. Table: {p[i+1] - p[i], p[i]} per segment, then {0, p[segments]}.
// `ready` is 1 when the next element may come.
module pbit_activation #(
    parameter FUNCTION = 0,
    parameter Z_BITS = 32,
    parameter INDEX_BITS = 1,
    parameter PASS_BITS = 1,
    parameter START_BITS = 18,          // of the table's starts (theta: signed)
    parameter RISE_BITS = 18,           // of its rises (theta: unsigned, curve: signed)
    parameter WORK_BITS = 34,           // theta: more than Z_BITS and START_BITS; curve: of z - CURVE_START
    parameter TABLE_WORDS = 256,
    parameter TABLE_ADDRESS_BITS = 8,
    parameter CURVE_SHIFT = 8,
    parameter CURVE_STEP_BITS = 4,
    parameter [WORK_BITS-1:0] CURVE_START = 0,
    parameter TABLE = "theta.mem"
) (
    input wire clock,
    input wire reset,
    output wire ready,
    input wire valid,
    input wire [INDEX_BITS-1:0] index,
    input wire [PASS_BITS-1:0] pass,
    input wire [Z_BITS-1:0] z,
    output wire out_valid,
    output wire [INDEX_BITS-1:0] out_index,
    output wire [PASS_BITS-1:0] out_pass,
    output wire [16:0] probability
);
    generate
        if (FUNCTION == 0) begin : linear
            wire unused = &{1'b0, clock, reset};
            wire signed [Z_BITS-1:0] value = z;
            assign ready = 1'b1;
            assign out_valid = valid;
            assign out_index = index;
            assign out_pass = pass;
            if (Z_BITS <= 17) begin : narrow
                assign probability = value[Z_BITS-1] ? 17'd0 : {{18-Z_BITS{1'b0}}, value[Z_BITS-2:0]};
            end else begin : wide
                assign probability = value[Z_BITS-1] ? 17'd0 : |value[Z_BITS-2:16] ? 17'd65536 : {1'b0, value[15:0]};
            end
        end else if (FUNCTION == 1) begin : theta
            localparam [1:0] IDLE = 0, SEARCH = 1, DIVIDE = 2, OUT = 3;
            reg [1:0] state;
            reg [3:0] step;
            reg [INDEX_BITS-1:0] held_index;
            reg [PASS_BITS-1:0] held_pass;
            reg signed [WORK_BITS-1:0] held_z;
            reg [7:0] segment, bit_tried;
            reg above;                      // z > theta[0]
            reg [7:0] quotient;
            reg [WORK_BITS-1:0] rest, rise;
            wire [RISE_BITS+START_BITS-1:0] entry;
            wire [WORK_BITS-1:0] entry_rise =
                {{WORK_BITS-RISE_BITS{1'b0}}, entry[RISE_BITS+START_BITS-1:START_BITS]};
            wire signed [WORK_BITS-1:0] entry_start =
                {{WORK_BITS-START_BITS{entry[START_BITS-1]}}, entry[START_BITS-1:0]};
            wire below = entry_start < held_z;          // theta of the segment tried
            wire [7:0] found = below ? segment | bit_tried : segment;
            wire [7:0] next_bit = step == 4'd0 ? 8'h80 : bit_tried >> 1;
            wire [WORK_BITS-1:0] doubled = {rest[WORK_BITS-2:0], 1'b1};
            wire fits = rest[WORK_BITS-1] || doubled >= rise; // beyond theta[256] it always fits

            // Step 0 reads theta[0]; steps 1..8 try one bit of the segment each.
            pbit_rom #(.WIDTH(RISE_BITS+START_BITS), .WORDS(256), .ADDRESS_BITS(8), .FILE(TABLE)) table_memory (
                .clock(clock), .read(1'b1), .address(state == SEARCH ? found | next_bit : 8'd0), .data(entry));

            assign ready = state == IDLE;
            assign out_valid = state == OUT;
            assign out_index = held_index;
            assign out_pass = held_pass;
            // segment * 256 + quotient + 1, and 65536 beyond theta[256], where the division ends with all ones
            assign probability = above ? {1'b0, segment, quotient} + 17'd1 : 17'd0;

            always @(posedge clock) begin
                case (state)
                IDLE: begin
                    held_z <= {{WORK_BITS-Z_BITS{z[Z_BITS-1]}}, z};
                    held_index <= index;
                    held_pass <= pass;
                    segment <= 8'd0;
                    bit_tried <= 8'd0;
                    step <= 4'd0;
                    if (valid)
                        state <= SEARCH;
                end
                SEARCH: begin
                    step <= step + 1'b1;
                    segment <= found;
                    bit_tried <= next_bit;
                    if (step == 4'd0)
                        above <= below;
                    if (step == 4'd0 || below) begin
                        rest <= held_z - entry_start - 1'b1;
                        rise <= entry_rise;
                    end
                    if (step == 4'd8) begin
                        step <= 4'd0;
                        state <= DIVIDE;
                    end
                end
                DIVIDE: begin // (rest * 256 + 255) / rise, limited to 255
                    step <= step + 1'b1;
                    rest <= rest[WORK_BITS-1] ? rest : fits ? doubled - rise : doubled;
                    quotient <= {quotient[6:0], fits};
                    if (step == 4'd7)
                        state <= OUT;
                end
                default:
                    state <= IDLE;
                endcase
                if (reset)
                    state <= IDLE;
            end
        end else begin : curve
            localparam [1:0] IDLE = 0, READ = 1, MULTIPLY = 2, OUT = 3;
            localparam [31:0] LAST = TABLE_WORDS - 1;
            localparam [31:0] LAST_STEP = CURVE_SHIFT - 1;
            localparam SUM_BITS = RISE_BITS + CURVE_SHIFT + 1;
            reg [1:0] state;
            reg [CURVE_STEP_BITS-1:0] step;
            reg [INDEX_BITS-1:0] held_index;
            reg [PASS_BITS-1:0] held_pass;
            reg signed [WORK_BITS-1:0] distance;
            reg [CURVE_SHIFT:0] place;
            reg signed [SUM_BITS-1:0] sum;
            wire [WORK_BITS-CURVE_SHIFT-1:0] segment = distance[WORK_BITS-1:CURVE_SHIFT];
            wire ahead = distance[WORK_BITS-1];
            wire behind = !ahead && segment >= LAST[WORK_BITS-CURVE_SHIFT-1:0];
            wire [RISE_BITS+START_BITS-1:0] entry;
            wire signed [SUM_BITS-1:0] rise =
                {{SUM_BITS-RISE_BITS{entry[RISE_BITS+START_BITS-1]}}, entry[RISE_BITS+START_BITS-1:START_BITS]};
            wire [SUM_BITS-1:0] moved = sum >>> CURVE_SHIFT;
            wire unused = &{1'b0, moved[SUM_BITS-1:17], place[0]};

            pbit_rom #(.WIDTH(RISE_BITS+START_BITS), .WORDS(TABLE_WORDS), .ADDRESS_BITS(TABLE_ADDRESS_BITS),
                       .FILE(TABLE)) table_memory (
                .clock(clock), .read(state == READ),
                .address(ahead ? {TABLE_ADDRESS_BITS{1'b0}} :
                         behind ? LAST[TABLE_ADDRESS_BITS-1:0] : segment[TABLE_ADDRESS_BITS-1:0]), .data(entry));

            assign ready = state == IDLE;
            assign out_valid = state == OUT;
            assign out_index = held_index;
            assign out_pass = held_pass;
            assign probability = entry[16:0] + moved[16:0];

            always @(posedge clock) begin
                case (state)
                IDLE: begin
                    distance <= {{WORK_BITS-Z_BITS{z[Z_BITS-1]}}, z} - CURVE_START;
                    held_index <= index;
                    held_pass <= pass;
                    if (valid)
                        state <= READ;
                end
                READ: begin // before the first start and behind the last one there is no slope
                    place <= ahead || behind ? {CURVE_SHIFT+1{1'b0}} : {distance[CURVE_SHIFT-1:0], 1'b0};
                    sum <= 0;
                    step <= 0;
                    state <= MULTIPLY;
                end
                MULTIPLY: begin // most significant bit first
                    step <= step + 1'b1;
                    place <= place << 1;
                    sum <= (sum <<< 1) + (place[CURVE_SHIFT] ? rise : {SUM_BITS{1'b0}});
                    if (step == LAST_STEP[CURVE_STEP_BITS-1:0])
                        state <= OUT;
                end
                default:
                    state <= IDLE;
                endcase
                if (reset)
                    state <= IDLE;
            end
        end
    endgenerate
endmodule
