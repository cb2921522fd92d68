#!/usr/bin/env python3
"""Measures TLS: requests over HTTP/2 and HTTP/1.1, handshakes, first requests, and connections at rest, beside bare hyper and rustls.

README.md beside this file says how to read the output.
"""

import argparse
import contextlib
import multiprocessing
import re
import socket
import ssl
import statistics
import struct
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import client
import fleet
import h2load
import processes
import report
import secure
import servers
from relay import Relay
from report import Table, spread
from servers import Server

NAMES = ["holm", "hyper"]
REQUESTS_AIM = 0.5  # requests per second to those of bare hyper and rustls: at least
HANDSHAKES_AIM = 0.9  # handshakes per second and core to those of bare hyper and rustls: at least
FIRST_AIM = 1.10  # time to the answer of a function at zero to that of one that runs: at most

# Connections, and requests in flight on each: as many in flight over both.
PROTOCOLS = {"HTTP/1.1": (32, 1), "HTTP/2": (4, 8)}
SHAKERS = 2  # processes that shake hands, one connection after the other
ONE_WAY = 0.0025  # seconds
BLOCKS = 5  # of first requests
PAUSE_MS = 100  # between two first requests: isolates without work have ended by then
OPENED_BEFORE = 200  # connections that are open when memory is looked at first: what the server has anyway is there


def start_both(options: argparse.Namespace, folder: Path, stack: ExitStack, core: servers.OneCore | None = None) -> dict[str, Server]:
    """One is asked at a time. With a `core`, both are on that one."""
    running = {}
    for name in NAMES:
        def make() -> Server:
            return hello(name, options, folder / name)
        running[name] = stack.enter_context(make() if core is None else core.start(make))
        running[name].wait()
    return running


def hello(name: str, options: argparse.Namespace, folder: Path) -> Server:
    folder.mkdir(parents=True)
    return servers.hello(name, options.holm, folder, certificate=secure.certificate(folder))


def in_turn(number: int) -> list[str]:
    """Each goes first in its turn."""
    return NAMES[number % 2:] + NAMES[:number % 2]


