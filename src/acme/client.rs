//! HTTPS to the directory: bounded in time and in size.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{HeaderName, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;

use crate::config::Authority;

/// How long one request may take, its answer included.
const REQUEST: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: from one step of an order to the next.
const IDLE: Duration = Duration::from_secs(10);
/// The longest answer, in bytes. A chain is a few KiB.
const LONGEST: usize = 1 << 20;

type Https = legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// A client of one directory. Clones are the same client.
#[derive(Clone)]
pub(super) struct Client(Arc<Inner>);

struct Inner {
    https: Https,
    /// What the last answer said beside its body.
    last: Mutex<Answer>,
}

/// What is to be known of an answer that the library does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Nothing if there was none.
    pub(super) status: Option<StatusCode>,
    /// How long not to ask again.
    pub(super) retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug)]
struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the directory does not answer: {}", self.0)
    }
}

impl std::error::Error for NoAnswer {}

impl Client {
    /// For `authority`.
    ///
    /// # Errors
    /// A root certificate is not usable.
    pub(super) fn new(authority: &Authority) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for root in &authority.roots {
            roots.add(root.clone())?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .enable_http2()
            .wrap_connector(http);
        let https = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self(Arc::new(Inner {
            https,
            last: Mutex::default(),
        })))
    }

    /// What the last answer said.
    pub(super) fn last(&self) -> Answer {
        *self.0.last()
    }
}

impl Inner {
    fn last(&self) -> std::sync::MutexGuard<'_, Answer> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let answer = self.https.request(request).await;
        let answer = answer.map_err(|error| NoAnswer(root_of(&error)))?;
        let (head, body) = answer.into_parts();
        *self.last() = Answer {
            status: Some(head.status),
            retry_after: retry_after(&head.headers, SystemTime::now()),
        };
        let body = Limited::new(body, LONGEST).collect().await;
        let body = body.map_err(|error| NoAnswer(error.to_string()))?;
        Ok(Response::from_parts(head, Full::new(body.to_bytes())))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let inner = self.0.clone();
        sign(request.headers_mut());
        Box::pin(async move {
            *inner.last() = Answer::default();
            let answer = match timeout(REQUEST, inner.exchange(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(NoAnswer(format!("not within {} s", REQUEST.as_secs()))),
            };
            match answer {
                Ok(response) => Ok(BytesResponse::from(response)),
                Err(error) => Err(Error::Other(Box::new(error))),
            }
        })
    }
}

/// Says who asks, in front of the library's name (RFC 8555, 6.1).
fn sign(headers: &mut HeaderMap) {
    const NAME: HeaderName = USER_AGENT;
    let library = headers.get(NAME).and_then(|value| value.to_str().ok());
    let library = library.unwrap_or_default();
    let name = format!("holm/{} {library}", env!("CARGO_PKG_VERSION"));
    if let Ok(value) = HeaderValue::try_from(name.trim_end()) {
        headers.insert(NAME, value);
    }
}

/// The innermost reason: the others say that there was one.
fn root_of(error: &legacy::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    // What it says itself is less than its kind.
    match root.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection".to_owned()
        }
        Some(_) | None => root.to_string(),
    }
}

/// A number of seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_come_back_is_a_number_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999999999999", None),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a value"));
            let seconds = retry_after(&headers, now).map(|wait| wait.as_secs());
            assert_eq!(seconds, expected, "{text}");
        }
    }
}
