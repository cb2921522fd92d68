//! Every name of ECMA-429, touched in a function; those still missing are listed, and only those.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::harness::area::{function, node, table};
use crate::harness::world::tests_folder;
use crate::harness::{Request, Server, World};

const HOST: &str = "globals.test";

/// `tests/globals/missing.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Missing {
    missing: BTreeSet<String>,
}

/// What the function found.
#[derive(Deserialize)]
struct Found {
    present: BTreeSet<String>,
    missing: BTreeSet<String>,
    wrong: Vec<Json>,
}

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![world.trial("globals::ecma_429", async |world| names(&world).await)]
}

async fn names(world: &World) -> anyhow::Result<()> {
    let folder = tests_folder("globals");
    let list = folder.join("missing.toml");
    let expected: Missing = toml::from_str(&std::fs::read_to_string(&list)?)?;
    let main = folder.join("worker.js").display().to_string();
    let config = node(table([("globals", function(&main, HOST).into())]));
    let server = Server::serve(&config, &[]).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "status {}: {text}", answer.status);
    let found: Found = serde_json::from_str(&text).context("no report")?;
    // 53 interfaces, 25 globals: a list that lost a name would pass unseen.
    let total = found.present.len() + found.missing.len();
    ensure!(total == 78, "{total} names were looked at");
    ensure!(
        found.wrong.is_empty(),
        "there, but wrong: {:?}",
        found.wrong
    );
    if world.bless() {
        let names: Vec<String> = found
            .missing
            .iter()
            .map(|name| format!("  {name:?},\n"))
            .collect();
        let head =
            "# Names of ECMA-429 that a function does not see yet. The list may only shrink.\n";
        std::fs::write(&list, format!("{head}missing = [\n{}]\n", names.concat()))?;
        return Ok(());
    }
    let lost: Vec<_> = found.missing.difference(&expected.missing).collect();
    ensure!(lost.is_empty(), "missing, and not listed as such: {lost:?}");
    let gained: Vec<_> = expected.missing.difference(&found.missing).collect();
    ensure!(
        gained.is_empty(),
        "no longer missing; take off {}: {gained:?}",
        list.display()
    );
    Ok(())
}
