//! A canonical hostname: the one spelling under which a host is compared and looked up.
//!
//! Canonical means lower case, IDNA in its ASCII (punycode) form, no port, no trailing dot, IPv4
//! as a dotted quad, IPv6 compressed and in brackets. It is what a WHATWG URL parser makes of a
//! host, so the name that routed a request is the name that the function reads in `request.url`.
//! One difference, on purpose: the number forms of IPv4 (`127.1`, `0x7f000001`) are refused.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use idna::AsciiDenyList;

/// The longest name, in bytes, that DNS allows (RFC 1035, 2.3.4; without the root's dot).
const MAX_NAME: usize = 253;
/// The longest label, in bytes, that DNS allows.
const MAX_LABEL: usize = 63;

/// A canonical hostname. Cloning it is a reference count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hostname(Arc<str>);

/// Why a text is no hostname.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostnameError {
    /// There is nothing there.
    #[error("the host is empty")]
    Empty,
    /// A label between two dots is empty.
    #[error("an empty label at byte {at}: two dots in a row, or a dot at the start")]
    EmptyLabel {
        /// Where, in bytes from the start of the host.
        at: usize,
    },
    /// A character that no hostname has.
    #[error("{character:?} at byte {at} cannot be part of a hostname")]
    Character {
        /// The offender.
        character: char,
        /// Where, in bytes from the start of the host.
        at: usize,
    },
    /// A label or the whole name is longer than DNS allows.
    #[error("too long: {length} bytes where DNS allows {limit}")]
    TooLong {
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// It looks like an IP address and is none.
    #[error("{0:?} looks like an IP address but is none (IPv6 goes in brackets: [::1])")]
    Address(String),
    /// IDNA refuses it.
    #[error("{0:?} is not a valid internationalised name")]
    Idna(String),
}

impl Hostname {
    /// Canonicalises `host`, which has no port (see [`split_port`]).
    ///
    /// # Errors
    /// Says what is wrong and, where one character is to blame, at which byte.
    pub fn parse(host: &str) -> Result<Self, HostnameError> {
        Ok(Self(Arc::from(canonical(host)?)))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an IP literal, not a name.
    pub fn is_ip(&self) -> bool {
        self.0.starts_with('[') || self.0.parse::<Ipv4Addr>().is_ok()
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hostname({})", self.0)
    }
}

impl Borrow<str> for Hostname {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Hostname {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = HostnameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Splits `host:port` as it stands in a `Host` field. A colon inside IPv6 brackets is no port,
/// and an empty port (`host:`) is allowed by RFC 3986 and means none.
///
/// Returns `None` where the port is no number from 0 to 65535.
pub fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = authority[after_brackets..].find(':') else {
        return Some((authority, None));
    };
    let (host, port) = (
        &authority[..after_brackets + colon],
        &authority[after_brackets + colon + 1..],
    );
    if port.is_empty() {
        return Some((host, None));
    }
    // `u16::from_str` takes a sign.
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(port.parse().ok()?)))
}

fn canonical(host: &str) -> Result<Cow<'_, str>, HostnameError> {
    if host.starts_with('[') {
        let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        return inner
            .and_then(|text| text.parse::<Ipv6Addr>().ok())
            .map(|ip| Cow::Owned(format!("[{ip}]")))
            .ok_or_else(|| HostnameError::Address(host.to_owned()));
    }
    let name: Cow<'_, str> = if host.is_ascii() && !has_punycode(host) {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        }
    } else {
        // Maps full-width forms and case, checks punycode, and makes it.
        idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL)
            .map_err(|_| HostnameError::Idna(host.to_owned()))?
    };
    let end = check_name(&name)?;
    Ok(match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..end]),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    })
}

fn has_punycode(host: &str) -> bool {
    host.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
    })
}

/// Checks a lower-case ASCII name. Returns its length without a trailing dot.
fn check_name(name: &str) -> Result<usize, HostnameError> {
    if name.is_empty() {
        return Err(HostnameError::Empty);
    }
    let mut label_start = 0;
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            // `_` is in no hostname by the letter, and in many in use; URL parsers allow it.
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'.' => {
                check_label(at - label_start, at)?;
                label_start = at + 1;
            }
            b':' if name.bytes().filter(|b| *b == b':').count() > 1 => {
                return Err(HostnameError::Address(name.to_owned()));
            }
            _ => {
                let character = name[at..].chars().next().unwrap_or('\u{fffd}');
                return Err(HostnameError::Character { character, at });
            }
        }
    }
    let end = if label_start == name.len() {
        name.len() - 1
    } else {
        check_label(name.len() - label_start, name.len())?;
        name.len()
    };
    if end > MAX_NAME {
        return Err(HostnameError::TooLong {
            length: end,
            limit: MAX_NAME,
        });
    }
    let name = &name[..end];
    let last = name.rsplit('.').next().unwrap_or(name);
    if looks_numeric(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(HostnameError::Address(name.to_owned()));
    }
    Ok(end)
}

