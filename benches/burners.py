"""Clients of functions that compute: what makes a noisy neighbour."""

import http.client
import threading
import time

import servers

DEADLINE = 30  # seconds that a burner waits for an answer


class Burners:
    """For each address a client that keeps exactly one request open, until the `with` block
    ends; that waits for the last answers."""

    def __init__(self, addresses: list[servers.Address]) -> None:
        self.seconds: list[float] = []  # how long each answer took
        self.failed = 0  # clients that got no 200, and stopped
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.burn, args=address) for address in addresses]

    def __enter__(self) -> "Burners":
        self.started = time.perf_counter()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        self.elapsed = time.perf_counter() - self.started

    def burn(self, port: int, host: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        try:
            while not self.stopping.is_set():
                asked = time.perf_counter()
                connection.request("GET", "/", headers={"Host": host})
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    raise http.client.HTTPException(response.status)
                self.seconds.append(time.perf_counter() - asked)
        except (OSError, http.client.HTTPException):
            self.failed += 1
        finally:
            connection.close()

    def per_second(self) -> float:
        """Answers of all of them together, once they have ended."""
        return len(self.seconds) / self.elapsed
