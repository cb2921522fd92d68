//! What a client asks of a representation: conditions, ranges, encodings (RFC 9110, 12 to 14).
//!
//! Validators are strong and made of the content, so a date says nothing here: `If-Modified-Since` and
//! `If-Unmodified-Since` are left alone, as of a server that has no `Last-Modified`.

use std::ops::Range;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::ACCEPT_ENCODING;
use http::header::IF_MATCH;
use http::header::IF_NONE_MATCH;
use http::header::IF_RANGE;
use http::header::RANGE;

/// A coding that a file may lie beside another in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its word in `Content-Encoding`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of such a file ends with.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// How much a client wants `coding`, in thousandths; 0 is not at all.
pub(super) fn wish(headers: &HeaderMap, coding: Coding) -> u16 {
    let mut any = 0;
    for (name, wish) in words(headers, &ACCEPT_ENCODING).map(weighted) {
        let is_it = name.eq_ignore_ascii_case(coding.word())
            || (coding == Coding::Gzip && name.eq_ignore_ascii_case("x-gzip"));
        if is_it {
            return wish;
        }
        if name == "*" {
            any = wish;
        }
    }
    any
}

/// A word and its weight, in thousandths. A weight that cannot be read counts as none.
fn weighted(word: &str) -> (&str, u16) {
    let mut parts = word.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let Some(weight) = weight else {
        return (name, 1_000);
    };
    let weight: f32 = weight.parse().unwrap_or(0.0);
    let is_one = (0.0..=1.0).contains(&weight);
    (name, if is_one { (weight * 1_000.0) as u16 } else { 0 })
}

/// What conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// Go on.
    Holds,
    /// The client has it: 304.
    Unchanged,
    /// The client wants another: 412.
    Failed,
}

/// Whether what has `etag` is to be sent.
pub(super) fn condition(headers: &HeaderMap, etag: &HeaderValue) -> Condition {
    let etag = etag.to_str().unwrap_or_default();
    if headers.contains_key(IF_MATCH)
        && !words(headers, &IF_MATCH).any(|word| word == "*" || word == etag)
    {
        return Condition::Failed;
    }
    let weakly = |word: &str| word.strip_prefix("W/").unwrap_or(word) == etag;
    if words(headers, &IF_NONE_MATCH).any(|word| word == "*" || weakly(word)) {
        return Condition::Unchanged;
    }
    Condition::Holds
}

/// What of it is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: nothing else is asked for, or not in a way that is understood. A server may give all where
    /// several ranges are asked for, and does here: a client that wants small pieces of a large file gets them
    /// one by one.
    All,
    /// These bytes: 206.
    Bytes(Range<u64>),
    /// None of the bytes that there are: 416.
    Nothing,
}

/// What of `length` bytes with `etag` a client asks for.
pub(super) fn part(headers: &HeaderMap, etag: &HeaderValue, length: u64) -> Part {
    let mut ranges = headers.get_all(RANGE).iter();
    let (Some(range), None) = (ranges.next(), ranges.next()) else {
        return Part::All;
    };
    // A weak validator, or a date, is none that all of it has to agree with.
    if let Some(only) = headers.get(IF_RANGE)
        && only != etag
    {
        return Part::All;
    }
    let parsed = range.to_str().ok().and_then(parse);
    match parsed {
        None => Part::All,
        Some(Asked::Last(count)) => match count.min(length) {
            0 => Part::Nothing,
            count => Part::Bytes(length - count..length),
        },
        Some(Asked::From(start, _)) if start >= length => Part::Nothing,
        Some(Asked::From(start, end)) => {
            let behind = end.map_or(length, |end| end.saturating_add(1).min(length));
            Part::Bytes(start..behind)
        }
    }
}

enum Asked {
    /// From the first to the second, that one included.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

/// One range of bytes. Not by a crate: http-range-header refuses a suffix that is longer than the file and
/// zeros in front, and does not know `Bytes=`, all of which RFC 9110 allows.
fn parse(text: &str) -> Option<Asked> {
    let (unit, range) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
    if first.is_empty() {
        return number(last).map(Asked::Last);
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(Asked::From(first, None));
    }
    let last = number(last)?;
    (first <= last).then_some(Asked::From(first, Some(last)))
}

/// A number of any length; what does not fit is more than any file has.
fn number(digits: &str) -> Option<u64> {
    let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The members of a list, over all fields of that name. No validator of ours has a comma in it.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().copied().map(HeaderValue::from_static);
        values.map(|value| (name.clone(), value)).collect()
    }

