//! Entries as JSON, one a line.

use std::io;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;
use std::time::SystemTime;

use holm_model::log::LogLine;
use holm_model::log::Thrown;
use holm_model::outcome::Outcome;
use holm_model::record::Record;
use holm_model::visible::is_hidden;
use http::Method;
use http::StatusCode;
use serde::Serialize;
use serde_json::Map;
use serde_json::Serializer;
use serde_json::Value;
use serde_json::ser::Formatter;

use super::sink::Entry;

/// A request's record, as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<&'a str>,
    request_id: &'a str,
    outcome: Outcome,
    status: Option<u16>,
    start: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpn: Option<&'static str>,
    wall_us: u64,
    cpu_us: u64,
    queue_us: u64,
    peak_memory: u64,
    bytes_in: u64,
    bytes_out: u64,
    subrequests: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<Socket>,
    cold_start: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    logs: &'a [LogLine],
    #[serde(skip_serializing_if = "is_zero")]
    log_bytes_dropped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Thrown>,
}

/// What went over a WebSocket.
#[derive(Serialize)]
struct Socket {
    received: u64,
    sent: u64,
    code: u16,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Adds `entry` and a line break to `out`.
pub(super) fn render(out: &mut Vec<u8>, entry: &Entry) {
    let written = match entry {
        Entry::Request(record) => request(out, record),
        Entry::Event {
            time,
            level,
            message,
            fields,
        } => {
            let mut line = Map::new();
            line.insert("type".into(), "event".into());
            line.insert("time".into(), timestamp(*time).into());
            let level = level.as_str().to_ascii_lowercase();
            line.insert("level".into(), level.into());
            line.insert("msg".into(), message.as_str().into());
            for (name, value) in fields {
                line.insert((*name).into(), value.clone());
            }
            write(out, &Value::Object(line))
        }
    };
    debug_assert!(written.is_ok(), "JSON into memory cannot fail");
    let _ = out.write_all(b"\n");
}

fn request(out: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
    let place = record.url.as_deref().and_then(place);
    let client = record.client.as_deref();
    let tls = client.and_then(|client| client.tls.as_ref());
    let line = Line {
        kind: "request",
        function: record.function.as_deref(),
        deployment: record.deployment.as_deref(),
        request_id: &record.request,
        outcome: record.outcome,
        status: status(record).map(|status| status.as_u16()),
        start: timestamp(record.start),
        method: record.method.as_ref().map(Method::as_str),
        host: place.map(|(host, _)| host),
        path: place.map(|(_, path)| path),
        client: client.map(|client| client.address),
        tls_version: tls.map(|tls| tls.version),
        sni: tls.and_then(|tls| tls.sni.as_deref()),
        alpn: tls.and_then(|tls| tls.alpn),
        wall_us: micros(record.wall),
        cpu_us: micros(record.cpu),
        queue_us: micros(record.queued),
        peak_memory: record.memory,
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        subrequests: record.subrequests,
        websocket: record.websocket.map(|messages| Socket {
            received: messages.received,
            sent: messages.sent,
            code: messages.code,
        }),
        cold_start: record.cold,
        logs: &record.log.lines,
        log_bytes_dropped: record.log.dropped,
        error: record.thrown.as_ref(),
    };
    write(out, &line)
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    line.serialize(&mut Serializer::with_formatter(out, Escaping))
}

/// JSON that may be shown on a terminal: besides what the format wants escaped, everything is that a
/// terminal would obey.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        // Nearly always; and bytes are compared many at a time.
        if fragment.bytes().all(|byte| byte < 0x7F) {
            return writer.write_all(fragment.as_bytes());
        }
        while let Some(at) = rest.find(is_hidden) {
            let (before, from) = rest.split_at(at);
            let mut characters = from.chars();
            writer.write_all(before.as_bytes())?;
            // All of them are in the plane of four digits.
            if let Some(hidden) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(hidden))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Host and path of a URL, as they came: what was refused for its spelling is to be seen in it. The
/// URL is the edge's, or has been parsed.
fn place(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#'])?);
    let port = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some((&authority[..port.unwrap_or(authority.len())], path))
}

/// What the client was told: the handler's status, or the one that stands for the outcome.
pub(super) fn status(record: &Record) -> Option<StatusCode> {
    record.status.or_else(|| record.outcome.status())
}

/// RFC 3339, in UTC, to the microsecond.
pub(crate) fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_path_are_as_they_came() {
        for (url, found) in [
            ("http://a.b/", Some(("a.b", "/"))),
            (
                "http://a.b:8080/%2e%2e/x?y=/z#w",
                Some(("a.b", "/%2e%2e/x")),
            ),
            ("https://[::1]:443/x:y", Some(("[::1]", "/x:y"))),
            ("http://[::1]/", Some(("[::1]", "/"))),
            ("http://a.b?x", Some(("a.b", ""))),
            ("a.b", None),
        ] {
            assert_eq!(place(url), found, "{url}");
        }
    }
}
