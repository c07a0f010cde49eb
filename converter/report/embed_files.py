"""Turns files into C arrays, each closed by a NUL: embed_files.py OUT HEADER NAME=FILE ..."""

import sys


def array(name, data):
    """The definition of one array."""
    numbers = [str(byte) for byte in data + b"\0"]
    rows = [",".join(numbers[i : i + 40]) for i in range(0, len(numbers), 40)]
    return f"const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "};\n"


def main():
    """Writes OUT, which includes HEADER."""
    out, header, *pairs = sys.argv[1:]
    with open(out, "w", encoding="ascii") as stream:
        stream.write(f'#include "{header}"\n\n')
        for pair in pairs:
            name, _, path = pair.partition("=")
            with open(path, "rb") as file:
                stream.write(array(name, file.read()))


if __name__ == "__main__":
    main()
