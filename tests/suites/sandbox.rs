//! `[node] sandbox`: what the start says of it, what cells really are, and what happens where a layer is missing.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use tokio::process::Command;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::processes::Kind;
use crate::harness::server::folder;
use crate::harness::{Request, Server, World, program};

const HOST: &str = "sandbox.test";

const WORKER: &str = "export default { fetch: () => new Response('hi') };\n";

const FILES: &[(&str, &str)] = &[("worker.js", WORKER)];

/// Becomes a program in a user namespace in which there can be no network namespaces. The setting belongs to
/// that user namespace, and goes with it: the machine stays as it was.
const WITHOUT_NETWORKS: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$0\" \"$@\"",
];

/// The layers, by the names that operators read.
const ALWAYS: &[&str] = &[
    "no_new_privs",
    "seccomp",
    "dropped capabilities",
    "not dumpable",
];

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("sandbox::the_start_says_which_layers", async |_| {
            layers().await
        }),
        world.trial("sandbox::cells_are_what_it_says", async |_| cells().await),
        world.trial("sandbox::off_is_said", async |_| off().await),
        world.trial("sandbox::required_and_missing", async |_| required().await),
        world.trial("sandbox::missing_and_not_required", async |_| {
            not_required().await
        }),
    ]
}

/// A function behind a sandbox of a kind; `None`: nothing is said of it.
fn config(sandbox: Option<&str>) -> Table {
    let mut config = node(table([("confined", function("worker.js", HOST).into())]));
    if let Some(sandbox) = sandbox {
        let sandbox = table([("sandbox", sandbox.into())]);
        merge(&mut config, table([("node", sandbox.into())]));
    }
    config
}

/// What the log says of the layers at the start; and that functions are served.
async fn told(server: &Server) -> anyhow::Result<String> {
    let line = server
        .log()
        .first("line about the sandbox", |line| line["layers"].is_string())
        .await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "hi", "{answer:?}");
    let layers = line["layers"].as_str().context("no layers")?;
    Ok(layers.to_owned())
}

async fn layers() -> anyhow::Result<()> {
    let server = Server::serve(&config(None), FILES).await?;
    let silent = told(&server).await?;
    for layer in ALWAYS {
        ensure!(silent.contains(layer), "no {layer}: {silent}");
    }
    let server = Server::serve(&config(Some("auto")), FILES).await?;
    let auto = told(&server).await?;
    ensure!(auto == silent, "auto is not the default: {auto}, {silent}");
    server.assert_healthy().await
}

/// A field of what the system says of a process.
fn status(pid: u32, key: &str) -> anyhow::Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|line| line.strip_prefix(':'));
    Ok(value
        .with_context(|| format!("no {key}"))?
        .trim()
        .to_owned())
}

async fn cells() -> anyhow::Result<()> {
    let server = Server::serve(&config(None), FILES).await?;
    let told = told(&server).await?;
    let [cell] = server.family().cells("confined")?[..] else {
        anyhow::bail!("{:?}", server.family().all()?);
    };
    let templates = server.family().templates("confined")?;
    for pid in templates.into_iter().chain([cell]) {
        for (field, expected) in [
            ("NoNewPrivs", "1"),
            ("Seccomp", "2"),
            ("CapEff", "0000000000000000"),
            ("CapPrm", "0000000000000000"),
        ] {
            let found = status(pid, field)?;
            ensure!(found == expected, "{field} of {pid} is {found}");
        }
        for (layer, space) in [
            ("user namespace", "user"),
            ("network namespace", "net"),
            ("ipc namespace", "ipc"),
            ("mount namespace", "mnt"),
        ] {
            let is_on = told.contains(layer) && !told.contains(&format!("no {layer}"));
            // Who may not trace the process may not read this.
            let Ok(theirs) = fs::read_link(format!("/proc/{pid}/ns/{space}")) else {
                println!("cannot read the namespaces of {pid} here");
                continue;
            };
            let ours = fs::read_link(format!("/proc/self/ns/{space}"))?;
            ensure!((theirs != ours) == is_on, "{layer} of {pid}: {theirs:?}");
        }
    }
    // All that it can see of the disk is nothing.
    if told.contains("mount namespace")
        && !told.contains("no mount namespace")
        && let Ok(root) = fs::read_dir(format!("/proc/{cell}/root"))
    {
        ensure!(root.count() == 0, "there are files in its root");
    }
    server.assert_healthy().await
}

async fn off() -> anyhow::Result<()> {
    let server = Server::serve(&config(Some("off")), FILES).await?;
    let told = told(&server).await?;
    ensure!(told == "off", "{told}");
    for cell in server.family().kind(Kind::Cell)? {
        let found = status(cell.pid, "Seccomp")?;
        ensure!(found == "0", "Seccomp of {} is {found}", cell.pid);
    }
    server.assert_healthy().await
}

/// Whether this system lets a test have such a user namespace; says why if not.
async fn can_miss() -> anyhow::Result<bool> {
    let (program, args) = WITHOUT_NETWORKS.split_first().context("empty")?;
    let output = Command::new(program).args(args).arg("true").output();
    let output = output.await.context("cannot run unshare(1)")?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        println!("skipped: no layer can be made to miss here: {}", why.trim());
    }
    Ok(output.status.success())
}

async fn required() -> anyhow::Result<()> {
    if !can_miss().await? {
        return Ok(());
    }
    let folder = folder(&config(Some("require")), FILES)?;
    let (program, args) = WITHOUT_NETWORKS.split_first().context("empty")?;
    let ended = Command::new(program)
        .args(args)
        .arg(program::holm())
        .args(["serve", "holm.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), ended)
        .await
        .context("it starts all the same")??;
    let said = String::from_utf8_lossy(&ended.stderr);
    let code = ended.status.code();
    ensure!(
        code.is_some_and(|code| code != 0),
        "{}: {said}",
        ended.status
    );
    for part in [
        "the sandbox has no network namespace",
        "user.max_net_namespaces",
    ] {
        ensure!(said.contains(part), "nothing of `{part}`: {said}");
    }
    ensure!(!said.contains("panicked"), "{said}");
    ensure!(!said.contains("\"listening\""), "{said}");
    Ok(())
}

async fn not_required() -> anyhow::Result<()> {
    if !can_miss().await? {
        return Ok(());
    }
    let server = Server::serve_by(WITHOUT_NETWORKS, &config(Some("auto")), FILES).await?;
    let told = told(&server).await?;
    ensure!(told.contains("; no network namespace: "), "{told}");
    ensure!(told.contains("seccomp"), "{told}");
    server.assert_healthy().await
}
