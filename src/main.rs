//! `holm`: an edge function runtime. One binary routes requests by hostname, from one TOML file,
//! into V8 isolates, each request under limits of its own.
//!
//! This package puts the others together and holds no policy of its own about HTTP
//! (`holm-router`) or isolates (`holm-runtime`).
//!
//! - [`cli`], [`commands`]: what a person types, and what each word does
//! - [`config`]: the file → a plan in which nothing is open any more
//! - [`app`]: a plan → functions that answer; the edge's `Dispatch`
//! - [`access`]: who may ask for a function
//! - [`acme`]: certificates that an authority issues
//! - [`admin`]: how the node does, over a listener of its own: metrics, status, reload
//! - [`secret`]: tokens that the file points at
//! - [`egress`]: where functions' own requests go out
//! - [`telemetry`]: records and log lines → the terminal or JSON
//! - [`upgrade`]: a restart that refuses no connection; [`service`]: what systemd is told
//! - [`zygote`]: the program again, as the process that others are forked from

mod access;
mod acme;
mod admin;
mod app;
mod assets;
mod cli;
mod commands;
mod config;
mod egress;
mod secret;
mod service;
mod telemetry;
mod upgrade;
mod zygote;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: holm_cell::Allocator = holm_cell::Allocator;

fn main() -> ExitCode {
    if zygote::is_meant() {
        return zygote::run();
    }
    cli::run()
}
