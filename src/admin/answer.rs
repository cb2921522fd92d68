//! One request to the admin listener: who may ask, and what comes back.
//!
//! A page in a browser on the same machine can send requests to loopback. What it may not do, and why not:
//!
//! - read an answer: no answer has a CORS header, and all forbid to be embedded;
//! - read it by a name of its own that it has resolve to loopback (DNS rebinding): without a token, the
//!   `Host` has to be an IP address or `localhost`, which no such name is;
//! - make the node do something: `POST` takes a header that only a preflight would allow, which fails, and a
//!   request with an `Origin` is refused whatever it asks for.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http::uri::Authority;
use http_body_util::Full;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::Address;
use super::Board;
use super::look::look;
use super::metrics;
use crate::app::Outcome;
use crate::app::Refused;
use crate::secret::Secret;
use crate::upgrade::NotUpgraded;
use crate::upgrade::Upgraded;

/// The header of a `POST` that means it. Its value says nothing.
pub(crate) const INTENT: HeaderName = HeaderName::from_static("holm-admin");

/// After an answer, nobody gets one of its kind for this many times as long as it took: whoever asks
/// without end takes a fifth of a core.
const REST: u32 = 4;

/// What all connections share.
pub(super) struct Answers {
    board: Arc<Board>,
    /// Whether hosts are checked: a socket in the file system cannot be reached from a browser.
    is_port: bool,
    token: Option<Secret>,
    /// First come, first served. What is quick does not wait for what is not.
    quick: Gate,
    long: Gate,
}

type Gate = Arc<Mutex<()>>;
type Answer = Response<Full<Bytes>>;

impl Answers {
    pub(super) fn new(board: Arc<Board>, address: &Address, token: Option<Secret>) -> Self {
        Self {
            board,
            is_port: matches!(address, Address::Tcp(_)),
            token,
            quick: Gate::default(),
            long: Gate::default(),
        }
    }

    /// Answers. `is_patient` is set for as long as it may take longer than others.
    pub(super) async fn answer<B>(
        &self,
        request: Request<B>,
        is_patient: &AtomicBool,
    ) -> Result<Answer, Infallible> {
        let is_head = request.method() == Method::HEAD;
        let mut answer = match self.check(&request) {
            Ok(()) => self.route(&request, is_patient).await,
            Err(refusal) => *refusal,
        };
        if is_head {
            let length = http_body::Body::size_hint(answer.body()).exact();
            *answer.body_mut() = Full::default();
            if let Some(length) = length {
                answer
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length.into());
            }
        }
        let headers = answer.headers_mut();
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(answer)
    }

    /// Whether it may be asked at all.
    fn check<B>(&self, request: &Request<B>) -> Result<(), Box<Answer>> {
        let headers = request.headers();
        if headers.contains_key(header::ORIGIN) {
            return Err(Box::new(text(
                StatusCode::FORBIDDEN,
                "Pages in browsers have no access.\n",
            )));
        }
        // A page has no token.
        if self.is_port && self.token.is_none() && !is_local(request) {
            return Err(Box::new(text(
                StatusCode::FORBIDDEN,
                "The Host of a request to the admin listener is an IP address or localhost.\n",
            )));
        }
        let is_free = matches!(request.uri().path(), "/healthz" | "/readyz");
        if let Some(token) = self.token.as_ref().filter(|_| !is_free)
            && !shows(headers, token)
        {
            let mut refusal = text(
                StatusCode::UNAUTHORIZED,
                "This takes the token of `server.admin_token`: authorization: Bearer TOKEN\n",
            );
            let scheme = HeaderValue::from_static("Bearer realm=\"holm admin\"");
            refusal
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
            return Err(Box::new(refusal));
        }
        Ok(())
    }

    async fn route<B>(&self, request: &Request<B>, is_patient: &AtomicBool) -> Answer {
        let path = request.uri().path();
        let allowed = match path {
            "/" | "/healthz" | "/readyz" | "/metrics" | "/status" => "GET, HEAD",
            "/reload" | "/upgrade" => "POST",
            _ => {
                let words = format!("There is no {path}.\n\n{PATHS}");
                return text(StatusCode::NOT_FOUND, words);
            }
        };
        let method = request.method();
        let is_read = method == Method::GET || method == Method::HEAD;
        if is_read != (allowed != "POST") || !is_read && method != Method::POST {
            let mut refusal = text(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{path} takes {allowed}.\n"),
            );
            let allow = HeaderValue::from_static(allowed);
            refusal.headers_mut().insert(header::ALLOW, allow);
            return refusal;
        }
        if allowed == "POST" {
            if !request.headers().contains_key(INTENT) {
                return text(
                    StatusCode::FORBIDDEN,
                    "POST takes the header `holm-admin: 1`, which no page can send.\n",
                );
            }
            is_patient.store(true, Ordering::Relaxed);
            let answer = match path {
                "/upgrade" => self.upgrade().await,
                _ => self.reload().await,
            };
            is_patient.store(false, Ordering::Relaxed);
            return answer;
        }
        let gate = match path {
            "/metrics" | "/status" => &self.long,
            _ => &self.quick,
        };
        let turn = gate.clone().lock_owned().await;
        let begin = Instant::now();
        let answer = match path {
            "/metrics" => self.shown(Format::Metrics).await,
            "/status" => self.shown(Format::Status).await,
            "/readyz" => match self.board.readiness() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(why) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {why}\n"),
                ),
            },
            "/healthz" => text(StatusCode::OK, "ok\n"),
            _ => text(StatusCode::OK, PATHS),
        };
        let rest = begin.elapsed() * REST;
        tokio::spawn(async move {
            tokio::time::sleep(rest).await;
            drop(turn);
        });
        answer
    }

    /// The node as it is now. Reads files, so not on the listener's own thread.
    async fn shown(&self, format: Format) -> Answer {
        let board = self.board.clone();
        let shown = spawn_blocking(move || {
            let status = look(&board);
            match format {
                Format::Metrics => metrics::render(status).ok(),
                Format::Status => serde_json::to_string_pretty(&status).ok(),
            }
        });
        let (Ok(Some(mut body)), content_type) = (shown.await, format.content_type()) else {
            return text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "It could not be shown.\n",
            );
        };
        if format == Format::Status {
            body.push('\n');
        }
        of_type(StatusCode::OK, body, content_type)
    }

    async fn upgrade(&self) -> Answer {
        let Some(upgrader) = self.board.upgrader.get() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, STARTS);
        };
        match upgrader.upgrade().await {
            Ok(Upgraded { pid, took }) => json_of(
                StatusCode::OK,
                &json!({
                    "pid": pid,
                    "predecessor": std::process::id(),
                    "milliseconds": took.as_millis(),
                }),
            ),
            Err(NotUpgraded::Refused(why)) => json_of(
                StatusCode::CONFLICT,
                &json!({ "problems": [why], "exitCode": 1 }),
            ),
            Err(NotUpgraded::Failed { problems, code }) => json_of(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "problems": problems, "exitCode": code }),
            ),
        }
    }

    async fn reload(&self) -> Answer {
        let Some(reloader) = self.board.reloader.get() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, STARTS);
        };
        let reloaded = reloader.reload().await;
        match &*reloaded {
            Ok(outcome) => {
                let Outcome {
                    functions,
                    changed,
                    removed,
                    problems,
                    fixed,
                    took,
                } = outcome;
                let body = json!({
                    "functions": functions,
                    "changed": changed,
                    "removed": removed,
                    "problems": problems,
                    "fixed": fixed,
                    "milliseconds": took.as_millis(),
                });
                json_of(StatusCode::OK, &body)
            }
            Err(Refused(problems)) => json_of(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "problems": problems }),
            ),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Metrics,
    Status,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Metrics => metrics::CONTENT_TYPE,
            Self::Status => JSON,
        }
    }
}

