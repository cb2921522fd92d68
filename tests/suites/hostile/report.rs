//! What `make hostile` prints: how each case ended, and what its neighbour felt of it.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::harness::log::{record_host, record_path};

/// Names the file to add to.
const FILE: &str = "HOLM_HOSTILE_REPORT";

/// A file of lines with tabs: case, outcomes, slowest answer, the neighbour's 99th percentile
/// beside the case and by itself, how long the case computed after its last answer; times in milliseconds.
pub(super) struct Report(PathBuf);

impl Report {
    /// The one that the environment asks for.
    pub(super) fn wanted() -> Option<Self> {
        std::env::var_os(FILE).map(|path| Self(path.into()))
    }

    /// Adds a case. The neighbour's times, beside the case and by itself, are sorted; no `rest`: it never came.
    pub(super) fn add(
        &self,
        case: &str,
        times: &[Duration],
        records: &[Value],
        (neighbour, quiet): (&[Duration], &[Duration]),
        rest: Option<&Duration>,
    ) -> anyhow::Result<()> {
        let outcomes: BTreeSet<&str> = records
            .iter()
            .filter(|record| record_host(record) == super::HOST && record_path(record) != "/calm")
            .filter_map(|record| record["outcome"].as_str())
            .collect();
        let outcomes: Vec<&str> = outcomes.into_iter().collect();
        let slowest = times.iter().max().copied().unwrap_or_default();
        let line = format!(
            "{case}\t{}\t{:.1}\t{:.1}\t{:.1}\t{:.1}\n",
            outcomes.join("+"),
            milliseconds(slowest),
            milliseconds(p99(neighbour)),
            milliseconds(p99(quiet)),
            rest.map_or(f64::INFINITY, |rest| milliseconds(*rest)),
        );
        self.write(&line)
    }

    /// Adds what became of a node that had all cases: memory before and a minute later, in MiB, and processes.
    pub(super) fn add_node(
        &self,
        memory: (u64, u64),
        processes: (usize, usize),
    ) -> anyhow::Result<()> {
        let (before, after) = memory;
        let line = format!(
            "# memory of all processes: {before} MiB before, {after} MiB a minute later ({:.2}x); \
             processes: {} before, {} then\n",
            after as f64 / before as f64,
            processes.0,
            processes.1
        );
        self.write(&line)
    }

    fn write(&self, line: &str) -> anyhow::Result<()> {
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.0)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .with_context(|| format!("cannot write {}", self.0.display()))
    }
}

fn p99(sorted: &[Duration]) -> Duration {
    let index = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
