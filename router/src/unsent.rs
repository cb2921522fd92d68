//! Bytes of responses that clients have not taken yet, over all connections.
//!
//! A body that is there already is handed to hyper in one piece, however long it is, and stays in
//! memory until the client has taken its last byte. hyper's own bounds are for the next piece. Over
//! HTTP/2 it does not even wait: once the client takes one byte, the stream is done with the body.
//! So a client that asks for much and takes little makes the node hold all of it.
//!
//! Bytes are counted from when a response is handed over ([`Account::hold`]) until hyper lets go of
//! them, which is when they are written, or when the connection ends. They are counted whole until
//! then, because so is the memory. As long as they are fewer than the budget, nobody is hurried.
//! Beyond it, connections are ended whose clients take too little: each judges itself
//! ([`Account::watch`]), so there is no list of them, and nothing to be done for those that hold
//! nothing.
//!
//! hyper keeps the pieces as they are where the transport writes vectors, as TCP and TLS do. For
//! others it copies them, and the copy is not counted.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};
use tracing::warn;

use crate::link::Link;
use crate::notices::Notices;
use crate::settings::Settings;

/// Pieces shorter than this are not counted over HTTP/1, where they wait one behind the other:
/// `Settings::buffer` bounds what they come to, and the hot path is spared.
const SMALL: usize = 16 << 10;

/// A client has to be quick enough to take what waits for it in this time: what is fast enough for
/// a page is not for hundreds of megabytes, or one quick stream would excuse many that stand still.
const ALL_TAKEN: Duration = Duration::from_secs(600);

/// Looks at a connection in the time that it may be too slow.
const LOOKS: u32 = 10;

/// Between two of them, at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Beyond so many times the budget, there is less time to be slow.
const FAR_BEYOND: u64 = 2;

/// The part of the time that is left then.
const HURRY: u32 = 4;

/// What all connections of an edge hold, and may hold.
#[derive(Debug)]
pub(crate) struct Unsent {
    /// Bytes that they may hold before slow ones are ended.
    budget: AtomicU64,
    /// Bytes a second that a client has to take.
    rate: u64,
    /// How long it may take less.
    time: Duration,
    held: AtomicU64,
    notices: Mutex<Notices>,
}

impl Unsent {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            budget: AtomicU64::new(settings.unsent),
            rate: settings.slow_rate,
            time: settings.slow_time,
            held: AtomicU64::new(0),
            notices: Mutex::default(),
        })
    }

    /// How long a client may be too slow now; for ever, if nothing is.
    fn patience(&self) -> Option<Duration> {
        patience(self.held.load(Ordering::Relaxed), self.budget(), self.time)
    }

    fn budget(&self) -> u64 {
        self.budget.load(Ordering::Relaxed)
    }

    /// From now on it is another one.
    pub(crate) fn set_budget(&self, budget: u64) {
        self.budget.store(budget, Ordering::Relaxed);
    }

    /// Says that slow connections are ended, now and then.
    pub(crate) fn note(&self) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ended) = notices.one(std::time::Instant::now()) {
            warn!(
                ended,
                held = self.held.load(Ordering::Relaxed),
                limit = self.budget(),
                "too much waits for clients that are slow to take it: their connections are ended; \
                 `server.max_unsent` is the limit"
            );
        }
    }
}

/// What one connection holds, and how its client keeps up.
#[derive(Debug)]
pub(crate) struct Account {
    all: Arc<Unsent>,
    held: AtomicU64,
    /// Bytes that the transport has taken so far.
    written: AtomicU64,
}

// Each number is read by itself, and a recent value will do. So: relaxed throughout.
impl Account {
    pub(crate) fn new(all: Arc<Unsent>) -> Self {
        Self {
            all,
            held: AtomicU64::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// Counts `bytes` to the connection of `link` until the last of them is let go.
    pub(crate) fn hold(link: &Arc<Link>, bytes: Bytes, is_http2: bool) -> Bytes {
        if bytes.is_empty() || (bytes.len() < SMALL && !is_http2) {
            return bytes;
        }
        let length = bytes.len() as u64;
        let account = &link.unsent;
        account.held.fetch_add(length, Ordering::Relaxed);
        account.all.held.fetch_add(length, Ordering::Relaxed);
        let link = Arc::clone(link);
        Bytes::from_owner(Held { bytes, link })
    }

    /// Counts so many bytes, held elsewhere, until what is returned is dropped.
    pub(crate) fn count(link: &Arc<Link>, length: u64) -> Counted {
        let account = &link.unsent;
        account.held.fetch_add(length, Ordering::Relaxed);
        account.all.held.fetch_add(length, Ordering::Relaxed);
        let link = Arc::clone(link);
        Counted { link, length }
    }

    fn release(&self, length: u64) {
        self.held.fetch_sub(length, Ordering::Relaxed);
        self.all.held.fetch_sub(length, Ordering::Relaxed);
    }

    /// The transport took `bytes`. Called by one task only.
    pub(crate) fn wrote(&self, bytes: usize) {
        let written = self.written.load(Ordering::Relaxed) + bytes as u64;
        self.written.store(written, Ordering::Relaxed);
    }

    /// Drives a connection to its end; `None` if it is to be ended, because the node holds too much
    /// and this client takes too little.
    pub(crate) async fn watch<C: Future>(&self, mut connection: Pin<&mut C>) -> Option<C::Output> {
        let mut watch: Option<Watch> = None;
        // Kept between two watches, so that its place in the heap is.
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.held.load(Ordering::Relaxed) == 0 {
                watch = None;
                return Poll::Pending;
            }
            self.poll_slow(&mut watch, &mut timer, cx).map(|()| None)
        })
        .await
    }

