//! The head of one request, line by line.

use http::Uri;
use memchr::memchr;

use super::{BodyFraming, Limits};
use crate::fields::trimmed;
use crate::refusal::Refusal;

/// What is known of a head that is still coming in.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the line begins that is not complete yet.
    line: usize,
    /// Up to where that line has been searched for its end.
    searched: usize,
    /// Blank lines that were skipped in front.
    blank: usize,
    version: Option<Version>,
    fields: usize,
    length: Option<u64>,
    is_chunked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// RFC 9112, 2.2 asks to skip "at least one" empty line in front of a request.
const MAX_BLANK: usize = 2;

impl Head {
    /// Reads on in `input`, which starts where the head starts. Returns its length and the framing
    /// of its body once it is complete.
    pub(super) fn advance(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, BodyFraming)>, Refusal> {
        loop {
            let Some(found) = memchr(b'\n', &input[self.searched..]) else {
                self.searched = input.len();
                self.check_size(input.len(), limits)?;
                return Ok(None);
            };
            let end = self.searched + found;
            self.check_size(end + 1, limits)?;
            let Some(line) = input[self.line..end].strip_suffix(b"\r") else {
                return Err(Refusal::Malformed("a line ends in LF without CR"));
            };
            self.line = end + 1;
            self.searched = self.line;
            let Some(version) = self.version else {
                self.start(line, limits)?;
                continue;
            };
            if line.is_empty() {
                return Ok(Some((self.line, self.body(version)?)));
            }
            self.field(line, limits)?;
        }
    }

    fn check_size(&self, seen: usize, limits: &Limits) -> Result<(), Refusal> {
        // A method and a version beside the URL.
        let start_line = limits.url + 64;
        if self.version.is_none() && seen - self.line > start_line {
            return Err(Refusal::UrlTooLong(limits.url));
        }
        if seen > limits.head {
            return Err(Refusal::HeadTooLarge(limits.head));
        }
        Ok(())
    }

    fn start(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        if line.is_empty() {
            self.blank += 1;
            return if self.blank > MAX_BLANK {
                Err(Refusal::Malformed("it starts with empty lines"))
            } else {
                Ok(())
            };
        }
        const FORM: Refusal = Refusal::Malformed(
            "its first line is not: method, one space, target, one space, HTTP/1.0 or HTTP/1.1",
        );
        let (line, version) = if let Some(line) = line.strip_suffix(b" HTTP/1.1") {
            (line, Version::Http11)
        } else if let Some(line) = line.strip_suffix(b" HTTP/1.0") {
            (line, Version::Http10)
        } else {
            return Err(FORM);
        };
        // One pass: what is no token ends the method, and may only be its space. That the target
        // has none, its own check finds.
        let end = line.iter().position(|byte| !is_token(*byte));
        let Some((method, [b' ', target @ ..])) = end.map(|end| line.split_at(end)) else {
            return Err(FORM);
        };
        if method.is_empty() || target.is_empty() {
            return Err(FORM);
        }
        if target.len() > limits.url {
            return Err(Refusal::UrlTooLong(limits.url));
        }
        check_target(method, target)?;
        self.version = Some(version);
        Ok(())
    }

    fn field(&mut self, line: &[u8], limits: &Limits) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Refusal::TooManyFields(limits.fields));
        }
        if matches!(line[0], b' ' | b'\t') {
            return Err(Refusal::Malformed(
                "a header field is folded over two lines",
            ));
        }
        let end = line.iter().position(|byte| !is_token(*byte));
        let Some((name, [b':', value @ ..])) = end.map(|end| line.split_at(end)) else {
            return Err(Refusal::Malformed(
                "a header field does not start with a token and a colon",
            ));
        };
        if name.is_empty() {
            return Err(Refusal::Malformed("a header field has no name"));
        }
        // No early exit, so that the compiler checks many bytes at once.
        if value
            .iter()
            .fold(false, |bad, byte| bad | !is_field_byte(*byte))
        {
            return Err(Refusal::Malformed("a header field has a control character"));
        }
        // Two lengths are enough to tell the fields that matter from almost all others.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::Malformed("it has more than one Content-Length"));
        }
        let digits = trimmed(value);
        let length = std::str::from_utf8(digits)
            .ok()
            .filter(|_| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| digits.parse::<u64>().ok())
            // hyper keeps the two largest numbers for itself.
            .filter(|length| *length < u64::MAX - 1);
        match length {
            Some(length) => self.length = Some(length),
            None => return Err(Refusal::Malformed("its Content-Length is no length")),
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.is_chunked || !trimmed(value).eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Malformed(
                "its Transfer-Encoding is not just: chunked",
            ));
        }
        self.is_chunked = true;
        Ok(())
    }

    fn body(&self, version: Version) -> Result<BodyFraming, Refusal> {
        match (self.is_chunked, self.length) {
            (false, length) => Ok(BodyFraming::Length(length.unwrap_or(0))),
            (true, Some(_)) => Err(Refusal::Malformed(
                "it has a Content-Length beside its Transfer-Encoding",
            )),
            (true, None) if version == Version::Http10 => {
                Err(Refusal::Malformed("HTTP/1.0 has no Transfer-Encoding"))
            }
            (true, None) => Ok(BodyFraming::Chunked),
        }
    }
}

fn check_target(method: &[u8], target: &[u8]) -> Result<(), Refusal> {
    const FORM: Refusal = Refusal::Malformed("its target is neither a path nor an absolute URL");
    if let [b'/', rest @ ..] = target
        && rest.iter().all(|byte| is_plain(*byte))
    {
        return Ok(());
    }
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7F) {
        return Err(Refusal::Malformed("its target has a control character"));
    }
    // The http crate drops it without a word. HTTP/2's targets come out of that crate.
    if target.contains(&b'#') {
        return Err(Refusal::Malformed("its target has a fragment"));
    }
    // hyper parses it once more; only the rare forms cost that twice.
    let uri = Uri::try_from(target);
    match target {
        [b'/', ..] if uri.is_err() => Err(Refusal::Malformed(
            "its target has a character that no URL has",
        )),
        [b'/', ..] => Ok(()),
        b"*" if method == b"OPTIONS" => Ok(()),
        _ => match uri {
            Ok(_) if method.eq_ignore_ascii_case(b"CONNECT") => Ok(()),
            Ok(uri)
                if matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some_and(|a| !a.as_str().contains('@')) =>
            {
                Ok(())
            }
            Ok(_) | Err(_) => Err(FORM),
        },
    }
}

/// RFC 9110, 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TABLE[usize::from(byte)] & TOKEN != 0
}

/// RFC 9110, 5.5: visible ASCII, space, tab, and the historical upper half.
pub(super) fn is_field_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7F) || byte == b'\t'
}

/// Characters that every URL parser leaves alone in a path and a query.
fn is_plain(byte: u8) -> bool {
    TABLE[usize::from(byte)] & PLAIN != 0
}

const TOKEN: u8 = 1;
const PLAIN: u8 = 2;

static TABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        if byte.is_ascii_alphanumeric() {
            table[index] |= TOKEN | PLAIN;
        }
        if matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        ) {
            table[index] |= TOKEN;
        }
        if matches!(
            byte,
            b'/' | b'?'
                | b'-'
                | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        ) {
            table[index] |= PLAIN;
        }
        index += 1;
    }
    table
};
