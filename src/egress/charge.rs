//! Who pays for the CPU time that an exchange takes on the node's threads.
//!
//! Name look-ups, TLS and decompression run beside the isolate that asked for them. They are
//! charged to its [`Account`], so that a function's CPU limit holds for them too: every task of an
//! exchange measures its own polls on its thread's clock. A connection outlives the exchange that
//! opened it, so its socket knows who pays, and each exchange that it is given to takes it over.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use holm_model::outbound::Account;
use holm_process::clock::of_this_thread;
use http::{Extensions, Request};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, capture_connection};

thread_local! {
    /// Who pays for what this thread is doing.
    static PAYER: RefCell<Option<Account>> = const { RefCell::new(None) };
}

/// Who pays for what the calling thread is doing, if anybody does.
pub(super) fn payer() -> Option<Account> {
    PAYER.with_borrow(Clone::clone)
}

/// `future`, its polls charged to `account`.
pub(super) fn to<F: Future>(account: Account, future: F) -> impl Future<Output = F::Output> {
    charged(Some(account), future)
}

/// `future`, its polls charged to whoever pays now.
pub(super) fn on<F: Future>(future: F) -> impl Future<Output = F::Output> {
    charged(payer(), future)
}

/// Charges what `work` spends on the calling thread, which does nothing else meanwhile.
pub(crate) fn blocking<T>(account: Option<Account>, work: impl FnOnce() -> T) -> T {
    let bill = Bill::open(account);
    let outcome = work();
    bill.close();
    outcome
}

async fn charged<F: Future>(mut account: Option<Account>, future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let bill = Bill::open(account.take());
        let polled = future.as_mut().poll(cx);
        account = bill.close();
        polled
    })
    .await
}

/// One stretch of work on one thread.
struct Bill {
    begun: Duration,
    outer: Option<Account>,
}

impl Bill {
    fn open(account: Option<Account>) -> Self {
        Self {
            outer: PAYER.replace(account),
            begun: of_this_thread(),
        }
    }

    /// Charges whoever pays at its end.
    fn close(self) -> Option<Account> {
        let account = PAYER.replace(self.outer);
        if let Some(account) = &account {
            account.charge(of_this_thread().saturating_sub(self.begun));
        }
        account
    }
}

/// A socket that bills whoever its connection works for: the task that drives it pays from there.
#[derive(Debug)]
pub(super) struct Billed<S> {
    socket: S,
    tab: Tab,
}

/// Who pays for a connection.
#[derive(Clone, Debug)]
pub(super) struct Tab(Arc<ArcSwap<Account>>);

impl<S> Billed<S> {
    /// Whoever dials pays at first.
    pub(super) fn new(socket: S) -> Self {
        let account = payer().unwrap_or_default();
        Self {
            socket,
            tab: Tab(Arc::new(ArcSwap::from_pointee(account))),
        }
    }

    fn bill(&self) {
        let account = Account::clone(&self.tab.0.load());
        PAYER.set(Some(account));
    }
}

impl<S: Connection> Connection for Billed<S> {
    fn connected(&self) -> Connected {
        self.socket.connected().extra(self.tab.clone())
    }
}

impl<S: Read + Unpin> Read for Billed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.bill();
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for Billed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bill();
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bill();
        Pin::new(&mut self.socket).poll_write_vectored(cx, pieces)
    }
}

/// Has `send` send `request`; its connection is the payer's as soon as there is one.
pub(super) async fn sent<B, F: Future>(
    mut request: Request<B>,
    send: impl FnOnce(Request<B>) -> F,
) -> F::Output {
    let mut connection = Some(capture_connection(&mut request));
    let mut sending = std::pin::pin!(send(request));
    std::future::poll_fn(|cx| {
        let polled = sending.as_mut().poll(cx);
        connection.take_if(|connection| match &*connection.connection_metadata() {
            Some(connected) => {
                take_over(connected);
                true
            }
            None => false,
        });
        polled
    })
    .await
}

/// From now on, a connection works for whoever pays for what this thread is doing.
fn take_over(connected: &Connected) {
    let mut extras = Extensions::new();
    connected.get_extras(&mut extras);
    if let (Some(Tab(tab)), Some(account)) = (extras.get(), payer()) {
        tab.store(Arc::new(account));
    }
}
