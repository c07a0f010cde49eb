#!/usr/bin/env python3
"""Synthesize exported designs with Yosys and tabulate LUTs, flip-flops, block RAMs and DSPs per module.

Each FOLDER is what `pbitc export --target verilog` wrote; its script `synthesize` is run for each family. A single
MODULE is synthesized out of the sources in FOLDER. Only the standard library is needed, and Yosys. Cells are counted as they stand in the netlist, modules apart: nothing is
optimized across their borders, and nothing is placed.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

# What one cell takes. LUT RAM and shift registers are LUTs; an inverter is counted as a LUT although placement may
# absorb it; carry chains and wide multiplexers stand beside the LUTs and take none.
LUTS = {
    "xilinx": {
        **{f"LUT{n}": 1 for n in range(1, 7)},
        **{"INV": 1, "SRL16E": 1, "SRLC32E": 1, "RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2},
        **{"RAM128X1S": 2, "RAM128X1D": 4, "RAM256X1S": 4, "RAM256X1D": 8, "RAM32M": 4, "RAM64M": 4},
        **{"RAM32M16": 8, "RAM64M8": 8, "RAM512X1S": 8, "RAM32X16DR8": 8, "RAM64X8SW": 8},
    },
    "ice40": {"SB_LUT4": 1},
    "ecp5": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
}
BLOCK_RAMS = {
    **{"RAMB36E1": 1, "RAMB36E2": 1, "RAMB18E1": 0.5, "RAMB18E2": 0.5, "URAM288": 1},
    **{"DP16KD": 1, "PDPW16KD": 1},
}
FLIP_FLOPS = re.compile(r"FD[CPRS]E(_1)?|SB_DFF\w*|TRELLIS_FF")
DSPS = {"DSP48E1", "DSP48E2", "SB_MAC16", "MULT18X18D", "ALU54B"}
KIND = {"xc7": "xilinx", "xcup": "xilinx", "ice40": "ice40", "ecp5": "ecp5"}
FIELDS = ("luts", "flip_flops", "block_rams", "dsps")


def count_cell(family: str, cell: str) -> dict:
    """Return what one cell of the netlist takes."""
    block_ram = 1 if cell.startswith("SB_RAM40_4K") else BLOCK_RAMS.get(cell, 0)
    return {
        "luts": LUTS[KIND[family]].get(cell, 0),
        "flip_flops": 1 if FLIP_FLOPS.fullmatch(cell) else 0,
        "block_rams": block_ram,
        "dsps": 1 if cell in DSPS else 0,
    }


def read_statistics(text: str) -> dict:
    """Return what `stat -json` printed, without the lines of plain text that Yosys 0.23 mixes into it."""
    return json.loads("\n".join(line for line in text.splitlines() if re.match(r'\s*["{}]', line)))


def base_name(module: str) -> str:
    """Return the Verilog name of a module that Yosys named after its parameters."""
    match = re.match(r"\$paramod(?:\$[0-9a-f]+)?\\([^\\]+)", module)
    return match[1] if match else module.lstrip("\\")


def count_modules(family: str, statistics: dict, top: str) -> dict:
    """Return, by module, its instances and the cells of all of them without those of the modules inside."""
    modules = {name.lstrip("\\"): entry["num_cells_by_type"] for name, entry in statistics["modules"].items()}
    totals: dict[str, Counter] = {}

    def visit(name: str, times: int) -> None:
        total = totals.setdefault(base_name(name), Counter())
        total["instances"] += times
        for cell, number in modules[name].items():
            if cell in modules:
                visit(cell, times * number)
            else:
                for field, amount in count_cell(family, cell).items():
                    total[field] += times * number * amount

    visit(top, 1)
    return {name: {key: totals[name][key] for key in ("instances", *FIELDS)} for name in totals}


def synthesize(folder: Path, family: str, options: list[str]) -> dict:
    """Run the folder's script; return the counts by module."""
    run = "-".join([family, *(option.lstrip("-") for option in options)])
    process = subprocess.run(
        ["sh", "synthesize", family, run, *options], cwd=folder, capture_output=True, text=True, check=False
    )
    if process.returncode:
        sys.exit(f"{folder}: synthesis for {family} failed:\n{process.stdout[-2000:]}{process.stderr[-2000:]}")
    statistics = read_statistics((folder / "synthesis" / f"{run}.json").read_text())
    return count_modules(family, statistics, top_module(statistics))


