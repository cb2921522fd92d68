//! Bodies as deno_core resources: the reading end of what comes in, the writing end of what goes
//! out.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::AsyncRefCell;
use deno_core::AsyncResult;
use deno_core::BufMutView;
use deno_core::BufView;
use deno_core::CancelHandle;
use deno_core::CancelTryFuture;
use deno_core::RcRef;
use deno_core::Resource;
use deno_error::JsErrorBox;

use holm_model::body::Body;
use holm_model::body::BodySender;
use holm_model::body::BodyStream;
use holm_model::body::ReaderGone;

/// A body that a function reads: of a request that came in, or of an answer to its own `fetch`.
pub struct BodySource {
    state: AsyncRefCell<Source>,
    cancel: CancelHandle,
    length: Option<u64>,
    /// Bytes that may be gathered outside of the heap, where V8 does not count them.
    budget: u64,
    gathered: Cell<u64>,
}

/// The longest read of a stream: `arrayBuffer()` and its kin start with one of that length, and
/// then gather the body in ever longer ones.
const STREAM_READ: usize = 64 << 10;

/// Bytes of memory that an isolate may have, as far as its resources go by it.
#[derive(Clone, Copy, Debug)]
pub struct MemoryBudget(pub u64);

struct Source {
    body: Body,
    /// What is left of a chunk that was larger than the reader's buffer.
    rest: Bytes,
    touched: bool,
}

impl BodySource {
    /// The reading end of `body`, of which `budget` bytes may be read in one piece.
    pub fn new(body: Body, budget: MemoryBudget) -> Self {
        Self {
            length: body.length(),
            budget: budget.0,
            gathered: Cell::new(0),
            state: AsyncRefCell::new(Source {
                body,
                rest: Bytes::new(),
                touched: false,
            }),
            cancel: CancelHandle::new(),
        }
    }

    /// The next piece of up to `limit` bytes; empty at the end.
    async fn take(self: Rc<Self>, limit: usize) -> Result<Bytes, JsErrorBox> {
        let cancel = RcRef::map(&self, |this| &this.cancel);
        let read = async {
            let mut source = RcRef::map(&self, |this| &this.state).borrow_mut().await;
            source.next(limit).await
        };
        read.try_or_cancel(cancel).await
    }

    /// Counts what is gathered outside of the heap, which sees none of it until the end.
    fn gather(&self, bytes: usize) -> Result<(), JsErrorBox> {
        let gathered = self.gathered.get() + bytes as u64;
        self.gathered.set(gathered);
        if gathered > self.budget {
            return Err(JsErrorBox::range_error(format!(
                "a body of more than {} bytes does not fit the memory of this function; read it as a stream",
                self.budget
            )));
        }
        Ok(())
    }

    /// The body itself, if nothing has been read of it: it can go on as it is, without a copy.
    pub fn into_body(self: Rc<Self>) -> Option<Body> {
        let mut source = RcRef::map(self, |this| &this.state).try_borrow_mut()?;
        if source.touched {
            return None;
        }
        source.touched = true;
        Some(std::mem::take(&mut source.body))
    }
}

impl Source {
    async fn next(&mut self, limit: usize) -> Result<Bytes, JsErrorBox> {
        self.touched = true;
        while self.rest.is_empty() {
            match &mut self.body {
                Body::Empty | Body::Socket(_) => return Ok(Bytes::new()),
                Body::Full(bytes) => {
                    self.rest = std::mem::take(bytes);
                    self.body = Body::Empty;
                }
                Body::Stream(stream) => match stream.chunk().await {
                    Some(Ok(chunk)) => self.rest = chunk,
                    Some(Err(error)) => {
                        self.body = Body::Empty;
                        return Err(JsErrorBox::type_error(format!("body: {error}")));
                    }
                    None => self.body = Body::Empty,
                },
            }
        }
        let length = limit.min(self.rest.len());
        Ok(self.rest.split_to(length))
    }
}

