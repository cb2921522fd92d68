//! The news that the server is going down, told to every connection once.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Drain {
    has_begun: AtomicBool,
    news: Notify,
}

impl Drain {
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.news.notify_waiters();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    /// Resolves when it has begun.
    pub(crate) async fn begun(&self) {
        let mut news = pin!(self.news.notified());
        news.as_mut().enable();
        if !self.has_begun.load(Ordering::SeqCst) {
            news.await;
        }
    }

    /// Drives `connection` to its end. When the drain has begun, calls `on_drain` before each poll until
    /// that says that it has told the connection.
    ///
    /// The waker is left with the [`Notify`] once, not at every poll as `select!` would: that
    /// takes a lock which all connections share, several times per request.
    pub(crate) async fn drive<C: Future>(
        &self,
        mut connection: Pin<&mut C>,
        on_drain: impl Fn(Pin<&mut C>) -> bool,
    ) -> C::Output {
        let mut news = pin!(self.news.notified());
        // From here on it hears of `notify_waiters`, even before its first poll.
        news.as_mut().enable();
        let mut is_told = false;
        let mut waker = None;
        poll_fn(|cx: &mut Context<'_>| -> Poll<C::Output> {
            if !is_told {
                let is_registered = matches!(&waker, Some(waker) if cx.waker().will_wake(waker));
                if !is_registered {
                    waker = Some(cx.waker().clone());
                    let _ = news.as_mut().poll(cx);
                }
                if self.has_begun.load(Ordering::SeqCst) {
                    is_told = on_drain(connection.as_mut());
                }
            }
            connection.as_mut().poll(cx)
        })
        .await
    }
}
