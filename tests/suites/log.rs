//! A log that cannot be written: serving goes on, and what was lost is counted.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::area::{function, merge, node, table};
use crate::harness::client::Version;
use crate::harness::server::folder;
use crate::harness::{Connection, Request, World, program};

const HOST: &str = "log.test";

/// More than a pipe holds of their records.
const REQUESTS: usize = 1_000;

const DEADLINE: Duration = Duration::from_secs(30);

const WORKER: &str = "export default { fetch() { return new Response('hi'); } };\n";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("log::on_a_full_disk", async |_| full().await),
        world.trial("log::that_nobody_reads", async |_| unread().await),
    ]
}

/// A node whose log goes elsewhere, where nobody learns from it where the node listens.
struct Node {
    http: SocketAddr,
    admin: SocketAddr,
    process: Child,
    _folder: TempDir,
}

impl Node {
    async fn start(log: Stdio) -> anyhow::Result<Self> {
        let free = || std::net::TcpListener::bind("127.0.0.1:0")?.local_addr();
        let (http, admin) = (free()?, free()?);
        let mut config = node(table([("hello", function("worker.js", HOST).into())]));
        let keys = table([
            ("http", http.to_string().into()),
            ("admin", admin.to_string().into()),
        ]);
        merge(&mut config, table([("server", keys.into())]));
        merge(
            &mut config,
            table([("log", table([("requests", "all".into())]).into())]),
        );
        let folder = folder(&config, &[("worker.js", WORKER)])?;
        let process = Command::new(program::holm())
            .args(["serve", "holm.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let node = Self {
            http,
            admin,
            process,
            _folder: folder,
        };
        let is_up = program::until(|| Ok(std::net::TcpStream::connect(http).ok())).await?;
        is_up.context("it does not listen")?;
        Ok(node)
    }

    /// Each of them is answered.
    async fn serve(&self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.http, Version::Http1).await?;
        for number in 0..REQUESTS {
            let answer = timeout(DEADLINE, connection.exchange(Request::get(HOST, "/"))).await??;
            ensure!(answer.body == "hi", "{number}: {answer:?}");
        }
        Ok(())
    }

    async fn lost(&self) -> anyhow::Result<f64> {
        let metrics = Request::get("127.0.0.1", "/metrics").send(self.admin);
        let metrics = timeout(DEADLINE, metrics).await??;
        let text = String::from_utf8(metrics.body.into())?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("holm_log_entries_lost_total "));
        Ok(line.context("no such metric")?.parse()?)
    }

    /// Told to, it ends in time, however much of its log waits.
    async fn end(mut self) -> anyhow::Result<()> {
        let pid = self.process.id().context("it has ended")?;
        program::signal(pid, "TERM").await?;
        timeout(DEADLINE, self.process.wait()).await??;
        Ok(())
    }
}

async fn full() -> anyhow::Result<()> {
    let disk = std::fs::OpenOptions::new().write(true).open("/dev/full")?;
    let node = Node::start(disk.into()).await?;
    node.serve().await?;
    // Records are written a moment after their answers.
    let since = std::time::Instant::now();
    loop {
        let lost = node.lost().await?;
        if lost >= REQUESTS as f64 {
            break;
        }
        ensure!(since.elapsed() < DEADLINE, "{lost} are lost");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    node.serve().await?;
    node.end().await
}

async fn unread() -> anyhow::Result<()> {
    let (reader, writer) = std::io::pipe()?;
    let node = Node::start(writer.into()).await?;
    node.serve().await?;
    // They wait, and there is room for them.
    ensure!(node.lost().await? == 0.0);
    node.serve().await?;
    node.end().await?;
    drop(reader);
    Ok(())
}
