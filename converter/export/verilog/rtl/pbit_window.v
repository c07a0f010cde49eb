// Walks over the input of a convolution: which word to read for every output position, position under a fused
// pooling window, and tap of the kernel. Addresses are sums of constant steps, no multiplication; outside of
// the image they mean nothing and `in_image` is 0.
//
// A "step" is what to add when a counter moves on (NEXT) or wraps while the one around it moves on (WRAP),
// modulo 2^WORD_BITS for addresses and 2^Y_BITS, 2^X_BITS for coordinates.
module pbit_window #(
    parameter WORD_BITS = 4,
    parameter Y_BITS = 4,               // of a coordinate, negative ones included
    parameter X_BITS = 4,
    parameter PADDED = 0,               // some taps fall outside
    parameter HEIGHT = 4,
    parameter WIDTH = 4,
    parameter COLUMNS = 4,              // output positions of a row
    parameter TAP_ROWS = 1,             // of the fused pooling window
    parameter TAP_COLUMNS = 1,
    parameter KERNEL_COLUMNS = 1,
    parameter WORDS = 1,                // of a pixel, in this group of channels
    parameter COUNTER_BITS = 4,
    parameter [WORD_BITS-1:0] FIRST = 0,
    parameter [Y_BITS-1:0] FIRST_Y = 0,
    parameter [X_BITS-1:0] FIRST_X = 0,
    parameter [WORD_BITS-1:0] POSITION_NEXT = 0,
    parameter [WORD_BITS-1:0] POSITION_WRAP = 0,
    parameter [Y_BITS-1:0] POSITION_Y = 0,
    parameter [X_BITS-1:0] POSITION_X = 0,
    parameter [WORD_BITS-1:0] TAP_NEXT = 0,
    parameter [WORD_BITS-1:0] TAP_WRAP = 0,
    parameter [Y_BITS-1:0] TAP_Y = 0,
    parameter [X_BITS-1:0] TAP_X = 0,
    parameter [WORD_BITS-1:0] KERNEL_NEXT = 0,
    parameter [WORD_BITS-1:0] KERNEL_WRAP = 0,
    parameter [Y_BITS-1:0] KERNEL_Y = 0,
    parameter [X_BITS-1:0] KERNEL_X = 0
) (
    input wire clock,
    input wire first_position,          // each of these four prepares the next cycle
    input wire next_position,
    input wire next_tap,
    input wire next_word,
    input wire rewind,                  // to the first tap of the position
    input wire restart,                 // to the first word of the tap
    input wire [WORD_BITS-1:0] offset,  // of the group of channels
    output wire [WORD_BITS-1:0] word,
    output wire in_image
);
    localparam [31:0] LAST_COLUMN = COLUMNS - 1;
    localparam [31:0] LAST_TAP_COLUMN = TAP_COLUMNS - 1;
    localparam [31:0] LAST_KERNEL_COLUMN = KERNEL_COLUMNS - 1;
    localparam [31:0] LAST_WORD = WORDS - 1;

    // ---- output positions
    reg [COUNTER_BITS-1:0] column;
    reg [WORD_BITS-1:0] position;
    reg [Y_BITS-1:0] position_y;
    reg [X_BITS-1:0] position_x;
    wire column_wraps = column == LAST_COLUMN[COUNTER_BITS-1:0];

    always @(posedge clock)
        if (first_position) begin
            column <= 0;
            position <= FIRST;
            position_y <= FIRST_Y;
            position_x <= FIRST_X;
        end else if (next_position) begin
            column <= column_wraps ? {COUNTER_BITS{1'b0}} : column + 1'b1;
            position <= position + (column_wraps ? POSITION_WRAP : POSITION_NEXT);
            position_y <= column_wraps ? position_y + POSITION_Y : position_y;
            position_x <= column_wraps ? FIRST_X : position_x + POSITION_X;
        end

    // ---- positions of the convolution under the pooling window
    reg [COUNTER_BITS-1:0] tap_column;
    reg [WORD_BITS-1:0] tap;
    reg [Y_BITS-1:0] tap_y;
    reg [X_BITS-1:0] tap_x;
    wire tap_wraps = tap_column == LAST_TAP_COLUMN[COUNTER_BITS-1:0];

    generate
        if (TAP_ROWS * TAP_COLUMNS == 1) begin : one_tap
            wire unused = &{1'b0, next_tap, rewind, tap_wraps, TAP_NEXT, TAP_WRAP, TAP_Y, TAP_X};
            always @* begin
                tap_column = {COUNTER_BITS{1'b0}};
                tap = position;
                tap_y = position_y;
                tap_x = position_x;
            end
        end else begin : taps
            always @(posedge clock)
                if (rewind) begin
                    tap_column <= 0;
                    tap <= position;
                    tap_y <= position_y;
                    tap_x <= position_x;
                end else if (next_tap) begin
                    tap_column <= tap_wraps ? {COUNTER_BITS{1'b0}} : tap_column + 1'b1;
                    tap <= tap + (tap_wraps ? TAP_WRAP : TAP_NEXT);
                    tap_y <= tap_wraps ? tap_y + TAP_Y : tap_y;
                    tap_x <= tap_wraps ? position_x : tap_x + TAP_X;
                end
        end
    endgenerate

    // ---- taps of the kernel and words of a pixel
    reg [COUNTER_BITS-1:0] pixel_word, kernel_column;
    reg [WORD_BITS-1:0] place;
    reg [Y_BITS-1:0] y;
    reg [X_BITS-1:0] x;
    wire word_wraps = pixel_word == LAST_WORD[COUNTER_BITS-1:0];
    wire kernel_wraps = kernel_column == LAST_KERNEL_COLUMN[COUNTER_BITS-1:0];

    always @(posedge clock)
        if (restart) begin
            pixel_word <= 0;
            kernel_column <= 0;
            place <= tap + offset;
            y <= tap_y;
            x <= tap_x;
        end else if (next_word) begin
            pixel_word <= word_wraps ? {COUNTER_BITS{1'b0}} : pixel_word + 1'b1;
            if (word_wraps) begin
                kernel_column <= kernel_wraps ? {COUNTER_BITS{1'b0}} : kernel_column + 1'b1;
                place <= place + (kernel_wraps ? KERNEL_WRAP : KERNEL_NEXT);
                y <= kernel_wraps ? y + KERNEL_Y : y;
                x <= kernel_wraps ? tap_x : x + KERNEL_X;
            end else begin
                place <= place + 1'b1;
            end
        end

    assign word = place;
    generate
        if (PADDED != 0) begin : padded
            localparam [31:0] ROWS = HEIGHT;
            localparam [31:0] PIXELS = WIDTH;
            assign in_image = y < ROWS[Y_BITS-1:0] && x < PIXELS[X_BITS-1:0]; // negative ones are large
        end else begin : whole
            wire unused = &{1'b0, y, x};
            assign in_image = 1'b1;
        end
    endgenerate
endmodule
