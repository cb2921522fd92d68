//! Columns of text, and figures short enough for them.

use std::time::Duration;

/// Rows with the same number of cells, the first of which is set left and the others right.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// `231.0 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// `1.2ms`.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 => format!("{s:.0}s"),
        s if s >= 1.0 => format!("{s:.1}s"),
        s if s >= 0.01 => format!("{:.0}ms", s * 1e3),
        s if s >= 0.001 => format!("{:.1}ms", s * 1e3),
        s => format!("{:.0}us", s * 1e6),
    }
}

/// `3h 12min`, of the two greatest units.
pub(super) fn uptime(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.clamp(0.0, 1e12)).as_secs();
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole}s"),
        (0, 0, minutes) => format!("{minutes}min {}s", whole % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}min"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// The time that `share` of what is in the buckets did not exceed, about: within a bucket all are taken to be
/// spread evenly. In words, as what is over the last bound has none.
pub(super) fn quantile(share: f64, bounds: &[f64], counts: &[u64]) -> String {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return "-".to_owned();
    }
    let rank = share * all as f64;
    let mut below = 0.0;
    let mut floor = 0.0;
    for (bound, count) in bounds.iter().zip(counts) {
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return seconds(floor + (bound - floor) * ((rank - below) / count).clamp(0.0, 1.0));
        }
        below += count;
        floor = *bound;
    }
    format!(">{}", seconds(floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["NAME", "N"], ["a", "10"], ["longer", "1"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), ["NAME     N", "a       10", "longer   1"]);
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
        assert_eq!(
            [0.000_25, 0.0012, 0.05, 1.5, 30.0].map(seconds),
            ["250us", "1.2ms", "50ms", "1.5s", "30s"]
        );
        assert_eq!(
            [5.0, 65.0, 3_700.0, 90_000.0].map(uptime),
            ["5s", "1min 5s", "1h 1min", "1d 1h"]
        );
    }

    #[test]
    fn a_quantile_is_in_its_bucket() {
        let bounds = [0.001, 0.01, 0.1];
        assert_eq!(quantile(0.5, &bounds, &[0, 0, 0, 0]), "-");
        assert_eq!(quantile(0.5, &bounds, &[10, 0, 0, 0]), "500us");
        assert_eq!(quantile(0.99, &bounds, &[98, 0, 2, 0]), "55ms");
        assert_eq!(quantile(0.99, &bounds, &[1, 0, 0, 99]), ">100ms");
    }
}
