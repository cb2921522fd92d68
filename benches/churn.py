"""How many functions a core starts, lets answer and ends per second: Holm, and workerd's loads."""

import argparse
import statistics
import time
from pathlib import Path

import fleet
import processes
import servers
import zipf
from report import Table, spread

AIM = 4.0  # Holm's functions per second and core to workerd's: at least
# Enough that an isolate has ended by the time its function is asked again.
FUNCTIONS = 256
LOADS = 0.1  # workerd loads so many for each of Holm's requests; it keeps them all


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether a request to Holm failed, or too many met an isolate that ran."""
    starts, loads = options.starts, max(round(options.starts * LOADS), 10)
    print(f"\nchurn: functions started, answered and ended per second on one core; {zipf.CLIENTS} connections, "
          f"{options.rounds} rounds of {starts} requests to Holm's\n  {FUNCTIONS} functions in turn, and of {loads} to new ones of "
          "workerd's", flush=True)
    rates: dict[str, list[float]] = {"holm": [], "workerd": []}
    failed = False
    with servers.OneCore() as core:
        holm = core.start(lambda: fleet.holm(options.holm, folder / "holm", fleet.NUMBERED, FUNCTIONS, fleet.AT_ONCE))
        with holm, core.start(lambda: fleet.workerd(folder / "workerd", fleet.NUMBERED)) as workerd:
            fleet.start(holm)
            fleet.start(workerd)
            at_rest = len(processes.family(holm.process.pid))
            for number in range(options.rounds):
                ours = [place % (FUNCTIONS - 1) + 1 for place in range(starts)]  # not 0, which keeps an isolate
                theirs = list(range(1 + number * loads, 1 + (number + 1) * loads))
                for name, server, numbers in (("holm", holm, ours), ("workerd", workerd, theirs)):
                    began = time.perf_counter()
                    load = zipf.send(server, numbers)
                    rates[name].append(len(numbers) / (time.perf_counter() - began))
                    for what, count in load.failed.items():
                        print(f"  FAILED: {name}: {count} times: {what}")
                        failed |= name == "holm"
                print(f"  round {number + 1}  " + "  ".join(f"{name} {taken[-1]:8,.0f}/s" for name, taken in rates.items()),
                      flush=True)
            fleet.settle(holm)
            left = len(processes.family(holm.process.pid)) - at_rest
            loaded = fleet.loaded(workerd) - 1
    # The server has ended, so the log is complete.
    cold = [was_cold for _, was_cold in fleet.cold_starts(holm)[-starts * options.rounds:]]
    share = sum(cold) / max(len(cold), 1)
    print(f"  holm: {share:.1%} of {len(cold)} requests had an isolate started for them, {left} processes more than before are "
          f"left; workerd loaded {loaded}")
    if loaded != loads * options.rounds:
        print(f"  workerd loaded {loaded} functions, not {loads * options.rounds}: its figures are not those of loads")
    # Only those that were started count.
    ratios = [ours * share / theirs for ours, theirs in zip(rates["holm"], rates["workerd"])]
    print(f"  holm / workerd: {spread(ratios, '.2f')}")
    table.at_least("functions started, answered and ended per second and core ÷ workerd's loads",
                   statistics.median(ratios), AIM)
    return failed or len(cold) != starts * options.rounds
