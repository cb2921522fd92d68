//! Holm's isolates: pool, limits, meter. The only V8 and the only libc of the project.
//!
//! A [`Pool`](pool::Pool) runs one [`Deployment`](deployment::Deployment) on isolates that each
//! own a thread. A [`Job`](job::Job) goes in, a [`Reply`](holm_model::event::Reply) comes out, and a
//! [`Record`](holm_model::record::Record) says what it cost. The [`Watchdog`](watchdog::Watchdog) ends what
//! runs over its limits. HTTP, hostnames and configuration are other crates' business.
//!
//! - [`engine`]: V8's one-time set-up
//! - [`code_cache`]: compiled modules, shared by isolates
//! - [`deployment`], [`job`], [`services`]: plain data
//! - [`isolate`]: one V8 heap on one thread
//! - [`pool`]: queue, scale-out, scale-in
//! - [`meter`]: CPU time; [`watchdog`]: deadlines
//! - `sys`: thread clocks

#![deny(unsafe_code)]

pub mod code_cache;
pub mod deployment;
pub mod engine;
pub mod isolate;
pub mod job;
pub mod meter;
pub mod pool;
pub mod services;
mod sys;
pub mod thread;
pub mod watchdog;
