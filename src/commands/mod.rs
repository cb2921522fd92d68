//! One file per command.

pub(crate) mod check;
pub(crate) mod dev;
mod failure;
pub(crate) mod new;
mod print;
pub(crate) mod schema;
pub(crate) mod serve;
mod signal;

pub(crate) use failure::Failure;
