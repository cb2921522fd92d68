//! What the node and a cell say to each other over the cell's socket.
//!
//! A frame is its length (four bytes, little endian), a message ([`ToCell`] or [`FromCell`], in
//! postcard), and a payload: the bytes of a body, a log line or compiled code, as they are. There is one
//! version of it, since both sides are the same program. A cell has run a stranger's code, so the node
//! believes none of it: what does not decode, is too long or was not asked for ends the cell.
//!
//! **Requests** have a number, `seq`, which the node gives in ascending order and never twice to one cell. It
//! may send several ahead; which of them the cell has begun stands on a page that both see, where the node
//! can take back those that it has not.
//!
//! **Streams** are bodies that do not come with their head. Each is named by what it is the body of
//! ([`StreamId`]). Chunks have at most [`MAX_CHUNK`] bytes. What a cell sends starts with [`WINDOW`] chunks of
//! credit; what the node sends with none, so that a body which only passes through the function
//! ([`BodyKind::Pass`]) is still with the node, whole, when the function gives it back. The reader grants
//! one more for each chunk that was taken out of its hands.
//!
//! **WebSockets** are named by the request that became one, or by the subrequest that opened it ([`SocketId`]). The
//! node speaks the protocol; here go parts of messages. Each direction starts with
//! [`WINDOW`](crate::websocket::WINDOW) bytes of credit, and a part may be sent while there is any.
//!
//! ```
//! use holm_model::message::{Frames, FromCell, put};
//!
//! let mut wire = Vec::new();
//! put(&mut wire, &FromCell::Ready, b"");
//! let mut frames = Frames::of(&wire);
//! let (message, payload) = frames.next::<FromCell<'_>>()?.expect("it is there");
//! assert!(matches!(message, FromCell::Ready) && payload.is_empty());
//! assert_eq!(frames.used(), wire.len());
//! # Ok::<(), holm_model::message::Garbled>(())
//! ```

mod fields;
mod from_cell;
mod socket;
mod stream;
mod to_cell;

use serde::Deserialize;
use serde::Serialize;

pub use self::fields::Fields;
pub use self::from_cell::FromCell;
pub use self::from_cell::Settled;
pub use self::socket::SocketId;
pub use self::socket::SocketMessage;
pub use self::stream::BodyKind;
pub use self::stream::StreamId;
pub use self::stream::StreamMessage;
pub use self::to_cell::Start;
pub use self::to_cell::ToCell;

/// Longest frame, in bytes, its length not counted.
pub const MAX_FRAME: usize = 1 << 20;

/// Longest chunk of a body, in bytes. Longer ones are cut into several.
pub const MAX_CHUNK: usize = 64 << 10;

/// Chunks of one stream that may be on their way, or wait for its reader: with [`MAX_CHUNK`], 256 KiB for a
/// body.
pub const WINDOW: u32 = 4;

/// Longest head of a message inside a frame, in bytes: fields and URL, as they are in memory. What is left of
/// [`MAX_FRAME`] is room for the rest.
pub const MAX_HEAD: usize = 256 << 10;

/// Longest text of one log line, in bytes. Longer ones are cut.
pub const MAX_LINE: usize = 256 << 10;

/// Requests that may be in one cell, begun or not.
pub const MAX_IN_CELL: usize = 1_024;

/// Bytes of a frame's length.
const PREFIX: usize = 4;

/// What a forked process is for: the word that it is forked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Compiles a script. Is given its socket.
    Compiler = 1,
    /// Forked from the zygote to run a function's start-up, and to be copied. Is given its socket, the control
    /// socket over which it is asked for copies, and the function's code. Hears [`Start`].
    Template = 2,
    /// Forked from the zygote to start a function and answer its requests. Is given its socket, its page, and
    /// the function's code. Hears [`Start`], then [`ToCell`].
    Cell = 3,
    /// Forked from a template to answer requests. Is given its socket and its page. Hears [`ToCell`].
    Copy = 4,
}

impl Purpose {
    /// The purpose of that number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Compiler, Self::Template, Self::Cell, Self::Copy]
            .into_iter()
            .find(|purpose| *purpose as u8 == number)
    }
}

/// What came is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message that means nothing")]
pub struct Garbled;

/// Adds a frame to `wire`.
///
/// A frame over [`MAX_FRAME`] would end the cell, so the caller keeps texts, heads and payloads within their
/// bounds.
pub fn put(wire: &mut Vec<u8>, message: &impl Serialize, payload: &[u8]) {
    let start = wire.len();
    wire.extend_from_slice(&[0; PREFIX]);
    if postcard::to_io(message, &mut *wire).is_err() {
        // A vector takes everything, and no message of ours has what postcard does not know.
        debug_assert!(false, "a message that cannot be encoded");
        wire.truncate(start);
        return;
    }
    wire.extend_from_slice(payload);
    let length = wire.len() - start - PREFIX;
    debug_assert!(length <= MAX_FRAME, "a frame of {length} bytes");
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    wire[start..start + PREFIX].copy_from_slice(&length.to_le_bytes());
}

/// Takes frames out of what has been read.
#[derive(Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> Frames<'a> {
    /// Those of `bytes`, of which the last one may be there in part.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// Bytes of the frames taken so far.
    pub fn used(&self) -> usize {
        self.used
    }

    /// How many bytes the next frame has, if enough of it is there to tell.
    ///
    /// # Errors
    /// It is longer than any.
    pub fn needs(&self) -> Result<Option<usize>, Garbled> {
        let Some((prefix, _)) = self.bytes[self.used..].split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length == 0 || length > MAX_FRAME {
            return Err(Garbled);
        }
        Ok(Some(PREFIX + length))
    }

    /// The next frame's message and payload; `None` unless all of it is there.
    ///
    /// # Errors
    /// It is no such message.
    #[allow(
        clippy::should_implement_trait,
        reason = "an iterator has one type of items; this is asked for one"
    )]
    pub fn next<T: Deserialize<'a>>(&mut self) -> Result<Option<(T, &'a [u8])>, Garbled> {
        let Some(length) = self.needs()? else {
            return Ok(None);
        };
        let Some(frame) = self.bytes.get(self.used + PREFIX..self.used + length) else {
            return Ok(None);
        };
        let taken = postcard::take_from_bytes(frame).map_err(|_| Garbled)?;
        self.used += length;
        Ok(Some(taken))
    }
}

#[cfg(test)]
mod tests;
