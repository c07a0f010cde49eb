#!/usr/bin/env python3
"""Runs the commands of a .golden file and compares what they print and how they end.

    run_goldens.py [--update] PBITC SAMPLES FILE.golden...

A .golden file is a list of cases:

    # comment
    $ shell command, in which `pbitc` is the program and `samples` the folder samples/mnist
    > a line on standard output
    ! a line on standard error
    = exit code (left out when it is 0)

All cases of a file run one after the other in the same fresh directory. --update writes what the commands
print now into the files.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

SECONDS = 300


def parse(text):
    """Splits the file into [comment lines, command, expected lines]."""
    cases, comments = [], []
    for line in text.splitlines():
        if line.startswith("$ "):
            cases.append([comments, line[2:], []])
            comments = []
        elif line[:1] in ("#", ""):
            comments.append(line)
        elif cases and not comments and line[:1] in (">", "!", "="):
            cases[-1][2].append(line)
        else:
            sys.exit(f"cannot read this line: {line}")
    return cases, comments


def mark(prefix, text):
    return [f"{prefix} {line}".rstrip() for line in text.splitlines()]


def run(command, directory, environment):
    done = subprocess.run(["sh", "-c", command], cwd=directory, env=environment, capture_output=True,
                          timeout=SECONDS, text=True, errors="replace", stdin=subprocess.DEVNULL)
    lines = mark(">", done.stdout) + mark("!", done.stderr)
    if done.returncode:
        lines.append(f"= {done.returncode}")
    return lines


def check_file(path, pbitc, samples, update):
    cases, rest = parse(path.read_text())
    failed, output = 0, []
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        (root / "bin").mkdir()
        (root / "bin" / "pbitc").symlink_to(pbitc)
        work = root / "work"
        work.mkdir()
        (work / "samples").symlink_to(samples)
        environment = dict(os.environ, PATH=f"{root / 'bin'}:{os.environ['PATH']}", LC_ALL="C")
        for comments, command, expected in cases:
            actual = run(command, work, environment)
            output += [*comments, f"$ {command}", *actual]
            if actual != expected and not update:
                failed += 1
                print(f"{path.name}: $ {command}", "expected:", *expected, "got:", *actual, "", sep="\n")
    if update:
        path.write_text("\n".join(output + rest) + "\n")
    return failed, len(cases)


def main():
    arguments = sys.argv[1:]
    update = arguments[:1] == ["--update"]
    pbitc, samples, *files = arguments[update:]
    failed = total = 0
    for file in files:
        bad, count = check_file(pathlib.Path(file), pathlib.Path(pbitc).resolve(),
                                pathlib.Path(samples).resolve(), update)
        failed += bad
        total += count
    print(f"{total - failed} of {total} cases as expected")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
