// If, Loop and Scan: operators that run inner graphs. Which graph runs, and how often, depends on data, so
// they are always deferred; when their turn comes they run everything and make their own outputs.
#include "passes/interpreter/evaluation.h"
#include "passes/interpreter/inference.h"
#include "passes/operators/operator_support.h"

#include <string.h>

/// Of the outputs of one node, together with what it collects.
static const size_t MAX_COLLECTED_BYTES = (size_t)4 << 30;

static enum pbit_status out_of_memory(const struct pbitc_evaluation *evaluation)
{
    return pbitc_report_node(evaluation->diagnostics, PBIT_ERROR_MEMORY, evaluation->node, NULL,
                             "out of memory");
}

enum pbit_status infer_control_flow(struct pbitc_evaluation *evaluation)
{
    return pbitc_defer(evaluation, "what its inner graph does");
}

/// Output `index` becomes a copy of `tensor`, in memory of the evaluation's allocator.
static enum pbit_status give_copy(struct pbitc_evaluation *evaluation, size_t index,
                                  const struct pbitc_tensor *tensor)
{
    if (!evaluation->node->outputs[index])
        return PBIT_OK;
    size_t bytes = pbitc_tensor_size(tensor);
    evaluation->outputs[index] = *tensor;
    evaluation->outputs[index].data = pbitc_allocate(evaluation->allocator, bytes + 1);
    if (!evaluation->outputs[index].data)
        return out_of_memory(evaluation);
    memcpy(evaluation->outputs[index].data, tensor->data, bytes);
    return PBIT_OK;
}

/// Reads a condition or a number of turns: one element of the type.
static enum pbit_status require_element(const struct pbitc_evaluation *evaluation, const char *what,
                                        const struct pbitc_tensor *tensor, enum pbitc_type type)
{
    if (tensor->type != type || pbitc_shape_elements(&tensor->shape) != 1)
        return PBITC_MALFORMED(evaluation, "%s is %s %s, not one %s", what, pbitc_type_name(tensor->type),
                               pbitc_shape_format(&tensor->shape).text, pbitc_type_name(type));
    return PBIT_OK;
}

// ---- running inner graphs

/// What a node collects over the turns for one of its outputs.
struct collected {
    struct pbitc_tensor part; ///< type and shape of one turn's
    unsigned char *data;      ///< turn after turn
    size_t bytes, capacity;
    int64_t count;
};

/// An inner graph that runs any number of times. Its inputs stand at the same places as the node's, those of
/// the condition of If apart: (Loop: turn and condition), states, (Scan: slices), captures. Its outputs:
/// (Loop: condition), states, what is collected.
struct inner {
    struct pbitc_evaluation *evaluation;
    const struct pbitc_graph *graph;
    struct pbitc_interpreter *interpreter;
    struct pbitc_arena *arena;
    struct pbitc_tensor *inputs;
    void **owned; ///< per input: memory of ours, replaced when a state changes
    size_t first_state, state_count;
    size_t first_result; ///< output that is state 0
    struct collected *collected;
    size_t collected_count;
};

static void inner_close(struct inner *inner)
{
    const struct pbitc_allocator *allocator = inner->evaluation->allocator;
    pbitc_interpreter_destroy(inner->interpreter);
    for (size_t i = 0; inner->owned && i < inner->graph->input_count; i++)
        pbitc_release(allocator, inner->owned[i]);
    for (size_t i = 0; inner->collected && i < inner->collected_count; i++)
        pbitc_release(allocator, inner->collected[i].data);
    pbitc_arena_destroy(inner->arena);
}