    fn etag() -> HeaderValue {
        HeaderValue::from_static("\"abc\"")
    }

    /// RFC 9110, 14.1.1, 14.1.2, 14.2, of a file of ten bytes.
    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-4", Part::Bytes(0..5)),
            ("bytes=5-", Part::Bytes(5..10)),
            ("bytes=9-9", Part::Bytes(9..10)),
            ("bytes=0-99", Part::Bytes(0..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-99", Part::Bytes(0..10)),
            ("bytes=007-8", Part::Bytes(7..9)),
            ("Bytes=0-0", Part::Bytes(0..1)),
            ("bytes= 0-0 ", Part::Bytes(0..1)),
            ("bytes=0-99999999999999999999999", Part::Bytes(0..10)),
            ("bytes=10-", Part::Nothing),
            ("bytes=10-20", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            // Not understood, or several.
            ("bytes=4-3", Part::All),
            ("bytes=a-b", Part::All),
            ("bytes=-", Part::All),
            ("bytes=", Part::All),
            ("bytes", Part::All),
            ("bytes=0x1-2", Part::All),
            ("bytes=+0-1", Part::All),
            ("bytes=--1", Part::All),
            ("lines=0-1", Part::All),
            ("bytes=0-1,3-4", Part::All),
        ] {
            let asked = headers(RANGE, &[range]);
            assert_eq!(part(&asked, &etag(), 10), expected, "{range}");
        }
        let twice = headers(RANGE, &["bytes=0-1", "bytes=0-1"]);
        assert_eq!(part(&twice, &etag(), 10), Part::All);
        let asked = headers(RANGE, &["bytes=0-"]);
        assert_eq!(part(&asked, &etag(), 0), Part::Nothing);
    }

    #[test]
    fn ranges_of_one_version() {
        for (only, expected) in [
            ("\"abc\"", Part::Bytes(0..1)),
            ("W/\"abc\"", Part::All),
            ("\"abd\"", Part::All),
            ("Sun, 22 Nov 2026 01:00:00 GMT", Part::All),
        ] {
            let mut asked = headers(RANGE, &["bytes=0-0"]);
            asked.insert(IF_RANGE, HeaderValue::from_static(only));
            assert_eq!(part(&asked, &etag(), 10), expected, "{only}");
        }
    }

    #[test]
    fn conditions() {
        use Condition::{Failed, Holds, Unchanged};
        for (name, values, expected) in [
            (IF_NONE_MATCH, &["\"abc\""][..], Unchanged),
            (IF_NONE_MATCH, &["W/\"abc\""], Unchanged),
            (IF_NONE_MATCH, &["\"x\", \"abc\""], Unchanged),
            (IF_NONE_MATCH, &["\"x\"", "\"abc\""], Unchanged),
            (IF_NONE_MATCH, &["*"], Unchanged),
            (IF_NONE_MATCH, &["\"x\""], Holds),
            (IF_NONE_MATCH, &["abc"], Holds),
            (IF_MATCH, &["\"abc\""], Holds),
            (IF_MATCH, &["*"], Holds),
            (IF_MATCH, &["W/\"abc\""], Failed),
            (IF_MATCH, &["\"x\""], Failed),
        ] {
            let asked = headers(name, values);
            assert_eq!(condition(&asked, &etag()), expected, "{asked:?}");
        }
    }

    #[test]
    fn codings() {
        for (accepted, br, gzip) in [
            ("", 0, 0),
            ("br", 1_000, 0),
            ("gzip, br;q=0.5", 500, 1_000),
            ("*", 1_000, 1_000),
            ("*;q=0.1, br;q=0", 0, 100),
            ("x-gzip", 0, 1_000),
            ("BR ; q=0.25", 250, 0),
            ("br;q=2, gzip;q=nan", 0, 0),
            ("identity", 0, 0),
        ] {
            let asked = headers(ACCEPT_ENCODING, &[accepted]);
            assert_eq!(wish(&asked, Coding::Brotli), br, "{accepted}");
            assert_eq!(wish(&asked, Coding::Gzip), gzip, "{accepted}");
        }
    }
}
