#!/usr/bin/env python3
"""compare_speed.py TIME_INTERPRETER MODEL.onnx...: the float interpreter against ONNX Runtime (CPU, the same threads),
runs of both taken in turn; prints medians and their ratio (above 1: the interpreter is slower) as Markdown.

Needs the Python packages numpy and onnxruntime. Options: --threads 1,2  --batch 1,32  --seconds S per case."""
import argparse
import statistics
import subprocess
import time

import numpy
import onnxruntime

TYPES = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
         "tensor(int32)": "int32", "tensor(uint8)": "uint8", "tensor(bool)": "bool"}


def pseudo_random(shape, kind):
    """The same numbers as in time_interpreter.c; zeros for types other than float32."""
    count = int(numpy.prod(shape, dtype=numpy.int64))
    if kind != "float32":
        return numpy.zeros(shape, kind)
    numbers, state = numpy.empty(count, numpy.float32), 1
    for i in range(count):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        numbers[i] = (state >> 8) / (1 << 24)
    return numbers.reshape(shape)


def start_peer(model, threads, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {}
    for value in session.get_inputs():
        shape = [d if isinstance(d, int) else batch if i == 0 else 1 for i, d in enumerate(value.shape)]
        feeds[value.name] = pseudo_random(shape, TYPES[value.type])

    def run():
        start = time.perf_counter()
        session.run(None, feeds)
        return time.perf_counter() - start
    return run


def start_ours(program, model, threads, batch):
    process = subprocess.Popen([program, model, str(threads), str(batch)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def run():
        print(file=process.stdin, flush=True)
        return float(process.stdout.readline())
    return run, process


def compare(program, model, threads, batch, seconds):
    peer = start_peer(model, threads, batch)
    ours, process = start_ours(program, model, threads, batch)
    try:
        for run in (ours, peer, ours, peer):
            run()
        mine, theirs, end = [], [], time.monotonic() + seconds
        while time.monotonic() < end or len(mine) < 5:
            mine.append(ours())
            theirs.append(peer())
        return statistics.median(mine), statistics.median(theirs)
    finally:
        process.stdin.close()
        process.wait()


def numbers(text):
    return [int(number) for number in text.split(",")]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("program")
parser.add_argument("models", nargs="+")
parser.add_argument("--threads", type=numbers, default=[1])
parser.add_argument("--batch", type=numbers, default=[1, 32])
parser.add_argument("--seconds", type=float, default=2)
arguments = parser.parse_args()
print("| model | threads | batch | pbitc, us | ONNX Runtime, us | ratio |\n|---|--:|--:|--:|--:|--:|")
for model in arguments.models:
    for threads in arguments.threads:
        for batch in arguments.batch:
            name = model.rsplit("/", 1)[-1].removesuffix(".onnx")
            try:
                mine, theirs = compare(arguments.program, model, threads, batch, arguments.seconds)
                print(f"| {name} | {threads} | {batch} | {mine * 1e6:.1f} | {theirs * 1e6:.1f} | {mine / theirs:.2f} |",
                      flush=True)
            except Exception as error:  # a model that either cannot run is a row too
                print(f"| {name} | {threads} | {batch} | | | {str(error).splitlines()[0][:80]} |", flush=True)