    /// Ready once the client is too slow for the node.
    fn poll_slow(
        &self,
        watch: &mut Option<Watch>,
        timer: &mut Option<Pin<Box<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let pause = (self.all.time / LOOKS).max(SHORTEST_PAUSE);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep(pause)));
        let watch = watch.get_or_insert_with(|| {
            let now = Instant::now();
            timer.as_mut().reset(now + pause);
            Watch {
                since: now,
                written: self.written.load(Ordering::Relaxed),
            }
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let held = self.held.load(Ordering::Relaxed);
            let rate = least_rate(held, self.all.rate);
            let slow = watch.look(now, self.written.load(Ordering::Relaxed), rate);
            if self.all.patience().is_some_and(|patience| slow >= patience) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(now + pause);
        }
    }
}

/// A piece that is counted.
struct Held {
    bytes: Bytes,
    link: Arc<Link>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that are counted to a connection.
#[derive(Debug)]
pub(crate) struct Counted {
    link: Arc<Link>,
    length: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.link.unsent.release(self.length);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.link.unsent.release(self.bytes.len() as u64);
    }
}

/// The last time that a client was found to keep up, and what was written by then.
#[derive(Debug)]
struct Watch {
    since: Instant,
    written: u64,
}

impl Watch {
    /// How long the client has taken less than `rate` bytes a second, on the average of that time.
    fn look(&mut self, now: Instant, written: u64, rate: u64) -> Duration {
        let elapsed = now.saturating_duration_since(self.since);
        let due = u128::from(rate) * elapsed.as_micros() / 1_000_000;
        if u128::from(written.saturating_sub(self.written)) < due {
            return elapsed;
        }
        *self = Self {
            since: now,
            written,
        };
        Duration::ZERO
    }
}

/// Bytes a second that a client has to take for which `held` bytes wait.
fn least_rate(held: u64, rate: u64) -> u64 {
    rate.max(held / ALL_TAKEN.as_secs())
}

/// How long a client may be too slow while `held` bytes wait for all of them; for ever within the
/// budget.
fn patience(held: u64, budget: u64, time: Duration) -> Option<Duration> {
    if held <= budget {
        None
    } else if held <= budget.saturating_mul(FAR_BEYOND) {
        Some(time)
    } else {
        Some(time / HURRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn account() -> Arc<Link> {
        let settings = Settings::default();
        Arc::new(Link::new(Unsent::new(&settings)))
    }

    fn held(link: &Link) -> (u64, u64) {
        let account = &link.unsent;
        let load = |held: &AtomicU64| held.load(Ordering::Relaxed);
        (load(&account.held), load(&account.all.held))
    }

    #[test]
    fn bytes_are_counted_until_the_last_of_them_is_let_go() {
        let link = account();
        let bytes = Bytes::from(vec![7; SMALL]);
        let mut body = Account::hold(&link, bytes.clone(), false);
        assert_eq!(body, bytes);
        let last = body.split_off(SMALL - 1);
        drop(body);
        assert_eq!(held(&link), (SMALL as u64, SMALL as u64));
        drop(last);
        assert_eq!(held(&link), (0, 0));
        assert_eq!(Arc::strong_count(&link), 1);
    }

    #[test]
    fn small_pieces_are_counted_where_nothing_else_bounds_them() {
        let link = account();
        let small = || Bytes::from_static(b"hello");
        let http1 = Account::hold(&link, small(), false);
        assert_eq!(held(&link), (0, 0));
        let http2 = Account::hold(&link, small(), true);
        assert_eq!(held(&link), (5, 5));
        drop((http1, http2));
        assert_eq!(held(&link), (0, 0));
    }

    /// How long a client is too slow in the end, that takes so many bytes in each second, where 100
    /// are asked for.
    fn slow_for(seconds: impl IntoIterator<Item = u64>) -> Duration {
        let (mut now, mut written) = (Instant::now(), 0);
        let mut watch = Watch {
            since: now,
            written,
        };
        let mut slow = Duration::ZERO;
        for taken in seconds {
            now += SECOND;
            written += taken;
            slow = watch.look(now, written, 100);
        }
        slow
    }

    #[test]
    fn a_client_is_slow_since_it_last_kept_up() {
        assert_eq!(slow_for([100; 20]), Duration::ZERO);
        assert_eq!(slow_for([99; 20]), 20 * SECOND);
        // What comes in bursts counts by its average.
        assert_eq!(slow_for([0, 0, 0, 0, 500]), Duration::ZERO);
        assert_eq!(slow_for([0, 0, 0, 0, 499]), 5 * SECOND);
        // What was taken long ago does not.
        assert_eq!(slow_for([1_000_000, 0, 0, 0]), 3 * SECOND);
    }

    #[test]
    fn who_holds_much_has_to_be_quick() {
        assert_eq!(least_rate(100 << 10, 1024), 1024);
        assert_eq!(least_rate(600 << 20, 1024), 1 << 20);
    }

    #[test]
    fn there_is_less_time_the_more_is_held() {
        let patience = |held| patience(held, 100, 8 * SECOND);
        assert_eq!(patience(100), None);
        assert_eq!(patience(101), Some(8 * SECOND));
        assert_eq!(patience(200), Some(8 * SECOND));
        assert_eq!(patience(201), Some(2 * SECOND));
    }
}