const JSON: &str = "application/json";

const PATHS: &str = "\
GET  /healthz  the process lives
GET  /readyz   it takes requests; 503 while it starts or drains
GET  /metrics  for Prometheus
GET  /status   every function, as JSON; `holm status` shows it
POST /reload   load the configuration anew; `holm reload` does it
POST /upgrade  start the program anew, and have it take over; `holm upgrade` does it
";

const STARTS: &str = "The node starts: what it serves first is being loaded.\n";

/// Whether every host that it names is an IP address or `localhost`, and it names one.
fn is_local<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    let target = request.uri().authority();
    let is_local = |authority: &Authority| {
        let host = authority.host();
        let ip = host.trim_start_matches('[').trim_end_matches(']');
        let has_user = authority.as_str().contains('@');
        !has_user
            && (host.eq_ignore_ascii_case("localhost") || ip.parse::<std::net::IpAddr>().is_ok())
    };
    host.as_ref().is_some_and(is_local) && target.is_none_or(is_local)
}

/// Whether `headers` show `token`.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let shown = headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    shown.is_some_and(|shown| match shown.split_at_checked(7) {
        Some((scheme, shown)) => scheme.eq_ignore_ascii_case(b"bearer ") && token.is(shown),
        None => false,
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    of_type(status, body, "text/plain; charset=utf-8")
}

fn json_of(status: StatusCode, body: &serde_json::Value) -> Answer {
    of_type(status, format!("{body}\n"), JSON)
}

fn of_type(status: StatusCode, body: impl Into<Bytes>, content_type: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_no_resolver_was_asked_for_are_local() {
        let request = |host: &str| {
            Request::builder()
                .uri("/status")
                .header("host", host)
                .body(())
                .expect("a request")
        };
        for host in [
            "127.0.0.1:9090",
            "localhost",
            "LOCALHOST:9090",
            "[::1]:9090",
            "10.0.0.1",
        ] {
            assert!(is_local(&request(host)), "{host}");
        }
        for host in [
            "attacker.example",
            "127.0.0.1.nip.io:9090",
            "localhost.attacker.example",
            "x@127.0.0.1",
            "",
            "a b",
        ] {
            assert!(!is_local(&request(host)), "{host}");
        }
        let none = Request::builder().body(()).expect("a request");
        assert!(!is_local(&none));
        let mut two = request("127.0.0.1");
        two.headers_mut()
            .append("host", HeaderValue::from_static("127.0.0.1"));
        assert!(!is_local(&two));
        let mut other = request("127.0.0.1");
        *other.uri_mut() = "http://attacker.example/status".parse().expect("a URI");
        assert!(!is_local(&other));
    }

    #[test]
    fn a_token_is_shown_as_a_bearer_does() {
        let token = Secret::new("0123456789abcdef").expect("a token");
        let shown = |value: &str| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(value).expect("a value");
            headers.insert(header::AUTHORIZATION, value);
            shows(&headers, &token)
        };
        assert!(shown("Bearer 0123456789abcdef") && shown("bearer 0123456789abcdef"));
        for other in [
            "0123456789abcdef",
            "Bearer 0123456789abcdeX",
            "Bearer ",
            "Basic 0123456789abcdef",
        ] {
            assert!(!shown(other), "{other}");
        }
        assert!(!shows(&HeaderMap::new(), &token));
    }
}
