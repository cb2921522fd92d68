//! A WebSocket between whoever speaks the protocol and whoever has the function: two ends, and what goes from one
//! to the other.
//!
//! Messages go in parts, so that neither side needs room for a whole one. What waits for the other end is bounded: a
//! part goes in while less than [`WINDOW`] waits ([`Socket::has_room`]), so whoever does not read stops whoever
//! writes. An end that is dropped is an end for the other one as well.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use futures::task::AtomicWaker;
use serde::Deserialize;
use serde::Serialize;

use crate::outbound::Account;

/// Bytes that may wait at one end of a socket before no more go in.
pub const WINDOW: usize = 256 << 10;

/// Longest part of a message, in bytes.
pub const MAX_PART: usize = 64 << 10;

/// What a part counts beside its bytes, so that empty ones are bounded too.
pub const PART_COST: usize = 64;

/// Status codes of a close (RFC 6455, 7.4.1).
pub mod code {
    /// It has served its purpose.
    pub const NORMAL: u16 = 1000;
    /// The node stops, or the isolate is taken away.
    pub const GOING_AWAY: u16 = 1001;
    /// The other side broke the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The close had no status. Never on the wire.
    pub const NO_STATUS: u16 = 1005;
    /// There was no close. Never on the wire.
    pub const ABNORMAL: u16 = 1006;
    /// Text that is none.
    pub const INVALID: u16 = 1007;
    /// A message that is too long.
    pub const TOO_BIG: u16 = 1009;
    /// The function failed.
    pub const FAILED: u16 = 1011;
}

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// A message, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the message is made of.
    pub kind: Kind,
    /// The message ends with it.
    pub is_last: bool,
    /// At most [`MAX_PART`] bytes.
    pub bytes: Bytes,
}

impl Part {
    /// What it counts.
    pub fn cost(&self) -> usize {
        self.bytes.len() + PART_COST
    }
}

/// How a socket ends, or is to end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Close {
    /// See [`mod@code`].
    pub code: u16,
    /// At most 123 bytes.
    pub reason: String,
    /// Both sides have said so.
    pub is_clean: bool,
}

impl Close {
    /// With `code`, said by one side.
    pub fn of(code: u16, reason: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            is_clean: false,
        }
    }
}

/// What goes from one end to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Of a message.
    Part(Part),
    /// The last that is said.
    Close(Close),
}

/// One end of a socket. Dropping it ends the socket.
#[derive(Debug)]
pub struct Socket {
    incoming: Arc<Lane>,
    outgoing: Arc<Lane>,
    max_message: u64,
    account: Account,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    state: Mutex<State>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// What they count.
    waiting: usize,
    /// What was taken out since somebody asked.
    taken: usize,
    /// A close was said: nothing follows it.
    is_closed: bool,
    /// One of the two ends is no more.
    is_over: bool,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Socket {
    /// Both ends of one that takes messages of up to `max_message` bytes from outside, and charges what the node
    /// spends on them to `account`.
    pub fn pair(max_message: u64, account: Account) -> (Self, Self) {
        let (one, other) = (Arc::<Lane>::default(), Arc::<Lane>::default());
        let end = |incoming: &Arc<Lane>, outgoing: &Arc<Lane>| Self {
            incoming: incoming.clone(),
            outgoing: outgoing.clone(),
            max_message,
            account: account.clone(),
        };
        (end(&one, &other), end(&other, &one))
    }

    /// Bytes that a message from outside may have.
    pub fn max_message(&self) -> u64 {
        self.max_message
    }

    /// Who pays for what the node spends on its messages.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The next that the other end said; `None` if it is no more.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.incoming.reader.register(cx.waker());
        let mut state = self.incoming.state();
        let Some(item) = state.items.pop_front() else {
            return match state.is_over {
                true => Poll::Ready(None),
                false => Poll::Pending,
            };
        };
        if let Item::Part(part) = &item {
            state.waiting -= part.cost();
            state.taken += part.cost();
        }
        drop(state);
        self.incoming.writer.wake();
        Poll::Ready(Some(item))
    }

    /// Whether another part goes in. If not, the task is woken when one does.
    pub fn has_room(&self, cx: &Context<'_>) -> bool {
        self.outgoing.writer.register(cx.waker());
        let state = self.outgoing.state();
        state.waiting < WINDOW || state.is_over
    }

    /// Says something to the other end; behind a close, nothing. Returns what waits for it now.
    pub fn say(&self, item: Item) -> usize {
        let mut state = self.outgoing.state();
        if state.is_over {
            return 0;
        }
        if state.is_closed {
            return state.waiting;
        }
        match &item {
            Item::Part(part) => state.waiting += part.cost(),
            Item::Close(_) => state.is_closed = true,
        }
        state.items.push_back(item);
        let waiting = state.waiting;
        drop(state);
        self.outgoing.reader.wake();
        waiting
    }

    /// What the other end has taken since this was last asked. The task is woken when it takes more.
    pub fn taken(&self, cx: &Context<'_>) -> usize {
        self.outgoing.writer.register(cx.waker());
        std::mem::take(&mut self.outgoing.state().taken)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        {
            let mut incoming = self.incoming.state();
            incoming.is_over = true;
            incoming.items.clear();
            incoming.waiting = 0;
        }
        self.incoming.writer.wake();
        // What was said before is read yet.
        self.outgoing.state().is_over = true;
        self.outgoing.reader.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(length: usize) -> Item {
        Item::Part(Part {
            kind: Kind::Binary,
            is_last: true,
            bytes: vec![0; length].into(),
        })
    }

    fn pair() -> (Socket, Socket) {
        Socket::pair(1 << 20, Account::default())
    }

    #[test]
    fn what_waits_is_bounded() {
        let (one, other) = pair();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut count = 0;
        while one.has_room(&cx) {
            one.say(part(0));
            count += 1;
        }
        assert_eq!(count, WINDOW / PART_COST);
        assert!(other.poll_next(&mut cx).is_ready());
        assert!(one.has_room(&cx));
        assert_eq!((one.taken(&cx), one.taken(&cx)), (PART_COST, 0));
    }

    /// A cell that was taken over says it as often as it likes, and without credit.
    #[test]
    fn nothing_is_kept_behind_a_close() {
        let (one, other) = pair();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let close = || Item::Close(Close::of(code::NORMAL, "bye"));
        for item in [close(), close(), part(3)] {
            assert_eq!(one.say(item), 0);
        }
        assert_eq!(other.poll_next(&mut cx), Poll::Ready(Some(close())));
        assert_eq!(other.poll_next(&mut cx), Poll::Pending);
    }

    #[test]
    fn what_was_said_before_the_end_is_heard() {
        let (one, other) = pair();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        one.say(part(3));
        one.say(Item::Close(Close::of(code::NORMAL, "bye")));
        drop(one);
        assert_eq!(other.poll_next(&mut cx), Poll::Ready(Some(part(3))));
        let close = Item::Close(Close::of(code::NORMAL, "bye"));
        assert_eq!(other.poll_next(&mut cx), Poll::Ready(Some(close)));
        assert_eq!(other.poll_next(&mut cx), Poll::Ready(None));
        assert!(other.has_room(&cx));
        assert_eq!(other.say(part(3)), 0);
    }
}
