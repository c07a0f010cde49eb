// The ONNX importer: what it accepts, what it makes of older forms, and that it refuses everything else with
// all the reasons and without a leak. Models are built here, one fault each.
#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"
#include "tests/converter/onnx_builder.h"
#include "tests/failing_allocator.h"
#include "tests/run_suite.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FLOAT = 1,
    UINT8 = 2,
    INT8 = 3,
    INT32 = 6,
    INT64 = 7,
    STRING = 8,
    BOOL = 9,
    FLOAT16 = 10,
    UINT32 = 12
};

/// The outcome of an import.
struct outcome {
    enum pbit_status status;
    struct pbitc_graph *graph;
    struct pbitc_diagnostics *diagnostics;
};

static struct outcome import_from(struct builder *b, const char *folder)
{
    struct outcome outcome = {.diagnostics = pbitc_diagnostics_create()};
    size_t size;
    const uint8_t *bytes = builder_pack(b, &size);
    outcome.status = pbitc_onnx_import_bytes(bytes, size, folder, NULL, outcome.diagnostics, &outcome.graph);
    ck_assert((outcome.status == PBIT_OK) == (outcome.graph != NULL));
    ck_assert((outcome.status == PBIT_OK) == (pbitc_diagnostics_count(outcome.diagnostics) == 0));
    return outcome;
}

static void end(struct builder *b, struct outcome *outcome)
{
    pbitc_graph_destroy(outcome->graph);
    pbitc_diagnostics_destroy(outcome->diagnostics);
    builder_end(b);
}

static struct outcome import_good(struct builder *b)
{
    struct outcome outcome = import_from(b, NULL);
    if (outcome.status != PBIT_OK)
        pbitc_diagnostics_print(outcome.diagnostics, stderr);
    ck_assert_int_eq(outcome.status, PBIT_OK);
    return outcome;
}

/// One of the problems belongs to `node` and says `phrase`.
static void expect_listed(const struct outcome *outcome, const char *node, const char *phrase)
{
    for (size_t i = 0; i < pbitc_diagnostics_count(outcome->diagnostics); i++) {
        const struct pbitc_problem *problem = pbitc_diagnostics_get(outcome->diagnostics, i);
        if (strcmp(problem->node, node) == 0 && strstr(problem->message, phrase))
            return;
    }
    pbitc_diagnostics_print(outcome->diagnostics, stderr);
    ck_abort_msg("no problem of '%s' says '%s'", node, phrase);
}

/// The import fails with this status and exactly one problem. Ends the builder.
static void expect_only(struct builder *b, const char *folder, enum pbit_status status, const char *node,
                        const char *phrase)
{
    struct outcome outcome = import_from(b, folder);
    expect_listed(&outcome, node, phrase);
    ck_assert_uint_eq(pbitc_diagnostics_count(outcome.diagnostics), 1);
    ck_assert_int_eq(outcome.status, status);
    end(b, &outcome);
}

static struct pbitc_node *find_node(const struct outcome *outcome, const char *name)
{
    PBITC_FOR_EACH_NODE(node, outcome->graph)
    if (strcmp(node->name, name) == 0)
        return node;
    ck_abort_msg("no node '%s'", name);
    return NULL;
}

/// Input `index` of the node is a constant vector of exactly these integers.
static void expect_ints(const struct pbitc_node *node, size_t index, const int64_t *expected, size_t count)
{
    ck_assert_uint_gt(node->input_count, index);
    const struct pbitc_tensor *tensor = node->inputs[index]->constant;
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(tensor->type, PBITC_INT64);
    ck_assert_int_eq(tensor->shape.rank, 1);
    ck_assert_int_eq(tensor->shape.dims[0], (int64_t)count);
    ck_assert_mem_eq(tensor->data, expected, count * sizeof(*expected));
}

/// x (N x 4) -> op "node" -> y.
static struct builder start_one_node(int64_t opset, const char *op, Onnx__NodeProto **node)
{
    struct builder b = builder_start(opset);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    *node = builder_add_node(&b, "node", op, "x", "y");
    return b;
}

