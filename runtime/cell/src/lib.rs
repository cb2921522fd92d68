//! The inside of a cell's process: the zygote, templates, cells. The only V8 of the project.
//!
//! The node starts the program anew; its `main` calls [`zygote::run`], which makes V8 ready, and forks as the
//! node says ([`holm_process`]). What is forked knows by its
//! [`Purpose`](holm_model::message::Purpose) what it is:
//!
//! | purpose | what it does | where |
//! |---|---|---|
//! | compiler | compiles one script, and ends | `compile` |
//! | template | runs a function's start-up, and is copied | `template` |
//! | cell, copy | answers requests over its socket | `cell`, `serve` |
//!
//! Node and cell speak [`holm_model::message`]. Nothing else comes in or goes out: no file, no other socket. No
//! limit is enforced here but that of memory; the node kills what breaks one.
//!
//! - `engine`: V8's one-time set-up
//! - `isolate`: a V8 heap, and the function in it
//! - `serve`: requests, streams and subrequests over the socket
//! - `last_words`: out of memory, panics; [`Allocator`]: for the program that is started anew
//! - `exempt`: CPU time that is nobody's; `sys`: the process's own clock

mod allocator;
mod cell;
mod compile;
mod engine;
mod exempt;
mod isolate;
mod last_words;
mod placement;
mod serve;
mod sys;
mod template;
pub mod zygote;

pub use allocator::Allocator;
pub use compile::MEMORY_SHOWN as COMPILER_MEMORY;
