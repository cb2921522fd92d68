//! What the parts of Holm tell each other: the edge, the node's side of isolates, the inside of an
//! isolate, and the log.
//!
//! Plain data. Nothing here runs code, opens anything, reads a clock or knows V8 or hyper, so whoever
//! needs a word of this vocabulary compiles none of that.
//!
//! - [`event`]: what code answers, and what comes back; [`body`]: the bodies of both
//! - [`client`]: who sent a request
//! - [`outbound`]: what code asks the outside for
//! - [`limits`]: what a request may use; [`outcome`]: how it ended
//! - [`log`]: what code wrote and threw; [`record`]: what a request was, and what it cost
//! - [`message`]: what the node and a cell say to each other; [`start`]: why a function does not start
//! - [`websocket`]: the two ends of a WebSocket
//! - [`visible`]: text of others, fit to be printed
//!
//! ```
//! use holm_model::limits::Limits;
//! use holm_model::outcome::Outcome;
//!
//! assert_eq!(Limits::DEFAULT.cpu.to_string(), "50ms");
//! assert_eq!(Outcome::ExceededCpu.word(), "exceededCpu");
//! ```

#![forbid(unsafe_code)]

pub mod body;
pub mod client;
pub mod event;
pub mod limits;
pub mod log;
pub mod message;
pub mod outbound;
pub mod outcome;
pub mod record;
pub mod start;
pub mod visible;
pub mod websocket;
