//! `fetch()`: deno_fetch's JavaScript over the host's [`Outbound`] port.
//!
//! The two ops carry deno_fetch's names and shapes, and stand in its extension in place of its
//! own, so that no request can go out past the port.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use deno_core::CancelFuture;
use deno_core::CancelHandle;
use deno_core::OpState;
use deno_core::Resource;
use deno_core::ResourceId;
use deno_core::convert::ByteString;
use deno_core::convert::Uint8Array;
use deno_core::op2;
use deno_core::v8;
use deno_error::JsErrorBox;
use deno_fetch::FetchResponse;
use deno_fetch::FetchReturn;
use deno_fetch::data_url::DataUrl;
use futures::future::LocalBoxFuture;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header::AUTHORIZATION;
use http::header::CONTENT_ENCODING;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use percent_encoding::percent_decode_str;
use url::Url;

/// Bytes that a field takes in a message beside name and value, at most.
const FIELD_OVERHEAD: usize = 8;

/// What stands in the place of deno_fetch's client, of which Holm has none, in requests to the binding of
/// assets. `handler.js` has the same number.
const ASSETS: u32 = 1;

/// Headers of an answer that tell how its body was sent.
const DESCRIBE_THE_WIRE: [HeaderName; 2] = [CONTENT_ENCODING, CONTENT_LENGTH];

use crate::handler::BodySource;
use crate::handler::Invocation;
use crate::handler::MemoryBudget;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::BodyStream;
use holm_model::message::MAX_HEAD;
use holm_model::outbound::OutboundError;
use holm_model::outbound::OutboundResponse;
use holm_model::outbound::Way;

/// Where the requests of a function go out.
pub trait Outbound {
    /// Sends one request (one hop: redirects are followed by the caller, so that every hop is checked).
    /// What comes is the head of the answer, its body still streaming.
    ///
    /// Dropping the future, or the body of the answer, aborts the exchange.
    fn send(&self, request: Subrequest) -> Exchange;
}

/// An answer to come.
pub type Exchange = LocalBoxFuture<'static, Result<OutboundResponse, OutboundError>>;

/// One request that a function makes. Its head has at most [`MAX_HEAD`] bytes.
#[derive(Debug)]
pub struct Subrequest {
    /// Number of the request on whose behalf it is made.
    pub request: u32,
    /// Which way it goes.
    pub way: Way,
    /// Method, as the function gave it.
    pub method: Method,
    /// An `http:` or `https:` URL without credentials.
    pub url: Url,
    /// Headers, as the function gave them; `Host` and framing are the port's business.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
}

/// The port that `fetch()` of this isolate uses.
#[derive(Clone)]
pub struct OutboundPort(pub Rc<dyn Outbound>);

/// A request on its way; `op_fetch_send` waits for its answer.
struct Pending {
    /// Number of the request on whose behalf it goes out; none at the top level of a module.
    request: Option<u32>,
    exchange: RefCell<Option<Exchange>>,
    cancel: Rc<CancelHandle>,
    url: Url,
}

impl Resource for Pending {
    fn name(&self) -> Cow<'_, str> {
        "fetchRequest".into()
    }
}

struct Cancel(Rc<CancelHandle>);

impl Resource for Cancel {
    fn name(&self) -> Cow<'_, str> {
        "fetchCancelHandle".into()
    }

    fn close(self: Rc<Self>) {
        self.0.cancel();
    }
}

