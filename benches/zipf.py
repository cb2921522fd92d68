"""More functions than there is memory for, some asked often and most seldom."""

import argparse
import itertools
import random
import selectors
import socket
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

import client
import fleet
from report import Table, percentile
from servers import Server

FUNCTIONS = 2000
CLIENTS = 8
EXPONENT = 1.0
SEED = 20261121
FUNCTION_MIB = 1.9  # what one takes with a resting isolate if nobody has measured it
AIM_MS = 10.0  # 99 of 100 requests: at most


@dataclass
class Load:
    """What the clients saw."""

    taken_ms: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)


@dataclass
class Open:
    """A connection and its request that is not answered yet."""

    socket: socket.socket
    number: int = 0
    asked: float = 0.0
    received: bytes = b""

    def ask(self, number: int) -> None:
        self.number, self.received = number, b""
        self.asked = time.perf_counter()
        # A request of 40 bytes always fits: the one before it was answered.
        self.socket.sendall(client.request(client.host(number)))


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request failed, or a record is missing."""
    function_mib = options.function_mib or FUNCTION_MIB
    budget = round(FUNCTIONS * function_mib * options.share)
    print(f"\nzipf: {options.requests} requests to {FUNCTIONS} functions, drawn by Zipf (s = {EXPONENT}), "
          f"{CLIENTS} connections;\n  {budget} MiB for all processes, {options.share:.0%} of what all would take at "
          f"{function_mib:.2f} MiB each", flush=True)
    print("  starting holm", flush=True)
    numbers = drawn(options.requests)
    server = fleet.holm(options.holm, folder, fleet.NUMBERED, FUNCTIONS, fleet.NEVER, node_mib=budget)
    with server:
        fleet.start(server)
        before = fleet.held(server)
        load = send(server, numbers)
        after = fleet.held(server)
    # The server has ended, so the log is complete. The first records are of requests at its start.
    cold = [was_cold for _, was_cold in fleet.cold_starts(server)[-options.requests:]]
    if cold:
        half = cold[len(cold) // 2:]
        print(f"  cold: {sum(cold) / len(cold):.1%} of {len(cold)} requests, {sum(half) / len(half):.1%} of their "
              f"second half; {len(set(numbers))} functions were asked")
    if load.taken_ms:
        print(f"  latency: p50 {percentile(load.taken_ms, 50):.2f} ms, p99 {percentile(load.taken_ms, 99):.2f} ms, "
              f"max {max(load.taken_ms):.1f} ms")
        table.at_most(f"Zipf over {FUNCTIONS:,} functions, memory for {options.share:.0%}: p99",
                      percentile(load.taken_ms, 99), AIM_MS, " ms")
    print(f"  all processes, every page once and page tables: {before.all_mib:.0f} MiB before, {after.all_mib:.0f} MiB at the "
          f"end, {after.processes} processes")
    for what, count in load.failed.most_common():
        print(f"  FAILED: {count} times: {what}")
    if len(cold) != options.requests:
        print(f"  FAILED: {len(cold)} records of {options.requests} requests")
    return bool(load.failed) or len(cold) != options.requests


def drawn(count: int) -> list[int]:
    """Function n is asked in proportion to 1 / (n + 1)^s; the same ones in every run."""
    weights = itertools.accumulate(1 / rank**EXPONENT for rank in range(1, FUNCTIONS + 1))
    return random.Random(SEED).choices(range(FUNCTIONS), cum_weights=list(weights), k=count)


def send(server: Server, numbers: list[int]) -> Load:
    """Each connection asks again as soon as it is answered; all are in one thread, as Python's
    threads would wait for each other."""
    load = Load()
    waiting = iter(numbers)
    said = time.monotonic()
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        for number in itertools.islice(waiting, CLIENTS):
            connection = Open(stack.enter_context(client.Client(server.port)).socket)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask(number)
        while selector.get_map():
            ready = selector.select(client.DEADLINE)
            if not ready:
                raise client.AnswerError(f"no answer in {client.DEADLINE} s:\n{server.said()}")
            for key, _ in ready:
                receive(key.data, load, waiting, selector)
            if time.monotonic() - said > 2:
                said = time.monotonic()
                print(f"  {len(load.taken_ms)} of {len(numbers)}", flush=True)
    return load


def receive(connection: Open, load: Load, waiting: Iterator[int], selector: selectors.BaseSelector) -> None:
    """Takes what has come; after a whole answer asks for the next function, if there is one."""
    more = connection.socket.recv(65536)
    if not more:
        raise client.AnswerError(f"the connection was closed after {connection.received!r}")
    connection.received += more
    whole = client.answer(connection.received)
    if whole is None:
        return
    load.taken_ms.append((time.perf_counter() - connection.asked) * 1000)
    if whole != (200, f"Hello from {connection.number}".encode()):
        load.failed[f"{whole[0]} {whole[1][:200]!r}"] += 1
    number = next(waiting, None)
    if number is None:
        selector.unregister(connection.socket)
    else:
        connection.ask(number)
