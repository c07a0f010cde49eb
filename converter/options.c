#include "converter/options.h"

#include "converter/command.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 28 };

int pbitc_usage_error(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "pbitc %s: ", command);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return PBITC_EXIT_USAGE;
}

bool pbitc_parse_integer(const char *text, int64_t *value)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    *value = number;
    return errno == 0 && !*end;
}

bool pbitc_parse_real(const char *text, double *value)
{
    if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    char *end;
    *value = strtod(text, &end);
    return !*end && isfinite(*value);
}

static void print_option(FILE *stream, char letter, const char *name, const char *argument, const char *help,
                         bool required)
{
    char left[64], short_form[] = {' ', ' ', ' ', ' ', 0};
    if (letter)
        snprintf(short_form, sizeof(short_form), "-%c, ", letter);
    int width = snprintf(left, sizeof(left), "  %s--%s %s", short_form, name, argument ? argument : "");
    fputs(left, stream);
    if (width > HELP_COLUMN - 2) {
        fputc('\n', stream);
        width = 0;
    }
    for (const char *line = help; line;) {
        const char *end = strchr(line, '\n');
        int length = end ? (int)(end - line) : (int)strlen(line);
        fprintf(stream, "%*s%.*s", HELP_COLUMN - width, "", length, line);
        fputs(end ? "\n" : required ? " (required)\n" : "\n", stream);
        line = end ? end + 1 : NULL;
        width = 0;
    }
}

static void print_help(const struct pbitc_usage *usage, FILE *stream)
{
    fprintf(stream, "Usage: pbitc %s %s", usage->name, usage->operand);
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct pbitc_option *option = &usage->options[i];
        if (option->required && option->letter)
            fprintf(stream, " -%c %s", option->letter, option->argument);
        else if (option->required)
            fprintf(stream, " --%s %s", option->name, option->argument);
    }
    fprintf(stream, " [options]\n\n%s\n\nOptions:\n", usage->summary);
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct pbitc_option *option = &usage->options[i];
        print_option(stream, option->letter, option->name, option->argument, option->help, option->required);
    }
    print_option(stream, 'h', "help", NULL, "show this text", false);
    if (usage->details)
        usage->details(stream);
}

/// One command line being read.
struct parser {
    const struct pbitc_usage *usage;
    char *arguments;
    uint64_t seen; ///< bit i: option i was given
    int mistakes;
};

static const struct pbitc_option *find_option(const struct pbitc_usage *usage, const char *name,
                                              size_t length)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        const struct pbitc_option *option = &usage->options[i];
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    }
    return NULL;
}

static const struct pbitc_option *find_letter(const struct pbitc_usage *usage, char letter)
{
    for (size_t i = 0; i < usage->option_count; i++) {
        if (usage->options[i].letter == letter)
            return &usage->options[i];
    }
    return NULL;
}

static void mistake(struct parser *parser, const struct pbitc_option *option, const char *text,
                    const char *what)
{
    pbitc_usage_error(parser->usage->name, "--%s: '%s' %s", option->name, text, what);
    parser->mistakes++;
}

static bool set_integer(struct parser *parser, const struct pbitc_option *option, const char *text,
                        int64_t *value)
{
    if (pbitc_parse_integer(text, value) && *value >= option->minimum && *value <= option->maximum)
        return true;
    char what[80];
    snprintf(what, sizeof(what), "is not a whole number in %" PRId64 "..%" PRId64 "%s%s", option->minimum,
             option->maximum, option->word ? " or " : "", option->word ? option->word : "");
    mistake(parser, option, text, what);
    return false;
}

static void set_integers(struct parser *parser, const struct pbitc_option *option, const char *text)
{
    struct pbitc_integers *list = (void *)(parser->arguments + option->offset);
    list->count = 0;
    for (const char *item = text; item;) {
        size_t length = strcspn(item, ",");
        char number[32];
        snprintf(number, sizeof(number), "%.*s", (int)(length < sizeof(number) ? length : sizeof(number) - 1),
                 item);
        item = item[length] ? item + length + 1 : NULL;
        if (option->word && strcmp(number, option->word) == 0) {
            list->word = true;
            continue;
        }
        int64_t value;
        if (!set_integer(parser, option, number, &value))
            return;
        for (size_t i = 0; i < list->count; i++) {
            if (list->items[i] == value) {
                mistake(parser, option, text, "names a number twice");
                return;
            }
        }
        if (list->count == PBITC_LIST_LIMIT) {
            mistake(parser, option, text, "names more than 64 numbers");
            return;
        }
        list->items[list->count++] = value;
    }
}

