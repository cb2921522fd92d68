//! `WebSocket` and `WebSocketPair`: JavaScript over a port of the host's, which speaks the protocol.
//!
//! A socket of the host's has a number, its key: twice that of the request that it is, or one more than twice that of the
//! subrequest that opened it. The host calls `handler.js` with what comes.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::OpState;
use deno_core::Resource;
use deno_core::ResourceId;
use deno_core::op2;
use deno_core::v8;
use deno_error::JsErrorBox;
use holm_model::body::Body;
use holm_model::message::MAX_HEAD;
use holm_model::outbound::Way;
use holm_model::websocket::Close;
use holm_model::websocket::Kind;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::CONNECTION;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::header::UPGRADE;
use url::Url;

use crate::fetch::Exchange;
use crate::fetch::OutboundPort;
use crate::fetch::Subrequest;
use crate::handler::Invocation;

/// Where the host puts the key of a socket into the head of the answer that opened it. It takes such a field away where
/// it came from outside.
pub const KEY: HeaderName = HeaderName::from_static("holm-socket");

/// The sockets of this isolate, at its host.
pub trait Sockets {
    /// Whether another request may become one.
    fn has_room(&self) -> bool;

    /// Request `request` becomes socket `key`.
    fn open(&self, key: u32, request: u32);

    /// Sends a message. Returns whether there was room for it.
    fn send(&self, key: u32, kind: Kind, bytes: Bytes) -> bool;

    /// Bytes that wait to be sent.
    fn buffered(&self, key: u32) -> usize;

    /// Closes it behind what was sent.
    fn close(&self, key: u32, close: Close);

    /// The function takes messages from now on.
    fn accept(&self, key: u32);
}

/// The port that sockets of this isolate use.
#[derive(Clone)]
pub struct SocketPort(pub Rc<dyn Sockets>);

fn port(state: &OpState) -> Result<Rc<dyn Sockets>, JsErrorBox> {
    match state.try_borrow::<SocketPort>() {
        Some(SocketPort(port)) => Ok(port.clone()),
        None => Err(JsErrorBox::type_error(
            "WebSockets belong to requests: there is none yet",
        )),
    }
}

#[op2(fast)]
pub(crate) fn op_holm_socket_open(
    state: &mut OpState,
    #[smi] key: u32,
    #[smi] request: u32,
) -> Result<(), JsErrorBox> {
    port(state)?.open(key, request);
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_holm_socket_accept(
    state: &mut OpState,
    #[smi] key: u32,
) -> Result<(), JsErrorBox> {
    port(state)?.accept(key);
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_holm_socket_buffered(
    state: &mut OpState,
    #[smi] key: u32,
) -> Result<f64, JsErrorBox> {
    #[allow(clippy::cast_precision_loss, reason = "it is far below 2^53")]
    Ok(port(state)?.buffered(key) as f64)
}

#[op2(fast)]
pub(crate) fn op_holm_socket_close(
    state: &mut OpState,
    #[smi] key: u32,
    #[smi] code: u16,
    #[string] reason: &str,
) -> Result<(), JsErrorBox> {
    port(state)?.close(key, Close::of(code, reason));
    Ok(())
}

/// `data` is text or a Uint8Array.
#[op2(fast)]
pub(crate) fn op_holm_socket_send<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] key: u32,
    data: v8::Local<'s, v8::Value>,
) -> Result<(), JsErrorBox> {
    let (kind, bytes) = if let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(data) {
        let mut bytes = vec![0; view.byte_length()];
        let written = view.copy_contents(&mut bytes);
        bytes.truncate(written);
        (Kind::Binary, bytes)
    } else if let Ok(string) = v8::Local::<v8::String>::try_from(data) {
        let mut bytes = vec![0; string.utf8_length(scope)];
        let written =
            string.write_utf8_v2(scope, &mut bytes, v8::WriteFlags::kReplaceInvalidUtf8, None);
        bytes.truncate(written);
        (Kind::Text, bytes)
    } else {
        return Err(JsErrorBox::type_error("a message is text or bytes"));
    };
    if !port(state)?.send(key, kind, bytes.into()) {
        return Err(JsErrorBox::new(
            "DOMExceptionOperationError",
            "too much waits to be sent: the other side does not keep up; look at bufferedAmount",
        ));
    }
    Ok(())
}

/// A socket that is being opened.
struct Opening {
    exchange: RefCell<Option<Exchange>>,
    protocols: Vec<String>,
}

impl Resource for Opening {
    fn name(&self) -> Cow<'_, str> {
        "webSocket".into()
    }
}

/// Begins to open a socket at an `http:` or `https:` URL.
#[op2]
#[smi]
pub(crate) fn op_holm_socket_begin<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[string] url: String,
    #[scoped] protocols: Vec<String>,
) -> Result<ResourceId, JsErrorBox> {
    let url = Url::parse(&url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let list = protocols.join(", ");
    if list.len() + url.as_str().len() > MAX_HEAD / 2 {
        return Err(JsErrorBox::range_error(
            "a URL or protocols that are too long",
        ));
    }
    if !list.is_empty() {
        let list = HeaderValue::try_from(list)
            .map_err(|_| JsErrorBox::type_error("a protocol is a token"))?;
        headers.insert(SEC_WEBSOCKET_PROTOCOL, list);
    }
    let port = state.try_borrow::<OutboundPort>().cloned();
    let invocation = Invocation::calling(state, scope);
    let (Some(OutboundPort(port)), Some(invocation)) = (port, invocation) else {
        return Err(JsErrorBox::type_error(
            "a WebSocket can only be opened while a request is being answered",
        ));
    };
    if invocation.subrequests >= invocation.subrequest_limit {
        return Err(JsErrorBox::type_error(format!(
            "too many subrequests: this request may make {}",
            invocation.subrequest_limit
        )));
    }
    invocation.subrequests += 1;
    let request = invocation.id;
    let exchange = port.send(Subrequest {
        request,
        way: Way::Out,
        method: Method::GET,
        url,
        headers,
        body: Body::Empty,
    });
    let rid = state.resource_table.add(Opening {
        exchange: RefCell::new(Some(exchange)),
        protocols,
    });
    if let Some(invocation) = Invocation::of(state, request) {
        invocation.resources.push(rid);
    }
    Ok(rid)
}

/// Waits for it. Gives its key, and the protocol that the server chose.
#[op2]
#[serde]
pub(crate) async fn op_holm_socket_connect(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<(u32, String), JsErrorBox> {
    let opening = state.borrow_mut().resource_table.take::<Opening>(rid);
    let opening = opening.map_err(|_| JsErrorBox::type_error("its request is over"))?;
    let exchange = opening.exchange.borrow_mut().take();
    let Some(exchange) = exchange else {
        return Err(JsErrorBox::type_error("its request is over"));
    };
    let response = exchange
        .await
        .map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let key = response.headers.get(KEY).and_then(|key| key.to_str().ok());
    let key = key.and_then(|key| key.parse().ok());
    let Some(key) = key.filter(|_| response.status == StatusCode::SWITCHING_PROTOCOLS) else {
        return Err(JsErrorBox::type_error(format!(
            "the server does not make it a WebSocket: it answered with status {}",
            response.status.as_u16()
        )));
    };
    let protocol = response.headers.get(SEC_WEBSOCKET_PROTOCOL);
    let protocol = protocol
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !protocol.is_empty() && !opening.protocols.iter().any(|own| own == protocol) {
        return Err(JsErrorBox::type_error(
            "the server chose a protocol that was not offered",
        ));
    }
    Ok((key, protocol.to_owned()))
}
