#!/usr/bin/env python3
"""Measures Holm beside workerd, Deno, Bun, Node and bare hyper: warm, cold, and at rest.

Run it with `make bench-peers`; README.md beside this file says how to read the output.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Callable

import client
import cold
import memory
import report
import servers
import warm
import wrk
import zipf

PARTS = ["warm", "cold", "bundle", "memory", "zipf"]


def main() -> int:
    options = arguments()
    report.machine(needed(options), options.holm)
    # One of Holm's functions, in MiB; the part `memory` finds out.
    function_mib = options.function_mib or zipf.FUNCTION_MIB

    def rest(folder: Path) -> bool:
        nonlocal function_mib
        failed, measured = memory.measure(options, folder)
        function_mib = options.function_mib or measured
        return failed

    parts: dict[str, Callable[[Path], bool]] = {
        "warm": lambda folder: warm.measure(options, folder),
        "cold": lambda folder: cold.hello(options, folder),
        "bundle": lambda folder: cold.bundle(options, folder),
        "memory": rest,
        "zipf": lambda folder: zipf.measure(options, folder, function_mib),
    }
    failed = False
    for name in (name for name in PARTS if name in options.only):
        with tempfile.TemporaryDirectory(prefix=f"holm-{name}-") as folder:
            try:
                failed |= parts[name](Path(folder) / name)
            except (servers.StartError, wrk.WrkError, client.AnswerError) as error:
                # The others measure something else, and may take minutes to get to again.
                print(f"  FAILED: {error}", file=sys.stderr)
                failed = True
    return 1 if failed else 0


def needed(options: argparse.Namespace) -> list[str]:
    """The servers that the chosen parts measure."""
    names = set(options.servers) if "warm" in options.only else set()
    names |= {"holm"} if "zipf" in options.only else set()
    names |= {"holm", "workerd"} if {"cold", "bundle", "memory"} & set(options.only) else set()
    return [name for name in warm.SERVERS if name in names]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=parts_named, default=PARTS, metavar="PART[,PART]",
                        help=f"which parts (default: all of {', '.join(PARTS)})")
    parser.add_argument("--rounds", type=at_least(1), default=5, help="warm: rounds for each server (default: 5)")
    parser.add_argument("--seconds", type=at_least(1), default=3, help="warm: length of a round (default: 3)")
    parser.add_argument("--servers", nargs="+", choices=warm.SERVERS, default=warm.SERVERS, help="warm: which ones")
    parser.add_argument("--functions", type=at_least(20), default=500,
                        help="cold, memory: number of functions (default: 500)")
    parser.add_argument("--bundles", type=at_least(5), default=20, help="bundle: number of functions (default: 20)")
    parser.add_argument("--pause", type=at_least(0), default=10,
                        help="cold, bundle: milliseconds between two requests (default: 10)")
    parser.add_argument("--requests", type=at_least(100), default=20000,
                        help="zipf: number of requests (default: 20000)")
    parser.add_argument("--share", type=float, default=0.2,
                        help="zipf: memory for isolates, as a share of what all functions would take (default: 0.2)")
    parser.add_argument("--function-mib", type=float,
                        help=f"zipf: what a function takes (default: as memory found, else {zipf.FUNCTION_MIB})")
    report.holm_option(parser)
    options = parser.parse_args()
    names = needed(options)
    if "holm" in names:
        report.require_holm(parser, options.holm)
    if "hyper" in names and not servers.bare_hyper(options.holm).is_file():
        parser.error(f"{servers.bare_hyper(options.holm)} is missing: run cargo build --release -p holm -p bare-hyper")
    return options


def parts_named(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return names


def at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
