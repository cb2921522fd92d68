//! One file per command.

pub(crate) mod check;
pub(crate) mod dev;
mod failure;
mod listeners;
mod local_ca;
pub(crate) mod new;
mod print;
pub(crate) mod schema;
pub(crate) mod serve;
mod signal;
mod watch;

pub(crate) use failure::Failure;
