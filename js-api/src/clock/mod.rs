//! The time that a function sees: it stands still while the function computes.
//!
//! Code that can time itself can read caches and neighbours (Spectre and its kin). So `Date`,
//! `Temporal.Now` and `performance.now()` show the time at which the current turn of the event
//! loop began; they advance when something comes in: a request, a timer, an answer.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use deno_core::OpState;
use deno_core::op2;

/// What `performance.now()` is rounded down to.
const RESOLUTION: Duration = Duration::from_micros(100);

/// The clock of one isolate.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    elapsed: Duration,
    /// Milliseconds since 1970, whole.
    date: f64,
}

impl Default for Clock {
    fn default() -> Self {
        let mut clock = Self {
            started: Instant::now(),
            elapsed: Duration::ZERO,
            date: 0.0,
        };
        clock.advance(clock.started);
        clock
    }
}

impl Clock {
    /// Sets it to `now`, the time that it is: a turn begins.
    pub fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.started);
        let below = elapsed.subsec_nanos() % RESOLUTION.subsec_nanos();
        self.elapsed = elapsed.saturating_sub(Duration::from_nanos(below.into()));
        let date = SystemTime::now().duration_since(UNIX_EPOCH);
        self.date = (date.unwrap_or_default().as_secs_f64() * 1e3).floor();
    }
}

/// Milliseconds since 1970.
#[op2(fast)]
pub(crate) fn op_holm_now(state: &mut OpState) -> f64 {
    state.borrow::<Clock>().date
}

/// In place of deno_web's op of that name: the time since the isolate started, as seconds and
/// nanoseconds.
#[op2(fast)]
pub(crate) fn op_now(state: &mut OpState, #[buffer] buf: &mut [u8]) {
    let elapsed = state.borrow::<Clock>().elapsed;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "136 years of seconds; the width is deno_web's"
    )]
    let secs = elapsed.as_secs() as u32;
    if let Some((first, rest)) = buf.split_first_chunk_mut::<4>()
        && let Some(second) = rest.first_chunk_mut::<4>()
    {
        *first = secs.to_ne_bytes();
        *second = elapsed.subsec_nanos().to_ne_bytes();
    }
}
