//! Code frames: the lines around a place in a source file, with a caret under it.
//!
//! The text is somebody else's (a function's author is not trusted), and the frame ends up in
//! a terminal or a log. So control characters and bidirectional overrides are shown as `�`,
//! tabs become spaces, and a minified line of a megabyte is cut to a window around the caret.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use holm_model::visible::is_hidden;

/// Lines shown before and after the marked one.
const CONTEXT_LINES: usize = 2;
/// Terminal columns a tab advances to a multiple of.
const TAB_COLUMNS: usize = 4;
/// Terminal columns of source text per line; longer lines are cut around the caret.
const WINDOW_COLUMNS: usize = 100;
/// Columns kept in front of the caret when a line is cut.
const LEAD_COLUMNS: usize = 40;

/// A place in a text as V8, source maps and editors count: 1-based line, 1-based column in
/// UTF-16 code units, with the line terminators of ECMAScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// 1-based line.
    pub line: u32,
    /// 1-based column in UTF-16 code units.
    pub column: u32,
}

impl Position {
    /// The position of the byte at `offset`, clamped to the end of `text`.
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (mut line, mut start) = (0, 0);
        for (index, range) in Lines::new(text).enumerate() {
            if range.start > offset {
                break;
            }
            (line, start) = (index, range.start);
        }
        let column = utf16_units(&text[start..offset]);
        Self {
            line: u32::try_from(line + 1).unwrap_or(u32::MAX),
            column: u32::try_from(column + 1).unwrap_or(u32::MAX),
        }
    }
}

/// A few lines of a file with a caret under one place.
///
/// Prints as `--> file:line:column` followed by the lines; see [`CodeFrame::render`] for
/// colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFrame {
    file: String,
    position: Position,
    rows: Vec<Row>,
    marked: Option<Mark>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    number: usize,
    text: String,
}

/// Where the caret goes, in terminal columns of the rendered row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    number: usize,
    indent: usize,
    width: usize,
}

impl CodeFrame {
    /// A frame of `text` around `position`, marking `units` UTF-16 code units (at least one).
    ///
    /// A position outside the text gives a frame without lines: just the place.
    pub fn new(file: impl Into<String>, text: &str, position: Position, units: usize) -> Self {
        let target = (position.line as usize).saturating_sub(1);
        let lines: Vec<_> = Lines::new(text)
            .enumerate()
            .skip(target.saturating_sub(CONTEXT_LINES))
            .take_while(|(index, _)| *index <= target + CONTEXT_LINES)
            .map(|(index, range)| (index, &text[range]))
            .collect();
        let marked_line = lines.iter().find(|(index, _)| *index == target);
        let (mut rows, mut marked) = (Vec::new(), None);
        if let Some((_, line)) = marked_line {
            let skip_units = (position.column as usize).saturating_sub(1);
            let caret = columns(line, skip_units, 0).min(columns(line, usize::MAX, 0));
            let end = columns(line, skip_units.saturating_add(units.max(1)), 0);
            let left = caret.saturating_sub(if caret < WINDOW_COLUMNS {
                caret
            } else {
                LEAD_COLUMNS
            });
            rows = lines
                .iter()
                .map(|(index, line)| Row {
                    number: index + 1,
                    text: window(line, left),
                })
                .collect();
            let cut = usize::from(left > 0);
            let room = (left + WINDOW_COLUMNS).saturating_sub(caret).max(1);
            marked = Some(Mark {
                number: target + 1,
                indent: caret - left + cut,
                width: end.saturating_sub(caret).clamp(1, room),
            });
        }
        // Blank context at either edge says nothing.
        while rows
            .last()
            .is_some_and(|row| row.text.trim().is_empty() && row.number > target + 1)
        {
            rows.pop();
        }
        let blank = rows
            .iter()
            .take_while(|row| row.text.trim().is_empty() && row.number < target + 1)
            .count();
        rows.drain(..blank);
        Self {
            file: printable(&file.into()),
            position,
            rows,
            marked,
        }
    }