/// x -> Gemm(x, w, c) -> Relu -> y, with w and c as initializers.
static struct builder start_mlp(void)
{
    static const float weights[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, bias[3] = {-1, 0, 1};
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_initializer(&b, "w", FLOAT, (int64_t[]){4, 3, -1}, weights, sizeof(weights));
    builder_add_initializer(&b, "c", FLOAT, (int64_t[]){3, -1}, bias, sizeof(bias));
    Onnx__NodeProto *gemm = builder_add_node(&b, "fc", "Gemm", "x,w,c", "h");
    builder_set_float(&b, gemm, "alpha", 2);
    builder_set_int(&b, gemm, "transB", 0);
    builder_add_node(&b, "relu", "Relu", "h", "y");
    return b;
}

START_TEST(mlp_is_imported)
{
    struct builder b = start_mlp();
    struct outcome o = import_good(&b);
    ck_assert_str_eq(o.graph->name, "tested");
    ck_assert_str_eq(o.graph->producer, "tests");
    ck_assert_int_eq(o.graph->opset, 13);
    ck_assert_int_eq(o.graph->ir_version, 8);
    ck_assert_uint_eq(o.graph->input_count, 1);
    ck_assert_str_eq(o.graph->outputs[0]->name, "y");
    const struct pbitc_node *gemm = find_node(&o, "fc");
    ck_assert(pbitc_node_is(gemm, PBITC_OP_Gemm));
    ck_assert_int_eq(gemm->opset, 13);
    ck_assert(pbitc_node_float(gemm, "alpha", 1) == 2);
    const struct pbitc_tensor *weights = gemm->inputs[1]->constant;
    ck_assert_int_eq(weights->shape.dims[0], 4);
    ck_assert_int_eq(weights->shape.dims[1], 3);
    ck_assert(((float *)weights->data)[11] == 12);
    end(&b, &o);
}
END_TEST

START_TEST(symbolic_batches)
{
    static const struct {
        const char *shape, *batch_name;
        int64_t first;
    } cases[] = {{"N,4", "N", -1},  {"batch_size,4", "batch_size", -1},
                 {"?,4", "N", -1},  {"0,4", "N", -1},
                 {"-1,4", "N", -1}, {"3,4", NULL, 3},
                 {"1,4", NULL, 1},  {"unk__7,4", "unk__7", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct builder b = builder_start(13);
        builder_add_input(&b, "x", cases[i].shape);
        builder_add_output(&b, "y");
        builder_add_node(&b, "relu", "Relu", "x", "y");
        struct outcome o = import_good(&b);
        const struct pbitc_value *x = o.graph->inputs[0];
        ck_assert_int_eq(x->shape.dims[0], cases[i].first);
        ck_assert_int_eq(x->shape.dims[1], 4);
        if (cases[i].batch_name)
            ck_assert_str_eq(x->dim_names[0], cases[i].batch_name);
        else
            ck_assert_ptr_null(x->dim_names[0]);
        end(&b, &o);
    }
}
END_TEST

START_TEST(other_symbolic_dimensions)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,3,height,?");
    builder_add_output(&b, "y");
    builder_add_node(&b, "relu", "Relu", "x", "y");
    struct outcome o = import_good(&b);
    const struct pbitc_value *x = o.graph->inputs[0];
    ck_assert_int_eq(x->shape.dims[2], -1);
    ck_assert_str_eq(x->dim_names[0], "N");
    ck_assert_ptr_null(x->dim_names[1]);
    ck_assert_str_eq(x->dim_names[2], "height");
    ck_assert_str_eq(x->dim_names[3], "?");
    // They are for whoever needs shapes to ask for.
    ck_assert_int_eq(pbitc_infer_shapes(o.graph, 1, o.diagnostics), PBIT_ERROR_UNSUPPORTED);
    expect_listed(&o, "x", "the size of dimension 2 of the input is not known ('height')");
    ck_assert_ptr_nonnull(strstr(pbitc_diagnostics_get(o.diagnostics, 0)->remedy, "--shape"));
    ck_assert_int_eq(pbitc_infer_known_shapes(o.graph, 1, o.diagnostics), PBIT_OK);
    end(&b, &o);
}
END_TEST

START_TEST(initializers_listed_as_inputs)
{
    struct builder b = start_mlp();
    b.model->ir_version = 3;
    builder_add_input(&b, "w", "4,3");
    builder_add_input(&b, "c", "3");
    struct outcome o = import_good(&b);
    ck_assert_uint_eq(o.graph->input_count, 1);
    ck_assert_ptr_nonnull(find_node(&o, "fc")->inputs[2]->constant);
    end(&b, &o);
}
END_TEST

START_TEST(names_are_invented_and_made_unique)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_node(&b, "", "Relu", "x", "a");
    builder_add_node(&b, "twin", "Relu", "a", "b");
    builder_add_node(&b, "twin", "Relu", "b", "c");
    builder_add_node(&b, "", "Tanh", "c", "d");
    builder_add_node(&b, "Tanh_3", "Relu", "d", "y"); // takes the name that node 3 would get
    struct outcome o = import_good(&b);
    find_node(&o, "Relu_0");
    find_node(&o, "twin");
    find_node(&o, "twin_1");
    ck_assert(pbitc_node_is(find_node(&o, "Tanh_3"), PBITC_OP_Relu));
    ck_assert(pbitc_node_is(find_node(&o, "Tanh_3_1"), PBITC_OP_Tanh));
    end(&b, &o);
}
END_TEST

START_TEST(unsorted_nodes_are_sorted)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_node(&b, "second", "Relu", "h", "y");
    builder_add_node(&b, "first", "Tanh", "x", "h");
    struct outcome o = import_good(&b);
    ck_assert_str_eq(o.graph->first->name, "first");
    end(&b, &o);
}
END_TEST

START_TEST(omitted_inputs_and_unread_outputs)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_initializer(&b, "max", FLOAT, (int64_t[]){-1}, (float[]){6}, 4);
    builder_add_node(&b, "clip", "Clip", "x,,max", "a");
    builder_add_node(&b, "open", "Clip", "a,,", "b");
    builder_add_node(&b, "dropout", "Dropout", "b", "y,mask");
    struct outcome o = import_good(&b);
    ck_assert_uint_eq(find_node(&o, "clip")->input_count, 3);
    ck_assert_ptr_null(find_node(&o, "clip")->inputs[1]);
    ck_assert_uint_eq(find_node(&o, "open")->input_count, 1);
    ck_assert_uint_eq(find_node(&o, "dropout")->output_count, 1);
    end(&b, &o);
}
END_TEST

START_TEST(constant_nodes_become_constants)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_set_float(&b, builder_add_node(&b, "c0", "Constant", "", "scalar"), "value_float", 1.5f);
    const int64_t list[] = {-1, 4};
    builder_set_ints(&b, builder_add_node(&b, "c1", "Constant", "", "list"), "value_ints", list, 2);
    builder_set_int(&b, builder_add_node(&b, "c2", "Constant", "", "one"), "value_int", 1);
    Onnx__AttributeProto *value =
        builder_add_attribute(&b, builder_add_node(&b, "c3", "Constant", "", "tensor"), "value", 4);
    value->t = builder_make_tensor(&b, "", FLOAT, (int64_t[]){4, -1});
    value->t->n_float_data = 4;
    value->t->float_data = (float[]){1, 2, 3, 4};
    Onnx__AttributeProto *floats =
        builder_add_attribute(&b, builder_add_node(&b, "c4", "Constant", "", "floats"), "value_floats", 6);
    floats->n_floats = 4;
    floats->floats = (float[]){5, 6, 7, 8};
    builder_add_node(&b, "add", "Add", "x,tensor", "a");
    builder_add_node(&b, "mul", "Mul", "a,scalar", "b");
    builder_add_node(&b, "sub", "Sub", "b,floats", "c");
    builder_add_node(&b, "reshape", "Reshape", "c,list", "y");
    struct outcome o = import_good(&b);
    ck_assert(((float *)find_node(&o, "add")->inputs[1]->constant->data)[3] == 4);
    const struct pbitc_tensor *scalar = find_node(&o, "mul")->inputs[1]->constant;
    ck_assert_int_eq(scalar->shape.rank, 0);
    ck_assert(*(float *)scalar->data == 1.5f);
    ck_assert(((float *)find_node(&o, "sub")->inputs[1]->constant->data)[0] == 5);
    expect_ints(find_node(&o, "reshape"), 1, list, 2);
    ck_assert_int_eq(*(int64_t *)pbitc_graph_find_value(o.graph, "one")->constant->data, 1);
    end(&b, &o);
}
END_TEST

/// An initializer read by an Add, so that it has a reader.
static Onnx__TensorProto *start_with_tensor(struct builder *b, int type, const int64_t *dims,
                                            const void *bytes, size_t count)
{
    *b = builder_start(13);
    builder_add_input(b, "x", "N,4");
    builder_add_output(b, "y");
    builder_add_node(b, "add", "Add", "x,t", "y");
    return builder_add_initializer(b, "t", type, dims, bytes, count);
}