#[op2]
#[allow(
    clippy::too_many_arguments,
    reason = "the shape that deno_fetch's JavaScript calls"
)]
pub(crate) fn op_fetch<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[scoped] method: ByteString,
    #[string] url: String,
    #[scoped] headers: Vec<(ByteString, ByteString)>,
    #[smi] client: Option<u32>,
    has_body: bool,
    data: Option<Uint8Array>,
    #[smi] resource: Option<ResourceId>,
) -> Result<FetchReturn, JsErrorBox> {
    let method =
        Method::from_bytes(&method).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let url = Url::parse(&url).map_err(|error| JsErrorBox::type_error(error.to_string()))?;
    let cancel = Rc::new(CancelHandle::new());
    let request = Invocation::calling(state, scope).map(|invocation| invocation.id);
    let exchange = match url.scheme() {
        "http" | "https" => {
            let body = match (has_body, data, resource) {
                (false, _, _) => Body::Empty,
                (true, Some(data), _) => Body::Full(data.0.into()),
                (true, None, Some(rid)) => body_of(state, rid)?,
                (true, None, None) => Body::Empty,
            };
            let way = match client {
                Some(ASSETS) => Way::Assets,
                Some(_) | None => Way::Out,
            };
            start(state, scope, way, method, url.clone(), headers, body)?
        }
        "data" => data_url(&url)?,
        "blob" => return Err(JsErrorBox::type_error("Blob for the given URL not found.")),
        other => {
            return Err(JsErrorBox::type_error(format!(
                "Url scheme '{other}' not supported"
            )));
        }
    };
    let request_rid = state.resource_table.add(Pending {
        request,
        exchange: RefCell::new(Some(exchange)),
        cancel: cancel.clone(),
        url,
    });
    let cancel_rid = state.resource_table.add(Cancel(cancel));
    own(state, request, [request_rid, cancel_rid]);
    Ok(FetchReturn {
        request_rid,
        cancel_handle_rid: Some(cancel_rid),
    })
}

/// Asks the request's budget, then hands the exchange to the port.
fn start(
    state: &mut OpState,
    scope: &mut v8::PinScope<'_, '_>,
    way: Way,
    method: Method,
    mut url: Url,
    fields: Vec<(ByteString, ByteString)>,
    body: Body,
) -> Result<Exchange, JsErrorBox> {
    let Some(invocation) = Invocation::calling(state, scope) else {
        return Err(JsErrorBox::type_error(
            "fetch() can only be called while its request is being answered, not at the top level of a module",
        ));
    };
    if invocation.subrequests >= invocation.subrequest_limit {
        return Err(JsErrorBox::type_error(format!(
            "too many subrequests: this request may make {}",
            invocation.subrequest_limit
        )));
    }
    let request = invocation.id;
    let size = |(name, value): &(ByteString, ByteString)| name.len() + value.len() + FIELD_OVERHEAD;
    let size = method.as_str().len() + url.as_str().len() + fields.iter().map(size).sum::<usize>();
    let too_many = || {
        JsErrorBox::range_error(format!(
            "too many request headers: {MAX_HEAD} bytes in all are sent, the URL among them"
        ))
    };
    if size > MAX_HEAD {
        return Err(too_many());
    }
    let mut headers = HeaderMap::try_with_capacity(fields.len()).map_err(|_| too_many())?;
    for (name, value) in fields {
        let name = HeaderName::from_bytes(&name)
            .map_err(|error| JsErrorBox::type_error(error.to_string()))?;
        let value = HeaderValue::from_bytes(&value)
            .map_err(|error| JsErrorBox::type_error(error.to_string()))?;
        if name != HOST && name != CONTENT_LENGTH {
            headers.try_append(name, value).map_err(|_| too_many())?;
        }
    }
    take_credentials(&mut url, &mut headers);
    if let Some(invocation) = Invocation::of(state, request) {
        invocation.subrequests += 1;
    }
    let port = state.borrow::<OutboundPort>().clone();
    Ok(port.0.send(Subrequest {
        request,
        way,
        method,
        url,
        headers,
        body,
    }))
}

/// Moves `user:password@` from the URL into an `Authorization` header, as browsers do.
fn take_credentials(url: &mut Url, headers: &mut HeaderMap) {
    if url.username().is_empty() && url.password().is_none() {
        return;
    }
    let user = percent_decode_str(url.username());
    let password = percent_decode_str(url.password().unwrap_or_default());
    let pair: Vec<u8> = user.chain([b':']).chain(password).collect();
    // Both fail only for URLs that cannot carry credentials in the first place.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let value = format!("Basic {}", BASE64_STANDARD.encode(&pair));
    if let Ok(value) = HeaderValue::try_from(value)
        && !headers.contains_key(AUTHORIZATION)
    {
        headers.insert(AUTHORIZATION, value);
    }
}

