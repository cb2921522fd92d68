//! The ops behind `handler.js`.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use deno_core::JsBuffer;
use deno_core::OpState;
use deno_core::ResourceId;
use deno_core::op2;
use deno_core::v8;
use deno_error::JsErrorBox;
use holm_model::body::Body;
use holm_model::body::BodyError;
use holm_model::body::ReaderGone;
use holm_model::log::Level;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_LENGTH;

use super::BodySource;
use super::BodyWriter;
use super::Invocation;
use super::Invocations;
use super::RequestHeaders;
use super::WrongLength;
use super::calling;
use crate::log::describe;
use crate::log::write;
use crate::websocket::SocketPort;

/// Fields that a response may have: what common proxies take.
const MAX_FIELDS: u32 = 256;
/// Bytes of a response's head, likewise.
const MAX_HEAD: usize = 64 << 10;
/// Bytes that a field has beside name and value.
const FIELD_OVERHEAD: usize = 4;

/// Headers that belong to the connection, not to the message: the edge sets them itself.
const CONNECTION_HEADERS: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "upgrade"];

#[op2]
pub(crate) fn op_holm_request_headers<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
) -> v8::Local<'s, v8::Array> {
    let headers = match Invocation::of(state, id) {
        Some(invocation) => std::mem::take(&mut invocation.headers),
        None => RequestHeaders::default(),
    };
    let mut flat: Vec<v8::Local<'s, v8::Value>> = Vec::with_capacity(headers.len() * 2);
    for (name, value) in headers.iter() {
        flat.push(one_byte(scope, name));
        flat.push(one_byte(scope, value));
    }
    v8::Array::new_with_elements(scope, &flat)
}

/// A header's bytes as a ByteString: one code unit a byte.
fn one_byte<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> v8::Local<'s, v8::Value> {
    match v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal) {
        Some(string) => string.into(),
        None => v8::undefined(scope).into(),
    }
}

#[op2(fast)]
pub(crate) fn op_holm_respond<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
    #[smi] status: u16,
    headers: v8::Local<'s, v8::Array>,
    body: v8::Local<'s, v8::Value>,
    is_all: bool,
) -> Result<(), JsErrorBox> {
    let body = full_body(scope, body)?;
    let response = head(scope, status, headers, body)?;
    answer(state, id, response);
    if is_all && let Some(invocation) = Invocation::of(state, id) {
        invocation.settled = true;
    }
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_holm_respond_resource<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
    #[smi] status: u16,
    headers: v8::Local<'s, v8::Array>,
    #[smi] rid: ResourceId,
) -> Result<bool, JsErrorBox> {
    let Ok(source) = state.resource_table.get::<BodySource>(rid) else {
        return Ok(false);
    };
    let mut response = head(scope, status, headers, Body::Empty)?;
    let Some(body) = source.into_body() else {
        return Ok(false);
    };
    let passing = match &body {
        Body::Stream(stream) => Some(stream.progress()),
        Body::Empty | Body::Full(_) | Body::Socket(_) => None,
    };
    *response.body_mut() = body;
    declare(&mut response);
    // Nothing is left in it; an entry that is gone already is as good.
    drop(state.resource_table.take_any(rid));
    if answer(state, id, response)
        && let Some(invocation) = Invocation::of(state, id)
    {
        invocation.passing = passing;
        invocation.is_passing = true;
    }
    Ok(true)
}

#[op2(fast)]
#[smi]
pub(crate) fn op_holm_respond_stream<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
    #[smi] status: u16,
    headers: v8::Local<'s, v8::Array>,
    length: f64,
) -> Result<ResourceId, JsErrorBox> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length of a body that JavaScript holds is a safe integer; -1 says unknown"
    )]
    let length = (length >= 0.0).then_some(length as u64);
    let mut response = head(scope, status, headers, Body::Empty)?;
    let length = length.or_else(|| given_length(response.headers()));
    let (writer, stream) = BodyWriter::channel(length);
    *response.body_mut() = Body::Stream(stream);
    let writer = Rc::new(writer);
    let rid = state.resource_table.add_rc(writer.clone());
    if answer(state, id, response)
        && let Some(invocation) = Invocation::of(state, id)
    {
        invocation.writer = Some(writer);
        invocation.resources.push(rid);
    }
    Ok(rid)
}

/// Holds a stream of unknown length to the one that the function gave.
fn declare(response: &mut http::Response<Body>) {
    let length = given_length(response.headers());
    if let (Body::Stream(stream), Some(length)) = (response.body_mut(), length) {
        stream.declare(length);
    }
}

