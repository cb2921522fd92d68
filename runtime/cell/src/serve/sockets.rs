//! WebSockets over the cell's socket: parts of messages both ways, under credit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use holm_js_api::websocket;
use holm_model::message::FromCell;
use holm_model::message::SocketId;
use holm_model::message::SocketMessage;
use holm_model::websocket::Close;
use holm_model::websocket::Kind;
use holm_model::websocket::MAX_PART;
use holm_model::websocket::PART_COST;
use holm_model::websocket::WINDOW;

use super::wire::Wire;

/// Bytes that may wait to be sent before no more messages are taken.
const MAX_BUFFERED: usize = 1 << 20;

/// Bytes that were taken before the node is told.
const GRANT: usize = WINDOW / 4;

/// The sockets of a cell.
pub(crate) struct Sockets {
    wire: Rc<Wire>,
    /// Requests that may be sockets at the same time.
    most: usize,
    open: RefCell<BTreeMap<u32, Open>>,
    /// Those that wait for room in the cell's own socket.
    blocked: RefCell<Vec<u32>>,
}

struct Open {
    /// The request that it is, or that opened it.
    seq: u32,
    /// The node knows of it.
    is_started: bool,
    /// The function takes messages.
    is_accepted: bool,
    /// Bytes that may be sent.
    credit: usize,
    queue: VecDeque<(Kind, Bytes)>,
    /// Bytes of the queue.
    queued: usize,
    /// What is said behind that.
    close: Option<Close>,
    has_closed: bool,
    /// The message that comes, as far as it has come.
    partial: Vec<u8>,
    /// Bytes that were taken, and that the node was not told of.
    taken: usize,
}

/// What the function is to hear.
pub(super) enum Heard {
    Message(Kind, Vec<u8>),
    Close(Close),
}

/// The number by which the function's side knows a socket.
pub(super) fn key_of(id: SocketId) -> u32 {
    match id {
        SocketId::Request(seq) => seq.wrapping_mul(2),
        SocketId::Fetched(fetch) => fetch.wrapping_mul(2).wrapping_add(1),
    }
}

fn id_of(key: u32) -> SocketId {
    match key % 2 {
        0 => SocketId::Request(key / 2),
        _ => SocketId::Fetched(key / 2),
    }
}

