//! Heads on the wire: what of a function's headers goes out, and what of an answer's matters
//! here.

use holm_model::body::Body;
use holm_model::outbound::OutboundError;
use holm_router::hop_by_hop;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use url::Url;

use super::decode::Coding;

/// What a function's requests are sent as, unless it sets a `user-agent` of its own.
const AGENT: &str = concat!("Holm/", env!("CARGO_PKG_VERSION"));

/// Headers that this port writes itself, or does not: nobody waits for what they expect.
const NOT_THE_FUNCTIONS: [HeaderName; 3] = [CONTENT_LENGTH, EXPECT, HOST];

/// Removes what a function may not say and adds what every request says.
pub(super) fn clean(headers: &mut HeaderMap, method: &Method, body: &Body) {
    hop_by_hop::strip(headers);
    for name in NOT_THE_FUNCTIONS {
        headers.remove(name);
    }
    let proxy: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().starts_with("proxy-"))
        .cloned()
        .collect();
    for name in proxy {
        headers.remove(name);
    }
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    headers
        .entry(USER_AGENT)
        .or_insert(HeaderValue::from_static(AGENT));
    // "If httpRequest's body is null and its method is POST or PUT, then 0" (fetch standard).
    // Every other length is hyper's to write, from the body.
    if body.length() == Some(0) && (method == Method::POST || method == Method::PUT) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// Whether the answer to a request with these headers may be decompressed. A part of a
/// compressed representation cannot be, and `identity` says that the function does not want it.
pub(super) fn may_decode(headers: &HeaderMap) -> bool {
    let identity = headers
        .get(ACCEPT_ENCODING)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    !identity && !headers.contains_key(RANGE)
}

/// Offers the codings of [`Coding`], unless the function made an offer of its own.
pub(super) fn offer_codings(headers: &mut HeaderMap) {
    let offer = if headers.contains_key(RANGE) {
        "identity"
    } else {
        Coding::OFFER
    };
    headers
        .entry(ACCEPT_ENCODING)
        .or_insert(HeaderValue::from_static(offer));
}

/// Whether an answer in Brotli is asked for.
pub(super) fn offers_brotli(headers: &HeaderMap) -> bool {
    offers(headers).any(is_brotli)
}

/// Asks for everything that was asked for, less Brotli.
pub(super) fn withdraw_brotli(headers: &mut HeaderMap) {
    let rest: Vec<&str> = offers(headers).filter(|offer| !is_brotli(offer)).collect();
    let rest = if rest.is_empty() {
        "identity".to_owned()
    } else {
        rest.join(",")
    };
    let rest = HeaderValue::try_from(rest).expect("parts of header values are one");
    headers.insert(ACCEPT_ENCODING, rest);
}

fn offers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

fn is_brotli(offer: &str) -> bool {
    let name = offer.split(';').next().unwrap_or_default().trim();
    name.eq_ignore_ascii_case("br") || name == "*"
}

/// The one coding of an answer's body, if it is one that [`Coding`] undoes.
pub(super) fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Coding::named(value.to_str().ok()?.trim()),
        _ => None,
    }
}

/// The `Host` of a request to `url`, for one that does not go over the wire.
pub(super) fn host(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let value = match url.port() {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
        None => HeaderValue::from_str(host),
    };
    value.ok()
}

