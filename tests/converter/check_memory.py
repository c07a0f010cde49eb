#!/usr/bin/env python3
"""check_memory.py PBITC SAMPLES: the memory of `pbitc eval` does not grow with the number of images, beyond some bytes
of results for each."""
import os
import pathlib
import subprocess
import sys
import tempfile

FEW, MANY = 100, 2000
BYTES_PER_IMAGE = 256
NOISE = 1 << 20  # of the allocator


def data(samples, kind, count):
    images, labels = (next(samples.glob(f"{kind}-*-{what}-*.gz")) for what in ("images", "labels"))
    return f"idx:{images},labels={labels},range=0:{count},scale=0.00392157"


def peak(command):
    """The largest resident set of the command, in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: status {status}")
    return usage.ru_maxrss * 1024


def main():
    pbitc, samples = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/model.pbit"
        subprocess.run([pbitc, "convert", str(samples / "mlp_relu.onnx"), "-o", file, "--calibrate",
                        data(samples, "train", 100)], check=True)
        few, many = (peak([pbitc, "eval", file, "--data", data(samples, "t10k", MANY), "--limit", str(limit),
                           "--samples", "1,2", "--draws", "1", "--baseline", str(samples / "mlp_relu.onnx")])
                     for limit in (FEW, MANY))
    print(f"{FEW} images: {few} bytes; {MANY} images: {many} bytes")
    return many - few > NOISE + BYTES_PER_IMAGE * (MANY - FEW)


if __name__ == "__main__":
    sys.exit(main())
