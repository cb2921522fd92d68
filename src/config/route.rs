//! Routes: the router's patterns, with the faulty byte of a bad one pointed at.

use std::ops::Range;

use holm_router::pattern::Pattern;
use toml::Spanned;
use toml::de::DeValue;

use super::fields::FromToml;
use super::problem::{Findings, Problem};
use super::scalars::text;

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
