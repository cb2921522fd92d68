//! How long a connection may owe a byte.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long each kind of waiting may last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// For a head, from its first byte, and for the first byte of a new connection.
    pub(crate) head: Duration,
    /// Between one response and the next head.
    pub(crate) idle: Duration,
    /// As `idle`, once a drain has begun.
    pub(crate) last_chance: Duration,
    /// For a client to take a byte of a response.
    pub(crate) stall: Duration,
}

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first byte ever.
    Fresh,
    /// The rest of a head.
    Head,
    /// The next head.
    Idle,
    /// The next head, while the server drains.
    LastChance,
    /// Nothing of the client's: a request is being answered.
    Busy,
}

/// Measures the time in a phase.
#[derive(Debug)]
pub(super) struct Clock {
    windows: Windows,
    phase: Phase,
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new(windows: Windows) -> Self {
        Self {
            windows,
            phase: Phase::Fresh,
            since: Instant::now(),
            timer: None,
        }
    }

    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Starts the current phase anew: the client did something.
    pub(super) fn touch(&mut self) {
        self.since = Instant::now();
    }

    /// Ready once `phase` has lasted too long.
    ///
    /// Going from request to request moves `since` forward and leaves the timer where it is; it
    /// fires early, is found to be early, and only then is set again. On a busy connection that
    /// saves two trips to the timer wheel, and its lock, per request.
    pub(super) fn poll(&mut self, phase: Phase, cx: &mut Context<'_>) -> Poll<()> {
        if phase != self.phase {
            self.phase = phase;
            self.since = Instant::now();
        }
        let window = match phase {
            Phase::Busy => return Poll::Pending,
            Phase::Fresh | Phase::Head => self.windows.head,
            Phase::Idle => self.windows.idle,
            Phase::LastChance => self.windows.last_chance,
        };
        let due = self.since + window;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}
