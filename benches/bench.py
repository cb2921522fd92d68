#!/usr/bin/env python3
"""Measures hello on Holm, workerd and Deno side by side, and Holm's start-up.

Run it with `make bench`; README.md beside this file says how to read the output.
"""

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import servers

CONNECTIONS = 32
WARM_UP = 2  # seconds of load before the first round, so that every engine has optimised
STARTS = 10
# What the second issue asks for: at least this many times the peer's requests per second.
AIMS = {"workerd": 3.0, "deno": 0.5}
START_AIM = 0.5  # seconds


@dataclass
class Round:
    """What one run of wrk against one server showed."""

    per_second: float
    cpu_us: float  # the server's CPU time for each request, in microseconds
    p50: str  # as wrk prints it, with its unit
    p99: str
    failed: int  # responses that were not 2xx, and connections that broke


def main() -> int:
    options = arguments()
    print_machine(options)
    with tempfile.TemporaryDirectory(prefix="holm-bench-") as folder:
        try:
            failed = compare(options, Path(folder))
            if "holm" in options.servers:
                start_up(options.holm, Path(folder) / "start")
        except servers.StartError as error:
            print(error, file=sys.stderr)
            return 1
    return 1 if failed else 0


def compare(options: argparse.Namespace, folder: Path) -> bool:
    """All servers run at once, and the load goes from one to the next, so that a slow
    moment of the machine meets them all. Returns whether any request failed."""
    names = options.servers
    print(f"\nhello: wrk, 1 thread, {CONNECTIONS} keep-alive connections, "
          f"{options.rounds} rounds of {options.seconds} s each, in turn")
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    with ExitStack() as stack:
        running = {}
        for name in names:
            running[name] = stack.enter_context(servers.hello(name, options.holm, folder / name))
            running[name].wait()
            load(running[name], WARM_UP)
        for number in range(1, options.rounds + 1):
            for name in names:
                result = load(running[name], options.seconds)
                rounds[name].append(result)
                print(f"  round {number}  {name:8} {result.per_second:10,.0f} req/s "
                      f"{result.cpu_us:6.1f} µs CPU  p50 {result.p50}, p99 {result.p99}"
                      + (f"  {result.failed} FAILED" if result.failed else ""), flush=True)
    print_table(rounds)
    return any(result.failed for results in rounds.values() for result in results)


def load(server: servers.Server, seconds: int) -> Round:
    """One run of wrk; the server's CPU time is read before and after it."""
    before = server.cpu()
    said = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
         "-H", f"Host: {servers.HOST}", f"http://127.0.0.1:{server.port}/"],
        capture_output=True, text=True, check=True,
    ).stdout
    cpu = server.cpu() - before
    requests = int(found(r"(\d+) requests in", said))
    # wrk names failures only where there were some.
    failed = re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", said)
    return Round(
        per_second=float(found(r"Requests/sec:\s+([\d.]+)", said)),
        cpu_us=cpu / max(requests, 1) * 1e6,
        p50=found(r"50%\s+(\S+)", said),
        p99=found(r"99%\s+(\S+)", said),
        failed=sum(map(int, failed)),
    )


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise servers.StartError(f"wrk printed nothing like {pattern!r}:\n{text}")
    return match[1]


def print_table(rounds: dict[str, list[Round]]) -> None:
    print(f"\n  {'':8} {'req/s: median (min–max)':32} {'CPU µs per request':24}")
    for name, results in rounds.items():
        rate = spread([r.per_second for r in results], ",.0f")
        cpu = spread([r.cpu_us for r in results], ".1f")
        print(f"  {name:8} {rate:32} {cpu:24}")
    if "holm" not in rounds:
        return
    print()
    for peer in (name for name in rounds if name != "holm"):
        # Round by round, so that both sides of a ratio saw the same machine.
        faster = [h.per_second / p.per_second for h, p in zip(rounds["holm"], rounds[peer])]
        cheaper = [h.cpu_us / p.cpu_us for h, p in zip(rounds["holm"], rounds[peer])]
        print(f"  holm / {peer:8} req/s {spread(faster, '.2f')} (aim: at least {AIMS[peer]}; "
              f"{verdict(statistics.median(faster) >= AIMS[peer])}), CPU {spread(cheaper, '.2f')}")


def start_up(holm: Path, folder: Path) -> None:
    """From the start of the process to the first 200, with the ten examples."""
    seconds = []
    for _ in range(STARTS):
        with servers.ten_functions(holm, folder) as server:
            seconds.append(server.wait())
    median = statistics.median(seconds)
    print(f"\nstart-up: holm serve with ten functions, to the first 200, {STARTS} times")
    print(f"  {spread([s * 1000 for s in seconds], '.0f')} ms "
          f"(aim: below {START_AIM * 1000:.0f} ms; {verdict(median < START_AIM)})")


def spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def verdict(met: bool) -> str:
    return "met" if met else "missed"


def print_machine(options: argparse.Namespace) -> None:
    cpu = found(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = int(found(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())) / 2**20
    print(f"machine: {cpu}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, "
          f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f}")
    if os.getloadavg()[0] > 0.5:
        print("  something else is running: the figures will be worse and less steady than they could be")
    for name in options.servers:
        print(f"  {name:8} {servers.version(name, options.holm)}")


def arguments() -> argparse.Namespace:
    target = Path(os.environ.get("CARGO_TARGET_DIR", servers.BENCHES.parent / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each server (default: 5)")
    parser.add_argument("--seconds", type=int, default=5, help="length of a round (default: 5)")
    parser.add_argument("--servers", nargs="+", choices=["holm", "workerd", "deno"],
                        default=["holm", "workerd", "deno"], help="which ones to measure")
    parser.add_argument("--holm", type=Path, default=target / "release" / "holm", help="the program to measure")
    options = parser.parse_args()
    if "holm" in options.servers and not options.holm.is_file():
        parser.error(f"{options.holm} is missing: run make bench, or cargo build --release")
    return options


if __name__ == "__main__":
    sys.exit(main())
