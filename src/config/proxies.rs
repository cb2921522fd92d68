//! `[server]`: proxies in front, and the header for request ids.

use holm_router::{Proxies, ProxyField};
use http::HeaderName;

use super::at::{At, List};
use super::problem::{Findings, Problem};
use super::raw::{Listener, ProxyHeader};
use crate::egress::Network;

/// Who is believed about clients, and in which fields.
pub(super) fn proxies(
    trusted: Option<List<Network>>,
    fields: Option<List<ProxyHeader>>,
    findings: &mut Findings,
) -> Proxies {
    let trusted = trusted.map_or_else(Vec::new, |list| list.items);
    for At { value, span } in &trusted {
        if value.range().prefix_len() == 0 {
            findings.report(
                Problem::new("`server.trusted_proxies` takes everybody at their word")
                    .at(span.clone(), "every address")
                    .help("name the addresses of the proxies: any client could pass for another"),
            );
        }
    }
    if let Some(list) = &fields {
        without_proxies("proxy_headers", list, &trusted, findings);
        let is_forwarded = |at: &&At<ProxyHeader>| at.value == ProxyHeader::Forwarded;
        if let Some(at) = list.items.iter().find(is_forwarded)
            && list.items.len() > 1
        {
            findings.report(
                Problem::new("`server.proxy_headers` has fields that may contradict each other")
                    .at(at.span.clone(), "says what the others say")
                    .help("a proxy sets either `forwarded` or `x-forwarded-…`, and hands on the other"),
            );
        }
    }
    let default = || vec![ProxyField::For, ProxyField::Proto];
    let fields = fields.map_or_else(default, |list| {
        let fields = list.items.iter().map(|at| match at.value {
            ProxyHeader::XForwardedFor => ProxyField::For,
            ProxyHeader::XForwardedProto => ProxyField::Proto,
            ProxyHeader::XForwardedHost => ProxyField::Host,
            ProxyHeader::Forwarded => ProxyField::Forwarded,
        });
        fields.collect()
    });
    if trusted.is_empty() {
        return Proxies::NONE;
    }
    Proxies {
        trusted: trusted.iter().map(|at| at.value.range()).collect(),
        fields,
    }
}

/// Whether the PROXY protocol is spoken: for HTTP, and for HTTPS.
pub(super) fn protocol(
    listeners: Option<List<Listener>>,
    proxies: &Proxies,
    has_tls: bool,
    findings: &mut Findings,
) -> (bool, bool) {
    let Some(list) = listeners else {
        return (false, false);
    };
    if proxies.trusted.is_empty() {
        without_proxies("proxy_protocol", &list, &[], findings);
    }
    let find = |listener| list.items.iter().find(|at| at.value == listener);
    let https = find(Listener::Https);
    if let Some(at) = https
        && !has_tls
    {
        findings.report(
            Problem::new("`server.proxy_protocol` names a listener that is not there")
                .at(at.span.clone(), "there is no listener for HTTPS")
                .help("write https = \"0.0.0.0:8443\" in [server], and [[tls]]"),
        );
    }
    (find(Listener::Http).is_some(), https.is_some())
}

fn without_proxies<T>(key: &str, list: &List<T>, trusted: &[At<Network>], findings: &mut Findings) {
    if trusted.is_empty() && !list.items.is_empty() {
        findings.report(
            Problem::new(format!("`server.{key}` is for nobody"))
                .at(list.span.clone(), "no proxy is trusted")
                .help("name the proxies: trusted_proxies = [\"10.0.0.0/8\"]"),
        );
    }
}

/// The header for request ids: one that means nothing else to anybody.
pub(super) fn request_id(typed: Option<At<String>>, findings: &mut Findings) -> Option<HeaderName> {
    let At { value, span } = typed?;
    let name = HeaderName::try_from(value.as_str()).ok();
    let name = name.filter(|name| {
        let name = name.as_str();
        name.starts_with("x-") || name.ends_with("-id")
    });
    if name.is_none() {
        findings.report(
            Problem::new("`server.request_id_header` is not a header for ids")
                .at(span, "neither `x-…` nor `…-id`")
                .help("write request_id_header = \"x-request-id\""),
        );
    }
    name
}
