#!/usr/bin/env python3
"""Halve the images of a compressed IDX file in both directions: each pixel becomes the rounded mean of four.

Usage: halve_images.py IN.gz OUT.gz
"""

import gzip
import struct
import sys


def halve(data: bytes) -> bytes:
    """Return the IDX file of N x H/2 x W/2 unsigned bytes for one of N x H x W."""
    magic, count, height, width = struct.unpack_from(">4I", data)
    if magic != 0x803 or height % 2 or width % 2:
        sys.exit("not an IDX file of images with even sides")
    out = bytearray(struct.pack(">4I", magic, count, height // 2, width // 2))
    for row in range(0, count * height, 2):
        upper = 16 + row * width
        for left in range(upper, upper + width, 2):
            out.append((sum(data[left : left + 2]) + sum(data[left + width : left + width + 2]) + 2) // 4)
    return bytes(out)


def main() -> None:
    """Run the command line."""
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with gzip.open(sys.argv[1]) as stream:
        data = halve(stream.read())
    with open(sys.argv[2], "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
        stream.write(data)


if __name__ == "__main__":
    main()
