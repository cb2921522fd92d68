//! A function that keeps getting stuck is not run for a while: each time costs the node a thread
//! and its memory until the process is restarted.

use std::time::Duration;
use std::time::Instant;

/// Stuck isolates within [`WINDOW`] that put a function into quarantine.
const STRIKES: usize = 3;
/// See [`STRIKES`].
const WINDOW: Duration = Duration::from_secs(60);
/// The first quarantine; each further one is twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_secs(10);
/// See [`FIRST`].
const LONGEST: Duration = Duration::from_secs(640);

/// The record of one function.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    strikes: Vec<Instant>,
    times: u32,
    until: Option<Instant>,
}

impl Quarantine {
    /// One of its isolates got stuck at `now`.
    pub(super) fn strike(&mut self, now: Instant) {
        self.strikes
            .retain(|strike| now.duration_since(*strike) < WINDOW);
        self.strikes.push(now);
        if self.strikes.len() >= STRIKES {
            self.strikes.clear();
            let length = FIRST.saturating_mul(2_u32.saturating_pow(self.times));
            self.until = Some(now + length.min(LONGEST));
            self.times = self.times.saturating_add(1);
        }
    }

    /// How long the function is not run from `now` on.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        self.until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_strikes_in_a_minute() {
        let mut quarantine = Quarantine::default();
        let start = Instant::now();
        quarantine.strike(start);
        quarantine.strike(start + Duration::from_secs(30));
        assert_eq!(quarantine.left(start + Duration::from_secs(30)), None);
        // The first one is forgotten by now.
        quarantine.strike(start + Duration::from_secs(61));
        assert_eq!(quarantine.left(start + Duration::from_secs(61)), None);
        let third = start + Duration::from_secs(62);
        quarantine.strike(third);
        assert_eq!(quarantine.left(third), Some(FIRST));
        assert_eq!(quarantine.left(third + FIRST), None);
    }

    #[test]
    fn it_doubles_up_to_a_bound() {
        let mut quarantine = Quarantine::default();
        let mut now = Instant::now();
        let mut lengths = Vec::new();
        for _ in 0..10 {
            for _ in 0..STRIKES {
                quarantine.strike(now);
            }
            lengths.extend(quarantine.left(now));
            now += LONGEST + WINDOW;
        }
        assert_eq!(lengths[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(lengths.last(), Some(&LONGEST));
    }
}
