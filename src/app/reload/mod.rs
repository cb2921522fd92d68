//! Serving what the files say now: the configuration and the code of functions, without a restart.
//!
//! One thread does it, one reload after the other: read, check, take new addresses, start the functions that have
//! changed, then swap all of it at once. Until then nothing that runs is touched, so a file that does not hold
//! changes nothing. However many ask meanwhile, one more reload follows, since it sees what all of them wrote.
//!
//! - [`turns`]: who asks, and when it is time; [`watch`]: files that change; [`stamp`]: whether they have
//! - [`source`]: where a plan comes from; [`state`]: what is known of all this

mod source;
mod stamp;
mod state;
mod turns;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::watch as news;
use tracing::error;
use tracing::info;
use tracing::warn;

pub(crate) use self::source::Source;
pub(in crate::app) use self::stamp::Stamp;
pub(in crate::app) use self::state::FunctionState;
use self::state::LastProblem;
pub(crate) use self::state::ReloadState;
use self::turns::Cause;
use self::turns::Turns;
use self::watch::Watch;
use super::App;
use super::ListenError;
use super::Listeners;
use super::Node;
use super::listeners::Scheme;
use super::load::Loaded;
use super::load::Retry;
use crate::config::Plan;
use crate::config::TlsPlan;
use crate::service;
use crate::upgrade::Sockets;

/// Problems of one reload that are logged; `holm check` says all of them.
const PROBLEMS_LOGGED: usize = 100;

/// What came of a reload that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Functions that answer.
    pub(crate) functions: usize,
    /// Those that are new, or not what they were.
    pub(crate) changed: Vec<String>,
    /// Those that there are no more.
    pub(crate) removed: Vec<String>,
    /// Functions that do not start, and why. Those that did before are what they were.
    pub(crate) problems: Vec<String>,
    /// What changes only when the node is started again.
    pub(crate) fixed: Vec<String>,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Why a reload was refused: a line for each problem. What was served still is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Refused(pub(crate) Vec<String>);

/// What came of a reload. Whoever waited for the same one shares it.
pub(crate) type Reloaded = Arc<Result<Outcome, Refused>>;

/// Has the node reload. Clones ask the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Reloader {
    turns: Arc<Turns>,
    /// The last turn that is over, and what came of it.
    done: news::Receiver<Option<(u64, Reloaded)>>,
    state: Arc<ArcSwap<ReloadState>>,
    /// Held while something changes.
    change: Arc<Mutex<()>>,
}

impl Reloader {
    /// Asks for a reload, and waits for nothing.
    pub(crate) fn ask(&self) {
        self.turns.ask();
    }

    /// Reloads, and waits for what comes of it. The files are read after the call, not before.
    ///
    /// # Errors
    /// What is wrong with the file. That has been logged.
    pub(crate) async fn reload(&self) -> Reloaded {
        let turn = self.turns.ask();
        let mut done = self.done.clone();
        let is_done =
            |done: &Option<(u64, Reloaded)>| done.as_ref().is_some_and(|(at, _)| *at >= turn);
        let waited = done.wait_for(is_done).await;
        let outcome = waited.ok().and_then(|done| done.clone());
        outcome.map_or_else(
            || Arc::new(Err(Refused(vec!["the node is about to end".to_owned()]))),
            |(_, outcome)| outcome,
        )
    }

    /// What is known of reloads.
    pub(crate) fn state(&self) -> Arc<ReloadState> {
        self.state.load_full()
    }

    /// What is served stays as it is until what is returned is dropped. Waits for a reload that is under way.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node is about to end: none begins any more.
    pub(crate) fn close(&self) {
        self.turns.close();
    }
}

/// What reloads: it is made before the node serves, and becomes a thread.
pub(crate) struct Reloading {
    node: Arc<Node>,
    listeners: Arc<Listeners>,
    source: Source,
    /// `holm dev`: where it listens, which does not change.
    port: u16,
    turns: Arc<Turns>,
    done: news::Sender<Option<(u64, Reloaded)>>,
    state: Arc<ArcSwap<ReloadState>>,
    watch: Watch,
}

