//! `holm status`, `holm top`, `holm reload`.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value;

use super::{HOST, with_socket};
use crate::harness::program::Finished;
use crate::harness::{Request, World, program};

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("admin::commands_ask_the_node_of_the_file", async |world| {
            of_the_file(&world).await
        }),
        world.trial("admin::reload_says_what_came_of_it", async |world| {
            reload(&world).await
        }),
        world.trial("admin::commands_say_why_nobody_answers", async |_| {
            nobody().await
        }),
    ]
}

async fn holm(folder: &Path, args: &str) -> anyhow::Result<Finished> {
    let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    program::run(folder, &args).await
}

async fn of_the_file(world: &World) -> anyhow::Result<()> {
    let (server, folder) = with_socket(world).await?;
    let folder = folder.path();
    Request::get(HOST, "/throw").send(server.address()).await?;
    let record = server.record(HOST, "GET", "/throw", 0).await?;
    let id = record["requestId"].as_str().unwrap_or("no id");
    let socket = folder.join("admin.sock");
    for args in [
        "status".to_owned(),
        format!("status --admin unix:{}", socket.display()),
    ] {
        let status = holm(folder, &args).await?;
        ensure!(status.status.success(), "{status:?}");
        let address = format!("listens on http://{}", server.address());
        for part in ["serving", "FUNCTION", "site", "exception", id, &address] {
            ensure!(
                status.stdout.contains(part),
                "no {part} in {}",
                status.stdout
            );
        }
    }
    let json = holm(folder, "status --json").await?;
    let json: Value = serde_json::from_str(&json.stdout)?;
    ensure!(json["functions"][0]["totals"]["requests"] == 1, "{json}");
    // Once, as nobody looks on; and nothing that a terminal would obey.
    let top = holm(folder, "top --interval 0.2").await?;
    ensure!(
        top.status.success() && top.stdout.contains("REQ/S"),
        "{top:?}"
    );
    ensure!(!top.stdout.contains('\x1b'), "{top:?}");
    // Problems elsewhere in the file are in nobody's way.
    let file = folder.join("holm.toml");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace("worker.js", "gone.js"))?;
    let status = holm(folder, "status").await?;
    ensure!(status.status.success(), "{status:?}");
    server.terminate().await?;
    ensure!(server.ended().await?.success());
    let late = holm(folder, "status").await?;
    ensure!(late.status.code() == Some(1), "{late:?}");
    ensure!(late.stderr.contains("no node answers at unix:"), "{late:?}");
    Ok(())
}

async fn reload(world: &World) -> anyhow::Result<()> {
    let (server, folder) = with_socket(world).await?;
    let folder = folder.path();
    let status = async || {
        let status = holm(folder, "status --json").await?;
        anyhow::Ok(serde_json::from_str::<Value>(&status.stdout)?)
    };
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    write(
        "worker.js",
        "export default { fetch: () => new Response('second') };",
    )?;
    let done = holm(folder, "reload").await?;
    ensure!(done.status.success(), "{done:?}");
    ensure!(
        done.stdout.contains("functions that answer: 1\n"),
        "{done:?}"
    );
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "second", "{answer:?}");

    // What does not start stays what it was.
    write("worker.js", "throw new Error('no stock at all');")?;
    let done = holm(folder, "reload").await?;
    ensure!(done.status.code() == Some(3), "{done:?}");
    ensure!(done.stderr.contains("no stock at all"), "{done:?}");
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "second", "{answer:?}");
    let now = status().await?;
    let function = &now["functions"][0];
    ensure!(function["isOlder"] == true, "{now}");
    let why = function["why"].as_str().unwrap_or_default();
    ensure!(why.contains("no stock at all"), "{now}");
    let problem = now["reloads"]["lastProblem"]["message"].as_str();
    ensure!(
        problem.is_some_and(|text| text.contains("no stock")),
        "{now}"
    );
    let table = holm(folder, "status").await?.stdout;
    ensure!(table.contains("no stock at all"), "{table}");

    let file = std::fs::read_to_string(folder.join("holm.toml"))?;
    write("holm.toml", &file.replace("version = 1", "version = 7"))?;
    let done = holm(folder, "reload").await?;
    ensure!(done.status.code() == Some(2), "{done:?}");
    ensure!(done.stderr.contains("holm.toml:1"), "{done:?}");
    let now = status().await?;
    ensure!(now["reloads"]["failed"].as_u64() > Some(0), "{now}");

    write("holm.toml", &file)?;
    write(
        "worker.js",
        "export default { fetch: () => new Response('third') };",
    )?;
    let done = holm(folder, "reload").await?;
    ensure!(done.status.success(), "{done:?}");
    let now = status().await?;
    ensure!(now["reloads"].get("lastProblem").is_none(), "{now}");
    server.assert_healthy().await
}

async fn nobody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (server, code, part) in [
        ("", 1, "admin = \"127.0.0.1:9090\""),
        ("admin = \"127.0.0.1:0\"", 1, "any free port"),
        ("admin = \"unix:none.sock\"", 1, "no node answers"),
        (
            "admin = \"localhost:1\"",
            2,
            "did you mean \"127.0.0.1:1\"?",
        ),
        ("admin = \"0.0.0.0:9090\"", 2, "without a token"),
    ] {
        let text = format!("version = 1\n[server]\n{server}\n");
        std::fs::write(folder.path().join("holm.toml"), text)?;
        for command in ["status", "top", "reload"] {
            let said = holm(folder.path(), command).await?;
            ensure!(said.status.code() == Some(code), "{server}: {said:?}");
            ensure!(said.stderr.contains(part), "{server}: {said:?}");
        }
    }
    let missing = holm(folder.path(), "status --config other.toml").await?;
    ensure!(missing.status.code() == Some(2), "{missing:?}");
    Ok(())
}
