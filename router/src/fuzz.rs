//! Ways in for fuzz targets (`fuzz/`) to what reads bytes of clients and is private to this crate. Compiled for them
//! alone.

pub use crate::proxies::fuzz_header as proxy_header;
pub use crate::websocket::fuzz_frames as websocket_frames;
