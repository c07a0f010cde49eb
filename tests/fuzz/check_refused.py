#!/usr/bin/env python3
"""check_refused.py PBITC SAMPLES FOLDER: every model in FOLDER is hostile or broken; `pbitc convert` has to refuse each
with exit code 3 and a reason, in seconds, and leave no file. (tests/fuzz/README.md says where they come from.)"""
import pathlib
import subprocess
import sys
import tempfile

SECONDS = 20  # generous: a sanitized build on a busy machine


def problem_of(pbitc, data, model):
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "out.pbit"
        try:
            done = subprocess.run([pbitc, "convert", model, "-o", output, "--calibrate", data],
                                  capture_output=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"no answer in {SECONDS} s"
        if done.returncode != 3:
            return f"exit code {done.returncode}, not 3"
        if not done.stderr.startswith(b"error: "):
            return "refused without a reason"
        return "left a file" if any(pathlib.Path(folder).iterdir()) else None


def main(pbitc, samples, folder):
    data = (f"idx:{samples}/train-1000-images-idx3-ubyte.gz,labels={samples}/train-1000-labels-idx1-ubyte.gz,"
            "scale=0.00392157")
    models = sorted(pathlib.Path(folder).glob("*.onnx"))
    problems = [(model.name, problem_of(pbitc, data, model)) for model in models]
    for name, problem in problems:
        if problem:
            print(f"{name}: {problem}")
    return not models or any(problem for _, problem in problems)


sys.exit(main(*sys.argv[1:]))
