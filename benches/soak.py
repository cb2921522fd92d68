#!/usr/bin/env python3
"""Starts and ends isolates by the ten thousands, and prints whether anything is left of them.

Run it with `make bench-soak`; README.md beside this file says how to read the output.
"""

import argparse
import http.client
import itertools
import json
import sys
import tempfile
import threading
import time
from pathlib import Path

import processes
import report
import servers

CLIENTS = 2
# They are asked in turn: one isolate has ended by the time its function is asked again.
FUNCTIONS = 64
SAMPLES = 25  # over the whole run
PATIENCE = 120  # seconds until something is wrong
SETTLED = 3.0  # seconds without a change of real memory: a node at rest gives memory back after one or two
WARM_UP = 0.2  # share of the run that is left out of the slopes: the allocator's arenas fill up
KIB_AIM = 1024.0  # growth per 100,000 isolates, from which on it counts as a leak

CONFIG = """\
version = 1
[server]
http = "127.0.0.1:{port}"
[log]
format = "json"
requests = "all"
[limits]
# Ended as soon as it has answered, so that the next request starts another.
idle = "0ms"

[functions.hello]
main = "hello/index.js"
routes = ["hello.localhost"]
"""
FUNCTION = """
[functions.hello-{number}]
main = "hello/index.js"
routes = ["hello-{number}.localhost"]
"""


def main() -> int:
    options = arguments()
    report.machine(["holm"], options.holm)
    with tempfile.TemporaryDirectory(prefix="holm-soak-") as name:
        folder = Path(name)
        servers.functions(folder, "hello")
        [port] = servers.free_ports(1)
        config = CONFIG.format(port=port) + "".join(FUNCTION.format(number=number) for number in range(FUNCTIONS))
        try:
            with servers.holm_server(options.holm, folder, port, config) as server:
                server.wait()
                samples, failed = soak(server, options.cycles)
        except servers.StartError as error:
            print(error, file=sys.stderr)
            return 1
        cold = sum(json.loads(line).get("coldStart", False)
                   for line in server.log.read_text().splitlines() if line.startswith('{"type":"request"'))
    print(f"\n{options.cycles:,} requests, {cold:,} of them in an isolate started for them, {failed} failed")
    leaks = False
    for index, (what, unit) in enumerate([("real memory", "KiB"), ("threads", ""), ("file descriptors", ""),
                                          ("memory maps", "")], start=1):
        points = [(sample[0], sample[index]) for sample in samples[int(len(samples) * WARM_UP):]]
        per_100k = slope(points) * 100_000
        leaks |= index == 1 and per_100k > KIB_AIM
        print(f"  {what:17} {points[0][1]:8,} → {points[-1][1]:8,} {unit:4} "
              f"slope per 100,000 isolates: {per_100k:+10,.1f} {unit}")
    print(f"  aim: real memory grows by at most {KIB_AIM:,.0f} KiB per 100,000; {report.verdict(not leaks)}")
    return 1 if failed or leaks else 0


def soak(server: servers.Server, cycles: int) -> tuple[list[tuple[int, int, int, int, int]], int]:
    """Asks `cycles` times, for one function after the other; returns samples (requests so far, KiB, threads, descriptors,
    maps), each taken when no isolate was left, and how many requests failed."""
    failed = [0] * CLIENTS
    ends = [cycles * sample // SAMPLES for sample in range(SAMPLES + 1)]
    pause = threading.Barrier(CLIENTS + 1)

    def ask(client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        for begin, end in itertools.pairwise(ends):
            for number in range(begin + client, end, CLIENTS):
                connection.request("GET", "/", headers={"Host": f"hello-{number % FUNCTIONS}.localhost"})
                response = connection.getresponse()
                response.read()
                failed[client] += response.status != 200
            pause.wait()
            pause.wait()  # until the sample is taken
        connection.close()

    for client in range(CLIENTS):
        threading.Thread(target=ask, args=(client,), daemon=True).start()
    samples = []
    for end in ends[1:]:
        pause.wait(PATIENCE)
        rest(server.process.pid)
        samples.append((end, *usage(server.process.pid)))
        if len(samples) % 5 == 1:
            print(f"  {end:9,} requests  {samples[-1][1] / 1024:7.1f} MiB  {samples[-1][2]} threads  "
                  f"{samples[-1][3]} descriptors  {samples[-1][4]} maps", flush=True)
        pause.wait()
    return samples, sum(failed)


def rest(pid: int) -> None:
    """Waits until the isolates of all functions have ended, as many wait for one as do when nothing is asked for, and
    memory has been given back."""
    deadline = time.monotonic() + PATIENCE
    memory, since = 0, time.monotonic()
    while True:
        names = cells(pid)
        is_at_rest = not names
        now, before = time.monotonic(), memory
        memory = usage(pid)[0]
        if not is_at_rest or memory != before:
            since = now
        elif now - since >= SETTLED:
            return
        if now > deadline:
            sys.exit(f"the node has not come to rest although nobody asks for anything: {names}")
        time.sleep(0.05)


def cells(pid: int) -> list[str]:
    """What the node's cells are called: every process below it but the zygote and templates."""
    names = []
    for one in processes.family(pid)[1:]:
        try:
            name = Path(f"/proc/{one}/cmdline").read_text().strip("\0 ")
        except OSError:
            continue  # it has ended meanwhile
        if name.startswith("holm: ") and name != "holm: zygote" and not name.endswith(", template"):
            names.append(name)
    return names


def usage(pid: int) -> tuple[int, int, int, int]:
    """Real memory in KiB, threads, file descriptors, memory maps."""
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    descriptors = sum(1 for _ in (process / "fd").iterdir())
    maps = (process / "maps").read_text().count("\n")
    return int(fields["VmRSS"].split()[0]), int(fields["Threads"]), descriptors, maps


def slope(points: list[tuple[int, int]]) -> float:
    """Of the line with the least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    return (sum((x - mean_x) * (y - mean_y) for x, y in points)
            / max(sum((x - mean_x) ** 2 for x, _ in points), 1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=100_000, help="isolates to start and end (default: 100000)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(main())
