//! WebSockets of a cell.

use serde::Deserialize;
use serde::Serialize;

use crate::websocket::Close;
use crate::websocket::Kind;

/// Which WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub enum SocketId {
    /// The one that request `seq` became.
    Request(u32),
    /// The one that subrequest `fetch` opened.
    Fetched(u32),
}

/// What is said of a WebSocket, by either side.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SocketMessage {
    /// The payload is the next part of a message, of at most [`crate::websocket::MAX_PART`] bytes.
    Part {
        /// What the message is made of.
        kind: Kind,
        /// The message ends with it.
        is_last: bool,
    },
    /// So many bytes were taken ([`crate::websocket::Part::cost`]): as many more may come.
    Credit(u32),
    /// By the cell: it is to be closed, and nothing more is sent. By the node: it is over, and this is how; the cell
    /// says so in turn when the function has heard of it.
    Close(Close),
}
