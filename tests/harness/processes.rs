//! The processes of a server, as the system's tables show them.
//!
//! ```text
//! edge                      the process that the tests started
//!  └ holm: zygote           makes a process group of its own, which all others inherit
//!     ├ holm: NAME, template
//!     │  └ holm: NAME       a cell
//!     └ holm: NAME          a cell of a function that is not copied
//! ```
//!
//! Parents do not tell whose a process is: a cell lives on when its template has gone, and has another parent
//! then. Its group does: that of the zygote that it comes from, also when that is gone. A server has as many
//! groups as it has had zygotes; each is remembered from the first look at it. Nothing of this needs more
//! rights than any user has; reading what a process holds does, and is less exact without them.

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;

use super::program;

/// What a process is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// All others are forked from it.
    Zygote,
    /// A function that has started, to be copied.
    Template,
    /// It compiles a script.
    Compiler,
    /// It answers requests.
    Cell,
}

/// A process that lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) kind: Kind,
    /// The function's name; what `ps` shows, of others.
    pub(crate) name: String,
    pub(crate) pid: u32,
}

/// The process groups of one server.
#[derive(Debug)]
pub(crate) struct Family {
    edge: u32,
    groups: Mutex<BTreeSet<u32>>,
}

/// What `/proc/PID/stat` says (proc_pid_stat(5)).
struct Entry {
    pid: u32,
    parent: u32,
    group: u32,
    has_ended: bool,
}

impl Family {
    /// Of the server whose first process is `edge`.
    pub(crate) fn of(edge: u32) -> Self {
        Self {
            edge,
            groups: Mutex::default(),
        }
    }

    /// All but the edge, in order. What has ended and was not waited for is not among them.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Process>> {
        let entries = entries()?;
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        // Until it has its group, the zygote is in that of the edge.
        let zygotes = entries
            .iter()
            .filter(|entry| entry.parent == self.edge && is_zygote(entry.pid));
        groups.extend(zygotes.map(|entry| entry.pid));
        let mut all: Vec<_> = entries
            .iter()
            .filter(|entry| !entry.has_ended)
            .filter(|entry| groups.contains(&entry.group) || groups.contains(&entry.pid))
            .filter_map(|entry| process(entry.pid))
            .collect();
        all.sort();
        Ok(all)
    }

    /// Those of one kind.
    pub(crate) fn kind(&self, kind: Kind) -> anyhow::Result<Vec<Process>> {
        let mut all = self.all()?;
        all.retain(|process| process.kind == kind);
        Ok(all)
    }

    /// The zygote, if there is one.
    pub(crate) fn zygote(&self) -> anyhow::Result<Option<u32>> {
        Ok(self.kind(Kind::Zygote)?.last().map(|process| process.pid))
    }

    /// The cells of a function.
    pub(crate) fn cells(&self, name: &str) -> anyhow::Result<Vec<u32>> {
        self.of_kind(Kind::Cell, name)
    }

    /// The templates of a function: one, or two while one takes the place of another.
    pub(crate) fn templates(&self, name: &str) -> anyhow::Result<Vec<u32>> {
        self.of_kind(Kind::Template, name)
    }

    fn of_kind(&self, kind: Kind, name: &str) -> anyhow::Result<Vec<u32>> {
        let mut processes = self.kind(kind)?;
        processes.retain(|process| process.name == name);
        Ok(processes.into_iter().map(|process| process.pid).collect())
    }

    /// Children of the edge that have ended, and that it has not waited for.
    pub(crate) fn unreaped(&self) -> anyhow::Result<usize> {
        let entries = entries()?;
        let unreaped = entries
            .iter()
            .filter(|entry| entry.has_ended && entry.parent == self.edge);
        Ok(unreaped.count())
    }

    /// Bytes that all processes hold together, with the edge: memory that is in no file, and page tables. Pages
    /// that several share count once, if the tests may read that; else once for each.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let others = self.memory_of_each()?.into_iter();
        Ok(self.memory_of_edge()? + others.map(|(_, held)| held).sum::<u64>())
    }

    /// What each holds, but the edge.
    pub(crate) fn memory_of_each(&self) -> anyhow::Result<Vec<(Process, u64)>> {
        // It may end while it is looked at.
        let held = |process: Process| held(process.pid).ok().map(|held| (process, held));
        Ok(self.all()?.into_iter().filter_map(held).collect())
    }

    /// What the edge holds.
    pub(crate) fn memory_of_edge(&self) -> anyhow::Result<u64> {
        held(self.edge)
    }
}

/// CPU time that the threads of a process have had, to the nanosecond. Threads that have ended are not in it.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    program::cpu_of_threads(pid, |_| true)
}

/// How many files a process has open.
pub(crate) fn files(pid: u32) -> anyhow::Result<usize> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    Ok(files.context("cannot read open files")?.count())
}

/// Whether a process runs. One that has ended stays in the table until its parent has asked.
pub(crate) fn is_alive(pid: u32) -> bool {
    entry(pid).is_some_and(|entry| !entry.has_ended)
}

/// Bytes of one process: see [`Family::memory`].
fn held(pid: u32) -> anyhow::Result<u64> {
    let tables = program::memory(pid, "VmPTE")?;
    let own = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(rollup) => kib(&rollup, "Pss_Anon:") + kib(&rollup, "Pss_Shmem:"),
        // It belongs to another user as far as the system is concerned, since nobody may trace it.
        Err(_) => program::memory(pid, "RssAnon")?,
    };
    Ok(tables + own)
}

/// Bytes of a line of a table in KiB; 0 without the line.
fn kib(table: &str, key: &str) -> u64 {
    let line = table.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

fn entries() -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for file in fs::read_dir("/proc")? {
        let name = file?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        // It may end while it is looked at.
        entries.extend(pid.and_then(entry));
    }
    Ok(entries)
}

fn entry(pid: u32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the short name in parentheses, and may have anything in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split_ascii_whitespace().take(3).collect();
    let [state, parent, group] = fields[..] else {
        return None;
    };
    Some(Entry {
        pid,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
        has_ended: matches!(state, "Z" | "X"),
    })
}

/// What `ps` shows of a process, without what all of them begin with.
fn title(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let line = line.trim_end_matches(['\0', ' ']).strip_prefix("holm: ")?;
    Some(line.to_owned())
}

fn is_zygote(pid: u32) -> bool {
    title(pid).is_some_and(|title| kind(&title).0 == Kind::Zygote)
}

/// What a process is called for, and its function.
fn kind(title: &str) -> (Kind, &str) {
    // The zygote is started with an argument, which is written over when it serves.
    match title.split(['\0', ' ']).next() {
        Some("zygote") => return (Kind::Zygote, title),
        Some("compiler") => return (Kind::Compiler, title),
        Some(_) | None => {}
    }
    match title.strip_suffix(", template") {
        Some(name) => (Kind::Template, name),
        None => (Kind::Cell, title),
    }
}

fn process(pid: u32) -> Option<Process> {
    let title = title(pid)?;
    let (kind, name) = kind(&title);
    Some(Process {
        kind,
        name: name.to_owned(),
        pid,
    })
}
