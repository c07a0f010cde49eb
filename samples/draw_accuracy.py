#!/usr/bin/env python3
"""Draws accuracy against draws per synapse (m x T, one pass and four) out of the report.csv files of `pbitc eval`.

Usage: draw_accuracy.py OUT.svg NAME=REPORT.csv ...
"""

import csv
import math
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP = 900, 300, 46, 44, 40, 22
LOW, HIGH = 90.0, 100.0
STYLES = {1: ("#0072B2", "T = 1"), 4: ("#D55E00", "T = 4")}  # colours that colour-blind readers tell apart


def read_report(path):
    """Rows of (m, T, mean accuracy in %, float accuracy in %); the file has a row per seed."""
    with open(path, encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row[9] == "0"]  # p-bits, no deterministic networks
    return sorted({(int(r[1]), int(r[0]), 100 * float(r[4]), 100 * float(r[7])) for r in rows})


def panel(name, rows, x, width):
    """The SVG of one model; `x` is its left edge."""
    bottom = HEIGHT - BOTTOM
    largest = max(m * t for m, t, _, _ in rows)

    def across(draws):
        return x + width * math.log2(draws) / math.log2(largest)

    def up(accuracy):
        return bottom - (bottom - TOP) * (max(accuracy, LOW) - LOW) / (HIGH - LOW)

    out = [f'<text x="{x + width / 2:.1f}" y="{TOP - 14}" text-anchor="middle" font-weight="600">{name}</text>']
    for tick in range(int(LOW), int(HIGH) + 1, 2):
        y = up(tick)
        out.append(f'<line x1="{x}" x2="{x + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e3e3"/>')
    draws = 1
    while draws <= largest:
        out.append(f'<text x="{across(draws):.1f}" y="{bottom + 16}" text-anchor="middle">{draws}</text>')
        draws *= 4
    baseline = up(rows[0][3])
    out.append(f'<line x1="{x}" x2="{x + width}" y1="{baseline:.1f}" y2="{baseline:.1f}" stroke="#555" stroke-dasharray="5 3"/>')
    for passes, (colour, _) in STYLES.items():
        points = [(across(m * t), up(a), a >= LOW) for m, t, a, _ in rows if t == passes]
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for px, py, inside in points:
            fill = colour if inside else "#fff"  # a hollow dot lies below the axis
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{fill}" stroke="{colour}"/>')
    return out


def draw(reports):
    """The whole picture as text."""
    width = (WIDTH - LEFT - GAP * len(reports)) / len(reports)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" role="img">',
        "<title>Accuracy in % against draws per synapse, four MNIST models, 4-bit weights</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for tick in range(int(LOW), int(HIGH) + 1, 2):
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (tick - LOW) / (HIGH - LOW)
        out.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
    for i, (name, rows) in enumerate(reports):
        out += panel(name, rows, LEFT + i * (width + GAP), width)
    y = HEIGHT - 7
    out.append(f'<text x="{LEFT}" y="{y}">accuracy in % against draws per synapse m x T;</text>')
    x = LEFT + 305
    for colour, label in STYLES.values():
        out.append(f'<text x="{x}" y="{y}" fill="{colour}" font-weight="600">{label}</text>')
        x += 60
    out.append(f'<text x="{x}" y="{y}" fill="#555">dashed: the float model; hollow: below {LOW:.0f} %</text>')
    return "\n".join(out + ["</svg>", ""])


def main():
    """Reads the reports named on the command line and writes the picture."""
    if len(sys.argv) < 3 or any("=" not in word for word in sys.argv[2:]):
        sys.exit(__doc__)
    reports = [(name, read_report(path)) for name, path in (word.split("=", 1) for word in sys.argv[2:])]
    with open(sys.argv[1], "w", encoding="utf-8") as stream:
        stream.write(draw(reports))


if __name__ == "__main__":
    main()
