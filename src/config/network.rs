//! Addresses: where the node listens, and what functions may reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use toml::Spanned;
use toml::de::DeValue;

use super::at::List;
use super::fields::FromToml;
use super::problem::{Findings, Problem};
use super::raw::Egress;
use super::scalars::text;
use crate::admin::Address;
use crate::egress::{Allow, Network, NotANetwork};

impl FromToml for SocketAddr {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let example = "an address and a port: \"127.0.0.1:8080\" for this machine only, \
                       \"0.0.0.0:8080\" for everyone";
        let help = Some(example.to_owned());
        let typed = text(value, name, "an address and port in quotes", help, findings)?;
        let address = typed.parse().ok();
        if address.is_none() {
            let fix = match likely_address(typed) {
                Some(address) => format!("did you mean \"{address}\"?"),
                None => format!("write {example}"),
            };
            findings.report(
                Problem::new(format!("`{name}` is not an address to listen on"))
                    .at(value.span(), "not IP:PORT")
                    .help(fix),
            );
        }
        address
    }
}

impl FromToml for Address {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let example = "\"127.0.0.1:9090\" for this machine only, or a socket in a folder of \
                       Holm's own: \"unix:/run/holm/admin.sock\"";
        let help = Some(format!("write {example}"));
        let typed = text(
            value,
            name,
            "an address or a socket in quotes",
            help,
            findings,
        )?;
        let address = typed.parse::<Self>().ok();
        match &address {
            None => {
                let fix = match likely_address(typed) {
                    Some(address) => format!("did you mean \"{address}\"?"),
                    None if typed.starts_with('/') => format!("did you mean \"unix:{typed}\"?"),
                    None => format!("write {example}"),
                };
                findings.report(
                    Problem::new(format!("`{name}` is not an address to listen on"))
                        .at(value.span(), "not IP:PORT and not unix:PATH")
                        .help(fix),
                );
            }
            Some(address) if !address.fits() => findings.report(
                Problem::new(format!("the path of `{name}` is too long"))
                    .at(value.span(), "the system takes 107 bytes at most")
                    .help("choose a folder nearer to the root, such as /run/holm"),
            ),
            Some(_) => {}
        }
        address
    }
}

/// The address that was meant by `8080`, `:8080`, `localhost:8080`, `127.0.0.1` or a URL.
fn likely_address(typed: &str) -> Option<SocketAddr> {
    let bare = typed.trim();
    let bare = bare.split_once("://").map_or(bare, |(_, rest)| rest);
    let bare = bare.trim_end_matches('/');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, 8080));
    }
    if let Ok(port) = bare.parse() {
        return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let (host, port) = bare.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let ip = match host {
        "" | "*" => Ipv4Addr::UNSPECIFIED.into(),
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        _ => host.parse().ok()?,
    };
    Some(SocketAddr::new(ip, port))
}

/// One item of `egress.allow`.
enum Reach {
    Everything,
    Network(Network),
}

impl FromToml for Reach {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let typed = text(value, name, "an array of strings", None, findings)?;
        if typed == "*" {
            return Some(Self::Everything);
        }
        let help = "write an address or a network, or \"*\" for every address";
        network(typed, value, help, findings).map(Self::Network)
    }
}

impl FromToml for Network {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let typed = text(value, name, "an array of strings", None, findings)?;
        let help = if typed == "*" {
            "write an address or a network; \"0.0.0.0/0\" and \"::/0\" are all of them"
        } else {
            "write an address or a network"
        };
        network(typed, value, help, findings)
    }
}

fn network(
    typed: &str,
    value: &Spanned<DeValue<'_>>,
    help: &str,
    findings: &mut Findings,
) -> Option<Network> {
    match typed.parse() {
        Ok(network) => Some(network),
        Err(fault) => {
            let fault: NotANetwork = fault;
            findings.report(
                Problem::new(fault.to_string())
                    .at(value.span(), "not a network")
                    .help(help),
            );
            None
        }
    }
}

impl FromToml for Egress {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let list: List<Reach> = FromToml::from_toml(value, name, findings)?;
        let networks = list.items.into_iter().map(|at| match at.value {
            Reach::Everything => None,
            Reach::Network(network) => Some(network),
        });
        let allow = match networks.collect() {
            Some(and) => Allow::Public { and },
            None => Allow::Everything,
        };
        Some(Self(allow))
    }
}
