//! Bodies: what a client sends, and what it is sent.
//!
//! Both are pulled. Nothing is read from the wire before somebody asks for a chunk, and nothing is
//! produced faster than the client takes it: the only buffers are hyper's and the bounded channel
//! of the producer's choice. Both are cancelled by dropping them.

mod request;
mod response;

pub use holm_model::body::BodyError;
pub(crate) use request::Pace;
pub use request::{DEFAULT_IDLE, DEFAULT_LIMIT, RequestBody};
pub use response::ResponseBody;
