//! Where the node listens. Listeners come and go with the configuration; what is on its way is finished.
//!
//! A new one takes its address before an old one lets go of its own, and both share one edge: what is counted
//! and bounded is so over all of them. Certificates are swapped under connections, which keep what they began with.

mod taken;
mod wanted;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::SystemTime;

use holm_router::BindError;
use holm_router::Drained;
use holm_router::Edge;
use holm_router::ProxyProtocol;
use holm_router::Server;
use holm_router::Socket;
use holm_router::Stats;
use holm_router::tls::Certificates;
use holm_router::tls::Expiry;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::error;
use tracing::info;
use tracing::warn;

pub(crate) use self::taken::Bound;
pub(super) use self::taken::Taken;
use self::taken::TakenServer;
pub(super) use self::wanted::Scheme;
use self::wanted::addresses;
use self::wanted::settings;
use self::wanted::speaks_proxy;
use super::Node;
use super::Ports;
use crate::acme::Acme;
use crate::acme::StoreError;
use crate::config::Plan;
use crate::config::TlsPlan;
use crate::upgrade::Held;
use crate::upgrade::Holder;
use crate::upgrade::Key;
use crate::upgrade::Sockets;

/// How long before its end a certificate is spoken of: time enough to see to it, and half of what
/// most tools leave that renew them.
pub(crate) const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Between two looks at the certificates.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why a node cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// An address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What an authority issues cannot be kept.
    #[error("`tls.acme.dir`: {0} ({fix})", fix = .0.fix())]
    Acme(StoreError),
    /// Certificates cannot be served.
    #[error("cannot serve the certificates: {0}")]
    Tls(rustls::Error),
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
    /// This, for those who find it later.
    me: Weak<Self>,
    /// What has certificates issued.
    acme: Acme,
    /// Each listener has a sibling of it.
    edge: Arc<Edge<Arc<Node>>>,
    /// Whether the node is to end.
    end: watch::Sender<bool>,
    /// There are other certificates.
    renewed: Notify,
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    /// For HTTPS, once it has been served.
    certificates: Option<Arc<Certificates>>,
    /// What they are made of, beside those that are issued.
    tls: Option<TlsPlan>,
    open: Vec<Listener>,
    /// Of those that are open, and of those that are drained.
    tasks: JoinSet<(SocketAddr, io::Result<Drained>)>,
    has_ended: bool,
}

/// One that is open.
#[derive(Debug)]
struct Listener {
    scheme: Scheme,
    /// As the file has it: port 0 is any.
    wanted: SocketAddr,
    local: SocketAddr,
    /// Dropped when it is to be closed.
    socket: Socket,
    holder: Holder,
    proxy_protocol: ProxyProtocol,
    retired: oneshot::Sender<()>,
}

