#!/usr/bin/env python3
"""Compares the table of README.md with the one that samples/quickstart made; --update takes it over.

Accuracies may differ a little: calibration runs in float, whose last bits depend on the processor, and a network that
fails with few draws is sensitive to them.
"""
import pathlib
import sys

TOLERANCE, TOLERANCE_BELOW_95 = 0.5, 3.0  # of 100
ROOT = pathlib.Path(__file__).resolve().parent.parent
README, REPORT = ROOT / "README.md", ROOT / "samples" / "out" / "report.md"


def find_table(text):
    """The lines of the table whose first column is m."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|") and line.split("|")[1].strip() == "m")
    last = first
    while last < len(lines) and lines[last].startswith("|"):
        last += 1
    return lines[first:last]


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def same(one, other):
    try:
        least = min(float(one), float(other))
        return abs(float(one) - float(other)) <= (TOLERANCE if least >= 95 else TOLERANCE_BELOW_95)
    except ValueError:
        return one == other


def main():
    written, measured = find_table(README.read_text()), find_table(REPORT.read_text())
    if sys.argv[1:] == ["--update"]:
        README.write_text(README.read_text().replace("\n".join(written), "\n".join(measured)))
        return
    rows = [(cells(a), cells(b)) for a, b in zip(written, measured)]
    wrong = [(a, b) for a, b in rows if len(a) != len(b) or not all(map(same, a, b))]
    for a, b in wrong:
        print("README.md:", *a, "measured:", *b)
    if wrong or len(written) != len(measured):
        sys.exit("the table of README.md is not what samples/quickstart measures; tests/readme_table.py --update")


if __name__ == "__main__":
    main()
