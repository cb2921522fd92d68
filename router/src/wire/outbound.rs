//! The way out: writes that must move, and an end that does not cost the client its response.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, ReadBuf};
use tokio::time::sleep;

use super::{Inbound, PIECE, Transport, Wire};

/// How long a closed connection is read on, so that what the client still sends does not make
/// the kernel take back the last response (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);

impl<I: Transport> Wire<I> {
    /// Ready once the client has taken nothing for too long. Every write that moves resets it.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let stall = self.clock.windows().stall;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing",
        ))
    }

    fn sent(&mut self, result: &Poll<io::Result<usize>>) {
        let Poll::Ready(Ok(bytes)) = result else {
            return;
        };
        self.link.unsent.wrote(*bytes);
        if let Inbound::Http2(frames) = &mut self.inbound {
            frames.sent(*bytes);
        }
    }

    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            return self.poll_stall(cx).map(Err);
        }
        if self.stalled.is_some() {
            self.stalled = None;
            self.clock.touch();
        }
        result
    }
}

impl<I: Transport> AsyncWrite for Wire<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.is_flushed = false;
        let result = Pin::new(&mut wire.io).poll_write(cx, bytes);
        wire.sent(&result);
        wire.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.is_flushed = false;
        let result = Pin::new(&mut wire.io).poll_write_vectored(cx, slices);
        wire.sent(&result);
        wire.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let result = Pin::new(&mut wire.io).poll_flush(cx);
        let result = wire.written(cx, result);
        if matches!(result, Poll::Ready(Ok(()))) {
            // Perhaps the end of a response. hyper need not read again before the socket is
            // readable, so this is where the idle clock has to start. If it were over already,
            // it would have woken the task, and the read that follows finds it so.
            let _ = wire.poll_clock(cx);
            wire.is_flushed = true;
            let is_in_flight = wire.is_in_flight();
            wire.end.flushed(is_in_flight, cx);
        }
        result
    }

    /// Ends the outbound half, then reads on for a while and throws away what comes.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if !wire.is_shut {
            let result = Pin::new(&mut wire.io).poll_shutdown(cx);
            ready!(wire.written(cx, result))?;
            wire.is_shut = true;
        }
        let mut piece = [0; PIECE];
        loop {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut wire.io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                // The response is out; what the client does now is its own affair.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Pending => break,
            }
            if wire
                .linger
                .as_ref()
                .is_some_and(|linger| linger.is_elapsed())
            {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = wire.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        linger.as_mut().poll(cx).map(Ok)
    }
}

impl<I: Transport> Drop for Wire<I> {
    fn drop(&mut self) {
        if !self.is_shut && (self.link.is_broken() || self.link.is_active()) {
            self.io.reset();
        }
    }
}