START_TEST(typed_data_of_every_kind)
{
    struct builder b;
    Onnx__TensorProto *tensor = start_with_tensor(&b, INT8, (int64_t[]){2, -1}, NULL, 0);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){-128, 127};
    struct outcome o = import_good(&b);
    const void *data = pbitc_graph_find_value(o.graph, "t")->constant->data;
    ck_assert_mem_eq(data, ((int8_t[]){-128, 127}), 2);
    end(&b, &o);

    tensor = start_with_tensor(&b, FLOAT16, (int64_t[]){2, -1}, NULL, 0);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){0x3c00, 0xc000};
    o = import_good(&b);
    data = pbitc_graph_find_value(o.graph, "t")->constant->data;
    ck_assert_mem_eq(data, ((float[]){1, -2}), 8); // 16-bit floats are computed in float32
    end(&b, &o);

    tensor = start_with_tensor(&b, UINT32, (int64_t[]){1, -1}, NULL, 0);
    tensor->n_uint64_data = 1;
    tensor->uint64_data = (uint64_t[]){UINT32_MAX};
    o = import_good(&b);
    data = pbitc_graph_find_value(o.graph, "t")->constant->data;
    ck_assert_mem_eq(data, ((uint32_t[]){UINT32_MAX}), 4);
    end(&b, &o);

    start_with_tensor(&b, BOOL, (int64_t[]){3, -1}, (uint8_t[]){0, 1, 7}, 3);
    o = import_good(&b);
    data = pbitc_graph_find_value(o.graph, "t")->constant->data;
    ck_assert_mem_eq(data, ((uint8_t[]){0, 1, 1}), 3);
    end(&b, &o);

    start_with_tensor(&b, FLOAT, (int64_t[]){0, 3, -1}, NULL, 0); // empty
    o = import_good(&b);
    ck_assert_int_eq(pbitc_shape_elements(&pbitc_graph_find_value(o.graph, "t")->shape), 0);
    end(&b, &o);
}
END_TEST

START_TEST(narrow_data_out_of_range)
{
    struct builder b;
    Onnx__TensorProto *tensor = start_with_tensor(&b, UINT8, (int64_t[]){2, -1}, NULL, 0);
    tensor->n_int32_data = 2;
    tensor->int32_data = (int32_t[]){1, 256};
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "element 1 of the tensor, 256, is no uint8");
    tensor = start_with_tensor(&b, UINT32, (int64_t[]){1, -1}, NULL, 0);
    tensor->n_uint64_data = 1;
    tensor->uint64_data = (uint64_t[]){UINT64_MAX};
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "is no uint32");
}
END_TEST

START_TEST(wrong_amounts_of_data)
{
    static const float data[6];
    struct builder b;
    for (size_t bytes = 0; bytes <= sizeof(data); bytes++) {
        start_with_tensor(&b, FLOAT, (int64_t[]){5, -1}, data, bytes);
        struct outcome o = import_from(&b, NULL);
        ck_assert_int_eq(o.status, bytes == 20 ? PBIT_OK : PBIT_ERROR_FORMAT);
        if (bytes != 20)
            expect_listed(&o, "t", "bytes of raw_data where type and shape need 20");
        end(&b, &o);
    }
    Onnx__TensorProto *tensor = start_with_tensor(&b, FLOAT, (int64_t[]){5, -1}, NULL, 0);
    tensor->n_float_data = 4;
    tensor->float_data = (float[]){1, 2, 3, 4};
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "has 4 elements where its shape needs 5");
    start_with_tensor(&b, FLOAT, (int64_t[]){INT64_MAX / 4, 1, -1}, data, 4);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "where type and shape need");
}
END_TEST

START_TEST(impossible_dimensions)
{
    struct builder b;
    start_with_tensor(&b, FLOAT, (int64_t[]){INT64_MAX, 16, -1}, "", 0);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "dimensions overflow");
    start_with_tensor(&b, FLOAT, (int64_t[]){(int64_t)1 << 62, -1}, "", 0);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "dimensions overflow");
    start_with_tensor(&b, FLOAT, (int64_t[]){2, -7, -1}, "", 0);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "tensor dimension 1 is -7");
    start_with_tensor(&b, FLOAT, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1, -1}, "abcd", 4);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "tensor of 9 dimensions");

    b = builder_start(13);
    builder_add_input(&b, "x", "N,9223372036854775807,9223372036854775807");
    builder_add_output(&b, "y");
    builder_add_node(&b, "relu", "Relu", "x", "y");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "x", "dimensions of the input overflow");
    b = builder_start(13);
    builder_add_input(&b, "x", "1,1,1,1,1,1,1,1,1");
    builder_add_output(&b, "y");
    builder_add_node(&b, "relu", "Relu", "x", "y");
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "x", "9 dimensions");
}
END_TEST

START_TEST(refused_kinds_of_tensors)
{
    struct builder b;
    start_with_tensor(&b, STRING, (int64_t[]){1, -1}, NULL, 0);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "type string");
    start_with_tensor(&b, 14, (int64_t[]){1, -1}, NULL, 0);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "type complex64");
    start_with_tensor(&b, 0, (int64_t[]){1, -1}, NULL, 0);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "t", "without an element type");
    start_with_tensor(&b, 1000, (int64_t[]){1, -1}, NULL, 0);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "type unknown (1000)");
    start_with_tensor(&b, FLOAT, (int64_t[]){1, -1}, NULL, 0)->has_segment = 1;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "segments");

    b = start_mlp();
    Onnx__SparseTensorProto *sparse =
        BUILDER_NEW(&b, Onnx__SparseTensorProto, ONNX__SPARSE_TENSOR_PROTO__INIT);
    sparse->values = b.graph->initializer[1];
    b.graph->n_initializer = 1;
    b.graph->sparse_initializer[b.graph->n_sparse_initializer++] = sparse;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "c", "sparse");

    b = start_mlp();
    Onnx__TypeProto *type = b.graph->output[0]->type;
    type->tensor_type = NULL;
    type->has_sequence_type = 1;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "y", "output of the graph is a sequence");
    b = start_mlp();
    b.graph->input[0]->type->tensor_type->elem_type = STRING;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "x", "type string");
    b = start_mlp();
    b.graph->input[0]->type->tensor_type->shape = NULL;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "x", "shape of the input is not given");
    b = start_mlp();
    b.graph->input[0]->type = NULL;
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "x", "without a type");
}
END_TEST

