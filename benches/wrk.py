"""One run of wrk against one server, and what it showed."""

import functools
import math
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import servers

MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 60e3}  # wrk's units, in milliseconds


class WrkError(Exception):
    """wrk failed, or printed something else than it does; the message holds what it said."""


@dataclass
class Round:
    per_second: float
    cpu_us: float  # the server's CPU time for each request, in microseconds
    p50_ms: float  # infinite if no request was answered in wrk's 2 seconds
    p99_ms: float
    failed: int  # responses that were not 2xx or 3xx, connections that broke, and time-outs


# wrk where it stands for clients on other machines: it never waits for a core behind the server.
AHEAD = ["chrt", "--fifo", "1"]


@functools.cache
def may_go_ahead() -> bool:
    """Whether the system lets wrk have a core before others (it takes root)."""
    return subprocess.run([*AHEAD, "true"], capture_output=True).returncode == 0


def load(server: servers.Server, seconds: int, connections: int, ahead: bool = False, path: str = "/",
         host: str = servers.HOST, script: Path | None = None) -> Round:
    """Asks for hello as fast as it answers, from one thread. The server's CPU time is read
    before and after. `ahead`: wrk goes before everything else, if it may. `script`: a Lua file that makes the requests."""
    before = server.cpu()
    run = subprocess.run(
        [*(AHEAD if ahead and may_go_ahead() else []),
         "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
         "-H", f"Host: {host}", *(["-s", str(script)] if script else []), f"http://127.0.0.1:{server.port}{path}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 30,
    )
    cpu = server.cpu() - before
    said = run.stdout
    if run.returncode != 0:
        raise WrkError(f"wrk ended with {run.returncode}:\n{said}")
    requests = int(found(r"(\d+) requests in", said))
    # wrk names failures only where there were some.
    failed = sum(map(int, re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", said)))
    timed_out = sum(map(int, re.findall(r"timeout (\d+)", said)))
    if requests == 0:
        # wrk says nothing of requests that are still open at its end.
        failed = max(failed, connections)
    in_time = requests > timed_out
    return Round(
        per_second=float(found(r"Requests/sec:\s+([\d.]+)", said)),
        cpu_us=cpu / max(requests, 1) * 1e6,
        p50_ms=latency(50, said) if in_time else math.inf,
        p99_ms=latency(99, said) if in_time else math.inf,
        failed=failed,
    )


def latency(percent: int, said: str) -> float:
    """A line of wrk's latency distribution, such as `99%    1.20ms`, in milliseconds."""
    number, unit = re.fullmatch(r"([\d.]+)(\D+)", found(rf"(?m)^ +{percent}% +(\S+)", said)).groups()
    return float(number) * MS[unit]


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise WrkError(f"wrk printed nothing like {pattern!r}:\n{said}")
    return match[1]
