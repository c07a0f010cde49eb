// What all parts of `lower` share: refusals, memory, operations, and where each value's tensor is.
#include "passes/lowering/lowering.h"

#include <stdarg.h>

void pbitc_refuse(struct pbitc_lowering *lowering, const struct pbitc_node *node, const char *remedy,
                  const char *format, ...)
{
    va_list arguments;
    char message[256];
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (node)
        pbitc_report_node(lowering->context->diagnostics, PBIT_ERROR_UNSUPPORTED, node, remedy, "%s",
                          message);
    else
        pbitc_report(lowering->context->diagnostics, PBIT_ERROR_UNSUPPORTED, NULL, NULL, 0, remedy, "%s",
                     message);
}

void *pbitc_lowering_allocate(struct pbitc_lowering *lowering, size_t count, size_t size)
{
    void *memory = pbitc_arena_allocate(lowering->graph->arena, count, size);
    lowering->out_of_memory |= !memory;
    return memory;
}

struct pbitc_program_operation *pbitc_emit(struct pbitc_lowering *lowering, enum pbit_operation_kind kind,
                                           const char *name, uint32_t input, uint32_t output)
{
    if (input == UINT32_MAX || output == UINT32_MAX)
        return NULL;
    struct pbitc_program_operation *operation =
        pbitc_program_add_operation(lowering->program, kind, name, input, output);
    lowering->out_of_memory |= !operation;
    return operation;
}

static uint32_t add_tensor(struct pbitc_lowering *lowering, const char *name,
                           const struct pbitc_placement *placement, enum pbit_tensor_kind kind,
                           uint32_t draw_factor)
{
    struct pbit_tensor tensor = {name,
                                 kind,
                                 kind == PBIT_LEVELS ? draw_factor : 0,
                                 placement->height,
                                 placement->width,
                                 placement->channels,
                                 0};
    uint32_t index = pbitc_program_add_tensor(lowering->program, &tensor);
    if (index == UINT32_MAX)
        pbitc_refuse(lowering, NULL, "", "more tensors than a .pbit file can hold");
    return index;
}

uint32_t pbitc_make_tensor(struct pbitc_lowering *lowering, const struct pbitc_value *value,
                           enum pbit_tensor_kind kind, uint32_t draw_factor)
{
    uint32_t index =
        add_tensor(lowering, value->name, &lowering->placements[value->index], kind, draw_factor);
    lowering->tensors[value->index] = index + 1;
    return index;
}

uint32_t pbitc_held_tensor(const struct pbitc_lowering *lowering, const struct pbitc_value *value)
{
    const struct pbitc_value *holder = lowering->placements[value->index].holder;
    return holder ? lowering->tensors[holder->index] - 1 : UINT32_MAX;
}

/// index[] of the PERMUTE that brings a value into the standard order of its own shape.
static int32_t *permutation(struct pbitc_lowering *lowering, const struct pbitc_value *value,
                            const struct pbitc_placement *placement, size_t count)
{
    uint32_t *standard = pbitc_standard_position(lowering->graph->arena, &value->shape);
    int32_t *index = pbitc_lowering_allocate(lowering, count, sizeof(*index));
    if (!standard || !index)
        return NULL;
    for (size_t i = 0; i < count; i++)
        index[standard[i]] = (int32_t)(placement->position ? placement->position[i] : i);
    return index;
}

uint32_t pbitc_standard_tensor(struct pbitc_lowering *lowering, const struct pbitc_node *reader,
                               const struct pbitc_value *value, struct pbitc_placement *placement)
{
    const struct pbitc_placement *held = &lowering->placements[value->index];
    uint32_t from = pbitc_held_tensor(lowering, value);
    *placement = *held;
    if (from == UINT32_MAX || pbitc_is_standard(held, &value->shape))
        return from;
    if (!pbitc_standardize(lowering->graph->arena, held, value, placement)) {
        pbitc_refuse(lowering, reader, "move the reshape or transpose behind the next layer",
                     "'%s' mixes channels of different scale", value->name);
        return UINT32_MAX;
    }
    if (lowering->standard[value->index])
        return lowering->standard[value->index] - 1;
    const struct pbit_tensor source = lowering->program->tensors[from];
    size_t count = (size_t)placement->height * placement->width * placement->channels;
    int32_t *index = permutation(lowering, value, held, count);
    uint32_t to =
        add_tensor(lowering, value->name, placement, (enum pbit_tensor_kind)source.kind, source.draw_factor);
    struct pbitc_program_operation *operation =
        pbitc_emit(lowering, PBIT_OPERATION_PERMUTE, value->name, from, to);
    if (!index || !operation)
        return UINT32_MAX;
    operation->tables.table = index;
    operation->tables.table_count = count;
    lowering->standard[value->index] = to + 1;
    return to;
}
