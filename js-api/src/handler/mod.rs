//! One request inside an isolate: what the host hands in, and what the handler hands back.
//!
//! [`Invocations`] sits in the isolate's `OpState`, with one [`Invocation`] for each request that
//! runs. The ops read the request from it and put the answer into it; the host takes the answer out
//! after each turn of the event loop, so nothing here knows how it travels on.

mod body;
mod invocations;
mod ops;

pub use self::body::BodySource;
pub use self::body::BodyWriter;
pub use self::body::MemoryBudget;
use self::body::WrongLength;
pub use self::invocations::Invocation;
pub use self::invocations::Invocations;
pub use self::invocations::RequestHeaders;
pub(crate) use self::invocations::calling;
pub(crate) use self::ops::*;
