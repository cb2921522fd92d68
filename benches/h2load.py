"""One run of h2load against one server, and what it showed."""

import re
import subprocess
from dataclasses import dataclass

import servers


class H2loadError(Exception):
    """h2load failed, or printed something else than it does; the message holds what it said."""


@dataclass
class Round:
    per_second: float
    cpu_us: float  # the server's CPU time for each request, in microseconds
    failed: int  # requests without a response, and responses that were not 2xx


def load(server: servers.Server, seconds: int, connections: int, streams: int, is_http1: bool) -> Round:
    """Asks for hello over TLS as fast as it answers, from one thread, with `streams` requests in flight on each of the
    connections. The server's CPU time is read before and after."""
    before = server.cpu()
    run = subprocess.run(
        ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", *(["--h1"] if is_http1 else []),
         f"--connect-to=127.0.0.1:{server.port}", f"https://{servers.HOST}:{server.port}/"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds + 30,
    )
    cpu = server.cpu() - before
    said = run.stdout
    if run.returncode != 0:
        raise H2loadError(f"h2load ended with {run.returncode}:\n{said}")
    succeeded = int(found(r"(\d+) succeeded", said))
    if succeeded == 0:
        raise H2loadError(f"h2load got no answer:\n{said}")
    spoken = found(r"Application protocol: (\S+)", said)
    if spoken != ("http/1.1" if is_http1 else "h2"):
        raise H2loadError(f"h2load spoke {spoken}:\n{said}")
    return Round(
        per_second=float(found(r"finished in \S+, ([\d.]+) req/s", said)),
        cpu_us=cpu / succeeded * 1e6,
        failed=int(found(r"(\d+) failed", said)) + sum(map(int, re.findall(r"(\d+) [345]xx", said))),
    )


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise H2loadError(f"h2load printed nothing like {pattern!r}:\n{said}")
    return match[1]
