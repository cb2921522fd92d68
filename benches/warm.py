"""Requests to a function that runs all the time: Holm beside its peers and bare hyper."""

import argparse
import http.client
import json
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Callable

import servers
import wrk
from report import Table, spread

SERVERS = ["holm", "holm-none", "holm-all", "workerd", "deno", "bun", "node", "hyper"]
CONNECTIONS = 32
WARM_UP = 2  # seconds of load before the first round, so that every engine has optimised
# Holm's requests per second to the peer's: at least.
RATE_AIMS = {"workerd": 5.0, "node": 1.5}
# CPU time per request of all of Holm's processes to bare hyper's, without records and with all: at most.
CPU_AIMS = {"holm-none": 2.0, "holm-all": 2.2}
# The folder that has each function, and what its answer is.
WORK: dict[str, Callable[[bytes], bool]] = {
    "hello": lambda body: body == b"Hello",
    "json": lambda body: json.loads(body)["name"].startswith("item "),
    "body": lambda body: body == b"x" * 64 * 1024,
}

Rounds = dict[str, list[wrk.Round]]


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request to Holm failed."""
    failed = [compare(work, options, folder / work, table) for work in WORK]
    return any(failed)


def compare(work: str, options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """All servers run at once, and the load goes from one to the next, so that a slow moment of
    the machine meets them all."""
    print(f"\nwarm, {work}: wrk, 1 thread, {CONNECTIONS} connections, {options.rounds} rounds of "
          f"{options.seconds} s each, in turn", flush=True)
    names = options.servers
    path = "/" if work == "hello" else f"/{work}"
    rounds: Rounds = {name: [] for name in names}
    with ExitStack() as stack:
        running = {}
        for name in names:
            print(f"  warming up {name}", flush=True)
            (folder / name).mkdir(parents=True)
            running[name] = stack.enter_context(servers.hello(name, options.holm, folder / name, code=work))
            running[name].wait()
            check(running[name], path, WORK[work])
            wrk.load(running[name], WARM_UP, CONNECTIONS, path=path)
        for number in range(options.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:  # each goes first in its turn
                result = wrk.load(running[name], options.seconds, CONNECTIONS, path=path)
                rounds[name].append(result)
                print(f"  round {number + 1}  {name:9} {result.per_second:10,.0f} req/s {result.cpu_us:6.1f} µs CPU"
                      + (f"  {result.failed} FAILED" if result.failed else ""), flush=True)
    print_table(rounds)
    print_ratios(work, rounds, table)
    return any(result.failed for name in servers.RECORDS for result in rounds.get(name, []))


def check(server: servers.Server, path: str, right: Callable[[bytes], bool]) -> None:
    """That all do the same work is for them to show."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": servers.HOST})
        body = connection.getresponse().read()
    finally:
        connection.close()
    if not right(body):
        raise servers.StartError(f"{server.name} answered {path} with {body[:200]!r}")


def print_table(rounds: Rounds) -> None:
    print(f"\n  {'':8} {'req/s: median (min–max)':32} {'CPU µs per request':24}")
    for name, results in rounds.items():
        rate = spread([r.per_second for r in results], ",.0f")
        cpu = spread([r.cpu_us for r in results], ".1f")
        failed = sum(r.failed for r in results)
        print(f"  {name:9} {rate:32} {cpu:24}" + (f" {failed} FAILED" if failed else ""))


def print_ratios(work: str, rounds: Rounds, table: Table) -> None:
    """Holm beside its peers; hello's go into the table. Round by round, so that both sides of a ratio saw the same machine."""
    print()
    for ours in (name for name in rounds if name in servers.RECORDS):
        for peer in (name for name in rounds if name not in servers.RECORDS):
            faster = [h.per_second / p.per_second for h, p in zip(rounds[ours], rounds[peer])]
            dearer = [h.cpu_us / p.cpu_us for h, p in zip(rounds[ours], rounds[peer])]
            print(f"  {ours:9} / {peer:8} req/s {spread(faster, '.2f')}, CPU {spread(dearer, '.2f')}")
            if work != "hello":
                continue
            if ours == "holm" and peer in RATE_AIMS:
                table.at_least(f"warm hello: requests per second ÷ {peer}'s", statistics.median(faster), RATE_AIMS[peer])
            if ours in CPU_AIMS and peer == "hyper":
                table.at_most(f'warm hello: CPU per request ÷ bare hyper; records "{servers.RECORDS[ours]}"',
                              statistics.median(dearer), CPU_AIMS[ours])
