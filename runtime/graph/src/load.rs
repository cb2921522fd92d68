//! The walk over a function's files. A queue, not recursion: import chains can be long.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compiler::Compiler;
use super::frame::{CodeFrame, Position};
use super::imports::Import;
use super::limits::{GraphLimits, Size};
use super::problem::{GraphError, GraphProblem, ProblemKind};
use super::resolve::{self, Refusal};
use super::script::Language;
use super::{ImportType, Module, ModuleGraph, ModuleKind, Source, attributes, depth, hint, map};

/// Problems that are listed; a wrong folder can cause thousands.
const PROBLEMS_SHOWN: usize = 50;

/// See [`ModuleGraph::load`].
pub(super) fn load(
    main: &Path,
    root: &Path,
    limits: &GraphLimits,
    compiler: Compiler<'_>,
) -> Result<ModuleGraph, GraphError> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("holm-graph".into())
            .stack_size(depth::STACK)
            .spawn_scoped(scope, || Loader::new(root, limits, compiler)?.run(main))
            .map_err(|source| alone(ProblemKind::Thread { source }, None))?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// An error of one problem, from before any file was read.
fn alone(kind: ProblemKind, help: Option<String>) -> GraphError {
    GraphError {
        problems: vec![GraphProblem {
            kind,
            frame: None,
            help,
        }],
        files: Vec::new(),
        more: 0,
    }
}

struct Loader<'a> {
    /// Canonical, so that a prefix test tells inside from outside.
    root: PathBuf,
    limits: &'a GraphLimits,
    compiler: Compiler<'a>,
    found: Vec<Found>,
    by_file: HashMap<(PathBuf, ModuleKind), usize>,
    queue: VecDeque<usize>,
    files: BTreeSet<PathBuf>,
    bytes: u64,
    /// What further source maps may have.
    maps: Size,
    problems: Vec<GraphProblem>,
    more: usize,
    /// A limit of the whole function is broken: report that once and stop.
    full: bool,
}

/// A module that some import reached, read or still in the queue.
struct Found {
    /// Canonical.
    file: PathBuf,
    /// Below the root.
    path: PathBuf,
    kind: ModuleKind,
    module: Option<Module>,
}

impl<'a> Loader<'a> {
    fn new(
        root: &Path,
        limits: &'a GraphLimits,
        compiler: Compiler<'a>,
    ) -> Result<Self, GraphError> {
        let canonical = root.canonicalize().map_err(|source| {
            let file = root.display().to_string();
            alone(ProblemKind::Unreadable { file, source }, None)
        })?;
        Ok(Self {
            root: canonical,
            limits,
            compiler,
            found: Vec::new(),
            by_file: HashMap::new(),
            queue: VecDeque::new(),
            files: BTreeSet::new(),
            bytes: 0,
            maps: limits.source_maps,
            problems: Vec::new(),
            more: 0,
            full: false,
        })
    }

    fn run(mut self, main: &Path) -> Result<ModuleGraph, GraphError> {
        match self.main(main) {
            Ok(file) => {
                self.reach(file, ModuleKind::Script);
            }
            Err(refusal) => {
                self.files.insert(main.to_path_buf());
                self.report(refusal.kind, None, refusal.help);
            }
        }
        while let Some(next) = self.queue.pop_front() {
            if self.full {
                break;
            }
            if let Some(module) = self.read(next) {
                self.found[next].module = Some(module);
            }
        }
        let files: Vec<_> = self.files.into_iter().collect();
        if self.problems.is_empty() {
            let modules = self
                .found
                .into_iter()
                .map(|found| found.module.expect("no problem was reported"))
                .collect();
            return Ok(ModuleGraph::new(modules, files));
        }
        Err(GraphError {
            problems: self.problems,
            files,
            more: self.more,
        })
    }

