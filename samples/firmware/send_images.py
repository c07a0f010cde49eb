"""Writes the first COUNT images of an IDX file (.gz) the way demo.c reads them: send_images.py IMAGES.gz COUNT"""
import gzip
import sys

HEADER_BYTES, IMAGE_BYTES = 16, 784

path, count = sys.argv[1], int(sys.argv[2])
with gzip.open(path, "rb") as file:
    file.read(HEADER_BYTES)
    for _ in range(count):
        sys.stdout.buffer.write(b"i" + file.read(IMAGE_BYTES))
sys.stdout.buffer.write(b"q")
