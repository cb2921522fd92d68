"""A relay in a process of its own that makes a loopback connection as slow as a distant one."""

import asyncio
import multiprocessing
import selectors
import socket

import client


class Relay:
    """Until the `with` block ends, connections to `port` lead to `server_port`, and each byte arrives `one_way` seconds
    after it was sent. Connecting itself takes no time: that there is a server is not asked of it."""

    def __init__(self, server_port: int, one_way: float) -> None:
        # Made here: who connects before the other process runs waits in the listener's queue.
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.process = multiprocessing.get_context("fork").Process(
            target=run, args=(self.listener, server_port, one_way), daemon=True)

    def __enter__(self) -> "Relay":
        self.process.start()
        self.listener.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()


class Side(asyncio.Protocol):
    """One of the two connections; what it receives goes to the other."""

    def __init__(self, one_way: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.one_way = one_way
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self.early: list[tuple[float, bytes]] = []  # what came before there was another side, and when

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # asyncio forgets it on those that a listener was given for.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        if self.other is None:
            self.early.append((now, data))
        else:
            self.pass_on(now, data)

    def pass_on(self, received: float, data: bytes) -> None:
        self.loop.call_at(received + self.one_way, self.other.transport.write, data)

    def connection_lost(self, _: Exception | None) -> None:
        if self.other is not None:
            self.loop.call_later(self.one_way, self.other.transport.close)


async def serve(listener: socket.socket, server_port: int, one_way: float) -> None:
    loop = asyncio.get_running_loop()

    async def accepted(near: Side) -> None:
        _, far = await loop.create_connection(lambda: Side(one_way), "127.0.0.1", server_port)
        near.other, far.other = far, near
        for received, data in near.early:
            near.pass_on(received, data)

    class Near(Side):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.connecting = loop.create_task(accepted(self))

    server = await loop.create_server(lambda: Near(one_way), sock=listener)
    await server.serve_forever()


def run(listener: socket.socket, server_port: int, one_way: float) -> None:
    # With epoll, asyncio waits for whole milliseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    with client.ahead():
        loop.run_until_complete(serve(listener, server_port, one_way))
