//! A plan without a configuration file: `holm dev PATH`.
//!
//! PATH is a module, a folder (without a holm.toml) with a main module (`index.js` and its like, or the `main` of its
//! `package.json`), or a folder of such. Each function answers at `NAME.localhost`, which browsers
//! and curl take for this machine, under the limits that it would have on a node.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holm_model::limits::Limits;
use holm_process::sandbox::Mode;
use holm_router::pattern::Pattern;
use holm_router::table::RouteTable;
use holm_runtime::deployment::Concurrency;
use serde_json::{Map, Value};

use super::main_file;
use super::plan::{FunctionPlan, LogFormat, LogRequests, Places, Plan, Secure, ServerPlan};
use super::problem::{Problem, Problems};
use super::settle::name_fault;
use crate::egress::Allow;

/// Names that say nothing: a module so called is named after its folder.
const NAMELESS: [&str; 4] = ["index", "main", "worker", "mod"];

impl Plan {
    /// Plans to serve what is at `path`, with defaults for everything else.
    ///
    /// # Errors
    /// When nothing there can be served, or two functions would have the same name.
    pub(crate) fn single(path: &Path) -> Result<Self, Problems> {
        plan(path).map_err(|problem| Problems::without_place(path, problem))
    }
}

fn plan(path: &Path) -> Result<Plan, Problem> {
    let origin = fs::canonicalize(path).map_err(|error| {
        Problem::new(format!("cannot open {}: {error}", path.display()))
            .help("give the path of a function's file, or of a folder")
    })?;
    let found = if origin.is_dir() {
        functions_in(&origin)?
    } else {
        vec![Found::file(origin.clone())]
    };
    let mut table = RouteTable::builder();
    let mut functions: Vec<FunctionPlan> = Vec::with_capacity(found.len());
    for found in found {
        let function = function(&found)?;
        if let Some(other) = functions.iter().find(|other| other.name == function.name) {
            return Err(Problem::new(format!(
                "{} and {} would both be called `{}`",
                other.place().display(),
                function.place().display(),
                function.name,
            ))
            .help("rename one of them, or serve them from a configuration file"));
        }
        for route in &function.routes {
            table = table.route(route.clone(), functions.len());
        }
        functions.push(function);
    }
    let routes = table.build().expect("names differ, so their routes differ");
    Ok(Plan {
        origin,
        places: Places::default(),
        watch: true,
        server: ServerPlan::DEFAULT,
        admin: None,
        tls: None,
        memory: None,
        sandbox: Mode::Auto,
        log: LogFormat::Auto,
        log_requests: LogRequests::All,
        egress: Allow::PUBLIC,
        functions,
        routes,
    })
}

fn function(found: &Found) -> Result<FunctionPlan, Problem> {
    let main = main_file::find(&found.main)
        .map_err(|fault| Problem::new(fault.to_string()).maybe_help(fault.fix()))?;
    let name = found.name().ok_or_else(|| {
        Problem::new(format!(
            "no hostname can be made of the name of {}",
            found.called.display()
        ))
        .help("rename it to small letters, digits and hyphens")
    })?;
    let route = Pattern::parse(&format!("{name}.localhost")).map_err(|error| {
        Problem::new(format!("`{name}` cannot be part of a hostname: {error}"))
            .help("rename the file or its folder")
    })?;
    Ok(FunctionPlan {
        name,
        main: Some(main),
        routes: vec![route],
        vars: Map::new(),
        limits: Limits::DEFAULT,
        concurrency: Concurrency::EXCLUSIVE,
        eval: true,
        access: Arc::default(),
        secure: Secure::default(),
        compress: false,
        assets: None,
    })
}

/// A function's main module, and the file or folder that it is named after.
struct Found {
    main: PathBuf,
    called: PathBuf,
}

impl Found {
    /// A file that is a function.
    fn file(main: PathBuf) -> Self {
        let stem = main.file_stem().and_then(|stem| stem.to_str());
        let nameless = stem.is_some_and(|stem| NAMELESS.contains(&stem));
        let called = match main.parent() {
            Some(folder) if nameless => folder.to_owned(),
            _ => main.with_extension(""),
        };
        Self { main, called }
    }

    /// A folder that is one function.
    fn folder(folder: &Path) -> Option<Self> {
        let main = main_file::index(folder).or_else(|| package_main(folder))?;
        let called = folder.to_owned();
        Some(Self { main, called })
    }

    fn name(&self) -> Option<String> {
        let name = slug(self.called.file_name()?.to_str()?);
        name_fault(&name).is_ok().then_some(name)
    }
}

/// `My_Function` as `my-function`.
fn slug(text: &str) -> String {
    let dashed: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    dashed.trim_matches('-').to_owned()
}

fn package_main(folder: &Path) -> Option<PathBuf> {
    let package = fs::read(folder.join("package.json")).ok()?;
    let package: Value = serde_json::from_slice(&package).ok()?;
    let main = folder.join(package.get("main")?.as_str()?);
    main.is_file().then_some(main)
}

/// All functions in a folder, sorted by path.
fn functions_in(folder: &Path) -> Result<Vec<Found>, Problem> {
    if let Some(found) = Found::folder(folder) {
        return Ok(vec![found]);
    }
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| Problem::new(format!("cannot list {}: {error}", folder.display())))?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let found: Vec<Found> = paths
        .into_iter()
        .filter(|path| !is_skipped(path))
        .filter_map(|path| {
            if path.is_dir() {
                Found::folder(&path)
            } else {
                main_file::is_module(&path).then(|| Found::file(path))
            }
        })
        .collect();
    if found.is_empty() {
        return Err(
            Problem::new(format!("there is no function in {}", folder.display())).help(
                "a function is a file like hello.js, or a folder with an index.js or a \
                 package.json that names its main",
            ),
        );
    }
    Ok(found)
}

/// Hidden files, dependencies, and modules that by convention are about other modules:
/// `x.test.js`, `x.d.ts`, `x.config.js`.
fn is_skipped(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return true;
    };
    let mut parts = name.rsplit('.').skip(1);
    let about = parts
        .next()
        .is_some_and(|part| ["test", "spec", "d", "config"].contains(&part));
    name.starts_with('.') || name == "node_modules" || (about && parts.next().is_some())
}