/// Inputs first of the node on become the inner graph's. To be closed also after an error.
static enum pbit_status inner_open(struct inner *inner, struct pbitc_evaluation *evaluation,
                                   const char *attribute, size_t first)
{
    *inner = (struct inner){.evaluation = evaluation, .graph = pbitc_node_graph(evaluation->node, attribute)};
    if (!inner->graph || inner->graph->input_count + first != evaluation->input_count)
        return PBITC_MALFORMED(evaluation, "no inner graph '%s' for %zu inputs", attribute,
                               evaluation->input_count);
    inner->arena = pbitc_arena_create(evaluation->allocator);
    size_t count = inner->graph->input_count;
    inner->inputs = inner->arena ? pbitc_arena_allocate(inner->arena, count, sizeof(*inner->inputs)) : NULL;
    inner->owned = inner->arena ? pbitc_arena_allocate(inner->arena, count, sizeof(*inner->owned)) : NULL;
    if (!inner->inputs || !inner->owned)
        return out_of_memory(evaluation);
    for (size_t i = 0; i < count; i++)
        if (evaluation->inputs[first + i])
            inner->inputs[i] = *evaluation->inputs[first + i];
    enum pbit_status status =
        pbitc_interpreter_create(inner->graph, evaluation->threads, evaluation->allocator,
                                 evaluation->diagnostics, &inner->interpreter);
    if (!status)
        pbitc_interpreter_share_turns(inner->interpreter, evaluation->turns);
    return status;
}

static const struct pbitc_tensor *inner_result(const struct inner *inner, size_t index)
{
    return pbitc_interpreter_value(inner->interpreter, inner->graph->outputs[index]);
}

static enum pbit_status inner_run(struct inner *inner)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    if (--*evaluation->turns < 0)
        return PBITC_REFUSE(evaluation, "check that the loop ends",
                            "inner graphs have run %d times in one run", PBITC_MAX_TURNS);
    return pbitc_interpreter_run(inner->interpreter, inner->inputs, evaluation->sampling,
                                 evaluation->diagnostics);
}

enum pbit_status evaluate_if(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *condition = evaluation->inputs[0];
    enum pbit_status status = require_element(evaluation, "the condition", condition, PBITC_BOOL);
    if (status)
        return status;
    bool taken = *(const uint8_t *)condition->data;
    struct inner inner;
    status = inner_open(&inner, evaluation, taken ? "then_branch" : "else_branch", 1);
    if (!status && inner.graph->output_count < evaluation->output_count)
        status = PBITC_MALFORMED(evaluation, "the branch has %zu outputs, the node %zu",
                                 inner.graph->output_count, evaluation->output_count);
    if (!status)
        status = inner_run(&inner);
    for (size_t i = 0; !status && i < evaluation->output_count; i++)
        status = give_copy(evaluation, i, inner_result(&inner, i));
    inner_close(&inner);
    return status;
}

// ---- turns with states and collected outputs

/// Says which inputs are states; the outputs after the states' are collected.
static enum pbit_status set_states(struct inner *inner, size_t first_state, size_t state_count,
                                   size_t first_result)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    if (inner->graph->output_count < first_result + state_count ||
        inner->graph->output_count - first_result < evaluation->output_count)
        return PBITC_MALFORMED(evaluation, "the body has %zu outputs, the node %zu",
                               inner->graph->output_count, evaluation->output_count);
    for (size_t i = first_state; i < inner->graph->input_count; i++)
        if (!evaluation->inputs[i])
            return PBITC_MALFORMED(evaluation, "input %zu is missing", i);
    inner->first_state = first_state;
    inner->state_count = state_count;
    inner->first_result = first_result;
    inner->collected_count = inner->graph->output_count - first_result - state_count;
    inner->collected = pbitc_arena_allocate(inner->arena, inner->collected_count, sizeof(*inner->collected));
    return inner->collected ? PBIT_OK : out_of_memory(evaluation);
}

/// The states' results become their inputs. All are copied before any is released: one may be another's.
static enum pbit_status update_states(struct inner *inner)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    void **fresh = pbitc_allocate(evaluation->allocator, (inner->state_count + 1) * sizeof(*fresh));
    enum pbit_status status = fresh ? PBIT_OK : out_of_memory(evaluation);
    size_t made = 0;
    for (; !status && made < inner->state_count; made++) {
        const struct pbitc_tensor *result = inner_result(inner, inner->first_result + made);
        const struct pbitc_tensor *state = &inner->inputs[inner->first_state + made];
        size_t bytes = pbitc_tensor_size(result);
        if (result->type != state->type)
            status = PBITC_MALFORMED(evaluation, "state %zu changes from %s to %s", made,
                                     pbitc_type_name(state->type), pbitc_type_name(result->type));
        else if (!(fresh[made] = pbitc_allocate(evaluation->allocator, bytes + 1)))
            status = out_of_memory(evaluation);
        if (status)
            break;
        memcpy(fresh[made], result->data, bytes);
    }
    for (size_t s = 0; s < made; s++) {
        size_t input = inner->first_state + s;
        if (status) {
            pbitc_release(evaluation->allocator, fresh[s]);
            continue;
        }
        inner->inputs[input] = *inner_result(inner, inner->first_result + s);
        inner->inputs[input].data = fresh[s];
        pbitc_release(evaluation->allocator, inner->owned[input]);
        inner->owned[input] = fresh[s];
    }
    pbitc_release(evaluation->allocator, fresh);
    return status;
}

