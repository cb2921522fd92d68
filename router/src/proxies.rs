//! What is known of a client, and whom the edge believes about it.
//!
//! The other end of a connection is the client, unless its address is one of the operator's proxies
//! ([`Proxies::trusted`]): then what the proxy says in the fields that it is known to set
//! ([`ProxyField`]) counts. A field that a proxy hands on without setting it is the client's own
//! word, so which ones are set is the operator's to say, and all others are taken out.
//!
//! Whoever answers finds these fields in a request, always set here and never by a client:
//!
//! | field | |
//! |---|---|
//! | `x-forwarded-for` | the client's address, one |
//! | `x-forwarded-proto` | `http` or `https`, as the client asked |
//! | `holm-tls-version`, `holm-tls-sni`, `holm-tls-alpn` | of the client's TLS, if it ends at this node |
//!
//! - `list`: the values of the fields; `protocol`: the PROXY protocol

mod list;
mod protocol;

use std::net::IpAddr;
use std::sync::Arc;

use holm_model::client::{Client, ClientTls};
use http::header::FORWARDED;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::edge::Origin;
use list::Hop;
#[cfg(fuzzing)]
pub use protocol::fuzz_header;
pub(crate) use protocol::{Preface, read_preface};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TLS_VERSION: HeaderName = HeaderName::from_static("holm-tls-version");
const TLS_SNI: HeaderName = HeaderName::from_static("holm-tls-sni");
const TLS_ALPN: HeaderName = HeaderName::from_static("holm-tls-alpn");

/// A field in which a proxy says for whom it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyField {
    /// `X-Forwarded-For`: addresses, the client's first, each proxy's behind it.
    For,
    /// `X-Forwarded-Proto`: `http` or `https`.
    Proto,
    /// `X-Forwarded-Host`: the host that the client asked for, where `Host` is another.
    Host,
    /// `Forwarded` (RFC 7239): all three.
    Forwarded,
}

/// The proxies in front of the edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they are. Nobody else is believed.
    pub trusted: Vec<IpNet>,
    /// The fields that they set or remove, whatever the client sent.
    pub fields: Vec<ProxyField>,
}

impl Proxies {
    /// There are none.
    pub const NONE: Self = Self {
        trusted: Vec::new(),
        fields: Vec::new(),
    };

    /// Whether what comes from `address` is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|net| net.contains(&address))
    }
}

/// Whether a proxy stands between the client and the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// Not one that is known of.
    Direct,
    /// One that is trusted.
    Proxy {
        /// It said which scheme the client used. If not, the scheme is that of the connection.
        is_scheme_known: bool,
    },
}

/// What is known of the sender of one request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) client: Arc<Client>,
    /// As the client asked.
    pub(crate) scheme: Scheme,
    pub(crate) via: Via,
    /// The authority that the client asked for, where a proxy says that it is not the one in `Host`.
    pub(crate) host: Option<HeaderValue>,
}

/// What is known of the other end of a connection, ready to be put into its requests.
#[derive(Debug)]
pub(crate) struct Peer {
    seen: Seen,
    is_trusted: bool,
    address: HeaderValue,
    tls: Vec<(HeaderName, HeaderValue)>,
}

impl Peer {
    pub(crate) fn new(origin: &Origin, proxies: &Proxies) -> Self {
        let address = origin.peer.ip().to_canonical();
        let tls = origin.tls.as_deref().map(|tls| ClientTls {
            version: tls.version.as_str(),
            sni: tls.sni.as_ref().map(|sni| sni.as_str().into()),
            alpn: tls.alpn.map(|alpn| alpn.as_str()),
        });
        let fields = tls.iter().flat_map(|tls| {
            let sni = tls.sni.as_deref();
            [
                (TLS_VERSION, Some(tls.version)),
                (TLS_SNI, sni),
                (TLS_ALPN, tls.alpn),
            ]
        });
        let fields = fields.filter_map(|(name, value)| {
            let value = HeaderValue::from_str(value?).ok()?;
            Some((name, value))
        });
        Self {
            is_trusted: proxies.trusts(address),
            address: value_of(address),
            tls: fields.collect(),
            seen: Seen {
                client: Arc::new(Client { address, tls }),
                scheme: origin.scheme.clone(),
                via: Via::Direct,
                host: None,
            },
        }
    }

    /// Whether its word counts.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// As long as nothing is said of another.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes out of a request what it says of its sender, puts in what is known, and returns it.
    pub(crate) fn settle(&self, proxies: &Proxies, headers: &mut HeaderMap) -> Seen {
        let seen = if self.is_trusted {
            self.believed(proxies, headers)
        } else {
            None
        };
        if headers.keys().any(is_about_the_client) {
            let names: Vec<HeaderName> = headers
                .keys()
                .filter(|name| is_about_the_client(name))
                .cloned()
                .collect();
            for name in names {
                headers.remove(name);
            }
        }
        let seen = match seen {
            None => {
                headers.insert(FOR, self.address.clone());
                for (name, value) in &self.tls {
                    headers.insert(name.clone(), value.clone());
                }
                self.seen.clone()
            }
            Some(seen) => {
                headers.insert(FOR, value_of(seen.client.address));
                seen
            }
        };
        let proto = if seen.scheme == Scheme::HTTPS {
            HeaderValue::from_static("https")
        } else {
            HeaderValue::from_static("http")
        };
        headers.insert(PROTO, proto);
        seen
    }

