// pbitc, the p-bit compiler: picks the subcommand.
#include "converter/command.h"
#include "converter/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static const struct command {
    const char *name, *summary;
    pbitc_command_function *run;
} commands[] = {
    {"inspect", "list what a model or a .pbit file holds", pbitc_cmd_inspect},
    {"run", "compute outputs for given inputs", pbitc_cmd_run},
    {"convert", "turn an ONNX model into a .pbit file", pbitc_cmd_convert},
    {"eval", "measure accuracy against draws m and samples T", pbitc_cmd_eval},
    {"report", "join the reports of shards, or compare two reports", pbitc_cmd_report},
    {"energy", "estimate the energy of an image", pbitc_cmd_energy},
    {"export", "write C for a microcontroller or Verilog for an FPGA", pbitc_cmd_export},
    {"bench", "measure how fast a .pbit file runs here", pbitc_cmd_bench},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *stream)
{
    fputs("Usage: pbitc COMMAND ...\n\n"
          "The p-bit compiler: swaps the activations of a trained ONNX model for p-bits, quantizes its "
          "weights,\n"
          "and writes one .pbit file.\n\nCommands:\n",
          stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-10s%s\n", commands[i].name, commands[i].summary);
    fputs(
        "\n'pbitc COMMAND --help' tells more, 'pbitc --version' the version.\n"
        "Exit codes: 0 done, 1 a gate failed, 2 wrong usage, 3 bad or unsupported input, 4 internal error.\n",
        stream);
}

/// Runs the command and prints the problems it found.
static int run_command(const struct command *command, int argc, char **argv)
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    if (!diagnostics) {
        fputs("error: out of memory\n", stderr);
        return PBITC_EXIT_INTERNAL;
    }
    int code = command->run(argc, argv, diagnostics);
    pbitc_diagnostics_print(diagnostics, stderr);
    if (pbitc_interrupted() && code >= PBITC_EXIT_SIGNAL && pbitc_diagnostics_count(diagnostics) == 0)
        fputs("stopped; nothing was written\n", stderr);
    else if (code == PBITC_EXIT_INTERNAL && pbitc_diagnostics_count(diagnostics) == 0)
        fputs("error: internal error\n", stderr);
    pbitc_diagnostics_destroy(diagnostics);
    return code;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        print_usage(stderr);
        return PBITC_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return PBITC_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("pbitc " PBITC_VERSION);
        return PBITC_EXIT_DONE;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return run_command(&commands[i], argc - 1, argv + 1);
    }
    fprintf(stderr, "pbitc: unknown command '%s'\n\n", argv[1]);
    print_usage(stderr);
    return PBITC_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    pbitc_interrupt_catch();
    signal(SIGPIPE, SIG_IGN);
    int code = dispatch(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "error: cannot write standard output: %s\n", strerror(errno));
        return code == PBITC_EXIT_DONE ? PBITC_EXIT_INPUT : code;
    }
    return code;
}
