//! Fields that speak of one connection, and are not for whoever is behind the next one (RFC 9110, 7.6.1).

use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use crate::fields::trimmed;

/// Those that have that meaning by their name. Nothing here passes trailers on.
static BY_NAME: [HeaderName; 8] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether it is one by its name.
pub fn is_one(name: &HeaderName) -> bool {
    BY_NAME.contains(name)
}

/// Takes them out, and what `Connection` names beside them.
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(trimmed(name)).ok())
        .collect();
    for name in named.iter().chain(&BY_NAME) {
        headers.remove(name);
    }
}
