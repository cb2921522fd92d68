//! What every suite stands on: the program under test, clients, and the case format.

pub(crate) mod area;
pub(crate) mod bless;
pub(crate) mod case;
pub(crate) mod client;
pub(crate) mod compare;
pub(crate) mod log;
pub(crate) mod neighbour;
pub(crate) mod origin;
pub(crate) mod pebble;
pub(crate) mod processes;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod step;
pub(crate) mod tls;
pub(crate) mod websocket;
pub(crate) mod world;

pub(crate) use client::{Connection, Request};
pub(crate) use server::Server;
pub(crate) use world::World;
