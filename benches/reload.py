#!/usr/bin/env python3
"""Changes functions and the configuration under load, some of the time to what does not hold, and prints what clients noticed.

Run it with `make bench-reload`; README.md beside this file says how to read the output.
"""

import argparse
import http.client
import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path

import processes
import report
import servers

CLIENTS = 4
PACE = 0.01  # seconds between two requests of a client
BAD = 10  # every how many reloads one is of a bad file
EVERY = 0.25  # seconds between two reloads
ROUNDS = 5  # of each kind, in turn: quiet, and with reloads
EDITED, STEADY = "edited.localhost", "steady.localhost"
PATIENCE = 60  # seconds until something is wrong
SETTLED = 3.0  # seconds in which isolates at rest have ended
GROWTH_AIM = 1.0  # MiB per 100 reloads
P99_AIM = 1.5  # of that in the quiet rounds

CONFIG = """\
version = 1
[server]
http = "127.0.0.1:{port}"
[log]
format = "json"
requests = "failed"
[limits]
idle = "500ms"

[functions.edited]
main = "edited.js"
routes = ["edited.localhost"]

[functions.steady]
main = "steady.js"
routes = ["steady.localhost"]
vars = {{ ROUND = {number} }}
"""
WORKER = "export default {{ fetch: () => new Response('{word}') }};\n"


class Site:
    """A server, and the folder that it serves."""

    def __init__(self, holm: Path, folder: Path, port: int) -> None:
        self.folder, self.port, self.bad, self.number = folder, port, 0, 0
        self.replace("edited.js", WORKER.format(word="v0"))
        self.replace("steady.js", WORKER.format(word="steady"))
        self.server = servers.holm_server(holm, folder, port, CONFIG.format(port=port, number=0))

    def replace(self, name: str, text: str) -> None:
        draft = self.folder / "draft~"
        draft.write_text(text)
        draft.rename(self.folder / name)

    def reload(self) -> float:
        """Changes something, and waits until that is served, or refused. Returns the seconds that it took."""
        self.number += 1
        begin = time.perf_counter()
        if self.number % BAD == 0:
            self.bad += 1
            bad = ("edited.js", "export default {") if self.bad % 2 else ("holm.toml", "version = 1\nwrong\n")
            self.replace(*bad)
            self.wait(lambda: self.refused() >= self.bad)
            took = time.perf_counter() - begin
            # It has to be good again before the next one.
            self.number += 1
        else:
            took = None
        self.replace("holm.toml", CONFIG.format(port=self.port, number=self.number // 7))
        self.replace("edited.js", WORKER.format(word=f"v{self.number}"))
        self.wait(lambda: self.ask() == f"v{self.number}")
        return took or time.perf_counter() - begin

    def refused(self) -> int:
        text = self.server.log.read_text()
        return text.count("not reloaded: ") + text.count("does not start: ")

    def ask(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/", headers={"Host": EDITED})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def wait(self, done) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > deadline:
                sys.exit(f"reload {self.number} was not served:\n{self.server.said()}")
            time.sleep(0.02)

    def usage(self) -> tuple[int, int, float]:
        """Descriptors of the edge, processes, MiB of all of them; once those that rest have ended."""
        time.sleep(SETTLED)
        pid = self.server.process.pid
        descriptors = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        return descriptors, len(processes.family(pid)), processes.memory(pid).all_mib


def load(port: int, until: multiprocessing.Event) -> tuple[dict[str, list[float]], list[str]]:
    """Asks both functions at a steady pace; returns the seconds of each answer, by function, and what failed."""
    took: dict[str, list[float]] = {EDITED: [], STEADY: []}
    failed: list[str] = []

    def ask(client: int) -> None:
        host = (EDITED, STEADY)[client % 2]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        due = time.perf_counter()
        while not until.is_set():
            due += PACE
            time.sleep(max(0.0, due - time.perf_counter()))
            begin = time.perf_counter()
            try:
                connection.request("GET", "/", headers={"Host": host})
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    failed.append(f"{host}: {response.status}")
            except OSError as error:
                failed.append(f"{host}: {error}")
                connection.close()
            took[host].append(time.perf_counter() - begin)
            due = max(due, begin)
        connection.close()

    clients = [threading.Thread(target=ask, args=(client,)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return took, failed


def during(site: Site, work) -> tuple[dict[str, list[float]], list[str]]:
    """What clients see while `work` is done."""
    until = multiprocessing.Event()
    ours, theirs = multiprocessing.Pipe()
    # In a process of their own: what is done here must not keep them waiting.
    clients = multiprocessing.Process(target=lambda: theirs.send(load(site.port, until)))
    clients.start()
    try:
        work()
    finally:
        until.set()
        seen = ours.recv()
        clients.join()
    return seen


def main() -> int:
    options = arguments()
    report.machine(["holm"], options.holm)
    table = report.Table()
    with tempfile.TemporaryDirectory(prefix="holm-reload-") as name:
        [port] = servers.free_ports(1)
        site = Site(options.holm, Path(name), port)
        with site.server as server:
            server.wait(STEADY)
            quiet, busy = {EDITED: [], STEADY: []}, {EDITED: [], STEADY: []}
            failed, took = [], []
            per_round = options.reloads // ROUNDS
            # The first ones fill what is filled once.
            for _ in range(per_round // 2):
                site.reload()
            before = site.usage()

            def reloads() -> None:
                for _ in range(per_round):
                    due = time.monotonic() + EVERY
                    took.append(site.reload())
                    time.sleep(max(0.0, due - time.monotonic()))

            for _ in range(ROUNDS):
                begin = time.monotonic()
                for kind, work in ((busy, reloads), (quiet, lambda: time.sleep(max(2.0, (time.monotonic() - begin) / 2)))):
                    answers, wrong = during(site, work)
                    for host, seconds in answers.items():
                        kind[host] += seconds
                    failed += wrong
            after = site.usage()
    reloads_done = per_round * ROUNDS
    print(f"\n{reloads_done} reloads, a tenth of them refused; {sum(map(len, busy.values())):,} requests beside "
          f"them, {sum(map(len, quiet.values())):,} without")
    for kind, by_host in (("quiet", quiet), ("reloading", busy)):
        for host, seconds in by_host.items():
            p50, p99 = (report.percentile(seconds, percent) * 1e3 for percent in (50, 99))
            print(f"  {kind:10} {host:17} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  max {max(seconds) * 1e3:6.1f} ms")
    quiet, busy = ([one for seconds in kind.values() for one in seconds] for kind in (quiet, busy))
    print(f"  a change is served after {report.spread([one * 1e3 for one in took], '.0f')} ms")
    for what, old, new in zip(("descriptors", "processes", "MiB of all processes"), before, after):
        print(f"  {what:22} {old:8,.1f} → {new:8,.1f}")
    for one in failed[:5]:
        print(f"  failed: {one}")
    table.at_most("requests that failed", len(failed), 0, form=".0f")
    table.at_most("p99 with reloads ÷ quiet", report.percentile(busy, 99) / report.percentile(quiet, 99), P99_AIM)
    table.at_most("growth of descriptors", after[0] - before[0], 2, form=".0f")
    table.at_most("growth of processes", after[1] - before[1], 0, form=".0f")
    table.at_most("growth of memory per 100 reloads", (after[2] - before[2]) * 100 / reloads_done, GROWTH_AIM, " MiB")
    table.show()
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reloads", type=int, default=500, help="how many (default: 500)")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(main())
