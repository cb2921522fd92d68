#!/usr/bin/env python3
"""Holds thousands of slow clients of all kinds on a node, and measures what a good client notices.

README.md beside this file says how to read the output.
"""

import argparse
import heapq
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import client
import neighbour
import report
import servers
from report import Table

SLOWER_AIM = 2.0  # the good client's p99 to its p99 in quiet: at most
EVERY = 2.0  # seconds between two bytes of a slow client
OPENINGS = 50  # connections that are opened in a hundredth of a second
KINDS = ("heads", "bodies", "readers", "half-open", "idle")

HOLM_TOML = """\
version = 1
[server]
http = "127.0.0.1:{port}"
max_connections = {most}
max_connections_per_address = {most}
max_requests_per_address = {most}
[log]
format = "json"
requests = "none"

[functions.hello]
main = "hello/index.js"
routes = ["hello.localhost"]

[functions.body]
main = "body/index.js"
routes = ["body.localhost"]
"""

HELLO = b"GET / HTTP/1.1\r\nHost: hello.localhost\r\n"
# What each kind sends at first, and then a byte at a time.
FIRST = {
    "heads": HELLO + b"X-Slow: ",
    "bodies": b"POST / HTTP/1.1\r\nHost: hello.localhost\r\nContent-Length: 100000\r\n\r\n",
    "readers": b"GET / HTTP/1.1\r\nHost: body.localhost\r\n\r\n" * 4,
    "half-open": HELLO + b"\r\n",
    "idle": HELLO + b"\r\n",
}


class Slow:
    """One of them."""

    def __init__(self, port: int, kind: str) -> None:
        self.kind = kind
        self.socket = socket.socket()
        if kind == "readers":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.send(FIRST[kind])
        if kind == "half-open":
            # It has said all that it will, and reads nothing.
            self.socket.shutdown(socket.SHUT_WR)

    def turn(self) -> bool:
        """Does as little as it can. Returns whether the server still has it."""
        try:
            if self.kind in ("heads", "bodies"):
                self.socket.send(b"a")
            if self.kind != "half-open":
                # Slow readers take a byte; the others see whether they have been answered, or closed.
                return self.socket.recv(1 if self.kind == "readers" else 4096) != b""
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True


class Slows:
    """So many of them, in equal parts, until the `with` block ends; who is closed comes again."""

    def __init__(self, port: int, count: int) -> None:
        self.port, self.count = port, count
        self.held: list[tuple[float, int, Slow]] = []
        self.closed: Counter[str] = Counter()
        self.serial = 0
        self.full, self.ending = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def open(self, kind: str) -> None:
        self.serial += 1
        heapq.heappush(self.held, (time.perf_counter() + EVERY, self.serial, Slow(self.port, kind)))

    def work(self) -> None:
        while not self.ending.is_set():
            for _ in range(OPENINGS):
                if self.serial < self.count:
                    self.open(KINDS[self.serial % len(KINDS)])
            if self.serial >= self.count:
                self.full.set()
            now = time.perf_counter()
            while self.held and self.held[0][0] <= now:
                _, serial, slow = heapq.heappop(self.held)
                if slow.turn():
                    heapq.heappush(self.held, (now + EVERY, serial, slow))
                else:
                    self.closed[slow.kind] += 1
                    slow.socket.close()
                    self.open(slow.kind)
            self.ending.wait(0.01)

    def __enter__(self) -> "Slows":
        self.thread.start()
        while not self.full.wait(1):
            if not self.thread.is_alive():
                raise OSError("the slow clients cannot connect")
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.thread.join()
        for _, _, slow in self.held:
            slow.socket.close()


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether the good client saw an error."""
    servers.functions(folder, "hello", "body")
    [port] = servers.free_ports(1)
    toml = HOLM_TOML.format(port=port, most=options.clients + 100)
    print(f"\nslow clients: {options.clients}, a fifth each of {', '.join(KINDS)}, a byte every {EVERY:.0f} s; the good client "
          f"asks hello every {neighbour.EVERY * 1000:.0f} ms, {options.rounds} rounds of {options.seconds} s", flush=True)
    ratios, errors = [], 0
    with servers.holm_server(options.holm, folder, port, toml) as server:
        server.wait()
        neighbour.quiet(port, servers.HOST, 2)
        for _ in range(options.rounds):
            alone = neighbour.quiet(port, servers.HOST, options.seconds)
            with Slows(port, options.clients) as slows:
                time.sleep(1)
                before = server.cpu()
                beside = neighbour.quiet(port, servers.HOST, options.seconds)
                used = (server.cpu() - before) / options.seconds
            ratios.append(beside.p99 / alone.p99)
            errors += len(alone.errors) + len(beside.errors)
            closed = ", ".join(f"{kind} {slows.closed[kind]}" for kind in KINDS)
            print(f"  quiet   {alone}\n  beside  {beside}\n  {len(slows.held)} held; closed and come again: {closed}; "
                  f"CPU of all processes {used * 100:.0f} %", flush=True)
        if server.process.poll() is not None:
            raise servers.StartError(f"the node ended:\n{server.said()}")
        with client.Client(port) as last:
            if (status := last.exchange(client.request(servers.HOST))[0]) != 200:
                raise servers.StartError(f"it answers {status} behind them:\n{server.said()}")
    table.at_most("the good client's p99 to quiet", sorted(ratios)[len(ratios) // 2], SLOWER_AIM)
    table.at_most("the good client's errors", errors, 0, form="d")
    return errors > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=report.at_least(5), default=5000, help="slow clients (default: 5000)")
    parser.add_argument("--rounds", type=report.at_least(1), default=3, help="rounds (default: 3)")
    parser.add_argument("--seconds", type=report.at_least(1), default=15, help="length of each half (default: 15)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    report.require_descriptors(options.clients)
    return report.script("slow-clients", measure, options, ["holm"])


if __name__ == "__main__":
    sys.exit(main())