impl Sockets {
    pub(crate) fn new(wire: Rc<Wire>, most: u32) -> Rc<Self> {
        Rc::new(Self {
            wire,
            most: most as usize,
            open: RefCell::default(),
            blocked: RefCell::default(),
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// The request that a socket is, or that opened it.
    pub(super) fn request_of(&self, id: SocketId) -> Option<u32> {
        self.open.borrow().get(&key_of(id)).map(|open| open.seq)
    }

    /// The node knows of it from here on.
    pub(super) fn start(&self, id: SocketId) {
        let key = key_of(id);
        if let Some(open) = self.open.borrow_mut().get_mut(&key) {
            open.is_started = true;
        }
        self.flush(key);
    }

    /// Subrequest `fetch` of request `seq` has opened one.
    pub(super) fn opened(&self, fetch: u32, seq: u32) -> u32 {
        let key = key_of(SocketId::Fetched(fetch));
        let mut open = Open::new(seq);
        open.is_started = true;
        self.open.borrow_mut().insert(key, open);
        key
    }

    /// What belongs to a request goes with it.
    pub(super) fn forget(&self, seq: u32) {
        let mut open = self.open.borrow_mut();
        // Most requests have none.
        if !open.is_empty() {
            open.retain(|_, open| open.seq != seq);
        }
    }

    /// Sends on what waited for room. Returns whether there was any.
    pub(super) fn flush_blocked(&self) -> bool {
        if self.wire.is_full() || self.blocked.borrow().is_empty() {
            return false;
        }
        let blocked = std::mem::take(&mut *self.blocked.borrow_mut());
        for key in blocked {
            self.flush(key);
        }
        true
    }

    /// What the node says of a socket.
    pub(super) fn hear(
        &self,
        id: SocketId,
        message: SocketMessage,
        payload: &[u8],
    ) -> Option<Heard> {
        let key = key_of(id);
        let mut all = self.open.borrow_mut();
        let open = all.get_mut(&key)?;
        match message {
            SocketMessage::Part { kind, is_last } => {
                let whole = match is_last && open.partial.is_empty() {
                    true => payload.to_vec(),
                    false => {
                        open.partial.extend_from_slice(payload);
                        match is_last {
                            true => std::mem::take(&mut open.partial),
                            false => Vec::new(),
                        }
                    }
                };
                open.taken += payload.len() + PART_COST;
                if !is_last {
                    // The rest could not come otherwise. What nobody has accepted need not.
                    if open.is_accepted {
                        open.grant(id, &self.wire);
                    }
                    return None;
                }
                Some(Heard::Message(kind, whole))
            }
            SocketMessage::Credit(bytes) => {
                open.credit = (open.credit + bytes as usize).min(WINDOW);
                drop(all);
                self.flush(key);
                None
            }
            SocketMessage::Close(close) => {
                all.remove(&key);
                Some(Heard::Close(close))
            }
        }
    }

    /// The function has had a message.
    pub(super) fn taken(&self, id: SocketId) {
        if let Some(open) = self.open.borrow_mut().get_mut(&key_of(id))
            && open.is_accepted
            && open.taken >= GRANT
        {
            open.grant(id, &self.wire);
        }
    }

    /// Sends what there is credit and room for.
    fn flush(&self, key: u32) {
        let id = id_of(key);
        let mut all = self.open.borrow_mut();
        let Some(open) = all.get_mut(&key) else {
            return;
        };
        while open.is_started
            && open.credit > 0
            && let Some((kind, bytes)) = open.queue.front_mut()
        {
            if self.wire.is_full() {
                self.blocked.borrow_mut().push(key);
                return;
            }
            let part = bytes.split_to(bytes.len().min(MAX_PART));
            let (kind, is_last) = (*kind, bytes.is_empty());
            if is_last {
                open.queue.pop_front();
            }
            open.queued -= part.len();
            open.credit = open.credit.saturating_sub(part.len() + PART_COST);
            let message = SocketMessage::Part { kind, is_last };
            self.wire.put(&FromCell::Socket(id, message), &part);
        }
        if open.is_started
            && open.queue.is_empty()
            && let Some(close) = open.close.take()
        {
            let message = SocketMessage::Close(close);
            self.wire.put(&FromCell::Socket(id, message), b"");
        }
    }
}

impl Open {
    fn new(seq: u32) -> Self {
        Self {
            seq,
            is_started: false,
            is_accepted: false,
            credit: WINDOW,
            queue: VecDeque::new(),
            queued: 0,
            close: None,
            has_closed: false,
            partial: Vec::new(),
            taken: 0,
        }
    }

    fn grant(&mut self, id: SocketId, wire: &Wire) {
        if self.taken > 0 {
            let bytes = u32::try_from(std::mem::take(&mut self.taken)).unwrap_or(u32::MAX);
            wire.put(&FromCell::Socket(id, SocketMessage::Credit(bytes)), b"");
        }
    }
}

/// The cell's port, as js-api wants it.
pub(crate) struct Port(pub(crate) Rc<Sockets>);

impl websocket::Sockets for Port {
    fn has_room(&self) -> bool {
        let Self(sockets) = self;
        let open = sockets.open.borrow();
        open.keys().filter(|key| *key % 2 == 0).count() < sockets.most
    }

    fn open(&self, key: u32, request: u32) {
        let Self(sockets) = self;
        sockets.open.borrow_mut().insert(key, Open::new(request));
    }

    fn send(&self, key: u32, kind: Kind, bytes: Bytes) -> bool {
        let Self(sockets) = self;
        {
            let mut all = sockets.open.borrow_mut();
            let Some(open) = all.get_mut(&key) else {
                // It is over, and the function will hear of that.
                return true;
            };
            if open.queued > MAX_BUFFERED {
                return false;
            }
            if open.has_closed {
                return true;
            }
            open.queued += bytes.len();
            open.queue.push_back((kind, bytes));
        }
        sockets.flush(key);
        true
    }

    fn buffered(&self, key: u32) -> usize {
        let Self(sockets) = self;
        sockets
            .open
            .borrow()
            .get(&key)
            .map_or(0, |open| open.queued)
    }

    fn close(&self, key: u32, close: Close) {
        let Self(sockets) = self;
        if let Some(open) = sockets.open.borrow_mut().get_mut(&key)
            && !std::mem::replace(&mut open.has_closed, true)
        {
            open.close = Some(close);
        }
        sockets.flush(key);
    }

    fn accept(&self, key: u32) {
        let Self(sockets) = self;
        if let Some(open) = sockets.open.borrow_mut().get_mut(&key) {
            open.is_accepted = true;
            if open.is_started {
                open.grant(id_of(key), &sockets.wire);
            }
        }
    }
}
