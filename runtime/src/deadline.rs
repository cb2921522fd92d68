//! When a request has used up what it may, and when to look at it again: pure decisions.

use std::time::Duration;
use std::time::Instant;

use holm_model::outcome::Outcome;

/// The shortest time between two looks at one cell.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The longest, while there is something to look at.
pub(crate) const LONG: Duration = Duration::from_secs(1);

/// A limit that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breach {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
    /// Wall time.
    Wall,
    /// Time of `waitUntil` after the answer.
    WaitUntil,
}

impl Breach {
    /// What the request comes to, where `otherwise` is what it would have come to. Work behind an answer
    /// that is ended leaves the answer what it was.
    pub(crate) fn outcome(self, otherwise: Outcome) -> Outcome {
        match self {
            Self::Cpu => Outcome::ExceededCpu,
            Self::Memory => Outcome::ExceededMemory,
            Self::Wall => Outcome::ExceededWallTime,
            Self::WaitUntil => otherwise,
        }
    }
}

/// What some work may use, and has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// CPU time that it may use.
    pub(crate) cpu_limit: Duration,
    /// CPU time that it has used.
    pub(crate) cpu: Duration,
    /// When its wall time ends, and what is broken then.
    pub(crate) wall: Option<(Instant, Breach)>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// End it.
    End(Breach),
    /// Look again after this time.
    Look(Duration),
}

/// Judges `used` at `now`, on a machine with `cores`: CPU time cannot grow faster than that many times as
/// fast as time itself, so there is no need to look before.
pub(crate) fn judge(used: Use, now: Instant, cores: u32) -> Action {
    let cpu_left = used.cpu_limit.saturating_sub(used.cpu);
    if cpu_left.is_zero() {
        return Action::End(Breach::Cpu);
    }
    let mut next = cpu_left / cores.max(1);
    if let Some((at, breach)) = used.wall {
        let left = at.saturating_duration_since(now);
        if left.is_zero() {
            return Action::End(breach);
        }
        // In time, not a tick before and then again.
        if left < next {
            return Action::Look(left.min(LONG));
        }
    }
    next = next.clamp(TICK, LONG);
    Action::Look(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn used(cpu_ms: u64, wall: Option<(Instant, Breach)>) -> Use {
        Use {
            cpu_limit: LIMIT,
            cpu: Duration::from_millis(cpu_ms),
            wall,
        }
    }

    #[test]
    fn who_is_over_is_ended() {
        let now = Instant::now();
        assert_eq!(judge(used(50, None), now, 2), Action::End(Breach::Cpu));
        assert_eq!(judge(used(500, None), now, 2), Action::End(Breach::Cpu));
        let wall = Some((now, Breach::Wall));
        assert_eq!(judge(used(0, wall), now, 2), Action::End(Breach::Wall));
        // Both: what it computed is told.
        assert_eq!(judge(used(50, wall), now, 2), Action::End(Breach::Cpu));
    }

    #[test]
    fn who_cannot_be_over_yet_is_left_alone() {
        let now = Instant::now();
        let look = |cpu_ms, cores| judge(used(cpu_ms, None), now, cores);
        assert_eq!(look(0, 1), Action::Look(LIMIT));
        assert_eq!(look(0, 2), Action::Look(LIMIT / 2));
        assert_eq!(look(40, 2), Action::Look(Duration::from_millis(5)));
        assert_eq!(look(49, 4), Action::Look(TICK));
    }

    #[test]
    fn a_time_that_ends_before_is_met() {
        let now = Instant::now();
        let wall = Some((now + Duration::from_millis(3), Breach::WaitUntil));
        let action = judge(used(0, wall), now, 2);
        assert_eq!(action, Action::Look(Duration::from_millis(3)));
    }

    #[test]
    fn looks_are_few() {
        // One that computes on one core, looked at whenever that is due.
        let start = Instant::now();
        let mut now = start;
        let mut looks = 0;
        loop {
            let cpu = now.duration_since(start);
            let used = Use {
                cpu,
                ..used(0, None)
            };
            match judge(used, now, 2) {
                Action::End(_) => break,
                Action::Look(after) => now += after,
            }
            looks += 1;
        }
        assert!(looks <= 10, "{looks}");
        assert!(now.duration_since(start) <= LIMIT + TICK);
    }

    #[test]
    fn work_behind_an_answer_leaves_it_as_it_is() {
        assert_eq!(Breach::WaitUntil.outcome(Outcome::Ok), Outcome::Ok);
        assert_eq!(Breach::Wall.outcome(Outcome::Ok), Outcome::ExceededWallTime);
    }
}
