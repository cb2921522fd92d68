//! The node's side of isolates: pools, cells, deadlines, records. No V8.
//!
//! A [`Pool`](pool::Pool) runs one [`Deployment`](deployment::Deployment) in cells: processes forked for it, each
//! with one isolate inside, which this crate meets at a socket ([`holm_model::message`]) and at nothing else. A
//! [`RequestContext`](request::RequestContext) and an event go in, a [`Reply`](holm_model::event::Reply) comes
//! out, and a [`Record`](holm_model::record::Record) says what it cost. A cell that breaks a limit is killed.
//! HTTP, hostnames and configuration are other crates' business.
//!
//! - [`deployment`]: a function, ready to run; [`services`]: what all cells share
//! - [`request`]: a request, from its head to its record
//! - [`pool`]: queue, scale-out, scale-in
//! - `cell`: one process, its socket, its requests, its deadlines
//! - [`fork`]: the zygote and templates, where cells come from
//! - `deadline`: when a limit is broken
//! - [`memory`], [`descriptors`]: what the node may hold; `pools`: who can do without

#![forbid(unsafe_code)]

mod cell;
mod deadline;
pub mod deployment;
pub mod descriptors;
pub mod fork;
pub mod memory;
pub mod pool;
mod pools;
pub mod request;
pub mod services;

#[cfg(fuzzing)]
pub use cell::fuzz;
