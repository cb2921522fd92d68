//! Values that stand in one place of the file: strings, numbers, addresses, limits, routes.
//!
//! Each is parsed here, once, into the type that the program uses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::str::FromStr;

use holm_router::pattern::Pattern;
use holm_runtime::limits::{
    BodyBytes, CpuTime, HeapBytes, Isolates, LogBytes, QueueSlots, Subrequests, UnitError, WallTime,
};
use toml::Spanned;
use toml::de::DeValue;

use super::at::{At, List};
use super::fields::{FromToml, wrong_type};
use super::problem::{Findings, Problem};
use super::raw::{Egress, LogFormat};
use super::spelling;
use crate::egress::{Allow, Network, NotANetwork};

impl<T: FromToml> FromToml for At<T> {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let span = value.span();
        T::from_toml(value, name, findings).map(|value| Self { value, span })
    }
}

impl<T: FromToml> FromToml for List<T> {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let Some(array) = value.get_ref().as_array() else {
            let problem = wrong_type(value, name, "an array");
            let written = findings.text().get(value.span()).unwrap_or_default();
            let fix = value
                .get_ref()
                .is_str()
                .then(|| format!("put it in brackets: [{written}]"));
            findings.report(problem.maybe_help(fix));
            return None;
        };
        let items: Vec<At<T>> = array
            .iter()
            .filter_map(|item| FromToml::from_toml(item, name, findings))
            .collect();
        Some(Self {
            flawed: items.len() < array.len(),
            items,
            span: value.span(),
        })
    }
}

impl FromToml for String {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        text(value, name, "a string", None, findings).map(str::to_owned)
    }
}

impl FromToml for u32 {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let Some(integer) = value.get_ref().as_integer() else {
            let problem = wrong_type(value, name, "a whole number");
            let bare = value.get_ref().as_str().map(|text| text.replace('_', ""));
            let fix = bare
                .filter(|text| text.parse::<u32>().is_ok())
                .map(|text| format!("write it without quotes: {text}"));
            findings.report(problem.maybe_help(fix));
            return None;
        };
        let number = Self::from_str_radix(integer.as_str(), integer.radix()).ok();
        if number.is_none() {
            findings.report(
                Problem::new(format!("`{name}` is out of range"))
                    .at(value.span(), "not from 0 to 4294967295"),
            );
        }
        number
    }
}

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

impl FromToml for LogFormat {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let words = Self::ALL.map(Self::word);
        let typed = text(value, name, "a string", None, findings)?;
        let format = Self::ALL.into_iter().find(|format| format.word() == typed);
        if format.is_none() {
            let all = format!("known: {}", spelling::listed(&words));
            let help = match spelling::did_you_mean(typed, words) {
                Some(meant) => format!("{meant} {all}"),
                None => all,
            };
            findings.report(
                Problem::new(format!("`{name}` is not a format of the log"))
                    .at(value.span(), "unknown")
                    .help(help),
            );
        }
        format
    }
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
        match typed.parse() {
            Ok(network) => Some(Self::Network(network)),
            Err(fault) => {
                let fault: NotANetwork = fault;
                findings.report(
                    Problem::new(fault.to_string())
                        .at(value.span(), "not a network")
                        .help("write an address or a network, or \"*\" for every address"),
                );
                None
            }
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

impl FromToml for Pattern {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let typed = text(value, name, "an array of strings", None, findings)?;
        match Self::parse(typed) {
            Ok(pattern) => Some(pattern),
            Err(fault) => {
                let end = typed[fault.at..].chars().next().map_or(0, char::len_utf8);
                let part = fault.at..fault.at + end;
                let span = within(findings.text(), value.span(), typed, part);
                let fix = fault.fix.map(|fix| format!("did you mean \"{fix}\"?"));
                let message = if typed.is_empty() {
                    format!("`{name}` has an empty route")
                } else {
                    format!("`{typed}` is not a route")
                };
                findings.report(
                    Problem::new(message)
                        .at(span, fault.fault.to_string())
                        .maybe_help(fix),
                );
                None
            }
        }
    }
}

/// Limits that are written with a unit.
macro_rules! with_unit {
    ($($quantity:ty: $what:literal, $example:literal;)*) => {$(
        impl FromToml for $quantity {
            fn from_toml(
                value: &Spanned<DeValue<'_>>,
                name: &str,
                findings: &mut Findings,
            ) -> Option<Self> {
                quantity(value, name, $what, $example, findings)
            }
        }
    )*};
}

with_unit! {
    CpuTime: "a duration in quotes", "50ms";
    WallTime: "a duration in quotes", "30s";
    HeapBytes: "a size in quotes", "128MiB";
    BodyBytes: "a size in quotes", "100MiB";
    LogBytes: "a size in quotes", "64KiB";
}

/// Limits that are counts.
macro_rules! counted {
    ($($count:ty),*) => {$(
        impl FromToml for $count {
            fn from_toml(
                value: &Spanned<DeValue<'_>>,
                name: &str,
                findings: &mut Findings,
            ) -> Option<Self> {
                u32::from_toml(value, name, findings).map(Self::new)
            }
        }
    )*};
}

counted!(Subrequests, QueueSlots, Isolates);

fn quantity<T: FromStr<Err = UnitError>>(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    what: &str,
    example: &str,
    findings: &mut Findings,
) -> Option<T> {
    let bare;
    let typed = match value.get_ref() {
        // `cpu = 50`: the unit is missing, not only the quotes.
        DeValue::Integer(integer) => {
            bare = integer.to_string();
            bare.as_str()
        }
        DeValue::Float(float) => float.as_str(),
        _ => {
            let help = Some(format!("write it like \"{example}\""));
            text(value, name, what, help, findings)?
        }
    };
    match typed.parse() {
        Ok(quantity) => Some(quantity),
        Err(fault) => {
            findings.report(
                Problem::new(format!("`{name}` must be {what}"))
                    .at(value.span(), fault.to_string())
                    .help(fault.fix()),
            );
            None
        }
    }
}

fn text<'v>(
    value: &'v Spanned<DeValue<'_>>,
    name: &str,
    expected: &str,
    help: Option<String>,
    findings: &mut Findings,
) -> Option<&'v str> {
    let text = value.get_ref().as_str();
    if text.is_none() {
        findings.report(wrong_type(value, name, expected).maybe_help(help));
    }
    text
}

/// Where `part` of a decoded string stands in the file.
///
/// Exact when the string is written without escapes, on one line; otherwise the whole string.
fn within(file: &str, span: Range<usize>, decoded: &str, part: Range<usize>) -> Range<usize> {
    let quoted = file.get(span.clone()).unwrap_or_default();
    let inner = quoted.get(1..quoted.len().saturating_sub(1));
    if inner != Some(decoded) {
        return span;
    }
    let first = span.start + 1;
    first + part.start..first + part.end
}
