//! The values of fields in which proxies speak of clients.
//!
//! A list grows at its end: the last value is what the proxy says that asked us, and what is before a
//! value can be believed as far as whoever added that value can be.

use std::net::{IpAddr, SocketAddr};

use http::HeaderValue;
use http::uri::Scheme;

/// One hop, as the proxy behind it saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hop {
    /// Who asked; none if the proxy does not tell, or not in a way that can be read.
    pub(super) address: Option<IpAddr>,
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<String>,
}

/// The hops in values of `X-Forwarded-For`.
pub(super) fn addresses<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Vec<Hop> {
    let values = values.map(|value| value.to_str().unwrap_or_default());
    let items = values.flat_map(|value| value.split(','));
    let items = items.map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| Hop {
            address: address(item),
            ..Hop::default()
        })
        .collect()
}

/// The hops in values of `Forwarded` (RFC 7239, 4). One that is not well formed says nothing.
pub(super) fn forwarded<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Vec<Hop> {
    let values = values.map(|value| value.to_str().unwrap_or("\""));
    let items = values.flat_map(|value| split(value, ','));
    let items = items.filter(|item| !item.trim().is_empty());
    items.map(element).collect()
}

fn element(text: &str) -> Hop {
    let mut hop = Hop::default();
    for pair in split(text, ';') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        let Some(value) = unquoted(value.trim()) else {
            continue;
        };
        let name = name.trim();
        if name.eq_ignore_ascii_case("for") {
            hop.address = address(&value);
        } else if name.eq_ignore_ascii_case("proto") {
            hop.scheme = scheme(&value);
        } else if name.eq_ignore_ascii_case("host") {
            hop.host = Some(value);
        }
    }
    hop
}

/// The hop that counts: the client's, or the first one behind it of which nothing is known. The hops
/// of proxies that are trusted are passed over, but for the first of all.
pub(super) fn hop(hops: &[Hop], is_trusted: impl Fn(IpAddr) -> bool) -> Option<Hop> {
    let mut nearest: Option<Hop> = None;
    for hop in hops.iter().rev() {
        let Some(address) = hop.address else {
            // Whoever sent this to the proxy that added it is not known; the rest of it is good.
            let known = nearest.and_then(|hop| hop.address);
            return Some(Hop {
                address: known,
                ..hop.clone()
            });
        };
        nearest = Some(hop.clone());
        if !is_trusted(address) {
            break;
        }
    }
    nearest
}

/// The last of all values.
pub(super) fn last<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Option<String> {
    let value = values.last()?.to_str().ok()?;
    let last = value.rsplit(',').next()?.trim();
    (!last.is_empty()).then(|| last.to_owned())
}

/// A scheme that the edge serves.
pub(super) fn scheme(text: &str) -> Option<Scheme> {
    if text.eq_ignore_ascii_case("https") {
        Some(Scheme::HTTPS)
    } else if text.eq_ignore_ascii_case("http") {
        Some(Scheme::HTTP)
    } else {
        None
    }
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// The parts of a text between separators that are not in quotes. What opens a quote and does not close
/// it is all one part.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match character {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

/// A token as it is, and what is in quotes without them.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => characters.next()?,
            '"' => return None,
            _ => character,
        });
    }
    Some(plain)
}
