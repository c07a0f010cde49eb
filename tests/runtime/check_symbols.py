#!/usr/bin/env python3
"""libpbit takes nothing from libc but memory functions and what the processor can do, so it cannot allocate or print, and it exports pbit_* only."""

import subprocess
import sys

ALLOWED = {"getauxval", "memcpy", "memmove", "memset", "memcmp", "bcmp", "memchr", "__stack_chk_fail", "__cxa_finalize", "__gmon_start__"}
ALLOWED_PREFIXES = ("_ITM_", "__asan_", "__ubsan_", "__sanitizer_", "__tsan_", "__msan_", "__gcov_", "__llvm_")


def symbols(nm, library, kind):
    listing = subprocess.run([nm, "-D", kind, library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in listing.splitlines()}


def main():
    nm, library = sys.argv[1:]
    taken = {name for name in symbols(nm, library, "--undefined-only")
             if name not in ALLOWED and not name.startswith(ALLOWED_PREFIXES)}
    given = {name for name in symbols(nm, library, "--defined-only")
             if not name.startswith("pbit_") and not name.startswith(ALLOWED_PREFIXES)}
    for name in sorted(taken):
        print(f"libpbit uses {name}", file=sys.stderr)
    for name in sorted(given):
        print(f"libpbit exports {name}", file=sys.stderr)
    return 1 if taken or given else 0


if __name__ == "__main__":
    sys.exit(main())
