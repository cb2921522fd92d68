#!/usr/bin/env python3
"""Measures Holm's limits: what they cost, how exact they are, what they do for a neighbour.

Run it with `make bench-limits`; README.md beside this file says how to read the output.
"""

import argparse
import http.client
import select
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import report
import servers
import wrk
from burners import Burners
from report import percentile, spread, verdict

WARM_UP = 2  # seconds of load before the first round

CONNECTIONS = 32
COST_AIM = 0.98  # requests per second with limits, to those without: at least

DEADLINE = 10  # seconds that its client waits for an answer
SHED_AIM_MS = 10.0
HELD = 1  # seconds without an answer after which a request has its place

VICTIM_CONNECTIONS = 4
# Burners for each core, and the victim's p99 to its p99 in quiet: at most.
NOISE_AIMS = {1: 1.25, 4: 2.0}
PEER_ROUNDS = 3  # workerd's rounds at most: its figures are far from the aims
SETTLE = 0.2  # seconds between the burners' first requests and the victim's


def main() -> int:
    options = arguments()
    report.machine(["holm", "workerd"], options.holm)
    with tempfile.TemporaryDirectory(prefix="holm-bench-") as folder:
        try:
            failed = cost(options, Path(folder))
            failed |= shedding(options, Path(folder))
            failed |= neighbour("holm", options.rounds, options, Path(folder))
            # What becomes of a peer's victim is shown, and is no failure of this run.
            neighbour("workerd", min(options.rounds, PEER_ROUNDS), options, Path(folder))
        except (servers.StartError, wrk.WrkError) as error:
            print(error, file=sys.stderr)
            return 1
    return 1 if failed else 0


def cost(options: argparse.Namespace, folder: Path) -> bool:
    """Hello with limits and without, from the same binary. Returns whether a request failed."""
    print(f"\ncost of limits: hello, wrk, 1 thread, {CONNECTIONS} connections, "
          f"{options.rounds} rounds of {options.seconds} s with and without, in turn", flush=True)
    rounds: dict[str, list[wrk.Round]] = {"on": [], "off": []}
    with ExitStack() as stack:
        running = {}
        for name, flags in (("off", ("--without-limits",)), ("on", ())):
            running[name] = stack.enter_context(servers.hello(
                "holm", options.holm, folder / name, flags,
                # A second isolate, started or not by chance, would outweigh what is measured.
                keys="limits = { max_isolates = 1 }\n"))
            running[name].wait()
            print(f"  warming up, limits {name}", flush=True)
            wrk.load(running[name], WARM_UP, CONNECTIONS)
        for number in range(1, options.rounds + 1):
            # Each goes first in every second round: neither is always the one that comes later.
            for name in ("on", "off") if number % 2 else ("off", "on"):
                result = wrk.load(running[name], options.seconds, CONNECTIONS)
                rounds[name].append(result)
                print(f"  round {number}  limits {name:3} {result.per_second:9,.0f} req/s "
                      f"{result.cpu_us:6.1f} µs CPU{failures(result.failed)}", flush=True)
    faster = [on.per_second / off.per_second for on, off in zip(rounds["on"], rounds["off"])]
    dearer = [on.cpu_us / off.cpu_us for on, off in zip(rounds["on"], rounds["off"])]
    print(f"\n  on / off, by round: {'  '.join(f'{ratio:.3f}' for ratio in faster)}")
    print(f"  on / off: req/s {spread(faster, '.3f')} (aim: at least {COST_AIM}; "
          f"{verdict(statistics.median(faster) >= COST_AIM)}), CPU {spread(dearer, '.3f')}")
    return any(result.failed for results in rounds.values() for result in results)


def shedding(options: argparse.Namespace, folder: Path) -> bool:
    """How soon a client is turned away from a full queue. Returns whether one got something else."""
    print(f"\nshedding: one request runs, one waits, and {options.requests} more are turned away, "
          "each on a connection of its own", flush=True)
    server, (port, host) = servers.full(options.holm, folder / "full")
    waited_ms = []
    wrong = 0
    with server, ExitStack() as stack:
        server.wait()
        # One after the other, as long as they are kept: the first runs, the second waits.
        for _ in range(2):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            held.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            if select.select([held], [], [], HELD)[0]:
                print("  FAILED: a request was answered that had its place")
                return True
        for _ in range(options.requests):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            asked = time.perf_counter()
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            response.read()
            waited_ms.append((time.perf_counter() - asked) * 1000)
            wrong += (response.status, response.headers["retry-after"]) != (503, "1")
            connection.close()
    p99 = percentile(waited_ms, 99)
    print(f"  the client waited: p50 {percentile(waited_ms, 50):.2f} ms, p99 {p99:.2f} ms, "
          f"max {max(waited_ms):.2f} ms (aim: p99 at most {SHED_AIM_MS:.0f} ms; {verdict(p99 <= SHED_AIM_MS)})")
    if wrong:
        print(f"  FAILED: {wrong} requests got something else than 503 with retry-after")
    return wrong > 0