START_TEST(unknown_operators_are_all_listed)
{
    struct builder b = builder_start(13);
    builder_add_opset(&b, "com.example", 2);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_node(&b, "n0", "Wibble", "x", "a");
    builder_add_node(&b, "n1", "Relu", "a", "b");
    builder_add_node(&b, "n2", "Wibble", "b", "c");
    builder_add_node(&b, "n3", "Foo", "c", "d")->domain = builder_text(&b, "com.example");
    builder_add_node(&b, "n4", "Wobble", "d", "e");
    builder_add_node(&b, "n5", "Bar", "e", "f")->domain = builder_text(&b, "undeclared");
    builder_add_node(&b, "n6", "PBit", "f", "g")->domain = builder_text(&b, "pbitc");
    builder_add_node(&b, "n7", "", "g", "y");
    builder_add_opset(&b, "pbitc", 1);
    struct outcome o = import_from(&b, NULL);
    ck_assert_int_eq(o.status, PBIT_ERROR_FORMAT); // for the undeclared domain
    ck_assert_uint_eq(pbitc_diagnostics_count(o.diagnostics), 7);
    expect_listed(&o, "n0", "not supported (2 nodes: 'n0', 'n2')");
    expect_listed(&o, "n3", "not supported");
    expect_listed(&o, "n4", "not supported");
    expect_listed(&o, "n5", "not supported");
    expect_listed(&o, "n5", "does not declare the operator's domain 'undeclared'");
    expect_listed(&o, "n6", "not supported");
    expect_listed(&o, "n7", "without an operator");
    for (size_t i = 0; i < pbitc_diagnostics_count(o.diagnostics); i++) {
        const struct pbitc_problem *problem = pbitc_diagnostics_get(o.diagnostics, i);
        if (strcmp(problem->node, "n3") == 0) {
            ck_assert_str_eq(problem->op, "com.example.Foo");
            ck_assert_int_eq(problem->opset, 2);
            ck_assert_str_ne(problem->remedy, "");
        }
    }
    end(&b, &o);
}
END_TEST

START_TEST(default_domain_has_two_names)
{
    struct builder b = start_mlp();
    b.model->opset_import[0]->domain = builder_text(&b, "ai.onnx");
    struct outcome o = import_good(&b);
    ck_assert_int_eq(o.graph->opset, 13);
    end(&b, &o);
    b = start_mlp();
    b.graph->node[0]->domain = builder_text(&b, "ai.onnx");
    builder_add_opset(&b, "com.example", 1); // declared and never used
    o = import_good(&b);
    end(&b, &o);
}
END_TEST

START_TEST(opset_limits)
{
    for (int opset = 0; opset <= 30; opset++) {
        Onnx__NodeProto *node;
        struct builder b = start_one_node(opset, "Relu", &node);
        struct outcome o = import_from(&b, NULL);
        bool supported = opset >= PBITC_ONNX_OLDEST_OPSET && opset <= PBITC_ONNX_NEWEST_OPSET;
        ck_assert_int_eq(o.status, supported ? PBIT_OK : PBIT_ERROR_UNSUPPORTED);
        end(&b, &o);
    }
    struct builder b = start_mlp();
    b.model->n_opset_import = 0;
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "", "does not say which opset");
}
END_TEST

START_TEST(subgraph_attributes)
{
    Onnx__NodeProto *node;
    struct builder b = start_one_node(13, "Relu", &node);
    builder_add_attribute(&b, node, "body", 5)->has_g = 1;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "node", "'body' is an inner graph");
}
END_TEST

START_TEST(bad_attributes)
{
    Onnx__NodeProto *node;
    struct builder b = start_one_node(13, "LeakyRelu", &node);
    builder_set_float(&b, node, "alhpa", 0.1f);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "node", "unknown attribute 'alhpa'");
    b = start_one_node(13, "LeakyRelu", &node);
    builder_set_int(&b, node, "alpha", 1);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "wrong kind");
    b = start_one_node(13, "LeakyRelu", &node);
    builder_set_float(&b, node, "alpha", 1);
    builder_set_float(&b, node, "alpha", 2);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "'alpha' is there twice");
    b = start_one_node(13, "LeakyRelu", &node);
    builder_set_float(&b, node, "", 1);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "attribute without a name");
    b = start_one_node(13, "LeakyRelu", &node);
    builder_add_attribute(&b, node, "alpha", 0);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "'alpha' has no value");
    b = start_one_node(13, "LeakyRelu", &node);
    builder_add_attribute(&b, node, "alpha", 1)->ref_attr_name = builder_text(&b, "outer");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "function");
    b = start_one_node(13, "DepthToSpace", &node);
    builder_set_int(&b, node, "blocksize", 2);
    builder_set_string(&b, node, "mode", "DCR");
    node->attribute[1]->s.data[1] = '\0';
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "NUL");
}
END_TEST

/// Until opset 6 an operand stood for the dimensions from `axis` on.
START_TEST(broadcasting_of_old_files)
{
    static const float bias[3];
    struct builder b = builder_start(6);
    builder_add_input(&b, "x", "N,3,4,5");
    builder_add_output(&b, "y");
    builder_add_initializer(&b, "bias", FLOAT, (int64_t[]){3, -1}, bias, sizeof(bias));
    builder_add_node(&b, "first", "Relu", "x", "a");
    Onnx__NodeProto *add = builder_add_node(&b, "node", "Add", "a,bias", "y");
    builder_set_int(&b, add, "broadcast", 1);
    builder_set_int(&b, add, "axis", 1);
    struct outcome o = import_good(&b);
    const struct pbitc_node *aligned = find_node(&o, "node")->inputs[1]->producer;
    ck_assert(pbitc_node_is(aligned, PBITC_OP_Unsqueeze));
    const struct pbitc_tensor *axes = aligned->inputs[1]->constant;
    ck_assert_int_eq(axes->shape.dims[0], 2);
    ck_assert_int_eq(((const int64_t *)axes->data)[0], 1);
    ck_assert_int_eq(((const int64_t *)axes->data)[1], 2);
    end(&b, &o);
    b = start_one_node(6, "Relu", &add);
    add = builder_add_node(&b, "sum", "Add", "x,unknown", "z");
    builder_add_node(&b, "shape", "Reshape", "x,x", "unknown");
    builder_set_int(&b, add, "broadcast", 1);
    builder_set_int(&b, add, "axis", 1);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "sum", "that it broadcasts at axis 1 are not known");
}
END_TEST