/// The body behind a stream's resource: as it is if nothing has read of it, else what follows.
fn body_of(state: &mut OpState, rid: ResourceId) -> Result<Body, JsErrorBox> {
    let resource = state
        .resource_table
        .take_any(rid)
        .map_err(JsErrorBox::from_err)?;
    if let Some(source) = resource.downcast_rc::<BodySource>()
        && let Some(body) = source.clone().into_body()
    {
        return Ok(body);
    }
    let length = match resource.size_hint() {
        (low, Some(high)) if low == high && low > 0 => Some(low),
        _ => None,
    };
    let (sender, stream) = BodyStream::channel(length);
    deno_core::unsync::spawn(async move {
        loop {
            match resource.clone().read(64 * 1024).await {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    if sender.send(chunk.to_vec().into()).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    sender.fail(BodyError::Aborted(error.to_string().into()));
                    break;
                }
            }
        }
        resource.close();
    });
    Ok(Body::Stream(stream))
}

fn data_url(url: &Url) -> Result<Exchange, JsErrorBox> {
    let invalid = || JsErrorBox::type_error("invalid data: URL");
    let parsed = DataUrl::process(url.as_str()).map_err(|_| invalid())?;
    let (bytes, _fragment) = parsed.decode_to_vec().map_err(|_| invalid())?;
    let kind = HeaderValue::try_from(parsed.mime_type().to_string()).map_err(|_| invalid())?;
    let response = OutboundResponse {
        status: http::StatusCode::OK,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
        body: Body::Full(bytes.into()),
        decoded: false,
    };
    Ok(Box::pin(std::future::ready(Ok(response))))
}

/// The resources belong to the request with that number, and end with it.
fn own<const N: usize>(state: &mut OpState, request: Option<u32>, resources: [ResourceId; N]) {
    let invocation = request.and_then(|id| Invocation::of(state, id));
    if let Some(invocation) = invocation {
        invocation.resources.extend(resources);
    }
}

#[op2]
pub(crate) async fn op_fetch_send(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
) -> Result<FetchResponse, JsErrorBox> {
    let pending = state
        .borrow_mut()
        .resource_table
        .take::<Pending>(rid)
        .map_err(JsErrorBox::from_err)?;
    let exchange = pending.exchange.borrow_mut().take();
    let exchange = exchange.ok_or_else(|| JsErrorBox::type_error("request already sent"))?;
    let response = match exchange.or_cancel(pending.cancel.clone()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            let text = error.to_string();
            return Ok(FetchResponse {
                error: Some((text.clone(), text)),
                ..Default::default()
            });
        }
        Err(_) => return Err(JsErrorBox::type_error("Request was cancelled")),
    };
    let headers = response
        .headers
        .iter()
        // They say how it came, and not what the function has: copied onto its own response, as
        // proxies do, they would be wrong.
        .filter(|(name, _)| !response.decoded || !DESCRIBE_THE_WIRE.contains(name))
        .map(|(name, value)| (name.as_str().into(), value.as_bytes().into()))
        .collect();
    let content_length = response.body.length();
    let response_rid = {
        let mut state = state.borrow_mut();
        let budget = *state.borrow::<MemoryBudget>();
        let source = BodySource::new(response.body, budget);
        let rid = state.resource_table.add(source);
        own(&mut state, pending.request, [rid]);
        rid
    };
    Ok(FetchResponse {
        status: response.status.as_u16(),
        status_text: response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .to_owned(),
        headers,
        url: pending.url.to_string(),
        response_rid,
        content_length,
        // Nothing in the headers is about the wire.
        body_decoded: false,
        error: None,
    })
}
