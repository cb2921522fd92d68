//! From a specifier to a file inside the function's folder.
//!
//! Two steps, so that the first can also be taken at run time without touching the disk:
//! [`lexical`] computes the path that a specifier means, [`locate`] finds the file there and
//! refuses what leads out of the folder.

use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;
use url::Url;

use super::hint;
use super::problem::ProblemKind;
use super::script::Language;
use super::{ImportType, ModuleKind};

/// Characters of a specifier that a message repeats; a `data:` URL can be a megabyte.
const SHOWN_CHARACTERS: usize = 80;

/// A specifier that cannot be imported, and what to do instead.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: ProblemKind,
    pub(super) help: Option<String>,
}

impl Refusal {
    fn new(kind: ProblemKind, help: impl Into<Option<String>>) -> Box<Self> {
        Box::new(Self {
            kind,
            help: help.into(),
        })
    }

    /// Whether the specifier names no file at all, so that `import()` of it is the program's
    /// own affair: libraries probe for `node:crypto` that way and catch the rejection.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(
            self.kind,
            ProblemKind::Package { .. } | ProblemKind::Scheme { .. }
        )
    }
}

/// The path, relative to the root, that `specifier` means in the file `referrer`.
pub(super) fn lexical(specifier: &str, referrer: &Path) -> Result<PathBuf, Box<Refusal>> {
    let shown: String = specifier.chars().take(SHOWN_CHARACTERS).collect();
    let from = referrer.display().to_string();
    let relative = ["./", "../"].iter().any(|lead| specifier.starts_with(lead));
    if !relative && !specifier.starts_with('/') {
        if matches!(specifier, "." | "..") {
            return Err(Refusal::new(folder(&shown), None));
        }
        return Err(match scheme(specifier) {
            Some(scheme) => Refusal::new(
                ProblemKind::Scheme {
                    scheme: scheme.to_owned(),
                    specifier: shown,
                },
                hint::scheme(scheme, specifier, &from),
            ),
            None => Refusal::new(
                ProblemKind::Package { specifier: shown },
                hint::package(specifier, &from),
            ),
        });
    }
    let (path, query) = specifier.split_at(specifier.find(['?', '#']).unwrap_or(specifier.len()));
    // Bundlers for Workers write `./x.wasm?module`.
    let is_known = query.is_empty() || (query == "?module" && path.ends_with(".wasm"));
    if !is_known {
        let help = format!("write \"{path}\"");
        return Err(Refusal::new(ProblemKind::Query { specifier: shown }, help));
    }
    let mut walked = PathBuf::new();
    if relative {
        walked.extend(referrer.parent());
    }
    for segment in path.split('/') {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        match &*decoded {
            "" | "." => {}
            ".." if !walked.pop() => {
                let kind = ProblemKind::OutsideRoot {
                    specifier: shown,
                    link: false,
                };
                return Err(Refusal::new(kind, OUTSIDE.to_owned()));
            }
            ".." => {}
            name if name.contains(['/', '\0']) => {
                return Err(Refusal::new(
                    ProblemKind::NotFound { specifier: shown },
                    None,
                ));
            }
            name => walked.push(name),
        }
    }
    if path.ends_with('/') {
        return Err(Refusal::new(folder(&shown), None));
    }
    Ok(walked)
}

const OUTSIDE: &str = "copy the file into the function's folder";

fn folder(specifier: &str) -> ProblemKind {
    ProblemKind::NotAFile {
        specifier: specifier.to_owned(),
        what: "a folder",
    }
}

/// The scheme of a URL, with its colon.
fn scheme(specifier: &str) -> Option<&str> {
    let end = specifier.find(':')?;
    let name = &specifier[..end];
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    valid.then(|| &specifier[..=end])
}

/// The file at `path` below `root`, with symbolic links resolved. `root` is canonical.
pub(super) fn locate(specifier: &str, path: &Path, root: &Path) -> Result<PathBuf, Box<Refusal>> {
    let wanted = root.join(path);
    let shown = || specifier.chars().take(SHOWN_CHARACTERS).collect::<String>();
    let real = match wanted.canonicalize() {
        Ok(real) => real,
        Err(error) if is_absent(&error) => {
            // A link that dangles may tell what exists outside, so it is not followed further.
            return Err(Refusal::new(
                ProblemKind::NotFound { specifier: shown() },
                hint::did_you_mean(specifier, &wanted),
            ));
        }
        Err(source) => {
            return Err(Refusal::new(
                ProblemKind::Unreadable {
                    file: path.display().to_string(),
                    source,
                },
                None,
            ));
        }
    };
    if !real.starts_with(root) {
        let kind = ProblemKind::OutsideRoot {
            specifier: shown(),
            link: true,
        };
        return Err(Refusal::new(kind, OUTSIDE.to_owned()));
    }
    let what = match real.metadata() {
        Ok(metadata) if metadata.is_file() => return Ok(real),
        Ok(metadata) if metadata.is_dir() => "a folder",
        // Opening a pipe would wait for its other end for ever.
        Ok(_) => "a device, pipe or socket",
        Err(source) => {
            let file = path.display().to_string();
            return Err(Refusal::new(ProblemKind::Unreadable { file, source }, None));
        }
    };
    let help = hint::index_of(specifier, &real).or_else(|| hint::did_you_mean(specifier, &wanted));
    let kind = ProblemKind::NotAFile {
        specifier: shown(),
        what,
    };
    Err(Refusal::new(kind, help))
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// The specifier of a file: `file:///` and its path below the root, percent-encoded.
pub(super) fn specifier_of(path: &Path) -> Url {
    let mut rooted = PathBuf::from("/");
    rooted.extend(
        path.components()
            .filter(|part| matches!(part, Component::Normal(_))),
    );
    Url::from_file_path(&rooted).expect("the path was made absolute above")
}

/// How to import the file at `path`: by attribute, else by extension.
pub(super) fn kind_of(
    specifier: &str,
    path: &Path,
    ty: ImportType,
) -> Result<ModuleKind, Box<Refusal>> {
    match ty {
        ImportType::Json => return Ok(ModuleKind::Json),
        ImportType::Text => return Ok(ModuleKind::Text),
        ImportType::Bytes => return Ok(ModuleKind::Bytes),
        ImportType::Default => {}
    }
    let extension = extension(path);
    if Language::of(&extension).is_some() {
        return Ok(ModuleKind::Script);
    }
    match &*extension {
        "json" => Ok(ModuleKind::Json),
        "txt" | "html" | "md" | "sql" => Ok(ModuleKind::Text),
        "bin" => Ok(ModuleKind::Bytes),
        "wasm" => Ok(ModuleKind::Wasm),
        "cjs" | "cts" => Err(Refusal::new(
            ProblemKind::CommonJs {
                what: specifier.to_owned(),
            },
            hint::COMMON_JS.to_owned(),
        )),
        _ => Err(Refusal::new(
            ProblemKind::UnknownKind {
                specifier: specifier.to_owned(),
            },
            hint::unknown_kind(specifier),
        )),
    }
}

/// The extension in lower case, without its dot; empty when there is none.
pub(super) fn extension(path: &Path) -> String {
    path.extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default()
}
