//! Bodies on their way over the socket, in both directions, under credits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use futures::task::AtomicWaker;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodySender;
use holm_model::body::BodyStream;
use holm_model::body::Listener;
use holm_model::message::BodyKind;
use holm_model::message::FromCell;
use holm_model::message::MAX_CHUNK;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::WINDOW;

use super::Progress;
use super::wire::Wire;

/// Bytes of a body that are sent with its head, at most.
pub(super) const WHOLE: usize = 256 << 10;

/// All bodies of a cell that do not come with their head.
#[derive(Default)]
pub(crate) struct Streams {
    outs: Vec<Out>,
    ins: Vec<In>,
    news: Arc<News>,
}

/// A body that goes to the node.
struct Out {
    id: StreamId,
    source: Source,
    /// Chunks that may be sent.
    credit: u32,
    /// The next chunk, as far as it is there.
    next: Vec<u8>,
    /// What is left of what was taken out of the source.
    rest: Bytes,
    /// How it ended.
    end: Option<Result<(), BodyError>>,
}

enum Source {
    Stream(BodyStream),
    Bytes(Bytes),
}

/// A body that comes from the node.
struct In {
    id: StreamId,
    /// Until its end has come.
    sender: Option<BodySender>,
    /// Until the function's side has it.
    stream: Option<BodyStream>,
    heard: Arc<Heard>,
}

/// What the reader of a body has done that the node has not been told.
#[derive(Debug)]
struct Heard {
    asked: AtomicBool,
    taken: AtomicU32,
    left: AtomicBool,
    news: Arc<News>,
}

/// Whether there is any such thing, of any body.
#[derive(Debug, Default)]
struct News {
    is_there: AtomicBool,
    /// Tasks of their own read bodies, too.
    waker: AtomicWaker,
}

