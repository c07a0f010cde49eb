#!/usr/bin/env python3
"""Write a copy of a network whose image, or whose outputs, pbitc turns into p-bits too.

The image goes through Clip, whose range it keeps anyway, or each output through a sigmoid, which changes no decision, so the float
network stays what it was. This is for one question: what would it cost to draw the image or the outputs, which pbitc keeps exact?
"""

import argparse

import numpy as np
import onnx
from onnx import helper, numpy_helper

RANGE = 2.0  # x = (pixel / 255 - 0.5) / 0.25


def draw_image(graph: onnx.GraphProto) -> None:
    """Put a Clip behind the input."""
    name = graph.input[0].name
    for node in graph.node:
        for i, value in enumerate(node.input):
            if value == name:
                node.input[i] = "drawn_image"
    for end, value in (("low", -RANGE), ("high", RANGE)):
        graph.initializer.append(numpy_helper.from_array(np.float32(value), f"image_{end}"))
    graph.node.insert(0, helper.make_node("Clip", [name, "image_low", "image_high"], ["drawn_image"], "draw_image"))


def draw_outputs(graph: onnx.GraphProto) -> None:
    """Put a Sigmoid behind the output."""
    graph.node.append(helper.make_node("Sigmoid", [graph.output[0].name], ["drawn_outputs"], "draw_outputs"))
    graph.output[0].name = "drawn_outputs"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("end", choices=("image", "outputs"))
    parser.add_argument("model", help="a network of train.py")
    parser.add_argument("copy", help="the ONNX file to write")
    arguments = parser.parse_args()
    model = onnx.load(arguments.model)
    (draw_image if arguments.end == "image" else draw_outputs)(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, arguments.copy)


if __name__ == "__main__":
    main()
