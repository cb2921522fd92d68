//! A function's module graph: every file it can import, read, checked and compiled.
//!
//! [`ModuleGraph::load`] starts at `main`, follows static imports and `import("literal")`
//! inside the function's folder, and gives either a graph in which every recorded import has
//! its module, or a [`GraphError`] that lists *all* problems with place, frame and fix.
//! Nothing here knows V8; isolates ask the graph by specifier and never touch the disk.
//!
//! The files are hostile input: links out of the folder are refused, sizes are bounded
//! ([`GraphLimits`]), nesting cannot overflow the compiler (`depth`), and what is printed
//! cannot steer a terminal ([`frame`]).
//!
//! What it refuses: npm packages (bundle them), `node:`, URLs, CommonJS. It does not check
//! types, and does not report early errors that V8 reports on compiling anyway.
//!
//! ```text
//! mod.rs      ModuleGraph, Module: what isolates ask
//! load.rs     the walk over the files            hash.rs    contents → version
//! resolve.rs  specifier → file, kind             hint.rs    "did you mean"
//! script.rs   parse, strip types and JSX         imports.rs what a script imports
//! compiler.rs script.rs in another process
//! depth.rs    bounds on nesting                  limits.rs  bounds on size
//! map.rs      source maps shipped with a script  stack.rs   stack traces back to the source
//! packed.rs   a graph as bytes, for other processes
//! frame.rs    code frames                        problem.rs the errors
//! ```
//!
//! ```ignore
//! let graph = ModuleGraph::load("hello/index.ts".as_ref(), "hello".as_ref(), Compiler::Here)?;
//! let main = graph.main();
//! assert_eq!(main.specifier, "file:///index.ts");
//! ```

mod attributes;
mod compiler;
mod depth;
pub mod frame;
mod hash;
mod hint;
mod imports;
mod limits;
mod load;
mod map;
mod packed;
mod problem;
mod resolve;
mod script;
pub mod stack;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::compiler::{Compiler, Elsewhere, Unanswered, answer};
pub use self::limits::{GraphLimits, Size};
pub use self::packed::{Compiled, Damaged, Packed, Part};
pub use self::problem::{GraphError, GraphProblem, ProblemKind};
use self::stack::SourceMaps;

/// What an import asks for with its `type` attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ImportType {
    /// No attribute: the extension decides.
    #[default]
    Default,
    /// `with { type: "json" }`.
    Json,
    /// `with { type: "text" }`.
    Text,
    /// `with { type: "bytes" }`.
    Bytes,
}

impl ImportType {
    /// The type of an attribute's value.
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            "bytes" => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// What a module is to its importers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum ModuleKind {
    /// JavaScript, after TypeScript and JSX were compiled away.
    Script,
    /// Valid JSON; the default export is its value.
    Json,
    /// UTF-8 text; the default export is a string.
    Text,
    /// Anything; the default export is a `Uint8Array`.
    Bytes,
    /// The default export is a `WebAssembly.Module`. Only the magic number was checked.
    Wasm,
}

/// A module's contents, as its [`ModuleKind`] wants them.
#[derive(Clone)]
pub enum Source {
    /// Of [`ModuleKind::Script`], [`ModuleKind::Json`] and [`ModuleKind::Text`]. Without byte
    /// order mark.
    Text(Text),
    /// Of [`ModuleKind::Bytes`] and [`ModuleKind::Wasm`].
    Bytes(Bytes),
}

/// Text that many share.
#[derive(Clone, Debug)]
pub enum Text {
    /// It goes with its last owner.
    Shared(Arc<str>),
    /// It stays as long as the process: it lies in memory that was mapped
    /// ([`ModuleGraph::unpack`]).
    Mapped(&'static str),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Shared(text) => text,
            Self::Mapped(text) => text,
        }
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl Source {
    /// The text, unless these are bytes.
    pub fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }

    /// The contents as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
        };
        write!(f, "{kind}({} bytes)", self.as_bytes().len())
    }
}

/// One file, imported as one kind. A file imported as two kinds is two modules.
#[derive(Clone, Debug)]
pub struct Module {
    /// `file:///` and the path below the function's folder: stable across hosts, and says
    /// nothing about the host. Not unique: see [`ModuleGraph::get_as`].
    pub specifier: String,
    /// What it is to its importers.
    pub kind: ModuleKind,
    /// What runs.
    pub source: Source,
    /// Source maps as JSON, from `source` to what was written: that of our compiler, then the one
    /// that the file ships itself. Most files have one or none.
    pub source_maps: Vec<Bytes>,
    /// The file's text for code frames, where it differs from `source`.
    original: Option<Text>,
    path: PathBuf,
    /// Specifier as written → specifier of the module.
    imports: HashMap<String, String>,
}

impl Module {
    /// The file's text as its author wrote it; nothing for bytes.
    pub fn original(&self) -> Option<&Text> {
        self.original.as_ref().or_else(|| self.source.text())
    }

