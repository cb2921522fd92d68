//! The server under test: `holm serve` or `holm dev` as a child process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::log::{Log, is_record, record_host, record_path};
use super::processes::Family;
use super::program;

/// How long the server may take to end once asked; above its own drain deadline in the tests.
const EXIT_DEADLINE: Duration = Duration::from_secs(45);

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    address: SocketAddr,
    pid: u32,
    family: Family,
    child: Mutex<Child>,
    log: Log,
    /// Keeps the folder of the configuration until the process is gone.
    folder: Option<TempDir>,
}

impl Server {
    /// Serves this configuration from a folder of its own that also holds `files`, by name.
    pub(crate) async fn serve(
        config: &toml::Table,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // A SIGHUP that is ignored when the tests start, as under nohup, would be ignored by Holm, too,
        // as it has to be.
        Self::serve_by(&["env", "--default-signal=HUP"], config, files).await
    }

    /// The same, started by a program that becomes another, whose arguments follow its own.
    pub(crate) async fn serve_by(
        starter: &[&str],
        config: &toml::Table,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = folder(config, files)?;
        let (program, args) = starter.split_first().context("started by nothing")?;
        let mut command = Command::new(program);
        command.args(args).arg(program::holm());
        command.args(["serve", "holm.toml"]);
        let mut server = Self::start(&mut command, folder.path()).await?;
        server.folder = Some(folder);
        Ok(server)
    }

    /// Starts `holm ARGS` and waits until it listens.
    pub(crate) async fn spawn(args: &[&str], folder: &Path) -> anyhow::Result<Self> {
        // As in `serve`.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP").arg(program::holm());
        Self::start(command.args(args), folder).await
    }

    /// As [`Server::spawn`], by a shell that runs `before` and then becomes the program.
    pub(crate) async fn spawn_after(
        before: &str,
        args: &[&str],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let script = format!("{before}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("sh");
        let shell = shell.arg("-c").arg(script).arg(program::holm()).args(args);
        Self::start(shell, folder).await
    }

    async fn start(command: &mut Command, folder: &Path) -> anyhow::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Self::start_as_it_is(command, folder).await
    }

    /// As [`Server::start`], with whatever the command says of standard input and output.
    pub(crate) async fn start_as_it_is(
        command: &mut Command,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut child = command
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let pid = child.id().context("the process has no id")?;
        let stderr = child.stderr.take().context("the process has no stderr")?;
        let log = Log::follow(stderr);
        let ready = log
            .first("`listening` event", |line| line["msg"] == "listening")
            .await?;
        let address = ready["addr"]
            .as_str()
            .context("`listening` has no addr")?
            .parse()?;
        let family = Family::of(pid);
        // The first look: from here on all that comes from this zygote is known by its process group.
        family.all()?;
        Ok(Self {
            address,
            pid,
            family,
            child: Mutex::new(child),
            log,
            folder: None,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for HTTPS.
    pub(crate) async fn https(&self) -> anyhow::Result<SocketAddr> {
        let is_https = |line: &Value| line["msg"] == "listening" && line["scheme"] == "https";
        let line = self.log.first("address for HTTPS", is_https).await?;
        let address = line["addr"].as_str().context("`listening` has no addr")?;
        Ok(address.parse()?)
    }

    /// The folder of its configuration, if it was made for it.
    pub(crate) fn folder(&self) -> anyhow::Result<&Path> {
        let folder = self.folder.as_ref().map(TempDir::path);
        folder.context("its folder is somebody else's")
    }

    /// Its edge: the process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its log.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The record of the `nth` request (from 0) to this host, method and path.
    pub(crate) async fn record(
        &self,
        host: &str,
        method: &str,
        path: &str,
        nth: usize,
    ) -> anyhow::Result<Value> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let what = format!("record of {method} {host}{path}");
        let matches = |line: &Value| {
            is_record(line)
                && record_host(line) == host
                && record_path(line) == path
                && line["method"] == method
        };
        self.log.nth(&what, nth, matches).await
    }

    /// The processes that were forked for it.
    pub(crate) fn family(&self) -> &Family {
        &self.family
    }

    /// Memory that all its processes hold now, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        self.family.memory()
    }

    /// Asks it to drain and end.
    pub(crate) async fn terminate(&self) -> anyhow::Result<()> {
        self.signal("TERM").await
    }

    /// Sends it a signal, by its name without SIG.
    pub(crate) async fn signal(&self, name: &str) -> anyhow::Result<()> {
        program::signal(self.pid, name).await
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> anyhow::Result<ExitStatus> {
        let mut child = self.child.lock().await;
        match tokio::time::timeout(EXIT_DEADLINE, child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("still running after {EXIT_DEADLINE:?}\n{}", self.log.tail()),
        }
    }

    /// Fails unless the process still runs and has logged nothing but JSON since last asked.
    pub(crate) async fn assert_healthy(&self) -> anyhow::Result<()> {
        if let Some(status) = self.child.lock().await.try_wait()? {
            bail!("the server ended: {status}\n{}", self.log.tail());
        }
        let stray = self.log.take_stray();
        if !stray.is_empty() {
            let first: Vec<&str> = stray.iter().take(20).map(String::as_str).collect();
            bail!(
                "the server wrote {} lines that are no JSON:\n{}",
                stray.len(),
                first.join("\n")
            );
        }
        Ok(())
    }
}

/// A folder with a configuration, `holm.toml`, and what belongs to it. Every user may read it.
pub(crate) fn folder(config: &toml::Table, files: &[(&str, &str)]) -> anyhow::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().context("no temporary folder")?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text)?;
    }
    std::fs::write(folder.path().join("holm.toml"), toml::to_string(config)?)?;
    Ok(folder)
}

/// A path as text, for an argument.
pub(crate) fn path_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
