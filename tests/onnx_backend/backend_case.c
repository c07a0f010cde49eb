#include "tests/onnx_backend/backend_case.h"

#include "converter/file.h"
#include "converter/onnx/onnx_importer.h"
#include "passes/interpreter/interpreter.h"
#include "passes/operators/operator_support.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATH = 1024, MAX_TENSORS = 256 };
static const double RELATIVE = 1e-3, ABSOLUTE = 1e-7; // onnx.backend.test.loader

/// What a test holds on to while it runs.
struct running {
    const char *folder;
    struct backend_result *result;
    struct pbitc_diagnostics *diagnostics;
    struct pbitc_graph *graph;
    struct pbitc_interpreter *interpreter;
    struct pbitc_tensor tensors[MAX_TENSORS]; ///< the inputs of a data set
};

__attribute__((format(printf, 3, 4))) static void
conclude(struct running *running, enum backend_outcome outcome, const char *format, ...)
{
    va_list arguments;
    running->result->outcome = outcome;
    va_start(arguments, format);
    vsnprintf(running->result->reason, sizeof(running->result->reason), format, arguments);
    va_end(arguments);
    for (char *c = running->result->reason; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

/// The first problem reported, with its operator.
static void conclude_refused(struct running *running)
{
    if (pbitc_diagnostics_count(running->diagnostics) == 0) {
        conclude(running, BACKEND_REFUSED, "no reason was given");
        return;
    }
    const struct pbitc_problem *problem = pbitc_diagnostics_get(running->diagnostics, 0);
    conclude(running, BACKEND_REFUSED, "%s%s%s", problem->op, *problem->op ? ": " : "", problem->message);
}

/// The tensor in a TensorProto file; data is malloc'ed. False: it cannot be read, and why is among the
/// diagnostics.
static bool read_tensor(struct running *running, const char *path, struct pbitc_tensor *tensor)
{
    uint8_t *bytes;
    size_t size;
    *tensor = (struct pbitc_tensor){0};
    if (pbitc_file_read(path, &bytes, &size, running->diagnostics))
        return false;
    struct pbitc_onnx_importer importer = {.diagnostics = running->diagnostics};
    const struct pbitc_onnx_place place = {.name = pbitc_path_name(path), .op = ""};
    Onnx__TensorProto *proto = onnx__tensor_proto__unpack(NULL, size, bytes);
    bool read = proto && pbitc_onnx_tensor_header(&importer, &place, proto, tensor);
    if (!proto)
        pbitc_report(running->diagnostics, PBIT_ERROR_FORMAT, place.name, NULL, 0, NULL, "this is no tensor");
    if (read) {
        int64_t elements = pbitc_shape_elements(&tensor->shape);
        tensor->data = malloc((size_t)elements * pbitc_type_bytes(tensor->type) + 1);
        if (tensor->data)
            pbitc_onnx_tensor_data(&importer, &place, proto, tensor);
        read = tensor->data && importer.status == PBIT_OK;
    }
    if (proto)
        onnx__tensor_proto__free_unpacked(proto, NULL);
    free(bytes);
    return read;
}

/// The tensor with elements of another type; false: out of memory.
static bool convert_to(enum pbitc_type type, struct pbitc_tensor *tensor)
{
    int64_t count = pbitc_shape_elements(&tensor->shape);
    void *data = malloc((size_t)count * pbitc_type_bytes(type) + 1);
    if (!data)
        return false;
    pbitc_convert(type, data, tensor->type, tensor->data, count);
    free(tensor->data);
    *tensor = (struct pbitc_tensor){type, tensor->shape, data};
    return true;
}

/// 16-bit floats are computed in float32: the outputs are rounded here, and the inputs widened.
static bool round_output(enum pbitc_type type, const struct pbitc_tensor *output,
                         struct pbitc_tensor *rounded)
{
    size_t bytes = (size_t)pbitc_shape_elements(&output->shape) * pbitc_type_bytes(output->type);
    *rounded = (struct pbitc_tensor){output->type, output->shape, malloc(bytes + 1)};
    if (!rounded->data)
        return false;
    memcpy(rounded->data, output->data, bytes);
    return type == output->type || type == PBITC_TYPE_NONE || convert_to(type, rounded);
}

/// Until onnx 1.13 the files gave bfloat16 as uint16 with its bits, whatever the model says. Expected outputs
/// of this kind were cut to 16 bits, not rounded as Cast is to round, and tell nothing.
static bool is_bfloat_as_integer(const struct pbitc_tensor *tensor, enum pbitc_type type)
{
    return tensor->type == PBITC_UINT16 && type == PBITC_BFLOAT16;
}

static bool is_close(double expected, double actual)
{
    if (expected == actual || (isnan(expected) && isnan(actual)))
        return true;
    return isfinite(expected) && isfinite(actual) &&
           fabs(expected - actual) <= ABSOLUTE + RELATIVE * fabs(actual);
}

/// False after concluding that the output is wrong.
static bool compare(struct running *running, const char *name, const struct pbitc_tensor *expected,
                    const struct pbitc_tensor *actual)
{
    if (expected->type != actual->type || !pbitc_shape_equal(&expected->shape, &actual->shape)) {
        conclude(running, BACKEND_WRONG, "output %s is %s %s, expected %s %s", name,
                 pbitc_type_name(actual->type), pbitc_shape_format(&actual->shape).text,
                 pbitc_type_name(expected->type), pbitc_shape_format(&expected->shape).text);
        return false;
    }
    int64_t count = pbitc_shape_elements(&expected->shape), differ = 0, first = 0;
    for (int64_t i = count - 1; i >= 0; i--)
        if (!is_close(pbitc_real_at(expected, i), pbitc_real_at(actual, i))) {
            differ++;
            first = i;
        }
    if (differ == 0)
        return true;
    conclude(running, BACKEND_WRONG,
             "output %s: %lld of %lld elements differ, first %lld: %.9g, expected %.9g", name,
             (long long)differ, (long long)count, (long long)first, pbitc_real_at(actual, first),
             pbitc_real_at(expected, first));
    return false;
}

static void file_in_set(char path[MAX_PATH], const struct running *running, int set, const char *kind,
                        size_t index)
{
    snprintf(path, MAX_PATH, "%s/test_data_set_%d/%s_%zu.pb", running->folder, set, kind, index);
}

static bool file_exists(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file)
        fclose(file);
    return file;
}

/// How many files KIND_0.pb, KIND_1.pb, ... the data set has.
static size_t count_files(const struct running *running, int set, const char *kind)
{
    char path[MAX_PATH];
    size_t count = 0;
    for (;; count++) {
        file_in_set(path, running, set, kind, count);
        if (!file_exists(path))
            return count;
    }
}

static bool check_count(struct running *running, int set, const char *kind, size_t wanted)
{
    size_t count = count_files(running, set, kind);
    if (count == wanted && count <= MAX_TENSORS)
        return true;
    conclude(running, BACKEND_WRONG, "the test has %zu %ss, the graph %zu", count, kind, wanted);
    return false;
}

static bool compare_outputs(struct running *running, int set)
{
    char path[MAX_PATH];
    for (size_t i = 0; i < running->graph->output_count; i++) {
        const struct pbitc_value *output = running->graph->outputs[i];
        struct pbitc_tensor expected;
        file_in_set(path, running, set, "output", i);
        if (!read_tensor(running, path, &expected)) {
            conclude_refused(running);
            return false;
        }
        struct pbitc_tensor actual;
        if (!round_output(pbitc_graph_output_type(running->graph, i),
                          pbitc_interpreter_value(running->interpreter, output), &actual)) {
            conclude(running, BACKEND_WRONG, "out of memory");
            free(expected.data);
            return false;
        }
        bool usable = !is_bfloat_as_integer(&expected, actual.type);
        if (!usable)
            conclude(running, BACKEND_REFUSED, "the test expects bfloat16 as uint16, cut instead of rounded");
        bool same = usable && compare(running, output->name, &expected, &actual);
        free(actual.data);
        free(expected.data);
        if (!same)
            return false;
    }
    return true;
}

static bool run_set(struct running *running, int set)
{
    char path[MAX_PATH];
    if (!check_count(running, set, "input", running->graph->input_count) ||
        !check_count(running, set, "output", running->graph->output_count))
        return false;
    size_t count = 0;
    for (; count < running->graph->input_count; count++) {
        file_in_set(path, running, set, "input", count);
        if (!read_tensor(running, path, &running->tensors[count]))
            break;
        enum pbitc_type type = pbitc_graph_input_type(running->graph, count);
        if (is_bfloat_as_integer(&running->tensors[count], type))
            running->tensors[count].type = PBITC_BFLOAT16;
        if (running->tensors[count].type == type && running->graph->inputs[count]->type != type &&
            !convert_to(running->graph->inputs[count]->type, &running->tensors[count]))
            break;
    }
    bool passed = false;
    if (count < running->graph->input_count ||
        pbitc_interpreter_run(running->interpreter, running->tensors, NULL, running->diagnostics))
        conclude_refused(running);
    else
        passed = compare_outputs(running, set);
    for (size_t i = 0; i < count; i++)
        free(running->tensors[i].data);
    return passed;
}

static void run_model(struct running *running)
{
    char path[MAX_PATH];
    snprintf(path, sizeof(path), "%s/model.onnx", running->folder);
    if (pbitc_onnx_import(path, NULL, running->diagnostics, &running->graph) ||
        pbitc_interpreter_create(running->graph, 1, NULL, running->diagnostics, &running->interpreter)) {
        conclude_refused(running);
        return;
    }
    for (int set = 0;; set++) {
        snprintf(path, sizeof(path), "%s/test_data_set_%d", running->folder, set);
        if (!pbitc_is_directory(path)) {
            conclude(running, set ? BACKEND_PASS : BACKEND_WRONG, "%s", set ? "" : "the test has no data");
            return;
        }
        if (!run_set(running, set))
            return;
    }
}

void backend_case_run(const char *folder, struct backend_result *result)
{
    struct running running = {.folder = folder, .result = result, .diagnostics = pbitc_diagnostics_create()};
    run_model(&running);
    pbitc_interpreter_destroy(running.interpreter);
    pbitc_graph_destroy(running.graph);
    pbitc_diagnostics_destroy(running.diagnostics);
}
