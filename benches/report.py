"""How the benches print: the machine, a median with its spread, whether an aim was met."""

import argparse
import math
import os
import platform
import re
import statistics
from pathlib import Path

import servers


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


def holm_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--holm`; without it the release build is measured."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", servers.BENCHES.parent / "target"))
    parser.add_argument("--holm", type=Path, default=target / "release" / "holm", help="the program to measure")


def require_holm(parser: argparse.ArgumentParser, holm: Path) -> None:
    if not holm.is_file():
        parser.error(f"{holm} is missing: run cargo build --release")
