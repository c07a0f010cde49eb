#include "passes/diagnostics.h"

#include "passes/arena.h"
#include "passes/operators/operators.h"

#include <stdarg.h>
#include <string.h>

struct pbitc_diagnostics {
    struct pbitc_arena *arena; ///< holds the problems and their strings
    size_t count, capacity;
    const struct pbitc_problem **problems;
    int lost; ///< a problem could not be stored
};

/// Nobody reads more, and a hostile file must not make us write more.
enum { PROBLEM_LIMIT = 10000 };

static const struct pbitc_problem lost_problem = {
    .status = PBIT_ERROR_MEMORY,
    .node = "",
    .op = "",
    .message = "there were more problems than could be listed",
    .remedy = "",
};

struct pbitc_diagnostics *pbitc_diagnostics_create(void)
{
    struct pbitc_arena *arena = pbitc_arena_create(NULL);
    if (!arena)
        return NULL;
    struct pbitc_diagnostics *diagnostics = pbitc_arena_allocate(arena, 1, sizeof(*diagnostics));
    if (diagnostics)
        diagnostics->arena = arena;
    else
        pbitc_arena_destroy(arena);
    return diagnostics;
}

void pbitc_diagnostics_destroy(struct pbitc_diagnostics *diagnostics)
{
    if (diagnostics)
        pbitc_arena_destroy(diagnostics->arena);
}

static int reserve(struct pbitc_diagnostics *diagnostics)
{
    if (diagnostics->count < diagnostics->capacity)
        return 1;
    size_t capacity = diagnostics->capacity ? diagnostics->capacity * 2 : 16;
    const struct pbitc_problem **problems =
        pbitc_arena_allocate(diagnostics->arena, capacity, sizeof(*problems));
    if (!problems)
        return 0;
    if (diagnostics->count)
        memcpy(problems, diagnostics->problems, diagnostics->count * sizeof(*problems));
    diagnostics->problems = problems;
    diagnostics->capacity = capacity;
    return 1;
}

static const char *copy_text(struct pbitc_diagnostics *diagnostics, const char *text)
{
    return text ? pbitc_arena_copy_string(diagnostics->arena, text, strlen(text)) : "";
}

static const char *format_text(struct pbitc_diagnostics *diagnostics, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : pbitc_arena_allocate(diagnostics->arena, (size_t)length + 1, 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

/// Stores `problem` with copies of its strings and the formatted message.
static void store(struct pbitc_diagnostics *diagnostics, struct pbitc_problem problem, const char *format,
                  va_list arguments)
{
    if (diagnostics->count == PROBLEM_LIMIT) {
        diagnostics->lost = 1;
        return;
    }
    struct pbitc_problem *copy = pbitc_arena_allocate(diagnostics->arena, 1, sizeof(*copy));
    problem.node = copy_text(diagnostics, problem.node);
    problem.op = copy_text(diagnostics, problem.op);
    problem.remedy = copy_text(diagnostics, problem.remedy);
    problem.message = format_text(diagnostics, format, arguments);
    if (!copy || !problem.node || !problem.op || !problem.remedy || !problem.message ||
        !reserve(diagnostics)) {
        diagnostics->lost = 1;
        return;
    }
    *copy = problem;
    diagnostics->problems[diagnostics->count++] = copy;
}

enum pbit_status pbitc_report(struct pbitc_diagnostics *diagnostics, enum pbit_status status,
                              const char *node, const char *op, int opset, const char *remedy,
                              const char *format, ...)
{
    if (!diagnostics)
        return status;
    struct pbitc_problem problem = {
        .status = status, .node = node, .op = op, .opset = opset, .remedy = remedy};
    va_list arguments;
    va_start(arguments, format);
    store(diagnostics, problem, format, arguments);
    va_end(arguments);
    return status;
}

enum pbit_status pbitc_report_node(struct pbitc_diagnostics *diagnostics, enum pbit_status status,
                                   const struct pbitc_node *node, const char *remedy, const char *format, ...)
{
    if (!diagnostics)
        return status;
    struct pbitc_problem problem = {
        .status = status, .node = node->name, .opset = node->opset, .remedy = remedy};
    char op[256] = "";
    if (node->op)
        snprintf(op, sizeof(op), "%s%s%s", node->op->domain, *node->op->domain ? "." : "", node->op->name);
    problem.op = op;
    va_list arguments;
    va_start(arguments, format);
    store(diagnostics, problem, format, arguments);
    va_end(arguments);
    return status;
}

size_t pbitc_diagnostics_count(const struct pbitc_diagnostics *diagnostics)
{
    return diagnostics->count + (diagnostics->lost ? 1 : 0);
}

const struct pbitc_problem *pbitc_diagnostics_get(const struct pbitc_diagnostics *diagnostics, size_t index)
{
    return index < diagnostics->count ? diagnostics->problems[index] : &lost_problem;
}

/// Texts hold names out of files: control characters are not sent to the terminal.
static void print_text(const char *text, FILE *stream)
{
    for (const unsigned char *byte = (const unsigned char *)text; *byte; byte++) {
        if (*byte < 0x20 || *byte == 0x7f)
            fprintf(stream, "\\x%02x", *byte);
        else
            fputc(*byte, stream);
    }
}

static void print_place(const struct pbitc_problem *problem, FILE *stream)
{
    if (*problem->node) {
        // Only a node has an operator; other problems belong to a file, tensor or option.
        fputs(*problem->op ? "node '" : "'", stream);
        print_text(problem->node, stream);
        fputc('\'', stream);
    }
    if (*problem->op) {
        fputs(*problem->node ? " (" : "(", stream);
        print_text(problem->op, stream);
        if (problem->opset)
            fprintf(stream, ", opset %d", problem->opset);
        fputc(')', stream);
    }
    if (*problem->node || *problem->op)
        fputs(": ", stream);
}

void pbitc_diagnostics_print(const struct pbitc_diagnostics *diagnostics, FILE *stream)
{
    for (size_t i = 0; i < pbitc_diagnostics_count(diagnostics); i++) {
        const struct pbitc_problem *problem = pbitc_diagnostics_get(diagnostics, i);
        fputs("error: ", stream);
        print_place(problem, stream);
        print_text(problem->message, stream);
        if (*problem->remedy) {
            fputs("; ", stream);
            print_text(problem->remedy, stream);
        }
        fputc('\n', stream);
    }
}
