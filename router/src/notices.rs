//! What the log says of connections that are refused or ended in a flood: that it begins, and now and
//! then that it goes on. A line for each would be a flood of another kind.

use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    said: Option<Instant>,
    untold: u64,
}

impl Notices {
    /// Counts one. Returns how many there were since the last line, if it is time for one.
    pub(crate) fn one(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let is_due = self
            .said
            .is_none_or(|said| now.saturating_duration_since(said) >= EVERY);
        is_due.then(|| {
            self.said = Some(now);
            std::mem::take(&mut self.untold)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_that_leave_nobody_out() {
        let mut notices = Notices::default();
        let began = Instant::now();
        // A hundred a second for a minute.
        let told: Vec<u64> = (0..6000)
            .filter_map(|n| notices.one(began + n * Duration::from_millis(10)))
            .collect();
        assert_eq!(told, [1, 1000, 1000, 1000, 1000, 1000]);
        // The rest is in the next line, whenever that is.
        let later = began + Duration::from_secs(3600);
        assert_eq!(notices.one(later), Some(1000));
        assert_eq!(notices.one(later), None);
    }
}
