//! WebSockets that functions open: over a connection of their own, by the same rules as any request.

use holm_model::body::Body;
use holm_model::outbound::{Account, OutboundError, OutboundResponse};
use holm_model::websocket::Socket;
use holm_router::hop_by_hop;
use holm_router::websocket::{Conversation, Keeping, Role, accept_key, new_key};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use url::Url;

use super::body::Outgoing;
use super::charge;
use super::failure;
use super::pool::Http;

/// Longest message that a function is sent, in bytes. Parts of it go on as they come, so it is the isolate's memory that
/// has to hold it.
const MAX_MESSAGE: u64 = 32 << 20;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request asks for a WebSocket.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Says so in a head that was cleaned.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    headers.remove(SEC_WEBSOCKET_KEY);
}

/// Opens one. An answer that makes it none is handed on without its body.
pub(super) async fn open(
    io: Handle,
    http: Http,
    mut request: http::Request<Outgoing>,
    url: Url,
    account: Account,
) -> Result<OutboundResponse, OutboundError> {
    let key = new_key();
    let value =
        HeaderValue::try_from(&key).map_err(|error| OutboundError::Invalid(error.to_string()))?;
    request.headers_mut().insert(SEC_WEBSOCKET_KEY, value);
    let answer = charge::sent(request, |request| http.request(request)).await;
    let mut answer = answer.map_err(|error| failure::explain(&url, &error))?;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        hop_by_hop::strip(&mut headers);
        return Ok(OutboundResponse {
            status,
            headers,
            body: Body::Empty,
            decoded: false,
        });
    }
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT);
    let is_sound = accept.is_some_and(|accept| *accept == accept_key(key.as_bytes()))
        && is_wanted(&headers)
        && !headers.contains_key(SEC_WEBSOCKET_EXTENSIONS);
    if !is_sound {
        let reason = "it makes it a WebSocket otherwise than RFC 6455 says";
        return Err(failure::unreachable(&url, reason.to_owned()));
    }
    let upgraded = hyper::upgrade::on(&mut answer).await;
    let upgraded = upgraded.map_err(|error| failure::unreachable(&url, error.to_string()))?;
    let (near, far) = Socket::pair(MAX_MESSAGE, account.clone());
    let conversation = Conversation::new(
        TokioIo::new(upgraded),
        near,
        Role::Client,
        false,
        Keeping::default(),
    );
    // Ends when the cell lets go of the other end.
    drop(io.spawn(charge::to(account, conversation)));
    Ok(OutboundResponse {
        status,
        headers,
        body: Body::Socket(Box::new(far)),
        decoded: false,
    })
}
