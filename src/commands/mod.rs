//! One file per command.

pub(crate) mod admin;
pub(crate) mod check;
pub(crate) mod dev;
mod failure;
pub(crate) mod new;
mod print;
pub(crate) mod reload;
pub(crate) mod schema;
pub(crate) mod serve;
mod signal;
pub(crate) mod status;
mod table;
pub(crate) mod top;
pub(crate) mod upgrade;

pub(crate) use failure::Failure;
