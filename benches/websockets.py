#!/usr/bin/env python3
"""Measures WebSockets: echoed messages per second and core beside workerd, and what sockets hold that rest.

README.md beside this file says how to read the output.
"""

import argparse
import resource
import selectors
import socket
import sys
import tempfile
import time
from pathlib import Path

import processes
import report
import servers
from report import Table

CONNECTIONS = 16
AHEAD = 32  # messages that a client sends before it waits for all of them
SIZE = 64  # bytes of a message
CODE = "websocket"

HOLM_TOML = """\
version = 1
[server]
http = "127.0.0.1:{port}"
max_connections = {connections}
[log]
format = "json"
requests = "failed"
[limits]
cpu = "1s"
websockets = {connections}
[functions.hello]
main = "hello/index.js"
routes = ["*"]
limits = {{ max_isolates = {isolates} }}
"""

OPENING = (b"GET /echo HTTP/1.1\r\nhost: hello.localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
           b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def start(name: str, options: argparse.Namespace, folder: Path, isolates: int) -> servers.Server:
    if name != "holm":
        return servers.hello(name, options.holm, folder, code=CODE)
    servers.shutil.copytree(servers.BENCHES / CODE, folder / "hello")
    [port] = servers.free_ports(1)
    toml = HOLM_TOML.format(port=port, connections=options.idle + 100, isolates=isolates)
    return servers.holm_server(options.holm, folder, port, toml)


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.sendall(OPENING)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += peer.recv(1)
    if b" 101 " not in head:
        raise SystemExit(f"not a WebSocket: {head!r}")
    return peer


def echo(port: int, seconds: float, ahead: int) -> float:
    """Messages a second that come back to clients that have `ahead` on their way each."""
    frame = bytes([0x82, 0x80 | SIZE, 0, 0, 0, 0]) + bytes(SIZE)
    batch, back = frame * ahead, (SIZE + 2) * ahead
    selector = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        peer = connect(port)
        selector.register(peer, selectors.EVENT_READ, [back])
        peer.sendall(batch)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for key, _ in selector.select(1):
            key.data[0] -= len(key.fileobj.recv(1 << 16))
            if key.data[0] == 0:
                key.data[0] = back
                count += ahead
                key.fileobj.sendall(batch)
    spent = time.perf_counter() - begun
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return count / spent


def messages(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Each server on one core, its clients on the others."""
    found = {}
    for ahead in (1, AHEAD):
        for name in ("holm", "workerd"):
            own = folder / f"{name}-{ahead}"
            own.mkdir(parents=True)
            with servers.OneCore() as core:
                with core.start(lambda: start(name, options, own, 1)) as server:
                    server.wait()
                    echo(server.port, options.seconds / 4, ahead)
                    cpu = server.cpu()
                    rate = echo(server.port, options.seconds, ahead)
                    each = (server.cpu() - cpu) / (rate * options.seconds) * 1e6
            found[name] = rate
            print(f"  {name:8} {ahead:3} ahead: {rate:9,.0f} messages/s, {each:5.1f} us of CPU time each", flush=True)
        table.at_least(f"echo, {ahead} ahead, holm / workerd", found["holm"] / found["workerd"], 2.0)
    return False


def idle(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Sockets that rest, in one isolate."""
    folder.mkdir(parents=True)
    with start("holm", options, folder, 1) as server:
        server.wait()
        first = connect(server.port)
        time.sleep(1)
        before = processes.memory(server.process.pid).all_mib
        peers = [connect(server.port) for _ in range(options.idle)]
        time.sleep(2)
        cpu = server.cpu()
        time.sleep(10)
        spent = server.cpu() - cpu
        each = (processes.memory(server.process.pid).all_mib - before) * 1024 / options.idle
        print(f"  {options.idle:,} sockets at rest: {each:.1f} KiB each, {spent * 1e3:.0f} ms of CPU time in 10 s", flush=True)
        table.at_most("KiB for a socket at rest", each, 64)
        for peer in [first, *peers]:
            peer.close()
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    report.holm_option(parser)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each measurement")
    parser.add_argument("--idle", type=int, default=10_000, help="sockets that rest")
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = options.idle + 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        print("WebSockets: echo", flush=True)
        messages(options, Path(folder), table)
        print("WebSockets: at rest", flush=True)
        idle(options, Path(folder) / "idle", table)
    table.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
