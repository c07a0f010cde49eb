#!/usr/bin/env python3
"""make_refused.py FOLDER: makes the hostile and broken models of tests/fuzz/refused. Needs the Python package onnx."""
import pathlib
import sys

from onnx import TensorProto, helper


def value(name, shape=(1, 4), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, list(shape))


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def graph(nodes, inputs=(), outputs=("z",), name="g"):
    return helper.make_graph(nodes, name, list(inputs), [value(output) for output in outputs])


def model(*nodes, inputs=None, initializers=(), functions=(), opset=17, output=(1, 4)):
    whole = helper.make_graph(list(nodes), "g", inputs or [value("x")], [value("y", output)], list(initializers))
    opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid("f", 1)] * bool(functions)
    made = helper.make_model(whole, opset_imports=opsets, functions=list(functions))
    made.ir_version = 8
    return made


def weights(dims, data=b"1234", kind=TensorProto.FLOAT):
    return TensorProto(name="w", data_type=kind, dims=dims, raw_data=data)


def external(location):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def integers(name, *numbers):
    return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], numbers)


def nested_if(depth):
    inner = graph([node("Identity", "x", "z")])
    for _ in range(depth):
        other = graph([node("Identity", "x", "z")])
        inner = graph([node("If", "condition", "z", then_branch=inner, else_branch=other)])
    return inner


def function(name, *nodes):
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    return helper.make_function("f", name, ["a"], ["b"], list(nodes), opsets)


def models():
    relu = node("Relu", "x", "y")
    add = node("Add", "x w", "y")
    kernel = helper.make_tensor("w", TensorProto.FLOAT, [2, 2, 3, 3], [0.0] * 36)
    image = [value("x", (1, 2, 8, 8))]
    yield "empty", b""
    yield "cut_off", model(relu).SerializeToString()[:-9]
    yield "no_graph", helper.make_model(helper.make_graph([], "g", [], []))
    yield "cycle", model(node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y"))
    yield "self_loop", model(node("Add", "x y", "y"))
    yield "duplicate_output", model(relu, relu)
    yield "duplicate_input", model(relu, inputs=[value("x"), value("x")])
    yield "missing_input", model(node("Relu", "nothing", "y"))
    yield "output_without_producer", model(node("Relu", "x", "z"))
    yield "unknown_operator", model(node("Frobnicate", "x", "y"))
    yield "unknown_domain", model(node("Relu", "x", "y", domain="com.example"))
    yield "unknown_attribute", model(node("Relu", "x", "y", slope=0.5))
    yield "opset_zero", model(relu, opset=0)
    yield "opset_huge", model(relu, opset=2**31 - 1)
    yield "dimensions_overflow", model(add, initializers=[weights([2**31] * 3)])
    yield "dimension_negative", model(add, initializers=[weights([-4])])
    yield "data_too_short", model(add, initializers=[weights([1000000])])
    yield "rank_forty", model(add, initializers=[weights([1] * 40)])
    yield "external_parent", model(add, initializers=[external("../secret")])
    yield "external_absolute", model(add, initializers=[external("/etc/passwd")])
    yield "external_missing", model(add, initializers=[external("not_there.bin")])
    yield "external_empty_name", model(add, initializers=[external("")])
    text = TensorProto(name="w", data_type=TensorProto.STRING, dims=[1], string_data=[b"a"])
    yield "string_tensor", model(node("Identity", "w", "y"), initializers=[text])
    conv = node("Conv", "x w", "y")
    yield "conv_weights_wrong", model(conv, inputs=[value("x", (1, 3, 8, 8))], initializers=[kernel])
    yield "conv_stride_zero", model(node("Conv", "x w", "y", strides=[0, 0]), inputs=image, initializers=[kernel])
    yield "tile_bomb", model(node("Tile", "x r", "a"), node("Relu", "a", "y"), output=("n", "m"),
                             initializers=[integers("r", 2**40, 2**20)])
    yield "constant_bomb", model(node("ConstantOfShape", "r", "a"), node("Add", "a x", "y"), output=("n", "m"),
                                 initializers=[integers("r", *[2**30] * 4)])
    condition = value("condition", (), TensorProto.BOOL)
    yield "if_nested_25", model(node("If", "condition", "y", then_branch=nested_if(25), else_branch=nested_if(0)),
                                inputs=[value("x"), condition])
    call = node("F0", "x", "y", domain="f")
    yield "function_recursion", model(call, functions=[function("F0", node("F0", "a", "b", domain="f"))])
    doubling = [function(f"F{i}", node(f"F{i + 1}", "a", "t", domain="f"), node(f"F{i + 1}", "t", "b", domain="f"))
                for i in range(30)]
    yield "function_doubling_30", model(call, functions=doubling + [function("F30", node("Relu", "a", "b"))])


def main(folder):
    for name, made in models():
        data = made if isinstance(made, bytes) else made.SerializeToString()
        (pathlib.Path(folder) / f"{name}.onnx").write_bytes(data)


main(sys.argv[1])
