//! The case format: what a `case.toml` may say. README.md explains it to whoever writes one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::world::name_of;

/// One case, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What must hold. Required: a case without a reason cannot be judged when it fails.
    #[serde(rename = "about")]
    _about: String,
    /// Why the current build fails it, if it does.
    pub(crate) not_yet: Option<String>,
    /// More keys of the function's own table.
    #[serde(default)]
    pub(crate) function: toml::Table,
    /// Further functions.
    #[serde(default)]
    pub(crate) functions: BTreeMap<String, toml::Table>,
    /// More of the configuration file; such a case is served alone.
    pub(crate) config: Option<toml::Table>,
    /// Requests, in order.
    #[serde(default, rename = "step")]
    pub(crate) steps: Vec<Step>,
    /// Runs of the program, in order.
    #[serde(default, rename = "run")]
    pub(crate) runs: Vec<Run>,
    /// What must hold around a hostile function.
    #[serde(default)]
    pub(crate) hostile: Hostile,
}

/// One request and what must come back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) host: Option<String>,
    pub(crate) method: Option<String>,
    #[serde(default = "root_path")]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Texts>,
    pub(crate) body: Option<String>,
    pub(crate) body_json: Option<serde_json::Value>,
    pub(crate) body_hex: Option<String>,
    pub(crate) body_size: Option<u64>,
    #[serde(default)]
    pub(crate) version: HttpVersion,
    #[serde(default)]
    pub(crate) expect: Expect,
}

/// What must come back for one request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) status_in: Vec<u16>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, HeaderRule>,
    #[serde(default)]
    pub(crate) headers_contain: BTreeMap<String, String>,
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) body_contains: Vec<String>,
    #[serde(default)]
    pub(crate) body_lacks: Vec<String>,
    pub(crate) body_json: Option<serde_json::Value>,
    pub(crate) body_size: Option<usize>,
    #[serde(default)]
    pub(crate) aborted: bool,
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) outcome_in: Vec<String>,
    pub(crate) logs: Option<Vec<(String, String)>>,
    #[serde(default)]
    pub(crate) logs_contain: Vec<String>,
    #[serde(default)]
    pub(crate) logs_lack: Vec<String>,
    #[serde(default)]
    pub(crate) record: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub(crate) record_contain: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) record_form: BTreeMap<String, Form>,
}

/// What a field of a record looks like, where its value is different each time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// A whole number, not below zero.
    Count,
    /// A whole number above zero.
    Positive,
    /// The id of a request: 16 small letters and digits.
    Id,
    /// RFC 3339, in UTC, to the microsecond.
    Time,
    /// A hash of modules, and perhaps one of variables: `32 hex digits[-8 hex digits]`.
    Version,
}

/// One run of the program and what it must leave behind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) exit: i32,
    #[serde(default)]
    pub(crate) stdout_contains: Vec<String>,
    #[serde(default)]
    pub(crate) stdout_lacks: Vec<String>,
    #[serde(default)]
    pub(crate) stderr_contains: Vec<String>,
    #[serde(default)]
    pub(crate) stderr_lacks: Vec<String>,
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
    #[serde(default)]
    pub(crate) stdout_json: bool,
    #[serde(default)]
    pub(crate) exists: Vec<String>,
}

/// Bounds around a hostile function. Generous: they tell a mechanism that works from one that does
/// not, on a debug build and a busy machine. The figures to be proud of are in `benches/`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Hostile {
    /// The longest that any answer may take, in milliseconds.
    pub(crate) within_ms: u64,
    /// How far the memory of all the server's processes may grow while the case runs, in MiB.
    pub(crate) growth_mib: u64,
    /// What one process of the function may hold, in MiB; nothing is asked if it is absent.
    pub(crate) cell_mib: Option<u64>,
    /// How long a process of the function may still compute after the last answer, in milliseconds.
    pub(crate) rest_ms: u64,
}

/// What a header must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum HeaderRule {
    /// There with any value, or absent.
    Present(bool),
    /// There with these values and no other, in this order.
    Is(Texts),
}

/// One text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

/// The version of HTTP a step speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum HttpVersion {
    #[default]
    #[serde(rename = "1.1")]
    Http1,
    #[serde(rename = "2")]
    Http2,
}

/// A case file where it lies.
#[derive(Clone, Debug)]
pub(crate) struct CaseFile {
    /// Name of the case: that of its folder.
    pub(crate) name: String,
    /// Folder of the case.
    pub(crate) folder: PathBuf,
    /// The file itself.
    pub(crate) path: PathBuf,
    text: String,
}

impl Default for Hostile {
    fn default() -> Self {
        Self {
            within_ms: 5_000,
            growth_mib: 512,
            cell_mib: None,
            rest_ms: 100,
        }
    }
}

impl Form {
    /// Whether this is such a value. What is absent is none.
    pub(crate) fn is_of(self, value: &serde_json::Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        let is_hex = |text: &str, length| {
            let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            text.len() == length && text.bytes().all(digit)
        };
        match self {
            Self::Count => value.is_u64(),
            Self::Positive => value.as_u64().is_some_and(|number| number > 0),
            Self::Id => {
                let letter = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
                text.len() == 16 && text.bytes().all(letter)
            }
            Self::Time => {
                let digits = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
                text.bytes().map(digits).eq(*b"0000-00-00T00:00:00.000000Z")
            }
            Self::Version => match text.split_once('-') {
                Some((modules, vars)) => is_hex(modules, 32) && is_hex(vars, 8),
                None => is_hex(text, 32),
            },
        }
    }
}

impl Texts {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        }
        .iter()
        .map(String::as_str)
    }
}

impl CaseFile {
    /// Reads `FILE` in the folder of a case.
    pub(crate) fn read(folder: &Path, file: &str) -> anyhow::Result<Self> {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            name: name_of(folder)?.to_owned(),
            folder: folder.to_owned(),
            path,
            text,
        })
    }

    /// The case, with `${NAME}` replaced.
    pub(crate) fn case(&self, names: &[(&str, String)]) -> anyhow::Result<Case> {
        let mut text = self.text.clone();
        for (name, value) in names {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        toml::from_str(&text).with_context(|| format!("in {}", self.path.display()))
    }

    /// The function's main module, if the case has one.
    pub(crate) fn main(&self) -> anyhow::Result<&'static str> {
        match ["worker.js", "worker.ts"]
            .into_iter()
            .find(|name| self.folder.join(name).exists())
        {
            Some(name) => Ok(name),
            None => bail!(
                "{} has neither worker.js nor worker.ts",
                self.folder.display()
            ),
        }
    }
}

fn root_path() -> String {
    "/".to_owned()
}
