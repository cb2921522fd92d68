//! Who asks for a reload, and when it is time for one.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// Silence that ends a burst of changes: editors write, rename and touch within it.
const SETTLE: Duration = Duration::from_millis(60);

/// A burst that goes on is served every now and then, nevertheless.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Somebody has asked for it.
    Asked,
    /// Files have changed.
    Changed,
    /// They may have, unseen.
    Look,
}

/// The order of reloads: one at work, and at most one behind it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last turn that has begun. They are numbered from 1.
    begun: u64,
    /// Somebody waits for the one behind it.
    is_asked: bool,
    burst: Option<Burst>,
    is_to_look: bool,
    is_closed: bool,
}

/// Changes of files, one soon after the other.
#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    /// When it is to be served, if nothing more comes.
    fn due(self) -> Instant {
        (self.last + SETTLE).min(self.first + PATIENCE)
    }
}

impl Turns {
    /// Asks for a turn that begins after the call. Returns its number.
    pub(super) fn ask(&self) -> u64 {
        let mut state = self.state();
        state.is_asked = true;
        self.changed.notify_one();
        state.begun + 1
    }

    /// A file has changed.
    pub(super) fn file_changed(&self) {
        let now = Instant::now();
        let mut state = self.state();
        let first = state.burst.map_or(now, |burst| burst.first);
        state.burst = Some(Burst { first, last: now });
        self.changed.notify_one();
    }

    /// A file may have changed, while nobody saw it.
    pub(super) fn look_again(&self) {
        self.state().is_to_look = true;
        self.changed.notify_one();
    }

    /// There are no more turns.
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for the next turn; nothing if there is none any more.
    pub(super) fn next(&self) -> Option<(u64, Cause)> {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return None;
            }
            let now = Instant::now();
            let cause = match (state.is_asked, state.burst, state.is_to_look) {
                (true, _, _) => Some(Cause::Asked),
                (false, Some(burst), _) if burst.due() <= now => Some(Cause::Changed),
                (false, None, true) => Some(Cause::Look),
                (false, _, _) => None,
            };
            if let Some(cause) = cause {
                *state = State {
                    begun: state.begun + 1,
                    ..State::default()
                };
                return Some((state.begun, cause));
            }
            state = match state.burst {
                Some(burst) => {
                    let left = burst.due().saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_ask_one_turn_follows() {
        let turns = Turns::default();
        assert_eq!((turns.ask(), turns.ask()), (1, 1));
        turns.file_changed();
        assert_eq!(turns.next(), Some((1, Cause::Asked)));
        // They are served by it: nothing is left.
        assert!(turns.state().burst.is_none());
        assert_eq!((turns.ask(), turns.ask()), (2, 2));
        assert_eq!(turns.next(), Some((2, Cause::Asked)));
    }

    #[test]
    fn a_burst_is_served_when_it_is_over() {
        let turns = Turns::default();
        let begin = Instant::now();
        turns.file_changed();
        turns.look_again();
        turns.file_changed();
        assert_eq!(turns.next(), Some((1, Cause::Changed)));
        assert!(begin.elapsed() >= SETTLE);
    }

    #[test]
    fn one_that_does_not_end_is_served_all_the_same() {
        let now = Instant::now();
        let first = now.checked_sub(PATIENCE).expect("a machine that runs");
        let burst = Burst { first, last: now };
        assert!(burst.due() <= now);
    }

    #[test]
    fn there_is_an_end() {
        let turns = Turns::default();
        turns.ask();
        turns.close();
        assert_eq!(turns.next(), None);
    }
}
