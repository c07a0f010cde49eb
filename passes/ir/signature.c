#include "passes/ir/signature.h"

#include <string.h>

char pbitc_attribute_letter(enum pbitc_attribute_kind kind)
{
    static const char letters[] = {
        [PBITC_ATTRIBUTE_INT] = 'i',    [PBITC_ATTRIBUTE_FLOAT] = 'f',  [PBITC_ATTRIBUTE_STRING] = 's',
        [PBITC_ATTRIBUTE_INTS] = 'I',   [PBITC_ATTRIBUTE_FLOATS] = 'F', [PBITC_ATTRIBUTE_STRINGS] = 'S',
        [PBITC_ATTRIBUTE_TENSOR] = 't', [PBITC_ATTRIBUTE_GRAPH] = 'g',
    };
    return letters[kind];
}

char pbitc_signature_attribute(const struct pbitc_operator *op, const char *name)
{
    size_t length = strlen(name);
    for (const char *entry = op->attributes; *entry;) {
        size_t entry_length = strcspn(entry, ":");
        if (entry_length == length && memcmp(entry, name, length) == 0)
            return entry[length + 1];
        entry += strcspn(entry, " ");
        entry += strspn(entry, " ");
    }
    return 0;
}

/// "2 inputs", "1 to 3 inputs", "at least 1 input"
static void describe_range(int min, int max, const char *noun, char *text, size_t size)
{
    if (max < 0)
        snprintf(text, size, "at least %d %s%s", min, noun, min == 1 ? "" : "s");
    else if (min == max)
        snprintf(text, size, "%d %s%s", min, noun, min == 1 ? "" : "s");
    else
        snprintf(text, size, "%d to %d %ss", min, max, noun);
}

static bool range_problem(const char *noun, struct pbitc_value *const *values, size_t count, int min, int max,
                          char *text, size_t size)
{
    char range[64];
    describe_range(min, max, noun, range, sizeof(range));
    if (count < (size_t)min || (max >= 0 && count > (size_t)max)) {
        snprintf(text, size, "has %zu %s%s where the operator has %s", count, noun, count == 1 ? "" : "s",
                 range);
        return true;
    }
    for (int i = 0; i < min; i++) {
        if (!values[i]) {
            snprintf(text, size, "required %s %d is missing; the operator has %s", noun, i, range);
            return true;
        }
    }
    return false;
}

bool pbitc_signature_arity_problem(const struct pbitc_node *node, char *text, size_t size)
{
    const struct pbitc_operator *op = node->op;
    return range_problem("input", node->inputs, node->input_count, op->min_inputs, op->max_inputs, text,
                         size) ||
           range_problem("output", node->outputs, node->output_count, op->min_outputs, op->max_outputs, text,
                         size);
}

size_t pbitc_signature_own_inputs(const struct pbitc_node *node)
{
    return pbitc_node_is(node, PBITC_OP_If) ? 1 : 0;
}
