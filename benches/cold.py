"""First requests to functions that have never run, on Holm and on workerd."""

import argparse
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import client
import fleet
from report import Table, percentile, spread
from servers import Server

# The p50 of a block to workerd's in the same block: at most.
HELLO_AIM = 0.25
BUNDLE_AIM = 0.02
NAMES = ["holm", "workerd"]

Blocks = dict[str, list[list[float]]]  # milliseconds of each request, by server and block


@dataclass
class Plan:
    """Which functions are asked for: number 0 when the server starts, then those that warm it up,
    then the blocks that are measured."""

    warm_up: int
    blocks: int
    block: int

    def numbers(self, block: int) -> range:
        first = 1 + self.warm_up + block * self.block
        return range(first, first + self.block)

    @property
    def measured(self) -> int:
        return self.blocks * self.block

    @property
    def total(self) -> int:
        return 1 + self.warm_up + self.measured


def hello(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Functions of one line. Returns whether one of Holm's was not cold."""
    plan = Plan(warm_up=20, blocks=10, block=max(options.functions // 10, 1))
    print(f"\ncold: the first request to each of {plan.measured} functions of one line", flush=True)
    blocks, failed = compare(options, folder, fleet.NUMBERED, plan)
    table.at_most("cold hello, no process ready for it, p50 ÷ workerd's", ratio(blocks), HELLO_AIM, form=".3f")
    return failed


def bundle(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Functions of a megabyte or more. Returns whether one of Holm's was not cold."""
    folder.mkdir(parents=True)
    code = fleet.bundle(folder)
    plan = Plan(warm_up=2, blocks=5, block=max(options.bundles // 5, 1))
    print(f"\nbundle: the first request to each of {plan.measured} functions of "
          f"{code.stat().st_size / 1e6:.2f} MB", flush=True)
    blocks, failed = compare(options, folder, code, plan)
    table.at_most("cold 1.4 MB bundle, p50 ÷ workerd's", ratio(blocks), BUNDLE_AIM, form=".4f")
    return failed


def compare(options: argparse.Namespace, folder: Path, code: Path, plan: Plan) -> tuple[Blocks, bool]:
    """Milliseconds of each request, and whether one of Holm's was not cold."""
    print(f"  one after the other on one connection, {options.pause} ms apart, in blocks of {plan.block} "
          "for each server in turn", flush=True)
    blocks: Blocks = {name: [] for name in NAMES}
    with ExitStack() as stack:
        running = start(options, folder, code, plan, stack)
        clients = {name: stack.enter_context(client.Client(server.port)) for name, server in running.items()}
        for name in running:
            ask(clients[name], range(1, 1 + plan.warm_up), options.pause)
        names = list(running)
        for block in range(plan.blocks):
            first = block % len(names)
            for name in names[first:] + names[:first]:  # each goes first in its turn
                blocks[name].append(ask(clients[name], plan.numbers(block), options.pause))
            print(f"  block {block + 1:2} of {plan.blocks}  p50 " + "  ".join(
                f"{name} {statistics.median(taken[-1]):.2f} ms" for name, taken in blocks.items()), flush=True)
        loaded = fleet.loaded(running["workerd"])
    print_table(blocks)
    # The servers have ended, so the log is complete.
    failed = not_cold(running["holm"], plan)
    if loaded != plan.total:
        print(f"  workerd loaded {loaded} functions, not {plan.total}: its figures are not those of cold starts")
    return blocks, failed


def start(options: argparse.Namespace, folder: Path, code: Path, plan: Plan, stack: ExitStack) -> dict[str, Server]:
    """One server after the other; each is left alone until it has nothing to do."""
    running = {}
    for name in NAMES:
        print(f"  starting {name}", flush=True)
        if name == "workerd":
            server = fleet.workerd(folder / name, code)
        else:
            server = fleet.holm(options.holm, folder / name, code, plan.total, fleet.AT_ONCE)
        running[name] = stack.enter_context(server)
        fleet.start(server)
    return running


def ask(connection: client.Client, numbers: range, pause_ms: int) -> list[float]:
    """Milliseconds of each. Functions that are new do not come back to back: in the pause a
    server may put away what it needs no longer, and get ready for the next."""
    taken = []
    for number in numbers:
        time.sleep(pause_ms / 1000)
        taken.append(connection.ask(number))
    return taken


def print_table(blocks: Blocks) -> None:
    print(f"\n  {'':14} {'p50 ms: median (min–max) by block':36} {'p50':>8} {'p99':>8} {'max':>8}  ms, of all")
    p99 = {}
    for name, taken in blocks.items():
        everything = [ms for block in taken for ms in block]
        p99[name] = percentile(everything, 99)
        print(f"  {name:14} {spread([statistics.median(block) for block in taken], '.2f'):36} "
              f"{percentile(everything, 50):8.2f} {p99[name]:8.2f} {max(everything):8.2f}")
    print(f"\n  holm / workerd: p50 {spread(ratios(blocks), '.4f')}, p99 {p99['holm'] / p99['workerd']:.3f}")


def ratios(blocks: Blocks) -> list[float]:
    """Holm's p50 to workerd's, block by block, so that both sides of a ratio saw the same machine."""
    return [statistics.median(ours) / statistics.median(theirs)
            for ours, theirs in zip(blocks["holm"], blocks["workerd"])]


def ratio(blocks: Blocks) -> float:
    return statistics.median(ratios(blocks))


def not_cold(server: Server, plan: Plan) -> bool:
    """Whether Holm had an isolate for one of the functions already."""
    measured = {f"f{number}" for block in range(plan.blocks) for number in plan.numbers(block)}
    cold = [function for function, was_cold in fleet.cold_starts(server) if was_cold and function in measured]
    if sorted(cold) != sorted(measured):
        print(f"  FAILED: holm: {len(cold)} of {len(measured)} requests met a function that was not running")
        return True
    return False
