//! What a function writes with `console`, and what it throws and nobody catches.
//!
//! Lines belong to the request that wrote them, up to a byte budget. They go to the [`Sink`] of the host; they
//! never reach the process's own output.

use std::rc::Rc;

use deno_core::OpState;
use deno_core::error::JsError;
use deno_core::op2;
use deno_core::v8;
use holm_model::log::FRAME;
use holm_model::log::Level;
use holm_model::log::LogBudget;
use holm_model::log::Thrown;
use holm_model::log::place_of;
use serde::Serialize;

use crate::handler::Invocations;
use crate::handler::calling;

/// Causes of an error that are told.
const MAX_CAUSES: usize = 8;
/// Bytes of a message or a stack that are told: what is thrown is not counted against a log's budget.
const MAX_TEXT: usize = 32 << 10;

/// Adds a line to the log of the request with that number; an isolate that answers one at a time
/// needs none.
pub fn write(state: &mut OpState, id: Option<u32>, level: Level, message: String) {
    let budget = *state.borrow::<LogBudget>();
    let port = state.try_borrow::<LogPort>().cloned();
    let (request, log) = state.borrow_mut::<Invocations>().log(id);
    log.push(level, message, budget);
    // What no request has written waits for the next one.
    if let (Some(request), Some(LogPort(sink))) = (request, port) {
        for line in log.lines.drain(..) {
            sink.write(request, line.level, &line.message);
        }
    }
}

/// Takes lines away as they are written.
pub trait Sink {
    /// Request `request` wrote a line.
    fn write(&self, request: u32, level: Level, message: &str);
}

/// Where lines go. Without one they stay with their request.
#[derive(Clone)]
pub struct LogPort(pub Rc<dyn Sink>);

/// The text of something thrown.
///
/// May run code of the function (getters of what it threw): hold no borrow across it.
pub fn describe<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> Thrown {
    self::thrown(&read(scope, thrown))
}

/// What can be read of something thrown. What its getters throw is dropped; that they were
/// terminated is not.
fn read<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> Box<JsError> {
    v8::tc_scope!(let scope, scope);
    let error = JsError::from_v8_exception(scope, thrown);
    if scope.has_terminated() {
        scope.rethrow();
    }
    error
}

/// The text of an error, which has its stack from the isolate: in the author's positions.
pub fn thrown(error: &JsError) -> Thrown {
    let mut stack = stack_of(error).to_owned();
    let mut cause = error.cause.as_deref();
    // deno_core has cut cycles already; the bound is for what a person reads.
    for _ in 0..MAX_CAUSES {
        let Some(error) = cause else { break };
        stack.push_str("\nCaused by: ");
        stack.push_str(stack_of(error));
        cause = error.cause.as_deref();
    }
    Thrown {
        message: shortened(message_of(error)),
        stack: shortened(&stack),
    }
}

/// `text` without its middle if it is long: a stack ends with what matters.
fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let head = text.floor_char_boundary(MAX_TEXT / 2);
    let tail = text.ceil_char_boundary(text.len() - MAX_TEXT / 2);
    format!("{}…{}", &text[..head], &text[tail..])
}

/// The stack of an error; its message if it has none.
fn stack_of(error: &JsError) -> &str {
    match &error.stack {
        Some(stack) if stack.lines().any(|line| line.starts_with(FRAME)) => stack,
        Some(_) | None => message_of(error),
    }
}

fn message_of(error: &JsError) -> &str {
    error.exception_message.trim_start_matches("Uncaught ")
}

/// What [`JsError`] is in JavaScript, as far as deno_web's `reportException` reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Destructured {
    exception_message: String,
    frames: Vec<Frame>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    file_name: String,
    line_number: u32,
    column_number: u32,
}

/// An error's message, and the topmost place in its stack, for an `ErrorEvent`. In place of
/// deno_core's, whose places are those of the code that runs.
#[op2(reentrant)]
#[serde]
pub(crate) fn op_holm_destructure<'s, 'i>(
    scope: &mut v8::PinScope<'s, 'i>,
    error: v8::Local<'s, v8::Value>,
) -> Destructured {
    let error = read(scope, error);
    let mut lines = error.stack.as_deref().unwrap_or_default().lines();
    let place = lines.find_map(place_of);
    let frame = place.map(|(file, line_number, column_number)| Frame {
        file_name: file.to_owned(),
        line_number,
        column_number,
    });
    Destructured {
        frames: frame.into_iter().collect(),
        exception_message: error.exception_message,
    }
}

/// The name of the runtime, as `navigator.userAgent` and `User-Agent` give it.
pub const USER_AGENT: &str = concat!("Holm/", env!("CARGO_PKG_VERSION"));

#[op2]
#[string]
pub(crate) fn op_holm_user_agent() -> String {
    USER_AGENT.to_owned()
}

#[op2(fast)]
pub(crate) fn op_holm_log<'s, 'i>(
    state: &mut OpState,
    scope: &mut v8::PinScope<'s, 'i>,
    #[string] message: String,
    #[smi] level: i32,
) {
    let level = match level {
        0 | 4 => Level::Debug,
        2 => Level::Warn,
        3 => Level::Error,
        _ => Level::Info,
    };
    let mut message = message;
    if message.ends_with('\n') {
        message.pop();
    }
    let id = calling(state, scope);
    write(state, id, level, message);
}
