//! The end of the edge, and of what the system gives.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::{FILES, config, host, impatient};
use crate::harness::area::{function, merge, table};
use crate::harness::processes::is_alive;
use crate::harness::program::{self, until};
use crate::harness::{Request, Server, World};

/// A user whom nobody is, so that no process counts that is not the test's.
const NOBODY: &str = "61234";

/// Processes and threads that such a user may have, besides what grows with the cores.
const PROCESSES: usize = 36;

/// Whatever its processes are at, and wherever they come from.
pub(super) async fn outlived(world: &World) -> anyhow::Result<()> {
    for signal in ["KILL", "ABRT"] {
        let mut limits = impatient();
        limits.insert("cpu".to_owned(), "30s".into());
        limits.insert("idle".to_owned(), "10min".into());
        let mut config = config(world, limits);
        let alone = table([("alone", function("alone.js", &host("alone")).into())]);
        merge(&mut config, table([("functions", alone.into())]));
        let server = Server::serve(&config, FILES).await?;
        let address = server.address();
        // One that computes for ever, one that waits for somebody, two at rest.
        let mut asked = JoinSet::new();
        let key = format!("faults-outlived-{signal}");
        for (name, path) in [("a", "/loop".to_owned()), ("b", format!("/hold?{key}"))] {
            let request = Request::get(&host(name), &path);
            asked.spawn(async move { drop(request.send(address).await) });
        }
        for name in ["c", "alone"] {
            let answer = Request::get(&host(name), "/").send(address).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        world.origin().reached(&key).await;
        until(|| Ok((server.family().cells("a")?.len() == 1).then_some(())))
            .await?
            .context("nothing loops")?;
        // Some of them come from a zygote that is gone, or from a template that is.
        let family = server.family();
        let first = family.zygote()?.context("no zygote")?;
        program::signal(first, "KILL").await?;
        for template in family.templates("a")? {
            program::signal(template, "KILL").await?;
        }
        until(|| Ok(family.zygote()?.filter(|next| *next != first)))
            .await?
            .context("no other zygote")?;
        let others = family.all()?;
        for name in ["a", "b", "c", "alone"] {
            ensure!(family.cells(name)?.len() == 1, "{name}: {others:?}");
        }
        let begin = Instant::now();
        server.signal(signal).await?;
        server.ended().await?;
        for process in others {
            until(|| Ok((!is_alive(process.pid)).then_some(())))
                .await?
                .with_context(|| format!("{process:?} outlived an edge that got {signal}"))?;
        }
        let left = family.all()?;
        ensure!(left.is_empty(), "{left:?} are left");
        println!(
            "all are gone {:?} after the edge got {signal}",
            begin.elapsed()
        );
    }
    Ok(())
}

/// The node runs as a user who may have so many processes and no more.
pub(super) async fn no_more(world: &World) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bound = format!("--nproc={}", PROCESSES + cores);
    let starter = [
        "setpriv",
        "--reuid",
        NOBODY,
        "--regid",
        NOBODY,
        "--clear-groups",
        "prlimit",
        &bound,
    ];
    let tried = Command::new(starter[0])
        .args(&starter[1..])
        .arg(program::holm())
        .arg("--version")
        .output()
        .await;
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: cannot run as another user with a bound of processes: {tried:?}");
        return Ok(());
    }
    // More requests at the same time than there can be processes, none of which ends.
    let many = PROCESSES + cores;
    let mut limits = table([("max_isolates", 64.into()), ("idle", "10min".into())]);
    limits.insert("wall".to_owned(), "5min".into());
    let server = Server::serve_by(&starter, &config(world, limits), FILES).await?;
    let answer = Request::get(&host("b"), "/").send(server.address()).await?;
    ensure!(answer.status == 200, "before: {answer:?}");
    let mut held = JoinSet::new();
    for nth in 0..many {
        let request = Request::get(&host("a"), &format!("/hold?faults-no-more-{nth}"));
        let address = server.address();
        held.spawn(async move { request.send(address).await });
    }
    let is_said = |line: &serde_json::Value| {
        let text = line.to_string();
        line["level"] == "error" && text.contains("RLIMIT_NPROC")
    };
    let said = server.log().first("line that names the bound", is_said);
    let line = said.await?;
    ensure!(line["function"] == "a", "{line}");
    // There is an isolate of `b`, and none of `c`; nor can there be.
    let answer = Request::get(&host("b"), "/").send(server.address()).await?;
    ensure!(answer.status == 200, "who has an isolate: {answer:?}");
    let answer = Request::get(&host("c"), "/").send(server.address()).await?;
    let outcome = answer.headers.get("holm-outcome").context("no outcome")?;
    ensure!(
        answer.status == 503 && outcome == "overloaded",
        "{answer:?}"
    );
    ensure!(answer.headers.contains_key("retry-after"), "{answer:?}");
    let record = server.record(&host("c"), "GET", "/", 0).await?;
    ensure!(
        record["logs"][0]["message"]
            .as_str()
            .is_some_and(|text| text.contains("RLIMIT_NPROC")),
        "{record}"
    );
    // It is over as soon as there is room again.
    drop(held);
    let answered = async {
        loop {
            let answer = Request::get(&host("c"), "/").send(server.address()).await?;
            if answer.status == 200 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered)
        .await
        .context("it is never over")??;
    server.assert_healthy().await
}
