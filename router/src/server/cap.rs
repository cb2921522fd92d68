//! What the log says of connections that are refused: that it begins, and now and then that it goes
//! on. A line for each would be a flood of another kind.

use std::time::{Duration, Instant};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// Counts what is refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    said: Option<Instant>,
    untold: u64,
}

impl Refused {
    /// Counts one. Returns how many there were since the last line, if it is time for one.
    pub(super) fn one(&mut self, now: Instant) -> Option<u64> {
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
        let mut refused = Refused::default();
        let began = Instant::now();
        // A hundred a second for a minute.
        let told: Vec<u64> = (0..6000)
            .filter_map(|n| refused.one(began + n * Duration::from_millis(10)))
            .collect();
        assert_eq!(told, [1, 1000, 1000, 1000, 1000, 1000]);
        // The rest is in the next line, whenever that is.
        let later = began + Duration::from_secs(3600);
        assert_eq!(refused.one(later), Some(1000));
        assert_eq!(refused.one(later), None);
    }
}
