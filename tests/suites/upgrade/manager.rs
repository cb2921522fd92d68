//! What systemd is told.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use super::node::Node;
use crate::harness::World;
use crate::harness::program;

/// How long a word may take that must come, on a debug build and a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("upgrade::the_service_manager_is_told", async |_| {
            told().await
        }),
    ]
}

/// Listens as systemd does.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = UnixDatagram::bind(folder.path().join("notify"))?;
        Ok(Self { socket, folder })
    }

    fn variable(&self) -> OsString {
        self.folder.path().join("notify").into()
    }

    /// The next message that has a line like this. Those before it are returned, too.
    async fn hears(&self, line: &str) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        let heard = async {
            let mut buffer = [0; 4096];
            loop {
                let length = self.socket.recv(&mut buffer).await?;
                let text = String::from_utf8(buffer[..length].to_vec())?;
                all.push(text.clone());
                if text.lines().any(|said| said.starts_with(line)) {
                    return anyhow::Ok(());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, heard).await {
            Ok(heard) => heard?,
            Err(_) => bail!("no {line}: {all:?}"),
        }
        Ok(all)
    }
}

async fn told() -> anyhow::Result<()> {
    let manager = Manager::new()?;
    let variables = [("NOTIFY_SOCKET", manager.variable())];
    let node = Node::serve_files(|_| {}, &[], &variables).await?;
    manager.hears("READY=1").await?;
    // A reload is over before the next one may begin; systemd goes by the time.
    node.signal("HUP").await?;
    let reloading = manager.hears("RELOADING=1").await?;
    let last = reloading.last().context("one at least")?;
    ensure!(last.contains("MONOTONIC_USEC="), "{last}");
    manager.hears("READY=1").await?;
    // By signal, as a unit can.
    program::signal(node.server.pid(), "USR2").await?;
    let said = manager.hears("MAINPID=").await?;
    let said = said.last().context("one at least")?;
    node.is_alone(0).await?;
    node.remember().await?;
    let pid = node.pid().await?;
    ensure!(pid != node.server.pid(), "{pid}");
    ensure!(
        said.contains(&format!("MAINPID={pid}\n")) && said.contains("READY=1"),
        "{said}"
    );
    // It is the old one's end, not the service's.
    let since = manager.hears("READY=1").await?;
    ensure!(
        !since.iter().any(|said| said.contains("STOPPING")),
        "{since:?}"
    );
    node.signal("TERM").await?;
    manager.hears("STOPPING=1").await?;
    Ok(())
}
