//! Bodies between the node and a cell.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodySender;
use holm_model::body::BodyStream;
use holm_model::body::Listener;
use holm_model::message::BodyKind;
use holm_model::message::Garbled;
use holm_model::message::MAX_CHUNK;
use holm_model::message::StreamId;
use holm_model::message::StreamMessage;
use holm_model::message::ToCell;
use holm_model::message::WINDOW;

use super::Handle;
use super::Mail;
use super::link::Link;

/// All bodies of one cell that do not come with their heads.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// What the cell writes.
    from_cell: HashMap<StreamId, BodySender>,
    /// What it reads.
    to_cell: HashMap<StreamId, Outgoing>,
}

/// A body on its way to a cell.
#[derive(Debug)]
struct Outgoing {
    source: BodyStream,
    /// What is left of a chunk that was too long.
    rest: Bytes,
    /// Chunks that may be sent.
    credit: u32,
    /// Something of it was.
    is_touched: bool,
}

/// Tells a cell's task what the reader of a body does.
#[derive(Debug)]
struct Reader {
    cell: Arc<Handle>,
    id: StreamId,
}

impl Listener for Reader {
    fn taken(&self) {
        self.cell.post(Mail::Taken(self.id));
    }

    fn left(&self) {
        self.cell.post(Mail::Left(self.id));
    }
}

impl Streams {
    /// A body that the cell will write.
    pub(super) fn expect(
        &mut self,
        id: StreamId,
        length: Option<u64>,
        cell: &Arc<Handle>,
    ) -> BodyStream {
        let (sender, stream) = BodyStream::channel(length);
        self.from_cell.insert(id, sender);
        let cell = cell.clone();
        stream.heard_by(Arc::new(Reader { cell, id }))
    }

    /// Whether the cell still writes it.
    pub(super) fn is_expected(&self, id: StreamId) -> bool {
        self.from_cell.contains_key(&id)
    }

    /// Takes a body to be sent to the cell under the name `id`. Returns what is said of it in the head, and
    /// what goes along with that.
    pub(super) fn send(&mut self, id: StreamId, body: Body) -> (BodyKind, Bytes) {
        let source = match body {
            Body::Empty => return (BodyKind::Empty, Bytes::new()),
            Body::Full(bytes) if bytes.len() <= MAX_CHUNK => return (BodyKind::Whole, bytes),
            Body::Full(bytes) => {
                let (sender, stream) = BodyStream::channel(Some(bytes.len() as u64));
                // Fits: the channel is empty.
                let _ = sender.try_send(bytes);
                stream
            }
            Body::Stream(stream) => stream,
            // The caller has taken it: it is no body.
            Body::Socket(_) => return (BodyKind::Empty, Bytes::new()),
        };
        let length = source.length();
        let outgoing = Outgoing {
            source,
            rest: Bytes::new(),
            credit: 0,
            is_touched: false,
        };
        self.to_cell.insert(id, outgoing);
        (BodyKind::Stream { length }, Bytes::new())
    }

    /// A body that the cell gives back as it was given.
    ///
    /// # Errors
    /// It has none of that name, or has read of it.
    pub(super) fn take_back(&mut self, id: StreamId) -> Result<BodyStream, Garbled> {
        let outgoing = self.to_cell.remove(&id).ok_or(Garbled)?;
        if outgoing.is_touched {
            return Err(Garbled);
        }
        Ok(outgoing.source)
    }

    /// What the cell says of a stream. Returns whether the cell has ended it.
    ///
    /// # Errors
    /// It says what it may not.
    pub(super) fn hear(
        &mut self,
        id: StreamId,
        message: StreamMessage,
        payload: &[u8],
    ) -> Result<bool, Garbled> {
        if !id.is_of_cell() {
            match message {
                StreamMessage::Credit(chunks) => {
                    if let Some(outgoing) = self.to_cell.get_mut(&id) {
                        let credit = outgoing.credit.saturating_add(chunks);
                        if credit > WINDOW {
                            return Err(Garbled);
                        }
                        outgoing.credit = credit;
                    }
                }
                StreamMessage::Left => drop(self.to_cell.remove(&id)),
                StreamMessage::Chunk | StreamMessage::End | StreamMessage::Broken(_) => {
                    return Err(Garbled);
                }
            }
            return Ok(false);
        }
        match message {
            StreamMessage::Chunk => {
                if payload.is_empty() || payload.len() > MAX_CHUNK {
                    return Err(Garbled);
                }
                // One that nobody reads any more was under way when the cell was told.
                if let Some(sender) = self.from_cell.get(&id)
                    && let Ok(Some(_)) = sender.try_send(Bytes::copy_from_slice(payload))
                {
                    // More than it has credit for.
                    return Err(Garbled);
                }
                Ok(false)
            }
            StreamMessage::End => Ok(self.from_cell.remove(&id).is_some()),
            StreamMessage::Broken(error) => match self.from_cell.remove(&id) {
                Some(sender) => {
                    sender.fail(error);
                    Ok(true)
                }
                None => Ok(false),
            },
            StreamMessage::Credit(_) | StreamMessage::Left => Err(Garbled),
        }
    }

    /// A chunk was taken out of a body that the cell writes.
    pub(super) fn taken(&self, id: StreamId, link: &mut Link) {
        if self.from_cell.contains_key(&id) {
            link.put(&ToCell::Stream(id, StreamMessage::Credit(1)), b"");
        }
    }

    /// Nobody reads a body any more that the cell writes. Returns whether the cell was still at it.
    pub(super) fn left(&mut self, id: StreamId, link: &mut Link) -> bool {
        let was_there = self.from_cell.remove(&id).is_some();
        if was_there {
            link.put(&ToCell::Stream(id, StreamMessage::Left), b"");
        }
        was_there
    }

    /// Whether a body may be on its way to the cell.
    pub(super) fn is_sending(&self) -> bool {
        !self.to_cell.is_empty()
    }

    /// Sends what there is to be sent, and is woken when there is more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, link: &mut Link) {
        self.to_cell
            .retain(|id, outgoing| outgoing.poll(cx, *id, link));
    }

    /// A body breaks off that the cell writes, because the cell, or its request, is no more.
    pub(super) fn break_off(&mut self, id: StreamId, error: BodyError) {
        if let Some(sender) = self.from_cell.remove(&id) {
            sender.fail(error);
        }
    }

    /// A body is not sent any more.
    pub(super) fn stop(&mut self, id: StreamId) {
        self.to_cell.remove(&id);
    }
}

impl Outgoing {
    /// Sends what there is. Returns whether there may be more.
    fn poll(&mut self, cx: &mut Context<'_>, id: StreamId, link: &mut Link) -> bool {
        while self.credit > 0 && !link.is_full() {
            if self.rest.is_empty() {
                match self.source.poll_chunk(cx) {
                    Poll::Pending => return true,
                    Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                    Poll::Ready(Some(Err(error))) => {
                        let broken = StreamMessage::Broken(error);
                        link.put(&ToCell::Stream(id, broken), b"");
                        return false;
                    }
                    Poll::Ready(None) => {
                        link.put(&ToCell::Stream(id, StreamMessage::End), b"");
                        return false;
                    }
                }
            }
            let chunk = self.rest.split_to(self.rest.len().min(MAX_CHUNK));
            if !chunk.is_empty() {
                self.is_touched = true;
                self.credit -= 1;
                link.put(&ToCell::Stream(id, StreamMessage::Chunk), &chunk);
            }
        }
        true
    }
}
