//! The end of a client's side of an HTTP/1 connection, and when hyper hears of it.
//!
//! A client that sends its request and closes its side waits for the answer (RFC 9112, 9.6); one that
//! goes away sends the same FIN. hyper takes every end for the latter, and drops the request. Told
//! apart they are by when the end comes: who ends behind the request, before anything is known of an
//! answer, has planned to. A real error, as a reset is, passes at once.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long a request goes on when its client ends its side later than behind it. Enough for most
/// answers, as the end of one that planned it may come a packet later; and a client that went away
/// is not worked for much longer.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct End {
    is_reached: bool,
    /// Nothing has been looked for behind the last byte.
    is_fresh: bool,
    /// It came later than behind the request: the time that this one is left.
    grace: Option<Pin<Box<Sleep>>>,
    /// hyper waits to be told.
    is_held: bool,
}

impl End {
    /// The socket was read.
    pub(super) fn looked(&mut self, polled: &Poll<io::Result<()>>, read: &[u8]) {
        match polled {
            Poll::Ready(Ok(())) if read.is_empty() => {
                self.is_reached = true;
                if !self.is_fresh {
                    self.grace = Some(Box::pin(sleep(GRACE)));
                }
            }
            Poll::Ready(Ok(())) => self.is_fresh = true,
            Poll::Ready(Err(_)) | Poll::Pending => self.is_fresh = false,
        }
    }

    /// Ends the connection from this side.
    pub(super) fn reach(&mut self) {
        self.is_reached = true;
    }

    pub(super) fn is_reached(&self) -> bool {
        self.is_reached
    }

    /// Ready once hyper may be told.
    pub(super) fn poll_told(&mut self, is_in_flight: bool, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut self.grace {
            _ if !is_in_flight => Poll::Ready(()),
            Some(grace) => grace.as_mut().poll(cx),
            None => Poll::Pending,
        };
        self.is_held = polled.is_pending();
        polled
    }

    /// What was written is out. If that was all, hyper, which waits for the socket, has to look again.
    pub(super) fn flushed(&mut self, is_in_flight: bool, cx: &Context<'_>) {
        if self.is_held && !is_in_flight {
            self.is_held = false;
            cx.waker().wake_by_ref();
        }
    }
}
