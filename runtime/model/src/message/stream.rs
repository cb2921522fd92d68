//! Bodies that do not come with their head.

use serde::Deserialize;
use serde::Serialize;

use crate::body::BodyError;

/// Which body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum StreamId {
    /// That of request `seq`, from the node.
    Request(u32),
    /// That of the answer to request `seq`, from the cell.
    Reply(u32),
    /// That of subrequest `fetch`, from the cell.
    Fetch(u32),
    /// That of the answer to subrequest `fetch`, from the node.
    Fetched(u32),
}

impl StreamId {
    /// Whether the cell writes it, and the node reads.
    pub fn is_of_cell(self) -> bool {
        match self {
            Self::Reply(_) | Self::Fetch(_) => true,
            Self::Request(_) | Self::Fetched(_) => false,
        }
    }
}

/// What becomes of the body of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum BodyKind {
    /// There is none.
    Empty,
    /// It is the frame's payload.
    Whole,
    /// Its chunks follow.
    Stream {
        /// Bytes, if known.
        length: Option<u64>,
    },
    /// Only from a cell, and of an answer: all of it is there, and its chunks follow at once, without credit, so that
    /// the cell need not wait for who reads it.
    Large {
        /// Bytes.
        length: u64,
    },
    /// Only from a cell: it is a body that the node has, and of which the cell has read nothing.
    Pass {
        /// Which one.
        of: StreamId,
        /// Bytes that the function declares, if it does.
        length: Option<u64>,
    },
    /// Of an answer: it is a WebSocket ([`super::SocketId`]).
    Socket,
}

/// What is said of a stream, by either side.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum StreamMessage {
    /// By its writer: the payload is the next chunk, of 1 to [`super::MAX_CHUNK`] bytes.
    Chunk,
    /// By its writer: that was all of it.
    End,
    /// By its writer: it breaks off.
    Broken(BodyError),
    /// By its reader: so many chunks more may come.
    Credit(u32),
    /// By its reader: nobody reads it any more.
    Left,
}
