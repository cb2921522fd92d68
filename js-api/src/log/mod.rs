//! What a function writes with `console`, and what it throws and nobody catches.
//!
//! Lines are kept with the request that wrote them, up to a byte budget, and leave with its
//! record; they never reach the process's own output directly.

use deno_core::OpState;
use deno_core::error::JsError;
use deno_core::op2;
use deno_core::v8;
use serde::Serialize;

use crate::handler::Invocations;
use crate::handler::calling;

/// Causes of an error that are told.
const MAX_CAUSES: usize = 8;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `console.debug`, `console.trace`
    Debug,
    /// `console.log`, `console.info` and what prints like them
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`, `console.assert`, uncaught exceptions
    Error,
}

/// One call of `console`, or one uncaught exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// Its text, without the final line break.
    pub message: String,
}

/// The lines of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The lines that fit the budget, in order.
    pub lines: Vec<LogLine>,
    /// Bytes that were written over the budget and left out.
    pub dropped: u64,
    bytes: u64,
}

/// The byte budget of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogBudget(pub u64);

impl Log {
    /// Adds a line, cut at what is left of `budget`.
    pub fn push(&mut self, level: Level, mut message: String, budget: LogBudget) {
        let left = budget.0.saturating_sub(self.bytes);
        let length = message.len() as u64;
        if length > left {
            let cut = message.floor_char_boundary(usize::try_from(left).unwrap_or(usize::MAX));
            message.truncate(cut);
            self.dropped += length - cut as u64;
            if message.is_empty() {
                return;
            }
        }
        self.bytes += message.len() as u64;
        self.lines.push(LogLine { level, message });
    }
}

/// Adds a line to the log of the request with that number; an isolate that answers one at a time
/// needs none.
pub fn write(state: &mut OpState, id: Option<u32>, level: Level, message: String) {
    let budget = *state.borrow::<LogBudget>();
    let log = state.borrow_mut::<Invocations>().log(id);
    log.push(level, message, budget);
}

/// The text of something thrown. deno_core has put the author's positions into the stack already,
/// by the source maps of the module loader.
///
/// May run code of the function (getters of what it threw): hold no borrow across it.
pub fn describe<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> Thrown {
    let error = JsError::from_v8_exception(scope, thrown);
    let message = error
        .exception_message
        .trim_start_matches("Uncaught ")
        .to_owned();
    let mut stack = own_frames(&error).unwrap_or_else(|| message.clone());
    let mut cause = error.cause.as_deref();
    // deno_core has cut cycles already; the bound is for what a person reads.
    for _ in 0..MAX_CAUSES {
        let Some(error) = cause else { break };
        stack.push_str("\nCaused by: ");
        match own_frames(error) {
            Some(frames) => stack.push_str(&frames),
            None => stack.push_str(error.exception_message.trim_start_matches("Uncaught ")),
        }
        cause = error.cause.as_deref();
    }
    Thrown { message, stack }
}

/// The stack of an error without the frames of Holm's and Deno's own scripts; nothing if it has
/// none.
fn own_frames(error: &JsError) -> Option<String> {
    let stack = error
        .stack
        .as_ref()
        .filter(|stack| stack.contains("\n    at "))?;
    let lines: Vec<_> = stack
        .lines()
        .filter(|line| {
            !(line.starts_with("    at ") && (line.contains("(ext:") || line.contains("at ext:")))
        })
        .collect();
    Some(lines.join("\n"))
}

/// Something a function threw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thrown {
    /// Name and message, like `TypeError: x is not a function`.
    pub message: String,
    /// Message and stack.
    pub stack: String,
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
