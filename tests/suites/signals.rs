//! Signals other than the one that drains in peace, and what a process starts with.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Response;
use hyper::body::Incoming;
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{interval, timeout};

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::processes::Family;
use crate::harness::{Connection, Request, Server, World, program};

const HOST: &str = "signals.test";

/// Longer than any of these tests waits: nothing here ends because the drain is over.
const DRAIN: &str = "10min";

/// By then a process that was told to end has ended.
const PATIENCE: Duration = Duration::from_secs(45);

/// Time between two signals that are meant as two.
const APART: Duration = Duration::from_millis(700);

/// More than a pipe holds, and no more than a request may log.
const CHATTER: usize = 48 << 10;

const WORKER: &str = "export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/open') return new Response(new ReadableStream({
      start(stream) { stream.enqueue(new TextEncoder().encode('open')); },
      pull() { return new Promise((done) => setTimeout(done, 600_000)); },
    }));
    if (pathname === '/talk') console.log('x'.repeat(env.CHATTER));
    return new Response('hi');
  },
};
";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    let second = |name: &'static str, first, then| {
        world.trial(format!("signals::{name}"), async move |_| {
            second(first, then).await
        })
    };
    vec![
        second("a_second_sigterm_ends_at_once", "TERM", "TERM"),
        second("a_second_ctrl_c_ends_at_once", "INT", "INT"),
        world.trial("signals::hang_up_reloads", async |_| hung_up().await),
        world.trial("signals::a_terminal_that_goes_away", async |_| {
            terminal_gone().await
        }),
        world.trial("signals::nohup_is_kept_to", async |_| nohup().await),
        world.trial("signals::others_are_ignored", async |_| ignored().await),
        world.trial("signals::while_functions_start", async |_| early().await),
        world.trial("signals::a_log_that_nobody_reads", async |_| unread().await),
        world.trial("signals::files_up_to_the_hard_limit", async |_| {
            files().await
        }),
    ]
}

fn config() -> toml::Table {
    let mut keys = function("worker.js", HOST);
    let vars = table([("CHATTER", i64::try_from(CHATTER).unwrap_or_default().into())]);
    keys.insert("vars".to_owned(), vars.into());
    keys.insert(
        "limits".to_owned(),
        table([("wall", "15min".into())]).into(),
    );
    let mut config = node(table([("signals", keys.into())]));
    merge(
        &mut config,
        table([("server", table([("drain", DRAIN.into())]).into())]),
    );
    config
}

/// A folder with the configuration and the function.
fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("worker.js"), WORKER)?;
    std::fs::write(folder.path().join("holm.toml"), toml::to_string(&config())?)?;
    Ok(folder)
}

async fn serve() -> anyhow::Result<Server> {
    Server::serve(&config(), &[("worker.js", WORKER)]).await
}

/// A request that is answered as long as nobody ends it.
async fn open(server: &Server) -> anyhow::Result<(Connection, Response<Incoming>)> {
    let mut connection = Connection::open(server.address(), Version::Http1).await?;
    let answer = connection.head(Request::get(HOST, "/open")).await?;
    ensure!(answer.status() == 200, "status {}", answer.status());
    Ok((connection, answer))
}

fn says<'a>(part: &'a str, signal: &'a str) -> impl FnMut(&Value) -> bool + 'a {
    move |line| {
        line["signal"] == signal && line["msg"].as_str().is_some_and(|text| text.contains(part))
    }
}

/// Sends a signal again and again until the process has ended.
async fn insist(server: &Server, name: &str) -> anyhow::Result<ExitStatus> {
    let again = async {
        let mut again = interval(APART);
        loop {
            again.tick().await;
            // It may have ended between two.
            let _ = server.signal(name).await;
        }
    };
    tokio::select! {
        ended = server.ended() => ended,
        () = again => bail!("not reached"),
    }
}

async fn second(first: &str, then: &str) -> anyhow::Result<()> {
    let server = serve().await?;
    let _open = open(&server).await?;
    server.signal(first).await?;
    let name = format!("SIG{first}");
    let draining = server.log().first("drain", says("draining", &name)).await?;
    let text = draining.to_string();
    ensure!(text.contains("second"), "no word of a second one: {text}");
    let status = insist(&server, then).await?;
    ensure!(status.code() == Some(5), "ended with {status}");
    let name = format!("SIG{then}");
    server.log().first("end", says("at once", &name)).await?;
    Ok(())
}

async fn hung_up() -> anyhow::Result<()> {
    let server = serve().await?;
    let _open = open(&server).await?;
    let reloaded = |line: &Value| line["msg"] == "reloaded";
    for times in 0..2 {
        server.signal("HUP").await?;
        server.log().nth("reload", times, reloaded).await?;
    }
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "hi", "{answer:?}");
    // While it drains, it is too late for that.
    server.signal("TERM").await?;
    server
        .log()
        .first("drain", says("draining", "SIGTERM"))
        .await?;
    server.signal("HUP").await?;
    let already = says("already", "SIGHUP");
    server.log().first("no reload", already).await?;
    server.assert_healthy().await
}

