"""RESULTS.md, results.csv and the pictures of tests/bench/accuracy."""

import csv
import functools
import io
import os
import sys
from pathlib import Path

import accuracy_cells

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "samples"))
import draw_accuracy  # noqa: E402

COLUMNS = ("table", "row", "model", "model_sha256", "options", "draws", "samples", "draws_per_synapse", "deterministic",
           "commit", "images", "seeds", "float", "accuracy", "low", "high", "spread", "drop", "drop_half_interval")
SHORT = {"accuracy": "accuracy, interval", "deterministic": "deterministic, its drop"}


class Results:
    """The known cells, found by table, model, row and budget."""

    def __init__(self, options, cells, program):
        self.cells, self.program = cells, program
        self.any_program = options.any_program

    def find(self, **wanted):
        cell = self.cells.best(self.program, **wanted)
        return self.cells.best(None, **wanted) if not cell and self.any_program else cell

    def float(self, model):
        wanted = {"model": model.sha256, "data": model.test}
        found = [e for e in self.cells.known.values() if "draws" not in e["key"] and
                 all(e["key"][k] == v for k, v in wanted.items())]  # no draws, no passes: any program's will do
        return max(found, key=lambda e: e["cell"]["images"])["cell"] if found else None

    def cell(self, model, row, cell, commit=None):
        """The cell; with `commit` that of this very program, if it is known."""
        find = self.find if not commit else functools.partial(self.cells.best, None, commit=commit)
        return find(model=model.sha256, data=model.test, calibration=model.calibration, convert=row.options,
                         file=cell.file, draws=cell.draws, samples=cell.samples, deterministic=cell.deterministic)


def percent(value):
    return f"{100 * value:.2f}"


def with_interval(pair):
    return f"{100 * pair[0]:.2f} ± {100 * pair[1]:.2f}"


def of_same_images(float_cell, cell):
    """The float model's accuracy on the images of the cell, with the drop."""
    drop, half = accuracy_cells.compare(cell, float_cell)
    return cell["accuracy"] + drop, drop, half


def table_lines(results, table, models):
    """A Markdown table: model, row, budget, accuracy, drop, deterministic twin."""
    twins = any(cell.deterministic for row in table.rows for cell in row.cells)
    head = ["model", "", "m", "T", "draws", "images", "accuracy", "95 % interval", "over seeds", "float", "drop"]
    head += ["deterministic", "its drop"] if twins else []
    head += ["worth"] if table.baseline else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * 2 + "--:|" * (len(head) - 2)]
    commits, seeds = set(), set()
    for model in (models[name] for name in table.models if name in models):
        first, mine = {}, []
        for row in (row for row in table.rows if row.fits(model)):
            for cell in sorted((c for c in row.cells if not c.deterministic), key=lambda c: (c.draws * c.samples, c.samples)):
                known, float_cell = results.cell(model, row, cell), results.float(model)
                if not known or not float_cell:
                    continue
                budget = (cell.draws, cell.samples) if row is not table.rows[0] else None
                base_cell = first.get(budget, first.get(None)) if budget else None
                base = results.cell(model, table.rows[0], base_cell, known["commit"]) if base_cell else None
                if base_cell and not base:
                    continue  # what another program did is not compared
                reference, drop, half = of_same_images(float_cell, known)
                low, high = known["interval"]
                fields = [model.title, row.label, cell.draws, cell.samples, f"{known['draws_per_synapse']:.1f}",
                          known["images"], percent(known["accuracy"]), f"{percent(low)} .. {percent(high)}", percent(known["spread"]),
                          percent(reference), with_interval((drop, half))]
                if twins:
                    twin = results.cell(model, row, accuracy_cells.Cell(cell.draws, 1, cell.file, True))
                    twin = twin if twin and twin["commit"] == known["commit"] else None
                    fields += [percent(twin["accuracy"]), with_interval(of_same_images(float_cell, twin)[1:])] if twin \
                        and cell.samples == 1 else ["", ""]
                if table.baseline:
                    fields.append(with_interval(accuracy_cells.compare(known, base)) if base else "")
                    if row is table.rows[0]:
                        first.setdefault(None, cell)
                        first[cell.draws, cell.samples] = cell
                mine.append("| " + " | ".join(str(field) for field in fields) + " |")
                commits.add(known["commit"])
                seeds.add(str(len(known["accuracy_by_seed"])))
        lines += mine if len(mine) > 1 or not table.baseline else []
    if len(lines) == 2:
        return []
    for reference in table.reference:
        lines.append("| " + " | ".join([*map(str, reference), *[""] * (len(head) - len(reference))]) + " |")
    return lines + ["", f"{' or '.join(sorted(seeds))} seeds. Program: {', '.join(sorted(commits))}.", ""]


