//! What has to hold for a request before anybody is asked to answer it.

use std::borrow::Cow;

use http::header::{EXPECT, HOST};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::hostname::{Hostname, split_port};
use crate::path;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// A host as a request names it.
pub(crate) type Named = (Hostname, Option<u16>);

/// Remembers the last host of a connection: mostly it is the next one too, and a comparison is
/// cheaper than a parse and an allocation.
#[derive(Debug, Default)]
pub(crate) struct HostMemory(Option<(Box<str>, Named)>);

impl HostMemory {
    fn parse(&mut self, field: &HeaderValue) -> Result<Named, Refusal> {
        match &self.0 {
            Some((text, named)) if text.as_bytes() == field.as_bytes() => return Ok(named.clone()),
            _ => {}
        }
        let text = field.to_str().map_err(|_| Refusal::HostUnreadable)?;
        let named = parse_authority(text)?;
        self.0 = Some((text.into(), named.clone()));
        Ok(named)
    }

    /// The one host that a request names, in its target, its `Host` field or both.
    pub(crate) fn host(
        &mut self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Named, Refusal> {
        let mut fields = headers.get_all(HOST).iter();
        let field = fields.next();
        if fields.next().is_some() {
            return Err(Refusal::HostRepeated);
        }
        let field = field.map(|field| self.parse(field)).transpose()?;
        let target = uri
            .authority()
            .map(|authority| parse_authority(authority.as_str()))
            .transpose()?;
        match (target, field) {
            (None, None) => Err(Refusal::HostMissing),
            // RFC 9112, 3.2: whatever the target says.
            (Some(_), None) if version == Version::HTTP_11 => Err(Refusal::HostMissing),
            (Some(named), None) | (None, Some(named)) => Ok(named),
            // RFC 9112, 3.2.2 lets the target win; but whoever stands in front may have looked
            // at the field.
            (Some(target), Some(field)) => {
                let implied = if uri.scheme() == Some(&Scheme::HTTPS) {
                    443
                } else {
                    80
                };
                let port = |named: &Named| named.1.unwrap_or(implied);
                if target.0 == field.0 && port(&target) == port(&field) {
                    Ok(field)
                } else {
                    Err(Refusal::HostMismatch)
                }
            }
        }
    }
}

pub(crate) fn parse_authority(authority: &str) -> Result<Named, Refusal> {
    let (host, port) = split_port(authority).ok_or(Refusal::HostUnreadable)?;
    if host.is_empty() {
        return Err(Refusal::HostMissing);
    }
    Ok((Hostname::parse(host)?, port))
}

/// Methods that no function can see: the Fetch standard forbids a `Request` with them, in any case
/// of letters.
pub(crate) fn check_method(method: &Method) -> Result<(), Refusal> {
    const FORBIDDEN: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];
    let method = method.as_str();
    if FORBIDDEN
        .iter()
        .any(|name| method.eq_ignore_ascii_case(name))
    {
        return Err(Refusal::Method);
    }
    Ok(())
}

/// Refuses what cannot be met (RFC 9110, 10.1.1). HTTP/1.0 has no expectations: there they mean nothing.
pub(crate) fn check_expectation(version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let is_met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if version == Version::HTTP_10 || headers.get_all(EXPECT).iter().all(is_met) {
        Ok(())
    } else {
        Err(Refusal::Expectation)
    }
}

