//! Secrets: the file says where they stand.

use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use super::at::At;
use super::fields::FromToml;
use super::problem::{Findings, Problem};
use super::scalars::text;
use crate::secret::{Secret, Source, Unreadable};

impl FromToml for Source {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let example = "write where it stands: \"env:NAME\" or \"file:PATH\"";
        let help = Some(example.to_owned());
        let typed = text(value, name, "a string", help, findings)?;
        let source = typed.parse().ok();
        if source.is_none() {
            findings.report(
                Problem::new(format!("`{name}` does not say where the secret stands"))
                    .at(value.span(), "neither env:NAME nor file:PATH")
                    .help(format!(
                        "this file is no place for the secret itself; {example}"
                    )),
            );
        }
        source
    }
}

/// Reads the secret that `typed`, the value of `name`, points at.
pub(super) fn read(
    typed: &At<Source>,
    name: &str,
    folder: &Path,
    findings: &mut Findings,
) -> Option<Secret> {
    let At { value, span } = typed;
    match value.read(folder) {
        Ok(secret) => Some(secret),
        Err(error) => {
            let (label, help) = match &error {
                Unreadable::Unset(_) => {
                    ("not set", "set it for whoever runs Holm, `holm check` too")
                }
                Unreadable::File(..) => ("not readable", "paths start at the folder of this file"),
                Unreadable::Unfit(_) => ("not a token", "`openssl rand -hex 32` makes one"),
            };
            findings.report(
                Problem::new(format!("`{name}` is of no use: {error}"))
                    .at(span.clone(), label)
                    .help(help),
            );
            None
        }
    }
}
