"""A client that asks for numbered functions, with as little of its own in the times as can be."""

import contextlib
import os
import re
import socket
import time
from typing import Iterator

import secure

DEADLINE = 30  # seconds that it waits for an answer
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class AnswerError(Exception):
    """Something else than the function's answer, or none; the message says what."""


class Client:
    """One keep-alive connection. Leaving the `with` block closes it. `tls_host`: over TLS, with this host named in the
    handshake, which is a whole one each time, and this protocol."""

    def __init__(self, port: int, tls_host: str | None = None, protocol: str = "http/1.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls_host is not None:
            self.socket = secure.context(protocol).wrap_socket(self.socket, server_hostname=tls_host)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, number: int) -> float:
        """Asks for a function, and returns the milliseconds to the end of its answer."""
        asked = request(host(number))
        started = time.perf_counter()
        received = self.exchange(asked)
        elapsed_ms = (time.perf_counter() - started) * 1000
        if received != (200, f"Hello from {number}".encode()):
            raise AnswerError(f"function {number} answered {received[0]}: {received[1][:500]!r}")
        return elapsed_ms

    def exchange(self, asked: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        try:
            self.socket.sendall(asked)
            received = b""
            while (whole := answer(received)) is None:
                more = self.socket.recv(65536)
                if not more:
                    raise AnswerError(f"the connection was closed after {received!r}")
                received += more
        except OSError as error:
            raise AnswerError(f"no answer: {error}") from error
        return whole


@contextlib.contextmanager
def ahead() -> Iterator[None]:
    """Meanwhile this thread goes before everything else, as if on a machine of its own: it never waits for a core behind
    the server. What it starts does not inherit that. It takes root; without, its own waiting is in the times."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def host(number: int) -> str:
    return f"f{number}.localhost"


def request(hostname: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {hostname}\r\n\r\n".encode()


def answer(received: bytes) -> tuple[int, bytes] | None:
    """Status and body, once all of it is there."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    length = LENGTH.search(head)
    if length is None:
        raise AnswerError(f"an answer without content-length: {head!r}")
    return (int(head[9:12]), body) if len(body) >= int(length[1]) else None
