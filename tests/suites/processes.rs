//! Whose a process is and what it is called: what the other suites stand on when they look at processes.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::harness::area::{function, node, table};
use crate::harness::processes::{Kind, Process, is_alive};
use crate::harness::program::{self, until};
use crate::harness::{Request, Server, World};

const HOST: &str = "processes.test";

const FUNCTION: &str = "twin";

const WORKER: &str = "export default { fetch: () => new Response('hi') };\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("processes::of_two_servers_are_told_apart", async |_| {
            apart().await
        }),
        world.trial("processes::are_known_without_their_parents", async |_| {
            orphans().await
        }),
    ]
}

async fn serve() -> anyhow::Result<Server> {
    let mut keys = function("worker.js", HOST);
    let limits = table([("max_isolates", 1.into()), ("idle", "10min".into())]);
    keys.insert("limits".to_owned(), limits.into());
    let config = node(table([(FUNCTION, keys.into())]));
    let server = Server::serve(&config, &[("worker.js", WORKER)]).await?;
    ask(&server).await?;
    Ok(server)
}

async fn ask(server: &Server) -> anyhow::Result<()> {
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "hi", "{answer:?}");
    Ok(())
}

async fn apart() -> anyhow::Result<()> {
    let (one, other) = (serve().await?, serve().await?);
    let of_one = one.family().all()?;
    let of_other = other.family().all()?;
    for all in [&of_one, &of_other] {
        let kinds: Vec<Kind> = all.iter().map(|process| process.kind).collect();
        ensure!(
            kinds == [Kind::Zygote, Kind::Template, Kind::Cell],
            "{all:?}"
        );
        let named = |process: &Process| process.kind == Kind::Zygote || process.name == FUNCTION;
        ensure!(all.iter().all(named), "{all:?}");
    }
    let pids = |all: &[Process]| -> BTreeSet<u32> { all.iter().map(|one| one.pid).collect() };
    let both = pids(&of_one)
        .intersection(&pids(&of_other))
        .copied()
        .collect::<Vec<_>>();
    ensure!(both.is_empty(), "{both:?} belong to both");
    // What ends with the one is nothing to the other.
    one.signal("KILL").await?;
    one.ended().await?;
    for process in of_one {
        until(|| Ok((!is_alive(process.pid)).then_some(())))
            .await?
            .with_context(|| format!("{process:?} outlived its edge"))?;
    }
    ensure!(other.family().all()? == of_other, "the other has changed");
    ask(&other).await?;
    other.assert_healthy().await
}

/// A cell of a template that is gone, of a zygote that is gone, is still found, and still answers.
async fn orphans() -> anyhow::Result<()> {
    let server = serve().await?;
    let family = server.family();
    let cells = family.cells(FUNCTION)?;
    let mut gone = family.templates(FUNCTION)?;
    let zygote = family.zygote()?.context("no zygote")?;
    gone.push(zygote);
    for pid in &gone {
        program::signal(*pid, "KILL").await?;
        until(|| Ok((!is_alive(*pid)).then_some(())))
            .await?
            .context("it does not die")?;
    }
    ask(&server).await?;
    ensure!(family.cells(FUNCTION)? == cells, "{:?}", family.all()?);
    until(|| Ok(family.zygote()?.filter(|next| *next != zygote)))
        .await?
        .context("no other zygote")?;
    ensure!(family.cells(FUNCTION)? == cells, "{:?}", family.all()?);
    server.assert_healthy().await
}
