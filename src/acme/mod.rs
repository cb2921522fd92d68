//! Certificates that an authority issues (ACME, RFC 8555): had, kept, and renewed in time.
//!
//! One thread, `holm-acme`, does it, one order after the other, and only for the hosts of the file. It has an event
//! loop of its own, and shares nothing with those that serve but two places: what is shown to an authority that
//! wants a proof ([`proofs`]), and the certificates, which are swapped as they are when their files change. So
//! a directory that is slow, down or hostile costs handshakes and requests nothing.
//!
//! The protocol is that of `instant-acme`, because it leaves connections, files and time to us: TLS ends at the edge
//! already, and what `rustls-acme` brings for that, with a state machine of its own, would be there twice.
//!
//! - [`mod@order`]: one order, by the crate `instant-acme`; [`client`]: HTTPS to the directory, bounded
//! - [`schedule`]: when a host is seen to, and when again after a failure (pure); [`hosts`]: how each is doing
//! - [`store`]: account, keys and certificates on disk

mod client;
mod hosts;
mod order;
mod proofs;
mod schedule;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::rand;
use holm_router::hostname::Hostname;
use holm_router::tls::Certificates;
use holm_router::tls::Pair;
use instant_acme::Account;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::error;
use tracing::info;
use tracing::warn;

use self::client::Client;
pub(crate) use self::hosts::HostView;
use self::hosts::Hosts;
use self::hosts::Now;
pub(crate) use self::hosts::State;
use self::order::Desk;
use self::order::Fault;
pub(crate) use self::proofs::HttpProof;
use self::proofs::Proofs;
use self::schedule::Kind;
pub(crate) use self::store::Store;
pub(crate) use self::store::StoreError;
use crate::app::Listeners;
use crate::config::AcmePlan;
use crate::config::Authority;
use crate::telemetry::timestamp;

/// How long one order may take, all its waits included.
const ORDER: Duration = Duration::from_secs(300);

/// Between two looks at the clock, at most: it may be set meanwhile.
const LOOK: Duration = Duration::from_secs(3600);

/// What has the certificates issued.
#[derive(Debug)]
pub(crate) struct Acme {
    shared: Arc<Shared>,
    has_thread: Mutex<bool>,
}

#[derive(Debug)]
struct Shared {
    /// Nothing while there is nothing to do.
    work: watch::Sender<Option<Arc<Work>>>,
    hosts: Mutex<Hosts>,
    proofs: Proofs,
}

/// What is to be done.
#[derive(Debug)]
struct Work {
    plan: Arc<AcmePlan>,
    store: Store,
}

/// What a plan finds on disk.
#[derive(Debug)]
pub(crate) struct Opened {
    work: Arc<Work>,
    /// Those of hosts that were not served before.
    found: BTreeMap<Hostname, Arc<Pair>>,
}

/// What was issued, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Orders that gave a certificate.
    pub(crate) issued: u64,
    /// Orders that did not.
    pub(crate) failed: u64,
}

impl Acme {
    /// Does nothing yet. `http` is where the node finds its answers to an authority.
    pub(crate) fn new(http: Arc<HttpProof>) -> Self {
        let proofs = Proofs {
            http,
            ..Proofs::default()
        };
        Self {
            shared: Arc::new(Shared {
                work: watch::Sender::new(None),
                hosts: Mutex::default(),
                proofs,
            }),
            has_thread: Mutex::new(false),
        }
    }

    /// Opens what `plan` keeps on disk, and makes its folders if they are not there.
    ///
    /// # Errors
    /// It cannot be kept there, or not be read.
    pub(crate) fn open(&self, plan: &Arc<AcmePlan>) -> Result<Opened, StoreError> {
        let authority = &plan.authority;
        let store = Store::open(&authority.dir, &authority.directory)?;
        let mut found = BTreeMap::new();
        for host in &plan.hosts {
            if self.shared.hosts().has(host, authority) {
                continue;
            }
            let Some(pem) = store.certificate(host)? else {
                continue;
            };
            match order::sound(host, &pem) {
                Ok(pair) => {
                    found.insert(host.clone(), Arc::new(pair));
                }
                Err(why) => {
                    warn!(%host, why, "a certificate that is kept is of no use; it is renewed")
                }
            }
        }
        let plan = plan.clone();
        let work = Arc::new(Work { plan, store });
        Ok(Opened { work, found })
    }

    /// From now on sees to the hosts of what was `opened`, and to no others; to none without it. What is issued is
    /// shown by `listeners`, and proofs are in the handshakes of `certificates`.
    pub(crate) fn adjust(
        &self,
        opened: Option<Opened>,
        certificates: Option<Arc<Certificates>>,
        listeners: &Weak<Listeners>,
    ) {
        self.shared.proofs.tls.store(certificates);
        let Some(Opened { work, found }) = opened else {
            self.shared.hosts().keep(&[], None, BTreeMap::new());
            self.shared.work.send_replace(None);
            return;
        };
        let plan = &work.plan;
        let kept = found.len();
        let is_new = self
            .shared
            .hosts()
            .keep(&plan.hosts, Some(&plan.authority), found);
        if is_new {
            let (hosts, directory) = (plan.hosts.len(), &plan.authority.directory);
            info!(hosts, kept, %directory, "certificates are issued by an authority");
        }
        self.shared.work.send_replace(Some(work));
        if let Err(error) = self.start(listeners) {
            error!(%error, "cannot start the thread that orders certificates");
        }
    }

