//! What code writes and what it throws: text that leaves with the record of its request.

use serde::Deserialize;
use serde::Serialize;

/// How grave a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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

impl LogBudget {
    /// For what Holm itself adds: it must not be lost because the function was talkative.
    pub const UNLIMITED: Self = Self(u64::MAX);
}

impl Log {
    /// Adds a line, cut at what is left of `budget`. One that is empty counts as a byte: it is held, too.
    pub fn push(&mut self, level: Level, mut message: String, budget: LogBudget) {
        let left = budget.0.saturating_sub(self.bytes);
        let length = message.len().max(1) as u64;
        if length > left {
            let cut = message.floor_char_boundary(usize::try_from(left).unwrap_or(usize::MAX));
            self.dropped = self.dropped.saturating_add((message.len() - cut) as u64);
            message.truncate(cut);
            if message.is_empty() {
                return;
            }
        }
        self.bytes += message.len().max(1) as u64;
        self.lines.push(LogLine { level, message });
    }
}

/// Something a function threw.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Thrown {
    /// Name and message, like `TypeError: x is not a function`.
    pub message: String,
    /// Message and stack.
    pub stack: String,
}

/// How a frame of a stack begins.
pub const FRAME: &str = "    at ";

/// File, line and column of a line of a stack, if it has them: `    at f (src/a.ts:1:2)`,
/// `    at async src/a.ts:1:2`.
pub fn place_of(line: &str) -> Option<(&str, u32, u32)> {
    let frame = line.strip_prefix(FRAME)?;
    let place = match frame.strip_suffix(')') {
        Some(call) => call.rsplit_once(" (")?.1,
        None => frame.strip_prefix("async ").unwrap_or(frame),
    };
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    if file.ends_with("<anonymous>") {
        // In code from a string: its caller has a place.
        return None;
    }
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_nothing_are_bounded_too() {
        let mut log = Log::default();
        for _ in 0..100 {
            log.push(Level::Info, String::new(), LogBudget(10));
        }
        assert_eq!((log.lines.len(), log.dropped), (10, 0));
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let mut log = Log::default();
        log.push(Level::Info, "four".into(), LogBudget(6));
        log.push(Level::Info, "\u{fc}ber".into(), LogBudget(6));
        log.push(Level::Info, "more".into(), LogBudget(6));
        let lines: Vec<&str> = log.lines.iter().map(|line| &*line.message).collect();
        assert_eq!((lines, log.dropped), (vec!["four", "\u{fc}"], 7));
        // As a cell says it that was taken over.
        log.dropped = u64::MAX;
        log.push(Level::Info, "more".into(), LogBudget(6));
        assert_eq!(log.dropped, u64::MAX);
    }
}
