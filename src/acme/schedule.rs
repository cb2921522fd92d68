//! When something is tried: pure functions of times.

use std::time::{Duration, SystemTime};

/// Between two certificates of one host, whatever their lives are: a directory whose certificates are
/// old when they are issued must not be asked for ever.
const LEAST_GAP: Duration = Duration::from_secs(5);

/// The most that a directory's `Retry-After` is followed: the longest limits of Let's Encrypt are a week.
const LONGEST_WAIT: Duration = Duration::from_secs(8 * 24 * 3600);

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The directory cannot be reached, or does not speak the protocol; or nothing can be kept here.
    Unavailable,
    /// The directory wants to be asked less.
    Limited,
    /// The directory said no: the proof was not accepted, or the host is none that it issues for.
    Refused,
}

/// How waits grow from one failure to the next: they double.
#[derive(Clone, Copy, Debug)]
struct Growth {
    first: Duration,
    most: Duration,
}

impl Kind {
    fn growth(self) -> Growth {
        let seconds = |first, most| Growth {
            first: Duration::from_secs(first),
            most: Duration::from_secs(most),
        };
        match self {
            Self::Unavailable => seconds(5, 3600),
            Self::Limited => seconds(3600, 24 * 3600),
            // Let's Encrypt allows five failures of one host an hour: these are the first four within it.
            Self::Refused => seconds(5 * 60, 12 * 3600),
        }
    }

    /// Whether the next host would fare no better.
    pub(super) fn is_of_directory(self) -> bool {
        match self {
            Self::Unavailable | Self::Limited => true,
            Self::Refused => false,
        }
    }
}

/// How long to wait after so many failures in a row, at least one. `chance`, from 0 to 1, spreads it by a quarter
/// to both sides, so that nodes that failed together do not come back together; what the directory asks
/// for is the least.
pub(super) fn back_off(
    kind: Kind,
    failures: u32,
    asked_for: Option<Duration>,
    chance: f64,
) -> Duration {
    let Growth { first, most } = kind.growth();
    let doublings = failures.saturating_sub(1).min(20);
    let wait = first.saturating_mul(1 << doublings).min(most);
    let wait = wait.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0);
    let asked_for = asked_for.unwrap_or_default().min(LONGEST_WAIT);
    wait.max(asked_for)
}

/// When a certificate is renewed: at two thirds of its life.
pub(super) fn renewal(not_before: SystemTime, not_after: SystemTime) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    not_before + life * 2 / 3
}

/// The least wait behind a certificate that has just been issued.
pub(super) fn gap(now: SystemTime, not_after: SystemTime) -> Duration {
    let left = not_after.duration_since(now).unwrap_or_default();
    (left / 4).max(LEAST_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits = |kind: Kind| {
            let wait = |failures| back_off(kind, failures, None, 0.5).as_secs();
            [1, 2, 3, 4, 12, u32::MAX].map(wait)
        };
        assert_eq!(waits(Kind::Unavailable), [5, 10, 20, 40, 3600, 3600]);
        assert_eq!(waits(Kind::Refused), [300, 600, 1200, 2400, 43200, 43200]);
        assert_eq!(
            waits(Kind::Limited),
            [3600, 7200, 14400, 28800, 86400, 86400]
        );
    }

    #[test]
    fn waits_are_spread_and_never_shorter_than_asked_for() {
        let wait = |asked_for, chance| back_off(Kind::Refused, 1, asked_for, chance).as_secs();
        assert_eq!(wait(None, 0.0), 225);
        assert_eq!(wait(None, 1.0), 375);
        assert_eq!(wait(Some(DAY), 0.0), DAY.as_secs());
        assert_eq!(wait(Some(Duration::from_secs(1)), 0.0), 225);
        assert_eq!(wait(Some(365 * DAY), 0.0), LONGEST_WAIT.as_secs());
    }

    #[test]
    fn renewal_is_at_two_thirds() {
        let begin = SystemTime::UNIX_EPOCH + 1000 * DAY;
        assert_eq!(renewal(begin, begin + 90 * DAY), begin + 60 * DAY);
        assert_eq!(renewal(begin, begin + 6 * DAY), begin + 4 * DAY);
        assert_eq!(renewal(begin, begin - DAY), begin, "one that has no life");
    }

    #[test]
    fn one_that_is_old_at_once_is_not_renewed_at_once() {
        let now = SystemTime::UNIX_EPOCH + 1000 * DAY;
        assert_eq!(gap(now, now + 4 * DAY), DAY);
        assert_eq!(gap(now, now), LEAST_GAP);
        assert_eq!(gap(now, now - DAY), LEAST_GAP);
    }
}
