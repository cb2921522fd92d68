"""The servers that are compared: how each is started with the same function."""

import http.client
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

BENCHES = Path(__file__).resolve().parent
HELLO = BENCHES / "hello" / "index.js"
WORKERD = BENCHES / "node_modules/@cloudflare/workerd-linux-64/bin/workerd"
DENO = BENCHES / "node_modules/@deno/linux-x64-glibc/deno"
HOST = "hello.localhost"
START_DEADLINE = 20.0  # seconds

HOLM_TOML = """\
version = 1
[server]
http = "127.0.0.1:{port}"
# The peers log no requests either.
[log]
requests = "failed"

[functions.hello]
main = "index.js"
routes = ["hello.localhost"]
"""

WORKERD_CAPNP = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "hello", worker = (
    modules = [(name = "index.js", esModule = embed "index.js")],
    compatibilityDate = "2026-06-01",
  ))],
  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "hello")],
);
"""


class StartError(Exception):
    """A server that did not come up; the message holds what it said."""


class Server:
    """A running server. Leaving the `with` block ends it."""

    def __init__(self, name: str, command: list[str], port: int, log: Path) -> None:
        self.name = name
        self.port = port
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

    def wait(self, host: str = HOST) -> float:
        """Waits for the first 200; returns the seconds since the process was started."""
        while (elapsed := time.perf_counter() - self.started) < START_DEADLINE:
            if self.process.poll() is not None:
                raise StartError(f"{self.name} ended with {self.process.returncode}:\n{self.said()}")
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
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

    def said(self) -> str:
        """The end of what the server has printed."""
        return self.log.read_text(errors="replace")[-2000:]

    def cpu(self) -> float:
        """CPU seconds so far, user and system, of all its threads."""
        # Fields 14 and 15 of proc(5); the name in field 2 may hold spaces.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hello(name: str, holm: Path, folder: Path) -> Server:
    """Starts one of the compared servers; its files go to `folder`."""
    folder.mkdir()
    port = free_port()
    shutil.copy(HELLO, folder)
    if name == "holm":
        config = folder / "holm.toml"
        config.write_text(HOLM_TOML.format(port=port))
        command = [str(holm), "serve", str(config)]
    elif name == "workerd":
        config = folder / "hello.capnp"
        config.write_text(WORKERD_CAPNP.format(port=port))
        command = [str(WORKERD), "serve", str(config)]
    elif name == "deno":
        command = [str(DENO), "serve", "--host", "127.0.0.1", "--port", str(port), str(folder / "index.js")]
    else:
        raise ValueError(name)
    return Server(name, command, port, folder / "log")


def ten_functions(holm: Path, folder: Path) -> Server:
    """Starts Holm with examples/holm.toml, on a port of its own."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    examples = BENCHES.parent / "examples"
    text = (examples / "holm.toml").read_text()
    text = text.replace('main = "', f'main = "{examples}/').replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    config = folder / "holm.toml"
    config.write_text(text)
    return Server("holm", [str(holm), "serve", str(config)], port, folder / "log")


def version(name: str, holm: Path) -> str:
    """What a server says of its version, in one line."""
    program = {"holm": holm, "workerd": WORKERD, "deno": DENO}[name]
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
