#!/usr/bin/env python3
"""Measures how long a client waits for its answer when the function breaks its CPU limit.

README.md beside this file says how to read the output.
"""

import argparse
import http.client
import sys
import time
from collections import Counter
from pathlib import Path

import client
import report
import servers
from report import Table, percentile

CPU_LIMIT_MS = 50
AIM_MS = 5.0  # over the limit, 99 of 100 requests: at most
DEADLINE = 10.0  # seconds for an answer
WORK = ["loop", "regex", "sort", "json", "normalize"]


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether an answer was another than `exceededCpu`."""
    print(f"\noverrun: the client's answer behind a CPU limit of {CPU_LIMIT_MS} ms, {options.requests} requests of each kind",
          flush=True)
    servers.functions(folder, "hello", "overrun")
    [port] = servers.free_ports(1)
    toml = servers.HOLM_TOML.format(port=port, records="all") + servers.FUNCTION_TOML.format(
        name="overrun", folder="overrun", cpu=f"{CPU_LIMIT_MS}ms")
    wrong: Counter[str] = Counter()
    over: dict[str, list[float]] = {}
    with servers.holm_server(options.holm, folder, port, toml) as server:
        server.wait()
        for work in WORK:
            with client.ahead():
                over[work] = ask(port, work, options.requests, wrong)
            print(f"  {work:10} {shown(over[work])}", flush=True)
    loop, builtins = over["loop"], [ms for work in WORK if work != "loop" for ms in over[work]]
    for what, taken in {"plain loop": loop, "builtins": builtins}.items():
        if taken:
            table.at_most(f"client's answer after a {CPU_LIMIT_MS} ms CPU limit, {what}: p99 over it",
                          percentile(taken, 99), AIM_MS, " ms")
    for what, count in wrong.most_common():
        print(f"  FAILED: {count} times: {what}")
    return bool(wrong)


def ask(port: int, work: str, count: int, wrong: Counter[str]) -> list[float]:
    """Milliseconds over the limit, by the client's clock. A request that goes well is between any two: the isolate that is
    measured runs already, and the node does not hold the function back for ending one isolate after the other."""
    taken = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    for _ in range(count):
        for path in ("calm", work):
            asked = time.perf_counter()
            try:
                connection.request("GET", f"/{path}", headers={"Host": "overrun.localhost"})
                response = connection.getresponse()
                response.read()
                outcome = response.headers["holm-outcome"] or str(response.status)
            except (OSError, http.client.HTTPException) as error:
                outcome = type(error).__name__
                connection.close()
            ms = (time.perf_counter() - asked) * 1000 - CPU_LIMIT_MS
            if outcome == ("200" if path == "calm" else "exceededCpu"):
                if path == work:
                    taken.append(ms)
            else:
                wrong[f"{path}: {outcome}"] += 1
    connection.close()
    return taken


def shown(taken: list[float]) -> str:
    if not taken:
        return "no answer exceededCpu"
    return f"p50 {percentile(taken, 50):6.2f} ms, p99 {percentile(taken, 99):6.2f} ms, max {max(taken):6.2f} ms over"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=report.at_least(1), default=100, help="of each kind (default: 100)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(report.script("overrun", measure, arguments(), ["holm"]))
