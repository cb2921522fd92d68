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
    /// When it showed nothing, on the system's clock and since 1970.
    started: Instant,
    origin: Duration,
    elapsed: Duration,
    /// Milliseconds since 1970, whole.
    date: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::showing(Duration::ZERO)
    }
}

impl Clock {
    /// A clock that shows `elapsed` now.
    fn showing(elapsed: Duration) -> Self {
        let now = Instant::now();
        let date = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut clock = Self {
            started: now.checked_sub(elapsed).unwrap_or(now),
            origin: date.unwrap_or_default().saturating_sub(elapsed),
            elapsed: Duration::ZERO,
            date: 0.0,
        };
        clock.advance(now);
        clock
    }

    /// The clock of a copy of the isolate, made now. It goes on where this one stands, so that no code
    /// sees time run backwards; but its origin is its own.
    pub fn copy(&self) -> Self {
        Self::showing(self.elapsed)
    }

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
    write(state.borrow::<Clock>().elapsed, buf);
}

/// In place of deno_web's op of that name: when the isolate's clock showed nothing, since 1970, as seconds
/// and nanoseconds.
#[op2(fast)]
pub(crate) fn op_time_origin(state: &mut OpState, #[buffer] buf: &mut [u8]) {
    write(state.borrow::<Clock>().origin, buf);
}

fn write(time: Duration, buf: &mut [u8]) {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "136 years of seconds; the width is deno_web's"
    )]
    let secs = time.as_secs() as u32;
    if let Some((first, rest)) = buf.split_first_chunk_mut::<4>()
        && let Some(second) = rest.first_chunk_mut::<4>()
    {
        *first = secs.to_ne_bytes();
        *second = time.subsec_nanos().to_ne_bytes();
    }
}
