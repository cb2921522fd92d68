//! What a plan says of listening: where, what is spoken there, and how.

use std::net::SocketAddr;

use holm_router::Http2Settings;
use holm_router::Settings;
use holm_router::websocket::Keeping;

use crate::config::Plan;
use crate::upgrade::Key;

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn key(self) -> Key {
        match self {
            Self::Http => Key::Http,
            Self::Https => Key::Https,
        }
    }
}

/// Where `plan` says to listen.
pub(super) fn addresses(plan: &Plan) -> Vec<(Scheme, SocketAddr)> {
    let https = plan.tls.as_ref().map(|tls| (Scheme::Https, tls.https));
    let http = (Scheme::Http, plan.server.http);
    [Some(http), https].into_iter().flatten().collect()
}

/// Whether trusted proxies begin connections for it with a PROXY header.
pub(super) fn speaks_proxy(plan: &Plan, scheme: Scheme) -> bool {
    match scheme {
        Scheme::Http => plan.server.proxy_protocol,
        Scheme::Https => plan.server.proxy_protocol_https,
    }
}

/// How it is served there.
pub(super) fn settings(plan: &Plan) -> Settings {
    Settings {
        head: usize::try_from(plan.server.max_head.as_u64()).unwrap_or(usize::MAX),
        head_time: plan.server.head_time.as_duration(),
        idle_time: plan.server.keep_alive.as_duration(),
        http2: Http2Settings {
            streams: plan.server.max_streams,
            head: u32::try_from(plan.server.max_head.as_u64()).unwrap_or(u32::MAX),
            pending_resets: plan.server.max_resets as usize,
            ..Http2Settings::default()
        },
        upload_idle: plan.server.upload_idle.as_duration(),
        connections: plan.server.max_connections,
        connections_per_address: plan.server.max_connections_per_address,
        requests_per_address: plan.server.max_requests_per_address,
        upload_rate: plan.server.upload_rate.as_u64(),
        upload_time: plan.server.upload_time.as_duration(),
        unsent: plan.server.max_unsent.as_u64(),
        websocket: Keeping {
            ping_every: plan.server.websocket_ping.as_duration(),
            compression: plan.server.websocket_compression,
            ..Keeping::default()
        },
        drain_time: plan.server.drain.as_duration(),
        handshake_time: plan.server.handshake_time.as_duration(),
        handshakes: plan.server.max_handshakes,
        proxies: plan.server.proxies.clone(),
        request_id: plan.server.request_id.clone(),
        ..Settings::default()
    }
}