    /// The canonical file of `main`.
    fn main(&self, main: &Path) -> Result<PathBuf, Box<Refusal>> {
        let shown = main.display().to_string();
        let real = match main.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Box::new(Refusal {
                    help: hint::did_you_mean(&shown, main),
                    kind: ProblemKind::NoMain { file: shown },
                }));
            }
            Err(source) => {
                return Err(Box::new(Refusal {
                    kind: ProblemKind::Unreadable {
                        file: shown,
                        source,
                    },
                    help: None,
                }));
            }
        };
        let Ok(path) = real.strip_prefix(&self.root) else {
            return Err(Box::new(Refusal {
                help: Some(format!("the folder is {}", self.root.display())),
                kind: ProblemKind::OutsideRoot {
                    specifier: shown,
                    link: false,
                },
            }));
        };
        let file = resolve::locate(&shown, path, &self.root)?;
        match resolve::kind_of(&shown, &file, ImportType::Default)? {
            ModuleKind::Script => Ok(file),
            ModuleKind::Json | ModuleKind::Text | ModuleKind::Bytes | ModuleKind::Wasm => {
                Err(Box::new(Refusal {
                    kind: ProblemKind::UnknownKind { specifier: shown },
                    help: Some("`main` is a script: .js, .mjs, .jsx, .ts, .mts or .tsx".into()),
                }))
            }
        }
    }

    /// The number of a module, queued if it is new; nothing when the function is full.
    fn reach(&mut self, file: PathBuf, kind: ModuleKind) -> Option<usize> {
        if let Some(known) = self.by_file.get(&(file.clone(), kind)) {
            return Some(*known);
        }
        if self.found.len() >= self.limits.modules {
            let limit = self.limits.modules;
            self.fill(ProblemKind::TooManyModules { limit });
            return None;
        }
        let path = file
            .strip_prefix(&self.root)
            .expect("locate() refuses files outside the root")
            .to_path_buf();
        let number = self.found.len();
        self.by_file.insert((file.clone(), kind), number);
        self.files.insert(file.clone());
        self.queue.push_back(number);
        self.found.push(Found {
            file,
            path,
            kind,
            module: None,
        });
        Some(number)
    }

    /// Reads, checks and compiles one module; reports and gives nothing when it is bad.
    fn read(&mut self, number: usize) -> Option<Module> {
        let Found {
            file, path, kind, ..
        } = &self.found[number];
        let (file, path, kind) = (file.clone(), path.clone(), *kind);
        let contents = self.contents(&file, &path, kind)?;
        let mut module = Module {
            specifier: resolve::specifier_of(&path).into(),
            kind,
            source: Source::Bytes(bytes::Bytes::new()),
            source_maps: Vec::new(),
            original: None,
            path,
            imports: HashMap::new(),
        };
        match kind {
            ModuleKind::Bytes => module.source = Source::Bytes(contents.into()),
            ModuleKind::Wasm => {
                if !contents.starts_with(b"\0asm") {
                    let file = shown(&module.path);
                    let help = "compile it with a WebAssembly target; text format (.wat) must \
                                be assembled first";
                    self.report(ProblemKind::NotWasm { file }, None, Some(help.into()));
                    return None;
                }
                module.source = Source::Bytes(contents.into());
            }
            ModuleKind::Text | ModuleKind::Json | ModuleKind::Script => {
                let text = self.text(contents, &module.path)?;
                module.source = Source::Text(text.clone().into());
                if kind == ModuleKind::Json {
                    self.check_json(&text, &module.path)?;
                }
                if kind == ModuleKind::Script {
                    self.compile(&mut module, &text)?;
                }
            }
        }
        Some(module)
    }

    /// The bytes of a file, within the limits.
    fn contents(&mut self, file: &Path, path: &Path, kind: ModuleKind) -> Option<Vec<u8>> {
        let (what, limit) = match kind {
            ModuleKind::Script => ("script", self.limits.script),
            ModuleKind::Wasm => ("WebAssembly module", self.limits.wasm),
            ModuleKind::Json | ModuleKind::Text | ModuleKind::Bytes => {
                ("file", self.limits.function)
            }
        };
        let mut contents = Vec::new();
        // One byte more than allowed tells "too large" from "just fits".
        let read =
            File::open(file).and_then(|handle| handle.take(limit.0 + 1).read_to_end(&mut contents));
        if let Err(source) = read {
            let file = shown(path);
            self.report(ProblemKind::Unreadable { file, source }, None, None);
            return None;
        }
        if contents.len() as u64 > limit.0 {
            let file = shown(path);
            let kind = ProblemKind::FileTooLarge { file, what, limit };
            self.report(kind, None, Some(too_large(what).into()));
            return None;
        }
        self.bytes += contents.len() as u64;
        if self.bytes > self.limits.function.0 {
            let limit: Size = self.limits.function;
            self.fill(ProblemKind::FunctionTooLarge { limit });
            return None;
        }
        Some(contents)
    }

    /// Text without its byte order mark.
    fn text(&mut self, contents: Vec<u8>, path: &Path) -> Option<Arc<str>> {
        match String::from_utf8(contents) {
            Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(&text).into()),
            Err(error) => {
                let offset = error.utf8_error().valid_up_to();
                let file = shown(path);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let frame = frame(path, &text, offset..offset + 1);
                let help = "save the file as UTF-8, or import it with { type: \"bytes\" }";
                let kind = ProblemKind::NotUtf8 { file, offset };
                self.report(kind, Some(frame), Some(help.into()));
                None
            }
        }
    }

    fn check_json(&mut self, text: &Arc<str>, path: &Path) -> Option<()> {
        // Skips values without recursion, so depth is no concern here.
        let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else {
            return Some(());
        };
        // serde_json counts columns in bytes, and lines by LF.
        let line_start: usize = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum();
        let offset = line_start + error.column().saturating_sub(1);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let kind = ProblemKind::Json {
            message: message.to_owned(),
        };
        let help = "JSON has no comments, no trailing commas and no single quotes";
        let frame = frame(path, text, offset..offset + 1);
        self.report(kind, Some(frame), Some(help.into()));
        None
    }

    fn compile(&mut self, module: &mut Module, text: &Arc<str>) -> Option<()> {
        let name = shown(&module.path);
        let language = Language::of(&resolve::extension(&module.path))
            .expect("only files of these extensions become scripts");
        let specifier = resolve::specifier_of(&module.path);
        let compiled = match self.compiler.compile(text, language, &specifier, &name) {
            Ok(compiled) => compiled,
            Err(faults) => {
                for fault in faults {
                    let frame = fault.place.map(|place| frame(&module.path, text, place));
                    self.report(fault.kind.into(), frame, fault.help);
                }
                return None;
            }
        };
        let as_written = compiled.emitted.is_none();
        let mut source = None;
        if let Some((code, source_map)) = compiled.emitted {
            source = Some(code);
            module.original = Some(text.clone().into());
            module
                .source_maps
                .extend(source_map.map(|json| json.into_bytes().into()));
        }
        if let Some(map) = map::shipped(text, &module.path, &self.root, self.maps) {
            self.files.extend(map.file);
            self.maps.0 = self.maps.0.saturating_sub(map.json.len() as u64);
            module.source_maps.push(map.json.into());
        }
        // The compiler leaves comments where they are.
        let source = map::without_inline(source.as_deref().unwrap_or(text)).or(source);
        if let Some(source) = source {
            module.source = Source::Text(Arc::<str>::from(source).into());
        }
        for import in &compiled.imports {
            if let Err((refusal, place)) = self.follow(import, module, text, as_written) {
                let place = place.or_else(|| import.place.clone());
                let frame = frame(&module.path, text, place.unwrap_or(0..1));
                self.report(refusal.kind, Some(frame), refusal.help);
            }
        }
        Some(())
    }

    /// Queues what `import` names, and records it in `module`. `as_written` says that V8 will
    /// read the text itself, and so only the syntax it knows.
    fn follow(
        &mut self,
        import: &Import,
        module: &mut Module,
        text: &str,
        as_written: bool,
    ) -> Result<(), (Box<Refusal>, Option<Range<usize>>)> {
        let specifier = &import.specifier;
        let ty = attributes::type_of(import, text, as_written)?;
        let outcome = resolve::lexical(specifier, &module.path)
            .and_then(|path| self.locate(import, &path))
            .and_then(|file| Ok((resolve::kind_of(specifier, &file, ty)?, file)));
        match outcome {
            Ok((kind, file)) => {
                if let Some(number) = self.reach(file, kind) {
                    let target = resolve::specifier_of(&self.found[number].path);
                    module.imports.insert(specifier.clone(), target.into());
                }
                Ok(())
            }
            Err(refusal) if import.dynamic && refusal.is_foreign() => Ok(()),
            Err(refusal) => Err((refusal, None)),
        }
    }

    fn locate(&mut self, import: &Import, path: &Path) -> Result<PathBuf, Box<Refusal>> {
        let specifier = &import.specifier;
        let located = resolve::locate(specifier, path, &self.root);
        let refusal = match located {
            Ok(file) => {
                // Where a link leads may change.
                let wanted = self.root.join(path);
                if wanted != file {
                    self.files.insert(wanted);
                }
                return Ok(file);
            }
            Err(refusal) => refusal,
        };
        if import.place.is_none() {
            // The JSX transform writes `./folder/jsx-runtime`, and nobody can add `.js` to it.
            for extension in ["js", "ts", "mjs", "mts", "jsx", "tsx"] {
                let path = path.with_extension(extension);
                if let Ok(file) = resolve::locate(specifier, &path, &self.root) {
                    return Ok(file);
                }
            }
        }
        self.files.insert(self.root.join(path));
        Err(refusal)
    }

    fn fill(&mut self, kind: ProblemKind) {
        if !self.full {
            self.full = true;
            let help = "serve large or many files from storage instead of importing them";
            self.report(kind, None, Some(help.into()));
        }
    }

    fn report(&mut self, kind: ProblemKind, frame: Option<CodeFrame>, help: Option<String>) {
        if self.problems.len() < PROBLEMS_SHOWN {
            self.problems.push(GraphProblem { kind, frame, help });
        } else {
            self.more += 1;
        }
    }
}

fn too_large(what: &str) -> &'static str {
    match what {
        "script" => "minify it, or move data out of it into a file imported as text or bytes",
        "WebAssembly module" => "strip debug information (wasm-strip, wasm-opt -Oz)",
        _ => "serve large files from storage instead of importing them",
    }
}

fn shown(path: &Path) -> String {
    super::frame::printable(&path.display().to_string())
}

fn frame(path: &Path, text: &str, place: Range<usize>) -> CodeFrame {
    let position = Position::of(text, place.start);
    let marked = text.get(place).unwrap_or_default();
    let marked = marked.split(['\n', '\r']).next().unwrap_or_default();
    CodeFrame::new(
        shown(path),
        text,
        position,
        marked.chars().map(char::len_utf16).sum(),
    )
}
