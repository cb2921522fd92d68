//! A function whose cells die one after the other is started more and more slowly.

use std::time::Duration;
use std::time::Instant;

/// Deaths in a row, with no request that went well between them, from which on starts are delayed. Single
/// broken requests never come to that many: others are answered meanwhile.
const DEATHS: u32 = 8;

/// The first delay; each further death doubles it, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
/// See [`FIRST`].
const LONGEST: Duration = Duration::from_secs(10);

/// How the cells of one function have fared.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// A cell died at `now`, or was killed for a limit.
    pub(crate) fn died(&mut self, now: Instant) {
        self.deaths = self.deaths.saturating_add(1);
        if let Some(times) = self.deaths.checked_sub(DEATHS) {
            let delay = FIRST.saturating_mul(2_u32.saturating_pow(times));
            self.until = Some(now + delay.min(LONGEST));
        }
    }

    /// A request went well.
    pub(crate) fn succeeded(&mut self) {
        self.deaths = 0;
        self.until = None;
    }

    /// How long no cell is started from `now` on.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.until
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deaths_in_a_row_delay_the_next_start() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        for _ in 1..DEATHS {
            backoff.died(now);
            assert_eq!(backoff.left(now), None);
        }
        backoff.died(now);
        assert_eq!(backoff.left(now), Some(FIRST));
        backoff.died(now);
        assert_eq!(backoff.left(now), Some(FIRST * 2));
        assert_eq!(backoff.left(now + FIRST * 2), None);
        for _ in 0..100 {
            backoff.died(now);
        }
        assert_eq!(backoff.left(now), Some(LONGEST));
    }

    #[test]
    fn one_that_answers_others_is_not_delayed() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            backoff.died(now);
            backoff.succeeded();
        }
        assert_eq!(backoff.left(now), None);
    }
}
