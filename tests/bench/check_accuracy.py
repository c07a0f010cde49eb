#!/usr/bin/env python3
"""check_accuracy.py ACCURACY PBITC: the bench measures what `pbitc eval` says, keeps it, and measures nothing twice."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TABLE = {
    "data": {
        "digits": [
            {
                "title": "digits",
                "needs": "{samples}/mnist/t10k-2000-images-idx3-ubyte.gz",
                "calibration": "idx:{samples}/mnist,split=train,range=0:64",
                "test": "idx:{samples}/mnist,split=test",
            }
        ]
    },
    "models": [
        {"name": "mlp", "title": "MLP", "file": "{samples}/mnist/mlp_relu.onnx", "data": "digits",
         "preprocessing": "scale=0.00392157"},
        {"name": "gone", "title": "gone", "file": "{samples}/nothing.onnx", "data": "digits", "preprocessing": "scale=1"},
    ],
    "tables": [
        {"name": "budgets", "title": "Budgets", "text": "", "models": ["mlp", "gone"], "deterministic": True, "plot": True,
         "convert": {"weights": 8}, "rows": [{"label": "8 bits", "cells": [[2, 1], [2, 2]], "file": [2, 1]}]},
        {"name": "bits", "title": "Bits", "text": "", "models": ["mlp"], "baseline": True, "plot": True, "cells": [[2, 1]],
         "rows": [{"label": "8 bits", "convert": {"weights": 8}}, {"label": "1 bit", "convert": {"weights": 1}}]},
    ],
}
IMAGES, SEEDS, CELLS = 200, 2, 5  # the float model, three budgets, the row of 1 bit; that of 8 bits is known by then


def run_bench(bench, pbitc, folder, *words):
    """What it wrote and said."""
    done = subprocess.run([bench, "--pbitc", pbitc, "--table", folder / "table.json", "--images", str(IMAGES), "--seeds",
                           str(SEEDS), "--work", folder / "work", "--output", folder, "--commit", "this", *words],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = ("RESULTS.md", "results.csv", "budgets.svg", "bits.svg")
    return {name: (folder / name).read_bytes() for name in names}, done.stderr


def check(bench, pbitc, folder):
    """Every claim of the first line of this file."""
    (folder / "table.json").write_text(json.dumps(TABLE), encoding="utf-8")
    first, said = run_bench(bench, pbitc, folder)
    assert f"{CELLS} cells measured" in said and "left out: gone: no " in said, said
    again, said = run_bench(bench, pbitc, folder)
    assert "accuracy: 0 cells measured" in said and again == first, said

    cells = folder / "work/cells.jsonl"
    whole = cells.read_bytes()
    cells.write_bytes(whole[:-30])  # interrupted within the last line
    again, said = run_bench(bench, pbitc, folder)
    assert "accuracy: 1 cells measured" in said and again == first and cells.read_bytes() == whole, said

    with open(folder / "results.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == CELLS, rows
    row = next(r for r in rows if r["samples"] == "2")
    samples = Path(bench).resolve().parents[2] / "samples/mnist"
    scale = "scale=0.00392157"
    file = folder / "direct.pbit"
    quiet = {"check": True, "capture_output": True, "text": True}
    subprocess.run([pbitc, "convert", samples / "mlp_relu.onnx", "-o", file, "--weights", "8", "--draws", "2", "--samples",
                    "1", "--calibrate", f"idx:{samples},split=train,range=0:64,{scale}"], **quiet)
    text = subprocess.run([pbitc, "eval", file, "--data", f"idx:{samples}", "--limit", str(IMAGES), "--seeds", str(SEEDS),
                           "--draws", "2", "--samples", "2", "--baseline", samples / "mlp_relu.onnx", "--json"], **quiet).stdout
    cell = json.loads(text)["cells"][0]
    for mine, theirs in (("accuracy", cell["accuracy"]), ("drop", cell["drop"]), ("low", cell["interval"][0]),
                         ("spread", cell["spread"])):
        assert abs(float(row[mine]) - theirs) < 1e-6, (mine, row, cell)
    assert float(row["draws_per_synapse"]) == 4, row
    worst = next(r for r in rows if r["row"] == "1 bit")
    assert float(worst["accuracy"]) < float(row["accuracy"]), rows


def main():
    with tempfile.TemporaryDirectory() as folder:
        check(sys.argv[1], sys.argv[2], Path(folder))


if __name__ == "__main__":
    main()
