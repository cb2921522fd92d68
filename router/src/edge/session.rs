//! The requests of one connection: each is looked at, handed to the dispatcher, and its response
//! made fit to be sent.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, SERVER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use super::{Edge, Origin};
use crate::admit::{self, HostMemory, Named};
use crate::body::{Pace, RequestBody, ResponseBody};
use crate::crowd::Member;
use crate::dispatch::{Dispatch, Exchange, Refused, RequestId, absolute};
use crate::fields;
use crate::link::{Active, Link};
use crate::proxies::{Peer, Seen, Via};
use crate::refusal::Refusal;
use crate::synthetic::Synthetic;
use crate::turn;
use crate::websocket::handshake::Ask;

use super::sockets::{Pending, Sockets};

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
    peer: Peer,
    /// The address of the other end, unless that is a trusted proxy.
    member: Option<Arc<Member>>,
    /// Fought over only by the streams of HTTP/2, and never for long.
    host: Mutex<HostMemory>,
    sockets: Sockets,
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
        sockets: Sockets,
    ) -> Arc<Self> {
        let peer = Peer::new(&origin, &edge.settings.load().proxies);
        let member = (!peer.is_trusted()).then(|| {
            let address = peer.seen().client.address;
            Arc::new(edge.crowd.member(address))
        });
        Arc::new(Self {
            member,
            peer,
            edge,
            link,
            origin,
            reception,
            host: Mutex::default(),
            sockets,
        })
    }

    /// Notes a request as soon as hyper has made it.
    pub(super) fn begin(&self, version: Version) -> Active {
        Active::new(&self.link, version == Version::HTTP_2)
    }

    /// Answers one request.
    ///
    /// hyper moves the future before it polls it first, and moving an [`Exchange`] is not free:
    /// so it is made in here, where it stays until the dispatcher takes it.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        received: Instant,
        active: Active,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let version = request.version();
        let serial = self.edge.stats.request();
        let mut sender = Sender {
            id: self.edge.ids.id(serial),
            version,
            is_head: *request.method() == Method::HEAD,
            active,
        };
        // First of all: behind a stand-in, nothing else in the request means anything.
        let unreadable = self.link.request(version != Version::HTTP_2);
        let is_stand_in = unreadable.is_some();
        let mut seen = None;
        let checked = match unreadable {
            Some(refusal) => Err(refusal),
            None => self.check(&mut request, &mut seen),
        };
        let checked = match (checked, &seen) {
            (Ok(checked), Some(seen)) => self.count(seen, &mut sender.active).map(|()| checked),
            (checked, _) => checked,
        };
        let seen = seen.unwrap_or_else(|| self.peer.seen().clone());
        let ((host, port), ask) = match checked {
            Ok(checked) => checked,
            Err(refusal) => {
                let known = (!is_stand_in).then_some(&request);
                self.note_refusal(sender.id, known, seen, received, &refusal);
                return Ok(sender.refuse(refusal, request.headers(), &self.edge));
            }
        };
        let upgraded = ask.is_some().then(|| hyper::upgrade::on(&mut request));
        let answer = self.edge.dispatch.dispatch(Exchange {
            id: sender.id,
            host,
            port,
            peer: self.origin.peer,
            client: seen.client,
            via: seen.via,
            scheme: seen.scheme,
            tls: self.origin.tls.clone(),
            received,
            request: request.map(|body| {
                let settings = self.edge.settings.load();
                let pace = Pace::new(settings.upload_rate, settings.upload_time);
                let mut body = RequestBody::wire(body, version, pace);
                body.idle(settings.upload_idle);
                body
            }),
        });
        let mut response = answer.await;
        if let (Some(upgraded), Some(ask)) = (upgraded, ask)
            && let Some(socket) = response.body_mut().take_socket()
        {
            let compresses = sender.upgrade(&mut response, ask, &self.edge);
            let active = sender.active;
            self.link.upgrade();
            self.sockets.open(Pending {
                upgraded,
                socket,
                compresses,
                active,
            });
            return Ok(response);
        }
        sender.fit(&mut response, &self.edge);
        turn::to_client();
        Ok(response)
    }

    /// Notes a request that goes no further. There is none where hyper was given a stand-in for a
    /// head that could not be read.
    fn note_refusal(
        &self,
        id: RequestId,
        request: Option<&Request<Incoming>>,
        seen: Seen,
        received: Instant,
        refusal: &Refusal,
    ) {
        let url = request.and_then(|request| {
            let uri = request.uri();
            let mut memory = self.host.lock().unwrap_or_else(PoisonError::into_inner);
            let named = memory.host(request.version(), uri, request.headers());
            let (host, port) = named.ok()?;
            Some(absolute(&seen.scheme, &host, port, uri))
        });
        self.edge.stats.refusal();
        self.edge.dispatch.refused(Refused {
            id,
            client: seen.client,
            received,
            method: request.map(|request| request.method().clone()),
            url,
            refusal: refusal.clone(),
        });
    }

    /// Counts a request to its client, unless that has too many.
    fn count(&self, seen: &Seen, active: &mut Active) -> Result<(), Refusal> {
        let most = self.edge.settings.load().requests_per_address;
        let member = match seen.via {
            // None if it is the proxy itself that asks.
            Via::Direct => self.member.clone(),
            Via::Proxy { .. } => Some(Arc::new(self.edge.crowd.member(seen.client.address))),
        };
        if let Some(member) = member {
            let open = member.request(most);
            active.counts(open.ok_or(Refusal::TooManyRequests(most))?);
        }
        Ok(())
    }

    /// Whether the request may go on, for which host, and what it asks for if it asks for a WebSocket;
    /// and, as soon as it can be told, who sent it.
    fn check(
        &self,
        request: &mut Request<Incoming>,
        seen: &mut Option<Seen>,
    ) -> Result<(Named, Option<Ask>), Refusal> {
        let version = request.version();
        if self.reception == Reception::TurnAway {
            return Err(Refusal::TooManyConnections);
        }
        fields::settle(version, request.headers_mut())?;
        let (uri, headers) = (request.uri(), request.headers());
        let settings = self.edge.settings.load();
        admit::check_size(version, uri, headers, &settings)?;
        let seen = seen.insert(self.peer.settle(&settings.proxies, request.headers_mut()));
        let ask = Ask::of(request)?;
        let (uri, headers) = (request.uri(), request.headers());
        admit::check_method(request.method())?;
        admit::check_expectation(version, headers)?;
        let named = {
            let mut memory = self.host.lock().unwrap_or_else(PoisonError::into_inner);
            memory.host(version, uri, headers)?
        };
        let tls = self.origin.tls.as_ref();
        // A proxy may ask for the hosts of all its clients on one connection.
        if let Some(sni) = tls.and_then(|tls| tls.sni.as_ref())
            && *sni != named.0
            && !self.peer.is_trusted()
        {
            return Err(Refusal::Misdirected(named.0));
        }
        let target = admit::check_target(version, uri)?;
        if !headers.contains_key(HOST) {
            let uri = uri.clone();
            fields::set_host(&uri, request.headers_mut());
        }
        if let Some(target) = target {
            *request.uri_mut() = target;
        }
        let Some(host) = seen.host.take() else {
            return Ok((named, ask));
        };
        let text = host.to_str().map_err(|_| Refusal::HostUnreadable)?;
        let named = admit::parse_authority(text)?;
        request.headers_mut().insert(HOST, host);
        Ok((named, ask))
    }
}