    fn start(&self, listeners: &Weak<Listeners>) -> io::Result<()> {
        let has_thread = &mut self
            .has_thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if **has_thread {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (shared, listeners) = (self.shared.clone(), listeners.clone());
        // It lives as long as the process; there is nothing of it to wait for.
        drop(
            thread::Builder::new()
                .name("holm-acme".into())
                .spawn(move || runtime.block_on(run(&shared, &listeners)))?,
        );
        **has_thread = true;
        Ok(())
    }

    /// Tries again now what has failed, unless the directory wants to be left alone.
    pub(crate) fn retry(&self) {
        self.shared.hosts().retry();
        self.shared.work.send_modify(|_| ());
    }

    /// Gives up the order that is under way, and begins no other.
    pub(crate) fn stop(&self) {
        self.shared.work.send_replace(None);
    }

    /// The certificates that there are.
    pub(crate) fn issued(&self) -> BTreeMap<Hostname, Arc<Pair>> {
        self.shared.hosts().issued()
    }

    /// How each host is doing, by name.
    pub(crate) fn views(&self) -> Vec<HostView> {
        self.shared.hosts().views(Now::new())
    }

    /// What was issued since the start.
    pub(crate) fn counts(&self) -> Counts {
        self.shared.hosts().counts()
    }
}

impl Shared {
    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An authority that is being asked.
struct Session {
    authority: Arc<Authority>,
    client: Client,
    /// Once it was asked for.
    account: Option<Account>,
}

/// Orders what is due, until nobody could say what any more.
async fn run(shared: &Shared, listeners: &Weak<Listeners>) {
    let mut news = shared.work.subscribe();
    let mut session = None;
    loop {
        let work = news.borrow_and_update().clone();
        let due = work.as_ref().and_then(|_| shared.hosts().due(Now::new()));
        let changed = match (work, due) {
            (Some(work), Some((host, Duration::ZERO))) => {
                one(shared, listeners, &mut news, &mut session, &work, &host).await;
                continue;
            }
            // Whichever is first: other work, or the time of this one.
            (Some(_), Some((_, wait))) => timeout(wait.min(LOOK), news.changed())
                .await
                .unwrap_or(Ok(())),
            (_, None) | (None, _) => news.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Has one certificate issued, or notes why there is none.
async fn one(
    shared: &Shared,
    listeners: &Weak<Listeners>,
    news: &mut watch::Receiver<Option<Arc<Work>>>,
    session: &mut Option<Session>,
    work: &Arc<Work>,
    host: &Hostname,
) {
    info!(%host, directory = %work.plan.authority.directory, "ordering a certificate");
    shared.hosts().begin(host);
    let outcome = tokio::select! {
        outcome = timeout(ORDER, order(shared, session, work, host)) => outcome.unwrap_or_else(|_| {
            let why = format!("it was not done after {} s", ORDER.as_secs());
            Err(Fault::new(Kind::Unavailable, &why))
        }),
        () = is_over(news, work, host) => {
            shared.hosts().give_up(host);
            return;
        }
    };
    let now = Now::new();
    match outcome {
        Ok(pair) => {
            let until = pair.not_after();
            let renewal = schedule::renewal(pair.not_before(), until);
            shared.hosts().issued_to(host, Arc::new(pair), now);
            if let Some(listeners) = listeners.upgrade() {
                listeners.renew();
            }
            let (until, renewal) = (timestamp(until), timestamp(renewal));
            info!(%host, until, renewal, "a certificate was issued");
        }
        Err(fault) => {
            // What it says of its URLs may be others by now.
            *session = None;
            let (failures, wait) = shared.hosts().failed(host, &fault, now, chance());
            let retry = timestamp(SystemTime::now() + wait);
            let problem = fault.why.as_str();
            warn!(%host, problem, failures, retry, "no certificate was issued");
        }
    }
}

async fn order(
    shared: &Shared,
    session: &mut Option<Session>,
    work: &Work,
    host: &Hostname,
) -> Result<Pair, Fault> {
    let authority = &work.plan.authority;
    let session = match session {
        Some(session) if session.authority == *authority => session,
        other => {
            let client = Client::new(authority).map_err(|error| {
                let why = format!("the directory cannot be asked: {error}");
                Fault::new(Kind::Unavailable, &why)
            })?;
            other.insert(Session {
                authority: authority.clone(),
                client,
                account: None,
            })
        }
    };
    let desk = Desk {
        authority,
        challenge: work.plan.challenge,
        store: &work.store,
        client: &session.client,
        proofs: &shared.proofs,
    };
    let account = match session.account.take() {
        Some(account) => account,
        None => desk.account().await?,
    };
    let pair = desk.certificate(&account, host).await?;
    session.account = Some(account);
    Ok(pair)
}

/// Resolves when `host` is to have a certificate no more, or another.
async fn is_over(news: &mut watch::Receiver<Option<Arc<Work>>>, work: &Work, host: &Hostname) {
    let is_other = |now: &Option<Arc<Work>>| {
        now.as_ref().is_none_or(|now| {
            let is_same = now.plan.authority == work.plan.authority
                && now.plan.challenge == work.plan.challenge;
            !is_same || !now.plan.hosts.contains(host)
        })
    };
    // The sender lives as long as there is somebody to order for.
    let _ = news.wait_for(is_other).await;
}

/// From 0 to 1.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    // Without chance it is the middle.
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
