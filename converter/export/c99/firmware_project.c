// README.md, Makefile and CMakeLists.txt of an exported folder.
#include "converter/export/c99/firmware.h"
#include "converter/model_file.h"

#include <inttypes.h>
#include <string.h>

enum { STACK_BYTES = 1280 }; // tests/firmware/run measures less than this on every core

int pbitc_firmware_needs(const struct pbitc_firmware *firmware, const char *path)
{
    static const struct {
        const char *path;
        enum pbit_operation_kind kind;
    } optional[] = {
        {"runtime/kernels/elementwise.c", PBIT_OPERATION_ADD},
        {"runtime/kernels/elementwise.c", PBIT_OPERATION_CONCAT},
        {"runtime/kernels/elementwise.c", PBIT_OPERATION_PERMUTE},
    };
    int listed = 0;
    for (size_t i = 0; i < sizeof(optional) / sizeof(*optional); i++) {
        if (strcmp(optional[i].path, path) != 0)
            continue;
        listed = 1;
        for (uint32_t k = 0; k < firmware->model->operation_count; k++)
            if (pbit_model_layer(firmware->model, k).kind == optional[i].kind)
                return 1;
    }
    return !listed;
}

static void write_sources(const struct pbitc_firmware *firmware, const char *separator, FILE *stream)
{
    fprintf(stream, "%s.c", firmware->name);
    for (const struct pbitc_embedded *copy = pbitc_firmware_copies; copy->path; copy++)
        if (strcmp(copy->path + strlen(copy->path) - 2, ".c") == 0 &&
            pbitc_firmware_needs(firmware, copy->path))
            fprintf(stream, "%s%s", separator, copy->path);
}

void pbitc_firmware_write_makefile(const struct pbitc_firmware *firmware, FILE *stream)
{
    fprintf(stream,
            "# make: lib%s.a for the compiler CC, for instance\n"
            "#   make CC=arm-none-eabi-gcc AR=arm-none-eabi-ar TARGET='-mcpu=cortex-m4 -mthumb'\n"
            "# make check: the self-test, on this machine.  make stack: bytes of stack per function.\n"
            "OPTIMIZE = -O3\n"
            "CFLAGS = $(OPTIMIZE) -ffunction-sections -fdata-sections\n"
            "STRICT = -std=c99 -ffreestanding -Wall -Wextra -Werror -Wconversion\n"
            "COMPILE = $(CC) $(TARGET) $(STRICT) $(CFLAGS) -I.\n"
            "SOURCES = ",
            firmware->name);
    write_sources(firmware, " \\\n  ", stream);
    fprintf(stream,
            "\nOBJECTS = $(SOURCES:.c=.o)\n\nall: lib%s.a\n\n"
            "lib%s.a: $(OBJECTS)\n\trm -f $@\n\t$(AR) rcs $@ $(OBJECTS)\n\n"
            "%%.o: %%.c\n\t$(COMPILE) -c $< -o $@\n\n"
            "selftest: lib%s.a %s_selftest.c\n\t$(COMPILE) -DSELFTEST_MAIN %s_selftest.c lib%s.a -o $@\n\n"
            "check: selftest\n\t./selftest\n\n"
            "stack: clean\n\t$(MAKE) CFLAGS='$(CFLAGS) -fstack-usage'\n\tcat *.su runtime/*.su "
            "runtime/kernels/*.su\n\n"
            "clean:\n\trm -f lib%s.a selftest *.o *.su runtime/*.o runtime/*.su runtime/kernels/*.o "
            "runtime/kernels/*.su\n\n"
            ".PHONY: all check stack clean\n",
            firmware->name, firmware->name, firmware->name, firmware->name, firmware->name, firmware->name,
            firmware->name);
}

void pbitc_firmware_write_cmake(const struct pbitc_firmware *firmware, FILE *stream)
{
    fprintf(stream, "cmake_minimum_required(VERSION 3.13)\nproject(%s C)\n\nadd_library(%s STATIC\n  ",
            firmware->name, firmware->name);
    write_sources(firmware, "\n  ", stream);
    fprintf(stream,
            ")\ntarget_include_directories(%s PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})\n"
            "set_target_properties(%s PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)\n"
            "target_compile_options(%s PRIVATE -ffreestanding -Wall -Wextra -Wconversion)\n\n"
            "add_executable(%s_selftest EXCLUDE_FROM_ALL %s_selftest.c)\n"
            "target_compile_definitions(%s_selftest PRIVATE SELFTEST_MAIN)\n"
            "target_link_libraries(%s_selftest %s)\n",
            firmware->name, firmware->name, firmware->name, firmware->name, firmware->name, firmware->name,
            firmware->name, firmware->name);
}