    /// A frame without lines: just the place.
    pub fn place(file: impl Into<String>, position: Position) -> Self {
        Self {
            file: printable(&file.into()),
            position,
            rows: Vec::new(),
            marked: None,
        }
    }

    /// The file as shown, relative to the function's root.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The marked place.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The frame as text; `colour` adds ANSI colours (red caret, dim gutter).
    pub fn render(&self, colour: bool) -> String {
        let (dim, red, reset) = if colour {
            ("\u{1b}[2m", "\u{1b}[1;31m", "\u{1b}[0m")
        } else {
            ("", "", "")
        };
        let digits = self
            .rows
            .last()
            .map_or(1, |row| row.number.to_string().len());
        let pad = " ".repeat(digits);
        let Position { line, column } = self.position;
        let mut out = format!("{dim}{pad} -->{reset} {}:{line}:{column}", self.file);
        if !self.rows.is_empty() {
            out.push_str(&format!("\n{dim}{pad} |{reset}"));
        }
        for row in &self.rows {
            let text = row.text.trim_end();
            let space = if text.is_empty() { "" } else { " " };
            out.push_str(&format!(
                "\n{dim}{:>digits$} |{reset}{space}{text}",
                row.number
            ));
            if let Some(mark) = self.marked.as_ref().filter(|m| m.number == row.number) {
                let indent = " ".repeat(mark.indent);
                let carets = "^".repeat(mark.width);
                out.push_str(&format!(
                    "\n{dim}{pad} |{reset} {indent}{red}{carets}{reset}"
                ));
            }
        }
        out
    }
}

impl fmt::Display for CodeFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// Byte ranges of the lines of a text, terminators excluded. Terminators are those of
/// ECMAScript (LF, CR, CRLF, LS, PS), because V8 counts lines by them.
struct Lines<'a> {
    text: &'a str,
    next: Option<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            next: Some(0),
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = std::ops::Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let rest = &self.text[start..];
        let end = rest.find(['\n', '\r', '\u{2028}', '\u{2029}']);
        let Some(length) = end else {
            self.next = None;
            return Some(start..self.text.len());
        };
        let terminator = if rest[length..].starts_with("\r\n") {
            2
        } else {
            rest[length..].chars().next().map_or(0, char::len_utf8)
        };
        self.next = Some(start + length + terminator);
        Some(start..start + length)
    }
}

fn utf16_units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Terminal columns of the first `units` UTF-16 code units of `line`, starting at `from`.
fn columns(line: &str, units: usize, from: usize) -> usize {
    let (mut seen, mut at) = (0, from);
    for character in line.chars() {
        seen += character.len_utf16();
        if seen > units {
            break;
        }
        at += width(character, at);
    }
    at
}

/// The part of `line` that starts at terminal column `left`, with `…` where it was cut.
fn window(line: &str, left: usize) -> String {
    let mut out = String::new();
    if left > 0 {
        out.push('…');
    }
    let mut at = 0;
    for character in line.chars() {
        let next = at + width(character, at);
        if next > left + WINDOW_COLUMNS {
            out.push('…');
            return out;
        }
        if at >= left {
            match character {
                '\t' => out.extend(std::iter::repeat_n(' ', next - at)),
                other => out.push(visible(other)),
            }
        } else if next > left {
            // A wide character or tab sits across the left edge.
            out.extend(std::iter::repeat_n(' ', next - left));
        }
        at = next;
    }
    if left > 0 && at <= left {
        // Nothing of this line is in the window; a lone ellipsis would be noise.
        out.clear();
    }
    out
}

fn width(character: char, at: usize) -> usize {
    match character {
        '\t' => TAB_COLUMNS - at % TAB_COLUMNS,
        other => visible(other).width().unwrap_or(1),
    }
}

/// Text that is safe to print: everything [`visible`], line by line.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// Replaces what would move the cursor, recolour the terminal or reorder the line.
fn visible(character: char) -> char {
    if is_hidden(character) {
        '\u{fffd}'
    } else {
        character
    }
}
