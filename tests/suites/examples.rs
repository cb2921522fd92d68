//! `examples/`: the file that `make serve` serves, and what each example says of itself.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use libtest_mimic::Trial;
use tokio::sync::OnceCell;
use toml::{Table, Value};

use crate::harness::area::{merge, table};
use crate::harness::case::CaseFile;
use crate::harness::world::{checkout, subfolders};
use crate::harness::{Server, World, step};

/// One server for all examples.
type Shared = Arc<OnceCell<Server>>;

/// One trial for each example, and one that no example lacks a check.
pub(super) fn trials(world: &Arc<World>) -> anyhow::Result<Vec<Trial>> {
    let shared = Shared::default();
    let mut trials = Vec::new();
    for folder in subfolders(&checkout().join("examples"))? {
        if !folder.join("check.toml").exists() {
            continue;
        }
        let file = CaseFile::read(&folder, "check.toml")?;
        let name = format!("examples::{}", file.name);
        let shared = Arc::clone(&shared);
        trials.push(world.trial(name, async move |world| {
            let server = shared.get_or_try_init(serve).await?;
            step::run_all(&world, &file, &format!("{}.localhost", file.name), server).await?;
            Ok(())
        }));
    }
    trials.push(world.trial("examples::every_function_has_a_check", async |_| checked()));
    Ok(trials)
}

/// Serves `examples/holm.toml` from where it lies, on a port of its own.
async fn serve() -> anyhow::Result<Server> {
    let mut config = read_config()?;
    merge(
        &mut config,
        table([("server", table([("http", "127.0.0.1:0".into())]).into())]),
    );
    let folder = checkout().join("examples");
    for function in functions(&mut config)? {
        let main = function
            .get_mut("main")
            .context("a function without `main`")?;
        let path = folder.join(main.as_str().context("`main` is no text")?);
        if !path.exists() {
            bail!(
                "{} is not there: `make setup` builds the examples",
                path.display()
            );
        }
        *main = path.display().to_string().into();
        let assets = function.get_mut("assets").and_then(Value::as_table_mut);
        if let Some(dir) = assets.and_then(|assets| assets.get_mut("dir")) {
            let path = folder.join(dir.as_str().context("`dir` is no text")?);
            *dir = path.display().to_string().into();
        }
    }
    Server::serve(&config, &[]).await
}

fn checked() -> anyhow::Result<()> {
    let mut config = read_config()?;
    let folder = checkout().join("examples");
    for function in functions(&mut config)? {
        let main = function
            .get("main")
            .and_then(Value::as_str)
            .context("no `main`")?;
        let example = PathBuf::from(main);
        let example = example.iter().next().context("an empty `main`")?;
        let check = folder.join(example).join("check.toml");
        if !check.exists() {
            bail!("there is no {}", check.display());
        }
    }
    Ok(())
}

fn read_config() -> anyhow::Result<Table> {
    let path = checkout().join("examples/holm.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(toml::from_str(&text)?)
}

fn functions(config: &mut Table) -> anyhow::Result<impl Iterator<Item = &mut Table>> {
    let functions = config.get_mut("functions").and_then(Value::as_table_mut);
    Ok(functions
        .context("no [functions]")?
        .iter_mut()
        .filter_map(|(_, it)| it.as_table_mut()))
}
