//! Who may ask for a function: by the address of the client, and by a token.
//!
//! For private previews and for functions behind a company's own network. Not for users of an application: those
//! are the function's business.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use holm_router::Refusal;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::egress::Network;
use crate::secret::Secret;

/// What stands for a function of this node that asks another one: without the shortcut inside, its request
/// would come over loopback.
pub(crate) const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Who may ask. By default everybody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// The only networks whose clients may; every network if there is none.
    pub(crate) allow: Vec<Network>,
    /// Networks whose clients may not, whatever `allow` says.
    pub(crate) deny: Vec<Network>,
    /// What every client has to show.
    pub(crate) token: Option<Secret>,
}

impl Access {
    /// Whether everybody may ask.
    pub(crate) fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty() && self.token.is_none()
    }

    /// Whether `client` may ask, with these headers. The token is taken out of them: it is not the function's.
    ///
    /// # Errors
    /// What the client is told.
    pub(crate) fn admit(&self, client: IpAddr, headers: &mut HeaderMap) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        let client = client.to_canonical();
        let is_in = |networks: &[Network]| networks.iter().any(|net| net.contains(client));
        if is_in(&self.deny) || !self.allow.is_empty() && !is_in(&self.allow) {
            return Err(Refusal::AddressDenied);
        }
        if let Some(token) = &self.token {
            let mut shown = headers.get_all(AUTHORIZATION).iter();
            let is_it = match (shown.next(), shown.next()) {
                (Some(shown), None) => shows(shown.as_bytes(), token),
                _ => false,
            };
            if !is_it {
                return Err(Refusal::TokenMissing);
            }
            headers.remove(AUTHORIZATION);
        }
        Ok(())
    }
}

/// Whether a value of `authorization` shows `token`: as a bearer does, or as a browser does that has asked its
/// user, where the token is the password, or the name without a password.
fn shows(value: &[u8], token: &Secret) -> bool {
    let Some(at) = value.iter().position(|byte| *byte == b' ') else {
        return false;
    };
    let (scheme, shown) = (&value[..at], value[at..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return token.is(shown);
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return false;
    }
    let Ok(pair) = STANDARD.decode(shown) else {
        return false;
    };
    match pair.iter().position(|byte| *byte == b':') {
        Some(at) if at + 1 == pair.len() => token.is(&pair[..at]),
        Some(at) => token.is(&pair[at + 1..]),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TOKEN: &str = "preview-0123456789";

    fn networks(list: &[&str]) -> Vec<Network> {
        let list = list.iter();
        list.map(|text| text.parse().expect("a network of this table"))
            .collect()
    }

    #[test]
    fn addresses_are_judged_however_they_are_written() {
        let access = Access {
            allow: networks(&["10.0.0.0/8", "2001:db8::/32"]),
            deny: networks(&["10.6.6.0/24"]),
            token: None,
        };
        for (client, is_in) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("2001:db8::1", true),
            ("10.6.6.6", false),
            ("::ffff:10.6.6.6", false),
            ("127.0.0.1", false),
            ("11.0.0.1", false),
            ("2001:db9::1", false),
        ] {
            let client_ip = client.parse().expect("an address of this table");
            let admitted = access.admit(client_ip, &mut HeaderMap::new());
            assert_eq!(admitted.is_ok(), is_in, "{client}: {admitted:?}");
        }
        let everybody_but = Access {
            deny: networks(&["10.6.6.0/24"]),
            ..Access::default()
        };
        assert!(everybody_but.admit(INSIDE, &mut HeaderMap::new()).is_ok());
    }

    #[test]
    fn a_token_is_shown_in_three_ways_and_kept_from_the_function() {
        let access = Access {
            token: Secret::new(TOKEN).ok(),
            ..Access::default()
        };
        let admit = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_str(value).expect("a value");
                headers.append(AUTHORIZATION, value);
            }
            let admitted = access.admit(INSIDE, &mut headers);
            assert_eq!(headers.is_empty(), admitted.is_ok() || values.is_empty());
            admitted.is_ok()
        };
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(admit(&[&format!("Bearer {TOKEN}")]));
        assert!(admit(&[&format!("bEARER  {TOKEN}")]));
        assert!(admit(&[&basic(&format!("anybody:{TOKEN}"))]));
        assert!(admit(&[&basic(&format!(":{TOKEN}"))]));
        assert!(admit(&[&basic(&format!("{TOKEN}:"))]));
        assert!(!admit(&[]));
        for value in [
            TOKEN,
            "Bearer",
            "Bearer ",
            "Bearer preview-012345678",
            "Bearer preview-01234567890",
            "Digest preview-0123456789",
            "Basic preview-0123456789",
            "Basic !!!!",
            &basic(TOKEN),
            &basic(&format!("{TOKEN}:x")),
            &basic(&format!("x:{TOKEN}:")),
        ] {
            assert!(!admit(&[value]), "{value}");
        }
        let right = format!("Bearer {TOKEN}");
        assert!(!admit(&[&right, &right]));
    }
}