/// Room for `bytes` more.
static enum pbit_status reserve(const struct inner *inner, struct collected *collected, size_t bytes)
{
    if (collected->capacity - collected->bytes >= bytes)
        return PBIT_OK;
    if (bytes > MAX_COLLECTED_BYTES - collected->bytes)
        return PBITC_REFUSE(inner->evaluation, "check that the loop ends",
                            "what it collects needs more than %zu GiB", MAX_COLLECTED_BYTES >> 30);
    size_t capacity = (collected->bytes + bytes) * 2;
    unsigned char *data = pbitc_allocate(inner->evaluation->allocator, capacity);
    if (!data)
        return out_of_memory(inner->evaluation);
    if (collected->bytes)
        memcpy(data, collected->data, collected->bytes);
    pbitc_release(inner->evaluation->allocator, collected->data);
    collected->data = data;
    collected->capacity = capacity;
    return PBIT_OK;
}

static enum pbit_status collect(struct inner *inner, size_t index)
{
    struct collected *collected = &inner->collected[index];
    const struct pbitc_tensor *part = inner_result(inner, inner->first_result + inner->state_count + index);
    if (collected->count &&
        (part->type != collected->part.type || !pbitc_shape_equal(&part->shape, &collected->part.shape)))
        return PBITC_MALFORMED(inner->evaluation, "collected output %zu changes from %s %s to %s %s", index,
                               pbitc_type_name(collected->part.type),
                               pbitc_shape_format(&collected->part.shape).text, pbitc_type_name(part->type),
                               pbitc_shape_format(&part->shape).text);
    size_t bytes = pbitc_tensor_size(part);
    enum pbit_status status = reserve(inner, collected, bytes);
    if (status)
        return status;
    collected->part = *part;
    if (bytes)
        memcpy(collected->data + collected->bytes, part->data, bytes);
    collected->bytes += bytes;
    collected->count++;
    return PBIT_OK;
}

static enum pbit_status take_turn(struct inner *inner)
{
    enum pbit_status status = inner_run(inner);
    for (size_t i = 0; !status && i < inner->collected_count; i++)
        status = collect(inner, i);
    return status ? status : update_states(inner);
}

/// After no turn at all, type and shape are those that the body declares, with 0 for what it leaves open.
static enum pbit_status expect_part(const struct inner *inner, size_t index)
{
    struct collected *collected = &inner->collected[index];
    const struct pbitc_value *declared =
        inner->graph->outputs[inner->first_result + inner->state_count + index];
    if (collected->count)
        return PBIT_OK;
    if (declared->type == PBITC_TYPE_NONE || declared->shape.rank < 0)
        return PBITC_REFUSE(inner->evaluation, "declare types and shapes of the body's outputs",
                            "there is no turn, so the type of collected output %zu is not known", index);
    collected->part = (struct pbitc_tensor){.type = declared->type, .shape = declared->shape};
    for (int i = 0; i < declared->shape.rank; i++)
        if (declared->shape.dims[i] < 0)
            collected->part.shape.dims[i] = 0;
    return PBIT_OK;
}

