"""Turns files into a C table of struct pbitc_embedded: embed.py OUT TABLE NAME=FILE ..."""
import sys


def literal(text):
    for line in text.splitlines(keepends=True):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("??", "?\\?")
        yield f'        "{escaped}"'


def main():
    out, table, *pairs = sys.argv[1:]
    lines = ['#include "converter/export/folder.h"', "", f"extern const struct pbitc_embedded {table}[];",
             f"const struct pbitc_embedded {table}[] = {{"]
    for pair in pairs:
        name, _, path = pair.partition("=")
        with open(path, encoding="utf-8") as file:
            lines += [f'    {{"{name}",', *literal(file.read()), "    },"]
    lines += ["    {NULL, NULL},", "};", ""]
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


if __name__ == "__main__":
    main()
