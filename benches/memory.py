"""What a function takes that waits for its next request: Holm and workerd."""

import argparse
from pathlib import Path

import client
import fleet
import processes
from report import Table
from servers import Server

AIM = 0.5  # Holm's memory per function to workerd's: at most
SHARE = 10  # what a server takes without functions is known from one with a tenth of them

# Holm's functions wait as a template alone, whose isolates have ended, or with an isolate that rests.
STATES = {"template": fleet.AT_ONCE, "resting": fleet.NEVER}
SHOWN = {"template": "holm, template alone", "resting": "holm, with a resting isolate", "workerd": "workerd"}


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Leaves the MiB that one of Holm's functions takes with a resting isolate in `options.function_mib`, unless it is given.
    Returns whether one of Holm's functions did not stay."""
    few, many = max(options.functions // SHARE, 1), options.functions
    print(f"\nmemory: all processes of the server with {many} functions that were asked once, less that with "
          f"{few},\n  for each of the {many - few} more", flush=True)
    failed = False
    own, everything = {}, {}
    for name in SHOWN:
        taken = {}
        for count in (few, many):
            taken[count], gone = with_functions(name, count, options, folder / f"{name}-{count}")
            print(f"  {SHOWN[name]:28} {count:4} functions: {taken[count].own_mib:8.1f} MiB private and page tables, "
                  f"{taken[count].all_mib:8.1f} MiB every page once, {taken[count].processes} processes", flush=True)
            if gone:
                print(f"  FAILED: {name}: {gone} of {count} functions were no longer there when they were asked again")
                failed |= name != "workerd"
        own[name] = (taken[many].own_mib - taken[few].own_mib) / (many - few)
        everything[name] = (taken[many].all_mib - taken[few].all_mib) / (many - few)
    print()
    for name, shown in SHOWN.items():
        print(f"  {shown:28} {own[name]:6.3f} MiB private and page tables, {everything[name]:6.3f} MiB every page once")
    for name in STATES:
        state = SHOWN[name].removeprefix("holm, ")
        table.at_most(f"memory per idle function, {state}: private + page tables ÷ workerd's",
                      own[name] / own["workerd"], AIM)
        table.at_most(f"memory per idle function, {state}: every page once + page tables ÷ workerd's",
                      everything[name] / everything["workerd"], AIM)
    # What budgets and operators see is the larger of the two.
    options.function_mib = options.function_mib or max(own["resting"], everything["resting"])
    return failed


def with_functions(name: str, count: int, options: argparse.Namespace, folder: Path) -> tuple[processes.Memory, int]:
    """Memory after one request to each of them, and how many had to be started again for a second one."""
    if name == "workerd":
        server = fleet.workerd(folder, fleet.NUMBERED)
    else:
        server = fleet.holm(options.holm, folder, fleet.NUMBERED, count, STATES[name])
    with server:
        fleet.start(server)
        ask_all(server, count)
        fleet.settle(server)
        held = fleet.held(server)
        ask_all(server, count)
        again = fleet.loaded(server) - count if name == "workerd" else 0
    if name == "resting":
        # The server has ended, so the log is complete. The last `count` records are the second ones.
        again = sum(cold for _, cold in fleet.cold_starts(server)[-count:])
    if name == "template" and held.processes < count:
        again = count - held.processes
    return held, again


def ask_all(server: Server, count: int) -> None:
    with client.Client(server.port) as connection:
        for number in range(count):
            connection.ask(number)
