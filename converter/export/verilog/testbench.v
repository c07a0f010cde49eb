// Sends the images of vectors/ to @NAME@ and compares every bit of every sum, and the cycles, with what libpbit and
// the plan say. `simulate` builds and runs it. Plusargs: +stall holds both streams up at random, +reset resets in
// the middle of images, +faults sends images of wrong length and values of T out of range in between,
// +images=N sends the first N, +vcd=FILE records all signals, +sums=FILE writes every sum that comes out, one per line.
`timescale 1ns / 1ps

module @NAME@_tb;
    localparam IMAGES = @IMAGES@;       // in vectors/
    localparam BYTES = @BYTES@;
    localparam SUMS = @SUMS@;
    localparam PATIENCE = @PATIENCE@;

    reg [7:0] pixels [0:IMAGES*BYTES-1];
    reg [31:0] cases [0:IMAGES*6-1];    // T, seed low and high, number low and high, cycles
    reg [63:0] sums [0:IMAGES*SUMS-1];
    reg [8*256-1:0] vcd, sums_name;
    integer sums_file;                  // 0: none
    reg stalls, resets, faults;

    reg clock, reset;
    reg register_write;
    reg [3:0] register_address;
    reg [31:0] register_write_data;
    wire [31:0] register_read_data;
    reg in_valid, in_last;
    wire in_ready;
    reg [7:0] in_data;
    wire out_valid, out_last;
    reg out_ready;
    wire [63:0] out_data;

    @NAME@ dut (
        .clock(clock), .reset(reset), .register_write(register_write), .register_address(register_address),
        .register_write_data(register_write_data), .register_read_data(register_read_data),
        .s_axis_tvalid(in_valid), .s_axis_tready(in_ready), .s_axis_tdata(in_data), .s_axis_tlast(in_last),
        .m_axis_tvalid(out_valid), .m_axis_tready(out_ready), .m_axis_tdata(out_data), .m_axis_tlast(out_last));

    initial clock = 1'b0;
    always #5 clock = ~clock;

    // ---- random numbers of the testbench
    reg [31:0] noise;
    always @(posedge clock)
        noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};

    // ---- what comes out
    integer images;                     // how many of them are sent
    integer received, place, wrong;
    integer waited;                     // cycles since anything moved
    always @(posedge clock) begin
        out_ready <= !stalls || noise[7:6] == 2'd0;
        waited <= (in_valid && in_ready) || (out_valid && out_ready) || reset ? 0 : waited + 1;
        if (reset)
            place <= 0;
        else if (out_valid && out_ready) begin
            if (sums_file != 0)
                $fdisplay(sums_file, "%0d", $signed(out_data));
            if (received >= images) begin
                $display("a sum too many");
                wrong = wrong + 1;
            end else if (out_data != sums[received*SUMS+place]) begin
                if (wrong < 10)
                    $display("image %0d, sum %0d: %0d, expected %0d", received, place, $signed(out_data),
                             $signed(sums[received*SUMS+place]));
                wrong = wrong + 1;
            end
            if (out_last != (place == SUMS - 1)) begin
                $display("image %0d: TLAST with sum %0d", received, place);
                wrong = wrong + 1;
            end
            place <= place + 1;
            if (place == SUMS - 1) begin
                // By now the driver waits with the address of the cycle counter.
                if (register_read_data != cases[received*6+5]) begin
                    $display("image %0d: %0d cycles, predicted %0d", received, register_read_data,
                             cases[received*6+5]);
                    wrong = wrong + 1;
                end
                place <= 0;
                received <= received + 1;
            end
        end
        if (waited > PATIENCE) begin
            $display("FAILED: nothing moves, %0d of %0d images done", received, images);
            $finish;
        end
    end

    // ---- what goes in: at falling edges, between those at which the design looks
    integer image, i, length, delay;
    reg taken;

    task write_register(input [3:0] address, input [31:0] data);
        begin
            register_write = 1'b1;
            register_address = address;
            register_write_data = data;
            @(negedge clock);
            register_write = 1'b0;
        end
    endtask

    task check_status(input [31:0] expected, input [8*24-1:0] what);
        begin
            register_address = 4'd7;
            @(negedge clock);
            @(negedge clock);
            @(negedge clock);
            if ((register_read_data & 32'd6) != expected) begin
                $display("image %0d: status %0d after %0s", image, register_read_data, what);
                wrong = wrong + 1;
            end
            write_register(4'd7, 32'd0);
        end
    endtask

    task write_registers;
        begin
            if (faults) begin
                write_register(4'd2, 32'd0);
                write_register(4'd2, 32'd@MAX_SAMPLES@ + 32'd1);
                check_status(32'd4, "a T out of range");
            end
            write_register(4'd2, cases[image*6]);
            write_register(4'd3, cases[image*6+1]);
            write_register(4'd4, cases[image*6+2]);
            write_register(4'd5, cases[image*6+3]);
            write_register(4'd6, cases[image*6+4]);
            write_register(4'd1, 32'd1);
            register_address = 4'd8;
        end
    endtask

    task pulse_reset;
        begin
            reset = 1'b1;
            in_valid = 1'b0;
            @(negedge clock);
            @(negedge clock);
            reset = 1'b0;
            write_registers;
        end
    endtask

    task send_bytes(input integer count, input ends);
        begin
            for (i = 0; i < count; i = i + 1) begin
                while (stalls && noise[2:0] != 3'd0) begin
                    in_valid = 1'b0;
                    @(negedge clock);
                end
                in_valid = 1'b1;
                in_data = pixels[image*BYTES+i];
                in_last = ends && i == count - 1;
                taken = 1'b0;
                while (!taken) begin
                    taken = in_ready;
                    @(negedge clock);
                end
            end
            in_valid = 1'b0;
        end
    endtask

    initial begin
        noise = 32'd2026;
        received = 0;
        place = 0;
        wrong = 0;
        waited = 0;
        register_write = 1'b0;
        register_address = 4'd0;
        register_write_data = 32'd0;
        in_valid = 1'b0;
        in_last = 1'b0;
        in_data = 8'd0;
        out_ready = 1'b0;
        image = 0;
        stalls = $test$plusargs("stall") != 0;
        resets = $test$plusargs("reset") != 0;
        faults = $test$plusargs("faults") != 0;
        $readmemh("vectors/pixels.mem", pixels);
        $readmemh("vectors/cases.mem", cases);
        $readmemh("vectors/sums.mem", sums);
        if (!$value$plusargs("images=%d", images) || images > IMAGES)
            images = IMAGES;
        sums_file = 0;
        if ($value$plusargs("sums=%s", sums_name))
            sums_file = $fopen(sums_name, "w");
        if ($value$plusargs("vcd=%s", vcd)) begin
            $dumpfile(vcd);
            $dumpvars(0, @NAME@_tb);
        end
        reset = 1'b1;
        @(negedge clock);
        @(negedge clock);
        reset = 1'b0;
        for (image = 0; image < images; image = image + 1) begin
            write_registers;
            if (faults && BYTES > 1) begin
                length = 1 + noise[15:0] % (BYTES - 1);
                send_bytes(length, 1'b1);       // dropped
                check_status(32'd2, "an early TLAST");
                write_registers;
            end
            if (resets) begin
                length = 1 + noise[15:0] % BYTES;
                send_bytes(length, 1'b1);
                if (length == BYTES) begin      // taken: reset while it is computed
                    delay = noise[23:8] % (cases[image*6+5] - 1);
                    while (delay > 0) begin
                        @(negedge clock);
                        delay = delay - 1;
                    end
                end
                pulse_reset;
                send_bytes(BYTES, 1'b1);        // taken: reset while it is computed, or before its last sum left
                delay = image % 2 == 0 ? noise[31:8] % (cases[image*6+5] - 1)
                                       : cases[image*6+5] + noise[15:0] % (2 * SUMS + 1);
                while (delay > 0) begin
                    @(negedge clock);
                    delay = delay - 1;
                end
                pulse_reset;
            end
            send_bytes(BYTES, 1'b1);
        end
        while (received < images)
            @(negedge clock);
        for (i = 0; i < 16; i = i + 1)
            @(negedge clock);
        if (wrong == 0)
            $display("passed: %0d images, %0d sums, cycles as predicted", received, received * SUMS);
        else
            $display("FAILED: %0d differences in %0d images", wrong, images);
        $finish;
    end
endmodule