/// Upsample and Resize of opset 10 become today's Resize.
START_TEST(resize_before_11)
{
    static const float scales[] = {1, 2};
    for (int opset = 9; opset <= 10; opset++) {
        struct builder b = builder_start(opset);
        builder_add_input(&b, "x", "N,4");
        builder_add_output(&b, "y");
        builder_add_initializer(&b, "scales", FLOAT, (int64_t[]){2, -1}, scales, sizeof(scales));
        builder_add_node(&b, "node", opset == 9 ? "Upsample" : "Resize", "x,scales", "y");
        struct outcome o = import_good(&b);
        const struct pbitc_node *node = find_node(&o, "node");
        ck_assert(pbitc_node_is(node, PBITC_OP_Resize));
        ck_assert_ptr_null(node->inputs[1]);
        ck_assert_ptr_nonnull(node->inputs[2]->constant);
        ck_assert_str_eq(pbitc_node_string(node, "coordinate_transformation_mode", ""), "asymmetric");
        end(&b, &o);
    }
}
END_TEST

/// A classifier's ZipMap is the tensor of its scores; labels that are strings may only be an output.
START_TEST(classifiers)
{
    for (int reads = 0; reads <= 1; reads++) {
        struct builder b = builder_start(13);
        builder_add_opset(&b, "ai.onnx.ml", 1);
        builder_add_input(&b, "x", "N,4");
        Onnx__NodeProto *node = builder_add_node(&b, "node", "LinearClassifier", "x", "label,scores");
        node->domain = builder_text(&b, "ai.onnx.ml");
        Onnx__AttributeProto *labels = builder_add_attribute(&b, node, "classlabels_strings", 8);
        labels->n_strings = 2;
        labels->strings = (ProtobufCBinaryData[]){{1, (uint8_t *)"a"}, {1, (uint8_t *)"b"}};
        node = builder_add_node(&b, "zip", "ZipMap", "scores", "maps");
        node->domain = builder_text(&b, "ai.onnx.ml");
        if (reads)
            builder_add_node(&b, "reader", "Identity", "label", "other");
        builder_add_output(&b, reads ? "other" : "label");
        Onnx__ValueInfoProto *maps = builder_add_output(&b, "maps");
        maps->type->tensor_type = NULL;
        maps->type->has_sequence_type = 1;
        if (reads) {
            expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "node",
                        "its labels are strings, and node 'reader'");
        } else {
            struct outcome o = import_good(&b);
            ck_assert(pbitc_node_is(o.graph->outputs[1]->producer, PBITC_OP_ZipMap));
            end(&b, &o);
        }
    }
}
END_TEST

START_TEST(attribute_types_of_old_files)
{
    Onnx__NodeProto *node;
    struct builder b = start_one_node(8, "LeakyRelu", &node);
    builder_set_float(&b, node, "alpha", 0.5f);
    node->attribute[0]->has_type = 0;
    struct outcome o = import_good(&b);
    ck_assert(pbitc_node_float(find_node(&o, "node"), "alpha", 0) == 0.5f);
    end(&b, &o);
}
END_TEST

START_TEST(bad_arity)
{
    Onnx__NodeProto *node;
    struct builder b = start_one_node(13, "Add", &node);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "has 1 input where the operator has 2 inputs");
    b = start_one_node(13, "Relu", &node);
    node->input = builder_names(&b, "x,x", &node->n_input);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "node", "has 2 inputs where the operator has 1 input");
    b = start_one_node(13, "Add", &node);
    node->input = builder_names(&b, ",x", &node->n_input);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "node", "required input 0 is missing");
}
END_TEST

START_TEST(dangling_and_duplicate_names)
{
    struct builder b = start_mlp();
    b.graph->node[1]->input[0] = builder_text(&b, "nowhere");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "relu", "input 0 is 'nowhere', which nothing produces");
    b = start_mlp();
    builder_add_output(&b, "z");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "z", "nothing produces this output");
    b = start_mlp();
    builder_add_output(&b, "y");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "y", "twice");
    b = start_mlp();
    b.graph->n_output = 0;
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "", "no outputs");
    b = start_mlp();
    builder_add_node(&b, "again", "Tanh", "x", "h");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "again", "output 'h' has the name of another value");
    b = start_mlp();
    builder_add_node(&b, "again", "Tanh", "h", "x");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "again", "output 'x' has the name of another value");
    b = start_mlp();
    builder_add_initializer(&b, "w", FLOAT, (int64_t[]){1, -1}, "abcd", 4);
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "w", "initializer 'w' has the name of another value");
    b = start_mlp();
    builder_add_input(&b, "x", "1");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "x", "input 'x' has the name of another value");
    b = start_mlp();
    builder_add_input(&b, "", "1");
    expect_only(&b, NULL, PBIT_ERROR_FORMAT, "", "input without a name");
}
END_TEST

START_TEST(cycles_are_named)
{
    struct builder b = builder_start(13);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_node(&b, "a", "Add", "x,loop", "h");
    builder_add_node(&b, "b", "Relu", "h", "loop");
    builder_add_node(&b, "c", "Relu", "h", "y");
    struct outcome o = import_from(&b, NULL);
    ck_assert_int_eq(o.status, PBIT_ERROR_FORMAT);
    ck_assert_uint_eq(pbitc_diagnostics_count(o.diagnostics), 1);
    const char *message = pbitc_diagnostics_get(o.diagnostics, 0)->message;
    ck_assert(strstr(message, "'a'") && strstr(message, "'b'") && !strstr(message, "'c'"));
    end(&b, &o);
}
END_TEST

START_TEST(all_problems_at_once)
{
    struct builder b = builder_start(29);
    builder_add_input(&b, "x", "N,4");
    builder_add_output(&b, "y");
    builder_add_output(&b, "z");
    builder_add_initializer(&b, "w", FLOAT, (int64_t[]){2, -1}, "", 0);
    builder_add_node(&b, "n0", "Wibble", "x,w", "a");
    builder_add_node(&b, "n1", "Relu", "gone", "b");
    Onnx__NodeProto *leaky = builder_add_node(&b, "n2", "LeakyRelu", "a", "y");
    builder_set_float(&b, leaky, "slope", 1);
    struct outcome o = import_from(&b, NULL);
    ck_assert_uint_eq(pbitc_diagnostics_count(o.diagnostics), 6);
    expect_listed(&o, "", "opset 29 is too new");
    expect_listed(&o, "w", "raw_data");
    expect_listed(&o, "n0", "not supported");
    expect_listed(&o, "n1", "'gone'");
    expect_listed(&o, "n2", "'slope'");
    expect_listed(&o, "z", "nothing produces");
    end(&b, &o);
}
END_TEST

// Older forms.

