//! A node that is replaced by others.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::program::{self, Finished, until};
use crate::harness::tls::Pair;
use crate::harness::{Server, server};

pub(super) const HOST: &str = "upgrade.test";

const WORKER: &str = "export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    if (pathname === '/wait') {
      const { readable, writable } = new TransformStream();
      const writer = writable.getWriter();
      writer.write(new TextEncoder().encode('begin '));
      fetch(`${env.ORIGIN}/gone${search}`).then(async (response) => {
        await writer.write(new TextEncoder().encode(await response.text()));
        if (search.includes('log')) console.log('o'.repeat(60_000));
        await writer.close();
      });
      return new Response(readable);
    }
    if (pathname === '/log') console.log('n'.repeat(60_000));
    if (pathname === '/socket') {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener('message', ({ data }) => server.send(data));
      return new Response(null, { status: 101, webSocket: client });
    }
    return new Response(env.WORD);
  },
};
";

/// The first of them, and its successors. They end with it.
pub(super) struct Node {
    pub(super) server: Server,
    pub(super) pair: Pair,
    folder: TempDir,
    config: Mutex<Table>,
    /// Processes that nobody else ends.
    heirs: Mutex<Vec<u32>>,
}

impl Node {
    /// Serves the configuration that `change` makes of one with a function, HTTP, HTTPS and an admin socket.
    pub(super) async fn serve(change: impl FnOnce(&mut Table)) -> anyhow::Result<Self> {
        Self::serve_files(change, &[], &[]).await
    }

    /// The same, with these files, by name, and variables.
    pub(super) async fn serve_files(
        change: impl FnOnce(&mut Table),
        files: &[(&str, &str)],
        variables: &[(&str, OsString)],
    ) -> anyhow::Result<Self> {
        let mut keys = function("worker.js", HOST);
        keys.insert("vars".to_owned(), table([("WORD", "one".into())]).into());
        let mut config = node(table([("site", keys.into())]));
        let of_server = table([
            ("https", "127.0.0.1:0".into()),
            ("admin", "unix:admin.sock".into()),
            ("drain", "20s".into()),
        ]);
        let certificate = table([("cert", "site.pem".into()), ("key", "site.key".into())]);
        let log = table([("requests", "all".into())]);
        let extra = table([
            ("server", of_server.into()),
            ("tls", vec![toml::Value::Table(certificate)].into()),
            ("node", table([("watch", false.into())]).into()),
            ("log", log.into()),
            (
                "egress",
                table([("allow", vec!["127.0.0.1/32"].into())]).into(),
            ),
        ]);
        merge(&mut config, extra);
        change(&mut config);
        let mut all = vec![("worker.js", WORKER)];
        all.extend(files);
        let folder = server::folder(&config, &all)?;
        let pair = Pair::new(&[HOST])?;
        pair.write(folder.path(), "site")?;
        // By a link, so that another program can take the place of this one.
        symlink(program::holm(), folder.path().join("holm"))?;
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP");
        command.arg(folder.path().join("holm"));
        command.args(["serve", "holm.toml"]);
        for (name, value) in variables {
            command.env(name, value);
        }
        let command = command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null());
        let server = Server::start_as_it_is(command, folder.path()).await?;
        Ok(Self {
            server,
            pair,
            folder,
            config: Mutex::new(config),
            heirs: Mutex::default(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has the file say something else.
    pub(super) fn configure(&self, change: impl FnOnce(&mut Table)) -> anyhow::Result<()> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut config);
        Ok(std::fs::write(
            self.path("holm.toml"),
            toml::to_string(&*config)?,
        )?)
    }

    /// Has what is started next be this program.
    pub(super) fn replace_program(&self, program: &Path) -> anyhow::Result<()> {
        symlink(program, self.path("next"))?;
        Ok(std::fs::rename(self.path("next"), self.path("holm"))?)
    }

    pub(super) async fn holm(&self, args: &[&str]) -> anyhow::Result<Finished> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        program::run(self.folder.path(), &args).await
    }

    pub(super) async fn upgrade(&self) -> anyhow::Result<Finished> {
        self.upgrade_at("admin.sock").await
    }

    /// `holm upgrade`, asking that socket.
    pub(super) async fn upgrade_at(&self, socket: &str) -> anyhow::Result<Finished> {
        let admin = format!("unix:{}", self.path(socket).display());
        let finished = self.holm(&["upgrade", "--admin", &admin]).await?;
        self.remember().await?;
        Ok(finished)
    }

    /// Those that the log speaks of are there to be ended.
    pub(super) async fn remember(&self) -> anyhow::Result<()> {
        let mut pids = Vec::new();
        for event in self.server.log().events("info") {
            if event["msg"] == "upgraded: another process serves" {
                let pid = event["successor"].as_u64().context("it has no number")?;
                pids.push(u32::try_from(pid)?);
            }
        }
        *self.heirs.lock().unwrap_or_else(PoisonError::into_inner) = pids;
        Ok(())
    }

    /// Waits until the process before the `nth` successor has ended.
    pub(super) async fn is_alone(&self, nth: usize) -> anyhow::Result<()> {
        let is_end = |line: &Value| line["msg"] == "the node before this one has ended";
        self.server.log().nth("end of a node", nth, is_end).await?;
        Ok(())
    }

    pub(super) async fn status(&self) -> anyhow::Result<Value> {
        let status = self.holm(&["status", "--json"]).await?;
        ensure!(status.status.success(), "{status:?}");
        Ok(serde_json::from_str(&status.stdout)?)
    }

    /// The process that serves.
    pub(super) async fn pid(&self) -> anyhow::Result<u32> {
        let status = self.status().await?;
        ensure!(status["stage"] == "serving", "{status}");
        let pid = status["node"]["pid"].as_u64();
        Ok(u32::try_from(pid.context("it has no number")?)?)
    }

    /// Sends a signal to it.
    pub(super) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        program::signal(self.pid().await?, name).await
    }

    /// Processes that work in the folder: the node's edges, and what was started in its place.
    pub(super) fn processes(&self) -> anyhow::Result<Vec<u32>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let path = entry?.path();
            let pid = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            if let Some(pid) = pid
                && is_in(pid, self.folder.path())
                && !is_a_function(&path)
            {
                all.push(pid);
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Waits until it starts a successor.
    pub(super) async fn starts_another(&self) -> anyhow::Result<()> {
        let is_start = |line: &Value| line["msg"] == "upgrading: a successor starts";
        self.server
            .log()
            .first("start of another", is_start)
            .await?;
        Ok(())
    }

    /// Waits until there are these alone.
    pub(super) async fn only(&self, pids: &[u32]) -> anyhow::Result<()> {
        let mut seen = Vec::new();
        let alone = until(|| {
            seen = self.processes()?;
            Ok((seen == pids).then_some(()))
        });
        alone
            .await?
            .with_context(|| format!("{seen:?}, not {pids:?}"))
    }
}

/// Whether a process works in this folder.
fn is_in(pid: u32, folder: &Path) -> bool {
    std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
}

/// Whether it is a zygote, or comes from one.
fn is_a_function(process: &Path) -> bool {
    let line = std::fs::read_to_string(process.join("cmdline"));
    line.map_or(true, |line| line.is_empty() || line.starts_with("holm: "))
}

impl Drop for Node {
    fn drop(&mut self) {
        let heirs = self.heirs.get_mut().unwrap_or_else(PoisonError::into_inner);
        for pid in heirs.iter().filter(|pid| is_in(**pid, self.folder.path())) {
            // It may end by itself meanwhile.
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}
