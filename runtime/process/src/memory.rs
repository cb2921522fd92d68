//! What another process holds in memory.
//!
//! A forked process shares most of its pages with the one that it was forked from, so what counts is what
//! is *private* to it, and its page tables, which are never shared (310 KiB of a cell: V8 puts each of
//! its pages at a random address).
//!
//! Page tables can be read of any process. Private memory cannot be read of one that is not dumpable, unless by
//! root; there, [`Resident`] is an upper bound: it counts shared copies, too. A [`Gauge`] that was opened
//! while the process was still dumpable goes on working, and can be passed to another process.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use crate::sys;

/// Bytes from which on a process is not asked exactly: the kernel looks at each of its pages for that, and what it
/// shares with others is little beside what it holds.
const LARGE: u64 = 16 << 20;

/// Bytes that process `pid` holds and no other one, with its page tables: exactly where that may be read in short
/// time, and at most where not.
///
/// # Errors
/// There is no such process any more, or no `/proc`.
pub fn own(pid: Pid) -> io::Result<u64> {
    let resident = Resident::of(pid)?;
    if resident.own() > LARGE {
        return Ok(resident.own());
    }
    match Gauge::of(pid).and_then(|gauge| gauge.private()) {
        Ok(private) => Ok(private + resident.page_tables),
        Err(_) => Ok(resident.own()),
    }
}

/// What a process was found to hold, with what it had touched by then: as long as it, or one that does the same, has
/// hardly touched more, that need not be read again. Reading it takes a millisecond, what was touched some µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// As of [`own`]. In bytes.
    pub own: u64,
    /// As of [`touched`]. In bytes.
    pub touched: u64,
}

/// Bytes that a process may have touched since a reading, at least, before it is read again.
const SLACK: u64 = 128 << 10;

impl Reading {
    /// Reads process `pid`.
    ///
    /// # Errors
    /// There is no such process any more, or no `/proc`.
    pub fn of(pid: Pid) -> io::Result<Self> {
        // First, so that what is touched meanwhile is taken for growth.
        let touched = touched(pid)?;
        let own = own(pid)?;
        Ok(Self { own, touched })
    }

    /// What a process holds that has touched `touched` bytes, at most, if this says enough of it. One that is not
    /// `settled` is taken to be on its way to where the one was that was read.
    pub fn covers(self, touched: u64, settled: bool) -> Option<u64> {
        let slack = SLACK.max(self.own / 8);
        let grown = touched.saturating_sub(self.touched);
        let lacks = self.touched.saturating_sub(touched);
        (grown <= slack && (lacks <= slack || !settled)).then_some(self.own + grown)
    }
}

/// What `/proc/PID/status` says of a process. In bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Memory without a file behind it that is in RAM, shared with other processes or not.
    pub anonymous: u64,
    /// Private writable memory that is mapped, in RAM or not: what `RLIMIT_DATA` bounds.
    pub data: u64,
    /// Page tables.
    pub page_tables: u64,
    /// Pages that the process has touched since it was forked, in bytes. Only those can be its own; some were
    /// given back since, or are a file's.
    pub touched: u64,
}

impl Resident {
    /// What the process holds that no other one has, at most: what it has touched of what is there, and its page
    /// tables.
    pub fn own(&self) -> u64 {
        self.anonymous.min(self.touched) + self.page_tables
    }
}

impl Resident {
    /// Reads it for process `pid`.
    ///
    /// # Errors
    /// There is no such process any more, or no `/proc`.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        // A process that has ended and is not waited for has no memory, and no such lines.
        let bytes = |key| sum(&status, &[key]).ok_or(io::ErrorKind::NotFound);
        Ok(Self {
            anonymous: bytes("RssAnon:")?,
            data: bytes("VmData:")?,
            page_tables: bytes("VmPTE:")?,
            touched: touched(pid)?,
        })
    }
}

/// Reads the private memory of one process, again and again.
#[derive(Debug)]
pub struct Gauge(File);