    /// The file, relative to the function's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// All modules of a function. Immutable and cheap to share as `Arc<ModuleGraph>`.
#[derive(Debug)]
pub struct ModuleGraph {
    modules: Vec<Module>,
    /// Every module of a specifier, one per kind.
    index: HashMap<String, Vec<usize>>,
    version: String,
    source_maps: SourceMaps,
    files: Vec<PathBuf>,
}

impl ModuleGraph {
    /// Loads the graph of the script `main`, both paths as the process sees them, with
    /// everything it imports inside the folder `root`.
    ///
    /// Blocks on disk and compiler, on a thread of
    /// its own; call it off the I/O threads. Holds the default [`GraphLimits`].
    pub fn load(main: &Path, root: &Path, compiler: Compiler<'_>) -> Result<Self, GraphError> {
        Self::load_within(main, root, &GraphLimits::default(), compiler)
    }

    /// [`ModuleGraph::load`] with limits of one's own.
    pub fn load_within(
        main: &Path,
        root: &Path,
        limits: &GraphLimits,
        compiler: Compiler<'_>,
    ) -> Result<Self, GraphError> {
        load::load(main, root, limits, compiler)
    }

    fn new(modules: Vec<Module>, files: Vec<PathBuf>) -> Self {
        let version = hash::version(&modules);
        Self::of_version(modules, files, version)
    }

    fn of_version(modules: Vec<Module>, files: Vec<PathBuf>, version: String) -> Self {
        let mut index = HashMap::<String, Vec<usize>>::new();
        for (position, module) in modules.iter().enumerate() {
            index
                .entry(module.specifier.clone())
                .or_default()
                .push(position);
        }
        let source_maps = SourceMaps::new(&modules);
        Self {
            modules,
            index,
            version,
            source_maps,
            files,
        }
    }

    /// The module that `main` named.
    pub fn main(&self) -> &Module {
        self.modules.first().expect("loading starts with main")
    }

    /// Every module, `main` first, then in the order in which imports reach them.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The module of a specifier such as `file:///lib/a.js`, imported without attribute.
    pub fn get(&self, specifier: &str) -> Option<&Module> {
        self.get_as(specifier, ImportType::Default)
    }

    /// The module of a specifier, imported with this `type` attribute. Without attribute, a
    /// file whose extension says nothing is found if it is in the graph as one kind only.
    pub fn get_as(&self, specifier: &str, ty: ImportType) -> Option<&Module> {
        let candidates = || {
            let positions = self.index.get(specifier).map_or(&[][..], Vec::as_slice);
            positions.iter().map(|position| &self.modules[*position])
        };
        let path = &candidates().next()?.path;
        match resolve::kind_of(specifier, path, ty) {
            Ok(kind) => candidates().find(|module| module.kind == kind),
            Err(_) => {
                let mut candidates = candidates();
                candidates.next().filter(|_| candidates.next().is_none())
            }
        }
    }

    /// The module that `specifier`, as written in the module `referrer`, imports.
    ///
    /// Uses what loading recorded; a specifier computed at run time is resolved the same way
    /// and found if its file is in the graph. See [`ModuleGraph::explain`] for `None`.
    pub fn resolve(&self, specifier: &str, referrer: &str, ty: ImportType) -> Option<&Module> {
        if self.index.contains_key(specifier) {
            return self.get_as(specifier, ty);
        }
        let referrer = self.script(referrer)?;
        if let Some(target) = referrer.imports.get(specifier) {
            return self.get_as(target, ty);
        }
        let path = resolve::lexical(specifier, &referrer.path).ok()?;
        self.get_as(resolve::specifier_of(&path).as_str(), ty)
    }

    /// Why [`ModuleGraph::resolve`] found nothing, for the rejection of an `import()`.
    pub fn explain(&self, specifier: &str, referrer: &str) -> String {
        let path = self
            .script(referrer)
            .map_or(Path::new(""), |module| &module.path);
        match resolve::lexical(specifier, path) {
            Err(refusal) => match refusal.help {
                Some(help) => format!("{}; {help}", refusal.kind),
                None => refusal.kind.to_string(),
            },
            Ok(_) => format!(
                "\"{}\" is not in the function: an import() whose path is computed only finds \
                 files that are also imported by a literal path, with the same type",
                frame::printable(specifier)
            ),
        }
    }

    fn script(&self, specifier: &str) -> Option<&Module> {
        let positions = self.index.get(specifier)?;
        positions
            .iter()
            .map(|position| &self.modules[*position])
            .find(|module| module.kind == ModuleKind::Script)
    }

    /// A short hash of everything that runs: equal for equal contents, on every host.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Every file that was read, source maps included: what to watch for changes.
    pub fn watch_paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// The way from positions in running code back to positions in the author's files.
    pub fn source_maps(&self) -> &SourceMaps {
        &self.source_maps
    }
}
