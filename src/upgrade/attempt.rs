//! The node's side: a successor is started, and has the sockets once it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use holm_process::passing::Socket;
use holm_process::passing::wait_readable;
use holm_process::succession;
use holm_process::succession::Program;
use holm_process::succession::Successor;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::sockets::Held;
use super::sockets::Key;
use super::state::Answer;
use super::state::NotUpgraded;
use super::state::UpgradeState;
use super::state::Upgraded;
use super::talk;
use super::talk::FromHeir;
use super::talk::Offered;
use super::talk::TalkError;
use super::talk::ToHeir;
use crate::admin::AdminHandle;
use crate::app::Listeners;
use crate::app::Reloader;
use crate::service;
use crate::telemetry::Telemetry;

/// How long a successor that is ready may take to serve.
const GO_TIME: Duration = Duration::from_secs(30);

/// How long one that has said why it ends may take to do so.
const END_TIME: Duration = Duration::from_secs(6);

/// Lines of one that are kept.
const LINES: usize = 100;

/// Exit codes of `holm check`, and the one for all else.
const DOES_NOT_START: u8 = 3;
const FAILED: u8 = 1;

/// What is handed over, and by whom.
#[derive(Debug)]
pub(crate) struct Parts {
    /// What is started; nothing if that cannot be told.
    pub(crate) program: Option<Program>,
    pub(crate) listeners: Weak<Listeners>,
    pub(crate) reloader: Reloader,
    pub(crate) admin: Option<AdminHandle>,
    pub(crate) telemetry: Telemetry,
    /// The process that this one has taken the place of, if it is there.
    pub(crate) predecessor: Option<u32>,
}

/// Has the node replaced by a successor. Clones ask the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Upgrader {
    shared: Arc<Shared>,
    asks: mpsc::SyncSender<Ask>,
}

type Ask = Option<oneshot::Sender<Answer>>;

#[derive(Debug)]
struct Shared {
    stage: Mutex<Stage>,
    state: ArcSwap<UpgradeState>,
    is_replaced: watch::Sender<bool>,
    /// Tells the successor of the end of this process.
    heir: Mutex<Option<Socket>>,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    Idle,
    /// It may be given up. The process, as soon as there is one.
    Starting(Option<OwnedFd>),
    /// The successor was told to serve, and is what the node is from now on.
    Going(OwnedFd),
    /// The node ends.
    Over,
}

impl Upgrader {
    /// One attempt after the other, on a thread of its own: what is started has the scheduling of the thread
    /// that starts it, and this one has that of its caller.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(parts: Parts) -> io::Result<Self> {
        // Only ever one is in it: who asks has changed the stage before.
        let (asks, asked) = mpsc::sync_channel::<Ask>(1);
        let shared = Arc::new(Shared {
            stage: Mutex::new(Stage::Idle),
            state: ArcSwap::from_pointee(UpgradeState {
                predecessor: parts.predecessor,
                ..UpgradeState::default()
            }),
            is_replaced: watch::Sender::new(false),
            heir: Mutex::default(),
        });
        let of_thread = shared.clone();
        drop(
            thread::Builder::new()
                .name("holm-upgrade".into())
                .spawn(move || {
                    while let Ok(reply) = asked.recv() {
                        let answer = of_thread.attempt(&parts);
                        of_thread.settle(&parts, answer, reply);
                    }
                })?,
        );
        Ok(Self { shared, asks })
    }

    /// Asks for an upgrade, and waits for nothing.
    ///
    /// # Errors
    /// None is begun.
    pub(crate) fn ask(&self) -> Result<(), NotUpgraded> {
        self.begin(None)
    }

    /// Has the node replaced, and waits for what comes of it.
    pub(crate) async fn upgrade(&self) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.begin(Some(reply))?;
        let gone = NotUpgraded::Refused("the node is about to end");
        answer.await.unwrap_or(Err(gone))
    }

    fn begin(&self, reply: Ask) -> Result<(), NotUpgraded> {
        let refuse = |why| Err(NotUpgraded::Refused(why));
        if holm_process::this_pid().is_init() {
            return refuse(
                "the node is process 1 of its container, which ends with it: start another container \
                 instead, beside this one",
            );
        }
        let mut stage = self.shared.stage();
        match *stage {
            Stage::Idle => {}
            Stage::Starting(_) | Stage::Going(_) => return refuse("an upgrade is under way"),
            Stage::Over => return refuse("the node is about to end"),
        }
        if self.shared.state.load().predecessor.is_some() {
            // Two nodes hold twice the memory; there are no three.
            return refuse(
                "the node before this one still finishes what it has begun: try again when it has \
                 ended, `server.drain` from its upgrade at most",
            );
        }
        *stage = Stage::Starting(None);
        drop(stage);
        let asked = self.asks.try_send(reply);
        asked.map_err(|_| NotUpgraded::Refused("the thread that upgrades is gone"))
    }

    /// What is known of upgrades.
    pub(crate) fn state(&self) -> Arc<UpgradeState> {
        self.shared.state.load_full()
    }

    /// The node before this one has ended.
    pub(crate) fn is_alone(&self) {
        self.shared.state.rcu(|before| UpgradeState {
            predecessor: None,
            ..UpgradeState::clone(before)
        });
    }

    /// Resolves when another process serves.
    pub(crate) async fn replaced(&self) {
        let mut is_replaced = self.shared.is_replaced.subscribe();
        // The sender lives as long as this.
        let _ = is_replaced.wait_for(|is_replaced| *is_replaced).await;
    }

    /// The node is told to end. A successor that starts ends with it; one that serves is the node, and is told as
    /// well. Returns whether there is such a one.
    pub(crate) fn stop(&self) -> bool {
        let stage = std::mem::replace(&mut *self.shared.stage(), Stage::Over);
        let (signalled, is_node) = match stage {
            Stage::Idle | Stage::Over | Stage::Starting(None) => return false,
            Stage::Starting(Some(process)) => (succession::kill(process), false),
            Stage::Going(process) => (succession::terminate(process), true),
        };
        if let Err(error) = signalled {
            error!(%error, "the successor cannot be told to end");
        }
        is_node
    }
}

