//! Cases that share a server: the configuration made of them, and the server once needed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use tokio::sync::OnceCell;
use toml::{Table, Value};

use super::case::{Case, CaseFile};
use super::server::Server;
use super::step;
use super::world::{World, name_of};

/// A folder of cases.
pub(crate) struct Area {
    name: String,
    base: Table,
    shared: Vec<CaseFile>,
    server: OnceCell<Option<Server>>,
}

impl Area {
    /// An area of these cases. `area.toml` in the folder, if there, is the start of its
    /// configuration.
    pub(crate) fn new(folder: &Path, cases: &[CaseFile], world: &World) -> anyhow::Result<Self> {
        let file = folder.join("area.toml");
        let base = match file.exists() {
            true => toml::from_str(&std::fs::read_to_string(&file)?)
                .with_context(|| format!("in {}", file.display()))?,
            false => Table::new(),
        };
        let mut shared = Vec::new();
        for file in cases {
            let case = file.case(&step::names(world, None))?;
            if !case.steps.is_empty() && case.config.is_none() {
                shared.push(file.clone());
            }
        }
        Ok(Self {
            name: name_of(folder)?.to_owned(),
            base,
            shared,
            server: OnceCell::new(),
        })
    }

    /// The host of a case.
    pub(crate) fn host(&self, case: &str) -> String {
        format!("{case}.{}.test", self.name)
    }

    /// Runs the steps of one case.
    pub(crate) async fn run(&self, world: &World, file: &CaseFile) -> anyhow::Result<()> {
        let case = file.case(&step::names(world, None))?;
        let host = self.host(&file.name);
        if case.config.is_none()
            && let Some(server) = self.shared_server(world).await
        {
            step::run_all(world, file, &host, server).await?;
            return Ok(());
        }
        let config = self.config(world, std::slice::from_ref(file))?;
        let server = Server::serve(&config, &[]).await?;
        step::run_all(world, file, &host, &server).await?;
        Ok(())
    }

    /// The server of all cases of the area; none if the file of all of them is refused. Then each
    /// is served alone, so that the one at fault fails with the reason and the others still count.
    async fn shared_server(&self, world: &World) -> Option<&Server> {
        let start = || async {
            let config = self.config(world, &self.shared).ok()?;
            Server::serve(&config, &[]).await.ok()
        };
        self.server.get_or_init(start).await.as_ref()
    }

    /// The configuration file that serves these cases.
    pub(crate) fn config(&self, world: &World, files: &[CaseFile]) -> anyhow::Result<Table> {
        let mut config = self.base.clone();
        config.entry("version").or_insert(Value::Integer(1));
        merge(
            &mut config,
            table([("server", table([("http", "127.0.0.1:0".into())]).into())]),
        );
        let mut functions = Table::new();
        for file in files {
            let case = file.case(&step::names(world, None))?;
            if let Some(extra) = &case.config {
                merge(&mut config, extra.clone());
            }
            functions.extend(self.functions(file, &case)?);
        }
        merge(&mut config, table([("functions", functions.into())]));
        Ok(config)
    }

    fn functions(&self, file: &CaseFile, case: &Case) -> anyhow::Result<Table> {
        let host = self.host(&file.name);
        let mut all = BTreeMap::new();
        let mut main = case.function.clone();
        if !main.contains_key("main") {
            main.insert("main".to_owned(), file.main()?.into());
        }
        all.insert(format!("{}-{}", self.name, file.name), (host.clone(), main));
        for (name, keys) in &case.functions {
            let full = format!("{}-{}-{name}", self.name, file.name);
            all.insert(full, (format!("{name}.{host}"), keys.clone()));
        }
        let mut functions = Table::new();
        for (name, (host, mut keys)) in all {
            let main = keys.get("main").and_then(Value::as_str);
            let main = main.with_context(|| format!("{name} has no `main`"))?;
            let main = file.folder.join(main).display().to_string();
            keys.insert("main".to_owned(), main.into());
            keys.entry("routes")
                .or_insert(Value::Array(vec![host.into()]));
            functions.insert(name, keys.into());
        }
        Ok(functions)
    }
}

/// Puts `extra` over `base`, table by table.
pub(crate) fn merge(base: &mut Table, extra: Table) {
    for (key, value) in extra {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(extra)) => merge(inner, extra),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// A table of these keys.
pub(crate) fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// A configuration of these functions, on a free port of loopback.
pub(crate) fn node(functions: Table) -> Table {
    table([
        ("version", Value::Integer(1)),
        ("server", table([("http", "127.0.0.1:0".into())]).into()),
        ("functions", functions.into()),
    ])
}

/// The table of a function: its main module and its hostname.
pub(crate) fn function(main: &str, host: &str) -> Table {
    table([
        ("main", main.into()),
        ("routes", Value::Array(vec![host.into()])),
    ])
}

/// What lets functions reach the harness's upstream server.
pub(crate) fn egress_to_loopback() -> Table {
    let allow = Value::Array(vec!["127.0.0.1/32".into()]);
    table([("egress", table([("allow", allow)]).into())])
}
