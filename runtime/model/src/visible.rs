//! Text that somebody else wrote, made fit for an operator's terminal and log.
//!
//! What a function logs and throws, what clients ask for, and what parsers quote of a file may hold
//! characters that a terminal obeys instead of showing them. They are written as escapes:
//!
//! ```
//! use holm_model::visible::visible;
//!
//! assert_eq!(visible("\u{1b}[2Jboo\n"), "\\u{1b}[2Jboo\n");
//! ```

use std::borrow::Cow;

/// Whether a character would move the cursor, recolour the terminal or reorder the line: a control
/// character, a line separator, or a bidirectional mark.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// The text with its hidden characters escaped, line breaks and tabs aside.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |character, next| match character {
        '\n' | '\t' => false,
        '\r' => next != Some('\n'),
        other => is_hidden(other),
    })
}

/// The same on one line: line breaks are escaped too.
pub fn visible_line(text: &str) -> Cow<'_, str> {
    escaped(text, |character, _| {
        character != '\t' && is_hidden(character)
    })
}

fn escaped(text: &str, is_escaped: impl Fn(char, Option<char>) -> bool) -> Cow<'_, str> {
    // Almost all text is this.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' if is_escaped(character, None) => out.push_str("\\n"),
            _ if is_escaped(character, characters.peek().copied()) => {
                out.extend(character.escape_unicode());
            }
            _ => out.push(character),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        let text = "a\u{1b}[31m\u{7}\u{0}\u{7f}\u{9b}\u{202e}\u{2066}\u{200f}\u{2028}é😀\\";
        let shown =
            "a\\u{1b}[31m\\u{7}\\u{0}\\u{7f}\\u{9b}\\u{202e}\\u{2066}\\u{200f}\\u{2028}é😀\\";
        assert_eq!(visible(text), shown);
        assert_eq!(visible_line(text), shown);
    }

    #[test]
    fn lines_stay_lines_where_there_may_be_several() {
        assert_eq!(visible("a\n\tb\r\nc\rd"), "a\n\tb\r\nc\\u{d}d");
        assert_eq!(visible_line("a\n\tb\r\nc"), "a\\n\tb\\u{d}\\nc");
    }
}
