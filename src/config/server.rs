//! What the node allows its clients, by `[server]`.

use std::fmt::Display;

use holm_model::limits::NodeBytes;
use holm_model::limits::WallTime;

use super::at::At;
use super::plan::ServerPlan;
use super::problem::Findings;
use super::problem::Problem;
use super::proxies;
use super::raw::RawServer;

const SECOND: WallTime = WallTime::from_secs(1);

/// Streams and resets of one connection: beyond it, it is no bound.
const MOST_ON_ONE: u32 = 10_000;

/// Settles the numbers and times of `[server]`.
pub(super) fn settle(raw: RawServer, findings: &mut Findings) -> ServerPlan {
    let default = ServerPlan::DEFAULT;
    let mut checks = Checks { findings };
    let none_gets_in = "with none, no client gets in";
    ServerPlan {
        request_id: proxies::request_id(raw.request_id_header, checks.findings),
        http: raw.http.map_or(default.http, |at| at.value),
        handshake_time: checks.within(
            "handshake_time",
            raw.handshake_time,
            (SECOND, None),
            "a handshake is two or three round trips",
            default.handshake_time,
        ),
        max_handshakes: checks.count(
            "max_handshakes",
            raw.max_handshakes,
            "with no handshake, no client gets in",
            default.max_handshakes,
        ),
        max_head: checks.within(
            "max_head",
            raw.max_head,
            (NodeBytes::from_kib(4), Some(NodeBytes::from_mib(1))),
            "cookies alone can take kilobytes, and every connection may hold as much",
            default.max_head,
        ),
        head_time: checks.within(
            "head_time",
            raw.head_time,
            (SECOND, None),
            "clients on slow networks take that long",
            default.head_time,
        ),
        keep_alive: checks.within(
            "keep_alive",
            raw.keep_alive,
            (SECOND, None),
            "clients would connect anew for each request",
            default.keep_alive,
        ),
        max_streams: checks.within(
            "max_streams",
            raw.max_streams,
            (1, Some(MOST_ON_ONE)),
            "with none, no request gets in; an address has `max_requests_per_address` in all",
            default.max_streams,
        ),
        max_resets: checks.within(
            "max_resets",
            raw.max_resets,
            (1, Some(MOST_ON_ONE)),
            "browsers reset what they do not need any more; more than these cost more than they are worth",
            default.max_resets,
        ),
        max_connections: checks.count(
            "max_connections",
            raw.max_connections,
            "with no connection, no request gets in",
            default.max_connections,
        ),
        max_connections_per_address: checks.count(
            "max_connections_per_address",
            raw.max_connections_per_address,
            none_gets_in,
            default.max_connections_per_address,
        ),
        max_requests_per_address: checks.count(
            "max_requests_per_address",
            raw.max_requests_per_address,
            none_gets_in,
            default.max_requests_per_address,
        ),
        max_queued: checks.count(
            "max_queued",
            raw.max_queued,
            "every request waits for a moment",
            default.max_queued,
        ),
        max_unsent: checks.within(
            "max_unsent",
            raw.max_unsent,
            (NodeBytes::from_mib(1), None),
            "some clients are always slower than a response is made",
            default.max_unsent,
        ),
        upload_rate: raw.upload_rate.map_or(default.upload_rate, |at| at.value),
        upload_time: raw.upload_time.map_or(default.upload_time, |at| at.value),
        upload_idle: checks.within(
            "upload_idle",
            raw.upload_idle,
            (SECOND, None),
            "clients on slow networks take that long",
            default.upload_idle,
        ),
        upload_ahead: raw.upload_ahead.map_or(default.upload_ahead, |at| at.value),
        websocket_ping: checks.within(
            "websocket_ping",
            raw.websocket_ping,
            (SECOND, None),
            "clients on slow networks take that long to answer",
            default.websocket_ping,
        ),
        websocket_compression: raw
            .websocket_compression
            .unwrap_or(default.websocket_compression),
        upgrade_time: checks.within(
            "upgrade_time",
            raw.upgrade_time,
            (SECOND, None),
            "a successor starts every function before it is ready",
            default.upgrade_time,
        ),
        drain: raw.drain.map_or(default.drain, |at| at.value),
        ..default
    }
}

struct Checks<'a> {
    findings: &'a mut Findings,
}

impl Checks<'_> {
    /// What was typed, if it is not too little and not too much; `why` that is bad, if it is.
    fn within<T: Copy + Display + PartialOrd>(
        &mut self,
        key: &str,
        typed: Option<At<T>>,
        (least, most): (T, Option<T>),
        why: &str,
        default: T,
    ) -> T {
        let Some(At { value, span }) = typed else {
            return default;
        };
        let (sense, bound) = if value < least {
            ("less", format!("at least {least}"))
        } else if let Some(most) = most.filter(|most| value > *most) {
            ("more", format!("at most {most}"))
        } else {
            return value;
        };
        self.findings.report(
            Problem::new(format!("`server.{key}` is {sense} than makes sense"))
                .at(span, bound)
                .help(format!("{why}; leave it out for {default}")),
        );
        value
    }

    /// As [`Checks::within`], of things of which there has to be one.
    fn count(&mut self, key: &str, typed: Option<At<u32>>, why: &str, default: usize) -> usize {
        let typed = typed.map(|at| At {
            value: at.value as usize,
            span: at.span,
        });
        self.within(key, typed, (1, None), why, default)
    }
}
