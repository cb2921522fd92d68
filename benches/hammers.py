"""Clients that ask as fast as they are answered, whatever the answer is."""

import http.client
import itertools
import threading
import time
from collections import Counter

import servers

DEADLINE = 40.0  # seconds for an answer: longer than any wall limit here
PAUSE = 0.05  # seconds after a refusal: a client that only spins takes the cores from what is measured


class Hammers:
    """For each address as many clients as `clients` says, each with one request open, until the `with` block ends. A client
    asks for the paths in turn, each beginning with another one."""

    def __init__(self, addresses: list[servers.Address], clients: int, paths: list[str]) -> None:
        self.answers: Counter[str] = Counter()  # by path and outcome
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.threads = [
            threading.Thread(target=self.ask, args=(*address, paths[number % len(paths):] + paths[:number % len(paths)]),
                             daemon=True)
            for number, address in enumerate(address for address in addresses for _ in range(clients))]

    def __enter__(self) -> "Hammers":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self.threads:
            thread.join(DEADLINE + 5)

    def stop(self) -> None:
        self.stopping.set()

    def ask(self, port: int, host: str, paths: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        for path in itertools.cycle(paths):
            if self.stopping.is_set():
                break
            try:
                connection.request("GET", path, headers={"Host": host})
                response = connection.getresponse()
                response.read()
                outcome = response.headers["holm-outcome"] or str(response.status)
                refused = outcome == "overloaded"
            except (OSError, http.client.HTTPException) as error:
                connection.close()  # the next request opens it again
                outcome, refused = type(error).__name__, True
            with self.lock:
                self.answers[f"{path} {outcome}"] += 1
            if refused:
                time.sleep(PAUSE)
        connection.close()

    def outcomes(self) -> Counter[str]:
        """Answers by outcome, over all paths."""
        total: Counter[str] = Counter()
        for key, count in self.answers.items():
            total[key.partition(" ")[2]] += count
        return total
