//! `tests/hostile`: functions that break the limits, each next to a neighbour under steady load.
//!
//! Whatever a case expects of its own answers, these hold around it: the node lives, the
//! neighbour sees no error, every answer comes in time, the memory of all processes stays bounded, soon after
//! the last answer no process of the offender computes, and afterwards the offender's own function answers a
//! calm request. [`together`] has all of them on one node.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tokio::sync::Mutex;
use toml::{Table, Value};

use crate::harness::area::{function, merge, node, table};
use crate::harness::case::CaseFile;
use crate::harness::neighbour::{self, Load};
use crate::harness::processes::{Kind, Process, cpu};
use crate::harness::world::{subfolders, tests_folder};
use crate::harness::{Request, Server, World, step};
use report::Report;

mod report;
mod together;

/// Requests by which the neighbour is measured by itself, where a report is wanted.
const QUIET: usize = 100;

/// Hostname of the hostile function.
const HOST: &str = "offender.test";

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// The longest that it is waited for that a function computes no more.
const REST: Duration = Duration::from_secs(20);

/// Time over which it is seen whether a process computes, and what one that rests may use in it: a machine's
/// other processes take turns with it.
const WINDOW: Duration = Duration::from_millis(20);
const IDLING: Duration = Duration::from_millis(3);

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
    trials.extend(together::trial(world)?);
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
    let before = server.memory()?;

    let mut peak = Peak::default();
    let steps = step::run_all(world, file, HOST, &server);
    tokio::pin!(steps);
    let mut sample = tokio::time::interval(SAMPLE);
    let result = loop {
        tokio::select! {
            result = &mut steps => break result,
            _ = sample.tick() => peak.look(&server)?,
        }
    };
    let rested = rests(&server).await;
    // The neighbour's errors are reported even where the case itself failed: they matter more.
    let neighbour = load.end().await;
    let (times, neighbour) = match (result, neighbour) {
        (Ok(times), Ok(neighbour)) => (times, neighbour),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => return Err(error),
        (Err(case), Err(neighbour)) => bail!("{neighbour:#}\nand {case:#}"),
    };

    if let Some(report) = report {
        let records = server.log().records();
        report.add(
            &file.name,
            &times,
            &records,
            (&neighbour, &quiet),
            rested.as_ref().ok(),
        )?;
    }
    let slowest = times.iter().max().copied().unwrap_or_default();
    let within = Duration::from_millis(case.hostile.within_ms);
    ensure!(
        slowest <= within,
        "an answer took {slowest:?}, allowed are {within:?}"
    );
    let growth = peak.all.saturating_sub(before) >> 20;
    let allowed = case.hostile.growth_mib;
    ensure!(
        growth <= allowed,
        "memory grew by {growth} MiB, allowed are {allowed} MiB"
    );
    if let Some(allowed) = case.hostile.cell_mib {
        let held = peak.cell >> 20;
        ensure!(
            held <= allowed,
            "a process of it held {held} MiB, allowed are {allowed} MiB"
        );
    }

    let (rested, allowed) = (rested?, Duration::from_millis(case.hostile.rest_ms));
    ensure!(
        rested <= allowed,
        "a process of it still computed {rested:?} after the last answer, allowed are {allowed:?}"
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

/// The most that was seen of memory, in bytes.
#[derive(Debug, Default)]
struct Peak {
    /// Of all processes together.
    all: u64,
    /// Of one that runs a hostile function.
    cell: u64,
}

impl Peak {
    fn look(&mut self, server: &Server) -> anyhow::Result<()> {
        let each = server.family().memory_of_each()?;
        let others: u64 = each.iter().map(|(_, held)| held).sum();
        self.all = self.all.max(server.family().memory_of_edge()? + others);
        let of_cells = each.iter().filter(|(process, _)| is_offender(process));
        let largest = of_cells.map(|(_, held)| *held).max();
        self.cell = self.cell.max(largest.unwrap_or(0));
        Ok(())
    }
}

fn is_offender(process: &Process) -> bool {
    process.kind == Kind::Cell && process.name != "neighbour"
}

/// Waits until no process of a hostile function computes; how long it took.
async fn rests(server: &Server) -> anyhow::Result<Duration> {
    let clocks = || {
        let all = server.family().all()?;
        let offenders = all.iter().filter(|process| is_offender(process));
        // It may end while it is looked at.
        let clocks = offenders.filter_map(|cell| Some((cell.pid, cpu(cell.pid).ok()?)));
        anyhow::Ok(clocks.collect::<BTreeMap<u32, Duration>>())
    };
    let begin = Instant::now();
    loop {
        let seen = begin.elapsed();
        let before = clocks()?;
        tokio::time::sleep(WINDOW).await;
        let computes = |(pid, after): &(u32, Duration)| {
            let before = before.get(pid).copied().unwrap_or_default();
            after.saturating_sub(before) > IDLING
        };
        let Some((pid, _)) = clocks()?.into_iter().find(computes) else {
            return Ok(seen);
        };
        ensure!(
            seen < REST,
            "{pid} still computes {seen:?} after the last answer"
        );
    }
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
