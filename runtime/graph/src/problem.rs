//! What can be wrong with a function's files: the place, the sentence, and the fix.

use std::fmt;
use std::path::{Path, PathBuf};

use super::frame::CodeFrame;
use super::limits::Size;
use holm_model::visible::visible;

/// Loading a module graph failed. Lists every problem found, not only the first.
#[derive(Debug)]
pub struct GraphError {
    pub(super) problems: Vec<GraphProblem>,
    pub(super) files: Vec<PathBuf>,
    pub(super) more: usize,
}

impl GraphError {
    /// The problems, in the order in which the imports were followed; at least one.
    pub fn problems(&self) -> &[GraphProblem] {
        &self.problems
    }

    /// The files that were read or looked for: what to watch for the fix.
    pub fn watch_paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }
}

impl std::error::Error for GraphError {}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "\n\n… and {} more", self.more)?;
        }
        Ok(())
    }
}

/// One thing that is wrong, where, and what to do about it. `Display` is fit for a terminal: parsers
/// quote the file as it stands, and imports are anything at all.
#[derive(Debug, thiserror::Error)]
#[error("{}{}{}", visible(&.kind.to_string()), Below(.frame), Help(.help))]
pub struct GraphProblem {
    /// What is wrong. Its `Display` is one sentence.
    pub kind: ProblemKind,
    /// The place, when the problem has one.
    pub frame: Option<CodeFrame>,
    /// What to do about it.
    pub help: Option<String>,
}

/// The sentence of a [`GraphProblem`], as data. Files are relative to the function's root.
#[derive(Debug, thiserror::Error)]
pub enum ProblemKind {
    /// The operating system would not let us read a file, or the function's own folder.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why not.
        source: std::io::Error,
    },
    /// `main` does not exist.
    #[error("main {file} does not exist")]
    NoMain {
        /// The path as it was given.
        file: String,
    },
    /// An import names a file that is not there.
    #[error("cannot find \"{specifier}\"")]
    NotFound {
        /// The specifier as written.
        specifier: String,
    },
    /// An import (or `main`) names a folder, a socket, a pipe.
    #[error("\"{specifier}\" is {what}, not a file")]
    NotAFile {
        /// The specifier as written.
        specifier: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A file outside the function's folder, by `..` or by a symbolic link.
    #[error("\"{specifier}\" lies outside the function's folder{}", via(.link))]
    OutsideRoot {
        /// The specifier as written.
        specifier: String,
        /// Whether a symbolic link leads out.
        link: bool,
    },
    /// `import "hono"`.
    #[error("cannot import the package \"{specifier}\": Holm reads files, not node_modules")]
    Package {
        /// The specifier as written.
        specifier: String,
    },
    /// `import "node:fs"`, `"https://…"`, `"data:…"`.
    #[error("cannot import \"{specifier}\": {scheme} imports are not supported")]
    Scheme {
        /// The specifier as written, shortened when long.
        specifier: String,
        /// The scheme with its colon.
        scheme: String,
    },
    /// `import "./x.js?v=1"`.
    #[error("cannot import \"{specifier}\": a file has no query or fragment")]
    Query {
        /// The specifier as written.
        specifier: String,
    },
    /// The extension says nothing about how to import the file.
    #[error("do not know how to import \"{specifier}\"")]
    UnknownKind {
        /// The specifier as written.
        specifier: String,
    },
    /// `with { type: "css" }`, `with { foo: "bar" }`.
    #[error("unknown import attribute {attribute}")]
    Attribute {
        /// The attribute as written.
        attribute: String,
    },
    /// `assert { type: "json" }`, which V8 no longer reads.
    #[error("import assertions were replaced by import attributes")]
    Assertion,
    /// CommonJS, by extension or by TypeScript's `import x = require()`.
    #[error("{what} is CommonJS; a function is an ES module")]
    CommonJs {
        /// The file or construct.
        what: String,
    },
    /// The file does not parse.
    #[error("syntax error: {message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// The file is nested deeper than a compiler's stack should have to go.
    #[error("{file} is nested too deeply to compile")]
    TooDeep {
        /// The file.
        file: String,
    },
    /// Parsing backtracks without end.
    #[error("{file} takes too long to parse")]
    TooComplex {
        /// The file.
        file: String,
    },
    /// TypeScript that has no JavaScript equivalent, or a bug of the compiler.
    #[error("cannot compile {file}: {message}")]
    Compiler {
        /// The file.
        file: String,
        /// The compiler's words.
        message: String,
    },
    /// A `.json` file that is not JSON.
    #[error("invalid JSON: {message}")]
    Json {
        /// The parser's words.
        message: String,
    },
    /// Text that is not UTF-8.
    #[error("{file} is not UTF-8 (first invalid byte at offset {offset})")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Bytes of valid text before it.
        offset: usize,
    },
    /// A `.wasm` file without the magic number.
    #[error("{file} is not a WebAssembly module")]
    NotWasm {
        /// The file.
        file: String,
    },
    /// One file is too big.
    #[error("{file} is larger than {limit}, the most a {what} may have")]
    FileTooLarge {
        /// The file.
        file: String,
        /// What kind of file it is.
        what: &'static str,
        /// The limit it broke.
        limit: Size,
    },
    /// All files together are too big.
    #[error("the function's files together are larger than {limit}")]
    FunctionTooLarge {
        /// The limit.
        limit: Size,
    },
    /// More modules than a function may have.
    #[error("the function has more than {limit} modules")]
    TooManyModules {
        /// The limit.
        limit: usize,
    },
    /// The thread that loads could not be made.
    #[error("cannot start the thread that loads modules: {source}")]
    Thread {
        /// Why not.
        source: std::io::Error,
    },
}

fn via(link: &bool) -> &'static str {
    if *link {
        " (through a symbolic link)"
    } else {
        ""
    }
}

struct Below<'a>(&'a Option<CodeFrame>);

impl fmt::Display for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |frame| write!(f, "\n{frame}"))
    }
}

struct Help<'a>(&'a Option<String>);

impl fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_ref()
            .map_or(Ok(()), |help| write!(f, "\nhelp: {}", visible(help)))
    }
}