    /// What a trusted proxy says, if it says anything.
    fn believed(&self, proxies: &Proxies, headers: &HeaderMap) -> Option<Seen> {
        let values = |field, name| {
            let is_set = proxies.fields.contains(&field);
            let values = is_set.then(|| headers.get_all(name).iter());
            values.into_iter().flatten()
        };
        let mut hops = list::forwarded(values(ProxyField::Forwarded, FORWARDED));
        if hops.is_empty() {
            hops = list::addresses(values(ProxyField::For, FOR));
        }
        let said = list::hop(&hops, |address| proxies.trusts(address));
        let Hop {
            address,
            mut scheme,
            mut host,
        } = said.unwrap_or_default();
        if let Some(proto) = list::last(values(ProxyField::Proto, PROTO)) {
            scheme = list::scheme(&proto);
        }
        if let Some(last) = list::last(values(ProxyField::Host, HOST)) {
            host = Some(last);
        }
        if address.is_none() && scheme.is_none() && host.is_none() {
            return None;
        }
        let is_scheme_known = scheme.is_some();
        let address = address.unwrap_or(self.seen.client.address);
        Some(Seen {
            client: Arc::new(Client { address, tls: None }),
            scheme: scheme.unwrap_or_else(|| self.seen.scheme.clone()),
            via: Via::Proxy { is_scheme_known },
            host: host.and_then(|host| HeaderValue::from_maybe_shared(host).ok()),
        })
    }
}

fn value_of(address: IpAddr) -> HeaderValue {
    HeaderValue::try_from(address.to_string()).expect("digits, letters, dots and colons")
}

/// Fields in which proxies, and the edge itself, speak of the client.
fn is_about_the_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes().first() {
        Some(b'x') => name.starts_with("x-forwarded") || name == "x-real-ip",
        Some(b'f') => name == "forwarded",
        Some(b'h') => name.starts_with("holm-"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1:1";
    const CLIENT: &str = "192.0.2.7:1";

    fn settled(
        peer: &str,
        fields: &[ProxyField],
        sent: &[(&'static str, &'static str)],
    ) -> (String, HeaderMap) {
        let proxies = Proxies {
            trusted: vec!["10.0.0.0/8".parse().expect("a network")],
            fields: fields.to_vec(),
        };
        let origin = Origin::http(peer.parse().expect("an address"));
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let seen = Peer::new(&origin, &proxies).settle(&proxies, &mut headers);
        let host = seen.host.map(|host| format!("{host:?}"));
        let host = host.unwrap_or_default();
        let said = format!("{} {} {host}", seen.client.address, seen.scheme);
        (said.trim_end().to_owned(), headers)
    }

    #[test]
    fn nobody_else_is_believed() {
        let all = [
            ("forwarded", "for=1.1.1.1;proto=https;host=evil.test"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "1.1.1.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "1.1.1.1"),
            ("holm-tls-version", "TLSv1.3"),
            ("x-other", "stays"),
        ];
        let fields = [
            ProxyField::For,
            ProxyField::Proto,
            ProxyField::Host,
            ProxyField::Forwarded,
        ];
        for peer in [CLIENT, "[::ffff:192.0.2.7]:1"] {
            let (said, headers) = settled(peer, &fields, &all);
            assert_eq!(said, "192.0.2.7 http");
            assert_eq!(headers.len(), 3, "{headers:?}");
            assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
            assert_eq!(headers["x-forwarded-proto"], "http");
            assert_eq!(headers["x-other"], "stays");
        }
        // Nor is a proxy, about what it does not set.
        let (said, headers) = settled(PROXY, &[ProxyField::For], &all);
        assert_eq!(said, "1.1.1.2 http");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[test]
    fn the_client_is_the_last_one_that_no_proxy_of_ours_is() {
        let set = [ProxyField::For, ProxyField::Proto];
        for (sent, said) in [
            ("1.1.1.1", "1.1.1.1 http"),
            ("1.1.1.1, 2.2.2.2", "2.2.2.2 http"),
            ("1.1.1.1,2.2.2.2 , 10.9.9.9", "2.2.2.2 http"),
            ("2001:db8::1", "2001:db8::1 http"),
            ("[2001:db8::1]:80, ::ffff:10.1.1.1", "2001:db8::1 http"),
            ("10.1.1.1, 10.1.1.2", "10.1.1.1 http"),
            // What is no address hides what is before it.
            ("1.1.1.1, unknown, 10.1.1.2", "10.1.1.2 http"),
            ("1.1.1.1, nonsense", "10.0.0.1 http"),
        ] {
            assert_eq!(settled(PROXY, &set, &[("x-forwarded-for", sent)]).0, said);
        }
        let (said, _) = settled(
            PROXY,
            &set,
            &[
                ("x-forwarded-proto", "http"),
                ("x-forwarded-proto", "http, HTTPS"),
            ],
        );
        assert_eq!(said, "10.0.0.1 https");
        assert_eq!(settled(PROXY, &set, &[]).0, "10.0.0.1 http");
    }

    #[test]
    fn forwarded_says_all_of_the_same_hop() {
        let set = [ProxyField::Forwarded];
        for (sent, said) in [
            (
                "for=1.1.1.1;proto=https;host=evil.test, For=\"2.2.2.2:80\";Proto=HTTP;host=\"a.test:81\"",
                "2.2.2.2 http \"a.test:81\"",
            ),
            (
                "for=\"[2001:db8::1]\";proto=https, for=10.1.1.1;proto=http",
                "2001:db8::1 https",
            ),
            ("for=_hidden;proto=https", "10.0.0.1 https"),
            ("for=\"2.2.2.2, 3.3.3.3", "10.0.0.1 http"),
            ("for=1.1.1.1,", "1.1.1.1 http"),
        ] {
            assert_eq!(
                settled(PROXY, &set, &[("forwarded", sent)]).0,
                said,
                "{sent}"
            );
        }
    }
}