impl Shared {
    fn attempt(&self, parts: &Parts) -> Answer {
        let Some(listeners) = parts.listeners.upgrade() else {
            return Err(NotUpgraded::Refused("the node is about to end"));
        };
        let Some(program) = &parts.program else {
            return Err(Trouble::Start(
                "the program cannot tell where it is: is there a /proc?".into(),
            )
            .told());
        };
        // What is handed over is what is served, to the end.
        let _as_it_is = parts.reloader.hold();
        let begin = Instant::now();
        let within = listeners.upgrade_time();
        info!(program = %program.path().display(), "upgrading: a successor starts");
        service::status("a successor starts");
        parts.telemetry.share(true);
        let cannot = |error: io::Error| {
            Trouble::Start(format!(
                "cannot start {}: {error}",
                program.path().display()
            ))
            .told()
        };
        let offer = offer(&listeners, parts.admin.as_ref()).map_err(cannot)?;
        let successor = program.start().map_err(cannot)?;
        let taken = match self.introduce(&successor, offer, &listeners, begin + within) {
            Ok(taken) => taken,
            Err(Trouble::Late) => {
                return Err(NotUpgraded::Failed {
                    problems: vec![format!(
                        "the successor is not ready within {within:?}; `server.upgrade_time` is the limit"
                    )],
                    code: FAILED,
                });
            }
            Err(trouble) => return Err(trouble.with_the_end(successor)),
        };
        // It serves. From here on nothing can fail, and what is served here does not change any more.
        parts.reloader.close();
        let pid = successor.pid();
        listeners.share(&taken);
        if let Some(admin) = &parts.admin {
            admin.leave(taken.contains(&Key::Admin));
        }
        let _ = talk::send(successor.control(), &ToHeir::Released, &[]);
        service::replaced_by(pid);
        match successor.let_go() {
            Ok(control) => {
                *self.heir.lock().unwrap_or_else(PoisonError::into_inner) = Some(control)
            }
            Err(error) => warn!(%error, "the successor takes this process for ended"),
        }
        Ok(Upgraded {
            pid,
            took: begin.elapsed(),
        })
    }

