// NAME_selftest.c: golden vectors, computed by libpbit while the firmware is exported.
#include "converter/export/c99/firmware.h"

#include "converter/export/golden.h"
#include "converter/file.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CASES = 2, LONG_SAMPLES = 5, SEED = 2026, BYTES_PER_LINE = 24 };

static uint32_t case_samples(const struct pbitc_firmware *firmware, int index)
{
    uint32_t samples = index ? LONG_SAMPLES : 1;
    return samples < firmware->samples ? samples : firmware->samples;
}

static enum pbit_status run_case(const struct pbitc_firmware *firmware, int index, const uint8_t *input,
                                 int64_t *sums, void *workspace, size_t workspace_bytes)
{
    const struct pbit_model *model = firmware->model;
    const struct pbitc_golden_ports ports = pbitc_golden_ports(model, input, sums);
    struct pbit_options options = {.seed = SEED,
                                   .image = (uint64_t)index,
                                   .draws = firmware->draws,
                                   .samples = case_samples(firmware, index)};
    return pbit_run(model, &options, ports.inputs, ports.outputs, workspace, workspace_bytes) == PBIT_OK
               ? PBIT_OK
               : PBIT_ERROR_INTERNAL;
}

static void write_case(const uint8_t *input, uint64_t bytes, const int64_t *sums, uint64_t outputs, int index,
                       FILE *stream)
{
    fprintf(stream, "static const uint8_t input_%d[] = {", index);
    for (uint64_t i = 0; i < bytes; i++)
        fprintf(stream, "%s%u,", i % BYTES_PER_LINE ? "" : "\n    ", input[i]);
    fprintf(stream, "\n};\nstatic const int64_t output_%d[] = {", index);
    for (uint64_t i = 0; i < outputs; i++)
        fprintf(stream, "%s%" PRId64 ",", i % 8 ? " " : "\n    ", sums[i]);
    uint64_t hash = PBITC_HASH_START;
    for (uint64_t i = 0; i < outputs; i++)
        for (int byte = 0; byte < 8; byte++) {
            uint8_t value = (uint8_t)((uint64_t)sums[i] >> 8 * byte);
            hash = pbitc_hash(hash, &value, 1);
        }
    char text[PBITC_HASH_TEXT];
    fprintf(stream, "\n}; /* %s of the little-endian numbers */\n\n", pbitc_hash_text(hash, text));
}

static void write_function(const struct pbitc_firmware *firmware, FILE *stream)
{
    fprintf(
        stream,
        "static int check(const uint8_t *input, const int64_t *expected, uint32_t samples, uint64_t image,\n"
        "                 struct %s_workspace *workspace)\n{\n"
        "    static int64_t output[%s_OUTPUTS];\n"
        "    int wrong = %s_run(input, output, samples, %d, image, workspace);\n"
        "    for (uint32_t i = 0; i < %s_OUTPUTS; i++)\n"
        "        wrong |= output[i] != expected[i];\n"
        "    return wrong;\n}\n\n"
        "int %s_selftest(struct %s_workspace *workspace)\n{\n",
        firmware->name, firmware->macros, firmware->name, SEED, firmware->macros, firmware->name,
        firmware->name);
    for (int i = 0; i < CASES; i++)
        fprintf(stream,
                "    if (check(input_%d, output_%d, %" PRIu32 ", %d, workspace) != 0)\n        return %d;\n",
                i, i, case_samples(firmware, i), i, i + 1);
    fprintf(stream,
            "    return 0;\n}\n\n#ifdef SELFTEST_MAIN\nint main(void)\n{\n"
            "    static struct %s_workspace workspace;\n    return %s_selftest(&workspace);\n}\n#endif\n",
            firmware->name, firmware->name);
}

enum pbit_status pbitc_firmware_write_selftest(const struct pbitc_firmware *firmware, FILE *stream)
{
    const struct pbit_model *model = firmware->model;
    uint64_t bytes = pbitc_export_input_bytes(model), outputs = pbitc_export_output_elements(model);
    size_t workspace_bytes;
    uint8_t *input = malloc(bytes);
    int64_t *sums = calloc(outputs, sizeof(*sums));
    void *workspace = pbitc_golden_workspace(model, &workspace_bytes);
    enum pbit_status status = input && sums && workspace ? PBIT_OK : PBIT_ERROR_MEMORY;
    fprintf(stream,
            "/* Golden vectors of %s, computed by the host; seed %d, %" PRIu32
            " draws. */\n#include \"%s.h\"\n\n",
            firmware->name, SEED, firmware->draws, firmware->name);
    for (int i = 0; i < CASES && status == PBIT_OK; i++) {
        pbitc_export_noise((uint64_t)i, input, bytes);
        status = run_case(firmware, i, input, sums, workspace, workspace_bytes);
        if (status == PBIT_OK)
            write_case(input, bytes, sums, outputs, i, stream);
    }
    if (status == PBIT_OK)
        write_function(firmware, stream);
    free(input);
    free(sums);
    free(workspace);
    return status;
}
