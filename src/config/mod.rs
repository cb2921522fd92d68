//! Configuration: from one TOML file to a plan that holds.
//!
//! Two stages, each consuming the last: [`raw`] is the file as typed, [`Plan`] is everything
//! decided. Both run to the end and report into one list, so that an operator sees every problem
//! at once, each with its line, its column and its remedy. A plan is only ever had whole.
//!
//! - [`raw`]: which keys there are and of what type; the source of `holm schema`. Those of limits
//!   are made from the table in `holm_model::limits`
//! - [`fields`]: reading them, table by table; [`scalars`], [`network`], [`route`], [`vars`]: value
//!   by value
//! - [`settle`]: raw → plan; with [`limits`], [`main_file`], [`admin`], [`access`], [`assets`], [`tls`] and [`acme`]; [`secret`]: what the file only points at
//! - [`plan`]: what the rest of the program works with
//! - [`single`]: a plan without a file, for `holm dev PATH`; [`local`]: what `holm dev` adds to any
//! - [`mod@explain`]: which route takes a URL, and why
//! - [`problem`]: what is wrong, where, and what to do
//!
//! ```ignore
//! let plan = config::load(Path::new("holm.toml"))?;
//! println!("{} functions", plan.functions.len());
//! ```

mod access;
mod acme;
mod admin;
mod assets;
mod at;
mod explain;
mod fields;
#[cfg(fuzzing)]
pub mod fuzz;
mod limits;
mod local;
mod local_ca;
mod main_file;
mod network;
mod plan;
mod problem;
mod proxies;
mod raw;
mod route;
mod scalars;
mod schema;
mod secret;
mod server;
mod settle;
mod single;
mod spelling;
mod tls;
mod vars;
mod wrap;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use self::problem::{Findings, Problem};
use self::raw::RawConfig;

pub(crate) use self::acme::{AcmePlan, Authority};
pub(crate) use self::explain::ExplainError;
pub(crate) use self::explain::explain;
pub(crate) use self::explain::notes;
pub(crate) use self::local_ca::{LocalCa, LocalCaError};
pub(crate) use self::main_file::is_module;
pub(crate) use self::plan::{
    AdminPlan, AssetsPlan, FunctionPlan, HtmlHandling, LogFormat, LogRequests, MainFile, NotFound,
    Plan, Secure,
};
pub(crate) use self::problem::Problems;
pub(crate) use self::raw::AcmeChallenge;
pub(crate) use self::schema::schema;
pub(crate) use self::tls::TlsPlan;

/// Longest configuration file, in bytes. A thousand functions take some 200 KiB; what is much
/// longer is another file, or a device that never ends.
const MAX_FILE: u64 = 16 << 20;

/// Syntax errors that are shown. Those after the first few mostly follow from them.
const MAX_SYNTAX_ERRORS: usize = 5;

/// Reads the file at `path` and checks it. Touches no network and runs no function.
///
/// # Errors
/// Everything that is wrong with the file, at once.
pub(crate) fn load(path: &Path) -> Result<Plan, Problems> {
    let source = read(path).map_err(|problem| Problems::without_place(path, problem))?;
    parse(&source, path)
}

/// The admin listener that the file at `path` names, whatever else is wrong with it.
///
/// # Errors
/// What is wrong with the file as far as this goes.
pub(crate) fn admin_of(path: &Path) -> Result<Option<AdminPlan>, Problems> {
    let source = read(path).map_err(|problem| Problems::without_place(path, problem))?;
    let mut findings = Findings::new(path, &source);
    let (document, errors) = DeTable::parse_recoverable(&source);
    if !errors.is_empty() {
        syntax(errors, &mut findings);
        return Err(findings.into_problems());
    }
    let server = RawConfig::read(&document, &mut findings).server;
    let server = server.unwrap_or_default();
    let is_typed = document
        .get_ref()
        .get("server")
        .and_then(|server| server.get_ref().as_table())
        .is_some_and(|server| server.contains_key("admin"));
    if is_typed && server.admin.is_none() {
        return Err(findings.into_problems());
    }
    let mut findings = Findings::new(path, &source);
    let origin = absolute(path);
    let folder = origin.parent().unwrap_or(&origin);
    let plan = admin::settle(&server, folder, &mut findings);
    if findings.any() {
        return Err(findings.into_problems());
    }
    Ok(plan)
}

/// Checks the text of a configuration file that stands, or would stand, at `path`.
///
/// # Errors
/// Everything that is wrong with the text, at once.
pub(crate) fn parse(source: &str, path: &Path) -> Result<Plan, Problems> {
    let mut findings = Findings::new(path, source);
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        // What the parser makes of a broken file would only give rise to problems that are none.
        syntax(errors, &mut findings);
        return Err(findings.into_problems());
    }
    let raw = RawConfig::read(&document, &mut findings);
    let plan = settle::settle(raw, absolute(path), &mut findings);
    if findings.any() {
        return Err(findings.into_problems());
    }
    Ok(plan)
}

fn read(path: &Path) -> Result<String, Problem> {
    let shown = path.display();
    let failed = |error: io::Error| {
        let problem = Problem::new(format!("cannot read {shown}: {error}"));
        match error.kind() {
            io::ErrorKind::NotFound => Problem::new(format!("{shown} does not exist"))
                .help("`holm new NAME` makes a first function and a file for it"),
            io::ErrorKind::PermissionDenied => {
                problem.help("check that the user who runs Holm may read it")
            }
            io::ErrorKind::IsADirectory => Problem::new(format!("{shown} is a folder"))
                .help("name the TOML file in it; a folder of functions is served by `holm dev`"),
            _ => problem,
        }
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(
            Problem::new(format!("{shown} is longer than 16MiB")).help("is it the right file?")
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1;
        Problem::new(format!(
            "{shown} is not UTF-8 text: line {line}, byte {at} of the file"
        ))
        .help("save it as UTF-8; TOML knows no other encoding")
    })
}

fn syntax(mut errors: Vec<toml::de::Error>, findings: &mut Findings) {
    let text = findings.text().to_owned();
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(start);
    // The parser goes on behind a fault: on the same line, and with the same words on the next
    // ones, it mostly sees what follows from the first.
    let mut before: Option<(usize, String)> = None;
    errors.retain(|error| {
        let line = text[..start(error).min(text.len())].matches('\n').count();
        let message = error.message().to_owned();
        let follows = before
            .as_ref()
            .is_some_and(|(last, words)| line == *last || (line == last + 1 && message == *words));
        before = Some((line, message));
        !follows
    });
    let hidden = errors.len().saturating_sub(MAX_SYNTAX_ERRORS);
    errors.truncate(MAX_SYNTAX_ERRORS);
    let last = errors.len().saturating_sub(1);
    for (index, error) in errors.into_iter().enumerate() {
        let more = (index == last && hidden > 0)
            .then(|| format!("{hidden} further lines have errors, which may follow from these"));
        findings.report(
            Problem::new("this is not TOML")
                .at(error.span().unwrap_or(0..0), error.message())
                .maybe_help(more),
        );
    }
}

fn absolute(path: &Path) -> PathBuf {
    // Fails for an empty path, or without a current folder; then relative paths stay so.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
