//! The requests of one connection: each is looked at, handed to the dispatcher, and its response
//! made fit to be sent.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, SERVER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::{Edge, Origin};
use crate::admit::{self, HostMemory, Named};
use crate::body::{RequestBody, ResponseBody};
use crate::dispatch::{Dispatch, Exchange, RequestId};
use crate::link::{Active, Link};
use crate::refusal::Refusal;
use crate::synthetic::Synthetic;

/// What is done with the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reception {
    /// They are answered.
    Serve,
    /// They are told that there are too many connections.
    TurnAway,
}

/// One connection, as its requests see it.
pub(super) struct Session<D> {
    edge: Arc<Edge<D>>,
    link: Arc<Link>,
    origin: Origin,
    reception: Reception,
    /// hyper calls its service from one task, never twice at once.
    host: RefCell<HostMemory>,
}

/// What has to be known of a request after it is handed over.
struct Sender {
    id: RequestId,
    version: Version,
    is_head: bool,
    active: Active,
}

impl<D: Dispatch> Session<D> {
    pub(super) fn new(
        edge: Arc<Edge<D>>,
        link: Arc<Link>,
        origin: Origin,
        reception: Reception,
    ) -> Self {
        Self {
            edge,
            link,
            origin,
            reception,
            host: RefCell::default(),
        }
    }

    /// Answers one request. The future holds on to what it needs: hyper keeps it apart from the
    /// service.
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
        received: Instant,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + Send + use<D> {
        let edge = Arc::clone(&self.edge);
        let sender = Sender {
            id: edge.ids.id(edge.stats.request()),
            version: request.version(),
            is_head: *request.method() == Method::HEAD,
            active: Active::new(&self.link),
        };
        let admitted = self.admit(request, sender.id, received);
        async move {
            let response = match admitted {
                Ok(exchange) => sender.fit(edge.dispatch.dispatch(exchange).await, &edge),
                Err(refused) => {
                    let (refusal, headers) = *refused;
                    edge.stats.refusal();
                    sender.refuse(refusal, &headers, &edge)
                }
            };
            Ok(response)
        }
    }

    /// Either a request that may be dispatched, or why not, with the headers to say it by.
    fn admit(
        &self,
        mut request: Request<Incoming>,
        id: RequestId,
        received: Instant,
    ) -> Result<Exchange, Box<(Refusal, HeaderMap)>> {
        match self.check(&mut request) {
            Ok((host, port)) => {
                let version = request.version();
                Ok(Exchange {
                    id,
                    host,
                    port,
                    peer: self.origin.peer,
                    scheme: self.origin.scheme.clone(),
                    received,
                    request: request.map(|body| RequestBody::wire(body, version)),
                })
            }
            Err(refusal) => Err(Box::new((refusal, std::mem::take(request.headers_mut())))),
        }
    }

    fn check(&self, request: &mut Request<Incoming>) -> Result<Named, Refusal> {
        let version = request.version();
        // First of all: behind a stand-in, nothing else in the request means anything.
        if let Some(refusal) = self.link.request(version != Version::HTTP_2) {
            return Err(refusal);
        }
        if self.reception == Reception::TurnAway {
            return Err(Refusal::TooManyConnections);
        }
        let (uri, headers) = (request.uri(), request.headers());
        admit::check_size(version, uri, headers, &self.edge.settings)?;
        admit::check_method(request.method())?;
        let named = self.host.borrow_mut().host(uri, headers)?;
        if let Some(sni) = &self.origin.sni
            && *sni != named.0
        {
            return Err(Refusal::Misdirected(named.0));
        }
        if let Some(target) = admit::check_target(uri)? {
            *request.uri_mut() = target;
        }
        Ok(named)
    }
}

impl Sender {
    fn refuse<D>(
        self,
        refusal: Refusal,
        headers: &HeaderMap,
        edge: &Edge<D>,
    ) -> Response<ResponseBody> {
        let closes = refusal.closes();
        let response = Synthetic::from(refusal).respond(self.id, headers);
        let is_http2 = self.version == Version::HTTP_2;
        let mut response = self.fit(response, edge);
        if closes && !is_http2 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Takes out what belongs to the connection and not to the response, settles the length, and
    /// adds what every response of this server has.
    fn fit<D>(
        self,
        mut response: Response<ResponseBody>,
        edge: &Edge<D>,
    ) -> Response<ResponseBody> {
        // hyper would drop the connection over it. No dispatcher of ours lets it come to this.
        if response.status().is_informational() {
            let refusal = Refusal::BadStatus(response.status());
            response = Synthetic::from(refusal).respond(self.id, &HeaderMap::new());
        }
        let has_body = !self.is_head
            && response.status() != StatusCode::NO_CONTENT
            && response.status() != StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        for name in &OF_THE_CONNECTION {
            headers.remove(name);
        }
        // The length on the wire is that of the body at hand, whatever the headers claim; a stream
        // of unknown length takes the claim at its word, and is then held to it.
        let claimed = headers
            .remove(CONTENT_LENGTH)
            .and_then(|value| length(&value));
        headers.insert(SERVER, HeaderValue::from_static("holm"));
        if self.version != Version::HTTP_2 && edge.drain.has_begun() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if has_body {
            let body = response.body_mut();
            if let Some(claimed) = claimed {
                body.declare(claimed);
            }
            body.belongs_to(self.active);
            return response;
        }
        let (mut parts, body) = response.into_parts();
        // What a GET would have had, where that is known.
        let known = body.length().filter(|length| *length > 0).or(claimed);
        if let Some(length) = known.filter(|_| parts.status != StatusCode::NO_CONTENT) {
            parts.headers.insert(CONTENT_LENGTH, length.into());
        }
        let mut body = ResponseBody::empty();
        body.belongs_to(self.active);
        Response::from_parts(parts, body)
    }
}

/// Fields that speak of one hop (RFC 9110, 7.6.1): hyper writes its own, HTTP/2 forbids them.
static OF_THE_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}
