//! `holm top`.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::io::stdout;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use holm_model::visible::visible;

use super::Failure;
use super::admin;
use super::admin::Which;
use super::print;
use super::status::failed;
use super::status::head;
use super::table::bytes;
use super::table::quantile;
use super::table::table;
use crate::admin::status::FunctionStatus;
use crate::admin::status::Status;
use crate::admin::status::Totals;

/// Functions that are shown, the busiest first.
const ROWS: usize = 30;

/// Shows what a node does, again and again; once if nobody looks on.
pub(crate) fn run(which: &Which, interval: Duration) -> Result<(), Failure> {
    let client = which.client()?;
    let look = || admin::status(&client).map(|(_, status)| (Instant::now(), status));
    let is_watched = stdout().is_terminal();
    let mut before = look()?;
    loop {
        thread::sleep(interval);
        let now = look()?;
        let elapsed = now.0.duration_since(before.0).as_secs_f64();
        let page = page(&before.1, &now.1, elapsed);
        if !is_watched {
            return print::out(&page);
        }
        print::screen(&visible(&page), colour())?;
        before = now;
    }
}

fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none()
}

/// What happened between two looks, `elapsed` seconds apart.
fn page(before: &Status, now: &Status, elapsed: f64) -> String {
    let earlier: HashMap<&str, &FunctionStatus> = before
        .functions
        .iter()
        .map(|function| (function.name.as_str(), function))
        .collect();
    let mut lines: Vec<(f64, Vec<String>)> = now
        .functions
        .iter()
        .map(|function| {
            let earlier = earlier.get(function.name.as_str()).copied();
            line(earlier, function, &now.bounds_seconds, elapsed)
        })
        .collect();
    // The busiest first; those that are equal stay in the order of the file.
    lines.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let hidden = lines.len().saturating_sub(ROWS);
    let titles = [
        "FUNCTION", "REQ/S", "FAILED/S", "P50", "P99", "CPU", "ISOLATES", "BUSY", "QUEUE", "MEMORY",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(lines.into_iter().take(ROWS).map(|(_, row)| row));
    let mut text = head(now).join("\n");
    text.push_str("\n\n");
    text.push_str(&table(&rows).join("\n"));
    text.push('\n');
    if hidden > 0 {
        text.push_str(&format!("and {hidden} more\n"));
    }
    text
}

/// The row of a function, and what it is sorted by.
fn line(
    before: Option<&FunctionStatus>,
    now: &FunctionStatus,
    bounds: &[f64],
    elapsed: f64,
) -> (f64, Vec<String>) {
    let none = Totals::default();
    let first = before.and_then(|function| function.totals.as_ref());
    let (first, last) = (first.unwrap_or(&none), now.totals.as_ref().unwrap_or(&none));
    let rate = |of: &dyn Fn(&Totals) -> f64| (of(last) - of(first)).max(0.0) / elapsed;
    let requests = rate(&|totals| totals.requests as f64);
    let cpu = rate(&|totals| totals.cpu.seconds);
    let counts: Vec<u64> = last
        .wall
        .counts
        .iter()
        .enumerate()
        .map(|(at, count)| count.saturating_sub(first.wall.counts.get(at).copied().unwrap_or(0)))
        .collect();
    let isolates = now.isolates;
    let row = vec![
        now.name.clone(),
        format!("{requests:.1}"),
        format!("{:.1}", rate(&|totals| failed(totals) as f64)),
        quantile(0.5, bounds, &counts),
        quantile(0.99, bounds, &counts),
        format!("{:.1}%", cpu * 100.0),
        isolates.running().to_string(),
        (isolates.computing + isolates.waiting).to_string(),
        now.waiting.to_string(),
        bytes(now.memory_bytes),
    ];
    (requests + cpu, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(requests: u64, cpu: f64) -> Status {
        let mut totals = Totals {
            requests,
            ..Totals::default()
        };
        totals.outcomes.insert("ok".to_owned(), requests / 2);
        totals.outcomes.insert("crashed".to_owned(), requests / 2);
        totals.cpu.seconds = cpu;
        totals.wall.counts = vec![requests, 0];
        let busy = FunctionStatus {
            name: "busy".to_owned(),
            totals: Some(totals),
            ..FunctionStatus::default()
        };
        let quiet = FunctionStatus {
            name: "quiet".to_owned(),
            ..FunctionStatus::default()
        };
        Status {
            bounds_seconds: vec![0.001],
            functions: vec![quiet, busy],
            ..Status::default()
        }
    }

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let page = page(&status(100, 1.0), &status(300, 2.0), 2.0);
        let rows: Vec<Vec<&str>> = page
            .lines()
            .skip_while(|line| !line.starts_with("FUNCTION"))
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[1][..6],
            ["busy", "100.0", "50.0", "500us", "990us", "50.0%"]
        );
        assert_eq!(rows[2][..3], ["quiet", "0.0", "0.0"]);
    }
}
