// Command line options: one table per command gives both the parsing and the text of --help.
#ifndef PBITC_OPTIONS_H
#define PBITC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pbitc_option_kind {
    PBITC_OPTION_FLAG,     ///< bool
    PBITC_OPTION_TEXT,     ///< const char *
    PBITC_OPTION_TEXTS,    ///< struct pbitc_texts; the option may be repeated
    PBITC_OPTION_INTEGER,  ///< int64_t within minimum..maximum
    PBITC_OPTION_INTEGERS, ///< struct pbitc_integers, "1,2,4", each within minimum..maximum, none twice, or
                           ///< the word
    PBITC_OPTION_CHOICE,   ///< int, the index of the word in `choices`
};

enum { PBITC_LIST_LIMIT = 64 };

struct pbitc_texts {
    size_t count;
    const char *items[PBITC_LIST_LIMIT];
};

struct pbitc_integers {
    bool word; ///< the option's word is in the list too
    size_t count;
    int64_t items[PBITC_LIST_LIMIT];
};

struct pbitc_option {
    const char *name;     ///< without the dashes
    char letter;          ///< its one-letter form, or 0
    const char *argument; ///< how --help calls the value, NULL for flags
    const char *help;     ///< lines separated by '\n'
    enum pbitc_option_kind kind;
    size_t offset; ///< of the value in the command's arguments
    bool required;
    int64_t minimum, maximum;
    const char *const *choices; ///< closed by NULL
    const char *word;           ///< INTEGERS: a word that may stand among the numbers, or NULL
};

/// A command: `pbitc NAME OPERAND... [options]`.
struct pbitc_usage {
    const char *name, *operand;
    size_t operands_least, operands_most; ///< how many there are; 0, 0 stands for exactly one
    const char *summary;                  ///< lines separated by '\n'
    const struct pbitc_option *options;
    size_t option_count;
    void (*details)(FILE *stream); ///< what --help says after the options; may be NULL
};

enum { PBITC_PARSED = -1 };

/// Fills `arguments` (which holds the defaults already; texts are borrowed from argv) and *operand. Returns
/// PBITC_PARSED, or the exit code to end with: after --help (printed on standard output), or when the command
/// line is wrong (every mistake is printed on standard error).
int pbitc_options_parse(const struct pbitc_usage *usage, int argc, char **argv, void *arguments,
                        const char **operand);

/// The same for a command with several operands: operands[argc] receives them, *count how many.
int pbitc_options_parse_operands(const struct pbitc_usage *usage, int argc, char **argv, void *arguments,
                                 const char **operands, size_t *count);

/// Prints a mistake in the use of a command on standard error and returns PBITC_EXIT_USAGE.
int pbitc_usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The whole text as a number; false when it is none or does not fit.
bool pbitc_parse_integer(const char *text, int64_t *value);
bool pbitc_parse_real(const char *text, double *value); ///< finite

#endif
