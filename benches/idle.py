#!/usr/bin/env python3
"""Has thousands of functions alive and idle at once, and asks all of them again.

README.md beside this file says how to read the output.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import client
import fleet
import processes
import report
import servers
from report import Table

FEW = 20  # what the server takes without functions is known from one with so many
SPARE_MIB = 1024  # that must be left to the system, or the run stops
START_DEADLINE = 900.0  # seconds; every function is started once before the server listens
LOOK = 100  # requests between two looks at the memory
# Descriptors in the edge for each process, and what it has beside: what is known beforehand of a bound.
DESCRIPTORS = 2


def measure(options: argparse.Namespace, folder: Path, table: Table) -> bool:
    """Returns whether fewer were alive than asked for."""
    count = options.functions
    print(f"\nidle: {count:,} functions alive, each asked once, " + (
        "as templates alone" if options.templates else "each with a resting isolate"), flush=True)
    each = 1 if options.templates else 2
    for line in bounds(count, each):
        print(f"  {line}", flush=True)
    few, _, _ = alive(options, folder / "few", FEW)
    held, asked, again = alive(options, folder / "many", count)
    mib = (held.all_mib - few.all_mib) / max(asked - FEW, 1)
    print(f"  {held.processes:,} processes hold {held.all_mib:,.0f} MiB: {mib:.3f} MiB for each function")
    table.add(f"{count:,} idle functions alive", f"{again:,} at {mib:.2f} MiB", f"{count:,}", again == count)
    return again < count


def bounds(count: int, each: int) -> list[str]:
    """What of the system is likely to end it earlier."""
    needed = count * each
    used = sum(entry.name.isdigit() for entry in Path("/proc").iterdir())
    found = []
    for name, limit in (("kernel.pid_max", int(Path("/proc/sys/kernel/pid_max").read_text())),
                        ("kernel.threads-max", int(Path("/proc/sys/kernel/threads-max").read_text())),
                        ("RLIMIT_NPROC", resource.getrlimit(resource.RLIMIT_NPROC)[1])):
        if limit != resource.RLIM_INFINITY and needed + used > limit:
            found.append(f"bound: {name} is {limit:,}, and {needed:,} processes are wanted beside the {used:,} there are")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if files != resource.RLIM_INFINITY and needed * DESCRIPTORS > files:
        found.append(f"bound: RLIMIT_NOFILE is {files:,}, and about {needed * DESCRIPTORS:,} descriptors are wanted")
    return found


def alive(options: argparse.Namespace, folder: Path, count: int) -> tuple[processes.Memory, int, int]:
    """Memory of all processes once functions 0 to `count` - 1 were asked, how many of them were asked before a bound of the
    system was met, and how many of those answered again without having been started for it."""
    idle = fleet.AT_ONCE if options.templates else fleet.NEVER
    started = time.monotonic()
    server = fleet.holm(options.holm, folder, fleet.NUMBERED, count, idle)
    with server:
        await_start(server)
        print(f"  {count:,} functions: served after {time.monotonic() - started:.1f} s", flush=True)
        asked = ask_all(server, count)
        if asked < count:
            print(f"  stopped at {asked:,} of {count:,}", flush=True)
        fleet.settle(server)
        held = processes.memory(server.process.pid)
        again = ask_all(server, asked)
    said_of(server)
    if not options.templates and asked:
        # The server has ended, so the log is complete; its last records are those of the second time.
        cold = sum(was_cold for _, was_cold in fleet.cold_starts(server)[-again:]) if again else 0
        if cold:
            print(f"  {cold:,} of {again:,} were no longer there when they were asked again")
        again -= cold
    elif held.processes < asked:
        print(f"  {asked - held.processes:,} templates were no longer there")
        again = min(again, held.processes)
    return held, asked, again


def await_start(server: servers.Server) -> None:
    """Waits for the first answer, and ends the server if the system has no memory left meanwhile."""
    until = time.monotonic() + START_DEADLINE
    while True:
        try:
            with client.Client(server.port) as connection:
                connection.ask(0)
            return
        except (OSError, client.AnswerError) as error:
            if server.process.poll() is not None:
                raise servers.StartError(f"holm ended with {server.process.returncode}:\n{server.said()}") from error
            if processes.available_mib() < SPARE_MIB:
                raise servers.StartError(f"bound: memory; less than {SPARE_MIB} MiB are left while it starts") from error
            if time.monotonic() > until:
                raise servers.StartError(f"holm did not answer in {START_DEADLINE:.0f} s:\n{server.said()}") from error
        time.sleep(0.2)


def ask_all(server: servers.Server, count: int) -> int:
    """Asks one function after the other; returns how many answered before one did not, or memory was short."""
    with client.Client(server.port) as connection:
        for number in range(count):
            if number % LOOK == 0 and processes.available_mib() < SPARE_MIB:
                print(f"  bound: memory; less than {SPARE_MIB} MiB are left to the system")
                return number
            try:
                connection.ask(number)
            except client.AnswerError as error:
                print(f"  {error}")
                return number
    return count


def said_of(server: servers.Server) -> None:
    """What the server's log warns of: it names the bound that it has met."""
    seen: dict[str, int] = {}
    for line in server.log.read_text(errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            record = {"level": "error", "msg": line[:200]}
        if record.get("level") in ("warn", "error"):
            said = " ".join(str(record[key]) for key in record if key not in ("type", "time", "level", "function"))
            seen[said[:300]] = seen.get(said[:300], 0) + 1
    for said, count in list(seen.items())[:5]:
        print(f"  log, {count} times: {said}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--functions", type=report.at_least(FEW + 1), default=10_000, help="how many (default: 10000)")
    parser.add_argument("--templates", action="store_true", help="isolates end at once: functions wait as templates alone")
    report.holm_option(parser)
    options = parser.parse_args()
    report.require_holm(parser, options.holm)
    return options


if __name__ == "__main__":
    sys.exit(report.script("idle", measure, arguments(), ["holm"]))
