// Models in 16-bit floats: computed in float32 between the inputs and the outputs, rounded where they cast.
#include "converter/onnx/onnx_import.h"
#include "passes/interpreter/interpreter.h"
#include "tests/converter/onnx_builder.h"
#include "tests/run_suite.h"

#include <check.h>

enum { FLOAT = 1, FLOAT16 = 10, BFLOAT16 = 16, COUNT = 3 };

static void add_input(struct builder *b, const char *name, int type)
{
    builder_add_input(b, name, "3")->type->tensor_type->elem_type = type;
}

static void add_output(struct builder *b, const char *name, int type)
{
    builder_add_output(b, name)->type->tensor_type->elem_type = type;
}

/// Imports, runs on x for every input, and checks the type that the model declares and the float32 values
/// that are computed, output by output.
static void expect(struct builder b, const float *x, const enum pbitc_type *types, float (*expected)[COUNT])
{
    struct pbitc_diagnostics *diagnostics = pbitc_diagnostics_create();
    struct pbitc_graph *graph = NULL, *clone;
    struct pbitc_interpreter *interpreter = NULL;
    size_t size;
    const uint8_t *bytes = builder_pack(&b, &size);
    enum pbit_status status = pbitc_onnx_import_bytes(bytes, size, NULL, NULL, diagnostics, &graph);
    if (status)
        pbitc_diagnostics_print(diagnostics, stderr);
    ck_assert_int_eq(status, PBIT_OK);
    clone = pbitc_graph_clone(graph);
    struct pbitc_tensor inputs[2];
    ck_assert_uint_le(graph->input_count, 2);
    for (size_t i = 0; i < 2 && i < graph->input_count; i++) {
        float *copy = pbitc_arena_allocate(graph->arena, COUNT, sizeof(float));
        memcpy(copy, x, COUNT * sizeof(float));
        inputs[i] = (struct pbitc_tensor){PBITC_FLOAT32, {1, {COUNT}}, copy};
        ck_assert_int_eq(graph->inputs[i]->type, PBITC_FLOAT32);
    }
    ck_assert_int_eq(pbitc_interpreter_create(clone, 1, NULL, diagnostics, &interpreter), PBIT_OK);
    ck_assert_int_eq(pbitc_interpreter_run(interpreter, inputs, NULL, diagnostics), PBIT_OK);
    for (size_t i = 0; i < graph->output_count; i++) {
        const struct pbitc_tensor *y = pbitc_interpreter_value(interpreter, clone->outputs[i]);
        ck_assert_int_eq(pbitc_graph_output_type(clone, i), types[i]);
        ck_assert_int_eq(y->type, PBITC_FLOAT32);
        for (int j = 0; j < COUNT; j++)
            ck_assert_float_eq(((float *)y->data)[j], expected[i][j]);
    }
    pbitc_interpreter_destroy(interpreter);
    pbitc_graph_destroy(clone);
    pbitc_graph_destroy(graph);
    pbitc_diagnostics_destroy(diagnostics);
    builder_end(&b);
}

/// 300 x 300 is more than float16 holds, and 90000 x 2^-8 needs more bits than it has; the constant keeps its
/// rounded value.
START_TEST(nothing_is_rounded_between_nodes)
{
    struct builder b = builder_start(17);
    add_input(&b, "x", FLOAT16);
    builder_add_initializer(&b, "c", FLOAT16, (int64_t[]){-1}, &(uint16_t){0x1c01}, 2); // 2^-8 + 2^-18
    builder_add_node(&b, "square", "Mul", "x,x", "s");
    builder_add_node(&b, "shrink", "Mul", "s,c", "y");
    add_output(&b, "y", FLOAT16);
    const float c = 0x1p-8f + 0x1p-18f;
    expect(b, (float[]){300, 1, -2}, (enum pbitc_type[]){PBITC_FLOAT16},
           (float[][COUNT]){{90000 * c, c, 4 * c}});
}
END_TEST

/// A Cast that the model has rounds, and so does CastLike to a type that is written in the model.
START_TEST(casts_of_the_model_round)
{
    struct builder b = builder_start(17);
    add_input(&b, "x", FLOAT);
    add_input(&b, "h", BFLOAT16);
    builder_set_int(&b, builder_add_node(&b, "cast", "Cast", "x", "y"), "to", FLOAT16);
    builder_add_node(&b, "like", "CastLike", "x,h", "z");
    builder_add_node(&b, "sum", "Add", "y,y", "twice");
    builder_set_int(&b, builder_add_node(&b, "back", "Cast", "twice", "w"), "to", FLOAT);
    add_output(&b, "y", FLOAT16);
    add_output(&b, "z", BFLOAT16);
    add_output(&b, "w", FLOAT);
    expect(b, (float[]){2049, 257, 2051}, (enum pbitc_type[]){PBITC_FLOAT16, PBITC_BFLOAT16, PBITC_TYPE_NONE},
           (float[][COUNT]){{2048, 257, 2052}, {2048, 256, 2048}, {4096, 514, 4104}});
}
END_TEST

/// The value of ConstantOfShape is an attribute; RandomNormal and others have a type among theirs.
START_TEST(attributes_are_widened)
{
    struct builder b = builder_start(17);
    add_input(&b, "x", FLOAT16);
    builder_add_node(&b, "shape", "Shape", "x", "s");
    Onnx__AttributeProto *value =
        builder_add_attribute(&b, builder_add_node(&b, "fill", "ConstantOfShape", "s", "f"), "value", 4);
    value->t = builder_make_tensor(&b, "v", FLOAT16, (int64_t[]){1, -1});
    builder_set_raw(&b, value->t, &(uint16_t){0x4200}, 2);
    builder_add_node(&b, "sum", "Add", "x,f", "y");
    add_output(&b, "y", FLOAT16);
    expect(b, (float[]){1, 2, 3}, (enum pbitc_type[]){PBITC_FLOAT16}, (float[][COUNT]){{4, 5, 6}});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("onnx_widen");
    TCase *tcase = tcase_create("16-bit floats");
    tcase_add_test(tcase, nothing_is_rounded_between_nodes);
    tcase_add_test(tcase, casts_of_the_model_round);
    tcase_add_test(tcase, attributes_are_widened);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