def neighbour(name: str, count: int, options: argparse.Namespace, folder: Path) -> bool:
    """The victim's latency in quiet and beside burners. Returns whether a request of the victim
    failed, or a burner did."""
    levels = {"quiet": 0} | {f"{times}x": times * report.cores() for times in NOISE_AIMS}
    widths = ", ".join(f"{width} ({level})" for level, width in levels.items() if width)
    print(f"\nnoisy neighbours on {name}: hello, wrk, {VICTIM_CONNECTIONS} connections, {count} rounds of "
          f"{options.seconds} s in quiet\n  and beside {widths} functions that compute all the time", flush=True)
    rounds: dict[str, list[wrk.Round]] = {level: [] for level in levels}
    server, burning = servers.noisy(name, options.holm, folder / f"noisy-{name}", max(levels.values()))
    with server:
        stopped = warm_up(server, burning)
        for number in range(1, count + 1):
            for level, width in levels.items():
                with Burners(burning[:width]) as burners:
                    time.sleep(SETTLE)
                    result = wrk.load(server, options.seconds, VICTIM_CONNECTIONS, ahead=True)
                rounds[level].append(result)
                stopped += burners.failed
                print(f"  round {number}  {level:5}  p50 {result.p50_ms:7.2f} ms  p99 {result.p99_ms:7.2f} ms  "
                      f"{result.per_second:8,.0f} req/s  burners {burners.per_second():3.0f} req/s"
                      + failures(result.failed), flush=True)
    print_noise(name, rounds)
    if stopped:
        print(f"  FAILED: {stopped} burners got something else than a 200, and stopped")
    return stopped > 0 or any(result.failed for results in rounds.values() for result in results)


def warm_up(server: servers.Server, burning: list[servers.Address]) -> int:
    """Lets the engine optimise, and prints what a burner's request takes. Returns how many
    burners stopped."""
    print("  warming up", flush=True)
    server.wait()
    wrk.load(server, WARM_UP, VICTIM_CONNECTIONS)
    with Burners(burning) as together:
        time.sleep(WARM_UP)
    with Burners(burning[:1]) as alone:
        time.sleep(1)
    if not alone.seconds:
        raise servers.StartError(f"{server.name} answered no burner:\n{server.said()}")
    print(f"  a burner alone is answered in {statistics.median(alone.seconds) * 1000:.0f} ms", flush=True)
    return together.failed + alone.failed


def print_noise(name: str, rounds: dict[str, list[wrk.Round]]) -> None:
    print(f"\n  {'':5}  {'p50 ms: median (min–max)':25}  {'p99 ms':25}  errors")
    for level, results in rounds.items():
        p50 = spread([r.p50_ms for r in results], ".2f")
        p99 = spread([r.p99_ms for r in results], ".2f")
        print(f"  {level:5}  {p50:25}  {p99:25}  {sum(r.failed for r in results):6}")
    for times, aim in NOISE_AIMS.items():
        noisy = rounds[f"{times}x"]
        slower = [n.p99_ms / q.p99_ms for n, q in zip(noisy, rounds["quiet"])]
        line = f"  p99, {times}x / quiet: {spread(slower, '.2f')}"
        if name == "holm":  # the aims are not its peer's
            met = statistics.median(slower) <= aim and not any(r.failed for r in noisy)
            line += f" (aim: at most {aim}, no errors; {verdict(met)})"
        print(line)
    if wrk.may_go_ahead():
        print("  wrk shares the cores and goes before everything else (SCHED_FIFO), as if on a machine of its own")
    else:
        print("  wrk shares the cores with the burners, and its own waiting for one is in these figures: run it as root")


def failures(count: int) -> str:
    return f"  {count} FAILED" if count else ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5,
                        help=f"rounds of each comparison (default: 5; with workerd at most {PEER_ROUNDS})")
    parser.add_argument("--seconds", type=int, default=3, help="length of a round (default: 3)")
    parser.add_argument("--requests", type=int, default=200, help="requests that are turned away (default: 200)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(main())
