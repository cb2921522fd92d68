//! From HTTP to HTTPS: clients are sent on, and told to stay.

use holm_model::limits::WallTime;
use holm_router::Exchange;
use holm_router::ResponseBody;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::LOCATION;
use http::header::STRICT_TRANSPORT_SECURITY;
use http::uri::Scheme;

use super::dispatch::serialized;
use crate::config::Secure;

/// The port that `http://` without one means.
const HTTP: u16 = 80;
/// The port that `https://` without one means.
const HTTPS: u16 = 443;

/// The ports that a node listens on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    /// For HTTP.
    pub(crate) http: u16,
    /// For HTTPS, if it listens for that.
    pub(crate) https: Option<u16>,
}

impl Ports {
    /// The port for HTTPS, as a client sees it that named `port`, or none, beside the host.
    ///
    /// One that named none has come by port 80. If that is not where the node listens, somebody in
    /// front passes it on, and does so with 443 as well.
    fn https_seen(self, named: Option<u16>) -> Option<u16> {
        let https = self.https?;
        let is_passed_on = named.is_none_or(|named| named == HTTP) && self.http != HTTP;
        Some(if is_passed_on { HTTPS } else { https })
    }
}

/// The response that sends a client on to HTTPS, if the function wants that and it is not there yet.
/// 308: the method and the body stay what they are.
pub(super) fn redirect(
    secure: Secure,
    ports: Ports,
    exchange: &Exchange,
) -> Option<Response<ResponseBody>> {
    if !secure.redirect || exchange.scheme == Scheme::HTTPS {
        return None;
    }
    let port = ports.https_seen(exchange.port)?;
    let url = serialized(exchange.https_url(port));
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = HeaderValue::try_from(url).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

/// Tells the browser to stay with HTTPS, if it came over that (RFC 6797, 7.2 forbids it elsewhere), and the
/// function does not say so itself.
pub(super) fn pin(hsts: Option<WallTime>, response: &mut Response<ResponseBody>) {
    let Some(time) = hsts else {
        return;
    };
    let seconds = time.as_duration().as_secs();
    if let Ok(value) = HeaderValue::try_from(format!("max-age={seconds}")) {
        let headers = response.headers_mut();
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_one_that_the_client_can_reach() {
        for (http, https, named, seen) in [
            (80, Some(443), None, Some(443)),
            (80, Some(8443), None, Some(8443)),
            (8080, Some(8443), Some(8080), Some(8443)),
            (8080, Some(443), Some(8080), Some(443)),
            // Forwarded from 80 to 8080, and so from 443 to 8443.
            (8080, Some(8443), None, Some(443)),
            (8080, Some(8443), Some(80), Some(443)),
            (8080, None, None, None),
        ] {
            let ports = Ports { http, https };
            assert_eq!(ports.https_seen(named), seen, "{ports:?} {named:?}");
        }
    }
}
