#!/usr/bin/env python3
"""Draws accuracy against draws per synapse, and bars, as SVG; by itself, out of the report.csv files of `pbitc eval`.

Usage: draw_accuracy.py OUT.svg NAME=REPORT.csv ...
"""

import csv
import html
import math
import sys
from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")  # that colour-blind readers tell apart
WIDTH, PLOT_HEIGHT, LEFT, TOP, BOTTOM, GAP = 900, 216, 40, 44, 24, 14
COLUMNS = 4


@dataclass
class Series:
    """A line: points (draws per synapse, accuracy in %)."""

    label: str
    colour: str
    points: list
    dashed: bool = False


@dataclass
class Panel:
    """The lines of one model, with the float model's accuracy in %."""

    name: str
    baseline: float
    series: list


def read_report(path):
    """Rows of (m, T, mean accuracy in %, float accuracy in %); the file has a row per seed."""
    with open(path, encoding="utf-8") as stream:
        rows = [row for row in csv.reader(stream) if row[9] == "0"]  # p-bits, no deterministic networks
    return sorted({(int(r[1]), int(r[0]), 100 * float(r[4]), 100 * float(r[7])) for r in rows})


def text(x, y, content, anchor="middle", **attributes):
    """An SVG text element."""
    more = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{html.escape(content)}</text>'


def choose_low(panel):
    """Where the axis begins: a round number below the points, at most 30 below the float model."""
    lowest = min(value for line in panel.series for _, value in line.points)
    return 5 * math.floor(max(lowest, panel.baseline - 30) / 5)


def draw_panel(panel, x, y, width, low):
    """One model; x, y is the upper left corner of its plot."""
    bottom = y + PLOT_HEIGHT
    high = 5 * math.ceil(max(panel.baseline, *(v for line in panel.series for _, v in line.points)) / 5)
    largest = max(draws for line in panel.series for draws, _ in line.points)

    def across(draws):
        return x + width * math.log2(draws) / max(math.log2(largest), 1)

    def up(accuracy):
        return bottom - PLOT_HEIGHT * (max(accuracy, low) - low) / (high - low)

    out = [text(x + width / 2, y - 14, panel.name, font_weight=600)]
    step = next(s for s in (1, 2, 5, 10) if (high - low) / s <= 7 or s == 10)
    for tick in range(low, high + 1, step):
        out.append(f'<line x1="{x}" x2="{x + width}" y1="{up(tick):.1f}" y2="{up(tick):.1f}" stroke="#e3e3e3"/>')
        out.append(text(x - 6, up(tick) + 4, str(tick), "end"))
    draws = 1
    while draws <= largest:
        out.append(text(across(draws), bottom + 16, str(draws)))
        draws *= 4 if largest > 16 else 2
    out.append(f'<line x1="{x}" x2="{x + width}" y1="{up(panel.baseline):.1f}" y2="{up(panel.baseline):.1f}"'
               ' stroke="#555" stroke-dasharray="5 3"/>')
    for line in panel.series:
        points = " ".join(f"{across(draws):.1f},{up(value):.1f}" for draws, value in line.points)
        dashes = ' stroke-dasharray="2 3"' if line.dashed else ""
        out.append(f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="2"{dashes}/>')
        for draws, value in line.points:
            fill = line.colour if value >= low else "#fff"  # a hollow dot lies below the axis
            out.append(f'<circle cx="{across(draws):.1f}" cy="{up(value):.1f}" r="3.5" fill="{fill}" stroke="{line.colour}"/>')
    return out


def frame(title, height, body):
    """The whole file."""
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{html.escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    return "\n".join(head + body + ["</svg>", ""])


def draw_lines(title, panels, low=None, columns=COLUMNS):
    """Panels side by side; `low` is where their axes begin, else each has its own."""
    columns = min(columns, len(panels))
    width = (WIDTH - columns * (LEFT + GAP)) / columns
    row_height = TOP + PLOT_HEIGHT + BOTTOM
    out = []
    for i, panel in enumerate(panels):
        x, y = LEFT + i % columns * (width + LEFT + GAP), i // columns * row_height + TOP
        out += draw_panel(panel, x, y, width, choose_low(panel) if low is None else low)
    bottom = -(-len(panels) // columns) * row_height + 16
    out.append(text(LEFT, bottom, "accuracy in % against draws per synapse;", "start"))
    x = LEFT + 240
    for label, colour in dict.fromkeys((line.label, line.colour) for panel in panels for line in panel.series):
        out.append(text(x, bottom, label, "start", fill=colour, font_weight=600))
        x += 16 + 7 * len(label)
    out.append(text(x, bottom, "dashed: the float model; hollow: below the axis", "start", fill="#555"))
    return frame(title, bottom + 8, out)


def draw_bars(title, groups):
    """Groups (name, [(label, value, half of its interval)]) of horizontal bars, with whiskers."""
    label_width, bar, space = 300, 15, 26
    values = [abs(value) + half for _, bars in groups for _, value, half in bars]
    scale = (WIDTH - label_width - 120) / (2 * max(values + [0.1]))
    zero = label_width + 50 + scale * max(values + [0.1])
    out, y = [], 6
    for name, bars in groups:
        y += space
        out.append(text(10, y, name, "start", font_weight=600))
        y += 8
        for label, value, half in bars:
            out.append(text(label_width + 30, y + bar - 4, label, "end"))
            out.append(f'<rect x="{min(zero, zero + scale * value):.1f}" y="{y + 2}" width="{abs(scale * value):.1f}"'
                       f' height="{bar - 4}" fill="{COLOURS[0] if value > 0 else COLOURS[1]}"/>')
            middle = y + bar / 2
            out.append(f'<line x1="{zero + scale * (value - half):.1f}" x2="{zero + scale * (value + half):.1f}"'
                       f' y1="{middle}" y2="{middle}" stroke="#222"/>')
            out.append(text(WIDTH - 8, y + bar - 4, f"{value:+.2f}", "end"))
            y += bar
    out.append(f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="10" y2="{y}" stroke="#888"/>')
    out.append(text(10, y + 18, title, "start"))
    return frame(title, y + 28, out)


def main():
    """Reads the reports named on the command line and writes the picture."""
    if len(sys.argv) < 3 or any("=" not in word for word in sys.argv[2:]):
        sys.exit(__doc__)
    panels = []
    for name, path in (word.split("=", 1) for word in sys.argv[2:]):
        rows = read_report(path)
        lines = [
            Series(f"T = {passes}", colour, [(m * t, accuracy) for m, t, accuracy, _ in rows if t == passes])
            for passes, colour in zip((1, 4), COLOURS)
        ]
        panels.append(Panel(name, rows[0][3], lines))
    picture = draw_lines("Accuracy in % against draws per synapse, MNIST models, 4-bit weights", panels, low=90)
    with open(sys.argv[1], "w", encoding="utf-8") as stream:
        stream.write(picture)


if __name__ == "__main__":
    main()
