//! The opening: what a request has to say for its connection to become a WebSocket, and what it is told.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;
use sha1::{Digest, Sha1};

use crate::refusal::Refusal;

/// The one version of the protocol that there is.
pub(crate) const VERSION: &str = "13";

const WEBSOCKET: &str = "websocket";

/// A request that asks to become a WebSocket, and may.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Over HTTP/1: what the answer proves to have read.
    accept: Option<HeaderValue>,
    /// The client can compress.
    pub(crate) compresses: bool,
}

impl Ask {
    /// What a request asks for; nothing if it asks for none. Over HTTP/2, it is from here on what it would be over
    /// HTTP/1: a GET with `upgrade`.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Result<Option<Self>, Refusal> {
        let version = request.version();
        let accept = if version == Version::HTTP_2 {
            let protocol = request.extensions().get::<Protocol>();
            if *request.method() != Method::CONNECT
                || protocol.is_none_or(|protocol| protocol.as_str() != WEBSOCKET)
            {
                return Ok(None);
            }
            *request.method_mut() = Method::GET;
            let headers = request.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            None
        } else {
            let headers = request.headers();
            // Most requests have none, and this is all.
            let Some(upgrade) = headers.get(UPGRADE) else {
                return Ok(None);
            };
            // Who asks for something else, or in a version that has no such thing, is just answered.
            if !upgrade
                .as_bytes()
                .eq_ignore_ascii_case(WEBSOCKET.as_bytes())
                || !has_token(headers, &CONNECTION, "upgrade")
                || version != Version::HTTP_11
            {
                return Ok(None);
            }
            Some(Self::accept(request.method(), headers)?)
        };
        let headers = request.headers();
        if headers
            .get(SEC_WEBSOCKET_VERSION)
            .is_none_or(|version| version != VERSION)
        {
            return Err(Refusal::WebSocketVersion);
        }
        let compresses = offers_compression(headers);
        Ok(Some(Self { accept, compresses }))
    }

    fn accept(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
        if *method != Method::GET {
            return Err(Refusal::Malformed("it asks for a WebSocket, and is no GET"));
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let (Some(key), None) = (keys.next(), keys.next()) else {
            return Err(Refusal::Malformed(
                "it asks for a WebSocket without one key",
            ));
        };
        // 16 bytes, whatever they are.
        let is_sound = BASE64_STANDARD
            .decode(key.as_bytes())
            .is_ok_and(|bytes| bytes.len() == 16);
        if !is_sound {
            return Err(Refusal::Malformed("its Sec-WebSocket-Key is no key"));
        }
        HeaderValue::try_from(accept_key(key.as_bytes()))
            .map_err(|_| Refusal::Malformed("its Sec-WebSocket-Key is no key"))
    }

    /// Adds what the answer says of it. Returns whether messages are compressed.
    pub(crate) fn answer(self, headers: &mut HeaderMap, compression: bool) -> bool {
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        headers.remove(SEC_WEBSOCKET_ACCEPT);
        if let Some(accept) = self.accept {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let compresses = compression && self.compresses;
        if compresses {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(AGREED));
        }
        compresses
    }
}

/// Nobody remembers anything between two messages: a socket that rests holds no window.
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// The proof that a key was read (RFC 6455, 4.2.2).
pub fn accept_key(key: &[u8]) -> String {
    let mut sha = Sha1::new();
    sha.update(key);
    sha.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(sha.finalize())
}

/// What a client sends to see whether its request was read as one: 16 bytes, new each time.
pub fn new_key() -> String {
    let mut key = [0; 16];
    for half in key.chunks_mut(4) {
        half.copy_from_slice(&super::encode::random());
    }
    BASE64_STANDARD.encode(key)
}

/// Whether one of the offers is one that can be agreed to. A smaller window of ours is not made.
fn offers_compression(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(is_acceptable)
}

fn is_acceptable(offer: &str) -> bool {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return false;
    }
    let mut seen = Vec::new();
    parts.all(|part| {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return false;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            | ("client_max_window_bits", None)
            | ("server_max_window_bits", Some("15")) => true,
            ("client_max_window_bits", Some(bits)) => {
                matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
            }
            _ => false,
        }
    })
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let fields = headers.get_all(name).iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard() {
        let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn offers_that_cannot_be_agreed_to() {
        for (offer, is_fit) in [
            ("permessage-deflate", true),
            ("permessage-deflate; client_max_window_bits", true),
            ("permessage-deflate; client_max_window_bits=\"9\"", true),
            ("permessage-deflate; server_no_context_takeover", true),
            ("permessage-deflate; server_max_window_bits=9", false),
            ("permessage-deflate; client_max_window_bits=7", false),
            ("permessage-deflate; x", false),
            (
                "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
                false,
            ),
            ("x-webkit-deflate-frame", false),
        ] {
            assert_eq!(is_acceptable(offer), is_fit, "{offer}");
        }
    }
}