/// The `content-length` that a function gave, if it gave one and no other.
fn given_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next()?;
    let digits = first.to_str().ok()?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_one = lengths.all(|length| length == first);
    (is_number && is_one).then(|| digits.parse().ok())?
}

/// Keeps the answer for the host; the first one counts.
fn answer(state: &mut OpState, id: u32, response: http::Response<Body>) -> bool {
    match Invocation::of(state, id) {
        Some(invocation) if !invocation.answered => {
            invocation.answered = true;
            invocation.answer = Some(response);
            true
        }
        Some(_) | None => false,
    }
}

fn full_body(
    scope: &mut v8::PinScope<'_, '_>,
    body: v8::Local<'_, v8::Value>,
) -> Result<Body, JsErrorBox> {
    if body.is_null_or_undefined() {
        return Ok(Body::Empty);
    }
    if let Ok(string) = v8::Local::<v8::String>::try_from(body) {
        // V8's own way to a `String` takes twice the room, and transcodes what is ASCII.
        let mut bytes = vec![0; string.utf8_length(scope)];
        let written =
            string.write_utf8_v2(scope, &mut bytes, v8::WriteFlags::kReplaceInvalidUtf8, None);
        bytes.truncate(written);
        return Ok(Body::Full(bytes.into()));
    }
    if let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(body) {
        let mut bytes = vec![0; view.byte_length()];
        let written = view.copy_contents(&mut bytes);
        bytes.truncate(written);
        return Ok(Body::Full(bytes.into()));
    }
    Err(JsErrorBox::type_error("a body must be text or bytes"))
}

fn head<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    status: u16,
    flat: v8::Local<'s, v8::Array>,
    body: Body,
) -> Result<http::Response<Body>, JsErrorBox> {
    let mut response = http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| {
            JsErrorBox::range_error(format!("{status} cannot be the status of an answer"))
        })?;
    let mut name = Vec::new();
    let mut size = 0;
    for index in (0..flat.length()).step_by(2) {
        byte_string(scope, flat, index, &mut name)?;
        let header = HeaderName::from_bytes(&name).map_err(|_| bad_header(&name))?;
        let mut value = Vec::new();
        byte_string(scope, flat, index + 1, &mut value)?;
        if CONNECTION_HEADERS.contains(&header.as_str()) {
            continue;
        }
        let value = HeaderValue::from_maybe_shared(Bytes::from(value))
            .map_err(|_| bad_header(header.as_str().as_bytes()))?;
        size += header.as_str().len() + value.len() + FIELD_OVERHEAD;
        if index / 2 >= MAX_FIELDS || size > MAX_HEAD {
            return Err(JsErrorBox::range_error(format!(
                "too many response headers: at most {MAX_FIELDS} fields, {MAX_HEAD} bytes in all"
            )));
        }
        response.headers_mut().append(header, value);
    }
    Ok(response)
}

fn bad_header(name: &[u8]) -> JsErrorBox {
    JsErrorBox::type_error(format!(
        "invalid response header: {}",
        String::from_utf8_lossy(name)
    ))
}

/// The ByteString at `index` of `array`, into `bytes`.
fn byte_string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    array: v8::Local<'s, v8::Array>,
    index: u32,
    bytes: &mut Vec<u8>,
) -> Result<(), JsErrorBox> {
    let string = array
        .get_index(scope, index)
        .and_then(|value| v8::Local::<v8::String>::try_from(value).ok())
        .filter(|string| string.contains_only_onebyte())
        .ok_or_else(|| JsErrorBox::type_error("a header must be a ByteString"))?;
    bytes.clear();
    bytes.resize(string.length(), 0);
    string.write_one_byte_v2(scope, 0, bytes, v8::WriteFlags::empty());
    Ok(())
}

/// Writes one chunk if the reader keeps up; `false` asks to wait with `op_holm_body_write`.
#[op2(fast)]
pub(crate) fn op_holm_body_try_write(
    state: &mut OpState,
    #[smi] rid: ResourceId,
    #[buffer] chunk: &[u8],
) -> Result<bool, JsErrorBox> {
    let writer = state.resource_table.get::<BodyWriter>(rid).map_err(gone)?;
    writer.check_room(chunk.len()).map_err(wrong_length)?;
    let refused = writer
        .try_send(Bytes::copy_from_slice(chunk))
        .map_err(reader_gone)?;
    Ok(refused.is_none())
}