/// Gives what was collected, with the turns along `axis` (of the output) or, when `reversed`, from its end
/// on.
static enum pbit_status give_collected(const struct inner *inner, size_t index, int64_t axis, bool reversed)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    struct collected *collected = &inner->collected[index];
    size_t output = inner->state_count + index;
    if (output >= evaluation->output_count || !evaluation->node->outputs[output])
        return PBIT_OK;
    enum pbit_status status = expect_part(inner, index);
    const struct pbitc_shape *part = &collected->part.shape;
    int at = 0;
    if (!status && part->rank == PBITC_MAX_RANK)
        status = PBITC_REFUSE(evaluation, NULL, "collected output %zu has more than %d dimensions", index,
                              PBITC_MAX_RANK);
    if (!status)
        status = pbitc_axis(evaluation, axis, part->rank + 1, &at);
    if (status)
        return status;
    struct pbitc_tensor tensor = {.type = collected->part.type, .shape = {.rank = part->rank + 1}};
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK], elements = pbitc_shape_elements(part);
    pbitc_strides(part, own);
    for (int i = 0; i < tensor.shape.rank; i++) {
        tensor.shape.dims[i] = i == at ? collected->count : part->dims[i - (i > at)];
        strides[0][i] = i == at ? (reversed ? -elements : elements) : own[i - (i > at)];
    }
    size_t size = pbitc_type_bytes(tensor.type);
    size_t start = reversed && collected->count ? (size_t)((collected->count - 1) * elements) * size : 0;
    tensor.data = pbitc_allocate(evaluation->allocator, collected->bytes + 1);
    evaluation->outputs[output] = tensor;
    if (!tensor.data)
        return out_of_memory(evaluation);
    struct pbitc_walk walk;
    pbitc_walk_strided(&walk, &tensor.shape, 1, strides);
    if (collected->bytes)
        pbitc_walk_copy(&walk, tensor.data, collected->data + start, size);
    return PBIT_OK;
}

static enum pbit_status give_states(const struct inner *inner)
{
    enum pbit_status status = PBIT_OK;
    for (size_t s = 0; !status && s < inner->state_count && s < inner->evaluation->output_count; s++)
        status = give_copy(inner->evaluation, s, &inner->inputs[inner->first_state + s]);
    return status;
}

// ---- Loop

static enum pbit_status run_loop(struct inner *inner, int64_t turns, uint8_t going)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    int64_t turn = 0;
    enum pbit_status status = PBIT_OK;
    inner->inputs[0] = (struct pbitc_tensor){PBITC_INT64, {.rank = 0}, &turn};
    inner->inputs[1] = (struct pbitc_tensor){PBITC_BOOL, {.rank = 0}, &going};
    for (; !status && going && turn < turns; turn++) {
        status = take_turn(inner);
        const struct pbitc_tensor *condition = status ? NULL : inner_result(inner, 0);
        if (!status)
            status = require_element(evaluation, "the body's condition", condition, PBITC_BOOL);
        if (!status)
            going = *(const uint8_t *)condition->data;
    }
    if (!status)
        status = give_states(inner);
    for (size_t i = 0; !status && i < inner->collected_count; i++)
        status = give_collected(inner, i, 0, false);
    return status;
}

enum pbit_status evaluate_loop(struct pbitc_evaluation *evaluation)
{
    const struct pbitc_tensor *limit = pbitc_input(evaluation, 0), *condition = pbitc_input(evaluation, 1);
    enum pbit_status status = PBIT_OK;
    if (limit)
        status = require_element(evaluation, "the number of turns", limit, PBITC_INT64);
    if (!status && condition)
        status = require_element(evaluation, "the condition", condition, PBITC_BOOL);
    if (status)
        return status;
    struct inner inner;
    status = inner_open(&inner, evaluation, "body", 0);
    if (!status && inner.graph->input_count < 2 + inner.graph->capture_count)
        status = PBITC_MALFORMED(evaluation, "the body has %zu inputs",
                                 inner.graph->input_count - inner.graph->capture_count);
    if (!status)
        status = set_states(&inner, 2, inner.graph->input_count - 2 - inner.graph->capture_count, 1);
    if (!status)
        status = run_loop(&inner, limit ? pbitc_integer_at(limit, 0) : INT64_MAX,
                          condition ? *(const uint8_t *)condition->data : 1);
    inner_close(&inner);
    return status;
}

// ---- Scan

/// A sequence that Scan takes apart.
struct sequence {
    const struct pbitc_tensor *whole;
    struct pbitc_shape slice;
    int axis;
    bool reversed;
};

/// Entry `index` of a list attribute that may be missing; 0 then.
static int64_t list_entry(const struct pbitc_evaluation *evaluation, const char *attribute, size_t index)
{
    size_t count;
    const int64_t *list = pbitc_node_ints(evaluation->node, attribute, &count);
    return index < count ? list[index] : 0;
}

