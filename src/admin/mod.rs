//! How the node does, over a listener of its own: metrics, health, status, reload.
//!
//! It shares nothing with the listeners for requests: no route leads here, and nothing that comes in here
//! reaches a function. A thread of its own answers, so it still does when the I/O threads are busy,
//! while functions start, and until a drain is over.
//!
//! - [`address`]: where it is; [`listen`]: the thread, its connections and their bounds
//! - [`answer`]: who may ask for what; [`Board`]: what there is to tell
//! - [`status`]: the words of `/status`; [`look`]: the node → them; [`metrics`]: them → Prometheus
//! - [`process`]: what the edge's process uses
//! - [`client`]: the other end, for `holm status` and its like
//!
//! Who could misuse it: a browser on the same machine (no CORS, no DNS rebinding, no simple POST:
//! [`answer`]), a function (`egress` never connects here), another user (mode of the socket, token).

mod address;
mod answer;
pub(crate) mod client;
mod listen;
mod look;
mod metrics;
mod process;
pub(crate) mod status;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::Weak;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

pub(crate) use self::address::Address;
pub(crate) use self::address::leads_to;
pub(crate) use self::answer::INTENT;
pub(crate) use self::listen::Admin;
pub(crate) use self::listen::AdminError;
pub(crate) use self::listen::AdminHandle;
use self::status::Stage;
use crate::app::Listeners;
use crate::app::Node;
use crate::app::Reloader;
use crate::telemetry::Telemetry;
use crate::upgrade::Upgrader;

/// What there is to tell, as the node comes up and goes down.
#[derive(Debug)]
pub(crate) struct Board {
    config: PathBuf,
    started: SystemTime,
    telemetry: Telemetry,
    stage: AtomicU8,
    /// Weak, because the last to hold a node waits for its threads.
    node: OnceLock<Weak<Node>>,
    /// As weak, for the same reason.
    listeners: OnceLock<Weak<Listeners>>,
    reloader: OnceLock<Reloader>,
    upgrader: OnceLock<Upgrader>,
}

impl Board {
    /// Of a node that starts to serve `config`.
    pub(crate) fn new(config: &Path, telemetry: Telemetry) -> Arc<Self> {
        Arc::new(Self {
            config: config.to_owned(),
            started: SystemTime::now(),
            telemetry,
            stage: AtomicU8::new(Stage::Starting as u8),
            node: OnceLock::new(),
            listeners: OnceLock::new(),
            reloader: OnceLock::new(),
            upgrader: OnceLock::new(),
        })
    }

    /// There is a node.
    pub(crate) fn has(&self, node: &Arc<Node>) {
        // There is one for each board.
        let _ = self.node.set(Arc::downgrade(node));
    }

    /// It listens there.
    pub(crate) fn listens(&self, listeners: &Arc<Listeners>) {
        let _ = self.listeners.set(Arc::downgrade(listeners));
    }

    /// `POST /reload` asks it.
    pub(crate) fn reloads(&self, reloader: Reloader) {
        let _ = self.reloader.set(reloader);
    }

    /// `POST /upgrade` asks it.
    pub(crate) fn upgrades(&self, upgrader: Upgrader) {
        let _ = self.upgrader.set(upgrader);
    }

    /// All listeners are up.
    pub(crate) fn serves(&self) {
        self.stage.store(Stage::Serving as u8, Ordering::Relaxed);
    }

    /// A signal has come.
    pub(crate) fn drains(&self) {
        self.stage.store(Stage::Draining as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        let stage = self.stage.load(Ordering::Relaxed);
        let known = [Stage::Starting, Stage::Serving, Stage::Draining].into_iter();
        known
            .into_iter()
            .find(|known| *known as u8 == stage)
            .unwrap_or(Stage::Starting)
    }

    fn node(&self) -> Option<Arc<Node>> {
        self.node.get()?.upgrade()
    }

    fn listeners(&self) -> Option<Arc<Listeners>> {
        self.listeners.get()?.upgrade()
    }

    /// Whether requests are taken and functions can start; if not, why.
    fn readiness(&self) -> Result<(), &'static str> {
        match self.stage() {
            Stage::Starting => Err("starting: functions are loaded"),
            Stage::Draining => Err("draining"),
            Stage::Serving => match self.node() {
                Some(node) if node.can_fork() => Ok(()),
                Some(_) | None => Err("there is no zygote: no isolate can start"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ready_before_it_serves_nor_when_it_drains() {
        let board = Board::new(Path::new("holm.toml"), Telemetry::quiet());
        let why = |board: &Board| board.readiness().expect_err("there is no node");
        assert!(why(&board).contains("starting"));
        board.serves();
        assert!(why(&board).contains("zygote"));
        board.drains();
        assert_eq!(why(&board), "draining");
    }
}
