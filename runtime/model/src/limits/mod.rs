//! The limits of a function, their defaults and how far each may be moved: one place.
//!
//! A limit is a row of one table, and its value a newtype with its unit ([`CpuTime`],
//! [`HeapBytes`], …). [`Limits`] has a field for each row. Nothing here enforces anything: the
//! deadlines, the pool, the node's memory and the isolate's heap read the values from here, and the
//! configuration makes its keys, their schema, their reading and their checks from the rows, with
//! [`for_each_limit!`](crate::for_each_limit). This module links no V8, so that configuration can
//! be tested without it.
//!
//! - [`table`]: every limit's key, default, floor and ceiling, with the reason of each
//! - [`row`]: what a row consists of, and what is made of the table
//! - [`quantity`]: the newtypes; [`mod@unit`]: "50ms" and "128MiB", both ways
//!
//! ```
//! use holm_model::limits::{CpuTime, Limits};
//!
//! let cpu: CpuTime = "10ms".parse()?;
//! let limits = Limits { cpu, ..Limits::DEFAULT };
//! assert!(limits.cpu < Limits::MAX.cpu);
//! # Ok::<(), holm_model::limits::UnitError>(())
//! ```

pub mod unit;

mod quantity;
mod row;
mod table;

pub use quantity::{
    BodyBytes, CpuTime, HeapBytes, Isolates, LogBytes, NodeBytes, QueueSlots, RequestsServed,
    Subrequests, WallTime, WebSockets,
};
pub use row::Limit;
pub use table::{KEYS, Limits, ROWS, Rows};
pub use unit::UnitError;
