//! How long a connection may owe a byte.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
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
    /// As `head`, once a drain has begun, for the first byte; and for the last word of HTTP/2.
    pub(crate) arrival: Duration,
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
    /// Something that is on its way, while the server drains: the first byte; over HTTP/2, the word of the
    /// client that it has read GOAWAY, behind which the connection is closed.
    OnItsWay,
    /// Nothing of the client's: a request is being answered.
    Busy,
}

/// Measures the time in a phase.
#[derive(Debug)]
pub(super) struct Clock {
    windows: Windows,
    phase: Phase,
    /// When the phase began; for [`Phase::Idle`], when the timer first found it so.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The task that the timer wakes.
    waker: Option<Waker>,
}

impl Clock {
    pub(super) fn new(windows: Windows) -> Self {
        Self {
            windows,
            phase: Phase::Fresh,
            since: Some(Instant::now()),
            timer: None,
            waker: None,
        }
    }

    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// Starts the current phase anew: the client did something.
    pub(super) fn touch(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Ready once `phase` has lasted too long.
    ///
    /// A busy connection comes by here several times per request, and all it does is compare: it
    /// asks no clock, and leaves the timer and the lock of its wheel alone. The timer, left from an
    /// earlier phase, fires once per window at most, and only then is it seen since when the
    /// connection is idle. So an idle one is closed after one window at least, and two at most.
    pub(super) fn poll(&mut self, phase: Phase, cx: &mut Context<'_>) -> Poll<()> {
        if phase == Phase::Busy {
            self.phase = phase;
            return Poll::Pending;
        }
        let window = self.window(phase);
        if phase != self.phase {
            self.phase = phase;
            self.since = None;
            if phase != Phase::Idle {
                let since = Instant::now();
                self.since = Some(since);
                self.set(since + window);
            }
        }
        let is_watched = matches!(&self.waker, Some(waker) if waker.will_wake(cx.waker()));
        if is_watched && self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed()) {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        loop {
            let timer = self
                .timer
                .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + window)));
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let due = *self.since.get_or_insert(now) + window;
            if now >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    fn window(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Busy => Duration::MAX,
            Phase::Fresh | Phase::Head => self.windows.head,
            Phase::Idle => self.windows.idle,
            Phase::LastChance => self.windows.last_chance,
            Phase::OnItsWay => self.windows.arrival,
        }
    }

    /// Makes sure that the timer fires at `due` or before.
    fn set(&mut self, due: Instant) {
        match &mut self.timer {
            Some(timer) if timer.deadline() <= due && !timer.is_elapsed() => {}
            Some(timer) => {
                timer.as_mut().reset(due);
                // A timer that was set anew has to be polled to be registered.
                self.waker = None;
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::{advance, timeout};

    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn clock() -> Clock {
        Clock::new(Windows {
            head: seconds(10),
            idle: seconds(60),
            last_chance: seconds(1),
            arrival: seconds(3),
            stall: seconds(30),
        })
    }

    /// How long `phase` lasts from now on.
    async fn lasts(clock: &mut Clock, phase: Phase) -> Duration {
        let began = Instant::now();
        poll_fn(|cx| clock.poll(phase, cx)).await;
        began.elapsed()
    }

    /// A look in passing, as every read and flush takes one.
    async fn is_over(clock: &mut Clock, phase: Phase) -> bool {
        poll_fn(|cx| Poll::Ready(clock.poll(phase, cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_timed_as_a_whole() {
        let mut clock = clock();
        // Looked at with each byte that trickles in.
        for _ in 0..9 {
            assert!(!is_over(&mut clock, Phase::Head).await);
            advance(seconds(1)).await;
        }
        let rest = lasts(&mut clock, Phase::Head).await;
        assert!(rest <= Duration::from_millis(1_001), "{rest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn idling_lasts_one_window_to_two() {
        let mut clock = clock();
        assert!(!is_over(&mut clock, Phase::Fresh).await);
        for _ in 0..20 {
            // A request every seven seconds is never idle for long enough.
            assert!(!is_over(&mut clock, Phase::Busy).await);
            advance(seconds(2)).await;
            assert!(!is_over(&mut clock, Phase::Busy).await);
            assert!(!is_over(&mut clock, Phase::Idle).await);
            advance(seconds(5)).await;
            assert!(!is_over(&mut clock, Phase::Idle).await);
        }
        assert!(!is_over(&mut clock, Phase::Busy).await);
        let idle = lasts(&mut clock, Phase::Idle).await;
        assert!(idle >= seconds(60) && idle <= seconds(121), "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_at_work_is_never_over() {
        let mut clock = clock();
        assert!(!is_over(&mut clock, Phase::Fresh).await);
        let work = lasts(&mut clock, Phase::Busy);
        assert!(timeout(seconds(3600), work).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_cuts_idling_short() {
        let mut clock = clock();
        assert!(!is_over(&mut clock, Phase::Idle).await);
        let rest = lasts(&mut clock, Phase::LastChance).await;
        assert!(rest <= Duration::from_millis(1_001), "{rest:?}");
    }
}
