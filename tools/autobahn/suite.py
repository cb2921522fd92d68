"""Runs the cases of the Autobahn test suite against WebSockets of Holm, and says what came of each.

    suite.py SUITE client PORT      as a client of the echo at that port
    suite.py SUITE server PORT      as a server: asks the function at that port to open a WebSocket, case by case

It does what the suite's own `wstest -m fuzzingclient` and `fuzzingserver` do, with today's `autobahn` and Python 3.
"""

import argparse
import fnmatch
import json
import sys
import time
import tomllib
from pathlib import Path

import cases
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.web.client import Agent, readBody

GOOD = {"OK", "INFORMATIONAL"}
ORDER = ["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED", "UNCLEAN", "WRONG CODE", "FAILED BY CLIENT", "FAILED"]
# The longest that any case waits for what it expects, in seconds.
PATIENCE = 300


# As the specification says, and patient with a debug build on a busy machine.
OPTIONS = {"failByDrop": False, "openHandshakeTimeout": 30, "closeHandshakeTimeout": 10}


class Talk:
    """What a case talks to. Bytes are characters on its side, see `cases.py`."""

    case = None

    def connectionMade(self):
        self.connectionWasOpen = False
        self.createWirelog = True
        self.txFrameStats = {}
        self.timers = []
        super().connectionMade()

    def enableWirelog(self, enable):
        self.createWirelog = enable

    def later(self, delay, call):
        def now():
            if self.state != self.STATE_CLOSED:
                call()

        self.timers.append(reactor.callLater(min(delay, PATIENCE), now))

    def continueLater(self, delay, call, tag=None):
        self.later(delay, call)

    def killAfter(self, delay):
        self.later(delay * self.factory.run.slack, self._fail_connection)

    def closeAfter(self, delay):
        self.later(delay * self.factory.run.slack, self.sendClose)

    def logTxFrame(self, header, payload, repeat, chopsize, sync):
        self.txFrameStats[header.opcode] = self.txFrameStats.get(header.opcode, 0) + 1

    def logRxFrame(self, header, payload):
        pass

    def sendFrame(self, opcode, payload=b"", **more):
        super().sendFrame(opcode, payload=cases.to_bytes(payload), **more)

    def sendMessage(self, payload, isBinary=False, **more):
        super().sendMessage(cases.to_bytes(payload), isBinary, **more)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        if reasonUtf8 is not None:
            reasonUtf8 = cases.to_bytes(reasonUtf8)
        super().sendCloseFrame(code, reasonUtf8, isReply)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(cases.to_bytes(payload), sync)

    def came(self, payload):
        return payload if self.case.is_on_bytes else payload.decode("latin-1")

    def onOpen(self):
        self.connectionWasOpen = True
        self.case.onOpen()

    def onMessage(self, payload, isBinary):
        self.case.onMessage(self.came(payload), isBinary)

    def onPing(self, payload):
        self.case.onPing(self.came(payload))
        super().onPing(payload)

    def onPong(self, payload):
        self.case.onPong(self.came(payload))

    def onClose(self, wasClean, code, reason):
        self.case.onClose(wasClean, code, reason)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        for timer in self.timers:
            if timer.active():
                timer.cancel()
        if not self.case:
            return
        self.case.onConnectionLost(self.failedByMe)
        case = self.case
        why = case.result if case.behavior not in GOOD else case.resultClose
        if not self.connectionWasOpen:
            why = self.wasNotCleanReason
        self.factory.run.over(self.number, case.behavior, case.behaviorClose, why)


class Client(Talk, WebSocketClientProtocol):
    pass


class Server(Talk, WebSocketServerProtocol):
    def onConnect(self, request):
        self.number = request.params["case"][0]
        self.case = self.factory.run.cases[self.number](self)


class ClientFactory(WebSocketClientFactory):
    protocol = Client

    def __init__(self, run, number):
        super().__init__(f"ws://127.0.0.1:{run.port}/")
        self.run, self.number, self.logFrames = run, number, True
        self.setProtocolOptions(serverConnectionDropTimeout=5, **OPTIONS)

    def buildProtocol(self, address):
        protocol = super().buildProtocol(address)
        protocol.number = self.number
        protocol.case = self.run.cases[self.number](protocol)
        return protocol


class ServerFactory(WebSocketServerFactory):
    protocol = Server

    def __init__(self, run):
        super().__init__()
        self.run, self.logFrames = run, True
        self.setProtocolOptions(**OPTIONS)


