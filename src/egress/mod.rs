//! Where the requests of functions go out: the node's [`Outbound`] port.
//!
//! Owns connections to the outside, which addresses they may reach, and what a function's
//! request looks like on the wire. Refuses addresses that are not public (unless the operator's
//! file allows them), follows no redirect (the caller does, so that every hop passes here) and
//! reads none of the host's proxy variables.
//!
//! - [`address`]: which addresses are public; a pure function.
//! - [`dial`]: name → permitted addresses → socket. The only place that opens one.
//! - [`charge`]: who pays for the CPU time of all that.
//! - [`pool`]: keep-alive connections and TLS, one pool per function.
//! - [`head`]: request headers on the wire, response headers that matter.
//! - [`body`], [`decode`]: bodies both ways, with back-pressure.
//! - [`websocket`]: WebSockets that functions open.
//! - [`inside`]: requests to hostnames that this node serves, without a socket.
//! - [`client`]: the port itself, in that order.
//!
//! Every exchange runs on the I/O threads; the cell that asked is told over its socket. Dropping the
//! future, or the body of the answer, ends the exchange and closes what it held.
//!
//! ```ignore
//! let client = Client::new(Options { io, allow: Allow::PUBLIC, extra_roots: vec![] })?;
//! client.serve_inside(router, &[8080]);           // once the listeners are bound
//! let answer = client.send(request).await?;       // from any thread
//! ```
//!
//! [`Outbound`]: holm_model::outbound::Outbound

mod address;
mod body;
mod charge;
mod client;
mod decode;
mod dial;
mod failure;
mod head;
mod inside;
mod pool;
#[cfg(test)]
mod tests;
mod websocket;

pub(crate) use address::{Allow, Network, NotANetwork};
pub(crate) use charge::blocking as charged;
pub(crate) use client::{Client, Options};
pub(crate) use inside::Internal;
pub(crate) use pool::SetupError;