def requests(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request failed."""
    print(f"\nrequests: hello over TLS by h2load, {options.rounds} rounds of {options.seconds} s of each",
          flush=True)
    rounds: dict[tuple[str, str], list[h2load.Round]] = {(name, protocol): [] for name in NAMES for protocol in PROTOCOLS}
    with ExitStack() as stack:
        running = start_both(options, folder, stack)
        for name, protocol in rounds:
            ask(running[name], 1, protocol)
        for number in range(options.rounds):
            for protocol in PROTOCOLS:
                for name in in_turn(number):
                    rounds[name, protocol].append(ask(running[name], options.seconds, protocol))
            print(f"  round {number + 1}  " + "  ".join(
                f"{name} {protocol} {taken[-1].per_second:,.0f}" for (name, protocol), taken in rounds.items()) + " req/s", flush=True)
    print(f"\n  {'':16} {'req/s: median (min–max)':34} CPU µs per request")
    for (name, protocol), taken in rounds.items():
        print(f"  {name:6} {protocol:9} {spread([one.per_second for one in taken], ',.0f'):34} "
              f"{spread([one.cpu_us for one in taken], '.1f')}")

    def ratio(ours: tuple[str, str], theirs: tuple[str, str]) -> tuple[float, float]:
        """Of requests per second, and of CPU time; each round by round."""
        pairs = list(zip(rounds[ours], rounds[theirs]))
        rates = [one.per_second / other.per_second for one, other in pairs]
        dearer = [one.cpu_us / other.cpu_us for one, other in pairs]
        print(f"  {' '.join(ours)} / {' '.join(theirs)}: req/s {spread(rates, '.3f')}, CPU {spread(dearer, '.3f')}")
        return statistics.median(rates), statistics.median(dearer)

    print()
    for name in NAMES:
        rate, _ = ratio((name, "HTTP/2"), (name, "HTTP/1.1"))
        if name == "holm":
            table.without_aim("TLS: req/s, HTTP/2 ÷ HTTP/1.1", rate)
    for protocol in PROTOCOLS:
        rate, dearer = ratio(("holm", protocol), ("hyper", protocol))
        table.at_least(f"TLS: req/s, {protocol} ÷ bare hyper and rustls", rate, REQUESTS_AIM)
        table.without_aim(f"TLS: CPU time per request, {protocol} ÷ bare hyper and rustls", dearer)
    return any(one.failed for (name, _), taken in rounds.items() if name == "holm" for one in taken)


def ask(server: Server, seconds: int, protocol: str) -> h2load.Round:
    connections, streams = PROTOCOLS[protocol]
    return h2load.load(server, seconds, connections, streams, is_http1=protocol == "HTTP/1.1")


def handshakes(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Whole ones, of TLS 1.3. Any that fails ends the part."""
    print(f"\nhandshakes: {SHAKERS} clients, a connection after the other, no request; the server on one core, "
          f"{options.rounds} rounds of {options.seconds} s of each", flush=True)
    per_second: dict[str, list[float]] = {name: [] for name in NAMES}
    with servers.OneCore() as core, ExitStack() as stack:
        running = start_both(options, folder, stack, core)
        # Forked here, they keep to the clients' cores.
        pool = stack.enter_context(multiprocessing.get_context("fork").Pool(SHAKERS))
        for number in range(-1, options.rounds):  # the first one warms up
            for name in in_turn(number):
                server = running[name]
                before = server.cpu()
                count = sum(pool.starmap(shake, [(server.port, options.seconds)] * SHAKERS))
                each = (server.cpu() - before) / count
                if number >= 0:
                    per_second[name].append(1 / each)
                    print(f"  round {number + 1}  {name:6} {count / options.seconds:6,.0f} handshakes/s, {each * 1e6:.0f} us of "
                          f"CPU time each: {1 / each:,.0f} per second and core", flush=True)
    ratios = [ours / theirs for ours, theirs in zip(per_second["holm"], per_second["hyper"])]
    for name, taken in per_second.items():
        print(f"  {name:6} {spread(taken, ',.0f')} per second and core")
    print(f"  holm / hyper: {spread(ratios, '.3f')}")
    table.at_least("TLS: handshakes per second and core ÷ bare hyper and rustls", statistics.median(ratios), HANDSHAKES_AIM)
    return False


def shake(port: int, seconds: float) -> int:
    """Handshakes in that time, each to its end and closed by both sides."""
    count, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        with client.Client(port, servers.HOST) as one:
            # Without it, each would keep its port for a minute.
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if one.socket.version() != "TLSv1.3":
                raise OSError(f"the handshake is one of {one.socket.version()}")
            # The server closes behind that, whether it says so or not, so it has read all of the handshake.
            with contextlib.suppress(ssl.SSLEOFError):
                one.socket = one.socket.unwrap()
        count += 1
    return count


def first(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a function was not in the state that it is about."""
    block = max(options.functions // BLOCKS, 1)
    count = BLOCKS * block
    print(f"\nfirst: connection, handshake and request, over {ONE_WAY * 2000:g} ms of round trip; {count} functions at zero, each "
          f"once, in turn with one that runs, in {BLOCKS} blocks", flush=True)
    folder.mkdir(parents=True)
    certificate = secure.certificate(folder)
    warm_up = 1
    taken: dict[str, list[list[float]]] = {"runs": [], "at zero": []}
    with fleet.holm(options.holm, folder, fleet.NUMBERED, 1 + warm_up + count, fleet.AT_ONCE, certificate=certificate) as server:
        fleet.start(server)
        states = [isolates(server)]
        with Relay(server.port, ONE_WAY) as relay, client.ahead():
            for number in (0, 1):
                whole(relay.port, number)
            for start in range(1 + warm_up, 1 + warm_up + count, block):
                for times in taken.values():
                    times.append([])
                for number in range(start, start + block):
                    taken["runs"][-1].append(whole(relay.port, 0))
                    taken["at zero"][-1].append(whole(relay.port, number))
        fleet.settle(server)
        states.append(isolates(server))
    for state, blocks in taken.items():
        everything = [ms for block in blocks for ms in block]
        print(f"  {state:8} p50 ms: {spread([statistics.median(block) for block in blocks], '.2f')} by block, "
              f"p99 {report.percentile(everything, 99):.2f}, max {max(everything):.2f}")
    ratios = [statistics.median(ours) / statistics.median(theirs) for ours, theirs in zip(taken["at zero"], taken["runs"])]
    print(f"  at zero / runs: {spread(ratios, '.3f')}")
    table.at_most("TLS: first request to a function at zero ÷ one that runs", statistics.median(ratios), FIRST_AIM)
    for running in states:
        if running != ["holm: f0"]:
            print(f"  FAILED: of the functions, those that ran were {running}, not f0 alone")
    return any(running != ["holm: f0"] for running in states)


def isolates(server: Server) -> list[str]:
    """What Holm calls the processes of isolates, with those that wait for a request."""
    titles = [processes.title(pid) for pid in processes.family(server.process.pid)]
    return sorted(title for title in titles if re.fullmatch(r"holm: f\d+", title))


def whole(port: int, number: int) -> float:
    """Milliseconds from the connection to the end of the answer."""
    time.sleep(PAUSE_MS / 1000)
    started = time.perf_counter()
    with client.Client(port, client.host(number)) as one:
        one.ask(number)
        return (time.perf_counter() - started) * 1000


def idle(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """What the process holds that has the connections. A request that fails ends the part."""
    print(f"\nidle: {options.connections} connections over TLS that have been answered once", flush=True)
    for protocol, kind in (("HTTP/1.1", client.Client), ("HTTP/2", Http2)):
        for name in NAMES:
            with hello(name, options, folder / protocol / name) as server, ExitStack() as stack:
                server.wait()
                held = []
                for count in (OPENED_BEFORE, options.connections):
                    for _ in range(count):
                        one = stack.enter_context(kind(server.port, servers.HOST))
                        if (status := one.exchange(client.request(servers.HOST))[0]) != 200:
                            raise client.AnswerError(f"{name} answered {status}")
                    fleet.settle(server)
                    held.append(processes.memory_of([server.process.pid]).own_mib)
            each = (held[1] - held[0]) * 1024 / options.connections
            print(f"  {name:6} {protocol:9} {held[0]:.1f} MiB private and page tables, then {held[1]:.1f}: {each:.1f} KiB each",
                  flush=True)
            if name == "holm":
                table.without_aim(f"TLS: memory per idle connection, {protocol}", each, " KiB", ".1f")
    return False


class Http2(client.Client):
    """One connection that speaks HTTP/2, for one request."""

    def __init__(self, port: int, tls_host: str) -> None:
        super().__init__(port, tls_host, "h2")

    def exchange(self, asked: bytes) -> tuple[int, bytes]:
        """Asks for `/` of hello; what HTTP/1.1 would ask is not looked at."""
        host = servers.HOST.encode()
        # GET, https and / of HPACK's static table, and the authority (RFC 7541, 6.1 and 6.2.1).
        head = b"\x82\x87\x84\x41" + bytes([len(host)]) + host
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, head))
        status = 0
        while True:
            header = self.exactly(9)
            length, kind, flags, stream = int.from_bytes(header[:3], "big"), header[3], header[4], int.from_bytes(header[5:], "big")
            payload = self.exactly(length)
            if kind == 4 and not flags & 1:
                self.socket.sendall(frame(4, 1, 0))
            if kind == 1:
                status = 200 if payload[:1] == b"\x88" else 0
            if stream == 1 and kind in (0, 1) and flags & 1:
                return status, payload
            if kind in (3, 7):
                raise client.AnswerError(f"a frame of type {kind}: {payload!r}")

    def exactly(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            more = self.socket.recv(length - len(received))
            if not more:
                raise client.AnswerError("the connection was closed")
            received += more
        return received


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


PARTS: dict[str, report.Part] = {"requests": requests, "handshakes": handshakes, "first": first, "idle": idle}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=report.at_least(1), default=5, help="rounds of requests and handshakes (default: 5)")
    parser.add_argument("--seconds", type=report.at_least(1), default=2, help="length of each (default: 2)")
    parser.add_argument("--functions", type=report.at_least(BLOCKS), default=100, help="functions at zero (default: 100)")
    parser.add_argument("--connections", type=report.at_least(1), default=1000, help="idle connections (default: 1000)")
    report.parts_option(parser, list(PARTS))
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    if not servers.bare_hyper(options.holm).is_file():
        parser.error(f"{servers.bare_hyper(options.holm)} is missing: run cargo build --release -p holm -p bare-hyper")
    report.require_descriptors(OPENED_BEFORE + options.connections)
    report.machine(NAMES, options.holm)
    table = Table()
    failed = report.run({name: PARTS[name] for name in options.only}, options, table)
    table.show()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
