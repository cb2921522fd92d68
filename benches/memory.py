"""What a function takes that waits for its next request: Holm and workerd."""

import argparse
from pathlib import Path

import client
import fleet
from report import verdict
from servers import Server

AIM = 0.9  # Holm's memory per function to workerd's: at most
SHARE = 10  # the process without functions is known from one with a tenth of them


def measure(options: argparse.Namespace, folder: Path) -> tuple[bool, float]:
    """Returns whether one of Holm's functions did not stay, and the MiB that each takes."""
    few, many = max(options.functions // SHARE, 1), options.functions
    print(f"\nmemory: private memory of the process with {many} functions that were asked once, less that with "
          f"{few},\n  for each of the {many - few} more", flush=True)
    failed = False
    per_function = {}
    for name in ("holm", "workerd"):
        taken = {}
        for count in (few, many):
            taken[count], gone = with_functions(name, count, options, folder / f"{name}-{count}")
            print(f"  {name:8} {count:4} functions: {taken[count]:8.1f} MiB", flush=True)
            if gone:
                print(f"  FAILED: {name}: {gone} of {count} functions were no longer there when they were asked again")
                failed |= name == "holm"
        per_function[name] = (taken[many] - taken[few]) / (many - few)
    ratio = per_function["holm"] / per_function["workerd"]
    print("\n  " + ", ".join(f"{name} {mib:.2f} MiB" for name, mib in per_function.items()) + " per function")
    print(f"  holm / workerd: {ratio:.2f} (aim: at most {AIM}; {verdict(ratio <= AIM)})")
    return failed, per_function["holm"]


def with_functions(name: str, count: int, options: argparse.Namespace, folder: Path) -> tuple[float, int]:
    """Private memory after one request to each of them, in MiB, and how many had to be started
    again for a second one."""
    if name == "holm":
        server = fleet.holm(options.holm, folder, fleet.NUMBERED, count, fleet.NEVER)
    else:
        server = fleet.workerd(folder, fleet.NUMBERED)
    with server:
        fleet.start(server)
        ask_all(server, count)
        fleet.settle(server)
        mib = fleet.private_mib(server)
        ask_all(server, count)
        again = fleet.loaded(server) - count if name == "workerd" else 0
    if name == "holm":
        # The server has ended, so the log is complete. The last `count` records are the second ones.
        again = sum(cold for _, cold in fleet.cold_starts(server)[-count:])
    return mib, again


def ask_all(server: Server, count: int) -> None:
    with client.Client(server.port) as connection:
        for number in range(count):
            connection.ask(number)
