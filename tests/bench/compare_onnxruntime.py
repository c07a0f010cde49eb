#!/usr/bin/env python3
"""Runs ONNX models through `pbitc run` and through ONNX Runtime on the same inputs and compares the outputs.

Prints one line per model: same (with the largest difference), refused (with pbitc's first reason), skipped (ONNX
Runtime does not run it either) or DIFFERS. Exit code 1 when one differs, or when fewer than --at-least are the same.
--input says where the inputs come from:
  random         normal numbers (the default)
  mnist:DIR      images of MNIST (t10k*images-idx3-ubyte.gz), resized to the height and width of the input
  cifar10:DIR    images of CIFAR-10 (test_batch.bin), the same way, gray where the input has one channel
  npy:DIR        arrays DIR/MODEL.npy, or DIR/MODEL/INPUT.npy where it has several; a model without is skipped
A pixel p of 0..255 becomes (p * --scale - --mean) / --std.
Needs numpy and onnxruntime; not part of tests/run.
"""
import argparse
import gzip
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

RELATIVE, ABSOLUTE = 1e-3, 1e-4
TYPES = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int16)": np.int16, "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64, "tensor(uint32)": np.uint32, "tensor(uint16)": np.uint16, "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def shape_of(port, sizes):
    """The port's shape; symbolic dimensions are 2, or what --dim says for their name or for NAME:AXIS."""
    shape = []
    for axis, size in enumerate(port.shape):
        if isinstance(size, int) and size > 0:
            shape.append(size)
        else:
            shape.append(sizes.get(f"{port.name}:{axis}", sizes.get(size, 2)))
    return shape


def load_images(source):
    """Images as [count, channels, height, width] of 0..255."""
    kind, folder = source.split(":", 1)
    if kind == "mnist":
        bytes_ = gzip.decompress(sorted(pathlib.Path(folder).glob("t10k*images-idx3-ubyte.gz"))[0].read_bytes())
        return np.frombuffer(bytes_, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    rows = np.frombuffer((pathlib.Path(folder) / "test_batch.bin").read_bytes(), np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32)


def resize(image, height, width):
    """Bilinear, with the corners of the pixels in place."""
    def weights(size, wanted):
        at = np.clip((np.arange(wanted) + 0.5) * size / wanted - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), max(size - 2, 0))
        return low, np.minimum(low + 1, size - 1), at - low
    top, bottom, down = weights(image.shape[1], height)
    left, right, across = weights(image.shape[2], width)
    rows = image[:, top] * (1 - down)[:, None] + image[:, bottom] * down[:, None]
    return rows[:, :, left] * (1 - across) + rows[:, :, right] * across


def fit_image(image, shape):
    """The image in the form of one row of the input: [C, H, W], [H, W, C], [H, W] or flat."""
    image = image.astype(np.float64)
    if len(shape) == 3 and shape[0] in (1, 3):
        channels, (height, width) = shape[0], shape[1:]
    elif len(shape) == 3:
        channels, (height, width) = shape[2], shape[:2]
    elif len(shape) == 2:
        channels, (height, width) = 1, shape
    else:
        side = int(np.prod(shape)) ** 0.5
        channels, height, width = 1, int(side), int(side)
    if channels not in (1, 3) or channels * height * width != np.prod(shape):
        raise ValueError(f"an input of shape {shape} takes no image")
    image = image.mean(0, keepdims=True) if channels == 1 else np.broadcast_to(image, (3, *image.shape[1:]))
    image = resize(image, height, width)
    return (image.transpose(1, 2, 0) if len(shape) == 3 and shape[0] not in (1, 3) else image).reshape(shape)


def make_input(port, model, random, arguments):
    shape, kind = shape_of(port, arguments.dim), TYPES[port.type]
    if port.name in arguments.value:
        return np.full(shape, arguments.value[port.name], kind)
    if arguments.input.startswith("npy:"):
        folder = pathlib.Path(arguments.input[4:])
        path = folder / model.stem / file_name(port.name)
        return np.load(path if path.exists() else folder / f"{model.stem}.npy").astype(kind)
    if arguments.images is not None:
        chosen = arguments.images[random.integers(0, len(arguments.images), shape[0])]
        pixels = np.stack([fit_image(image, tuple(shape[1:])) for image in chosen])
        return ((pixels * arguments.scale - arguments.mean) / arguments.std).astype(kind)
    if np.issubdtype(kind, np.floating):
        return np.asarray(random.standard_normal(shape)).astype(kind)
    if kind == np.bool_:
        return np.asarray(random.integers(0, 2, shape)).astype(kind)
    return np.asarray(random.integers(0, 8, shape)).astype(kind)


def file_name(name):
    return re.sub("[/:]", "_", name) + ".npy"


