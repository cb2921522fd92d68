//! Whose turn it is on an HTTP/2 stream: ours to produce, or the client's to take.
//!
//! Over HTTP/1 a client that takes nothing blocks the socket, and the wire's clock sees it. Over
//! HTTP/2 it closes the window of a stream instead, and hyper waits inside the stream's task
//! without a word. So the response says here whose turn it is, and the task that drives the stream
//! keeps the time.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How often it became the client's turn, and whether it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turn {
    count: u64,
    is_clients: bool,
}

tokio::task_local! {
    static TURN: Cell<Turn>;
}

/// Something is ready for the client. Outside a stream's task this does nothing.
pub(crate) fn to_client() {
    let _ = TURN.try_with(|turn| {
        let count = turn.get().count + 1;
        turn.set(Turn {
            count,
            is_clients: true,
        });
    });
}

/// There is nothing to take. Outside a stream's task this does nothing.
pub(crate) fn to_us() {
    let _ = TURN.try_with(|turn| {
        let count = turn.get().count;
        turn.set(Turn {
            count,
            is_clients: false,
        });
    });
}

/// Drives a stream to its end, or drops it once the client has taken nothing for `stall`: the
/// client sees the stream reset.
pub(crate) async fn keep<S: Future<Output = ()>>(stream: S, stall: Duration) {
    let watched = async move {
        let mut stream = pin!(stream);
        let mut watch = Watch {
            stall,
            turn: Turn::default(),
            timer: None,
        };
        poll_fn(|cx| match stream.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => watch.poll(TURN.with(Cell::get), cx),
        })
        .await;
    };
    TURN.scope(Cell::default(), watched).await;
}

struct Watch {
    stall: Duration,
    turn: Turn,
    /// Made when a client first makes its stream wait; most never do.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    fn poll(&mut self, turn: Turn, cx: &mut Context<'_>) -> Poll<()> {
        let is_new = turn != self.turn;
        self.turn = turn;
        if !turn.is_clients {
            return Poll::Pending;
        }
        let stall = self.stall;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(stall)));
        if is_new {
            timer.as_mut().reset(Instant::now() + stall);
        }
        timer.as_mut().poll(cx)
    }
}