START_TEST(clip_6_and_pad_2)
{
    Onnx__NodeProto *node;
    struct builder b = start_one_node(6 + 1, "Clip", &node);
    builder_set_float(&b, node, "max", 6);
    struct outcome o = import_good(&b);
    const struct pbitc_node *clip = find_node(&o, "node");
    ck_assert_uint_eq(clip->input_count, 3);
    ck_assert_ptr_null(clip->inputs[1]);
    ck_assert_int_eq(clip->inputs[2]->type, PBITC_FLOAT32);
    ck_assert(*(float *)clip->inputs[2]->constant->data == 6);
    ck_assert_ptr_null(clip->attributes);
    end(&b, &o);

    b = start_one_node(10, "Clip", &node);
    b.graph->input[0]->type->tensor_type->elem_type = FLOAT16;
    builder_set_float(&b, node, "min", -1);
    o = import_good(&b);
    const struct pbitc_value *min = find_node(&o, "node")->inputs[1];
    ck_assert_int_eq(min->type, PBITC_FLOAT32);
    ck_assert(*(float *)min->constant->data == -1);
    end(&b, &o);

    const int64_t pads[] = {0, 1, 0, 2};
    b = start_one_node(10, "Pad", &node);
    builder_set_ints(&b, node, "pads", pads, 4);
    builder_set_float(&b, node, "value", 0.5f);
    builder_set_string(&b, node, "mode", "constant");
    o = import_good(&b);
    expect_ints(find_node(&o, "node"), 1, pads, 4);
    ck_assert(*(float *)find_node(&o, "node")->inputs[2]->constant->data == 0.5f);
    end(&b, &o);
}
END_TEST

START_TEST(lists_that_became_inputs)
{
    static const struct {
        const char *op;
        int opset; ///< the last one with the attribute
    } cases[] = {
        {"Squeeze", 12}, {"Unsqueeze", 12}, {"ReduceSum", 12}, {"ReduceMean", 17}, {"ReduceMax", 17}};
    const int64_t axes[] = {1};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Onnx__NodeProto *node;
        struct builder b = start_one_node(cases[i].opset, cases[i].op, &node);
        builder_set_ints(&b, node, "axes", axes, 1);
        struct outcome o = import_good(&b);
        expect_ints(find_node(&o, "node"), 1, axes, 1);
        end(&b, &o);

        b = start_one_node(cases[i].opset + 1, cases[i].op, &node);
        builder_set_ints(&b, node, "axes", axes, 1);
        o = import_from(&b, NULL);
        expect_listed(&o, "node", "unknown attribute 'axes'");
        end(&b, &o);
    }
}
END_TEST

START_TEST(slice_1_and_split_2)
{
    Onnx__NodeProto *node;
    const int64_t starts[] = {1}, ends[] = {3}, axes[] = {1};
    struct builder b = start_one_node(9, "Slice", &node);
    builder_set_ints(&b, node, "starts", starts, 1);
    builder_set_ints(&b, node, "ends", ends, 1);
    builder_set_ints(&b, node, "axes", axes, 1);
    struct outcome o = import_good(&b);
    expect_ints(find_node(&o, "node"), 1, starts, 1);
    expect_ints(find_node(&o, "node"), 2, ends, 1);
    expect_ints(find_node(&o, "node"), 3, axes, 1);
    end(&b, &o);

    const int64_t parts[] = {1, 3};
    b = start_one_node(11, "Split", &node);
    node->output = builder_names(&b, "y,rest", &node->n_output);
    builder_set_ints(&b, node, "split", parts, 2);
    o = import_good(&b);
    expect_ints(find_node(&o, "node"), 1, parts, 2);
    ck_assert_uint_eq(find_node(&o, "node")->output_count, 2);
    end(&b, &o);

    b = start_one_node(13, "Split", &node);
    node->output = builder_names(&b, "y,rest", &node->n_output);
    o = import_good(&b);
    ck_assert_int_eq(pbitc_node_int(find_node(&o, "node"), "num_outputs", 0), 2);
    end(&b, &o);
}
END_TEST

START_TEST(softmax_before_13)
{
    static const struct {
        int opset;
        int64_t axis; ///< 0: not given
        int64_t imported_axis;
        int64_t legacy;
    } cases[] = {{12, 0, 1, 1}, {12, 2, 2, 1}, {12, -1, -1, 0}, {13, 0, -1, 0}, {13, 1, 1, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        Onnx__NodeProto *node;
        struct builder b = start_one_node(cases[i].opset, "Softmax", &node);
        if (cases[i].axis)
            builder_set_int(&b, node, "axis", cases[i].axis);
        struct outcome o = import_good(&b);
        ck_assert_int_eq(pbitc_node_int(find_node(&o, "node"), "axis", -1), cases[i].imported_axis);
        ck_assert_int_eq(pbitc_node_int(find_node(&o, "node"), "legacy", 0), cases[i].legacy);
        end(&b, &o);
    }
}
END_TEST

START_TEST(batch_normalization_7)
{
    struct builder b = builder_start(7);
    builder_add_input(&b, "x", "N,2");
    builder_add_output(&b, "y");
    for (size_t i = 0; i < 4; i++)
        builder_add_initializer(
            &b, &"s\0b\0m\0v" [2 * i], FLOAT, (int64_t[]) { 2, -1 }, (float[]){1, 1}, 8);
    Onnx__NodeProto *node =
        builder_add_node(&b, "bn", "BatchNormalization", "x,s,b,m,v", "y,mean,var,saved_mean,saved_var");
    builder_set_int(&b, node, "spatial", 1);
    builder_set_float(&b, node, "epsilon", 0.25f);
    Onnx__NodeProto *dropout = builder_add_node(&b, "dropout", "Dropout", "y", "z,mask");
    builder_set_float(&b, dropout, "ratio", 0.5f);
    struct outcome o = import_good(&b);
    ck_assert_uint_eq(find_node(&o, "bn")->output_count, 1);
    ck_assert(pbitc_node_float(find_node(&o, "bn"), "epsilon", 0) == 0.25f);
    ck_assert_ptr_null(pbitc_node_attribute(find_node(&o, "bn"), "spatial"));
    ck_assert_ptr_null(find_node(&o, "dropout")->attributes);
    pbitc_graph_destroy(o.graph);
    pbitc_diagnostics_destroy(o.diagnostics);

    node->attribute[0]->i = 0;
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "bn", "'spatial' = 0");
}
END_TEST

// External data and files.

/// A folder of our own with an empty subfolder "model".
struct folder {
    char path[512], model[520];
};

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static struct folder make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    struct folder folder;
    snprintf(folder.path, sizeof(folder.path), "%s/pbitc-import-XXXXXX", parent ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder.path));
    snprintf(folder.model, sizeof(folder.model), "%s/model", folder.path);
    ck_assert_int_eq(mkdir(folder.model, 0700), 0);
    return folder;
}

