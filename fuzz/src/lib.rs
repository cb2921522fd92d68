//! What the fuzz targets do with an input: each panics where something does not hold. `fuzz_targets/` calls them.

// Modules of the program, which is no library because it links V8: the same files, with what they need of others.
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../src/access.rs"]
mod access;
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../src/admin/address.rs"]
mod admin;
#[allow(dead_code, unused_imports, reason = "the program uses the rest")]
#[path = "../../src/assets/mod.rs"]
mod assets;
#[allow(dead_code, unused_imports, reason = "the program uses the rest")]
#[path = "../../src/config/mod.rs"]
mod config;
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../src/egress/address.rs"]
mod egress;
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../src/secret.rs"]
mod secret;

mod files;
mod head;
mod names;
mod wires;

pub use files::{asset_paths, asset_rules, config, negotiation};
pub use head::head;
pub use names::{hostname, routes};
pub use wires::{cell, proxy_header, websocket};
