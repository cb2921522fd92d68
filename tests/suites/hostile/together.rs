//! All hostile functions on one node, three times over, and what the node holds of it a minute later.
//!
//! It takes minutes, so it is for `make hostile` alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use toml::{Table, Value};

use super::report::Report;
use crate::harness::area::{egress_to_loopback, function, merge, node, table};
use crate::harness::case::CaseFile;
use crate::harness::client::Version;
use crate::harness::neighbour::{self, Load};
use crate::harness::processes::Kind;
use crate::harness::world::{subfolders, tests_folder};
use crate::harness::{Connection, Server, World, step};

/// Times that each function is asked.
const ROUNDS: usize = 3;

/// How long the node has to come to rest.
const LATER: Duration = Duration::from_secs(60);

/// What it may hold then, in hundredths of what it held before.
const ALLOWED: u64 = 120;

/// The longest that all of it may take.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// The trial, if there is somebody to read its report.
pub(super) fn trial(world: &Arc<World>) -> anyhow::Result<Option<Trial>> {
    let Some(report) = Report::wanted() else {
        return Ok(None);
    };
    let mut cases = Vec::new();
    for folder in subfolders(&tests_folder("hostile"))? {
        cases.push(CaseFile::read(&folder, "case.toml")?);
    }
    let name = "hostile_node::gives_back_what_it_held";
    let trial = world.long_trial(name, DEADLINE, async move |world| {
        together(&world, &cases, &report).await
    });
    Ok(Some(trial))
}

fn host(case: &str) -> String {
    format!("{case}.together.test")
}

async fn together(world: &World, cases: &[CaseFile], report: &Report) -> anyhow::Result<()> {
    let server = Server::serve(&config(world, cases)?, &[]).await?;
    // The neighbour has an isolate from here on, and keeps it.
    let load = Load::begin(server.address()).await?;
    let before = server.memory()?;
    let processes = server.family().all()?.len();
    for _ in 0..ROUNDS {
        for file in cases {
            round(world, file, &server).await?;
        }
    }
    tokio::time::sleep(LATER).await;
    let after = server.memory()?;
    let family = server.family();
    let cells = family.kind(Kind::Cell)?;
    load.end().await?;
    report.add_node(
        (before >> 20, after >> 20),
        (processes, family.all()?.len()),
    )?;
    ensure!(
        after * 100 <= before * ALLOWED,
        "{before} bytes were held before, {after} a minute later"
    );
    ensure!(
        cells.iter().all(|cell| cell.name == "neighbour") || cells.len() <= cases.len() + 1,
        "more than one idle isolate of a function: {cells:?}"
    );
    server.assert_healthy().await
}

/// Every request of a case once. What comes of it is told by the case's own trial.
async fn round(world: &World, file: &CaseFile, server: &Server) -> anyhow::Result<()> {
    let case = file.case(&step::names(world, Some(server)))?;
    for step in case.steps.iter().filter(|step| step.host.is_none()) {
        let request = step::request(step, &host(&file.name))?;
        let mut connection = Connection::open(server.address(), Version::Http1).await?;
        // Some are broken off.
        drop(connection.exchange(request).await);
    }
    Ok(())
}

/// All functions of all cases, and their neighbour.
fn config(world: &World, cases: &[CaseFile]) -> anyhow::Result<Table> {
    let main = tests_folder("hostile").join("neighbour.js");
    let mut keys = function(&main.display().to_string(), neighbour::HOST);
    keys.insert("vars".to_owned(), table([("GREETING", "hi".into())]).into());
    let mut functions = table([("neighbour", keys.into())]);
    for file in cases {
        let case = file.case(&step::names(world, None))?;
        let main = file.folder.join(file.main()?).display().to_string();
        let mut keys = function(&main, &host(&file.name));
        merge(&mut keys, case.function.clone());
        keys.insert(
            "routes".to_owned(),
            Value::Array(vec![host(&file.name).into()]),
        );
        functions.insert(file.name.clone(), keys.into());
    }
    let mut config = node(functions);
    merge(&mut config, egress_to_loopback());
    Ok(config)
}
