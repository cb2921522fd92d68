//! The fields of a request, as whoever answers it is to find them: what HTTP/2 takes apart is put
//! together, and what it does not allow is refused, as the bytes of HTTP/1 were before. And the
//! values of a response's.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Uri, Version};

use crate::hop_by_hop;
use crate::refusal::Refusal;

/// Puts together what came in pieces, and checks what only HTTP/2 lets through to here.
pub(crate) fn settle(version: Version, headers: &mut HeaderMap) -> Result<(), Refusal> {
    if version == Version::HTTP_2 && headers.values().any(has_blank_end) {
        return Err(Refusal::Malformed(
            "a header field's value starts or ends with a blank",
        ));
    }
    // Of most requests no name comes twice, and this is all.
    if headers.len() > headers.keys_len() {
        join_cookies(headers);
        merge_lengths(headers)?;
    }
    Ok(())
}

/// Sets `host` of a request that named it in its target or in `:authority` alone.
pub(crate) fn set_host(uri: &Uri, headers: &mut HeaderMap) {
    if let Some(authority) = uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
}

/// Takes the blanks off the ends of values: HTTP/2 forbids them, and HTTP/1 does not count them.
/// A function cannot set any, but what it hands on from elsewhere may have some.
pub(crate) fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if has_blank_end(value)
            && let Ok(trimmed) = HeaderValue::from_bytes(trimmed(value.as_bytes()))
        {
            *value = trimmed;
        }
    }
}

/// Whether a response's field is for this end to say: hyper writes the length itself, and HTTP/2 forbids the rest.
pub(crate) fn is_of_the_connection(name: &HeaderName) -> bool {
    name == CONTENT_LENGTH || hop_by_hop::is_one(name)
}

/// Takes those out of a response, and what its `Connection` names beside them: whoever handed the
/// response on has not done it.
pub(crate) fn strip(headers: &mut HeaderMap) {
    hop_by_hop::strip(headers);
    headers.remove(CONTENT_LENGTH);
}

/// RFC 9113, 8.2.1.
fn has_blank_end(value: &HeaderValue) -> bool {
    matches!(value.as_bytes(), [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

/// Without the spaces and tabs at its ends.
pub(crate) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Browsers send each cookie in a field of its own over HTTP/2 (RFC 9113, 8.2.3). No comma separates
/// cookies, so they cannot be left to whoever joins fields. Over HTTP/1.1 a client sends one
/// field, but what stands in front of us may have handed the pieces on; Node joins them there, too.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

/// One length, said more than once, is one length; two are a way to be misread (RFC 9110, 8.6).
/// Over HTTP/1 even the first is refused, see `framing`.
fn merge_lengths(headers: &mut HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next().cloned() else {
        return Ok(());
    };
    if lengths.any(|length| *length != first) {
        return Err(Refusal::Malformed("its Content-Length fields disagree"));
    }
    headers.insert(CONTENT_LENGTH, first);
    Ok(())
}
