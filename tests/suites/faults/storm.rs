//! Processes that are killed while requests come for several functions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use tokio::task::JoinSet;

use super::{FILES, NAMES, config, host, impatient};
use crate::harness::client::{Answer, Version};
use crate::harness::processes::{Kind, Process, files, is_alive};
use crate::harness::program::{self, until};
use crate::harness::{Connection, Request, Server, World};

/// Connections to each.
const CLIENTS: usize = 4;

/// Processes that are killed in one test.
const KILLS: usize = 12;

/// Answers of a function that are waited for between two kills: those that die in a row would hold it back, and
/// the next one is to hit it at work again.
const BETWEEN: usize = 5;

/// Clients that ask until they are told to end.
struct Load {
    stop: Arc<AtomicBool>,
    answered: [Arc<AtomicUsize>; NAMES.len()],
    clients: JoinSet<anyhow::Result<Vec<Answer>>>,
}

impl Load {
    fn begin(server: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered: [Arc<AtomicUsize>; NAMES.len()] = Default::default();
        let mut clients = JoinSet::new();
        for (name, answered) in NAMES.into_iter().zip(&answered) {
            for _ in 0..CLIENTS {
                let (stop, answered) = (stop.clone(), answered.clone());
                clients.spawn(client(server, name, stop, answered));
            }
        }
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// Waits until each function has answered `BETWEEN` requests more.
    async fn goes_on(&self) -> anyhow::Result<()> {
        let count = |answered: &Arc<AtomicUsize>| answered.load(Ordering::Relaxed);
        let before: Vec<usize> = self.answered.iter().map(count).collect();
        let all = || {
            let mut now = self.answered.iter().map(count).zip(&before);
            Ok(now
                .all(|(now, before)| now >= before + BETWEEN)
                .then_some(()))
        };
        let goes_on = until(all).await?;
        goes_on.context("requests are not answered any more")
    }

    /// Ends it; the answers that were none of the function's.
    async fn end(mut self) -> anyhow::Result<Vec<Answer>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failed = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            failed.extend(client?.context("a connection broke")?);
        }
        Ok(failed)
    }
}

/// Asks one function again and again over one connection. Returns the answers that were not its own.
async fn client(
    server: SocketAddr,
    name: &str,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) -> anyhow::Result<Vec<Answer>> {
    let mut connection = Connection::open(server, Version::Http1).await?;
    let mut failed = Vec::new();
    let paths = ["/", "/wait", "/", "/work"];
    for path in paths.into_iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = connection.exchange(Request::get(&host(name), path)).await?;
        if answer.status == 200 {
            ensure!(answer.body == "answered", "{answer:?}");
            answered.fetch_add(1, Ordering::Relaxed);
        } else {
            failed.push(answer);
        }
    }
    Ok(failed)
}

/// What a server comes to when nobody asks: its processes by kind and name, and the files of the edge.
async fn at_rest(server: &Server) -> anyhow::Result<(Vec<(Kind, String)>, usize)> {
    let family = server.family();
    let rests = || {
        let rests = family.kind(Kind::Cell)?.is_empty() && family.unreaped()? == 0;
        Ok((rests && family.zygote()?.is_some()).then_some(()))
    };
    let told = || format!("it does not come to rest: {:?}", family.all());
    until(rests).await?.with_context(told)?;
    // A template that was killed is made again when it is needed: when there is no cell.
    for name in NAMES {
        let answer = Request::get(&host(name), "/")
            .send(server.address())
            .await?;
        ensure!(answer.status == 200, "at rest: {answer:?}");
    }
    until(rests).await?.with_context(told)?;
    let named = |process: Process| (process.kind, process.name);
    let processes = family.all()?.into_iter().map(named).collect();
    Ok((processes, files(server.pid())?))
}

