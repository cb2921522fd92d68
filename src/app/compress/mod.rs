//! Compression of answers, where a function wants it, its client can undo it, and it pays.
//!
//! It costs CPU time in the edge, which is the request's: it is charged to it, and its record waits
//! for it ([`OpenRecord`]). An answer that a cell still streams can so break the request's CPU limit;
//! one that is there as a whole is bounded by [`MOST`].
//!
//! - [`accept`]: what a client takes; [`encoder`]: bytes in, fewer bytes out

mod accept;
mod encoder;

use holm_model::body::Body;
use holm_router::ResponseBody;
use holm_runtime::request::OpenRecord;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::ACCEPT_RANGES;
use http::header::CACHE_CONTROL;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_RANGE;
use http::header::CONTENT_TYPE;
use http::header::ETAG;
use http::header::VARY;

use super::bodies;
use crate::egress::charged;

pub(super) use self::accept::Coding;
pub(super) use self::encoder::Encoders;

/// Shorter answers are sent as they are: they fit into a packet or two, whatever is done to them.
const LEAST: u64 = 1024;

/// Answers up to this many bytes that are there as a whole are compressed at once, so that their length
/// is known: a few milliseconds at most.
const WHOLE: usize = 256 << 10;

/// Longer answers whose length is known are sent as they are. Half a second of CPU time, or less.
const MOST: u64 = 16 << 20;

/// Digests of the bytes that the function gave (RFC 9530, and older).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// What is done for a client that can undo it.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) coding: Coding,
    pub(super) record: OpenRecord,
}

/// The answer of a function that wants its answers compressed, as it is sent.
pub(super) fn answer(
    response: Response<Body>,
    offer: Option<Offer>,
    encoders: &Encoders,
) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    if !is_worth_it(head.status, &head.headers, body.length()) {
        return Response::from_parts(head, bodies::outbound(body));
    }
    // Others may get it otherwise, whoever asked now.
    vary(&mut head.headers);
    let Some(Offer { coding, record }) = offer else {
        return Response::from_parts(head, bodies::outbound(body));
    };
    let packed = match body {
        Body::Full(bytes) if bytes.len() <= WHOLE => {
            let account = Some(record.account().clone());
            let packed = charged(account, || encoder::whole(coding, &bytes));
            match packed.filter(|packed| packed.len() < bytes.len()) {
                Some(packed) => ResponseBody::whole(packed),
                None => return Response::from_parts(head, ResponseBody::whole(bytes)),
            }
        }
        body => match encoders.stream(coding, bodies::outbound(body), record) {
            Ok(packed) => packed,
            Err(body) => return Response::from_parts(head, body),
        },
    };
    say(&mut head.headers, coding);
    Response::from_parts(head, packed)
}

/// The answer to a HEAD: what a GET would say that is known without compressing it, which its length is not
/// (RFC 9110, 8.6).
pub(super) fn head(response: Response<Body>, coding: Option<Coding>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    let given = body.length().filter(|length| *length > 0);
    if !is_worth_it(head.status, &head.headers, given) {
        return Response::from_parts(head, bodies::outbound(body));
    }
    vary(&mut head.headers);
    let Some(coding) = coding else {
        return Response::from_parts(head, bodies::outbound(body));
    };
    say(&mut head.headers, coding);
    Response::from_parts(head, ResponseBody::empty())
}

/// Says that the content is in other bytes than it was made of.
fn say(headers: &mut HeaderMap, coding: Coding) {
    headers.remove(CONTENT_LENGTH);
    // Of other bytes than these.
    headers.remove(ACCEPT_RANGES);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    weaken(headers);
}

/// Whether an answer is one that may be compressed, and gets shorter by it.
fn is_worth_it(status: StatusCode, headers: &HeaderMap, length: Option<u64>) -> bool {
    let has_no_other = matches!(
        status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    );
    let claimed = || headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let fits = length
        .or_else(claimed)
        .is_none_or(|length| (LEAST..=MOST).contains(&length));
    let is_bound = [CONTENT_ENCODING, CONTENT_RANGE]
        .iter()
        .chain(&DIGESTS)
        .any(|name| headers.contains_key(name));
    fits && !has_no_other && !is_bound && !is_not_to_be_touched(headers) && is_text(headers)
}

/// RFC 9111, 5.2.2.6.
fn is_not_to_be_touched(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// Types that get shorter. Events are streamed one by one, and never are.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("text", sort)) => sort != "event-stream",
        Some(("application", sort)) => {
            matches!(
                sort,
                "json"
                    | "xml"
                    | "javascript"
                    | "ecmascript"
                    | "wasm"
                    | "x-ndjson"
                    | "x-javascript"
                    | "graphql"
                    | "toml"
                    | "yaml"
                    | "sql"
                    | "vnd.ms-fontobject"
            ) || sort.ends_with("+json")
                || sort.ends_with("+xml")
        }
        Some(("image", sort)) => matches!(sort, "svg+xml" | "bmp" | "x-icon"),
        Some(("font", sort)) => matches!(sort, "ttf" | "otf"),
        Some(_) | None => false,
    }
}

/// Says to caches that the answer depends on what the client takes.
fn vary(headers: &mut HeaderMap) {
    let names = headers.get_all(VARY).iter();
    let is_said = names
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| {
            matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding")
        });
    if !is_said {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// The same content in other bytes has the same tag, if it is a weak one (RFC 9110, 8.8.1).
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else {
        return;
    };
    if tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(ETAG, weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_worth(status: u16, fields: &[(&'static str, &'static str)], length: Option<u64>) -> bool {
        let status = StatusCode::from_u16(status).expect("a status");
        let headers = fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        is_worth_it(status, &headers, length)
    }

    #[test]
    fn what_is_compressed() {
        let text = ("content-type", "Text/HTML; charset=utf-8");
        assert!(is_worth(200, &[text], Some(1024)));
        assert!(is_worth(404, &[text], None));
        for kind in [
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
        ] {
            assert!(is_worth(200, &[("content-type", kind)], None), "{kind}");
        }
        for kind in [
            "image/png",
            "text/event-stream",
            "application/zip",
            "nonsense",
            "",
        ] {
            assert!(!is_worth(200, &[("content-type", kind)], None), "{kind}");
        }
        for status in [204, 205, 206, 304] {
            assert!(!is_worth(status, &[text], None), "{status}");
        }
        for length in [0, 1023, MOST + 1] {
            assert!(!is_worth(200, &[text], Some(length)), "{length}");
        }
        for field in [
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("content-length", "12"),
            ("content-digest", "sha-256=:x:"),
            ("cache-control", "public, No-Transform"),
        ] {
            assert!(!is_worth(200, &[text, field], None), "{field:?}");
        }
        assert!(!is_worth(200, &[], None));
    }

    #[test]
    fn caches_are_told_once_and_tags_are_weak() {
        for (said, told) in [("accept", 2), ("Origin, Accept-Encoding", 1), ("*", 1)] {
            let mut headers = HeaderMap::from_iter([(VARY, HeaderValue::from_static(said))]);
            vary(&mut headers);
            assert_eq!(headers.get_all(VARY).iter().count(), told, "{said}");
        }
        for (tag, weak) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\""), ("a", "a")] {
            let mut headers = HeaderMap::from_iter([(ETAG, HeaderValue::from_static(tag))]);
            weaken(&mut headers);
            assert_eq!(headers[ETAG], weak);
        }
    }
}
