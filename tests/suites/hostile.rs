//! `tests/hostile`: functions that break the limits, each next to a neighbour under steady load.
//!
//! Whatever a case expects of its own answers, these hold around it: the process lives, the
//! neighbour sees no error, every answer comes in time, memory stays bounded, and afterwards the
//! offender's own function answers a calm request.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tokio::sync::Mutex;
use toml::{Table, Value};

use crate::harness::area::{function, merge, node, table};
use crate::harness::case::CaseFile;
use crate::harness::neighbour::{self, Load};
use crate::harness::world::{subfolders, tests_folder};
use crate::harness::{Request, Server, World, step};
use report::Report;

mod report;

/// Requests by which the neighbour is measured by itself, where a report is wanted.
const QUIET: usize = 100;

/// Hostname of the hostile function.
const HOST: &str = "offender.test";

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// One trial for each case. They run one at a time: each wants the machine's attention.
pub(super) fn trials(world: &Arc<World>) -> anyhow::Result<Vec<Trial>> {
    let folder = tests_folder("hostile");
    let not_yet = not_yet(&folder)?;
    let turn = Arc::new(Mutex::new(()));
    let mut trials = Vec::new();
    for folder in subfolders(&folder)? {
        let file = CaseFile::read(&folder, "case.toml")?;
        let skipped = not_yet.contains_key(&file.name);
        let turn = Arc::clone(&turn);
        let trial = world.trial(format!("hostile::{}", file.name), async move |world| {
            let _turn = turn.lock().await;
            contained(&world, &file).await
        });
        trials.push(trial.with_ignored_flag(skipped));
    }
    trials.push(
        world.trial("hostile::expectations_name_cases", async move |_| {
            for name in not_yet.keys() {
                ensure!(
                    folder.join(name).is_dir(),
                    "there is no case `{name}` any more"
                );
            }
            Ok(())
        }),
    );
    Ok(trials)
}

async fn contained(world: &World, file: &CaseFile) -> anyhow::Result<()> {
    let case = file.case(&step::names(world, None))?;
    let server = Server::serve(&config(file, &case)?, &[]).await?;
    let report = Report::wanted();
    let quiet = match &report {
        Some(_) => neighbour::times(server.address(), QUIET).await?,
        None => Vec::new(),
    };
    let load = Load::begin(server.address()).await?;
    let before = server.resident_bytes()?;

    let mut peak = before;
    let steps = step::run_all(world, file, HOST, &server);
    tokio::pin!(steps);
    let mut sample = tokio::time::interval(SAMPLE);
    let result = loop {
        tokio::select! {
            result = &mut steps => break result,
            _ = sample.tick() => peak = peak.max(server.resident_bytes().unwrap_or(peak)),
        }
    };
    // The neighbour's errors are reported even where the case itself failed: they matter more.
    let neighbour = load.end().await;
    let (times, neighbour) = match (result, neighbour) {
        (Ok(times), Ok(neighbour)) => (times, neighbour),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        (Err(case), Err(neighbour)) => bail!("{neighbour:#}\nand {case:#}"),
    };

    if let Some(report) = report {
        let records = server.log().records();
        report.add(&file.name, &times, &records, &neighbour, &quiet)?;
    }
    let slowest = times.iter().max().copied().unwrap_or_default();
    let within = Duration::from_millis(case.hostile.within_ms);
    ensure!(
        slowest <= within,
        "an answer took {slowest:?}, allowed are {within:?}"
    );
    let growth = (peak - before) / (1024 * 1024);
    let allowed = case.hostile.growth_mib;
    ensure!(
        growth <= allowed,
        "memory grew by {growth} MiB, allowed are {allowed} MiB"
    );

    let calm = Request::get(HOST, "/calm").send(server.address()).await?;
    let text = String::from_utf8_lossy(&calm.body);
    ensure!(
        calm.status == 200 && text == "calm",
        "afterwards: {} {text}",
        calm.status
    );
    server.assert_healthy().await
}

/// The offender and its neighbour.
fn config(file: &CaseFile, case: &crate::harness::case::Case) -> anyhow::Result<Table> {
    let main = tests_folder("hostile")
        .join("neighbour.js")
        .display()
        .to_string();
    let mut neighbour = function(&main, neighbour::HOST);
    neighbour.insert("vars".to_owned(), table([("GREETING", "hi".into())]).into());
    // A virtual machine's thread is charged for time in which its host ran others: a first request
    // of some 10 ms, on a debug build, was seen to take more than the 50 ms of the default.
    neighbour.insert("limits".to_owned(), table([("cpu", "1s".into())]).into());
    let main = file.folder.join(file.main()?).display().to_string();
    let mut offender = function(&main, HOST);
    merge(&mut offender, case.function.clone());
    let mut functions = table([
        ("neighbour", neighbour.into()),
        ("offender", offender.into()),
    ]);
    for (name, keys) in &case.functions {
        let mut keys = keys.clone();
        let main = keys.get("main").and_then(Value::as_str);
        let main = file
            .folder
            .join(main.with_context(|| format!("{name} has no `main`"))?);
        keys.insert("main".to_owned(), main.display().to_string().into());
        keys.entry("routes")
            .or_insert(Value::Array(vec![format!("{name}.test").into()]));
        functions.insert(name.clone(), keys.into());
    }
    let mut config = node(functions);
    merge(&mut config, case.config.clone().unwrap_or_default());
    Ok(config)
}

/// Cases that the current build does not contain, and why.
fn not_yet(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let path = folder.join("expectations.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let mut lists: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text)?;
    lists.remove("not_yet").context("no [not_yet]")
}
