//! How many requests ended how.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use holm_model::outcome::Outcome;

/// One counter for each outcome, since the process started.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; Outcome::ALL.len()]);

impl Counters {
    /// One more request ended like this.
    pub(super) fn count(&self, outcome: Outcome) {
        let place = Outcome::ALL.iter().position(|other| *other == outcome);
        if let Some(counter) = place.and_then(|place| self.0.get(place)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// `ok 12, exceededCpu 1`: those that occurred, in the order of the documentation.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (outcome, counter) in Outcome::ALL.iter().zip(&self.0) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                write!(f, "{separator}{outcome} {count}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("none")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_occurred_is_named() {
        let counters = Counters::default();
        assert_eq!(counters.to_string(), "none");
        for outcome in [Outcome::ExceededCpu, Outcome::Ok, Outcome::Ok] {
            counters.count(outcome);
        }
        assert_eq!(counters.to_string(), "ok 2, exceededCpu 1");
    }
}