static void remove_folder(const struct folder *folder, const char *const *names)
{
    char path[1024];
    for (; *names; names++) {
        snprintf(path, sizeof(path), "%s/%s", folder->path, *names);
        ck_assert_int_eq(remove(path), 0);
    }
    ck_assert_int_eq(rmdir(folder->model), 0);
    ck_assert_int_eq(rmdir(folder->path), 0);
}

static struct builder start_external(const char *location, const char *offset, const char *length)
{
    struct builder b;
    Onnx__TensorProto *tensor = start_with_tensor(&b, FLOAT, (int64_t[]){4, -1}, NULL, 0);
    if (location)
        builder_set_external(&b, tensor, "location", location);
    if (offset)
        builder_set_external(&b, tensor, "offset", offset);
    if (length)
        builder_set_external(&b, tensor, "length", length);
    return b;
}

START_TEST(external_data_is_read)
{
    static const float values[6] = {0, 1, 2, 3, 4, 5};
    struct folder folder = make_folder();
    write_file(folder.model, "data.bin", values, sizeof(values));
    char link[600];
    snprintf(link, sizeof(link), "%s/inside", folder.model);
    ck_assert_int_eq(symlink("data.bin", link), 0);
    static const struct {
        const char *location, *offset, *length;
        float first;
    } cases[] = {{"data.bin", NULL, NULL, 0}, {"data.bin", "8", "16", 2}, {"inside", "4", NULL, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct builder b = start_external(cases[i].location, cases[i].offset, cases[i].length);
        struct outcome o = import_from(&b, folder.model);
        ck_assert_int_eq(o.status, PBIT_OK);
        const float *data = pbitc_graph_find_value(o.graph, "t")->constant->data;
        ck_assert(data[0] == cases[i].first && data[3] == cases[i].first + 3);
        end(&b, &o);
    }
    remove_folder(&folder, (const char *const[]){"model/inside", "model/data.bin", NULL});
}
END_TEST

START_TEST(external_data_cannot_leave_the_folder)
{
    static const float values[4];
    struct folder folder = make_folder();
    char absolute[600], link[600];
    write_file(folder.path, "secret", values, sizeof(values));
    snprintf(absolute, sizeof(absolute), "%s/secret", folder.path);
    snprintf(link, sizeof(link), "%s/link", folder.model);
    ck_assert_int_eq(symlink("../secret", link), 0);
    snprintf(link, sizeof(link), "%s/up", folder.model);
    ck_assert_int_eq(symlink("..", link), 0);
    const char *plain = "not a plain path", *leaves = "leaves the model's folder";
    const struct {
        const char *location, *phrase;
    } cases[] = {{"../secret", plain}, {absolute, plain},      {"", plain},     {".", plain},
                 {"..", plain},        {"./../secret", plain}, {"a//b", plain}, {"a/../../secret", plain},
                 {"link", leaves},     {"up/secret", leaves},  {"sub/", plain}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct builder b = start_external(cases[i].location, NULL, NULL);
        expect_only(&b, folder.model, PBIT_ERROR_FORMAT, "t", cases[i].phrase);
    }
    remove_folder(&folder, (const char *const[]){"secret", "model/link", "model/up", NULL});
}
END_TEST

START_TEST(external_data_is_checked)
{
    static const float values[5];
    struct folder folder = make_folder();
    write_file(folder.model, "data.bin", values, sizeof(values));
    char path[600];
    snprintf(path, sizeof(path), "%s/pipe", folder.model);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    static const struct {
        const char *location, *offset, *length;
        enum pbit_status status;
        const char *phrase;
    } cases[] = {
        {"data.bin", "5", NULL, PBIT_ERROR_FORMAT, "16 bytes at offset 5 are not in"},
        {"data.bin", "18446744073709551615", NULL, PBIT_ERROR_FORMAT, "are not in"},
        {"data.bin", "18446744073709551616", NULL, PBIT_ERROR_FORMAT, "no number"},
        {"data.bin", "-1", NULL, PBIT_ERROR_FORMAT, "no number"},
        {"data.bin", "4x", NULL, PBIT_ERROR_FORMAT, "no number"},
        {"data.bin", NULL, "20", PBIT_ERROR_FORMAT, "has length 20 where type and shape need 16"},
        {NULL, "0", NULL, PBIT_ERROR_FORMAT, "without a location"},
        {"missing.bin", NULL, NULL, PBIT_ERROR_IO, "cannot open external data 'missing.bin'"},
        {"pipe", NULL, NULL, PBIT_ERROR_IO, "not a regular file"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct builder b = start_external(cases[i].location, cases[i].offset, cases[i].length);
        expect_only(&b, folder.model, cases[i].status, "t", cases[i].phrase);
    }
    struct builder b = start_external("data.bin", NULL, NULL);
    expect_only(&b, NULL, PBIT_ERROR_UNSUPPORTED, "t", "does not come from a folder");
    remove_folder(&folder, (const char *const[]){"model/data.bin", "model/pipe", NULL});
}
END_TEST

START_TEST(models_are_read_from_files)
{
    static const float values[4] = {1, 2, 3, 4};
    struct folder folder = make_folder();
    struct builder b = start_external("data.bin", NULL, NULL);
    size_t size;
    uint8_t *bytes = builder_pack(&b, &size);
    write_file(folder.model, "model.onnx", bytes, size);
    write_file(folder.model, "data.bin", values, sizeof(values));
    char path[600];
    snprintf(path, sizeof(path), "%s/model.onnx", folder.model);
    struct pbitc_graph *graph = NULL;
    enum pbit_status status = PBIT_ERROR_MEMORY;
    for (size_t calls = 0; status != PBIT_OK; calls++) {
        struct failing_allocator failing;
        failing_allocator_start(&failing, calls);
        status = pbitc_onnx_import(path, &failing.allocator, NULL, &graph);
        ck_assert_int_eq(status, failing.calls_left  ? PBIT_OK
                                 : status == PBIT_OK ? PBIT_OK
                                                     : PBIT_ERROR_MEMORY);
        if (graph)
            ck_assert(((float *)pbitc_graph_find_value(graph, "t")->constant->data)[3] == 4);
        pbitc_graph_destroy(graph);
        ck_assert_uint_eq(failing.allocations, failing.releases);
    }
    ck_assert_int_eq(pbitc_onnx_import(folder.model, NULL, NULL, &graph), PBIT_ERROR_IO); // a folder
    ck_assert_int_eq(pbitc_onnx_import("/nonexistent/model.onnx", NULL, NULL, &graph), PBIT_ERROR_IO);
    ck_assert_ptr_null(graph);
    builder_end(&b);
    remove_folder(&folder, (const char *const[]){"model/model.onnx", "model/data.bin", NULL});
}
END_TEST

// Hostile bytes.

START_TEST(truncated_at_every_byte)
{
    struct builder b = start_mlp();
    size_t size;
    const uint8_t *bytes = builder_pack(&b, &size);
    for (size_t length = 0; length < size; length++) {
        struct pbitc_graph *graph;
        // A copy of exactly that size, so that the sanitizer sees a read past the end.
        uint8_t *copy = malloc(length + !length);
        memcpy(copy, bytes, length);
        ck_assert_int_eq(pbitc_onnx_import_bytes(copy, length, NULL, NULL, NULL, &graph), PBIT_ERROR_FORMAT);
        ck_assert_ptr_null(graph);
        free(copy);
    }
    builder_end(&b);
}
END_TEST

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

START_TEST(random_bytes)
{
    enum { ROUNDS = 20000, LONGEST = 300 };
    uint32_t random = 1;
    uint8_t bytes[LONGEST];
    for (int round = 0; round < ROUNDS; round++) {
        size_t size = next_random(&random) % LONGEST;
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)next_random(&random);
        struct pbitc_graph *graph;
        ck_assert_int_ne(pbitc_onnx_import_bytes(bytes, size, NULL, NULL, NULL, &graph), PBIT_OK);
    }
}
END_TEST

START_TEST(mutated_models)
{
    enum { ROUNDS = 20000 };
    struct builder b = start_mlp();
    size_t size;
    uint8_t *bytes = builder_pack(&b, &size);
    uint32_t random = 7;
    for (int round = 0; round < ROUNDS; round++) {
        struct failing_allocator counting;
        struct pbitc_graph *graph;
        size_t place = next_random(&random) % size;
        uint8_t before = bytes[place];
        bytes[place] = (uint8_t)next_random(&random);
        failing_allocator_start(&counting, SIZE_MAX);
        enum pbit_status status =
            pbitc_onnx_import_bytes(bytes, size, NULL, &counting.allocator, NULL, &graph);
        ck_assert(status == PBIT_OK || status == PBIT_ERROR_FORMAT || status == PBIT_ERROR_UNSUPPORTED);
        pbitc_graph_destroy(graph);
        ck_assert_uint_eq(counting.allocations, counting.releases);
        bytes[place] = before;
    }
    builder_end(&b);
}
END_TEST

START_TEST(memory_bombs)
{
    // Every two bytes are an empty node, which decodes to more than a hundred.
    enum { GRAPH_BYTES = 16 << 20 };
    uint8_t *bytes = malloc(GRAPH_BYTES + 16);
    uint8_t *end = bytes;
    *end++ = 7 << 3 | 2; // ModelProto.graph
    for (uint32_t length = GRAPH_BYTES; length; length >>= 7)
        *end++ = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    for (int i = 0; i < GRAPH_BYTES; i += 2) {
        *end++ = 1 << 3 | 2; // GraphProto.node
        *end++ = 0;
    }
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_graph *graph;
    enum pbit_status status =
        pbitc_onnx_import_bytes(bytes, (size_t)(end - bytes), NULL, NULL, diagnostics, &graph);
    ck_assert_int_eq(status, PBIT_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(pbitc_diagnostics_get(diagnostics, 0)->message, "more memory"));
    pbitc_diagnostics_destroy(diagnostics);
    free(bytes);
}
END_TEST

START_TEST(every_failed_allocation)
{
    struct builder b = start_mlp();
    b.model->opset_import[0]->version = 10;
    builder_set_float(&b, builder_add_node(&b, "", "Clip", "y", "z"), "max", 6);
    builder_set_int(&b, builder_add_node(&b, "", "Constant", "", "k"), "value_int", 1);
    // Larger than a block of the arena.
    static const float large[50000];
    builder_add_initializer(&b, "large", FLOAT, (int64_t[]){50000, -1}, large, sizeof(large));
    size_t size, calls = 0;
    const uint8_t *bytes = builder_pack(&b, &size);
    for (enum pbit_status status = PBIT_ERROR_MEMORY; status != PBIT_OK; calls++) {
        struct failing_allocator failing;
        struct pbitc_graph *graph;
        struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
        failing_allocator_start(&failing, calls);
        status = pbitc_onnx_import_bytes(bytes, size, NULL, &failing.allocator, diagnostics, &graph);
        ck_assert(status == PBIT_OK || status == PBIT_ERROR_MEMORY);
        ck_assert_uint_eq(pbitc_diagnostics_count(diagnostics), status == PBIT_OK ? 0 : 1);
        pbitc_graph_destroy(graph);
        ck_assert_uint_eq(failing.allocations, failing.releases);
        pbitc_diagnostics_destroy(diagnostics);
    }
    ck_assert_uint_gt(calls, 50);
    builder_end(&b);
}
END_TEST

static void add_tests(Suite *suite, const char *name, const TTest *const *tests, size_t count)
{
    TCase *cases = tcase_create(name);
    tcase_set_timeout(cases, 120);
    for (size_t i = 0; i < count; i++)
        tcase_add_test(cases, tests[i]);
    suite_add_tcase(suite, cases);
}

#define ADD_TESTS(suite, name, ...)                                                                          \
    add_tests(suite, name, (const TTest *const[]){__VA_ARGS__},                                              \
              sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))