/// *length is -1 before the first sequence; all have the same.
static enum pbit_status open_sequence(struct inner *inner, size_t index, struct sequence *sequence,
                                      int64_t *length)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    size_t input = inner->state_count + index;
    *sequence = (struct sequence){.whole = evaluation->inputs[input],
                                  .reversed = list_entry(evaluation, "scan_input_directions", index) == 1};
    const struct pbitc_shape *shape = &sequence->whole->shape;
    enum pbit_status status = pbitc_require_rank(evaluation, input, 1, PBITC_MAX_RANK);
    if (!status)
        status = pbitc_axis(evaluation, list_entry(evaluation, "scan_input_axes", index), shape->rank,
                            &sequence->axis);
    if (status)
        return status;
    if (*length >= 0 && *length != shape->dims[sequence->axis])
        return PBITC_MALFORMED(evaluation, "sequences of length %lld and %lld", (long long)*length,
                               (long long)shape->dims[sequence->axis]);
    *length = shape->dims[sequence->axis];
    sequence->slice.rank = shape->rank - 1;
    for (int i = 0; i < sequence->slice.rank; i++)
        sequence->slice.dims[i] = shape->dims[i + (i >= sequence->axis)];
    inner->owned[input] = pbitc_allocate(
        evaluation->allocator,
        pbitc_tensor_size(&(struct pbitc_tensor){.type = sequence->whole->type, .shape = sequence->slice}) +
            1);
    inner->inputs[input] = (struct pbitc_tensor){sequence->whole->type, sequence->slice, inner->owned[input]};
    return inner->owned[input] ? PBIT_OK : out_of_memory(evaluation);
}

static void cut_slice(const struct sequence *sequence, int64_t turn, void *slice)
{
    const struct pbitc_shape *shape = &sequence->whole->shape;
    int64_t own[PBITC_MAX_RANK], strides[1][PBITC_MAX_RANK] = {{0}};
    size_t size = pbitc_type_bytes(sequence->whole->type);
    pbitc_strides(shape, own);
    for (int i = 0; i < sequence->slice.rank; i++)
        strides[0][i] = own[i + (i >= sequence->axis)];
    int64_t at = sequence->reversed ? shape->dims[sequence->axis] - 1 - turn : turn;
    struct pbitc_walk walk;
    pbitc_walk_strided(&walk, &sequence->slice, 1, strides);
    pbitc_walk_copy(&walk, slice,
                    (const unsigned char *)sequence->whole->data + (size_t)(at * own[sequence->axis]) * size,
                    size);
}

static enum pbit_status run_scan(struct inner *inner, size_t sequence_count)
{
    struct pbitc_evaluation *evaluation = inner->evaluation;
    struct sequence *sequences = pbitc_arena_allocate(inner->arena, sequence_count, sizeof(struct sequence));
    int64_t length = -1;
    enum pbit_status status = sequences ? PBIT_OK : out_of_memory(evaluation);
    for (size_t i = 0; !status && i < sequence_count; i++)
        status = open_sequence(inner, i, &sequences[i], &length);
    for (int64_t turn = 0; !status && turn < length; turn++) {
        for (size_t i = 0; i < sequence_count; i++)
            cut_slice(&sequences[i], turn, inner->owned[inner->state_count + i]);
        status = take_turn(inner);
    }
    if (!status)
        status = give_states(inner);
    for (size_t i = 0; !status && i < inner->collected_count; i++)
        status = give_collected(inner, i, list_entry(evaluation, "scan_output_axes", i),
                                list_entry(evaluation, "scan_output_directions", i) == 1);
    return status;
}

enum pbit_status evaluate_scan(struct pbitc_evaluation *evaluation)
{
    struct inner inner;
    enum pbit_status status = inner_open(&inner, evaluation, "body", 0);
    int64_t sequences = pbitc_node_int(evaluation->node, "num_scan_inputs", 0);
    size_t own = status ? 0 : inner.graph->input_count - inner.graph->capture_count;
    if (!status && (sequences < 1 || (uint64_t)sequences > own))
        status = PBITC_MALFORMED(evaluation, "num_scan_inputs is %lld, the body has %zu inputs",
                                 (long long)sequences, own);
    if (!status)
        status = set_states(&inner, 0, own - (size_t)sequences, 0);
    if (!status)
        status = run_scan(&inner, (size_t)sequences);
    inner_close(&inner);
    return status;
}
