//! `holm new NAME`: a function to start from.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::Failure;
use super::print;

const SCRIPT: &str = r#"// A Holm function. `request` is a web standard Request; return a Response.
// `env` holds the vars of holm.toml; `ctx.waitUntil(promise)` lets work outlive the response.
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    return new Response(`${env.GREETING} from ${url.hostname}${url.pathname}\n`);
  },
};
"#;

/// Why a function to start from cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewError {
    /// No name for a function.
    #[error(
        "{0:?} cannot be a function's name: it becomes a hostname, so use up to 63 of a-z, 0-9 and -"
    )]
    Name(String),
    /// Something has that name.
    #[error("{0} is there already; nothing was changed")]
    Exists(String),
    /// Its folder cannot be made.
    #[error("cannot make the folder {0}: {1}")]
    Folder(String, #[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {path}: {1}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
}

/// Writes `name/index.js` and `name/holm.toml`.
pub(crate) fn run(name: &str) -> Result<(), Failure> {
    let sound = !name.is_empty()
        && name.len() <= 63
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !sound {
        return Err(NewError::Name(name.to_owned()).into());
    }
    let folder = Path::new(name);
    fs::create_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => NewError::Exists(name.to_owned()),
        _ => NewError::Folder(name.to_owned(), error),
    })?;
    let config = format!(
        "version = 1\n\n[functions.{name}]\nmain = \"index.js\"\nroutes = [\"{name}.localhost\"]\nvars = {{ GREETING = \"Hello\" }}\n"
    );
    write(&folder.join("index.js"), SCRIPT)?;
    write(&folder.join("holm.toml"), &config)?;
    print::out(&format!(
        "Wrote {name}/index.js and {name}/holm.toml. Now:\n\n  holm serve {name}/holm.toml\n\nand open http://{name}.localhost:8080/\n"
    ))
}

fn write(path: &Path, text: &str) -> Result<(), NewError> {
    fs::write(path, text).map_err(|error| NewError::File(path.to_owned(), error))
}
