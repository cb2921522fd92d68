#!/usr/bin/env python3
"""A client that asks a function at a steady pace, in a process of its own, and what it saw.

The others start it as `Neighbour`; by hand: neighbour.py PORT HOST SECONDS, which prints JSON.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass

import client
from report import percentile

EVERY = 0.01  # seconds between two requests
DEADLINE = 10.0  # seconds for an answer, then it is an error


@dataclass
class Seen:
    """Latencies from when each request was due, in milliseconds: a stall counts for all that were due in it."""

    ms: list[float]
    errors: list[str]

    @property
    def p99(self) -> float:
        return percentile(self.ms, 99) if self.ms else float("inf")

    def __str__(self) -> str:
        p50 = percentile(self.ms, 50) if self.ms else float("inf")
        longest = max(self.ms, default=float("inf"))
        return (f"{len(self.ms)} answers, p50 {p50:.2f} ms, p99 {self.p99:.2f} ms, max {longest:.1f} ms, "
                f"{len(self.errors)} errors" + (f" (first: {self.errors[0]})" if self.errors else ""))


class Neighbour:
    """It asks from now on for some seconds; `seen` waits for its end."""

    def __init__(self, port: int, host: str, seconds: float) -> None:
        self.most = seconds + DEADLINE + 10
        self.process = subprocess.Popen([sys.executable, __file__, str(port), host, str(seconds)],
                                        stdout=subprocess.PIPE, text=True)

    def seen(self) -> Seen:
        said, _ = self.process.communicate(timeout=self.most)
        return Seen(**json.loads(said))

    def __enter__(self) -> "Neighbour":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def quiet(port: int, host: str, seconds: float) -> Seen:
    with Neighbour(port, host, seconds) as alone:
        return alone.seen()


def ask(port: int, host: str, seconds: float) -> Seen:
    seen = Seen([], [])
    connection = None
    due = started = time.perf_counter()
    while due < started + seconds:
        time.sleep(max(due - time.perf_counter(), 0))
        try:
            if connection is None:
                connection = client.Client(port)
                connection.socket.settimeout(DEADLINE)
            status, body = connection.exchange(client.request(host))
            if status != 200:
                seen.errors.append(f"{status} {body[:100]!r}")
        except (OSError, client.AnswerError) as error:
            seen.errors.append(str(error)[:200])
            if connection is not None:
                connection.socket.close()
            connection = None
        seen.ms.append((time.perf_counter() - due) * 1000)
        # Over a second late, it skips what it would have sent: nobody has that many requests waiting.
        due = max(due + EVERY, time.perf_counter() - 1)
    return seen


def main() -> None:
    port, host, seconds = sys.argv[1:]
    with client.ahead():
        seen = ask(int(port), host, float(seconds))
    json.dump({"ms": seen.ms, "errors": seen.errors}, sys.stdout)


if __name__ == "__main__":
    main()
