"""First requests to functions that have never run: Holm, with warm pool and without, and workerd."""

import argparse
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import client
import fleet
from report import percentile, spread, verdict
from servers import Server

# The p50 of a block to workerd's in the same block: at most.
HELLO_AIMS = {"pooled": 0.08, "unpooled": 0.25}
BUNDLE_AIMS = {"pooled": 0.15, "unpooled": 0.15}
NAMES = {"pooled": "holm", "unpooled": "holm, no pool", "workerd": "workerd"}


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


def hello(options: argparse.Namespace, folder: Path) -> bool:
    """Functions of one line. Returns whether one of Holm's was not cold."""
    plan = Plan(warm_up=20, blocks=10, block=max(options.functions // 10, 1))
    print(f"\ncold: the first request to each of {plan.measured} functions of one line", flush=True)
    return compare(options, folder, fleet.NUMBERED, plan, HELLO_AIMS)


def bundle(options: argparse.Namespace, folder: Path) -> bool:
    """Functions of a megabyte or more. Returns whether one of Holm's was not cold."""
    folder.mkdir(parents=True)
    code = fleet.bundle(folder)
    plan = Plan(warm_up=2, blocks=5, block=max(options.bundles // 5, 1))
    print(f"\nbundle: the first request to each of {plan.measured} functions of "
          f"{code.stat().st_size / 1e6:.2f} MB", flush=True)
    return compare(options, folder, code, plan, BUNDLE_AIMS)


def compare(options: argparse.Namespace, folder: Path, code: Path, plan: Plan, aims: dict[str, float]) -> bool:
    print(f"  one after the other on one connection, {options.pause} ms apart, in blocks of {plan.block} "
          "for each server in turn", flush=True)
    blocks: dict[str, list[list[float]]] = {name: [] for name in NAMES}
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
                f"{NAMES[name]} {statistics.median(taken[-1]):.2f} ms" for name, taken in blocks.items()), flush=True)
        loaded = fleet.loaded(running["workerd"])
    print_table(blocks, aims)
    # Their servers have ended, so the logs are complete.
    failed = [not_cold(running[name], name, plan) for name in aims]
    if loaded != plan.total:
        print(f"  workerd loaded {loaded} functions, not {plan.total}: its figures are not those of cold starts")
    return any(failed)


def start(options: argparse.Namespace, folder: Path, code: Path, plan: Plan, stack: ExitStack) -> dict[str, Server]:
    """One server after the other; each is left alone until it has nothing to do."""
    running = {}
    for name in NAMES:
        print(f"  starting {NAMES[name]}", flush=True)
        if name == "workerd":
            server = fleet.workerd(folder / name, code)
        else:
            server = fleet.holm(options.holm, folder / name, code, plan.total, fleet.AT_ONCE, pooled=name == "pooled")
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


def print_table(blocks: dict[str, list[list[float]]], aims: dict[str, float]) -> None:
    print(f"\n  {'':14} {'p50 ms: median (min–max) by block':36} {'p50':>8} {'p99':>8} {'max':>8}  ms, of all")
    p99 = {}
    for name, taken in blocks.items():
        everything = [ms for block in taken for ms in block]
        p99[name] = percentile(everything, 99)
        print(f"  {NAMES[name]:14} {spread([statistics.median(block) for block in taken], '.2f'):36} "
              f"{percentile(everything, 50):8.2f} {p99[name]:8.2f} {max(everything):8.2f}")
    print()
    for name, aim in aims.items():
        # Block by block, so that both sides of a ratio saw the same machine.
        ratios = [statistics.median(ours) / statistics.median(theirs)
                  for ours, theirs in zip(blocks[name], blocks["workerd"])]
        print(f"  {NAMES[name] + ' / workerd:':24} p50 {spread(ratios, '.3f')} (aim: at most {aim}; "
              f"{verdict(statistics.median(ratios) <= aim)}), p99 {p99[name] / p99['workerd']:.3f}")


def not_cold(server: Server, name: str, plan: Plan) -> bool:
    """Whether Holm had an isolate for one of the functions already."""
    measured = {f"f{number}" for block in range(plan.blocks) for number in plan.numbers(block)}
    cold = [function for function, was_cold in fleet.cold_starts(server) if was_cold and function in measured]
    if sorted(cold) != sorted(measured):
        print(f"  FAILED: {NAMES[name]}: {len(cold)} of {len(measured)} requests met a function that was not running")
        return True
    return False
