//! WebSockets (RFC 6455), with compression (RFC 7692), over whatever an upgraded connection is.
//!
//! | module | what it holds |
//! |---|---|
//! | `handshake` | what a request has to say, and what it is told |
//! | `decode`, `encode` | frames into parts of messages, and back: no I/O |
//! | `inflate`, `utf8` | what a message is read through |
//! | [`conversation`] | the one future that drives a socket to its end |
//!
//! Frame headers are tungstenite's. Its messages are not used: it has no compression, refuses frames of peers that
//! have, and wants a whole message in memory before it gives any of it.

pub mod conversation;
mod decode;
mod encode;
#[cfg(fuzzing)]
mod fuzz;
pub(crate) mod handshake;
mod inflate;
mod utf8;

use std::time::Duration;

pub use conversation::Conversation;
#[cfg(fuzzing)]
pub use fuzz::fuzz_frames;
pub use handshake::{accept_key, new_key};

/// Which side of a connection this is: clients mask what they send, and servers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The other side has opened it.
    Server,
    /// This side has.
    Client,
}

/// How WebSockets are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// How long the other side may be silent before it is asked whether it is there; and again, before it is taken
    /// to be gone: 30 s.
    pub ping_every: Duration,
    /// How long it may take to answer a close: 5 s.
    pub close_time: Duration,
    /// How long it may take nothing of what is ready for it: 30 s.
    pub stall_time: Duration,
    /// Whether messages are compressed where the other side can.
    pub compression: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(30),
            close_time: Duration::from_secs(5),
            stall_time: Duration::from_secs(30),
            compression: true,
        }
    }
}

/// What the other side did that ends the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Fault {
    /// Status of the close that it is told.
    pub(crate) code: u16,
    /// Why.
    pub(crate) reason: &'static str,
}

#[cfg(test)]
mod cases;