def csv_text(results, tables, models):
    """Every known cell of every table."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for model in (models[name] for name in table.models if name in models):
            float_cell = results.float(model)
            for row in (row for row in table.rows if row.fits(model)):
                for cell in row.cells:
                    known = results.cell(model, row, cell)
                    if not known or not float_cell:
                        continue
                    reference, drop, half = of_same_images(float_cell, known)
                    options = " ".join(str(word) for word in row.words())
                    if row.recipe(model):
                        options += " --recipe " + ",".join(row.recipe(model)["layers"])
                    writer.writerow([table.name, row.label, model.name, model.sha256, options, cell.draws, cell.samples,
                                     round(known["draws_per_synapse"], 3), int(cell.deterministic), known["commit"],
                                     known["images"], len(known["accuracy_by_seed"]), round(reference, 6),
                                     round(known["accuracy"], 6), *(round(v, 6) for v in known["interval"]),
                                     round(known["spread"], 6), round(drop, 6), round(half, 6)])
    return stream.getvalue()


def line_panels(results, table, models):
    """One panel per model: p-bits of one pass, p-bits of several, thresholds."""
    panels = []
    for model in (models[name] for name in table.models if name in models):
        lines = {}
        for row in (row for row in table.rows if row.fits(model)):
            for cell in row.cells:
                known = results.cell(model, row, cell)
                float_cell = results.float(model)
                if known and float_cell:
                    # Its drop on its own images, below the float model's line, which is of all that were measured.
                    value = float_cell["accuracy"] - of_same_images(float_cell, known)[1]
                    kind = "deterministic" if cell.deterministic else "p-bits, T = 1" if cell.samples == 1 else "p-bits, T > 1"
                    lines.setdefault(kind, []).append((known["draws_per_synapse"], 100 * value))
        if lines:
            kinds = ("p-bits, T = 1", "p-bits, T > 1", "deterministic")
            series = [draw_accuracy.Series(kind, colour, sorted(lines[kind]), kind == "deterministic")
                      for kind, colour in zip(kinds, draw_accuracy.COLOURS) if kind in lines]
            panels.append(draw_accuracy.Panel(model.title, 100 * results.float(model)["accuracy"], series))
    return panels


def bar_groups(results, table, models):
    """One group per model: what every row loses against the first."""
    groups = []
    for model in (models[name] for name in table.models if name in models):
        bars = []
        for row in (row for row in table.rows[1:] if row.fits(model)):
            for cell, base in zip(row.cells, table.rows[0].cells):
                known, first = results.cell(model, row, cell), results.cell(model, table.rows[0], base)
                if known and first and known["commit"] == first["commit"] and not cell.deterministic and (cell.draws, cell.samples) == (base.draws, base.samples):
                    worth, half = accuracy_cells.compare(known, first)
                    bars.append((f"{row.label}, m = {cell.draws}, T = {cell.samples}", 100 * worth, 100 * half))
        if bars:
            groups.append((model.title, bars))
    return groups


def write_file(path, text):
    partial = path.with_name(path.name + ".new")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def model_lines(results, models):
    lines = ["| model | data | float | images | SHA-256 |", "|---|---|--:|--:|---|"]
    for model in models.values():
        cell = results.float(model)
        if cell:
            title = f"{model.title} ({model.float})" if model.float else model.title
            lines.append(f"| {title} | {model.data} | {percent(cell['accuracy'])} | {cell['images']} | `{model.sha256[:16]}` |")
    return lines


def write(options, cells, program, tables, models, absent):
    """All files of the output folder."""
    results = Results(options, cells, program)
    lines = [INTRODUCTION.strip(), "", *model_lines(results, models), ""]
    missing = [line.split(":")[0] for line in absent]
    for table in tables:
        rows = table_lines(results, table, models)
        if not rows:
            missing.append(f"the table '{table.title}'")
            continue
        lines += [f"## {table.title}", "", table.text, ""]
        if table.plot:
            picture = None
            if table.baseline:
                groups = bar_groups(results, table, models)
                if groups:
                    picture = draw_accuracy.draw_bars("points of accuracy lost against the first row, with 95 % intervals", groups)
            else:
                panels = line_panels(results, table, models)
                if panels:
                    picture = draw_accuracy.draw_lines(table.title, panels)
            if picture:
                write_file(options.output / f"{table.name}.svg", picture)
                lines += [f"![{table.title}]({table.name}.svg)", ""]
        lines += rows
    if missing:
        lines += ["Not measured yet: " + ", ".join(missing) + ".", ""]
    write_file(options.output / "RESULTS.md", "\n".join(lines))
    write_file(options.output / "results.csv", csv_text(results, tables, models))


INTRODUCTION = """
# Accuracy without retraining

Written by `tests/bench/accuracy` out of `tests/bench/accuracy_table.json`; `results.csv` holds the same figures.

- **m** p-bits per neuron in one pass, **T** passes whose outputs are averaged; **draws** is m x T per synapse, averaged over the
  multiply-adds of the layers that read p-bits.
- Every cell has a file of its own, converted for this m and T, unless the table says otherwise. Calibration: 512 images of
  the training split (MNIST: of the first 1,000 training images), without labels. Weights of 4 bits in groups of 64 unless the row says otherwise.
- **accuracy**: top-1 in %, mean over the seeds. **95 % interval**: Wilson's, with the images as trials. **over seeds**: standard deviation.
- **drop**: points below the float network on the same images, with half of its 95 % interval, paired by image.
- **deterministic**: the same file without randomness: the neuron compares with m fixed thresholds, so it is an ordinary network of
  log2(m + 1) bits per activation. On a processor it costs fewer operations than m draws.
- **worth**: what the first row of the table, measured with the same program, is better by, paired by image.
"""
