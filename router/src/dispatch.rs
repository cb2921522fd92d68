//! The seam between the edge and what answers: one request in, one response out.
//!
//! The edge knows hosts and bytes, and nothing of functions. Whoever implements [`Dispatch`] holds
//! the route table, swaps it whole when the configuration changes, and looks it up itself.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use holm_model::client::Client;
use http::uri::Scheme;
use http::{Method, Request, Response, Uri};

use crate::body::{RequestBody, ResponseBody};
use crate::hostname::Hostname;
use crate::proxies::Via;
use crate::refusal::Refusal;
use crate::tls::TlsSession;

/// Answers requests.
pub trait Dispatch: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// Dropping the future means that the client went away, or that the connection was aborted
    /// at the end of a drain: whatever works for this request is to stop. After the response is
    /// returned, the same news arrives as the response body being dropped.
    ///
    /// Nothing may be assumed about the thread that polls it.
    fn dispatch(&self, exchange: Exchange) -> impl Future<Output = Response<ResponseBody>> + Send;

    /// A request for `host` may come in a moment. What it takes may be made ready meanwhile; the
    /// hint is unauthenticated, and often wrong.
    fn prewarm(&self, host: &Hostname) {
        let _ = host;
    }

    /// The edge has turned a request away itself, and answers it. Must not block.
    fn refused(&self, refused: Refused) {
        let _ = refused;
    }

    /// Whether the process has descriptors for one more connection. Where it has none, accepting waits. Must not
    /// block.
    fn has_room(&self) -> bool {
        true
    }

    /// There is one more connection.
    fn connected(&self) {}

    /// The drain's deadline has passed: the futures and bodies that are dropped from now on are
    /// aborted by the server, and their clients are still there.
    fn aborting(&self) {}
}

impl<D: Dispatch> Dispatch for std::sync::Arc<D> {
    fn dispatch(&self, exchange: Exchange) -> impl Future<Output = Response<ResponseBody>> + Send {
        D::dispatch(self, exchange)
    }

    fn prewarm(&self, host: &Hostname) {
        D::prewarm(self, host);
    }

    fn refused(&self, refused: Refused) {
        D::refused(self, refused);
    }

    fn has_room(&self) -> bool {
        D::has_room(self)
    }

    fn connected(&self) {
        D::connected(self);
    }

    fn aborting(&self) {
        D::aborting(self);
    }
}

/// A request that got no further than the edge.
#[derive(Debug)]
pub struct Refused {
    /// Names the request in its answer.
    pub id: RequestId,
    /// Who asked.
    pub client: Arc<Client>,
    /// When its head was complete, or was found not to be sound.
    pub received: Instant,
    /// Its method, unless its head could not be read.
    pub method: Option<Method>,
    /// The URL it asked for, if it named a host that is one.
    pub url: Option<String>,
    /// Why, and what its client is told.
    pub refusal: Refusal,
}

/// One request on its way in, with what the edge knows about it.
#[derive(Debug)]
pub struct Exchange {
    /// Names the request in responses, logs and records.
    pub id: RequestId,
    /// The host it is for, canonical.
    pub host: Hostname,
    /// The port the client named beside the host, if any.
    pub port: Option<u16>,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Who asks.
    pub client: Arc<Client>,
    /// Whether the other end of the connection asks on behalf of a client.
    pub via: Via,
    /// `http` or `https`, as the client asked.
    pub scheme: Scheme,
    /// What the TLS handshake of its connection settled, be that the client's or a proxy's.
    pub tls: Option<Arc<TlsSession>>,
    /// When its head was complete.
    pub received: Instant,
    /// The request. Its URI is as received (mostly a path), its path has passed
    /// [`path::check`](crate::path::check), and it has one `Host` field, which agrees
    /// with [`host`](Self::host).
    pub request: Request<RequestBody>,
}

impl Exchange {
    /// The raw path, percent-encoded as it came.
    pub fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// The absolute URL, as a function reads it: canonical host, port only where the scheme does
    /// not imply it.
    pub fn url(&self) -> String {
        absolute(&self.scheme, &self.host, self.port, self.request.uri())
    }

    /// The same URL over HTTPS, at `port`.
    pub fn https_url(&self, port: u16) -> String {
        absolute(&Scheme::HTTPS, &self.host, Some(port), self.request.uri())
    }
}

