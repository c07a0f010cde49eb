#!/usr/bin/env python3
"""Synthesizes the network samples/fpga/tiny.onnx, as p-bits and as its deterministic twin, and checks what Yosys counts.

Usage: check_synthesis.py PBITC. Needs Yosys and the standard library. A minute.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FPGA = ROOT / "samples" / "fpga"
MNIST = ROOT / "samples" / "mnist"
PARALLEL = "node_linear=4x4,node_linear_1=2x2"
LEAST_RATIO = 2.9  # of the LUTs of processing elements, as in the paper
LARGEST_NEURON = 20  # LUTs
LARGEST_ERROR = 0.15  # of the cost model


def load_table():
    """Return samples/fpga/synthesis_table.py as a module."""
    spec = importlib.util.spec_from_file_location("synthesis_table", FPGA / "synthesis_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run the checks; the exit code is 1 when one fails."""
    pbitc = str(Path(sys.argv[1]).resolve())
    table = load_table()
    failed = 0

    def check(text: str, good: bool) -> None:
        nonlocal failed
        failed += not good
        print("ok     " if good else "FAILED ", text)

    def run(*command: object) -> str:
        return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        halved, file = work / "halved.gz", work / "tiny.pbit"
        run(sys.executable, FPGA / "halve_images.py", MNIST / "train-1000-images-idx3-ubyte.gz", halved)
        data = f"idx:{halved},labels={MNIST}/train-1000-labels-idx1-ubyte.gz,scale=0.00392157"
        run(pbitc, "convert", FPGA / "tiny.onnx", "-o", file, "--draws", 1, "--samples", 16, "--calibrate", data)
        export = [pbitc, "export", file, "--target", "verilog", "--parallel", PARALLEL, "--limit", 1]
        designs = {"p-bits": ["--tile", 1], "twin": ["--twin", "mac:8"]}
        modules, estimates = {}, {}
        for design, options in designs.items():
            folder = work / design
            run(*export, *options, "-o", folder)
            estimates[design] = json.loads(run(*export, *options, "--dry-run", "--json"))["luts"]
            modules[design] = table.synthesize(folder, "xc7", ["-nodsp"] if design == "twin" else [])
    pbits = modules["p-bits"]
    check("no DSP among p-bits", table.total_of(pbits)["dsps"] == 0)
    accumulate = pbits["pbit_pe"]["luts"] + pbits["pbit_sums"]["luts"]
    ratio = modules["twin"]["mac_pe"]["luts"] / accumulate
    check(f"processing elements of the twin take {ratio:.2f} times the LUTs", ratio >= LEAST_RATIO)
    neuron = pbits["pbit_neuron"]
    check(f"a p-bit takes {neuron['luts']} LUTs", 0 < neuron["luts"] <= LARGEST_NEURON * neuron["instances"])
    for design, entry in modules.items():
        luts = table.total_of(entry)["luts"]
        error = estimates[design] / luts - 1
        check(f"{design}: {luts} LUTs, the estimate is off by {100 * error:.1f} %", abs(error) <= LARGEST_ERROR)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
