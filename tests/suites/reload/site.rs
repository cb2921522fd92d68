//! A server whose files change, and clients that ask it meanwhile.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use toml::Table;

use crate::harness::area::{function, node};
use crate::harness::client::Version;
use crate::harness::program::until;
use crate::harness::{Connection, Request, Server};
use crate::suites::drain::never_sent;

/// How long a change may take to be served, on a debug build and a busy machine.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// How often the server is asked while a change is awaited.
pub(super) const POLL: Duration = Duration::from_millis(20);

pub(super) fn host(name: &str) -> String {
    format!("{name}.reload.test")
}

/// A function that answers with a word, its own and that of a variable.
pub(super) fn says(word: &str) -> String {
    format!("export default {{ fetch: (_, env) => new Response('{word}' + (env.W ?? '')) }};\n")
}

/// A server and the folder that it serves.
pub(super) struct Site {
    pub(super) server: Server,
    folder: TempDir,
}

impl Site {
    /// Functions of these names, each of which says its name.
    pub(super) async fn serve(names: &[&str]) -> anyhow::Result<Self> {
        Self::serve_as(names, config(names)).await
    }

    pub(super) async fn serve_as(names: &[&str], config: Table) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        for name in names {
            std::fs::write(folder.path().join(format!("{name}.js")), says(name))?;
        }
        Self::start(folder, &config).await
    }

    pub(super) async fn start(folder: TempDir, config: &Table) -> anyhow::Result<Self> {
        std::fs::write(folder.path().join("holm.toml"), toml::to_string(config)?)?;
        let server = Server::spawn(&["serve", "holm.toml"], folder.path()).await?;
        Ok(Self { server, folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// In place, as some editors do.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path(name), text)?)
    }

    /// Whole at once, as others do.
    pub(super) fn replace(&self, name: &str, text: &str) -> anyhow::Result<()> {
        self.write("draft~", text)?;
        Ok(std::fs::rename(self.path("draft~"), self.path(name))?)
    }

    pub(super) fn configure(&self, config: &Table) -> anyhow::Result<()> {
        self.replace("holm.toml", &toml::to_string(config)?)
    }

    /// Asks until the answer has this status and body.
    pub(super) async fn until(&self, name: &str, status: u16, body: &str) -> anyhow::Result<()> {
        self.until_at(self.server.address(), name, status, body)
            .await
    }

    /// As [`Site::until`], at that path.
    pub(super) async fn until_path(
        &self,
        name: &str,
        path: &str,
        status: u16,
        body: &str,
    ) -> anyhow::Result<()> {
        self.until_all(self.server.address(), name, path, status, body)
            .await
    }

    pub(super) async fn until_at(
        &self,
        address: SocketAddr,
        name: &str,
        status: u16,
        body: &str,
    ) -> anyhow::Result<()> {
        self.until_all(address, name, "/", status, body).await
    }

    async fn until_all(
        &self,
        address: SocketAddr,
        name: &str,
        path: &str,
        status: u16,
        body: &str,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            poll.tick().await;
            let answer = Request::get(&host(name), path).send(address).await?;
            if answer.status == status && (body.is_empty() || answer.body == body) {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < DEADLINE,
                "{name}{path} still says {answer:?}, not {status} {body}\n{}",
                self.server.log().tail()
            );
        }
    }

    /// Waits for a line about it at this level that has all of `parts`.
    pub(super) async fn logged(&self, level: &str, parts: &[&str]) -> anyhow::Result<Value> {
        let what = format!("line with {parts:?}");
        let has = |line: &Value| {
            let text = line["msg"].as_str().unwrap_or_default();
            line["level"] == level && parts.iter().all(|part| text.contains(part))
        };
        // On a busy machine a reload takes longer than a line.
        match self.server.log().first(&what, &has).await {
            Ok(line) => Ok(line),
            Err(_) => self.server.log().first(&what, &has).await,
        }
    }
}

/// The configuration of these functions.
pub(super) fn config(names: &[&str]) -> Table {
    let functions = names.iter().map(|name| {
        let keys = function(&format!("{name}.js"), &host(name));
        ((*name).to_owned(), keys.into())
    });
    node(functions.collect())
}

/// Clients that ask all the time, each over a connection of its own as long as that stands.
pub(super) struct Load {
    clients: JoinSet<anyhow::Result<()>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    /// Different answers, in the order in which they were first seen.
    seen: Arc<Mutex<Vec<String>>>,
    /// Where the next connection goes.
    address: Arc<Mutex<SocketAddr>>,
}

impl Load {
    pub(super) fn on(address: SocketAddr, name: &str) -> Self {
        let mut load = Self {
            clients: JoinSet::new(),
            stop: Arc::default(),
            answered: Arc::default(),
            seen: Arc::default(),
            address: Arc::new(Mutex::new(address)),
        };
        for version in [
            Version::Http1,
            Version::Http1,
            Version::Http1,
            Version::Http2,
        ] {
            let (stop, answered) = (load.stop.clone(), load.answered.clone());
            let (seen, address) = (load.seen.clone(), load.address.clone());
            let host = host(name);
            let to = move || *address.lock().unwrap_or_else(PoisonError::into_inner);
            load.clients.spawn(async move {
                let mut connection = Connection::open(to(), version).await?;
                while !stop.load(Ordering::Relaxed) {
                    let answer = match connection.exchange(Request::get(&host, "/")).await {
                        // The server has closed it between two requests, as it may.
                        Err(error) if never_sent(&error) => {
                            connection = Connection::open(to(), version).await?;
                            continue;
                        }
                        answer => answer?,
                    };
                    ensure!(answer.status == 200, "{answer:?}");
                    ensure!(answer.broken.is_none(), "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    if !seen.contains(&text) {
                        seen.push(text);
                    }
                }
                Ok(())
            });
        }
        load
    }

    /// Waits for so many more answers.
    pub(super) async fn more(&self, count: usize) -> anyhow::Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + count;
        let answered = || {
            ensure!(!self.clients.is_empty(), "no clients");
            Ok((self.answered.load(Ordering::Relaxed) >= wanted).then_some(()))
        };
        until(answered).await?.context("no more answers")
    }

    pub(super) fn move_to(&self, address: SocketAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    /// Ends it; fails if a request has. Returns the answers that there were.
    pub(super) async fn end(mut self) -> anyhow::Result<Vec<String>> {
        // What is served now is seen as well.
        self.more(40).await?;
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client?.context("a request failed")?;
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(seen.clone())
    }
}