#[op2]
pub(crate) async fn op_holm_body_write(
    state: Rc<RefCell<OpState>>,
    #[smi] rid: ResourceId,
    #[buffer] chunk: JsBuffer,
) -> Result<(), JsErrorBox> {
    let writer = state.borrow().resource_table.get::<BodyWriter>(rid);
    let writer = writer.map_err(gone)?;
    let sender = writer.sender().ok_or_else(|| reader_gone(ReaderGone))?;
    sender
        .send(Bytes::copy_from_slice(&chunk))
        .await
        .map_err(|error| {
            writer.note_left();
            reader_gone(error)
        })
}

#[op2(fast)]
pub(crate) fn op_holm_body_end(
    state: &mut OpState,
    #[smi] rid: ResourceId,
) -> Result<(), JsErrorBox> {
    if let Ok(writer) = state.resource_table.get::<BodyWriter>(rid) {
        writer.check_end().map_err(wrong_length)?;
    }
    if let Ok(writer) = state.resource_table.take::<BodyWriter>(rid) {
        drop(writer.end());
    }
    Ok(())
}

#[op2(fast)]
pub(crate) fn op_holm_body_fail(state: &mut OpState, #[smi] rid: ResourceId) {
    if let Ok(writer) = state.resource_table.take::<BodyWriter>(rid)
        && let Some(sender) = writer.end()
    {
        sender.fail(BodyError::Aborted(
            "the function broke its response off".into(),
        ));
    }
}

/// Whether a write failed because nobody reads the answer of request `id` any more. The host is told.
#[op2(fast)]
pub(crate) fn op_holm_body_was_left(
    state: &mut OpState,
    #[smi] id: u32,
    #[smi] rid: ResourceId,
) -> bool {
    let writer = state.resource_table.get::<BodyWriter>(rid);
    let was_left = writer.is_ok_and(|writer| writer.was_left());
    if was_left && let Some(invocation) = Invocation::of(state, id) {
        invocation.left = true;
    }
    was_left
}

fn wrong_length(error: WrongLength) -> JsErrorBox {
    JsErrorBox::type_error(error.to_string())
}

fn gone(_: deno_core::error::ResourceError) -> JsErrorBox {
    reader_gone(ReaderGone)
}

fn reader_gone(error: ReaderGone) -> JsErrorBox {
    JsErrorBox::new("Interrupted", error.to_string())
}

/// The handler threw, or answered with something that is no answer.
#[op2(fast)]
pub(crate) fn op_holm_exception<'s, 'i>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
    thrown: v8::Local<'s, v8::Value>,
) {
    let thrown = describe(scope, thrown);
    if let Some(invocation) = Invocation::of(&mut state.borrow_mut(), id)
        && invocation.thrown.is_none()
    {
        invocation.thrown = Some(thrown);
    }
}

/// Something was thrown where no answer depends on it any more.
#[op2(fast)]
pub(crate) fn op_holm_log_exception<'s, 'i>(
    state: Rc<RefCell<OpState>>,
    scope: &mut v8::PinScope<'s, 'i>,
    thrown: v8::Local<'s, v8::Value>,
    #[string] context: &str,
) {
    let thrown = describe(scope, thrown);
    let text = format!("{context}{}", thrown.stack);
    let mut state = state.borrow_mut();
    let id = calling(&state, scope);
    write(&mut state, id, Level::Error, text);
}

#[op2(fast)]
pub(crate) fn op_holm_settled(state: &mut OpState, #[smi] id: u32) {
    state.borrow_mut::<Invocations>().settle(id);
}

/// From here on several requests run at the same time, although only one was to.
#[op2(fast)]
pub(crate) fn op_holm_share(state: &mut OpState) {
    state.borrow_mut::<Invocations>().share();
}

/// The answer is a WebSocket: the request goes on as that.
#[op2(fast)]
pub(crate) fn op_holm_respond_socket<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[smi] id: u32,
    headers: v8::Local<'s, v8::Array>,
) -> Result<(), JsErrorBox> {
    if let Some(SocketPort(port)) = state.try_borrow::<SocketPort>()
        && !port.has_room()
    {
        return Err(JsErrorBox::range_error(
            "too many WebSockets are open in this isolate; `limits.websockets` raises it",
        ));
    }
    let mut response = head(scope, 200, headers, Body::Empty)?;
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer(state, id, response);
    Ok(())
}
