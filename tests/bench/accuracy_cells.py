"""What tests/bench/accuracy measures: models, tables, rows and cells, and the file of those that are known."""

import base64
import json
from dataclasses import dataclass, field


class Failed(Exception):
    """pbitc did not do what it was asked."""


@dataclass
class Model:
    """A network with its data, as `pbitc` wants to be told."""

    name: str
    title: str
    path: object
    sha256: str
    calibration: str
    test: str
    data: str
    float: str = ""  # where the network comes from


@dataclass(frozen=True)
class Cell:
    """m, T, and the m and T for which the file is made; deterministic: thresholds instead of draws."""

    draws: int
    samples: int
    file: tuple
    deterministic: bool = False

    def __str__(self):
        return f"m = {self.draws}, " + ("deterministic" if self.deterministic else f"T = {self.samples}")


@dataclass
class Row:
    """A way to convert, and the budgets it is measured with."""

    label: str
    options: dict
    cells: list
    models: list = None  # only these of the table's

    def words(self):
        """The options of `pbitc convert`."""
        words = []
        for name, value in self.options.items():
            if name != "layers":
                words += [f"--{name}", value]
        return words

    def recipe(self, model):
        """{} or the recipe: `layers` of the options for this model."""
        layers = self.options.get("layers", {}).get(model.name)
        return {"layers": layers} if layers else {}

    def fits(self, model):
        """Whether this model is one of the row's; a recipe is for the models whose layers it names."""
        return model.name in (self.options.get("layers") or self.models or [model.name])

    def by_file(self):
        """(m and T of a file, the cells measured with it)."""
        files = {}
        for cell in self.cells:
            files.setdefault(cell.file, []).append(cell)
        return files.items()


@dataclass
class Table:
    """Rows that are measured for each of some models, and what RESULTS.md says about them."""

    name: str
    title: str
    text: str
    models: list
    rows: list
    baseline: bool = False  # the first row is what the others are compared with
    plot: bool = False
    reference: list = field(default_factory=list)  # rows of other people's figures


def fill(text, folders):
    """Replace {NAME} by the folder."""
    for name, path in folders.items():
        text = text.replace("{" + name + "}", str(path))
    return text


def find(paths, folders):
    """The first of the paths that exists, and all of them as text."""
    paths = [fill(path, folders) for path in ([paths] if isinstance(paths, str) else paths)]
    for path in paths:
        try:
            with open(path, "rb"):
                return path, paths
        except OSError:
            pass
    return None, paths


def read_models(content, folders, hash_file):
    """Models by name, and a line for each that cannot be measured."""
    models, absent = {}, []
    for entry in content["models"]:
        source = next((s for s in content["data"][entry["data"]] if find(s["needs"], folders)[0]), None)
        path, paths = find(entry["file"], folders)
        if not source:
            needs = " or ".join(fill(s["needs"], folders) for s in content["data"][entry["data"]])
            absent.append(f"{entry['name']}: no {needs}")
        elif not path:
            absent.append(f"{entry['name']}: no {' or '.join(paths)}")
        else:
            data = {key: fill(source[key], folders) + "," + entry["preprocessing"] for key in ("calibration", "test")}
            models[entry["name"]] = Model(entry["name"], entry["title"], path, hash_file(path), data["calibration"],
                                          data["test"], source["title"], entry.get("origin", ""))
    return models, absent


def read_rows(entry):
    """The rows of a table: cells [m, T], each in a file of its own unless `file` says [m, T]."""
    rows = []
    for row in entry["rows"]:
        cells = []
        for draws, samples in row.get("cells", entry.get("cells", [])):
            file = tuple(row.get("file", entry.get("file", [draws, samples])))
            cells.append(Cell(draws, samples, file))
            if row.get("deterministic", entry.get("deterministic", False)) and samples == 1:
                cells.append(Cell(draws, 1, file, deterministic=True))
        rows.append(Row(row["label"], entry.get("convert", {}) | row.get("convert", {}), cells, row.get("models")))
    return rows