static void write_layers(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    fputs("| layer | runs | flash | RAM in use | additions | fixed-point multiplications | p-bits |\n"
          "|---|---|---|---|---|---|---|\n",
          stream);
    for (uint32_t s = 0; s < plan->step_count; s++) {
        const struct pbitc_firmware_step *step = &plan->steps[s];
        fprintf(stream, "| %s | %s | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n",
                pbitc_firmware_step_name(plan, step), step->random ? "every pass" : "once per image",
                step->cost.flash, step->live, step->cost.adds, step->cost.multiplies, step->cost.draws);
    }
}

/// How real numbers become pixels.
static void write_inputs(const struct pbit_model *model, FILE *stream)
{
    const uint8_t *record = model->bytes + pbit_header_field(model, PBIT_HEADER_INPUTS);
    for (uint32_t i = 0; i < model->input_count; i++, record += PBIT_PORT_BYTES) {
        struct pbit_port port = pbit_model_input(model, i);
        const uint8_t *offsets = model->bytes + pbit_load_u32(record + 8);
        const uint8_t *steps = model->bytes + pbit_load_u32(record + 12);
        fprintf(stream,
                "Input %" PRIu32 " is %" PRIu32 " x %" PRIu32 " x %" PRIu32
                " (height, width, channels; channels last); a pixel q stands for offset + step * q:\n",
                i, port.height, port.width, port.channels);
        for (uint32_t c = 0; c < port.channels; c++)
            fprintf(stream, "%s%.9g + %.9g * q", c ? ", " : "",
                    (double)pbit_load_f32(offsets + 4 * (size_t)c) + 0.0, // no -0
                    (double)pbit_load_f32(steps + 4 * (size_t)c));
        fputs(".\n", stream);
    }
}

void pbitc_firmware_write_readme(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbitc_firmware_plan *plan = firmware->plan;
    const char *name = firmware->name, *macros = firmware->macros;
    fprintf(stream,
            "# %s\n\nA network of p-bits as C99, written by pbitc %s from the .pbit file %s. It computes the "
            "same bits\n"
            "as libpbit for every number of draws m up to %" PRIu32 ", samples T up to %" PRIu32
            ", seed and image.\n\n"
            "## Call it\n\n```c\n#include \"%s.h\"\n\nstatic struct %s_workspace workspace;\n\n"
            "int64_t logits[%s_OUTPUTS];\n"
            "%s_run(pixels, logits, samples, seed, image_number, &workspace);\nuint32_t answer = "
            "%s_best(logits);\n```\n\n"
            "`%s_begin` and `%s_sample` run pass by pass, `%s_run_until` stops at a margin; see `%s.h`.\n"
            "Give every image its own number, so that it gets its own random numbers.\n",
            name, firmware->version, firmware->model_hash, pbit_model_max_draws(firmware->model),
            firmware->samples, name, name, macros, name, name, name, name, name, name);
    write_inputs(firmware->model, stream);
    for (uint32_t o = 0; o < firmware->model->output_count; o++) {
        struct pbit_port port = pbit_model_output(firmware->model, o);
        fprintf(stream, "A logit of output %" PRIu32 " stands for the real number %.9g * sum / (65536 * T)",
                o, (double)port.scale);
        if (pbitc_port_ending(&port))
            fprintf(stream, "; the model applies %s to it, which is left to you", pbitc_port_ending(&port));
        fputs(".\n", stream);
    }
    fputs("\n## Build it\n\n`make` builds a library, `make check` runs the self-test on this machine; "
          "CMakeLists.txt does the same. Add\n"
          "`-I` of this folder. `runtime/` and `pbit_*` are pbitc's own and the same in every export: "
          "link them once.\n"
          "The code needs no C library but memcpy and memset, which compilers call by themselves; it has no "
          "malloc, stdio,\n"
          "floating point or recursion.\n\n## What it needs\n\n",
          stream);
    fprintf(stream,
            "| | bytes |\n|---|---|\n| flash: weights and tables | %" PRIu64 " |\n"
            "| flash: code and records, at most (Thumb-2 or RV32C, -O3) | %" PRIu64 " |\n"
            "| RAM: workspace and logits, for any T and m | %" PRIu64 " |\n| stack, at most | %d |\n\n",
            plan->tables, plan->code, plan->ram, STACK_BYTES);
    fprintf(stream,
            "Passes at a time: %" PRIu32 ", so each weight is fetched and unpacked once for %" PRIu32
            " (%s).\n"
            "Sums that all passes share are %s.\n\n",
            plan->passes, plan->passes, plan->passes > 1 ? "weights outer" : "samples outer",
            plan->keep_sums ? "kept in RAM" : "computed again for each such group, which needs less RAM");
    write_layers(firmware, stream);
    fprintf(stream,
            "\nInstructions on a Cortex-M3 at -O3, modelled from these counts with constants fitted to "
            "counts under qemu:\n"
            "%" PRIu64 " for T = 1, %" PRIu64
            " for each further pass. They are instructions, not cycles: flash wait states and\n"
            "multi-cycle loads come on top. pbitc's samples/firmware counts them exactly.\n",
            plan->instructions_first, plan->instructions_next);
}
