//! Clients of every kind, who ask all the time and take no failure.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::node::{HOST, Node};
use crate::harness::client::Version;
use crate::harness::program::until;
use crate::harness::{Connection, Request, tls};
use crate::suites::drain::never_sent;

/// Who asks, all the time.
pub(super) struct Load {
    clients: JoinSet<anyhow::Result<()>>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

/// Where a client goes, and how.
#[derive(Clone)]
struct Way {
    to: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    version: Version,
    /// One request a connection; else as many as it takes.
    is_new: bool,
}

impl Way {
    async fn open(&self) -> anyhow::Result<Connection> {
        match &self.tls {
            None => Connection::open(self.to, self.version).await,
            Some(config) => {
                let stream = tls::connect(config, self.to, HOST).await?;
                Connection::over(stream, self.version).await
            }
        }
    }
}

impl Load {
    pub(super) async fn on(node: &Node) -> anyhow::Result<Self> {
        let (http, https) = (node.server.address(), node.server.https().await?);
        let client = |protocol| tls::client(&[&node.pair], &[protocol], rustls::ALL_VERSIONS);
        let mut load = Self {
            clients: JoinSet::new(),
            stop: Arc::default(),
            answered: Arc::default(),
        };
        for (version, protocol) in [(Version::Http1, "http/1.1"), (Version::Http2, "h2")] {
            for (to, tls) in [(http, None), (https, Some(client(protocol)?))] {
                for is_new in [false, true] {
                    load.add(Way {
                        to,
                        tls: tls.clone(),
                        version,
                        is_new,
                    });
                }
            }
        }
        load.watch(node.path("admin.sock"));
        Ok(load)
    }

    /// Somebody who asks all the time whether the node is ready, which it always is.
    fn watch(&mut self, socket: PathBuf) {
        let stop = self.stop.clone();
        self.clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = UnixStream::connect(&socket).await?;
                let request =
                    "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).await?;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await?;
                ensure!(answer.starts_with("HTTP/1.1 200 "), "not ready: {answer:?}");
            }
            Ok(())
        });
    }

    fn add(&mut self, way: Way) {
        let (stop, answered) = (self.stop.clone(), self.answered.clone());
        self.clients.spawn(async move {
            let mut kept = None;
            while !stop.load(Ordering::Relaxed) {
                let is_fresh = kept.is_none();
                let mut connection = match kept.take() {
                    Some(connection) => connection,
                    None => way.open().await?,
                };
                let answer = match connection.exchange(Request::get(HOST, "/")).await {
                    Ok(answer) => answer,
                    // It was closed between two requests, as a server may.
                    Err(error) if !is_fresh && never_sent(&error) => continue,
                    Err(error) => return Err(error.context(format!("fresh: {is_fresh}"))),
                };
                ensure!(answer.status == 200 && answer.body == "one", "{answer:?}");
                ensure!(answer.broken.is_none(), "{answer:?}");
                answered.fetch_add(1, Ordering::Relaxed);
                kept = Some(connection).filter(|_| !way.is_new);
            }
            Ok(())
        });
    }

    /// Waits for so many more answers.
    pub(super) async fn more(&self, count: usize) -> anyhow::Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + count;
        let answered = || Ok((self.answered.load(Ordering::Relaxed) >= wanted).then_some(()));
        until(answered).await?.context("no more answers")
    }

    /// Ends it; fails if a request has. Returns how many were answered.
    pub(super) async fn end(mut self) -> anyhow::Result<usize> {
        self.more(40).await?;
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client?.context("a request failed")?;
        }
        Ok(self.answered.load(Ordering::Relaxed))
    }
}
