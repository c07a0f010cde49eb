#!/usr/bin/env python3
"""Makes cnn_relu_int8.onnx out of cnn_relu.onnx with ONNX Runtime's static quantizer: 8-bit weights and activations,
QuantizeLinear and DequantizeLinear around every layer, ranges measured on 200 training images.

Needs the packages of requirements.txt. pbitc does not: the result is in the repository."""
import gzip
import pathlib

import numpy
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

IMAGES = 200
FOLDER = pathlib.Path(__file__).resolve().parent


class Images(CalibrationDataReader):
    def __init__(self, name):
        pixels = gzip.open(FOLDER / "train-1000-images-idx3-ubyte.gz").read()[16:]
        images = numpy.frombuffer(pixels, numpy.uint8).reshape(-1, 1, 1, 28, 28)[:IMAGES]
        self.batches = iter([{name: image.astype(numpy.float32) / 255} for image in images])

    def get_next(self):
        return next(self.batches, None)


def main():
    source, result = FOLDER / "cnn_relu.onnx", FOLDER / "cnn_relu_int8.onnx"
    name = onnx.load(source).graph.input[0].name
    quantize_static(source, result, Images(name), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, per_channel=True)


if __name__ == "__main__":
    main()