static void set_choice(struct parser *parser, const struct pbitc_option *option, const char *text)
{
    char known[160] = "is none of:";
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *(int *)(void *)(parser->arguments + option->offset) = i;
            return;
        }
        size_t length = strlen(known);
        snprintf(known + length, sizeof(known) - length, " %s", option->choices[i]);
    }
    mistake(parser, option, text, known);
}

static void add_text(struct parser *parser, const struct pbitc_option *option, const char *text)
{
    struct pbitc_texts *texts = (void *)(parser->arguments + option->offset);
    if (texts->count < PBITC_LIST_LIMIT)
        texts->items[texts->count++] = text;
    else
        mistake(parser, option, text, "is one too many");
}

static void set_option(struct parser *parser, const struct pbitc_option *option, const char *text)
{
    uint64_t bit = UINT64_C(1) << (option - parser->usage->options);
    void *target = parser->arguments + option->offset;
    if ((parser->seen & bit) && option->kind != PBITC_OPTION_TEXTS) {
        pbitc_usage_error(parser->usage->name, "--%s is given twice", option->name);
        parser->mistakes++;
    }
    parser->seen |= bit;
    switch (option->kind) {
    case PBITC_OPTION_FLAG:
        *(bool *)target = true;
        break;
    case PBITC_OPTION_TEXT:
        *(const char **)target = text;
        break;
    case PBITC_OPTION_TEXTS:
        add_text(parser, option, text);
        break;
    case PBITC_OPTION_INTEGER:
        set_integer(parser, option, text, target);
        break;
    case PBITC_OPTION_INTEGERS:
        set_integers(parser, option, text);
        break;
    case PBITC_OPTION_CHOICE:
        set_choice(parser, option, text);
        break;
    }
}

/// Reads the option in argv[i] and its value, which may be the next word. Returns the index of the last word
/// used.
static int read_option(struct parser *parser, int argc, char **argv, int i)
{
    const char *word = argv[i], *value = NULL;
    const struct pbitc_option *option;
    if (word[1] == '-') {
        size_t length = strcspn(word + 2, "=");
        option = find_option(parser->usage, word + 2, length);
        if (word[2 + length])
            value = word + 2 + length + 1;
    } else {
        option = find_letter(parser->usage, word[1]);
        if (word[2])
            value = word + 2;
    }
    if (!option) {
        pbitc_usage_error(parser->usage->name, "unknown option %s", word);
        parser->mistakes++;
        return i;
    }
    if (option->kind == PBITC_OPTION_FLAG && value) {
        pbitc_usage_error(parser->usage->name, "--%s takes no value", option->name);
        parser->mistakes++;
        return i;
    }
    if (option->kind != PBITC_OPTION_FLAG && !value) {
        if (++i == argc) {
            pbitc_usage_error(parser->usage->name, "--%s needs a value: %s", option->name, option->argument);
            parser->mistakes++;
            return i;
        }
        value = argv[i];
    }
    set_option(parser, option, value);
    return i;
}

static size_t least_operands(const struct pbitc_usage *usage)
{
    return usage->operands_most ? usage->operands_least : 1;
}

static size_t most_operands(const struct pbitc_usage *usage)
{
    return usage->operands_most ? usage->operands_most : 1;
}

static void check_required(struct parser *parser, size_t operands)
{
    if (operands < least_operands(parser->usage)) {
        pbitc_usage_error(parser->usage->name, "%s is missing", parser->usage->operand);
        parser->mistakes++;
    }
    for (size_t i = 0; i < parser->usage->option_count; i++) {
        const struct pbitc_option *option = &parser->usage->options[i];
        if (option->required && !(parser->seen >> i & 1)) {
            pbitc_usage_error(parser->usage->name, "--%s %s is missing", option->name, option->argument);
            parser->mistakes++;
        }
    }
}

int pbitc_options_parse_operands(const struct pbitc_usage *usage, int argc, char **argv, void *arguments,
                                 const char **operands, size_t *count)
{
    struct parser parser = {.usage = usage, .arguments = arguments};
    bool options_ended = false;
    *count = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (options_ended || word[0] != '-' || !word[1]) {
            if (*count == most_operands(usage)) {
                pbitc_usage_error(usage->name, "one operand too many: '%s'", word);
                parser.mistakes++;
            } else {
                operands[(*count)++] = word;
            }
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(usage, stdout);
            return PBITC_EXIT_DONE;
        } else {
            i = read_option(&parser, argc, argv, i);
        }
    }
    check_required(&parser, *count);
    if (!parser.mistakes)
        return PBITC_PARSED;
    fprintf(stderr, "Try 'pbitc %s --help'.\n", usage->name);
    return PBITC_EXIT_USAGE;
}

int pbitc_options_parse(const struct pbitc_usage *usage, int argc, char **argv, void *arguments,
                        const char **operand)
{
    size_t count;
    return pbitc_options_parse_operands(usage, argc, argv, arguments, operand, &count);
}
