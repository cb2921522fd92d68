//! What the server under test writes to stderr: one JSON document per line.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a line that must come may take.
const LINE_DEADLINE: Duration = Duration::from_secs(15);

/// Everything logged so far.
#[derive(Clone, Debug, Default)]
struct Lines {
    json: Vec<Value>,
    /// Lines that are no JSON object: panics, V8's last words, our own mistakes.
    other: Vec<String>,
    ended: bool,
}

/// A log that is being read.
pub(crate) struct Log {
    lines: watch::Receiver<Lines>,
    stray_told: AtomicUsize,
    reader: JoinHandle<()>,
}

impl Log {
    /// Reads `stream` line by line until it ends.
    pub(crate) fn follow(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, lines) = watch::channel(Lines::default());
        let reader = tokio::spawn(async move {
            let mut input = BufReader::new(stream).lines();
            // A read error ends the log as its end does: the process is gone either way.
            while let Ok(Some(line)) = input.next_line().await {
                sender.send_modify(|lines| match serde_json::from_str::<Value>(&line) {
                    Ok(value) if value.is_object() => lines.json.push(value),
                    _ => lines.other.push(line),
                });
            }
            sender.send_modify(|lines| lines.ended = true);
        });
        Self {
            lines,
            stray_told: AtomicUsize::new(0),
            reader,
        }
    }

    /// Waits for the `nth` line (from 0) that `accept` takes.
    pub(crate) async fn nth(
        &self,
        what: &str,
        nth: usize,
        mut accept: impl FnMut(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let mut lines = self.lines.clone();
        let mut read = 0;
        let mut found = 0;
        let search = async {
            loop {
                {
                    let seen = lines.borrow_and_update();
                    for line in seen.json.iter().skip(read) {
                        if accept(line) {
                            if found == nth {
                                return Some(line.clone());
                            }
                            found += 1;
                        }
                    }
                    read = seen.json.len();
                    if seen.ended {
                        return None;
                    }
                }
                if lines.changed().await.is_err() {
                    return None;
                }
            }
        };
        match tokio::time::timeout(LINE_DEADLINE, search).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("the log ended without {what}\n{}", self.tail()),
            Err(_) => bail!(
                "no {what} in the log after {LINE_DEADLINE:?}\n{}",
                self.tail()
            ),
        }
    }

    /// Waits for the first line that `accept` takes.
    pub(crate) async fn first(
        &self,
        what: &str,
        accept: impl FnMut(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        self.nth(what, 0, accept).await
    }

    /// Every request record logged so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.lines
            .borrow()
            .json
            .iter()
            .filter(|line| is_record(line))
            .cloned()
            .collect()
    }

    /// Every event of a level logged so far.
    pub(crate) fn events(&self, level: &str) -> Vec<Value> {
        self.lines
            .borrow()
            .json
            .iter()
            .filter(|line| line["type"] == "event" && line["level"] == level)
            .cloned()
            .collect()
    }

    /// Lines that are not JSON and came since this was last asked: there should be none. Told
    /// once, so that of the cases that share a server the nearest one fails, not all that follow.
    pub(crate) fn take_stray(&self) -> Vec<String> {
        let lines = self.lines.borrow();
        let told = self.stray_told.swap(lines.other.len(), Ordering::Relaxed);
        lines.other.iter().skip(told).cloned().collect()
    }

    /// The last lines, for an error message.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines.borrow();
        let json = lines.json.iter().map(Value::to_string);
        let all: Vec<String> = json.chain(lines.other.iter().cloned()).collect();
        let skipped = all.len().saturating_sub(4);
        all.into_iter()
            .skip(skipped)
            .fold(String::from("log:"), |text, line| {
                let cut: String = line.chars().take(1_200).collect();
                text + "\n  | " + &cut
            })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// CPU time that these records say was charged.
pub(crate) fn charged<'a>(
    records: impl IntoIterator<Item = &'a Value>,
) -> anyhow::Result<Duration> {
    let mut charged = Duration::ZERO;
    for record in records {
        let micros = record["cpuUs"].as_u64();
        charged += Duration::from_micros(micros.with_context(|| record.to_string())?);
    }
    Ok(charged)
}

/// Whether a line is the record of a request.
pub(crate) fn is_record(line: &Value) -> bool {
    line["type"] == "request"
}

/// The host of a record, without a port.
pub(crate) fn record_host(record: &Value) -> &str {
    let host = record["host"].as_str().unwrap_or_default();
    host.split_once(':').map_or(host, |(name, _)| name)
}

/// The path of a record, without a query.
pub(crate) fn record_path(record: &Value) -> &str {
    let path = record["path"].as_str().unwrap_or_default();
    path.split_once('?').map_or(path, |(path, _)| path)
}
