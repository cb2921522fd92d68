//! How many requests that the edge has turned away leave a record.
//!
//! They cost their clients next to nothing, and anybody can send any number of them. So the records of
//! those that no isolate has seen are bounded in rate, apart from all others: what is over is counted,
//! and a line says so now and then.

use std::time::Duration;
use std::time::Instant;

/// Records that are written in a second.
const RATE: u32 = 100;

/// Records that are written at once, after a while with fewer.
const BURST: u32 = 1_000;

/// Between two lines that say what was left out.
const EVERY: Duration = Duration::from_secs(10);

/// A token bucket, and what ran over.
#[derive(Debug)]
pub(super) struct Flood {
    /// When the bucket was, or will be, empty; it fills with time.
    empty: Instant,
    left_out: u64,
    said: Option<Instant>,
}

impl Flood {
    /// With a full bucket.
    pub(super) fn new(now: Instant) -> Self {
        let full = Duration::from_secs(1) / RATE * BURST;
        Self {
            empty: now.checked_sub(full).unwrap_or(now),
            left_out: 0,
            said: None,
        }
    }

    /// Whether one more is written; if not, it is counted.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / RATE;
        let fullest = now.checked_sub(each * BURST).unwrap_or(self.empty);
        let next = self.empty.max(fullest) + each;
        let is_admitted = next <= now;
        if is_admitted {
            self.empty = next;
        } else {
            self.left_out += 1;
        }
        is_admitted
    }

    /// How many were left out since this was last said, if it is time to say it.
    pub(super) fn due(&mut self, now: Instant) -> Option<u64> {
        let is_due = self
            .said
            .is_none_or(|said| now.saturating_duration_since(said) >= EVERY);
        if !is_due {
            return None;
        }
        let left_out = self.rest()?;
        self.said = Some(now);
        Some(left_out)
    }

    /// The same, whatever the time.
    pub(super) fn rest(&mut self) -> Option<u64> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out > 0).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_down_and_nobody_is_forgotten() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let (mut written, mut told) = (0, 0);
        // A thousand a second for a minute.
        for n in 0..60_000 {
            let now = start + n * Duration::from_millis(1);
            written += u64::from(flood.admit(now));
            told += flood.due(now).unwrap_or_default();
        }
        assert!((6_990..=7_000).contains(&written), "{written}");
        told += flood.rest().unwrap_or_default();
        assert_eq!(written + told, 60_000);
        assert_eq!(flood.rest(), None);
        // Long after it, all is as before.
        let later = start + Duration::from_secs(3_600);
        let admitted = (0..2_000).filter(|_| flood.admit(later)).count();
        assert_eq!(admitted, BURST as usize);
    }
}