def flatten(value):
    """The tensor of what ZipMap makes a list of dictionaries."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([list(row.values()) for row in value], np.float32)
    return value


def difference(ours, theirs):
    """The largest excess over the tolerance, as text, or None; and the largest absolute difference."""
    if not isinstance(theirs, np.ndarray):
        return f"ONNX Runtime gives {type(theirs).__name__}", 0
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} instead of {theirs.shape}", 0
    if ours.dtype != theirs.dtype:
        return f"type {ours.dtype} instead of {theirs.dtype}", 0
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0, np.abs(a - b))
        bad = ~(error <= RELATIVE * np.abs(b) + ABSOLUTE)
    largest = float(np.nan_to_num(error, nan=np.inf).max()) if error.size else 0.0
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        return f"{int(bad.sum())} of {bad.size} differ, at {at}: {a[at]:.6g} instead of {b[at]:.6g}", largest
    return None, largest


def run_pbitc(program, model, inputs, folder):
    """The outputs of `pbitc run` by file name, or the reason why there are none."""
    command = [program, "run", str(model), "--output-dir", str(folder / "out")]
    for name, value in inputs.items():
        path = folder / ("in_" + file_name(name))
        np.save(path, value)
        command += ["--input", f"{name}={path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[:300]}")
    if done.returncode:
        return done.stderr.strip().splitlines()
    return {path.name: np.load(path) for path in (folder / "out").glob("*.npy")}


def compare(program, model, arguments):
    """('same' | 'refused' | 'skipped' | 'DIFFERS', text)"""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if arguments.no_optimization:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    reason, worst = None, 0.0
    try:
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class for every way to fail
        session, reason = None, str(error).splitlines()[0][:120]
    random = np.random.default_rng(arguments.seed)
    for _ in range(arguments.runs):
        if session:
            try:
                inputs = {p.name: make_input(p, model, random, arguments) for p in session.get_inputs()}
            except (OSError, ValueError) as error:
                return "skipped", str(error)
            try:
                theirs = [flatten(value) for value in session.run(None, inputs)]
            except Exception as error:
                session, reason = None, str(error).splitlines()[0][:120]
        if not session:
            return "skipped", f"ONNX Runtime: {reason}"
        with tempfile.TemporaryDirectory() as folder:
            ours = run_pbitc(program, model, inputs, pathlib.Path(folder))
        if isinstance(ours, list):
            return "refused", ours[0] + (f" (+{len(ours) - 1} more)" if len(ours) > 1 else "")
        for port, value in zip(session.get_outputs(), theirs):
            if file_name(port.name) not in ours:
                return "DIFFERS", f"no output '{port.name}'"
            text, largest = difference(ours[file_name(port.name)], value)
            worst = max(worst, largest)
            if text:
                return "DIFFERS", f"output '{port.name}': {text}"
    return "same", f"largest difference {worst:.2g}"


def pairs(items, kind):
    return {key: kind(value) for key, value in (item.rsplit("=", 1) for item in items)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pbitc", help="the program")
    parser.add_argument("models", nargs="+", type=pathlib.Path, help="models, or folders with *.onnx")
    parser.add_argument("--dim", action="append", default=[], metavar="NAME=N",
                        help="size of a symbolic dimension, by its name or as INPUT:AXIS (2)")
    parser.add_argument("--value", action="append", default=[], metavar="INPUT=X", help="a constant for an input")
    parser.add_argument("--input", default="random", metavar="KIND", help="random, mnist:DIR, cifar10:DIR or npy:DIR")
    parser.add_argument("--scale", type=float, default=1 / 255)
    parser.add_argument("--mean", type=float, default=0)
    parser.add_argument("--std", type=float, default=1)
    parser.add_argument("--runs", type=int, default=2, help="inputs per model (2)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-least", type=int, default=0, metavar="N", help="fail when fewer models are the same")
    parser.add_argument("--no-optimization", action="store_true", help="ONNX Runtime runs the graph as it is")
    arguments = parser.parse_args()
    arguments.dim, arguments.value = pairs(arguments.dim, int), pairs(arguments.value, float)
    arguments.images = load_images(arguments.input) if arguments.input.split(":")[0] in ("mnist", "cifar10") else None
    models = [m for given in arguments.models for m in (sorted(given.glob("**/*.onnx")) if given.is_dir() else [given])]
    counts = {}
    for model in models:
        try:
            outcome, text = compare(arguments.pbitc, model, arguments)
        except Exception as error:
            outcome, text = "DIFFERS", f"{type(error).__name__}: {error}"
        counts[outcome] = counts.get(outcome, 0) + 1
        print(f"{outcome:8} {model.stem:40} {text}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    return 1 if counts.get("DIFFERS") or counts.get("same", 0) < arguments.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
