//! Successors that are none: the node goes on, and who asked is told.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value;

use super::load::Load;
use super::node::{HOST, Node};
use crate::harness::area::{function, merge, table};
use crate::harness::program::Finished;
use crate::harness::{Request, World, program};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("upgrade::a_file_that_does_not_hold", async |_| {
            bad_file().await
        }),
        world.trial("upgrade::a_function_that_does_not_start", async |_| {
            bad_function().await
        }),
        world.trial("upgrade::a_program_that_is_none", async |_| {
            bad_program().await
        }),
        world.trial("upgrade::a_successor_that_hangs", async |_| hangs().await),
        world.trial("upgrade::the_end_comes_meanwhile", async |_| {
            meanwhile().await
        }),
    ]
}

/// Not upgraded, with that exit code and those words, on stderr and in log, status and metrics.
async fn not(node: &Node, done: &Finished, code: i32, words: &str) -> anyhow::Result<()> {
    ensure!(done.status.code() == Some(code), "{done:?}");
    ensure!(done.stderr.contains(words), "{done:?}");
    let logged = |line: &Value| {
        let text = line["msg"].as_str().unwrap_or_default();
        line["level"] == "error" && text.starts_with("not upgraded: ") && text.contains(words)
    };
    node.server.log().first("line about it", logged).await?;
    let status = node.status().await?;
    let message = status["upgrades"]["lastProblem"]["message"].as_str();
    ensure!(message.is_some_and(|text| text.contains(words)), "{status}");
    let answer = Request::get(HOST, "/").send(node.server.address()).await?;
    ensure!(answer.body == "one", "{answer:?}");
    // The one that was started first, alone.
    node.only(&[node.server.pid()]).await
}

async fn bad_file() -> anyhow::Result<()> {
    let node = Node::serve(|_| {}).await?;
    let load = Load::on(&node).await?;
    load.more(20).await?;
    let good = std::fs::read_to_string(node.path("holm.toml"))?;
    let bad = format!("{good}\n[limits]\nmemry = 1\n");
    std::fs::write(node.path("holm.toml"), bad)?;
    let done = node.upgrade().await?;
    not(&node, &done, 2, "memry").await?;
    ensure!(done.stderr.contains("holm.toml:"), "{done:?}");
    // An address that somebody else has is as bad.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    node.configure(|config| config["server"]["http"] = address.clone().into())?;
    let done = node.upgrade().await?;
    not(&node, &done, 4, &format!("{address} is in use")).await?;
    let status = node.status().await?;
    ensure!(status["upgrades"]["failed"] == 2, "{status}");
    let told = node.holm(&["status"]).await?.stdout;
    ensure!(told.contains("last upgrade failed at "), "{told}");
    std::fs::write(node.path("holm.toml"), good)?;
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    load.end().await?;
    Ok(())
}

/// One that answers in the node has to in its successor. One that does not answer anyway hinders nobody.
async fn bad_function() -> anyhow::Result<()> {
    // This one does not answer: its top level throws.
    let node = Node::serve_files(
        |config| {
            let broken = function("broken.js", "broken.test");
            merge(
                config,
                table([("functions", table([("broken", broken.into())]).into())]),
            );
        },
        &[("broken.js", "throw new Error('as ever');\n")],
        &[],
    )
    .await?;
    let good = std::fs::read_to_string(node.path("worker.js"))?;
    std::fs::write(node.path("worker.js"), "throw new Error('no start');\n")?;
    let done = node.upgrade().await?;
    not(&node, &done, 3, "no start").await?;
    ensure!(!done.stderr.contains("as ever"), "{done:?}");
    std::fs::write(node.path("worker.js"), good)?;
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    Ok(())
}

async fn bad_program() -> anyhow::Result<()> {
    let node = Node::serve(|_| {}).await?;
    for (program, words) in [
        (PathBuf::from("/there/is/none"), "cannot start"),
        (script(&node, "exit 7")?, "exit status: 7"),
        (script(&node, "kill -SEGV $$")?, "signal: 11"),
        (
            script(&node, "echo garbage >&0; exec sleep 600")?,
            "does not understand",
        ),
    ] {
        node.replace_program(&program)?;
        let done = node.upgrade().await?;
        not(&node, &done, 1, words).await?;
    }
    node.replace_program(&PathBuf::from(program::holm()))?;
    let done = node.upgrade().await?;
    ensure!(done.status.success(), "{done:?}");
    Ok(())
}

async fn hangs() -> anyhow::Result<()> {
    let node = Node::serve(|config| {
        merge(
            config,
            table([("server", table([("upgrade_time", "8s".into())]).into())]),
        );
    })
    .await?;
    let load = Load::on(&node).await?;
    node.replace_program(&script(&node, "exec sleep 600")?)?;
    let begin = Instant::now();
    let first = node.upgrade();
    // While it is waited for, there is no second one.
    let second = async {
        node.starts_another().await?;
        let second = node.upgrade().await?;
        // A reload waits for the end of it.
        let reloaded = node.holm(&["reload"]).await?;
        ensure!(reloaded.status.success(), "{reloaded:?}");
        let log = node.server.log();
        let is = |line: &Value, text: &str| {
            let said = line["msg"].as_str().unwrap_or_default();
            said.starts_with(text)
        };
        let ended = log.first("the end of it", |line| is(line, "not upgraded"));
        let ended = ended.await?;
        let reloaded = log.first("reload", |line| is(line, "reloaded")).await?;
        ensure!(
            reloaded["time"].as_str() > ended["time"].as_str(),
            "{}",
            log.tail()
        );
        Ok(second)
    };
    let (first, second) = tokio::try_join!(first, second)?;
    ensure!(begin.elapsed().as_secs() >= 8, "{:?}", begin.elapsed());
    ensure!(second.status.code() == Some(1), "{second:?}");
    ensure!(
        second.stderr.contains("an upgrade is under way"),
        "{second:?}"
    );
    not(&node, &first, 1, "not ready within 8s").await?;
    load.end().await?;
    Ok(())
}

/// Whoever ends the node wants no successor.
async fn meanwhile() -> anyhow::Result<()> {
    let node = Node::serve(|_| {}).await?;
    node.replace_program(&script(&node, "exec sleep 600")?)?;
    let upgrade = node.upgrade();
    let end = async {
        node.starts_another().await?;
        node.server.terminate().await?;
        node.server.ended().await
    };
    let (upgrade, status) = tokio::try_join!(upgrade, end)?;
    ensure!(status.success(), "{status}");
    ensure!(upgrade.status.code() == Some(1), "{upgrade:?}");
    node.only(&[]).await
}

/// A program that does this.
fn script(node: &Node, what: &str) -> anyhow::Result<PathBuf> {
    let name: String = what.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let path = node.path(&name);
    std::fs::write(&path, format!("#!/bin/sh\n{what}\n"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}