fn check_label(length: usize, at: usize) -> Result<(), HostnameError> {
    match length {
        0 => Err(HostnameError::EmptyLabel { at }),
        1..=MAX_LABEL => Ok(()),
        _ => Err(HostnameError::TooLong {
            length,
            limit: MAX_LABEL,
        }),
    }
}

/// The "ends in a number" check of the URL standard: such a host is an IPv4 address or invalid.
fn looks_numeric(label: &str) -> bool {
    let all_digits = label.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = label
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    all_digits || hexadecimal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spellings_of_one_host_are_one_hostname() {
        for (input, canonical) in [
            ("hello.localhost", "hello.localhost"),
            ("Hello.LOCALHOST", "hello.localhost"),
            ("hello.localhost.", "hello.localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("my_app.example", "my_app.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
        ] {
            let host = Hostname::parse(input).expect(input);
            assert_eq!(host.as_str(), canonical, "{input}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_its_place() {
        assert_eq!(Hostname::parse(""), Err(HostnameError::Empty));
        assert_eq!(
            Hostname::parse("a..b"),
            Err(HostnameError::EmptyLabel { at: 2 })
        );
        assert_eq!(
            Hostname::parse("."),
            Err(HostnameError::EmptyLabel { at: 0 })
        );
        assert_eq!(
            Hostname::parse("a b"),
            Err(HostnameError::Character {
                character: ' ',
                at: 1
            })
        );
        for input in ["a:80", "a/b", "u@h", "a%41", "a\tb", "a\0b", "*.a", "a,b"] {
            assert!(
                matches!(Hostname::parse(input), Err(HostnameError::Character { .. })),
                "{input:?}"
            );
        }
        for input in [
            "::1",
            "127.1",
            "1.2.3.4.5",
            "256.0.0.1",
            "0x7f.1",
            "[::1",
            "[fe80::1%eth0]",
        ] {
            assert!(
                matches!(Hostname::parse(input), Err(HostnameError::Address(_))),
                "{input:?}"
            );
        }
        assert!(matches!(
            Hostname::parse("xn--a\u{e9}.example"),
            Err(HostnameError::Idna(_))
        ));
        assert!(matches!(
            Hostname::parse(&"a".repeat(64)),
            Err(HostnameError::TooLong { limit: 63, .. })
        ));
        assert!(matches!(
            Hostname::parse(&"a.".repeat(127)),
            Ok(host) if host.as_str().len() == 253
        ));
        assert!(matches!(
            Hostname::parse(&"a.".repeat(128)),
            Err(HostnameError::TooLong { limit: 253, .. })
        ));
    }

    #[test]
    fn ports_are_split_off_outside_brackets_only() {
        assert_eq!(split_port("a.b:8080"), Some(("a.b", Some(8080))));
        assert_eq!(split_port("a.b"), Some(("a.b", None)));
        assert_eq!(split_port("a.b:"), Some(("a.b", None)));
        assert_eq!(split_port("[::1]:80"), Some(("[::1]", Some(80))));
        assert_eq!(split_port("[::1]"), Some(("[::1]", None)));
        for bad in ["a:x", "a:+80", "a:-1", "a:65536", "a:80:80", "a: 80"] {
            assert_eq!(split_port(bad), None, "{bad}");
        }
    }

    /// Names that `case_and_trailing_dot_do_not_matter` has failed with.
    const HAVE_FAILED: &[&str] = &["0.xn--"];

    /// Which host it is, if it is one. What is said of one that is none quotes it as it was typed.
    fn check_case_and_dot(text: &str) -> Result<(), TestCaseError> {
        let host = Hostname::parse(text).ok();
        prop_assert_eq!(&host, &Hostname::parse(&text.to_uppercase()).ok());
        prop_assert_eq!(&host, &Hostname::parse(&format!("{text}.")).ok());
        Ok(())
    }

    #[test]
    fn what_has_failed_once_does_not_again() {
        for text in HAVE_FAILED {
            check_case_and_dot(text).expect(text);
        }
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent_and_never_panics(text in "\\PC{0,40}") {
            if let Ok(host) = Hostname::parse(&text) {
                prop_assert_eq!(Hostname::parse(host.as_str()), Ok(host.clone()));
            }
        }

        #[test]
        fn case_and_trailing_dot_do_not_matter(text in "[a-z0-9-]{1,9}(\\.[a-z][a-z0-9-]{0,9}){0,3}") {
            check_case_and_dot(&text)?;
        }
    }
}
