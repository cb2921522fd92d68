//! When the node has come to rest: then what ended isolates left in the allocator goes back to the
//! system.

use std::time::Duration;
use std::time::Instant;

/// How long the process has to have been quiet.
const WINDOW: Duration = Duration::from_secs(1);

/// The share of one core, as a divisor, below which it is quiet: giving memory back holds up whoever
/// allocates meanwhile, and a node that works needs the memory again.
const QUIET: u32 = 50;

/// Looks at how busy the process is.
#[derive(Debug)]
pub(super) struct Rest {
    /// The last look, and the process's CPU time then.
    last: (Instant, Duration),
    /// Isolates have ended since memory was given back.
    is_due: bool,
}

impl Rest {
    /// `cpu`: the process's CPU time so far.
    pub(super) fn new(now: Instant, cpu: Duration) -> Self {
        Self {
            last: (now, cpu),
            is_due: false,
        }
    }

    /// Whether it is time to give memory back: once after isolates have ended, and not before the
    /// process was quiet for a [`WINDOW`]. `has_ended`: an isolate has, since the last call.
    pub(super) fn begins(&mut self, has_ended: bool, now: Instant, cpu: Duration) -> bool {
        self.is_due |= has_ended;
        let (since, before) = self.last;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < WINDOW {
            return false;
        }
        self.last = (now, cpu);
        let is_quiet = cpu.saturating_sub(before) < elapsed / QUIET;
        is_quiet && std::mem::take(&mut self.is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 250 ms, for seconds in each of which the process computes for `busy`, and an
    /// isolate ends if `ends`. Returns the seconds at whose end memory was given back.
    fn run(seconds: &[(Duration, bool)]) -> Vec<usize> {
        let mut now = Instant::now();
        let mut cpu = Duration::ZERO;
        let mut rest = Rest::new(now, cpu);
        let mut given = Vec::new();
        for (second, (busy, ends)) in seconds.iter().enumerate() {
            for quarter in 1..=4 {
                cpu += *busy / 4;
                now += WINDOW / 4;
                if rest.begins(*ends && quarter == 1, now, cpu) {
                    given.push(second);
                }
            }
        }
        given
    }

    const BUSY: Duration = Duration::from_millis(900);
    const QUIET: Duration = Duration::from_millis(1);

    #[test]
    fn memory_is_given_back_once_when_the_node_comes_to_rest() {
        let seconds = [
            (BUSY, true),
            (BUSY, true),
            (QUIET, false),
            (QUIET, false),
            (QUIET, false),
        ];
        assert_eq!(run(&seconds), [2]);
    }

    #[test]
    fn a_busy_node_keeps_it() {
        assert!(run(&[(BUSY, true); 5]).is_empty());
    }

    #[test]
    fn isolates_that_end_in_a_quiet_second_count() {
        assert_eq!(run(&[(QUIET, false), (QUIET, true), (QUIET, false)]), [1]);
    }

    #[test]
    fn where_no_isolate_has_ended_there_is_nothing_to_give() {
        let given = run(&[(BUSY, false), (QUIET, false), (QUIET, false)]);
        assert!(given.is_empty());
    }
}