/// Waits until the server is what it was.
async fn ensure_as_before(
    server: &Server,
    before: &(Vec<(Kind, String)>, usize),
) -> anyhow::Result<()> {
    let (processes, _) = at_rest(server).await?;
    ensure!(processes == before.0, "{:?} became {processes:?}", before.0);
    // Sockets of clients that have just left are closed soon.
    let is_back = until(|| Ok((files(server.pid())? <= before.1).then_some(()))).await?;
    is_back.with_context(|| {
        let after = files(server.pid());
        format!("{} open files became {after:?}", before.1)
    })
}

pub(super) async fn storm(world: &World, blows: &[(Kind, &str)]) -> anyhow::Result<()> {
    let mut limits = impatient();
    if blows.iter().any(|(kind, _)| *kind == Kind::Template) {
        // Or it depends on the machine whether cells rest, and templates are needed again.
        limits.insert("idle".to_owned(), "1s".into());
    }
    let server = Server::serve(&config(world, limits), FILES).await?;
    // All that is made once has been made by then.
    let load = Load::begin(server.address());
    load.goes_on().await?;
    let failed = load.end().await?;
    ensure!(failed.is_empty(), "without a fault: {failed:?}");
    let before = at_rest(&server).await?;

    let load = Load::begin(server.address());
    load.goes_on().await?;
    let mut killed = 0;
    for (blow, (kind, signal)) in (0..KILLS).zip(blows.iter().cycle()) {
        if *kind == Kind::Template {
            let ended = need_template(&server, blow).await?;
            killed += ended;
            if ended > 0 {
                // With those that wait for the template when it dies, they would be too many in a row.
                load.goes_on().await.context("after cells were killed")?;
            }
        }
        let Some(victim) = victim(&server, *kind, blow).await? else {
            bail!("there is no {kind:?} any more");
        };
        let begin = Instant::now();
        if program::signal(victim, signal).await.is_err() {
            // It has ended by itself in the meantime.
            continue;
        }
        killed += usize::from(*kind == Kind::Cell);
        until(|| Ok((!is_alive(victim)).then_some(())))
            .await?
            .with_context(|| format!("{victim} does not die of {signal}"))?;
        if *kind == Kind::Zygote {
            until(|| Ok(server.family().zygote()?.filter(|next| *next != victim)))
                .await?
                .context("there is no other zygote")?;
            println!("another zygote is there after {:?}", begin.elapsed());
        }
        load.goes_on()
            .await
            .with_context(|| format!("after {kind:?} {victim} got {signal}"))?;
    }
    let failed = load.end().await?;
    for answer in &failed {
        let outcome = answer.headers.get("holm-outcome");
        let is_crash = outcome.is_some_and(|outcome| outcome == "crashed");
        ensure!(is_crash, "{answer:?}\n{}", server.log().tail());
    }
    // A cell works on one request at a time: that one, at most, goes with it.
    ensure!(
        failed.len() <= killed,
        "{killed} cells were killed, {} requests failed",
        failed.len()
    );
    println!("{} requests failed with {killed} cells", failed.len());
    ensure_as_before(&server, &before).await?;
    server.assert_healthy().await
}

/// Cells that are at work without a rest need no template, so one that was killed is not made again. If there is none
/// left, the cells of a function are killed. Returns how many.
async fn need_template(server: &Server, blow: usize) -> anyhow::Result<usize> {
    let family = server.family();
    if !family.kind(Kind::Template)?.is_empty() {
        return Ok(0);
    }
    let cells = family.cells(NAMES[blow % NAMES.len()])?;
    for cell in &cells {
        // One that has ended by itself in the meantime does as well.
        let _ = program::signal(*cell, "KILL").await;
    }
    Ok(cells.len())
}

/// A process of a kind, each time another.
async fn victim(server: &Server, kind: Kind, blow: usize) -> anyhow::Result<Option<u32>> {
    until(|| {
        let all = server.family().kind(kind)?;
        // Not the first one each time: cells at work are behind those that rest.
        Ok(all.get((blow * 7) % all.len().max(1)).cloned())
    })
    .await
    .map(|found| found.map(|process| process.pid))
}