impl Listeners {
    /// Takes the addresses of `plan`, from `sockets` if they are there. Clients that connect wait for
    /// [`Listeners::open`].
    ///
    /// # Errors
    /// One of them cannot be had.
    pub(crate) fn bind(
        node: Arc<Node>,
        plan: &Plan,
        sockets: &mut Sockets,
    ) -> Result<(Arc<Self>, Bound), ListenError> {
        let listeners = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            acme: Acme::new(node.http_proof().clone()),
            edge: Edge::new(node.clone(), settings(plan), Arc::default()),
            node,
            end: watch::Sender::new(false),
            renewed: Notify::new(),
            set: Mutex::default(),
        });
        let taken = listeners.take(plan, sockets).map_err(|(_, error)| error)?;
        Ok((listeners, Bound(taken)))
    }

    /// Takes the addresses of `plan` that are not taken yet, from `sockets` if they are there.
    ///
    /// # Errors
    /// One of them cannot be had, or its certificates not be served; then none is taken. Says which it is.
    pub(super) fn take(
        &self,
        plan: &Plan,
        sockets: &mut Sockets,
    ) -> Result<Taken, (Scheme, ListenError)> {
        let set = self.set();
        let of_https = |error: ListenError| (Scheme::Https, error);
        let acme = plan.tls.as_ref().and_then(|tls| tls.acme.as_ref());
        let acme = acme.map(|acme| self.acme.open(acme).map_err(ListenError::Acme));
        let acme = acme.transpose().map_err(of_https)?;
        let certificates = plan.tls.as_ref().map(|tls| {
            // Made of the new ones even where there are others, to know that they can be served.
            let made = Certificates::new(tls.certificates(&BTreeMap::new()));
            let made = made.map_err(ListenError::Tls)?;
            Ok(set.certificates.clone().unwrap_or(made))
        });
        let certificates = certificates.transpose().map_err(of_https)?;
        let others: Vec<&Socket> = set.open.iter().map(|open| &open.socket).collect();
        let mut servers = Vec::new();
        for (scheme, address) in addresses(plan) {
            if set.open.iter().any(|open| open.is(scheme, address)) {
                continue;
            }
            let refused = |source| (scheme, ListenError::Socket { address, source });
            let (mut server, holder) = match sockets.take_tcp(scheme.key(), address) {
                Some((listener, holder)) => {
                    let server = Server::inherit(listener, settings(plan));
                    (server.map_err(refused)?, holder)
                }
                None => {
                    // Those of a node whose place this one takes are closed when that has ended.
                    let given = sockets.others();
                    let others: Vec<&Socket> = others.iter().copied().chain(&given).collect();
                    let server = Server::bind_beside(address, settings(plan), &others);
                    let server = server.map_err(|error| (scheme, error.into()))?;
                    (server, Holder::Nobody)
                }
            };
            let socket = server.socket().map_err(refused)?;
            match holder {
                Holder::Manager => socket.share(),
                Holder::Nobody => {}
            }
            if scheme == Scheme::Https
                && let Some(certificates) = &certificates
            {
                server = server.with_tls(certificates.clone());
            }
            server.proxy_protocol().set(speaks_proxy(plan, scheme));
            servers.push(TakenServer {
                scheme,
                wanted: address,
                server,
                socket,
                holder,
            });
        }
        Ok(Taken {
            servers,
            certificates,
            acme,
        })
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
        self.acme
            .adjust(taken.acme, taken.certificates.clone(), &self.me);
        set.tls = plan.tls.clone();
        if let Some(certificates) = taken.certificates {
            set.certificates = Some(certificates);
        }
        self.show(&set);
        for taken in taken.servers {
            let open = self.serve(&mut set.tasks, taken);
            set.open.push(open);
        }
        let (open, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut set.open)
            .into_iter()
            .partition(|open| wanted.iter().any(|(scheme, at)| open.is(*scheme, *at)));
        set.open = open;
        for open in &set.open {
            open.proxy_protocol.set(speaks_proxy(plan, open.scheme));
        }
        let port = |scheme| {
            let open = set.open.iter().find(|open| open.scheme == scheme);
            open.map(|open| open.local.port())
        };
        self.node.reachable_at(Ports {
            http: port(Scheme::Http).unwrap_or(0),
            https: port(Scheme::Https),
        });
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

    /// Shows the certificates of the file, and those that are issued.
    fn show(&self, set: &Set) {
        let (Some(tls), Some(certificates)) = (&set.tls, &set.certificates) else {
            return;
        };
        if let Err(error) = certificates.replace(tls.certificates(&self.acme.issued())) {
            error!(%error, "cannot serve the certificates; those that were served still are");
        }
        self.renewed.notify_one();
    }

    /// An authority has issued another certificate: it is shown from now on.
    pub(crate) fn renew(&self) {
        self.show(&self.set());
    }

    /// What has certificates issued.
    pub(crate) fn acme(&self) -> &Acme {
        &self.acme
    }

    fn serve(
        &self,
        tasks: &mut JoinSet<(SocketAddr, io::Result<Drained>)>,
        taken: TakenServer,
    ) -> Listener {
        let TakenServer {
            scheme,
            wanted,
            server,
            socket,
            holder,
        } = taken;
        let (retired, is_retired) = oneshot::channel();
        let mut end = self.end.subscribe();
        let edge = self.edge.sibling();
        let local = server.local_addr();
        let proxy_protocol = server.proxy_protocol();
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
        info!(addr = %local, scheme = scheme.name(), "listening");
        Listener {
            scheme,
            wanted,
            local,
            socket,
            holder,
            proxy_protocol,
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
        self.acme.stop();
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

    /// What it listens on, for another process.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub(crate) fn held(&self) -> io::Result<Vec<Held>> {
        let set = self.set();
        let held = set.open.iter().map(|open| {
            Ok(Held {
                wanted: Some((open.scheme.key(), open.wanted.to_string())),
                name: String::new(),
                holder: open.holder,
                fd: open.socket.as_fd().try_clone_to_owned()?,
            })
        });
        held.collect()
    }

    /// Another process serves on these, too. Who waits there when this one stops to accept is left to it.
    pub(crate) fn share(&self, taken: &[Key]) {
        for open in &self.set().open {
            if taken.contains(&open.scheme.key()) {
                open.socket.share();
            }
        }
    }

    /// Whether there is a function of this name that answers.
    pub(crate) fn answers(&self, function: &str) -> bool {
        self.node.answers(function)
    }

    /// How long a successor may take to be ready.
    pub(crate) fn upgrade_time(&self) -> Duration {
        self.node.upgrade_time()
    }

    /// Where it listens now, and for what.
    pub(crate) fn open_addresses(&self) -> Vec<(SocketAddr, &'static str)> {
        let set = self.set();
        let open = set.open.iter();
        open.map(|open| (open.local, open.scheme.name())).collect()
    }

    /// When its certificates end.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        let certificates = self.set().certificates.clone();
        certificates.map_or_else(Vec::new, |certificates| certificates.expiries())
    }

    /// Says now, when there are others, and once a day, which certificates end soon.
    pub(crate) async fn warn_of_ends(&self) -> Infallible {
        loop {
            let now = SystemTime::now();
            let issued = self.acme.issued();
            // Of those that renew themselves, whoever renews them speaks.
            let is_issued = |name: &str| issued.keys().any(|host| host.as_str() == name);
            for expiry in self.expiries() {
                if expiry.is_within(SOON, now) && !is_issued(&expiry.name) {
                    warn!(certificate = %expiry, "a certificate ends soon: renew it");
                }
            }
            // Whichever is first.
            let _ = timeout(DAY, self.renewed.notified()).await;
        }
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

impl Listener {
    fn is(&self, scheme: Scheme, wanted: SocketAddr) -> bool {
        self.scheme == scheme && self.wanted == wanted
    }
}