impl Resource for BodySource {
    fn name(&self) -> Cow<'_, str> {
        "body".into()
    }

    fn read(self: Rc<Self>, limit: usize) -> AsyncResult<BufView> {
        Box::pin(async move {
            let chunk = self.clone().take(limit).await?;
            self.gather(chunk.len())?;
            Ok(BufView::from(chunk))
        })
    }

    fn read_byob(self: Rc<Self>, mut buffer: BufMutView) -> AsyncResult<(usize, BufMutView)> {
        Box::pin(async move {
            let chunk = self.clone().take(buffer.len()).await?;
            if buffer.len() > STREAM_READ {
                self.gather(chunk.len())?;
            }
            buffer[..chunk.len()].copy_from_slice(&chunk);
            Ok((chunk.len(), buffer))
        })
    }

    fn size_hint(&self) -> (u64, Option<u64>) {
        (self.length.unwrap_or(0), self.length)
    }

    fn cancel_read_ops(self: Rc<Self>) {
        self.cancel.cancel();
    }

    fn close(self: Rc<Self>) {
        self.cancel.cancel();
    }
}

/// The writing end of a streamed answer.
#[derive(Debug)]
pub struct BodyWriter {
    sender: RefCell<Option<BodySender>>,
    length: Option<u64>,
    /// A write failed, because the reader is gone.
    left: Cell<bool>,
}

/// A body is not of the length that its head declares, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongLength {
    /// There is more of it.
    #[error(
        "the response's body is longer than its content-length of {0} bytes; leave the field out if it is not known"
    )]
    Longer(u64),
    /// It ends before.
    #[error(
        "the response's body is shorter than its content-length of {0} bytes; leave the field out if it is not known"
    )]
    Shorter(u64),
}

impl BodyWriter {
    /// The two ends of an answer of `length` bytes, if that is known.
    pub fn channel(length: Option<u64>) -> (Self, BodyStream) {
        let (sender, stream) = BodyStream::channel(length);
        let writer = Self {
            sender: RefCell::new(Some(sender)),
            length,
            left: Cell::new(false),
        };
        (writer, stream)
    }

    /// The sender, until the body has ended.
    pub fn sender(&self) -> Option<BodySender> {
        self.sender.borrow().clone()
    }

    /// Whether so many bytes more are not too many.
    ///
    /// # Errors
    /// [`WrongLength`] when they are.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), WrongLength> {
        match (self.length, self.written()) {
            (Some(length), Some(written)) if written + bytes as u64 > length => {
                Err(WrongLength::Longer(length))
            }
            _ => Ok(()),
        }
    }

    /// Whether this is where it has to end.
    ///
    /// # Errors
    /// [`WrongLength`] when bytes are missing.
    pub(crate) fn check_end(&self) -> Result<(), WrongLength> {
        match (self.length, self.written()) {
            (Some(length), Some(written)) if written < length => Err(WrongLength::Shorter(length)),
            _ => Ok(()),
        }
    }

    fn written(&self) -> Option<u64> {
        self.sender.borrow().as_ref().map(BodySender::written)
    }

    /// Sends `chunk` if there is room for it now.
    ///
    /// # Errors
    /// [`ReaderGone`] when nobody reads the body any more.
    pub(crate) fn try_send(&self, chunk: Bytes) -> Result<Option<Bytes>, ReaderGone> {
        match &*self.sender.borrow() {
            Some(sender) => sender.try_send(chunk).inspect_err(|_| self.note_left()),
            None => Err(ReaderGone),
        }
    }

    /// A write failed, because nobody reads the body any more.
    pub(crate) fn note_left(&self) {
        self.left.set(true);
    }

    /// Whether a write has failed because nobody reads the body any more.
    pub(crate) fn was_left(&self) -> bool {
        self.left.get()
    }

    /// Ends the body and drops the sender.
    pub(crate) fn end(&self) -> Option<BodySender> {
        self.sender.borrow_mut().take()
    }
}

impl Resource for BodyWriter {
    fn name(&self) -> Cow<'_, str> {
        "responseBody".into()
    }
}