impl Reloading {
    /// For a node that serves nothing yet; `port` is where it will.
    pub(crate) fn new(
        node: Arc<Node>,
        listeners: Arc<Listeners>,
        source: Source,
        port: u16,
    ) -> Self {
        let turns = Arc::new(Turns::default());
        Self {
            watch: Watch::new(turns.clone(), source.is_dev()),
            node,
            listeners,
            source,
            port,
            turns,
            done: news::Sender::new(None),
            state: Arc::default(),
        }
    }

    /// Loads what is served first. Functions that do not start are logged.
    pub(crate) fn begin(&mut self, plan: &Plan) {
        let loaded = self.node.load(plan, None, Retry::All);
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        if !problems.is_empty() {
            log(&problems, "");
            self.note(&problems);
        }
        self.install(plan, loaded);
        self.follow(plan);
    }

    /// Reloads from now on, on a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(mut self) -> io::Result<Reloader> {
        let reloader = Reloader {
            turns: self.turns.clone(),
            done: self.done.subscribe(),
            state: self.state.clone(),
            change: Arc::default(),
        };
        let change = reloader.change.clone();
        // It lives as long as the process; there is nothing of it to wait for.
        drop(
            thread::Builder::new()
                .name("holm-reload".into())
                .spawn(move || {
                    while let Some((turn, cause)) = self.turns.next() {
                        let change = change.lock().unwrap_or_else(PoisonError::into_inner);
                        let outcome = Arc::new(self.once(cause));
                        drop(change);
                        self.done.send_replace(Some((turn, outcome)));
                    }
                })?,
        );
        Ok(reloader)
    }

    fn once(&mut self, cause: Cause) -> Result<Outcome, Refused> {
        let begin = Instant::now();
        let is_told = cause == Cause::Asked && !self.source.is_dev();
        if is_told {
            service::reloading();
        }
        let outcome = self.reload(begin, cause);
        if is_told {
            service::ready();
        }
        match &outcome {
            Ok(outcome) => self.tell(outcome, cause),
            Err(refused) => self.refuse(refused),
        }
        outcome
    }

    fn reload(&mut self, begin: Instant, cause: Cause) -> Result<Outcome, Refused> {
        let plan = self.source.plan().map_err(|problems| {
            self.watch.also(&self.source, problems.watched());
            Refused(problems.lines().collect())
        })?;
        let taken = self.listeners.take(&plan, &mut Sockets::default());
        let taken = taken.map_err(|(scheme, error)| {
            let (place, key) = match scheme {
                Scheme::Http => (&plan.places.http, "server.http"),
                Scheme::Https => (&plan.places.https, "server.https"),
            };
            let acme = plan.tls.as_ref().and_then(|tls| tls.acme.as_ref());
            let place = match (&error, acme) {
                (ListenError::Acme(_), Some(acme)) => &acme.place,
                _ => place.as_deref().unwrap_or(key),
            };
            Refused(vec![format!("{place}: {error}")])
        })?;
        let before = self.node.app().as_ref().cloned();
        let retry = match cause {
            Cause::Asked => Retry::All,
            Cause::Changed | Cause::Look => Retry::Changed,
        };
        let loaded = self.node.load(&plan, before.as_deref(), retry);
        let changed = loaded.changed.clone();
        let fresh: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        log(&fresh, "");
        if !fresh.is_empty() {
            self.note(&fresh);
        }
        let removed = removed(before.as_deref(), &plan);
        drop(before);
        self.node.adjust(&plan);
        self.install(&plan, loaded);
        self.listeners.change(&plan, taken);
        if retry == Retry::All {
            self.listeners.acme().retry();
        }
        self.follow(&plan);
        let problems = |function: &FunctionState| function.problem.as_deref().map(str::to_owned);
        Ok(Outcome {
            functions: self.node.ready(),
            changed,
            removed,
            problems: self
                .state
                .load()
                .functions
                .iter()
                .filter_map(problems)
                .collect(),
            fixed: self.node.fixed(&plan),
            took: begin.elapsed(),
        })
    }

    /// Serves it from now on.
    fn install(&self, plan: &Plan, loaded: Loaded) {
        let Loaded {
            mut app,
            problems: _,
            changed: _,
            successions,
        } = loaded;
        for (pool, before) in &successions {
            pool.succeed(before);
        }
        warn_of(&app, self.node.app().as_deref());
        if self.source.is_dev() {
            app.tell_the_lost(plan.urls("http", self.port));
            self.node.set_banner(None);
        }
        let functions = app.states();
        self.state.rcu(|before| ReloadState {
            is_behind: functions.iter().any(|function| function.problem.is_some()),
            functions: functions.clone(),
            ..ReloadState::clone(before)
        });
        self.node.install(app);
    }

    /// Watches the files that are served now.
    fn follow(&mut self, plan: &Plan) {
        let app = self.node.app();
        let files = app.as_ref().map(|app| app.files()).into_iter().flatten();
        let files = files.chain(plan.tls.iter().flat_map(TlsPlan::files));
        let files: Vec<PathBuf> = files.map(PathBuf::from).collect();
        let folders = app.as_ref().map(|app| app.folders()).into_iter().flatten();
        let folders: Vec<PathBuf> = folders.map(PathBuf::from).collect();
        drop(app);
        if self.watch.only(&self.source, &files, &folders, plan.watch) {
            // They may have changed between being read and being watched.
            self.turns.look_again();
        }
    }

    fn tell(&self, outcome: &Outcome, cause: Cause) {
        let Outcome {
            functions,
            changed,
            removed,
            problems,
            fixed,
            took,
        } = outcome;
        for line in fixed {
            warn!("{line}");
        }
        self.state.rcu(|before| ReloadState {
            applied: before.applied + 1,
            applied_at: Some(SystemTime::now()),
            ..ReloadState::clone(before)
        });
        let is_nothing = changed.is_empty() && removed.is_empty();
        if is_nothing && cause == Cause::Look {
            return;
        }
        let (changed, removed) = (changed.join(", "), removed.join(", "));
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if problems.is_empty() {
            info!(functions, %changed, %removed, ms, "reloaded");
        } else if !self.source.is_dev() {
            let failed = problems.len();
            warn!(
                functions, %changed, %removed, failed, ms,
                "reloaded in part: functions that do not start are what they were before"
            );
        }
    }

    /// Something went wrong.
    fn note(&self, problems: &[String]) {
        self.state.rcu(|before| ReloadState {
            last_problem: Some(LastProblem::now(problems)),
            ..ReloadState::clone(before)
        });
    }

    fn refuse(&self, refused: &Refused) {
        log(&refused.0, "not reloaded: ");
        if self.source.is_dev() {
            self.node.set_banner(Some(refused.to_string()));
        }
        self.note(&refused.0);
        self.state.rcu(|before| ReloadState {
            refused: before.refused + 1,
            is_behind: true,
            ..ReloadState::clone(before)
        });
    }
}

