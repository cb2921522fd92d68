#!/usr/bin/env python3
"""Asks three functions, each of whose isolates keeps 75 MB, for more than the node may hold, and measures what it holds.

README.md beside this file says how to read the output.
"""

import argparse
import sys
import threading
from pathlib import Path

import neighbour
import processes
import report
import servers
from hammers import Hammers
from report import Table

FUNCTIONS = 3
CLIENTS = 64  # for each function
BUDGET_GIB = 4
MEMORY_AIM = 4.4  # GiB, all memory: at most
SLOWER_AIM = 10.0  # the neighbour's p99 to its p99 in quiet: at most
EVERY = 0.5  # seconds between two looks at the memory
SPARE_MIB = 1024  # that must be left to the system, or the run stops


class Watch:
    """Looks at all processes of the server until the `with` block ends, and keeps the most that they held."""

    def __init__(self, pid: int, hammers: Hammers) -> None:
        self.pid, self.hammers = pid, hammers
        self.peak = processes.Memory()
        self.looks = 0
        self.stopped = False  # the system had too little memory left for this to go on
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self) -> None:
        while not self.ending.wait(EVERY):
            now = processes.memory(self.pid)
            self.looks += 1
            self.peak = max(self.peak, now, key=lambda memory: memory.all_mib)
            if processes.available_mib() < SPARE_MIB:
                self.stopped = True
                self.hammers.stop()

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether the node died."""
    print(f"\ncrowd: {FUNCTIONS} functions × {CLIENTS} clients for {options.seconds} s, 75 MB kept in each isolate, "
          f"[node] memory = \"{BUDGET_GIB}GiB\";\n  the neighbour is hello, asked every {neighbour.EVERY * 1000:.0f} ms", flush=True)
    servers.functions(folder, "hello", "crowd")
    [port] = servers.free_ports(1)
    names = [f"crowd-{number}" for number in range(FUNCTIONS)]
    toml = servers.HOLM_TOML.format(port=port, records="none") + "".join(
        servers.FUNCTION_TOML.format(name=name, folder="crowd", cpu="1s") for name in names)
    toml += f'\n[node]\nmemory = "{BUDGET_GIB}GiB"\n'
    with servers.holm_server(options.holm, folder, port, toml) as server:
        server.wait()
        neighbour.quiet(port, servers.HOST, 1)  # V8 optimises meanwhile
        quiet = neighbour.quiet(port, servers.HOST, min(options.seconds, 10))
        print(f"  quiet  {quiet}", flush=True)
        with Hammers([(port, f"{name}.localhost") for name in names], CLIENTS, ["/"]) as crowd:
            with (Watch(server.process.pid, crowd) as watch,
                  neighbour.Neighbour(port, servers.HOST, options.seconds) as beside):
                crowded = beside.seen()
            crowd.stop()
        print(f"  crowd  {crowded}", flush=True)
        alive = server.process.poll() is None and not neighbour.quiet(port, servers.HOST, 1).errors
        said = server.said()
    print("  answers to the crowd: " + ", ".join(f"{count} {what}" for what, count in crowd.outcomes().most_common()))
    peak = watch.peak
    print(f"  most that was held, of {watch.looks} looks: {peak.all_mib / 1024:.2f} GiB (page tables {peak.tables / 1024:.0f} "
          f"MiB of it) in {peak.processes} processes; private and page tables {peak.own_mib / 1024:.2f} GiB")
    if watch.stopped:
        print(f"  FAILED: stopped early, less than {SPARE_MIB} MiB were left to the system")
    table.at_most(f"{FUNCTIONS} functions × {CLIENTS} clients, 75 MB each, {BUDGET_GIB} GiB for the node: all memory",
                  peak.all_mib / 1024, MEMORY_AIM, " GiB")
    table.at_most("the same: neighbour's p99 ÷ quiet", crowded.p99 / quiet.p99, SLOWER_AIM)
    table.at_most("the same: neighbour's errors", len(crowded.errors), 0, form="d")
    if not alive:
        print(f"  FAILED: the node does not answer any more:\n{said}")
    return not alive or watch.stopped


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=report.at_least(1), default=30, help="length of the crowd (default: 30)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(report.script("crowd", measure, arguments(), ["holm"]))
