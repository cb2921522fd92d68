//! Values that stand in one place of the file: strings, numbers, limits, words.
//!
//! Each is parsed here, once, into the type that the program uses; of those that limits have, the
//! schema is here as well. Addresses are in
//! [`network`](super::network), routes in [`route`](super::route).

use std::str::FromStr;

use holm_model::limits::{
    BodyBytes, CpuTime, HeapBytes, Isolates, Limit, LogBytes, NodeBytes, QueueSlots,
    RequestsServed, Subrequests, UnitError, WallTime, WebSockets,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeValue;

use super::at::{At, List};
use super::fields::{FromToml, wrong_type};
use super::problem::{Findings, Problem};
use super::raw::{
    AcmeChallenge, HtmlHandling, Listener, LogFormat, LogRequests, NotFound, ProxyHeader, Sandbox,
};
use super::schema::{self, InSchema};
use super::spelling;

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

impl FromToml for bool {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let typed = value.get_ref().as_bool();
        if typed.is_none() {
            let problem = wrong_type(value, name, "true or false");
            let bare = value.get_ref().as_str();
            let fix = bare
                .filter(|text| matches!(*text, "true" | "false"))
                .map(|text| format!("write it without quotes: {text}"));
            findings.report(problem.maybe_help(fix));
        }
        typed
    }
}

impl FromToml for u32 {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        whole_number(value, name, "a whole number", findings)
    }
}

/// A whole number, or a problem that says what else there could be.
fn whole_number(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    expected: &str,
    findings: &mut Findings,
) -> Option<u32> {
    let Some(integer) = value.get_ref().as_integer() else {
        let problem = wrong_type(value, name, expected);
        let bare = value.get_ref().as_str().map(|text| text.replace('_', ""));
        let fix = bare
            .filter(|text| text.parse::<u32>().is_ok())
            .map(|text| format!("write it without quotes: {text}"));
        findings.report(problem.maybe_help(fix));
        return None;
    };
    let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
    if number.is_none() {
        findings.report(
            Problem::new(format!("`{name}` is out of range"))
                .at(value.span(), "not from 0 to 4294967295"),
        );
    }
    number
}

/// Values that are one of a few words.
macro_rules! one_of {
    ($($words:ty: $what:literal;)*) => {$(
        impl FromToml for $words {
            fn from_toml(
                value: &Spanned<DeValue<'_>>,
                name: &str,
                findings: &mut Findings,
            ) -> Option<Self> {
                let typed = text(value, name, "a string", None, findings)?;
                let words = Self::ALL.map(Self::word);
                let found = Self::ALL.into_iter().find(|one| one.word() == typed);
                if found.is_none() {
                    let problem = Problem::new(format!("`{name}` is not {}", $what));
                    unknown_word(problem, value, typed, &words, findings);
                }
                found
            }
        }
    )*};
}

one_of! {
    HtmlHandling: "a way with the addresses of pages";
    NotFound: "an answer for what is not there";
    LogFormat: "a format of the log";
    LogRequests: "a choice of requests";
    Sandbox: "a kind of sandbox";
    AcmeChallenge: "a kind of challenge";
    ProxyHeader: "a field in which proxies speak of clients";
    Listener: "a listener";
}

fn unknown_word(
    problem: Problem,
    value: &Spanned<DeValue<'_>>,
    typed: &str,
    words: &[&'static str],
    findings: &mut Findings,
) {
    let all = format!("known: {}", spelling::listed(words));
    let help = match spelling::did_you_mean(typed, words.iter().copied()) {
        Some(meant) => format!("{meant} {all}"),
        None => all,
    };
    findings.report(problem.at(value.span(), "unknown").help(help));
}

/// Limits that are written with a unit: how the schema shows them, what they are called, and an
/// example of each.
macro_rules! with_unit {
    ($($form:ident, $what:literal: { $($quantity:ty: $example:literal,)* })*) => {$($(
        impl FromToml for $quantity {
            fn from_toml(
                value: &Spanned<DeValue<'_>>,
                name: &str,
                findings: &mut Findings,
            ) -> Option<Self> {
                quantity(value, name, $what, $example, findings)
            }
        }

        impl InSchema for $quantity {
            fn form(_: &Limit<Self>, generator: &mut SchemaGenerator) -> Schema {
                schema::$form::json_schema(generator)
            }
        }
    )*)*};
}

with_unit! {
    Time, "a duration in quotes": {
        CpuTime: "50ms",
        WallTime: "30s",
    }
    Size, "a size in quotes": {
        HeapBytes: "128MiB",
        NodeBytes: "4GiB",
        BodyBytes: "100MiB",
        LogBytes: "64KiB",
    }
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

        impl InSchema for $count {
            fn form(row: &Limit<Self>, generator: &mut SchemaGenerator) -> Schema {
                let mut form = u32::json_schema(generator);
                form.insert("minimum".to_owned(), row.floor.as_u32().into());
                form.insert("maximum".to_owned(), row.ceiling.as_u32().into());
                form
            }
        }
    )*};
}

counted!(Subrequests, QueueSlots, Isolates, WebSockets);

impl FromToml for RequestsServed {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        if value.get_ref().as_str() == Some(Self::UNLIMITED_WORD) {
            return Some(Self::UNLIMITED);
        }
        let expected = format!("a whole number, or \"{}\"", Self::UNLIMITED_WORD);
        whole_number(value, name, &expected, findings).map(Self::new)
    }
}

impl InSchema for RequestsServed {
    fn form(row: &Limit<Self>, _: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": row.floor.bound() },
                { "const": Self::UNLIMITED_WORD },
            ],
        })
    }
}

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

/// The text of a string, or a problem.
pub(super) fn text<'v>(
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
