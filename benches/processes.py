"""What a server's processes use, all of them together: Holm's functions run in processes of their own."""

import os
from pathlib import Path


def family(pid: int) -> list[int]:
    """`pid`, and all that were started or forked below it and still run."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    all_of_them, new = [], [pid]
    while new:
        all_of_them += new
        new = [child for parent in new for child in children.get(parent, [])]
    return all_of_them


def stat(pid: int) -> list[str]:
    """The fields of proc(5) behind the name, from the state on; none if the process is gone."""
    try:
        # The name in field 2 may hold spaces.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu(pid: int) -> float:
    """CPU seconds so far, user and system, of all threads of the processes that still run."""
    ticks = 0
    for one in family(pid):
        fields = stat(one)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[int, int]:
    """Private memory and page tables of the processes that still run, in KiB. Reading others' needs root."""
    private = tables = 0
    for one in family(pid):
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        private += sum_of(rollup, ("Private_Clean:", "Private_Dirty:"))
        tables += sum_of(status, ("VmPTE:",))
    return private, tables


def sum_of(text: str, keys: tuple[str, ...]) -> int:
    """The sum of the lines with these keys, in KiB."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(keys))
