#!/usr/bin/env python3
"""Measures a fresh isolate for every request (`requests_per_isolate = 1`), beside the shared kind.

README.md beside this file says how to read the output.
"""

import argparse
import sys
import time
from pathlib import Path

import client
import fleet
import report
import servers
import wrk
from report import Table, percentile, spread

CONNECTIONS = 8
RATE_AIM = 1000.0  # requests per second and core: at least
LATENCY_AIM_MS = 1.0  # p50 on an idle node: at most
WARM_UP = 1  # seconds
EVERY = 0.02  # seconds between two requests of the one connection
# Spare isolates, like others, end when they have been idle for too long: then a request after a pause so long meets none.
ALONE = 2.5
KINDS = {"fresh": "limits.requests_per_isolate = 1\n", "shared": "\n"}
SHORT_IDLE = 'limits.idle = "500ms"\n'


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request failed."""
    print(f"\nfresh: hello with requests_per_isolate = 1, and without; wrk with {CONNECTIONS} connections, {options.rounds} rounds "
          f"of {options.seconds} s in turn,\n  each server on one core and wrk on the others", flush=True)
    failed = rate(options, folder / "rate", table)
    return latency(options, folder / "latency", table) or failed


def start(kind: str, name: str, options: argparse.Namespace, folder: Path, keys: str = "") -> servers.Server:
    """`name`: one of servers.RECORDS; `keys`: more for the function's table."""
    (folder / kind).mkdir(parents=True)
    return servers.hello(name, options.holm, folder / kind, keys=KINDS[kind] + keys)


def rate(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    rounds: dict[str, list[wrk.Round]] = {kind: [] for kind in KINDS}
    with servers.OneCore() as core:
        for number in range(options.rounds):
            for kind in KINDS:
                with core.start(lambda: start(kind, "holm", options, folder / str(number))) as server:
                    server.wait()
                    wrk.load(server, WARM_UP, CONNECTIONS)
                    result = wrk.load(server, options.seconds, CONNECTIONS)
                rounds[kind].append(result)
                print(f"  round {number + 1}  {kind:6} {result.per_second:10,.0f} req/s  p50 {result.p50_ms:.2f} ms, p99 "
                      f"{result.p99_ms:.2f} ms" + (f"  {result.failed} FAILED" if result.failed else ""), flush=True)
    fresh, shared = ([result.per_second for result in rounds[kind]] for kind in ("fresh", "shared"))
    print(f"  fresh / shared: req/s {spread([ours / theirs for ours, theirs in zip(fresh, shared)], '.3f')}")
    table.at_least("a fresh isolate for every request: requests per second and core", sorted(fresh)[len(fresh) // 2],
                   RATE_AIM, form=",.0f")
    return any(result.failed for results in rounds.values() for result in results)


def latency(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """One connection on a node that does nothing else, with a spare isolate made ahead and without."""
    failed = False
    for kind in KINDS:
        for name, count, pause, keys in (("steady", options.requests, EVERY, ""),
                                         ("alone", options.alone, ALONE, SHORT_IDLE)):
            with start(kind, "holm-all", options, folder / name, keys) as server:
                server.wait()
                fleet.settle(server)
                taken, wrong = ask(server, count, pause)
            # The server has ended, so the log is complete; each server was asked once before, by `wait`.
            records = fleet.cold_starts(server)[1:]
            if len(records) != count:
                print(f"  FAILED: {len(records)} records of {count} requests")
                failed = True
            cold = sum(was_cold for _, was_cold in records)
            print(f"  {kind:6} one connection, a request every {pause:g} s: p50 {percentile(taken, 50):.2f} ms, p99 "
                  f"{percentile(taken, 99):.2f} ms, max {max(taken):.2f} ms; {cold} of {count} cold"
                  + (f"  {wrong} FAILED" if wrong else ""), flush=True)
            failed |= wrong > 0
            if kind == "fresh":
                table.at_most(f"the same on an idle node, one request every {pause:g} s: p50", percentile(taken, 50),
                              LATENCY_AIM_MS, " ms")
    return failed


def ask(server: servers.Server, count: int, pause: float) -> tuple[list[float], int]:
    """Milliseconds of each, and how many answers were another than hello's."""
    taken, wrong = [], 0
    with client.Client(server.port) as connection, client.ahead():
        for _ in range(count):
            time.sleep(pause)
            asked = time.perf_counter()
            wrong += connection.exchange(client.request(servers.HOST)) != (200, b"Hello")
            taken.append((time.perf_counter() - asked) * 1000)
    return taken, wrong


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=report.at_least(1), default=5, help="rounds of each kind (default: 5)")
    parser.add_argument("--seconds", type=report.at_least(1), default=3, help="length of a round (default: 3)")
    parser.add_argument("--requests", type=report.at_least(10), default=500, help="on one connection (default: 500)")
    parser.add_argument("--alone", type=report.at_least(2), default=20, help="those after a long pause (default: 20)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(report.script("fresh", measure, arguments(), ["holm"]))
