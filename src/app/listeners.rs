//! Where the node listens. Listeners come and go with the configuration; what is on its way is finished.
//!
//! A new one takes its address before an old one lets go of its own, and both share one edge: what is counted
//! and bounded is so over all of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use holm_router::BindError;
use holm_router::Drained;
use holm_router::Edge;
use holm_router::Server;
use holm_router::Settings;
use holm_router::Socket;
use holm_router::Stats;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::error;
use tracing::info;

use super::Node;
use crate::config::Plan;

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system has no descriptor for it.
    #[error("cannot listen on {address}: {source}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// The listeners of a node.
#[derive(Debug)]
pub(crate) struct Listeners {
    node: Arc<Node>,
    /// Each listener has a sibling of it.
    edge: Arc<Edge<Arc<Node>>>,
    /// Whether the node is to end.
    end: watch::Sender<bool>,
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    open: Vec<Listener>,
    /// Of those that are open, and of those that are drained.
    tasks: JoinSet<(SocketAddr, io::Result<Drained>)>,
    has_ended: bool,
}

/// One that is open.
#[derive(Debug)]
struct Listener {
    /// As the file has it: port 0 is any.
    wanted: SocketAddr,
    local: SocketAddr,
    /// Dropped when it is to be closed.
    socket: Socket,
    retired: oneshot::Sender<()>,
}

/// Addresses that were taken, and where nobody is accepted yet.
#[derive(Debug)]
pub(super) struct Taken(Vec<(SocketAddr, Server, Socket)>);

impl Listeners {
    /// Takes the addresses of `plan`. Clients that connect wait for [`Listeners::open`].
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(crate) fn bind(node: Arc<Node>, plan: &Plan) -> Result<(Arc<Self>, Bound), ListenError> {
        let listeners = Self {
            edge: Edge::new(node.clone(), settings(plan), Arc::default()),
            node,
            end: watch::Sender::new(false),
            set: Mutex::default(),
        };
        let taken = listeners.take(plan)?;
        Ok((Arc::new(listeners), Bound(taken)))
    }

    /// Takes the addresses of `plan` that are not taken yet.
    ///
    /// # Errors
    /// One of them cannot be had; then none is taken.
    pub(super) fn take(&self, plan: &Plan) -> Result<Taken, ListenError> {
        let set = self.set();
        let others: Vec<&Socket> = set.open.iter().map(|open| &open.socket).collect();
        let mut taken = Vec::new();
        for address in addresses(plan) {
            if set.open.iter().any(|open| open.wanted == address) {
                continue;
            }
            let server = Server::bind_beside(address, settings(plan), &others)?;
            let socket = server.socket();
            let socket = socket.map_err(|source| ListenError::Socket { address, source })?;
            taken.push((address, server, socket));
        }
        Ok(Taken(taken))
    }

    /// Serves where `plan` says from now on, and nowhere else: what was `taken`, and those that are open. The
    /// others accept no more, and end with their last request.
    pub(super) fn change(&self, plan: &Plan, taken: Taken) {
        self.edge.adjust(settings(plan));
        let mut set = self.set();
        if set.has_ended {
            return;
        }
        while set.tasks.try_join_next().is_some() {}
        let wanted = addresses(plan);
        for (address, server, socket) in taken.0 {
            let open = self.serve(&mut set.tasks, address, server, socket);
            set.open.push(open);
        }
        let (open, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut set.open)
            .into_iter()
            .partition(|open| wanted.contains(&open.wanted));
        set.open = open;
        let ports: Vec<u16> = set.open.iter().map(|open| open.local.port()).collect();
        self.node.reachable_at(&ports);
        for Listener {
            local,
            socket,
            retired,
            ..
        } in gone
        {
            info!(addr = %local, "no longer listening; requests on its connections are finished");
            drop(socket);
            // Its task waits for this, as long as there is one.
            let _ = retired.send(());
        }
    }

    fn serve(
        &self,
        tasks: &mut JoinSet<(SocketAddr, io::Result<Drained>)>,
        wanted: SocketAddr,
        server: Server,
        socket: Socket,
    ) -> Listener {
        let (retired, is_retired) = oneshot::channel();
        let mut end = self.end.subscribe();
        let edge = self.edge.sibling();
        let local = server.local_addr();
        let serve = async move {
            let is_retired = async {
                if is_retired.await.is_err() {
                    // All are dropped at the end, of which the other one tells.
                    std::future::pending::<()>().await;
                }
            };
            let has_ended = async {
                // The sender lives as long as the node.
                let _ = end.wait_for(|end| *end).await;
            };
            let drained = server.serve_for_now(edge, is_retired, has_ended).await;
            if let Err(error) = &drained {
                error!(addr = %local, %error, "cannot serve");
            }
            (local, drained)
        };
        tasks.spawn_on(serve, self.node.io().handle());
        info!(addr = %local, scheme = "http", "listening");
        Listener {
            wanted,
            local,
            socket,
            retired,
        }
    }

    /// Serves what was bound.
    pub(crate) fn open(&self, plan: &Plan, bound: Bound) {
        self.change(plan, bound.0);
    }

    /// Accepts nobody any more, and waits for the end of what is on its way: for the time that the file gives
    /// it, behind which it is aborted.
    ///
    /// # Errors
    /// One of them never served.
    pub(crate) async fn drain(&self) -> Result<Drained, (SocketAddr, io::Error)> {
        let mut tasks = {
            let mut set = self.set();
            set.has_ended = true;
            self.end.send_replace(true);
            set.open.clear();
            std::mem::take(&mut set.tasks)
        };
        let mut all = Drained {
            finished: 0,
            aborted: 0,
        };
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok((_, Ok(drained))) => {
                    all.finished += drained.finished;
                    all.aborted += drained.aborted;
                }
                Ok((address, Err(error))) => return Err((address, error)),
                Err(panic) => error!(%panic, "a listener's task panicked"),
            }
        }
        Ok(all)
    }

    /// Where it listens now, and for what.
    pub(crate) fn open_addresses(&self) -> Vec<(SocketAddr, &'static str)> {
        let set = self.set();
        set.open.iter().map(|open| (open.local, "http")).collect()
    }

    /// What is counted, over all listeners that there were.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        self.edge.stats().clone()
    }

    /// How long a drain may take.
    pub(crate) fn drain_time(&self) -> Duration {
        self.edge.settings().drain_time
    }

    fn set(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of a node that does not serve yet.
#[derive(Debug)]
pub(crate) struct Bound(Taken);

impl Bound {
    /// The port of the first one.
    pub(crate) fn port(&self) -> u16 {
        let first = self.0.0.first();
        first.map_or(0, |(_, server, _)| server.local_addr().port())
    }
}

/// Where `plan` says to listen.
fn addresses(plan: &Plan) -> Vec<SocketAddr> {
    vec![plan.server.http]
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        connections: plan.server.max_connections,
        unsent: plan.server.max_unsent.as_u64(),
        drain_time: plan.server.drain.as_duration(),
        ..Settings::default()
    }
}