static Suite *import_suite(void)
{
    Suite *suite = suite_create("onnx import");
    ADD_TESTS(suite, "accepted", mlp_is_imported, symbolic_batches, initializers_listed_as_inputs,
              names_are_invented_and_made_unique, unsorted_nodes_are_sorted,
              omitted_inputs_and_unread_outputs, constant_nodes_become_constants, typed_data_of_every_kind,
              default_domain_has_two_names, attribute_types_of_old_files, broadcasting_of_old_files,
              resize_before_11, classifiers);
    ADD_TESTS(suite, "refused", other_symbolic_dimensions, narrow_data_out_of_range, wrong_amounts_of_data,
              impossible_dimensions, refused_kinds_of_tensors, unknown_operators_are_all_listed, opset_limits,
              subgraph_attributes, bad_attributes, bad_arity, dangling_and_duplicate_names, cycles_are_named,
              all_problems_at_once);
    ADD_TESTS(suite, "older forms", clip_6_and_pad_2, lists_that_became_inputs, slice_1_and_split_2,
              softmax_before_13, batch_normalization_7);
    ADD_TESTS(suite, "files", external_data_is_read, external_data_cannot_leave_the_folder,
              external_data_is_checked, models_are_read_from_files);
    ADD_TESTS(suite, "hostile", truncated_at_every_byte, random_bytes, mutated_models, memory_bombs,
              every_failed_allocation);
    return suite;
}

int main(void)
{
    return run_suite(import_suite());
}