impl Gauge {
    /// The gauge of process `pid`.
    ///
    /// # Errors
    /// `PermissionDenied` if it is not dumpable, or another user's; there is no such process.
    pub fn of(pid: Pid) -> io::Result<Self> {
        Ok(Self(File::open(format!("/proc/{pid}/smaps_rollup"))?))
    }

    /// Bytes in RAM that no other process shares. Without page tables. The kernel looks at every page for
    /// that: it takes long for big processes, and holds them up while they map memory.
    ///
    /// # Errors
    /// The process is gone.
    pub fn private(&self) -> io::Result<u64> {
        let rollup = sys::read_from_start(&self.0)?;
        let keys = ["Private_Clean:", "Private_Dirty:", "Private_Hugetlb:"];
        sum(&rollup, &keys).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl From<OwnedFd> for Gauge {
    /// `fd` is a gauge that another process has passed.
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl From<Gauge> for OwnedFd {
    fn from(gauge: Gauge) -> Self {
        gauge.0.into()
    }
}

/// Bytes of the pages that process `pid` has had a fault for: never less than before.
///
/// # Errors
/// There is no such process any more, or no `/proc`.
pub fn touched(pid: Pid) -> io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields are counted behind the name, which may hold anything; minor and major faults.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = rest.split_ascii_whitespace();
    let mut count = |skip| fields.nth(skip)?.parse::<u64>().ok();
    let faults = count(7).zip(count(1)).map(|(minor, major)| minor + major);
    let faults = faults.ok_or(io::ErrorKind::NotFound)?;
    Ok(faults.saturating_mul(rustix::param::page_size() as u64))
}

/// The sum of the lines with these keys, which are in KiB. `None` if there is none of them.
fn sum(text: &str, keys: &[&str]) -> Option<u64> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(char::is_whitespace)?;
            let kib: u64 = value.trim_start().strip_suffix(" kB")?.parse().ok()?;
            keys.contains(&key).then_some(kib * 1024)
        })
        .reduce(|a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let this = rustix::process::getpid();
        let resident = Resident::of(this).expect("status");
        assert!(resident.touched > 0 && resident.own() > 0);
        assert!(resident.page_tables > 0 && resident.anonymous > 0 && resident.data > 0);
        let gauge = Gauge::of(this).expect("own gauge");
        let before = gauge.private().expect("private");
        let block = std::hint::black_box(vec![1_u8; 8 << 20]);
        assert!(gauge.private().expect("private") >= before + (block.len() as u64 * 3 / 4));
    }

    #[test]
    fn what_has_hardly_grown_is_not_read_again() {
        let reading = Reading {
            own: 1 << 20,
            touched: 2 << 20,
        };
        assert_eq!(reading.covers(2 << 20, true), Some(1 << 20));
        let more = 100 << 10;
        assert_eq!(
            reading.covers((2 << 20) + more, true),
            Some((1 << 20) + more)
        );
        assert_eq!(reading.covers((2 << 20) + 2 * more, false), None);
        // One that has touched less is either another kind, or has just begun.
        assert_eq!(reading.covers(1 << 20, true), None);
        assert_eq!(reading.covers(1 << 20, false), Some(1 << 20));
        // What is large may grow by more.
        let large = Reading {
            own: 80 << 20,
            touched: 80 << 20,
        };
        assert_eq!(large.covers(90 << 20, true), Some(90 << 20));
        assert_eq!(large.covers(91 << 20, true), None);
    }

    #[test]
    fn a_reading_covers_the_process_that_it_is_of() {
        let this = rustix::process::getpid();
        let reading = Reading::of(this).expect("own reading");
        assert!(reading.own > 0);
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let now = touched(this).expect("own faults");
        assert!(now >= reading.touched + block.len() as u64 / 2);
        assert_eq!(reading.covers(now, true), None);
    }

    #[test]
    fn lines_that_are_missing_are_not_zero() {
        assert_eq!(
            sum("VmPTE:\t      44 kB\nThreads:\t1\n", &["VmPTE:"]),
            Some(44 << 10)
        );
        assert_eq!(sum("Threads:\t1\n", &["VmPTE:"]), None);
    }
}