/// The URL that a request for `host` means, its path and query taken from `uri`.
pub(crate) fn absolute(scheme: &Scheme, host: &Hostname, port: Option<u16>, uri: &Uri) -> String {
    let mut url = String::with_capacity(host.as_str().len() + uri.path().len() + 32);
    url.push_str(scheme.as_str());
    url.push_str("://");
    url.push_str(host.as_str());
    let implied = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != implied) {
        url.push(':');
        url.push_str(&port.to_string());
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    // `http://a.test?x` has none.
    if !path.starts_with('/') {
        url.push('/');
    }
    url.push_str(path);
    url
}

/// Names one request: sixteen letters and digits, unique in the process and, for all practical
/// purposes, among processes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    process: u64,
    serial: u64,
}

impl RequestId {
    /// Digits without the ones that are read as others (Crockford's base 32).
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    /// Bits in each half; 2^40 requests take a process decades.
    const HALF_BITS: u32 = 40;

    /// Its sixteen characters.
    pub fn chars(self) -> [u8; 16] {
        // An odd factor permutes the numbers below a power of two. The serial number itself would
        // tell every client how busy the node is.
        let scrambled = self
            .serial
            .wrapping_mul((self.process >> 20) | 0x9E37_79B9_0000_0001);
        let mut chars = [0; 16];
        let (front, back) = chars.split_at_mut(8);
        for (half, bits) in [(front, self.process), (back, scrambled)] {
            for (place, digit) in half.iter_mut().enumerate() {
                let shift = Self::HALF_BITS - 5 * (place as u32 + 1);
                *digit = Self::DIGITS[(bits >> shift) as usize & 31];
            }
        }
        chars
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chars = self.chars();
        f.write_str(std::str::from_utf8(&chars).expect("the digits are ASCII"))
    }
}

impl From<RequestId> for Arc<str> {
    fn from(id: RequestId) -> Self {
        std::str::from_utf8(&id.chars())
            .expect("the digits are ASCII")
            .into()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// Makes the [`RequestId`]s of one process from the serial numbers of its requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestIds {
    process: u64,
}

impl RequestIds {
    /// Takes the process half at random.
    pub fn random() -> Self {
        // The standard library seeds its hash maps from the operating system's random source;
        // hashing nothing under such keys is the cheapest way to ask it.
        let process = RandomState::new().hash_one(());
        Self { process }
    }

    /// The id of the `serial`-th request.
    pub fn id(self, serial: u64) -> RequestId {
        RequestId {
            process: self.process,
            serial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn exchange(uri: &str, scheme: Scheme, port: Option<u16>) -> Exchange {
        let request = Request::builder()
            .uri(uri)
            .body(RequestBody::empty())
            .expect("a valid request");
        Exchange {
            id: RequestIds::random().id(0),
            host: Hostname::parse("a.b").expect("a hostname"),
            port,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            client: Arc::new(Client {
                address: [127, 0, 0, 1].into(),
                tls: None,
            }),
            via: Via::Direct,
            scheme,
            tls: None,
            received: Instant::now(),
            request,
        }
    }

    #[test]
    fn ids_are_distinct_and_printable() {
        let ids = RequestIds::random();
        let texts: HashSet<String> = (0..10_000).map(|n| ids.id(n).to_string()).collect();
        assert_eq!(texts.len(), 10_000);
        assert!(texts.iter().all(|id| id.len() == 16));
        let front = |ids: RequestIds| ids.id(0).to_string()[..8].to_owned();
        assert_ne!(front(ids), front(RequestIds::random()));
    }

    #[test]
    fn a_url_names_a_port_only_where_it_says_something() {
        for (uri, scheme, port, url) in [
            ("/x?y=1", Scheme::HTTP, None, "http://a.b/x?y=1"),
            ("/", Scheme::HTTP, Some(80), "http://a.b/"),
            ("/", Scheme::HTTP, Some(8080), "http://a.b:8080/"),
            ("/", Scheme::HTTPS, Some(443), "https://a.b/"),
            ("http://A.B/x", Scheme::HTTP, None, "http://a.b/x"),
            ("http://a.b?x", Scheme::HTTP, None, "http://a.b/?x"),
            ("http://a.b", Scheme::HTTP, None, "http://a.b/"),
        ] {
            assert_eq!(exchange(uri, scheme, port).url(), url);
        }
    }
}