fn log(problems: &[String], what: &str) {
    for line in problems.iter().take(PROBLEMS_LOGGED) {
        error!("{what}{line}");
    }
    let more = problems.len().saturating_sub(PROBLEMS_LOGGED);
    if more > 0 {
        error!("{what}there are {more} further problems; `holm check` says all of them");
    }
}

fn removed(before: Option<&App>, plan: &Plan) -> Vec<String> {
    let before = before.map_or(&[][..], |app| &app.functions);
    before
        .iter()
        .map(|entry| &entry.plan.name)
        .filter(|name| !plan.functions.iter().any(|after| after.name == **name))
        .cloned()
        .collect()
}

/// Logs what somebody may not expect of functions that were not there `before`: handlers that are never called,
/// and starts that take longer than they could.
fn warn_of(app: &App, before: Option<&App>) {
    let is_new = |name: &str| {
        let find = |app: &App| {
            let pool = app.pools().find(|pool| *pool.deployment().name == *name);
            pool.map(Arc::as_ptr)
        };
        before.is_none_or(|before| find(before) != find(app))
    };
    for (function, handler) in app.uncalled() {
        if is_new(&function) {
            warn!(%function, %handler, "a handler is exported, and nothing calls it yet");
        }
    }
    for (function, why) in app.not_copyable() {
        if is_new(&function) {
            warn!(%function, %why, "its isolates start one by one, not as copies of one that has started");
        }
    }
}
