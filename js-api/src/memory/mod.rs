//! Memory that a function holds outside V8's heap, where the heap's limit does not see it.

pub(crate) mod blob;
pub(crate) mod buffers;
pub(crate) mod compression;
mod external;
