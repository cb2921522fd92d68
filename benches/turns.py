"""Two functions asked in turn on one connection, beside one function: what moving from process to process costs."""

import argparse
import os
import statistics
from pathlib import Path

import servers
import wrk
from report import Table, spread

AIM = 0.95  # requests per second of two functions to those of one: at least
CONNECTIONS = [1, 32]  # one is the figure; with 32, requests of both are in flight at the same time
WARM_UP = 1  # seconds
HOSTS = {"one": "hello.localhost", "two": "hello.localhost other.localhost"}
SCRIPT = servers.BENCHES / "alternate.lua"


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request failed."""
    print(f"\nturns: one function, and two in turn on the same connection; wrk, {options.rounds} rounds of {options.seconds} s "
          "of each in turn", flush=True)
    servers.functions(folder, "hello")
    [port] = servers.free_ports(1)
    toml = servers.HOLM_TOML.format(port=port, records="failed") + servers.FUNCTION_TOML.format(
        name="other", folder="hello", cpu="50ms")
    failed = False
    with servers.holm_server(options.holm, folder, port, toml) as server:
        server.wait()
        for connections in CONNECTIONS:
            rounds: dict[str, list[wrk.Round]] = {kind: [] for kind in HOSTS}
            for kind in HOSTS:
                load(server, kind, WARM_UP, connections)
            for number in range(options.rounds):
                for kind in ("one", "two") if number % 2 else ("two", "one"):  # each goes first in its turn
                    rounds[kind].append(load(server, kind, options.seconds, connections))
                print(f"  round {number + 1}  {connections:2} connections  " + "  ".join(
                    f"{kind} {taken[-1].per_second:8,.0f} req/s" for kind, taken in rounds.items()), flush=True)
            failed |= any(result.failed for taken in rounds.values() for result in taken)
            ratios = [two.per_second / one.per_second for one, two in zip(rounds["one"], rounds["two"])]
            dearer = [two.cpu_us / one.cpu_us for one, two in zip(rounds["one"], rounds["two"])]
            print(f"  {connections} connections: two / one: req/s {spread(ratios, '.3f')}, CPU {spread(dearer, '.3f')}")
            if connections == 1:
                table.at_least("two functions asked in turn on one connection ÷ one function", statistics.median(ratios), AIM)
    return failed


def load(server: servers.Server, kind: str, seconds: int, connections: int) -> wrk.Round:
    os.environ["ASKED"] = HOSTS[kind]  # the script's only argument
    return wrk.load(server, seconds, connections, script=SCRIPT)