class Run:
    """Cases that run, and those that are still to."""

    def __init__(self, options, todo):
        self.port, self.jobs, self.slack = options.port, options.jobs, options.slack
        self.cases, self.todo = todo, list(todo)
        self.results, self.begun, self.shown = {}, {}, 0
        self.begin = {"client": self.connect, "server": self.ask}[options.role]
        if options.role == "server":
            self.listening = reactor.listenTCP(0, ServerFactory(self), interface="127.0.0.1").getHost().port
            self.agent = Agent(reactor)

    def start(self):
        for _ in range(min(self.jobs, len(self.cases))):
            self.next()

    def next(self):
        if not self.todo:
            if len(self.results) == len(self.cases) and reactor.running:
                reactor.stop()
            return
        number = self.todo.pop(0)
        self.begun[number] = time.monotonic()
        self.begin(number).addErrback(lambda failure: self.over(number, "FAILED", "FAILED", failure.getErrorMessage()))

    def connect(self, number):
        return HostnameEndpoint(reactor, b"127.0.0.1", self.port).connect(ClientFactory(self, number))

    def ask(self, number):
        url = f"http://127.0.0.1:{self.port}/?ws://127.0.0.1:{self.listening}/?case={number}"
        return self.agent.request(b"GET", url.encode()).addCallback(readBody).addCallback(self.answered, number)

    def answered(self, body, number):
        """The function says that the socket is over; here that is noticed a little later, or it never was."""
        reactor.callLater(5, self.over, number, "FAILED", "FAILED", body.decode())

    def over(self, number, behavior, close, why):
        if number in self.results:
            return
        seconds = time.monotonic() - self.begun[number]
        self.results[number] = {"behavior": behavior, "close": close, "why": why, "seconds": round(seconds, 2)}
        if time.monotonic() - self.shown > 5 or len(self.results) == len(self.cases):
            self.shown = time.monotonic()
            print(f"  {len(self.results)} of {len(self.cases)}, last {number}", file=sys.stderr, flush=True)
        reactor.callLater(0, self.next)


def key(number):
    return [int(part) for part in number.split(".")]


def table(results):
    families = {}
    for number, result in sorted(results.items(), key=lambda item: key(item[0])):
        families.setdefault(number.split(".")[0], []).append(result)
    shown = [name for name in ORDER if any(name in (r["behavior"], r["close"]) for r in results.values())]
    print(f"{'family':>6} {'cases':>6} " + " ".join(f"{name:>13}" for name in shown) + f" {'seconds':>8}")
    for family, rows in families.items():
        worst = [max(r["behavior"], r["close"], key=ORDER.index) for r in rows]
        counts = " ".join(f"{worst.count(name):>13}" for name in shown)
        print(f"{family:>6} {len(rows):>6} {counts} {sum(r['seconds'] for r in rows):>8.0f}")


def judge(role, results, expected):
    """What is not as it should be, one line each."""
    for number, result in sorted(results.items(), key=lambda item: key(item[0])):
        fitting = (row for row in expected if row.get("role", role) == role and fnmatch.fnmatch(number, row["cases"]))
        known = next(fitting, {})
        for part in ("behavior", "close"):
            least, got = known.get(part, "INFORMATIONAL"), result[part]
            if ORDER.index(got) > ORDER.index(least):
                yield f"{number}: {part} is {got}: {result['why']}"
            elif part in known and "sometimes" not in known and ORDER.index(got) < ORDER.index(least):
                yield f"{number}: {part} is {got}, better than {least}: remove it from expectations.toml"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suite", type=Path)
    parser.add_argument("role", choices=["client", "server"])
    parser.add_argument("port", type=int)
    parser.add_argument("--cases", default="*", help="patterns, by commas")
    parser.add_argument("--messages", type=int, default=1000, help="of each case of families 12 and 13")
    parser.add_argument("--jobs", type=int, default=4, help="cases at the same time")
    parser.add_argument("--minutes", type=float, default=60, help="for all; what has not run by then has failed")
    parser.add_argument("--slack", type=float, default=1, help="times what cases wait for a server")
    parser.add_argument("--json", type=Path, help="where to write all results")
    options = parser.parse_args()
    patterns = options.cases.split(",")
    todo = {
        number: case
        for number, case in cases.load(options.suite).items()
        if any(fnmatch.fnmatch(number, pattern) for pattern in patterns)
    }
    for case in todo.values():
        if case.is_on_bytes:
            case.COUNT = options.messages
    run = Run(options, todo)
    reactor.callWhenRunning(run.start)
    reactor.callLater(options.minutes * 60, reactor.stop)
    began = time.monotonic()
    reactor.run()
    for number in todo:
        not_run = {"behavior": "FAILED", "close": "FAILED", "why": "no time was left for it", "seconds": 0}
        run.results.setdefault(number, not_run)
    if options.json:
        options.json.write_text(json.dumps(run.results, indent=1))
    table(run.results)
    expected = tomllib.loads((Path(__file__).parent / "expectations.toml").read_text())["expected"]
    wrong = list(judge(options.role, run.results, expected))
    print(f"{len(run.results)} cases in {time.monotonic() - began:.0f} s, {len(wrong)} not as they should be")
    for line in wrong:
        print(f"  {line}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
