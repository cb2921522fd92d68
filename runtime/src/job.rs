//! One event on its way to an isolate.

use std::sync::Arc;
use std::time::Instant;
use std::time::SystemTime;

use holm_model::event::Event;
use holm_model::event::Reply;
use tokio::sync::oneshot;

/// One event for one function.
#[derive(Debug)]
pub struct Job {
    /// What happened.
    pub event: Event,
    /// Id of the request, as in its record and its synthetic answer.
    pub request: Arc<str>,
    /// Functions of this node that wait on each other above this one.
    pub depth: u8,
    /// When it was handed to the pool.
    pub queued: Instant,
    /// The same on the calendar.
    pub start: SystemTime,
    /// Where the answer goes. Its receiver dropped: the client went away.
    pub reply: oneshot::Sender<Reply>,
}
