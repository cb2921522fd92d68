#!/usr/bin/env python3
"""Measures what forked isolates are for, in short, and prints each figure beside its aim.

Run it with `make bench-cells`; README.md beside this file says how to read the output.
"""

import argparse
import sys

import churn
import cold
import crowd
import flood
import fresh
import idle
import memory
import overrun
import report
import turns
import zipf

# Each part with options of its own, as its script or peers.py has them: short runs.
PARTS: dict[str, tuple[report.Part, dict[str, object]]] = {
    "cold": (cold.hello, {"functions": 100, "pause": 10}),
    "bundle": (cold.bundle, {"bundles": 5, "pause": 10}),
    "memory": (memory.measure, {"functions": 100}),
    "churn": (churn.measure, {"rounds": 3, "starts": 1000}),
    "zipf": (zipf.measure, {"requests": 10_000, "share": 0.2}),
    "turns": (turns.measure, {"rounds": 3, "seconds": 2}),
    "overrun": (overrun.measure, {"requests": 100}),
    "flood": (flood.measure, {"seconds": 15}),
    "crowd": (crowd.measure, {"seconds": 15}),
    "idle": (idle.measure, {"functions": 1000, "templates": False}),
    "fresh": (fresh.measure, {"rounds": 3, "seconds": 2, "requests": 200, "alone": 5}),
}


def main() -> int:
    options = arguments()
    report.machine(["holm", "workerd"], options.holm)
    table = report.Table()
    failed = False
    # What one of Holm's functions takes, from `memory` to `zipf`.
    options.function_mib = None
    for name in options.only:
        part, values = PARTS[name]
        vars(options).update(values)
        failed |= report.run({name: part}, options, table)
    table.show()
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    report.parts_option(parser, list(PARTS))
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(main())
