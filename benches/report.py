"""How the benches print: the machine, a median with its spread, whether an aim was met."""

import argparse
import math
import os
import platform
import re
import resource
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Callable

import client
import h2load
import secure
import servers
import wrk

FAILURES = (servers.StartError, wrk.WrkError, h2load.H2loadError, secure.CertificateError, client.AnswerError, OSError)


def machine(names: list[str], holm: Path) -> None:
    """Prints what the figures were taken on: the machine, and the version of each server."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    print(f"machine: {cpu[1] if cpu else platform.machine()}, {cores()} cores, {memory:.0f} GiB, "
          f"Linux {platform.release()}, load {load:.1f}")
    if load > 0.5:
        print("  something else is running: the figures will be worse and less steady than they could be")
    for name in names:
        print(f"  {name:8} {servers.version(name, holm)}")


def cores() -> int:
    """Those that this process, and so what it starts, may use."""
    return len(os.sched_getaffinity(0))


def spread(values: list[float], form: str) -> str:
    """Median (smallest–largest)."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that is not exceeded by `percent` of 100."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def verdict(met: bool) -> str:
    return "met" if met else "missed"


class Table:
    """The figures of a run, each beside its aim. What is added is printed at once, and all of it again by `show`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def at_most(self, what: str, value: float, aim: float, unit: str = "", form: str = ".2f") -> None:
        self.add(what, f"{value:{form}}{unit}", f"≤ {aim:,g}{unit}", value <= aim)

    def at_least(self, what: str, value: float, aim: float, unit: str = "", form: str = ".2f") -> None:
        self.add(what, f"{value:{form}}{unit}", f"≥ {aim:,g}{unit}", value >= aim)

    def without_aim(self, what: str, value: float, unit: str = "", form: str = ".2f") -> None:
        shown = f"{value:{form}}{unit}"
        self.rows.append((what, shown, "none", ""))
        print(f"  → {what}: {shown} (no aim)", flush=True)

    def add(self, what: str, shown: str, aim: str, met: bool) -> None:
        self.rows.append((what, shown, aim, verdict(met)))
        print(f"  → {what}: {shown} (aim: {aim}; {verdict(met)})", flush=True)

    def failed(self, what: str) -> None:
        """A figure that could not be taken."""
        self.rows.append((what, "-", "", "FAILED"))

    def show(self) -> None:
        heads = ("figure", "here", "aim", "")
        widths = [max(len(row[column]) for row in (heads, *self.rows)) for column in range(3)]
        print()
        for what, shown, aim, met in (heads, *self.rows):
            print(f"  {what:{widths[0]}}  {shown:>{widths[1]}}  {aim:>{widths[2]}}  {met}")


# A part of the run: measures into the table, with files of its own in the folder; returns whether a request failed.
Part = Callable[[argparse.Namespace, Path, Table], bool]


def run(parts: dict[str, Part], options: argparse.Namespace, table: Table) -> bool:
    """Measures one part after the other; one that fails does not keep the others from running. Returns whether one failed."""
    # Told to end, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = False
    for name, part in parts.items():
        with tempfile.TemporaryDirectory(prefix=f"holm-{name}-") as folder:
            try:
                failed |= part(options, Path(folder) / name, table)
            except FAILURES as error:
                print(f"  FAILED: {error}", file=sys.stderr, flush=True)
                table.failed(name)
                failed = True
    return failed


def script(name: str, part: Part, options: argparse.Namespace, names: list[str]) -> int:
    """The whole of a script with one part; returns its exit code."""
    machine(names, options.holm)
    table = Table()
    failed = run({name: part}, options, table)
    return 1 if failed else 0


def at_least(least: int) -> Callable[[str], int]:
    """For argparse: a whole number, or a larger one."""
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)
    return number


def parts_option(parser: argparse.ArgumentParser, parts: list[str]) -> None:
    """Adds `--only`: names of parts, in their order; all of them without it."""
    def named(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in parts:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(parts)}")
        return [name for name in parts if name in names]
    parser.add_argument("--only", type=named, default=parts, metavar="PART[,PART]",
                        help=f"which parts (default: all of {', '.join(parts)})")


def require_descriptors(clients: int) -> None:
    """Lets this process have as many connections, or ends it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < clients + 200:
        sys.exit(f"{clients} clients take more descriptors than the {most} that RLIMIT_NOFILE allows")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def holm_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--holm`; without it the release build is measured."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", servers.BENCHES.parent / "target"))
    parser.add_argument("--holm", type=Path, default=target / "release" / "holm", help="the program to measure")


def require_holm(parser: argparse.ArgumentParser, holm: Path) -> None:
    if not holm.is_file():
        parser.error(f"{holm} is missing: run cargo build --release")
