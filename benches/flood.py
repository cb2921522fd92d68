#!/usr/bin/env python3
"""Floods Holm with requests that compute without end, and measures what a neighbour feels and what is left behind.

README.md beside this file says how to read the output.
"""

import argparse
import sys
import time
from pathlib import Path

import neighbour
import processes
import report
import servers
from hammers import Hammers
from report import Table

HOSTS = 3
CLIENTS = 4  # for each host
HOSTILE = ["/regex", "/normalize", "/index-of", "/string-index-of", "/bigint", "/reverse", "/sort", "/deep-json", "/rsa"]
# A request that goes well behind each: a function that only breaks limits is held back, which would be no flood.
PATHS = [path for hostile in HOSTILE for path in (hostile, "/calm")]
SLOWER_AIM = 3.0  # the neighbour's p99 to its p99 in quiet: at most
AFTER = 10.0  # seconds behind the flood
WATCHED = 2.0  # seconds for which CPU time is counted then
IDLE_AIM = 0.02  # of one core
# What the flood's answers may be; anything else is a broken node.
RIGHT = {"200", "exceededCpu", "exceededMemory", "exceededWallTime", "crashed", "overloaded", "exception"}


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether the node died, or a client of the flood got no answer."""
    print(f"\nflood: {HOSTS} functions × {CLIENTS} clients for {options.seconds} s; the neighbour is hello, asked every "
          f"{neighbour.EVERY * 1000:.0f} ms", flush=True)
    servers.functions(folder, "hello", "flood")
    [port] = servers.free_ports(1)
    names = [f"flood-{number}" for number in range(HOSTS)]
    toml = servers.HOLM_TOML.format(port=port, records="none") + "".join(
        servers.FUNCTION_TOML.format(name=name, folder="flood", cpu="50ms") for name in names)
    with servers.holm_server(options.holm, folder, port, toml) as server:
        server.wait()
        pid = server.process.pid
        neighbour.quiet(port, servers.HOST, 1)  # V8 optimises meanwhile
        quiet = neighbour.quiet(port, servers.HOST, min(options.seconds, 10))
        print(f"  quiet  {quiet}", flush=True)
        held = processes.memory(pid)
        with Hammers([(port, f"{name}.localhost") for name in names], CLIENTS, PATHS) as flood:
            with neighbour.Neighbour(port, servers.HOST, options.seconds) as beside:
                flooded = beside.seen()
        print(f"  flood  {flooded}", flush=True)
        time.sleep(AFTER)
        before = processes.cpu_of_each(pid)
        time.sleep(WATCHED)
        share = processes.cpu_between(before, processes.cpu_of_each(pid)) / WATCHED
        left = processes.memory(pid)
        alive = server.process.poll() is None and not neighbour.quiet(port, servers.HOST, 1).errors
        said = "" if alive else server.said()
    outcomes = flood.outcomes()
    print("  answers to the flood: " + ", ".join(f"{count} {what}" for what, count in outcomes.most_common()))
    for path in HOSTILE:
        print(f"    {path:17} " + ", ".join(f"{count} {key.partition(' ')[2]}" for key, count
                                           in flood.answers.most_common() if key.split()[0] == path))
    print(f"  {AFTER:.0f} s later: {left.processes} processes with {left.all_mib:.0f} MiB; {held.processes} with "
          f"{held.all_mib:.0f} MiB before")
    table.add("flood: the node", "lives" if alive else "dead", "lives", alive)
    table.at_most("flood: neighbour's p99 ÷ quiet", flooded.p99 / quiet.p99, SLOWER_AIM)
    table.at_most("flood: neighbour's errors", len(flooded.errors), 0, form="d")
    table.at_most(f"flood: CPU of all processes {AFTER:.0f} s later", share * 100, IDLE_AIM * 100, " % of a core", ".1f")
    wrong = {what: count for what, count in outcomes.items() if what not in RIGHT}
    for what, count in wrong.items():
        print(f"  FAILED: {count} answers to the flood: {what}")
    if not alive:
        print(f"  FAILED: the node does not answer any more:\n{said}")
    return bool(wrong) or not alive


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=report.at_least(1), default=60, help="length of the flood (default: 60)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(report.script("flood", measure, arguments(), ["holm"]))
