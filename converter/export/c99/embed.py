"""Turns source files into the C table pbitc_firmware_copies: embed.py OUT NAME=FILE ..."""
import sys


def literal(text):
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("??", "?\\?")
        yield f'        "{escaped}"'


def main():
    out, *pairs = sys.argv[1:]
    lines = ['#include "converter/export/c99/firmware.h"', "",
             "const struct pbitc_firmware_copy pbitc_firmware_copies[] = {"]
    for pair in pairs:
        name, _, path = pair.partition("=")
        with open(path, encoding="utf-8") as file:
            lines += [f'    {{"{name}",', *literal(file.read()), "    },"]
    lines += ["    {NULL, NULL},", "};", ""]
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


if __name__ == "__main__":
    main()
