//! Scripts are compiled in processes of their own, forked from the zygote, which may die and never outlives the node.

use std::fs;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;

use crate::harness::processes::is_alive;
use crate::harness::program::until;
use crate::harness::server::path_text;
use crate::harness::{Request, Server, World, program};

const HOST: &str = "app.localhost";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("compilers::a_zygote_that_dies_is_replaced", async |_| {
            replaced().await
        }),
        world.trial("compilers::nothing_outlives_the_node", async |_| {
            outlived().await
        }),
        world.trial("compilers::are_not_for_people", async |_| alone().await),
    ]
}

fn script(says: &str) -> String {
    format!(
        "const text: string = '{says}';\nexport default {{ fetch: () => new Response(text) }};\n"
    )
}

async fn replaced() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("app.ts");
    fs::write(&file, script("one"))?;
    let server = Server::spawn(&["dev", path_text(&file)?, "--port", "0"], folder.path()).await?;
    let zygote = server
        .family()
        .zygote()?
        .context("the node has no zygote")?;
    program::signal(zygote, "KILL").await?;
    until(|| Ok((!is_alive(zygote)).then_some(())))
        .await?
        .context("the zygote does not die")?;
    fs::write(&file, script("two"))?;
    let is_reload = |line: &serde_json::Value| line["msg"] == "reloaded";
    server.log().first("`reloaded` event", is_reload).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "two", "got {:?}", answer.body);
    let next = server
        .family()
        .zygote()?
        .context("there is no other zygote")?;
    ensure!(next != zygote, "{zygote} lives again");
    server.assert_healthy().await
}

/// However it ends.
async fn outlived() -> anyhow::Result<()> {
    for signal in ["KILL", "ABRT", "TERM"] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("app.ts");
        fs::write(&file, script("one"))?;
        let server =
            Server::spawn(&["dev", path_text(&file)?, "--port", "0"], folder.path()).await?;
        let zygote = server
            .family()
            .zygote()?
            .context("the node has no zygote")?;
        server.signal(signal).await?;
        server.ended().await?;
        let ended = until(|| Ok((!is_alive(zygote)).then_some(()))).await?;
        ended.with_context(|| format!("the zygote outlived a node that got {signal}"))?;
    }
    Ok(())
}

/// Somebody who tries the argument is told what it is.
async fn alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let ended = program::run(folder.path(), &["--zygote".to_owned()]).await?;
    ensure!(ended.status.code() == Some(1), "{}", ended.status);
    ensure!(
        ended.stderr.contains("this is started by Holm itself"),
        "{}",
        ended.stderr
    );
    Ok(())
}
