//! Behaviour of module graphs on real folders.

mod frames;
mod fuzz;
mod hostile;
mod languages;
mod packed;
mod problems;
mod resolving;
mod stacks;

use std::path::Path;

use tempfile::TempDir;

use super::{Compiler, GraphError, GraphLimits, ModuleGraph, Size};

/// A function's folder that is gone after the test.
struct Folder(TempDir);

impl Folder {
    /// A folder with these files.
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().expect("the test machine has a temporary folder"));
        for (path, text) in files {
            folder.write(path, text.as_bytes());
        }
        folder
    }

    fn write(&self, path: &str, contents: &[u8]) {
        let file = self.path().join(path);
        let parent = file.parent().expect("a file below the folder has a parent");
        std::fs::create_dir_all(parent).expect("the temporary folder is writable");
        std::fs::write(file, contents).expect("the temporary folder is writable");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn try_load(&self, main: &str) -> Result<ModuleGraph, GraphError> {
        ModuleGraph::load(&self.path().join(main), self.path(), Compiler::Here)
    }

    fn load(&self, main: &str) -> ModuleGraph {
        match self.try_load(main) {
            Ok(graph) => graph,
            Err(error) => panic!("{error}"),
        }
    }

    /// The whole message of a load that must fail, with the folder's name taken out.
    fn message(&self, main: &str) -> String {
        let error = self.try_load(main).expect_err("the load must fail");
        assert!(!error.problems().is_empty());
        let canonical = self.path().canonicalize().expect("the folder exists");
        error
            .to_string()
            .replace(&format!("{}/", self.path().display()), "")
            .replace(&canonical.display().to_string(), "<root>")
    }
}

/// Loads one file.
fn one(name: &str, text: &str) -> ModuleGraph {
    Folder::with(&[(name, text)]).load(name)
}

/// The message of one bad file.
fn broken(name: &str, text: &str) -> String {
    Folder::with(&[(name, text)]).message(name)
}

fn code(graph: &ModuleGraph) -> &str {
    graph.main().source.text().expect("main is a script")
}

/// Limits small enough to break with a few bytes.
fn tiny() -> GraphLimits {
    GraphLimits {
        function: Size(200),
        modules: 3,
        script: Size(100),
        wasm: Size(20),
        source_maps: Size(1_000),
    }
}