impl Sender {
    /// Makes the answer one that makes the connection a WebSocket. Returns whether messages are compressed.
    fn upgrade<D>(&self, response: &mut Response<ResponseBody>, ask: Ask, edge: &Edge<D>) -> bool {
        *response.status_mut() = match self.version {
            Version::HTTP_2 => StatusCode::OK,
            _ => StatusCode::SWITCHING_PROTOCOLS,
        };
        let headers = response.headers_mut();
        fields::strip(headers);
        fields::trim(headers);
        headers.insert(SERVER, HeaderValue::from_static("holm"));
        self.say_id(headers, edge);
        ask.answer(headers, edge.settings.load().websocket.compression)
    }

    /// Puts the request's id where the settings want it.
    fn say_id<D>(&self, headers: &mut HeaderMap, edge: &Edge<D>) {
        if let Some(name) = &edge.settings.load().request_id {
            headers.insert(name.clone(), self.id.into());
        }
    }

    fn refuse<D>(
        self,
        refusal: Refusal,
        headers: &HeaderMap,
        edge: &Edge<D>,
    ) -> Response<ResponseBody> {
        let closes = refusal.closes() && self.version != Version::HTTP_2;
        let mut response = Synthetic::from(refusal).respond(self.id, headers);
        self.fit(&mut response, edge);
        if closes {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    /// Takes out what belongs to the connection and not to the response, settles the length, and
    /// adds what every response of this server has.
    fn fit<D>(self, response: &mut Response<ResponseBody>, edge: &Edge<D>) {
        // hyper would drop the connection over it. No dispatcher of ours lets it come to this.
        if response.status().is_informational() {
            let refusal = Refusal::BadStatus(response.status());
            *response = Synthetic::from(refusal).respond(self.id, &HeaderMap::new());
        }
        let status = response.status();
        let headers = response.headers_mut();
        // The length on the wire is that of the body at hand, whatever the headers claim; a stream
        // of unknown length takes the claim at its word, and is then held to it.
        let mut claimed = None;
        // Most responses have none of these: comparing names is cheaper than looking each up.
        if headers.keys().any(fields::is_of_the_connection) {
            claimed = length(headers);
            fields::strip(headers);
        }
        fields::trim(headers);
        headers.insert(SERVER, HeaderValue::from_static("holm"));
        self.say_id(headers, edge);
        if self.version != Version::HTTP_2 && edge.drain.has_begun() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        // hyper would make up words. HTTP/2 has none.
        if self.version != Version::HTTP_2 && status.canonical_reason().is_none() {
            let none = ReasonPhrase::from_static(b"");
            response.extensions_mut().insert(none);
        }
        let body = response.body_mut();
        if let Some(claimed) = claimed {
            body.declare(claimed);
        }
        let is_bodiless = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        if self.is_head || is_bodiless {
            // What a GET would have had, where that is known.
            let known = body.length().filter(|length| *length > 0).or(claimed);
            *body = ResponseBody::empty();
            if let Some(length) = known.filter(|_| status != StatusCode::NO_CONTENT) {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
        }
        response.body_mut().belongs_to(self.active);
    }
}

/// The length that a response claims, if it claims one and no other.
fn length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next()?;
    let digits = first.to_str().ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = lengths.all(|length| length == first);
    (is_number && is_one).then(|| digits.parse().ok())?
}