def synthesize_module(folder: Path, module: str, parameters: list[str], family: str, options: list[str]) -> dict:
    """Synthesize one module of the Verilog files in a folder, flat; return the counts by module: one entry."""
    chosen = " ".join(f"-chparam {name} {value}" for name, value in (text.split("=") for text in parameters))
    synth = {"ice40": "synth_ice40", "ecp5": "synth_ecp5"}.get(family, f"synth_xilinx -family {family} -noiopad -flatten")
    # With `-defer` only what the module contains is elaborated, so that no other one looks for its memory files.
    script = f"read_verilog -defer *.v; hierarchy -top {module} {chosen}; {synth} {' '.join(options)}; rename -top {module}"
    process = subprocess.run(
        ["yosys", "-q", "-p", f"{script}; tee -q -o /dev/stdout stat -json"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if process.returncode:
        sys.exit(f"{folder}: synthesis of {module} failed:\n{process.stdout[-2000:]}{process.stderr[-2000:]}")
    return count_modules(family, read_statistics(process.stdout), module)


def top_module(statistics: dict) -> str:
    """Return the module that no other one contains."""
    modules = {name.lstrip("\\"): entry["num_cells_by_type"] for name, entry in statistics["modules"].items()}
    inside = {cell for cells in modules.values() for cell in cells}
    (top,) = (name for name in modules if name not in inside)
    return top


def total_of(modules: dict) -> dict:
    """Return the sums over all modules."""
    return {field: sum(entry[field] for entry in modules.values()) for field in FIELDS}


def number(value: float) -> str:
    """Return a count with thousands apart, and halves as they are."""
    return f"{value:,}" if value % 1 else f"{int(value):,}"


def write_markdown(runs: list[dict]) -> str:
    """Return one table of totals and one table per design and family."""
    lines = ["| design | family | options | LUT | FF | BRAM | DSP |", "|---|---|---|--:|--:|--:|--:|"]
    for run in runs:
        cells = " | ".join(number(run["total"][field]) for field in FIELDS)
        lines.append(f"| {run['design']} | {run['family']} | {' '.join(run['options'])} | {cells} |")
    for run in (run for run in runs if len(run["modules"]) > 1):
        options = "".join(f" {option}" for option in run["options"])
        lines += ["", f"### {run['design']}, {run['family']}{options}", ""]
        lines += ["| module | instances | LUT | FF | BRAM | DSP |", "|---|--:|--:|--:|--:|--:|"]
        for name, entry in sorted(run["modules"].items(), key=lambda item: -item[1]["luts"]):
            cells = " | ".join(number(entry[field]) for field in ("instances", *FIELDS))
            lines.append(f"| `{name}` | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="NAME=FOLDER[/MODULE(PARAMETER=VALUE,...)]:FAMILY[:OPTION...]",
        help="a design, its folder, xc7, xcup, ice40 or ecp5, and options of Yosys' synth command such as -nodsp",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts here")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables here (standard output)")
    arguments = parser.parse_args()
    runs = []
    for text in arguments.runs:
        name, _, rest = text.partition("=")
        folder, _, family = rest.partition(":")
        family, *options = family.split(":")
        if not folder or family not in KIND:
            parser.error(f"'{text}' is not NAME=FOLDER:FAMILY[:OPTION...]")
        if match := re.fullmatch(r"(.*)/(\w+)\((.*)\)", folder):
            parameters = match[3].split(",") if match[3] else []
            modules = synthesize_module(Path(match[1]), match[2], parameters, family, options)
        else:
            modules = synthesize(Path(folder), family, options)
        runs.append(
            {"design": name, "family": family, "options": options, "total": total_of(modules), "modules": modules}
        )
        print(f"{name}, {family}: {number(runs[-1]['total']['luts'])} LUTs", file=sys.stderr)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(write_markdown(runs))
    else:
        print(write_markdown(runs), end="")


if __name__ == "__main__":
    main()
