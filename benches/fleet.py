"""Hundreds of functions at once: how Holm and workerd are given them, and what they take.

They differ by a number: function 7 has `const NUMBER = 7;` before code that all have, and
answers at f7.localhost.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

import client
import processes
import secure
import servers
from servers import BENCHES, Server

NUMBERED = BENCHES / "numbered/index.js"
START_DEADLINE = 180.0  # seconds; Holm starts every function once before it serves
SETTLE_DEADLINE = 20.0
BUILD_DEADLINE = 60.0

# How long isolates stay without work: those from the start of the server have ended before the
# first request is sent, or all of them stay.
AT_ONCE = "0ms"
NEVER = "10min"

FLEET_TOML = """\
version = 1
[server]
http = "127.0.0.1:{port}"
[log]
format = "json"
requests = "all"
"""
NODE_TOML = """
[node]
memory = "{mib}MiB"
"""
FUNCTION_TOML = """
[functions.f{number}]
main = "f{number}/index.js"
routes = ["f{number}.localhost"]
"""

LOADER_CAPNP = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "loader", worker = (
    modules = [
      (name = "index.js", esModule = embed "index.js"),
      (name = "function.js", text = embed "function.js"),
    ],
    bindings = [(name = "LOADER", workerLoader = ())],
    compatibilityDate = "2026-06-01",
  ))],
  sockets = [(name = "loader", address = "127.0.0.1:{port}", http = (), service = "loader")],
);
"""


def holm(program: Path, folder: Path, code: Path, count: int, idle: str, node_mib: int | None = None,
         certificate: secure.Certificate | None = None) -> Server:
    """Starts Holm with functions 0 to `count` - 1. The log has a record of every request.
    `node_mib`: the memory that all processes together may take. With a `certificate` clients speak TLS."""
    text = code.read_text()
    [port] = servers.free_ports(1)
    toml = [FLEET_TOML.format(port=port)]
    if node_mib is not None:
        toml.append(NODE_TOML.format(mib=node_mib))
    for number in range(count):
        (folder / f"f{number}").mkdir(parents=True)
        (folder / f"f{number}/index.js").write_text(f"const NUMBER = {number};\n{text}")
        toml.append(FUNCTION_TOML.format(number=number) + limits(number, idle))
    return servers.holm_server(program, folder, port, "".join(toml), certificate=certificate)


def limits(number: int, idle: str) -> str:
    """The line of a function's table that says how long its isolates stay without work. Function 0 keeps one: no node that
    serves anything is without an isolate, and workerd has that of its loader."""
    keep = ", min_isolates = 1" if number == 0 else ""
    return f'limits = {{ idle = "{idle}"{keep} }}\n'


def workerd(folder: Path, code: Path) -> Server:
    """Starts workerd with loader/index.js, which loads each function when it is asked for first."""
    shutil.copytree(BENCHES / "loader", folder)
    shutil.copy(code, folder / "function.js")
    [port] = servers.free_ports(1)
    config = folder / "workerd.capnp"
    config.write_text(LOADER_CAPNP.format(port=port))
    command = [str(servers.WORKERD), "serve", "--experimental", str(config)]
    return Server("workerd", command, port, folder / "log")


def start(server: Server) -> None:
    """Waits until function 0 has answered and all that the start set off has ended."""
    started = server.wait(client.host(0), START_DEADLINE)
    if started > 2:
        print(f"  {server.name} took {started:.1f} s to start", flush=True)
    settle(server)


def settle(server: Server) -> None:
    """Waits until the process has used hardly any CPU time for a while."""
    until = time.monotonic() + SETTLE_DEADLINE
    before = server.cpu()
    while time.monotonic() < until:
        time.sleep(0.5)
        now = server.cpu()
        if now - before < 0.03:
            return
        before = now
    print(f"  {server.name} is still busy after {SETTLE_DEADLINE:.0f} s", flush=True)


def cold_starts(server: Server) -> list[tuple[str, bool]]:
    """Function and `coldStart` of every record in the log of a Holm that has ended."""
    records = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [(record["function"], record["coldStart"]) for record in records if record["type"] == "request"]


def loaded(server: Server) -> int:
    """How many functions workerd has loaded so far."""
    with client.Client(server.port) as connection:
        status, body = connection.exchange(client.request("loaded.localhost"))
    if status != 200:
        raise client.AnswerError(f"the loader answered {status}: {body!r}")
    return int(body)


def held(server: Server) -> processes.Memory:
    """Memory of all processes of the server."""
    return processes.memory(server.process.pid)


def bundle(folder: Path) -> Path:
    """Builds bundle/index.js with all it imports into one file."""
    output = folder / "bundle.js"
    run = subprocess.run(["node", str(BENCHES / "bundle/build.mjs"), str(output)],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_DEADLINE)
    if run.returncode != 0:
        raise servers.StartError(f"bundle/build.mjs ended with {run.returncode}:\n{run.stdout}")
    return output