/// The target of a request to `url`.
pub(super) fn target(method: &Method, url: &Url) -> Result<Uri, OutboundError> {
    let invalid = |words: String| Err(OutboundError::Invalid(words));
    if !matches!(url.scheme(), "http" | "https") {
        return invalid(format!("cannot fetch {}: URLs", url.scheme()));
    }
    if *method == Method::CONNECT {
        return invalid("CONNECT is not a method that a function can send".to_owned());
    }
    let mut url = url.clone();
    url.set_fragment(None);
    // Credentials become headers above this port; here they would end up in `:authority`.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return invalid("the URL has no host".to_owned());
    }
    match Uri::try_from(url.as_str()) {
        Ok(uri) => Ok(uri),
        Err(error) => invalid(format!("the URL cannot be sent: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn connection_headers_do_not_go_out() {
        let mut given = headers(&[
            ("connection", "close, X-Mine , bad name"),
            ("x-mine", "1"),
            ("x-yours", "2"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "secret"),
            ("proxy-connection", "close"),
            ("host", "elsewhere.example"),
            ("content-length", "999"),
            ("expect", "100-continue"),
            ("user-agent", "mine"),
        ]);
        clean(&mut given, &Method::GET, &Body::Empty);
        let expected = headers(&[("accept", "*/*"), ("user-agent", "mine"), ("x-yours", "2")]);
        assert_eq!(given, expected);
    }

    #[test]
    fn an_empty_post_says_that_it_is_empty() {
        for (method, body, expected) in [
            (Method::POST, Body::Empty, Some("0")),
            (Method::PUT, Body::Full("".into()), Some("0")),
            (Method::POST, Body::Full("x".into()), None),
            (Method::DELETE, Body::Empty, None),
        ] {
            let mut given = HeaderMap::new();
            clean(&mut given, &method, &body);
            let length = given.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
            assert_eq!(length, expected.map(str::as_bytes), "{method}");
            assert_eq!(given[USER_AGENT], AGENT);
        }
    }

    #[test]
    fn codings_are_offered_and_undone_as_fetch_does() {
        for (given, offer, decode) in [
            (headers(&[]), "gzip,br", true),
            (headers(&[("accept-encoding", "gzip")]), "gzip", true),
            (
                headers(&[("accept-encoding", "Identity")]),
                "Identity",
                false,
            ),
            (headers(&[("range", "bytes=0-9")]), "identity", false),
        ] {
            assert_eq!(may_decode(&given), decode, "{given:?}");
            let mut sent = given;
            offer_codings(&mut sent);
            assert_eq!(sent[ACCEPT_ENCODING], offer);
        }
        let named = |value| coding(&headers(&[("content-encoding", value)]));
        assert_eq!(named("GZIP"), Some(Coding::Gzip));
        assert_eq!(named(" br"), Some(Coding::Brotli));
        for other in ["", "deflate", "gzip, br", "identity"] {
            assert_eq!(named(other), None, "{other}");
        }
        let twice = headers(&[("content-encoding", "gzip"), ("content-encoding", "br")]);
        assert_eq!(coding(&twice), None);
    }

    #[test]
    fn brotli_is_withdrawn_and_nothing_else() {
        for (given, rest) in [
            ("gzip,br", "gzip"),
            ("gzip, deflate, BR;q=0.9, zstd", "gzip,deflate,zstd"),
            ("br", "identity"),
            ("*;q=0.1, gzip;q=0.5", "gzip;q=0.5"),
        ] {
            let mut sent = headers(&[("accept-encoding", given)]);
            assert!(offers_brotli(&sent), "{given}");
            withdraw_brotli(&mut sent);
            assert_eq!(sent[ACCEPT_ENCODING], rest);
            assert!(!offers_brotli(&sent), "{rest}");
        }
        assert!(!offers_brotli(&headers(&[(
            "accept-encoding",
            "gzip, brutal"
        )])));
    }

    #[test]
    fn a_target_has_neither_fragment_nor_credentials() {
        let url = Url::parse("http://me:pw@example.com:81/a?b#c").expect("a URL");
        let uri = target(&Method::GET, &url).expect("a target");
        assert_eq!(uri, "http://example.com:81/a?b");
        assert_eq!(host(&url).expect("a host"), "example.com:81");

        for (method, url) in [
            (Method::CONNECT, "http://example.com/"),
            (Method::GET, "ftp://example.com/"),
            (Method::GET, "data:,x"),
        ] {
            let url = Url::parse(url).expect("a URL");
            let outcome = target(&method, &url);
            assert!(matches!(outcome, Err(OutboundError::Invalid(_))), "{url}");
        }
    }
}
