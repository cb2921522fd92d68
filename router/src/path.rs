//! Which request paths are routed at all.
//!
//! A route matches the raw, percent-encoded path, byte by byte, and the function then reads that
//! path through a WHATWG URL parser. The two must see the same path, or a rule like `/admin/*`
//! can be walked around: the parser resolves `/public/../admin` and its encoded spellings
//! (`%2e%2e`), and takes `\` for `/`. Every browser and `fetch` does so *before* sending; a request
//! that still has them is made by hand, so it is refused (400), which is simpler to reason about
//! than a second normaliser. What the parser percent-encodes is encoded here too, as some clients
//! leave that to the server. Everything else is left alone, because the parser leaves it alone:
//! `//` is an empty segment of its own, and `%61` is not `a`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What keeps a path from being routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// A segment `.` or `..`, perhaps percent-encoded.
    #[error("a dot segment (\".\" or \"..\") at byte {at}")]
    DotSegment {
        /// Where the segment starts, in bytes.
        at: usize,
    },
    /// A backslash, which URL parsers read as a slash.
    #[error("a backslash at byte {at}")]
    Backslash {
        /// Where, in bytes.
        at: usize,
    },
}

/// Says whether `path` (no query, starting with `/`) means to a URL parser what it says.
///
/// # Errors
/// Names the first segment or byte that a URL parser would rewrite.
pub fn check(path: &str) -> Result<(), PathFault> {
    let bytes = path.as_bytes();
    if let Some(at) = bytes.iter().position(|byte| *byte == b'\\') {
        return Err(PathFault::Backslash { at });
    }
    let mut from = 0;
    while let Some(slash) = bytes[from..].iter().position(|byte| *byte == b'/') {
        let start = from + slash + 1;
        if matches!(bytes.get(start), Some(b'.' | b'%')) {
            let rest = &bytes[start..];
            let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
            if is_dot_segment(&rest[..end]) {
                return Err(PathFault::DotSegment { at: start });
            }
        }
        from = start;
    }
    Ok(())
}

/// Percent-encodes what a URL parser would in a path, and nothing else.
pub fn encode(path: &str) -> Cow<'_, str> {
    if !path.bytes().any(is_encoded) {
        return Cow::Borrowed(path);
    }
    let mut encoded = String::with_capacity(path.len() + 16);
    for character in path.chars() {
        let mut bytes = [0; 4];
        let text = character.encode_utf8(&mut bytes);
        if text.bytes().any(is_encoded) {
            for byte in text.bytes() {
                write!(encoded, "%{byte:02X}").expect("writing to a String never fails");
            }
        } else {
            encoded.push(character);
        }
    }
    Cow::Owned(encoded)
}

/// The path percent-encode set of the URL standard, without what ends a path (`?`, `#`).
fn is_encoded(byte: u8) -> bool {
    matches!(
        byte,
        0..=b' ' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'}' | 0x7F..
    )
}

fn is_dot_segment(mut segment: &[u8]) -> bool {
    let mut dots = 0;
    while let Some((first, rest)) = segment.split_first() {
        segment = match first {
            b'.' => rest,
            b'%' if rest.len() >= 2 && rest[..2].eq_ignore_ascii_case(b"2e") => &rest[2..],
            _ => return false,
        };
        dots += 1;
    }
    dots == 1 || dots == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_found_in_every_spelling() {
        for (path, at) in [
            ("/.", 1),
            ("/..", 1),
            ("/a/../b", 3),
            ("/a/%2e%2E/b", 3),
            ("/a/.%2e", 3),
            ("/a/%2e", 3),
            ("/%2e./", 1),
            ("//../", 2),
        ] {
            assert_eq!(check(path), Err(PathFault::DotSegment { at }), "{path}");
        }
        assert_eq!(check("/a\\b"), Err(PathFault::Backslash { at: 2 }));
    }

    #[test]
    fn encoding_is_that_of_url_parsers() {
        assert_eq!(encode("/caf\u{e9} {x}|%7b'"), "/caf%C3%A9%20%7Bx%7D|%7b'");
        assert!(matches!(encode("/a%20b|c"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_a_url_parser_leaves_alone_passes() {
        for path in [
            "/",
            "//",
            "/a//b",
            "/...",
            "/.well-known/x",
            "/..a",
            "/a.",
            "/%2e%2e%2e",
            "/%2f..%2f",
            "/%61",
            "/a%",
            "/%2",
        ] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
    }
}