def read_table(path, folders, hash_file):
    """The tables, the models that are there, and why the others are not."""
    with open(path, encoding="utf-8") as stream:
        content = json.load(stream)
    models, absent = read_models(content, folders, hash_file)
    tables = [
        Table(entry["name"], entry["title"], entry["text"], entry["models"], read_rows(entry), entry.get("baseline", False),
              entry.get("plot", False), entry.get("reference", []))
        for entry in content["tables"]
    ]
    return tables, models, absent


def average_draws(layers, draws):
    """Draws per synapse and pass, over the layers that read p-bits, each counted by its multiply-adds."""
    total = synapses = 0
    for layer in layers:
        source = layer
        while source["op"] != "neuron" and source["input"] >= 0:
            source = layers[source["input"]]
        if layer["macs"] and source["draws"]:
            total += layer["macs"] * max(1, round(draws * source["draw_factor"] / 256))
            synapses += layer["macs"]
    return total / synapses if synapses else 0.0


def of_float(report):
    """What is kept of the float model's evaluation."""
    baseline = report["baseline"]
    return {
        "images": report["images"],
        "accuracy": baseline["accuracy"],
        "interval": baseline["interval"],
        "correct_by_image": report["counted"]["baseline"]["correct_by_image"],
    }


def of_report(report, draws, samples):
    """What is kept of one cell."""
    index = next(i for i, c in enumerate(report["cells"]) if (c["draws"], c["samples"]) == (draws, samples))
    cell = report["cells"][index]
    return {
        "images": report["images"],
        "accuracy": cell["accuracy"],
        "accuracy_by_seed": cell["accuracy_by_seed"],
        "interval": cell["interval"],
        "spread": cell["spread"],
        "draws_per_synapse": samples * average_draws(report["layers"], draws),
        "correct_by_image": report["counted"]["cells"][index]["correct_by_image"],
    }


def unpack(cell):
    """For every image the share of seeds that are right."""
    seeds = len(cell.get("accuracy_by_seed", [0]))
    bits = seeds.bit_length()
    mask, shares, held, count = (1 << bits) - 1, [], 0, 0
    for byte in base64.b64decode(cell["correct_by_image"]):
        held |= byte << count
        count += 8
        while count >= bits:
            shares.append((held & mask) / seeds)
            held >>= bits
            count -= bits
    return shares[: cell["images"]]


def compare(cell, other):
    """Mean of `other` less `cell` over the images of `cell`, and half of its 95 % interval, paired by image."""
    pairs = list(zip(unpack(other), unpack(cell)))
    count = len(pairs)
    mean = sum(a - b for a, b in pairs) / count
    variance = sum((a - b - mean) ** 2 for a, b in pairs) / max(count - 1, 1)
    return mean, 1.96 * (variance / count) ** 0.5


class Store:
    """A file with one cell per line: its key, and what was measured."""

    def __init__(self, path):
        self.path = path
        self.known = {}
        if path.exists():
            whole = path.read_bytes()
            lines = whole.decode().split("\n")
            for line in lines[:-1]:
                entry = json.loads(line)
                self.known[self.name(entry["key"])] = entry
            if lines[-1]:  # a line that an interruption cut
                path.write_bytes(whole[: len(whole) - len(lines[-1].encode())])

    @staticmethod
    def name(key):
        return json.dumps(key, sort_keys=True)

    def has(self, key):
        return self.name(key) in self.known

    def get(self, key):
        return self.known[self.name(key)]["cell"]

    def add(self, key, cell):
        entry = {"key": key, "cell": cell}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
        self.known[self.name(key)] = json.loads(json.dumps(entry))

    def best(self, program, commit=None, **wanted):
        """The cell of most images times seeds whose key has these values; `program`, `commit` None: of any."""
        wanted = json.loads(json.dumps(wanted))
        found = None
        for entry in self.known.values():
            key = entry["key"]
            if any(key.get(name) != value for name, value in wanted.items()):
                continue
            if program and key["program"] != program or commit and entry["cell"].get("commit") != commit:
                continue
            size = key["images"] * key.get("seeds", 1)
            if not found or size >= found[0]:
                found = (size, entry["cell"])
        return found[1] if found else None
