//! The files beside a function.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::at::At;
use super::plan::AssetsPlan;
use super::problem::{Findings, Problem};
use super::raw::RawAssets;

/// What else is said of the function that the files are beside.
pub(super) struct Beside<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Whether it has a module.
    pub(super) has_main: bool,
    /// That module, if it is a good one.
    pub(super) main: Option<&'a Path>,
    /// The names of its variables.
    pub(super) vars: Vec<&'a str>,
    /// The configuration file, absolute.
    pub(super) origin: &'a Path,
}

impl Beside<'_> {
    /// Where paths in the configuration file start.
    fn folder(&self) -> &Path {
        self.origin.parent().unwrap_or(self.origin)
    }
}

/// What `raw` says; nothing if there are no files to be found.
pub(super) fn settle(
    raw: RawAssets,
    beside: &Beside<'_>,
    findings: &mut Findings,
) -> Option<AssetsPlan> {
    let name = beside.name;
    let key = |key: &str| format!("`functions.{name}.assets.{key}`");
    let without_main = |of: &str, span: &Range<usize>, findings: &mut Findings| {
        if !beside.has_main {
            findings.report(
                Problem::new(format!("{} is for a function with a module", key(of)))
                    .at(span.clone(), "nobody would use it")
                    .help(format!("remove it, or give `{name}` a `main`")),
            );
        }
    };
    let function_first = raw.run_worker_first.map(|At { value, span }| {
        if value {
            without_main("run_worker_first", &span, findings);
        }
        value
    });
    let binding = raw.binding.map(|At { value, span }| {
        without_main("binding", &span, findings);
        let fault = if !is_name(&value) {
            Some("a name has letters, digits and underscores, and begins with no digit")
        } else if beside.vars.contains(&value.as_str()) {
            Some("`vars` has one of that name")
        } else {
            None
        };
        if let Some(fault) = fault {
            findings.report(
                Problem::new(format!("`{value}` cannot be the name of a binding"))
                    .at(span, fault)
                    .help("usual is binding = \"ASSETS\", and env.ASSETS.fetch(request) in the function"),
            );
        }
        value
    });
    let dir = raw.dir?;
    let source = beside.folder().join(&dir.value);
    Some(AssetsPlan {
        dir: folder(&source, dir.span, beside, findings)?,
        source,
        binding,
        not_found: raw.not_found.unwrap_or_default(),
        html_handling: raw.html_handling.unwrap_or_default(),
        function_first: function_first.unwrap_or(false),
    })
}

/// The folder, absolute, links resolved.
fn folder(
    path: &Path,
    span: Range<usize>,
    beside: &Beside<'_>,
    findings: &mut Findings,
) -> Option<PathBuf> {
    let name = beside.name;
    let mut report = |what: String, label: &str, help: &str| {
        let problem = Problem::new(format!("`functions.{name}.assets.dir`: {what}"));
        findings.watch(path.to_owned());
        findings.report(problem.at(span.clone(), label).help(help));
    };
    let shown = path.display();
    let dir = match path.canonicalize() {
        Ok(dir) => dir,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = "the path is relative to the folder of this file; a build may have to make it first";
            report(format!("{shown} does not exist"), "no such folder", help);
            return None;
        }
        Err(error) => {
            let help = "check that the user who runs Holm may read it";
            report(
                format!("cannot open {shown}: {error}"),
                "cannot be read",
                help,
            );
            return None;
        }
    };
    if !dir.is_dir() {
        let help = "name the folder that it lies in";
        report(
            format!("{shown} is not a folder"),
            "a folder is needed",
            help,
        );
        return None;
    }
    let origin = beside.origin.parent().map(Path::canonicalize);
    let within = |file: &Path| file.starts_with(&dir);
    let help = "put what is for everybody into a folder of its own, such as \"public\"";
    if origin.is_some_and(|folder| folder.is_ok_and(|folder| within(&folder))) {
        let what = format!("{shown} has this file in it");
        report(what, "everybody could read the configuration", help);
        return None;
    }
    if beside.main.is_some_and(within) {
        let what = format!("{shown} has the function's module in it");
        report(what, "everybody could read the code", help);
        return None;
    }
    Some(dir)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name != "__proto__"
        && bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
