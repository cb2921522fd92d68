//! Holm's edge: bytes and hostnames in, requests out to whoever answers them.
//!
//! It owns listening, HTTP/1.1 and HTTP/2, the limits on what a client may send and how slowly,
//! canonical hostnames, the route table, and responses that no function wrote. It knows nothing of
//! functions, configuration files or V8, and has no unsafe code. The seam is one trait,
//! [`Dispatch`]: a request with its canonical host goes in, a response comes out, and dropping the
//! future cancels it.
//!
//! | module | what it holds |
//! |---|---|
//! | [`server`] | a listener, plain or with TLS: accept, shed, drain |
//! | [`edge`] | one connection, over anything that carries bytes |
//! | [`tls`] | certificates by server name, handshakes |
//! | `wire`, `framing` | the bytes: which HTTP, strict request framing, clocks |
//! | `link`, `drain`, `turn` | what the parts of a connection tell each other around hyper |
//! | `crowd` | what each address has open |
//! | `unsent` | the budget for responses that wait for slow clients |
//! | [`proxies`] | who the client is, and what proxies are believed about it |
//! | `admit` | what has to hold for a request: method, host, path, size |
//! | [`dispatch`] | the seam: [`Dispatch`], [`Exchange`], [`Refused`], [`RequestId`] |
//! | [`body`] | bodies both ways, pulled, bounded, cancelled by drop |
//! | [`websocket`] | sockets: handshake, frames, compression, keeping alive |
//! | [`hostname`], [`path`], [`pattern`], [`table`] | names, and who answers to them |
//! | [`refusal`], [`synthetic`] | what the edge itself says |
//! | [`settings`], [`stats`] | limits and counters |
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use holm_router::{Dispatch, Exchange, Pattern, Refusal, ResponseBody, RouteTable, Server};
//! use holm_router::{Settings, Synthetic};
//! use http::Response;
//!
//! struct Greetings(RouteTable<&'static str>);
//!
//! impl Dispatch for Greetings {
//!     async fn dispatch(&self, exchange: Exchange) -> Response<ResponseBody> {
//!         match self.0.find(&exchange.host, exchange.path()) {
//!             Some(greeting) => Response::new(ResponseBody::from(*greeting)),
//!             None => Synthetic::from(Refusal::UnknownHost(exchange.host))
//!                 .respond(exchange.id, exchange.request.headers()),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let routes = RouteTable::builder()
//!     .route(Pattern::parse("hello.localhost")?, "hello\n")
//!     .route(Pattern::parse("*.example.com/bye/*")?, "bye\n")
//!     .build()?;
//! let address = SocketAddr::from(([127, 0, 0, 1], 0));
//! let server = Server::bind(address, Settings::default())?;
//! let shutdown = async { /* until SIGTERM */ };
//! let runtime = tokio::runtime::Runtime::new()?;
//! let drained = runtime.block_on(server.serve(Greetings(routes), shutdown))?;
//! assert_eq!(drained.aborted, 0);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod admit;
pub mod body;
mod crowd;
pub mod dispatch;
mod drain;
pub mod edge;
mod fields;
mod framing;
#[cfg(fuzzing)]
pub mod fuzz;
mod hints;
pub mod hop_by_hop;
pub mod hostname;
mod link;
mod notices;
pub mod path;
pub mod pattern;
pub mod proxies;
pub mod refusal;
pub mod server;
pub mod settings;
pub mod stats;
pub mod synthetic;
pub mod table;
pub mod tls;
mod turn;
mod unsent;
pub mod websocket;
mod wire;

pub use body::{BodyError, RequestBody, ResponseBody};
pub use dispatch::{Dispatch, Exchange, Refused, RequestId};
pub use edge::{Edge, Origin};
pub use hostname::{Hostname, HostnameError};
pub use pattern::{Pattern, PatternError};
pub use proxies::{Proxies, ProxyField, Via};
pub use refusal::Refusal;
pub use server::{BindError, Drained, ProxyProtocol, Server, Socket};
pub use settings::{Http2Settings, Settings};
pub use stats::Stats;
pub use synthetic::Synthetic;
pub use table::{DuplicateRoute, Explanation, RouteTable};
pub use wire::Transport;