    /// Hands the sockets over. Returns those that the successor serves on.
    fn introduce(
        &self,
        successor: &Successor,
        (message, sockets): (ToHeir, Vec<OwnedFd>),
        listeners: &Listeners,
        deadline: Instant,
    ) -> Result<Vec<Key>, Trouble> {
        let control = successor.control();
        let pidfd = || successor.pidfd().try_clone_to_owned();
        let (for_stop, for_going) = (pidfd()?, pidfd()?);
        if !self.advance(Stage::Starting(Some(for_stop))) {
            return Err(Trouble::Stopped);
        }
        talk::send(control, &message, &talk::descriptors(sockets.iter()))?;
        drop(sockets);
        let (mut failed, mut broken, mut exit) = (Vec::new(), Vec::new(), FAILED);
        loop {
            match hear(control, deadline) {
                Ok(FromHeir::Failed { line, code }) => {
                    exit = code;
                    failed.push(line);
                    failed.truncate(LINES);
                }
                // One that is broken here, too, is no worse off.
                Ok(FromHeir::Broken { function, why }) if listeners.answers(&function) => {
                    broken.push(why);
                    broken.truncate(LINES);
                }
                Ok(FromHeir::Broken { .. }) => {}
                Ok(FromHeir::Ready) if broken.is_empty() => break,
                Ok(FromHeir::Ready) => return Err(Trouble::Broken(broken)),
                Ok(FromHeir::Serving { .. }) => {
                    return Err(TalkError::Strange("it was not told to serve".to_owned()).into());
                }
                Err(Trouble::Talk(TalkError::Gone)) if !failed.is_empty() => {
                    return Err(Trouble::Failed(failed, exit));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        if !self.advance(Stage::Going(for_going)) {
            return Err(Trouble::Stopped);
        }
        talk::send(control, &ToHeir::Go, &[])?;
        match hear(control, Instant::now() + GO_TIME)? {
            FromHeir::Serving { taken } => Ok(taken),
            FromHeir::Failed { line, code } => Err(Trouble::Failed(vec![line], code)),
            FromHeir::Broken { .. } | FromHeir::Ready => {
                Err(TalkError::Strange("it was told to serve, and does not".to_owned()).into())
            }
        }
    }

    /// What came of it is told to all.
    fn settle(&self, parts: &Parts, answer: Answer, reply: Ask) {
        match &answer {
            Ok(Upgraded { pid, took }) => {
                let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                info!(successor = pid, ms, "upgraded: another process serves");
            }
            Err(why) => {
                parts.telemetry.share(false);
                let problems = match why {
                    NotUpgraded::Refused(why) => vec![(*why).to_owned()],
                    NotUpgraded::Failed { problems, .. } => problems.clone(),
                };
                for line in &problems {
                    error!("not upgraded: {line}");
                }
                service::status("serving; the last upgrade failed");
                self.state.rcu(|before| UpgradeState {
                    failed: before.failed + 1,
                    last_problem: Some((SystemTime::now(), problems.join("\n").into())),
                    ..UpgradeState::clone(before)
                });
            }
        }
        let is_upgraded = answer.is_ok();
        let stage = if is_upgraded {
            Stage::Over
        } else {
            Stage::Idle
        };
        self.advance(stage);
        if let Some(reply) = reply {
            // Nobody waits any more.
            let _ = reply.send(answer);
        }
        if is_upgraded {
            self.is_replaced.send_replace(true);
        }
    }

    /// Goes on, unless the node was told to end. Returns whether it does.
    fn advance(&self, to: Stage) -> bool {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Over) {
            return false;
        }
        *stage = to;
        true
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a successor is none.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// There is no such process.
    #[error("{0}")]
    Start(String),
    /// It has said why it ends, and the exit code.
    #[error("it does not start")]
    Failed(Vec<String>, u8),
    /// Functions that answer here would not.
    #[error("functions do not start")]
    Broken(Vec<String>),
    #[error("it is not ready in time")]
    Late,
    /// Whoever tells the node to end wants no successor.
    #[error("the node was told to end")]
    Stopped,
    #[error("the successor is of no use: {0}")]
    Talk(#[from] TalkError),
    #[error("the successor cannot be watched: {0}")]
    System(#[from] io::Error),
}

impl Trouble {
    /// In words.
    fn told(self) -> NotUpgraded {
        let words = self.to_string();
        let (problems, code) = match self {
            Self::Failed(lines, code) => (lines, code),
            Self::Broken(lines) => (lines, DOES_NOT_START),
            Self::Start(_) | Self::Late | Self::Stopped | Self::Talk(_) | Self::System(_) => {
                (vec![words], FAILED)
            }
        };
        NotUpgraded::Failed { problems, code }
    }

    /// In words, when the process has ended. One that is about to is left the time for it.
    fn with_the_end(self, successor: Successor) -> NotUpgraded {
        let is_ending = matches!(self, Self::Failed(..) | Self::Talk(TalkError::Gone));
        let is_gone = matches!(self, Self::Talk(TalkError::Gone));
        if is_ending {
            let _ = wait_readable(successor.pidfd(), END_TIME);
        }
        match successor.end() {
            Ok(status) if is_gone => Self::Start(format!(
                "the successor has ended ({status}) before it was ready; what it had to say is in the log"
            ))
            .told(),
            Ok(_) | Err(_) => self.told(),
        }
    }
}

/// The next that it says.
fn hear(control: &Socket, deadline: Instant) -> Result<FromHeir, Trouble> {
    loop {
        match control.wait(deadline.saturating_duration_since(Instant::now())) {
            Ok(true) => return Ok(talk::receive(control)?.0),
            Ok(false) => return Err(Trouble::Late),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// All that the node listens on.
fn offer(listeners: &Listeners, admin: Option<&AdminHandle>) -> io::Result<(ToHeir, Vec<OwnedFd>)> {
    let mut held = listeners.held()?;
    held.extend(admin.map(AdminHandle::held).transpose()?);
    let mut sockets = Vec::new();
    let mut fds = Vec::new();
    for Held {
        wanted,
        name,
        holder,
        fd,
    } in held
    {
        // What was given and is not served was closed.
        let Some((key, wanted)) = wanted else {
            continue;
        };
        sockets.push(Offered {
            key,
            wanted,
            name,
            holder,
        });
        fds.push(fd);
    }
    let pid = std::process::id();
    Ok((ToHeir::Offer { pid, sockets }, fds))
}