/// On a terminal the same signal says that nobody is there any more.
async fn terminal_gone() -> anyhow::Result<()> {
    // script(1) makes a terminal, and hangs it up when it is killed.
    let folder = folder()?;
    let log = folder.path().join("holm.log");
    let holm = program::holm();
    let holm = holm.to_str().context("a path")?;
    // Whoever runs the tests may ignore the signal, as nohup(1) does, and then so would the server.
    let command = format!(
        "exec env --default-signal=HUP {holm} serve holm.toml 2>{}",
        log.display()
    );
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let said = |part: &'static str| {
        let log = log.clone();
        move || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            Ok(text.contains(part).then_some(()))
        }
    };
    // From here on it drains.
    program::until(said("\"listening\""))
        .await?
        .context("it does not listen")?;
    terminal.start_kill()?;
    terminal.wait().await?;
    program::until(said("\"draining"))
        .await?
        .context("no drain")?;
    program::until(said("\"ended\"")).await?.context("no end")?;
    Ok(())
}

/// Who starts it with nohup means it to outlive the terminal.
async fn nohup() -> anyhow::Result<()> {
    let folder = folder()?;
    let args = ["serve", "holm.toml"];
    let server = Server::spawn_after("trap '' HUP", &args, folder.path()).await?;
    server.signal("HUP").await?;
    server.signal("USR1").await?;
    // Signals come one after the other: this one was behind the other.
    let ignored = says("ignored", "SIGUSR1");
    server.log().first("line", ignored).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "hi", "{answer:?}");
    server.assert_healthy().await
}

async fn ignored() -> anyhow::Result<()> {
    let server = serve().await?;
    server.signal("USR1").await?;
    let ignored = says("ignored", "SIGUSR1");
    server.log().first("line", ignored).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "hi", "{answer:?}");
    server.assert_healthy().await?;
    // `holm dev` has no successor either.
    let folder = folder()?;
    let args = ["dev", "--port", "0", "worker.js"];
    let server = Server::spawn(&args, folder.path()).await?;
    server.signal("USR2").await?;
    let ignored = says("ignored", "SIGUSR2");
    server.log().first("line", ignored).await?;
    Ok(())
}

/// There is nothing to drain yet.
async fn early() -> anyhow::Result<()> {
    let folder = folder()?;
    let endless = "await new Promise((done) => setTimeout(done, 600_000));\n";
    std::fs::write(folder.path().join("worker.js"), endless)?;
    let mut child = Command::new(program::holm())
        .args(["serve", "holm.toml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().context("no id")?;
    // The function starts: signals have been heard for a while.
    let family = Family::of(pid);
    let starts = || Ok(family.templates("signals")?.pop());
    let template = program::until(starts).await?;
    template.context("the function does not start")?;
    program::signal(pid, "TERM").await?;
    let status = timeout(PATIENCE, child.wait()).await??;
    ensure!(!status.success(), "ended with {status}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    ensure!(signal == Some(15), "ended with {status}");
    Ok(())
}

/// The process ends although nobody reads its log, and says that it could not write it.
async fn unread() -> anyhow::Result<()> {
    let folder = folder()?;
    let mut child = Command::new(program::holm())
        .args(["serve", "holm.toml"])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().context("no id")?;
    let stderr = child.stderr.take().context("no stderr")?;
    let mut lines = BufReader::new(stderr).lines();
    let address = loop {
        let line = lines.next_line().await?.context("ended early")?;
        let line: Value = serde_json::from_str(&line)?;
        if line["msg"] == "listening" {
            break line["addr"].as_str().context("no addr")?.parse()?;
        }
    };
    // From here on nobody reads. Four of them fill the pipe and the reader's buffer for sure.
    for _ in 0..4 {
        let answer = Request::get(HOST, "/talk").send(address).await?;
        ensure!(answer.body == "hi", "{answer:?}");
    }
    program::signal(pid, "TERM").await?;
    let status = timeout(PATIENCE, child.wait())
        .await
        .context("still running")??;
    ensure!(status.code() == Some(1), "ended with {status}");
    drop(lines);
    Ok(())
}

async fn files() -> anyhow::Result<()> {
    let folder = folder()?;
    let lower = "ulimit -Sn 200; ulimit -Hn 1000";
    for args in [
        &["serve", "holm.toml"][..],
        &["dev", "worker.js", "--port", "0"],
    ] {
        let server = Server::spawn_after(lower, args, folder.path()).await?;
        let limits = program::file_limits(server.pid())?;
        let hard = ("1000".to_owned(), "1000".to_owned());
        ensure!(limits == hard, "{args:?}: {limits:?}");
    }
    Ok(())
}
