//! What a client can undo (RFC 9110, 12.5.3).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// A content coding that answers are sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Coding {
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// All of them; among those that a client likes as much as each other, the first is taken.
    const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in `content-encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The one that a client likes best, unless it would rather have none.
    pub(in crate::app) fn wanted(headers: &HeaderMap) -> Option<Self> {
        // In thousandths. What is named twice counts once, as it was named last.
        let (mut codings, mut identity, mut any) = ([None; 3], None, None);
        let values = headers.get_all(ACCEPT_ENCODING).iter();
        let items = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        for item in items {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1000, thousandths);
            if name == "*" {
                any = Some(weight);
            } else if name.eq_ignore_ascii_case("identity") {
                identity = Some(weight);
            } else {
                let name = match name {
                    "x-gzip" => "gzip",
                    _ => name,
                };
                for (coding, known) in Self::ALL.into_iter().zip(&mut codings) {
                    if coding.name().eq_ignore_ascii_case(name) {
                        *known = Some(weight);
                    }
                }
            }
        }
        let mut best = None;
        let mut least = identity.unwrap_or(0).max(1);
        for (coding, weight) in Self::ALL.into_iter().zip(codings) {
            let weight = weight.or(any).unwrap_or(0);
            if weight > least || weight == least && best.is_none() {
                (best, least) = (Some(coding), weight);
            }
        }
        best
    }
}

/// A weight (RFC 9110, 12.4.2) in thousandths; none at all if it is no weight.
fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return 0;
    }
    let part = format!("{part:0<3}").parse().unwrap_or(0);
    match whole {
        "0" => part,
        "1" if part == 0 => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_client_chooses() {
        for (accepts, wanted) in [
            (None, None),
            (Some(""), None),
            (Some("identity"), None),
            (Some("gzip"), Some("gzip")),
            (Some("x-gzip"), Some("gzip")),
            (Some("gzip, deflate, br"), Some("br")),
            (Some("gzip, deflate, br, zstd"), Some("zstd")),
            (Some("GZIP;q=0.9, Br;Q=0.8"), Some("gzip")),
            (Some("br;q=0.801, gzip;q=0.8"), Some("br")),
            (Some("*"), Some("zstd")),
            (Some("*;q=0.5, zstd;q=0, br;q=0.1"), Some("gzip")),
            (Some("gzip;q=0"), None),
            (Some("gzip;q=0.5, identity"), None),
            (Some("gzip;q=0.5, identity;q=0.5"), Some("gzip")),
            (Some("gzip;q=nonsense"), None),
            (Some("gzip;q=1.001, br;q=1.000"), Some("br")),
            (Some("deflate"), None),
        ] {
            let headers = accepts
                .map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value)))
                .into_iter()
                .collect();
            let found = Coding::wanted(&headers).map(Coding::name);
            assert_eq!(found, wanted, "{accepts:?}");
        }
    }
}
