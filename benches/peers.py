#!/usr/bin/env python3
"""Measures Holm beside workerd, Deno, Bun, Node and bare hyper: warm, cold, and at rest.

Run it with `make bench-peers`; README.md beside this file says how to read the output.
"""

import argparse
import sys

import churn
import cold
import memory
import report
import servers
import turns
import warm
import zipf

PARTS: dict[str, report.Part] = {
    "warm": warm.measure,
    "cold": cold.hello,
    "bundle": cold.bundle,
    "memory": memory.measure,
    "churn": churn.measure,
    "zipf": zipf.measure,
    "turns": turns.measure,
}


def main() -> int:
    options = arguments()
    report.machine(needed(options), options.holm)
    table = report.Table()
    parts = {name: part for name, part in PARTS.items() if name in options.only}
    failed = report.run(parts, options, table)
    table.show()
    return 1 if failed else 0


def needed(options: argparse.Namespace) -> list[str]:
    """The servers that the chosen parts measure."""
    names = set(options.servers) if "warm" in options.only else set()
    names |= {"holm"} if {"zipf", "turns"} & set(options.only) else set()
    names |= {"holm", "workerd"} if {"cold", "bundle", "memory", "churn"} & set(options.only) else set()
    return [name for name in warm.SERVERS if name in names]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    report.parts_option(parser, list(PARTS))
    parser.add_argument("--rounds", type=report.at_least(1), default=5, help="warm, churn, turns: rounds of each (default: 5)")
    parser.add_argument("--seconds", type=report.at_least(1), default=3, help="warm, turns: length of a round (default: 3)")
    parser.add_argument("--servers", nargs="+", choices=warm.SERVERS, default=warm.SERVERS, help="warm: which ones")
    parser.add_argument("--functions", type=report.at_least(20), default=500,
                        help="cold, memory: number of functions (default: 500)")
    parser.add_argument("--bundles", type=report.at_least(5), default=20, help="bundle: number of functions (default: 20)")
    parser.add_argument("--pause", type=report.at_least(0), default=10,
                        help="cold, bundle: milliseconds between two requests (default: 10)")
    parser.add_argument("--starts", type=report.at_least(100), default=3000,
                        help="churn: requests to Holm in a round (default: 3000)")
    parser.add_argument("--requests", type=report.at_least(100), default=20000,
                        help="zipf: number of requests (default: 20000)")
    parser.add_argument("--share", type=float, default=0.2,
                        help="zipf: memory for isolates, as a share of what all functions would take (default: 0.2)")
    parser.add_argument("--function-mib", type=float,
                        help=f"zipf: what a function takes (default: as memory found, else {zipf.FUNCTION_MIB})")
    report.holm_option(parser)
    options = parser.parse_args()
    names = needed(options)
    if any(name in servers.RECORDS for name in names):
        report.require_holm(parser, options.holm)
    if "hyper" in names and not servers.bare_hyper(options.holm).is_file():
        parser.error(f"{servers.bare_hyper(options.holm)} is missing: run cargo build --release -p holm -p bare-hyper")
    return options


if __name__ == "__main__":
    sys.exit(main())
