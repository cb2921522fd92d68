"""What a server's processes use, all of them together: Holm's functions run in processes of their own."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Memory:
    """Memory of several processes, in KiB."""

    processes: int = 0
    private: int = 0  # pages that one process alone has mapped
    shared: int = 0  # a page that several have counts once, shared out between them (proportional set size); private ones too
    tables: int = 0  # page tables, which the kernel keeps for each process

    @property
    def own_mib(self) -> float:
        """Private pages and page tables, in MiB. What forked copies still share is in none of them."""
        return (self.private + self.tables) / 1024

    @property
    def all_mib(self) -> float:
        """Every page once, and page tables, in MiB: what the system would have back if all of them ended."""
        return (self.shared + self.tables) / 1024


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


def title(pid: int) -> str:
    """What a process calls itself; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def cpu_of_each(pid: int) -> dict[int, float]:
    """CPU seconds so far, user and system, of all threads, by process."""
    seconds = {}
    for one in family(pid):
        fields = stat(one)
        if fields:
            seconds[one] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def cpu(pid: int) -> float:
    """CPU seconds so far of the processes that still run. Those that have ended took theirs along: nobody waits for them, so
    the kernel adds their times to no parent's. What starts and ends many is measured on a core of its own instead."""
    return sum(cpu_of_each(pid).values())


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU seconds between two looks, of the processes that there were at the second."""
    return sum(seconds - before.get(one, 0.0) for one, seconds in after.items())


def memory(pid: int) -> Memory:
    """Memory of all of the server's processes that still run. Reading others' needs root."""
    return memory_of(family(pid))


def memory_of(pids: list[int]) -> Memory:
    taken = Memory()
    for one in pids:
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue
        taken.processes += 1
        taken.private += sum_of(rollup, ("Private_Clean:", "Private_Dirty:"))
        taken.shared += sum_of(rollup, ("Pss:",))
        taken.tables += sum_of(status, ("VmPTE:",))
    return taken


def sum_of(text: str, keys: tuple[str, ...]) -> int:
    """The sum of the lines with these keys, in KiB."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(keys))


def available_mib() -> float:
    """What the system can still give to processes, in MiB."""
    return sum_of(Path("/proc/meminfo").read_text(), ("MemAvailable:",)) / 1024