impl News {
    fn tell(&self) {
        self.is_there.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl Listener for Heard {
    fn asked(&self) {
        self.asked.store(true, Ordering::Release);
        self.news.tell();
    }

    fn taken(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
        self.news.tell();
    }

    fn left(&self) {
        self.left.store(true, Ordering::Release);
        self.news.tell();
    }
}

impl Streams {
    /// Body `id` will come from the node, `length` bytes long if that is known.
    pub(crate) fn expect(&mut self, id: StreamId, length: Option<u64>) {
        let heard = Arc::new(Heard {
            asked: AtomicBool::new(false),
            taken: AtomicU32::new(0),
            left: AtomicBool::new(false),
            news: self.news.clone(),
        });
        let (sender, stream) = BodyStream::channel(length);
        self.ins.push(In {
            id,
            sender: Some(sender),
            stream: Some(stream.named(id).heard_by(heard.clone())),
            heard,
        });
    }

    /// The reading end of an expected body.
    pub(crate) fn take(&mut self, id: StreamId) -> Option<BodyStream> {
        let own = self.ins.iter_mut().find(|body| body.id == id)?;
        own.stream.take()
    }

    /// The request or subrequest that body `id` came with is not begun, or is over.
    pub(crate) fn forget(&mut self, id: StreamId) {
        if let Some(place) = self.ins.iter().position(|body| body.id == id)
            && let Some(sender) = self.ins.swap_remove(place).sender
        {
            // Whoever still reads it does not take what there is for all of it.
            sender.fail(BodyError::Disconnected);
        }
        self.outs.retain(|body| body.id != id);
    }

    /// What kind of body the node is told of; if it streams, it goes out as `id` from now on. Its bytes, if they
    /// go with the head.
    pub(crate) fn send(&mut self, id: StreamId, body: Body) -> (BodyKind, Bytes) {
        let is_answer = matches!(id, StreamId::Reply(_));
        let mut credit = WINDOW;
        let (source, length) = match body {
            Body::Empty | Body::Socket(_) => return (BodyKind::Empty, Bytes::new()),
            Body::Full(bytes) if bytes.len() <= WHOLE => return (BodyKind::Whole, bytes),
            Body::Full(bytes) => {
                let length = bytes.len() as u64;
                if is_answer {
                    // The node takes all of it, so that it need not wait here for who reads it.
                    credit = u32::MAX;
                }
                (Source::Bytes(bytes), Some(length))
            }
            Body::Stream(stream) => {
                let length = stream.length();
                if let Some(of) = stream.origin() {
                    // Before it is dropped: nobody has left it.
                    self.forget(of);
                    return (BodyKind::Pass { of, length }, Bytes::new());
                }
                (Source::Stream(stream), length)
            }
        };
        self.outs.push(Out {
            id,
            source,
            credit,
            next: Vec::new(),
            rest: Bytes::new(),
            end: None,
        });
        let kind = match length {
            Some(length) if credit == u32::MAX => BodyKind::Large { length },
            length => BodyKind::Stream { length },
        };
        (kind, Bytes::new())
    }

    /// Whether body `id` still goes out.
    pub(crate) fn is_sending(&self, id: StreamId) -> bool {
        self.outs.iter().any(|body| body.id == id)
    }

    /// Breaks a body off that goes out. What of it waits is not sent any more.
    pub(crate) fn break_off(&mut self, id: StreamId, error: BodyError, wire: &Wire) {
        if self.is_sending(id) {
            self.forget(id);
            let broken = StreamMessage::Broken(error);
            wire.put(&FromCell::Stream(id, broken), b"");
        }
    }

    /// What the node says of a body. What it says of one that is not there any more means nothing.
    pub(crate) fn hear(&mut self, id: StreamId, message: StreamMessage, payload: &[u8]) {
        match message {
            StreamMessage::Chunk | StreamMessage::End | StreamMessage::Broken(_) => {
                let Some(body) = self.ins.iter_mut().find(|body| body.id == id) else {
                    return;
                };
                match (message, &body.sender) {
                    (StreamMessage::Chunk, Some(sender)) => {
                        // There is room: the node sends what it was granted. If the reader has left, it will be
                        // told.
                        let _ = sender.try_send(Bytes::copy_from_slice(payload));
                    }
                    (StreamMessage::Broken(error), _) => {
                        if let Some(sender) = body.sender.take() {
                            sender.fail(error);
                        }
                    }
                    _ => body.sender = None,
                }
            }
            StreamMessage::Credit(more) => {
                if let Some(body) = self.outs.iter_mut().find(|body| body.id == id) {
                    body.credit = body.credit.saturating_add(more);
                }
            }
            StreamMessage::Left => self.outs.retain(|body| body.id != id),
        }
    }

    /// Sends what may be sent, and tells the node what has become of its bodies. It is progress where one of
    /// them has gone out.
    pub(crate) fn poll(&mut self, wire: &Wire, cx: &mut Context<'_>) -> Progress {
        let before = self.outs.len();
        self.outs.retain_mut(|body| !body.poll(wire, cx));
        let progress = match self.outs.len() < before {
            true => Progress::Made,
            false => Progress::None,
        };
        self.news.waker.register(cx.waker());
        if self.news.is_there.swap(false, Ordering::AcqRel) {
            self.ins.retain_mut(|body| body.tell(wire));
        }
        progress
    }
}

impl In {
    /// Tells the node what the reader has done. Returns whether there is more to come.
    fn tell(&mut self, wire: &Wire) -> bool {
        let say = |message| wire.put(&FromCell::Stream(self.id, message), b"");
        let has_more = self.sender.is_some();
        if self.heard.left.load(Ordering::Acquire) {
            if has_more {
                say(StreamMessage::Left);
            }
            return false;
        }
        if self.heard.asked.swap(false, Ordering::AcqRel) && has_more {
            say(StreamMessage::Credit(WINDOW));
        }
        match self.heard.taken.swap(0, Ordering::AcqRel) {
            0 => {}
            taken if has_more => say(StreamMessage::Credit(taken)),
            _ => {}
        }
        true
    }
}

impl Out {
    /// Sends what there is credit for. Small pieces wait for each other only while there is none. Returns
    /// whether that was all of the body.
    fn poll(&mut self, wire: &Wire, cx: &mut Context<'_>) -> bool {
        loop {
            self.gather(cx);
            if self.next.is_empty() {
                let Some(end) = self.end.take() else {
                    return false;
                };
                let message = match end {
                    Ok(()) => StreamMessage::End,
                    Err(error) => StreamMessage::Broken(error),
                };
                wire.put(&FromCell::Stream(self.id, message), b"");
                return true;
            }
            if self.credit == 0 || wire.is_full() {
                return false;
            }
            self.credit -= 1;
            wire.put(&FromCell::Stream(self.id, StreamMessage::Chunk), &self.next);
            self.next.clear();
        }
    }

    /// Fills the next chunk as far as there is something for it.
    fn gather(&mut self, cx: &mut Context<'_>) {
        while self.next.len() < MAX_CHUNK {
            if self.rest.is_empty() && !self.take(cx) {
                return;
            }
            let length = self.rest.len().min(MAX_CHUNK - self.next.len());
            self.next.extend_from_slice(&self.rest.split_to(length));
        }
    }

    /// Takes more out of the source. Returns whether there was any.
    fn take(&mut self, cx: &mut Context<'_>) -> bool {
        if self.end.is_some() {
            return false;
        }
        match &mut self.source {
            Source::Bytes(bytes) => {
                self.rest = std::mem::take(bytes);
                self.end = self.rest.is_empty().then_some(Ok(()));
            }
            Source::Stream(stream) => match stream.poll_chunk(cx) {
                Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                Poll::Ready(Some(Err(error))) => self.end = Some(Err(error)),
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Pending => return false,
            },
        }
        self.end.is_none()
    }
}