/// Checks the target's path. Returns the target to use instead where the path has characters
/// that a URL parser would percent-encode.
pub(crate) fn check_target(version: Version, uri: &Uri) -> Result<Option<Uri>, Refusal> {
    let path = uri.path();
    if path == "*" {
        return Err(Refusal::Asterisk);
    }
    // RFC 9113, 8.3.1. A URL in a target of HTTP/1 may do without: `http://a.test?x`.
    let is_without = version == Version::HTTP_2
        && uri
            .path_and_query()
            .is_none_or(|path| !path.as_str().starts_with('/'));
    if is_without || !path.starts_with('/') {
        return Err(Refusal::Malformed("its target has no path"));
    }
    path::check(path)?;
    let Cow::Owned(mut encoded) = path::encode(path) else {
        return Ok(None);
    };
    if let Some(query) = uri.query() {
        encoded.push('?');
        encoded.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let target = PathAndQuery::try_from(encoded).ok();
    parts.path_and_query = target;
    let uri = Uri::from_parts(parts).ok();
    uri.map(Some)
        .ok_or(Refusal::Malformed("its target cannot be percent-encoded"))
}

/// Over HTTP/1 the wire has counted already; over HTTP/2 the head comes apart in hyper.
pub(crate) fn check_size(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<(), Refusal> {
    if version != Version::HTTP_2 {
        return Ok(());
    }
    if headers.len() > settings.fields {
        return Err(Refusal::TooManyFields(settings.fields));
    }
    if uri
        .path_and_query()
        .is_some_and(|path| path.as_str().len() > settings.url)
    {
        return Err(Refusal::UrlTooLong(settings.url));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(target: &str, fields: &[&'static str]) -> Result<String, Refusal> {
        host_by(Version::HTTP_11, target, fields)
    }

    fn host_by(version: Version, target: &str, fields: &[&'static str]) -> Result<String, Refusal> {
        let uri: Uri = target.parse().expect(target);
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(HOST, HeaderValue::from_static(field));
        }
        let mut memory = HostMemory::default();
        let first = memory.host(version, &uri, &headers);
        assert_eq!(
            first,
            memory.host(version, &uri, &headers),
            "memory changes nothing"
        );
        first.map(|(host, port)| format!("{host} {port:?}"))
    }

    #[test]
    fn one_host_has_to_be_named_and_only_one() {
        for (target, fields, named) in [
            ("/", vec!["A.b"], Ok("a.b None")),
            ("/", vec!["a.b:8080"], Ok("a.b Some(8080)")),
            ("/", vec!["[::1]:8080"], Ok("[::1] Some(8080)")),
            ("http://a.b/x", vec![], Err(Refusal::HostMissing)),
            ("http://a.b/x", vec!["A.B."], Ok("a.b None")),
            ("http://a.b:80/x", vec!["a.b"], Ok("a.b None")),
            ("https://a.b:443/x", vec!["a.b"], Ok("a.b None")),
            ("http://a.b/x", vec!["c.d"], Err(Refusal::HostMismatch)),
            ("http://a.b:81/x", vec!["a.b"], Err(Refusal::HostMismatch)),
            ("/", vec![], Err(Refusal::HostMissing)),
            ("/", vec![""], Err(Refusal::HostMissing)),
            ("/", vec![":80"], Err(Refusal::HostMissing)),
            ("/", vec!["a.b", "a.b"], Err(Refusal::HostRepeated)),
            ("/", vec!["a.b:x"], Err(Refusal::HostUnreadable)),
        ] {
            assert_eq!(
                host(target, &fields),
                named.map(str::to_owned),
                "{target} {fields:?}"
            );
        }
        for version in [Version::HTTP_10, Version::HTTP_2] {
            let named = host_by(version, "http://a.b/x", &[]);
            assert_eq!(named, Ok("a.b None".to_owned()), "{version:?}");
        }
        for field in ["a b", "a/b", "u@a", "a,b", "a..b", "1.2.3"] {
            let fields: &[&'static str] = &[field];
            assert!(
                matches!(host("/", fields), Err(Refusal::HostInvalid(_))),
                "{field}"
            );
        }
    }

    #[test]
    fn targets_are_what_a_url_parser_makes_of_them() {
        let target = |text: &str| {
            let uri = Uri::try_from(text.as_bytes()).expect(text);
            check_target(Version::HTTP_11, &uri).map(|uri| uri.map(|uri| uri.to_string()))
        };
        assert_eq!(target("/a//b%20c?d={e}"), Ok(None));
        assert_eq!(
            target("/\u{e9}{}?q"),
            Ok(Some("/%C3%A9%7B%7D?q".to_owned()))
        );
        assert_eq!(
            target("http://a.b/\u{e9}"),
            Ok(Some("http://a.b/%C3%A9".to_owned()))
        );
        assert_eq!(target("*"), Err(Refusal::Asterisk));
        assert!(matches!(target("/a/../b"), Err(Refusal::Path(_))));
        assert!(matches!(target("a.b:80"), Err(Refusal::Malformed(_))));
    }
}
