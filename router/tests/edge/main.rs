//! The edge from outside: real sockets on loopback, bytes in, bytes out.

mod bodies;
mod drain;
mod ends;
mod floods;
mod frames;
mod heads;
mod hosts;
mod http2;
mod invalid;
mod limits;
mod pipelines;
mod slow;
mod smuggling;
mod support;
mod tls;
mod trailers;
