#!/usr/bin/env python3
"""Draw rows of images, 28 x 28 pixels each, as one PNG: a float array in .npy form, then sums out of simulations.

Usage: draw_images.py OUT.png FLOAT.npy IMAGE,IMAGE,... FILE.pbit SUMS.txt T,T,...
IMAGE are the indices of the images to show; SUMS.txt has the sums over T passes, one number per line, in the units of
FILE.pbit: the first image at each T, then the second. Needs the standard library only.
"""

import ast
import struct
import sys
import zlib
from pathlib import Path

SIDE = 28
PIXELS = SIDE * SIDE
ZOOM = 2
GAP = 2  # white lines between rows
ONE = 65536


def read_npy(path: Path) -> list[list[float]]:
    """Return the images of a float32 array whose first dimension counts them."""
    data = path.read_bytes()
    if data[:6] != b"\x93NUMPY":
        sys.exit(f"{path}: not a .npy file")
    (length,) = struct.unpack_from("<H" if data[6] == 1 else "<I", data, 8)
    start = 10 if data[6] == 1 else 12
    header = ast.literal_eval(data[start : start + length].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"{path}: not an array of float32 in C order")
    values = struct.unpack(f"<{(len(data) - start - length) // 4}f", data[start + length :])
    return [list(values[i : i + PIXELS]) for i in range(0, len(values), PIXELS)]


def read_scale(path: Path) -> float:
    """Return the value of one unit of the first output (runtime/FORMAT.md, output record)."""
    data = path.read_bytes()
    (outputs,) = struct.unpack_from("<I", data, 44)
    return struct.unpack_from("<f", data, outputs + 12)[0] / ONE


def read_sums(path: Path, samples: list[int], scale: float) -> list[list[list[float]]]:
    """Return, for each T, the images of a simulation, each pixel the mean over the passes."""
    sums = [int(line) for line in path.read_text().split()]
    grids: list[list[list[float]]] = [[] for _ in samples]
    for i, first in enumerate(range(0, len(sums), PIXELS)):
        passes = samples[i % len(samples)]
        grids[i % len(samples)].append([value * scale / passes for value in sums[first : first + PIXELS]])
    return grids


def gray_row(images: list[list[float]], y: int) -> bytes:
    """Return line y of the images side by side, zoomed."""
    row = bytearray()
    for image in images:
        for value in image[y * SIDE : (y + 1) * SIDE]:
            row += bytes([round(255 * min(1.0, max(0.0, value)))]) * ZOOM
    return bytes(row)


def write_png(path: Path, lines: list[bytes]) -> None:
    """Write 8-bit gray lines as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", len(lines[0]), len(lines), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines), 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def main() -> None:
    """Run the command line."""
    if len(sys.argv) != 7:
        sys.exit(__doc__.strip())
    out, reference, images, model, sums, passes = sys.argv[1:]
    chosen = [int(text) for text in images.split(",")]
    grids = [read_npy(Path(reference))]
    grids += read_sums(Path(sums), [int(text) for text in passes.split(",")], read_scale(Path(model)))
    lines: list[bytes] = []
    for grid in grids:
        if lines:
            lines += [b"\xff" * len(lines[0])] * GAP
        images = [grid[index] for index in chosen]
        for y in range(SIDE):
            lines += [gray_row(images, y)] * ZOOM
    write_png(Path(out), lines)


if __name__ == "__main__":
    main()
