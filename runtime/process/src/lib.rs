//! Holm's processes: an isolate is a forked process, and this crate is what forks, holds and confines it.
//!
//! ```text
//! edge                    spawn: starts the zygote, asks for processes, kills them
//!  └ zygote               one thread, made ready once
//!     ├ template          forked from it, runs a function's start-up, is copied then
//!     │  └ cell           forked from that, answers requests
//!     └ cell              of a function that cannot have a template
//! ```
//!
//! It owns starting and ending processes, their lifeline, their names, descriptors on their way between
//! them, the sandbox, and reading from outside what they use. It knows nothing of functions,
//! requests or V8: what a process does is a closure of the caller. Linux only, 5.11 or later, on x86_64 and
//! aarch64. `unsafe` is in `sys.rs` alone.
//!
//! | module | what it holds |
//! |---|---|
//! | [`spawn`] | the edge's side: [`spawn::spawn`], [`spawn::fork`], [`spawn::Process`] |
//! | [`zygote`] | the other side: [`zygote::Zygote`], [`zygote::Child`], their life |
//! | `message` | what both say to each other, as bytes |
//! | [`passing`] | messages with descriptors |
//! | [`lifeline`] | nothing outlives the edge |
//! | `fork` | copies of a process, and what has to hold before |
//! | [`sandbox`] | what a process may do: layers, limits, the seccomp filter |
//! | [`title`] | what `ps` calls a process |
//! | [`clock`], [`memory`] | what another process uses |
//! | [`page`], [`blob`] | memory that edge and cell share; a function's code, read by many |
//! | [`duplex`] | a cell's socket in a tokio task |
//! | [`activation`], [`succession`] | sockets that a service manager hands over; the program started anew, to take the place of this process |
//! | [`schedule`] | what the edge asks for its own threads |
//! | [`bounds`], [`descriptors`] | what bounds the number of processes, and what of descriptors |
//! | `sys` | the system calls that rustix does not offer |
//!
//! In the edge:
//!
//! ```no_run
//! # use std::{os::fd::AsFd, time::Duration};
//! # use holm_process::{lifeline::Anchor, passing::Socket, spawn};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let anchor = Anchor::new()?;
//! let zygote = spawn::spawn(&anchor, ["zygote"], &[("TZ", "UTC")])?;
//! println!("sandbox: {}", zygote.ready(Duration::from_secs(5))?);
//! let (ours, theirs) = Socket::pair()?;
//! let cell = spawn::fork(zygote.control(), &anchor, 1, "hello", &[theirs.as_fd()])?;
//! ours.send(b"a request", &[])?;
//! drop(cell); // kills it
//! # Ok(())
//! # }
//! ```
//!
//! In the program that it starts:
//!
//! ```no_run
//! # use holm_process::{sandbox::{Limits, Mode, Sandbox}, zygote::Zygote};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let zygote = Zygote::enter()?;
//! let ready = String::from("whatever takes long to make");
//! let sandbox = Sandbox::build(Mode::Auto)?;
//! zygote.announce(&sandbox)?;
//! zygote.serve(move |child| {
//!     let limits = Limits { data: 128 << 20, files: 64 };
//!     let fds = child.into_cell(&sandbox, limits);
//!     // Serve over `fds`, with `ready`.
//! #   drop((fds, &ready));
//! })?;
//! # Ok(())
//! # }
//! ```

pub mod activation;
pub mod blob;
pub mod bounds;
pub mod clock;
pub mod descriptors;
pub mod duplex;
mod fork;
pub mod lifeline;
pub mod memory;
mod message;
pub mod page;
pub mod passing;
pub mod sandbox;
pub mod schedule;
pub mod spawn;
pub mod succession;
mod sys;
pub mod title;
pub mod zygote;

pub use message::ForkFailure;
pub use message::Garbled;
pub use message::MAX_CHILD_FDS;
pub use message::MAX_NAME;
#[cfg(fuzzing)]
pub use message::fuzz_messages;
pub use rustix::process::Pid;
pub use rustix::process::getpid as this_pid;
pub use sys::exit;
