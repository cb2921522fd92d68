//! The signals that a server hears, and what each does.
//!
//! | signal | while functions start | while it serves | while it drains |
//! |---|---|---|---|
//! | SIGTERM, SIGINT | ends it | drains | ends it at once |
//! | SIGHUP | reloads once it serves | reloads | nothing |
//! | the same, when the terminal has gone | ends it | drains | nothing |
//! | SIGUSR2, of `holm serve` | nothing | has a successor take its place | nothing |
//! | SIGUSR1 | nothing | nothing | nothing |
//!
//! SIGQUIT is left to the system: it ends the process at once and leaves a core dump, where those are
//! wanted. A SIGHUP that is ignored at the start stays so: that is what nohup does.

use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::consts::SIGUSR2;
use signal_hook::iterator::Signals as Incoming;
use signal_hook::low_level;
use tokio::sync::oneshot;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::Failure;
use super::failure::CUT_SHORT;
use crate::app::Reloader;
use crate::telemetry::Telemetry;
use crate::upgrade::NotUpgraded;
use crate::upgrade::Upgrader;

/// Within it, a signal that comes again is the same one: timeout(1) and npm pass on to their child what
/// the terminal has sent it already.
const ECHO: Duration = Duration::from_millis(300);
/// How long the line about an end at once may take to be written.
const LAST_LINE: Duration = Duration::from_millis(500);

/// The signals of the process, heard on a thread of their own: no other one is sure to have time.
#[derive(Debug)]
pub(super) struct Signals {
    stop: oneshot::Receiver<()>,
    served: Arc<Mutex<Served>>,
}

/// What is served, as the signals' thread has to know.
#[derive(Debug, Default)]
struct Served {
    /// Whether there is something to drain. Not while functions start.
    drains: bool,
    /// Nothing until it has begun to serve.
    reloader: Option<Reloader>,
    /// What has no successor has none.
    upgrader: Option<Upgrader>,
    /// It was asked for when there was none yet.
    wants_reload: bool,
}

impl Signals {
    /// Hears them from now on. `telemetry` is flushed when one ends the process at once.
    ///
    /// # Errors
    /// When the system refuses the handlers, or the thread.
    pub(super) fn hear(telemetry: Telemetry) -> Result<Self, Failure> {
        let cannot = Failure::Signals;
        let mut heard = vec![SIGTERM, SIGINT, SIGUSR1, SIGUSR2];
        if !is_ignored(SIGHUP) {
            heard.push(SIGHUP);
        }
        let mut incoming = Incoming::new(heard).map_err(cannot)?;
        let served = Arc::<Mutex<Served>>::default();
        let (sender, stop) = oneshot::channel();
        let of_thread = served.clone();
        let terminal = Terminal::now();
        let listening = thread::Builder::new()
            .name("holm-signals".into())
            .spawn(move || {
                let mut stage = Stage::Starting(sender);
                for signal in incoming.forever() {
                    let meaning = meaning(signal, &terminal);
                    stage = stage.after(signal, meaning, &of_thread, &telemetry);
                }
            });
        // The thread listens as long as the process lives; there is nothing of it to wait for.
        drop(listening.map_err(cannot)?);
        Ok(Self { stop, served })
    }

    /// What is accepted from now on is drained. Before it is called, signals that end the process do so at once.
    pub(super) fn accepts(&self) {
        lock(&self.served).drains = true;
    }

    /// Resolves when the server is to drain. From its call on (not: its polling), `reloader` is told when files are
    /// to be read again, and `upgrader` when another process is to take the place of this one.
    pub(super) fn drain(
        self,
        reloader: Reloader,
        upgrader: Option<Upgrader>,
    ) -> impl Future<Output = ()> {
        {
            let mut served = lock(&self.served);
            if served.wants_reload {
                reloader.ask();
            }
            served.reloader = Some(reloader);
            served.upgrader = upgrader;
        }
        async move {
            // The sender is dropped after it has sent, or never.
            let _ = self.stop.await;
        }
    }
}

enum Stage {
    Starting(oneshot::Sender<()>),
    Draining(Instant),
}

impl Stage {
    fn after(
        self,
        signal: i32,
        meaning: Meaning,
        served: &Mutex<Served>,
        telemetry: &Telemetry,
    ) -> Self {
        let name = low_level::signal_name(signal).unwrap_or("?");
        match (self, meaning) {
            (stage, Meaning::Nothing) => {
                info!(signal = name, "signal ignored: it means nothing to Holm");
                stage
            }
            (stage @ Self::Starting(_), Meaning::Reload) => {
                info!(signal = name, "reloading");
                let mut served = lock(served);
                match &served.reloader {
                    Some(reloader) => reloader.ask(),
                    None => served.wants_reload = true,
                }
                stage
            }
            (stage, Meaning::Upgrade) => {
                let upgrader = lock(served).upgrader.clone();
                match upgrader.map(|upgrader| upgrader.ask()) {
                    Some(Ok(())) => info!(signal = name, "upgrading"),
                    Some(Err(NotUpgraded::Refused(why))) => {
                        error!(signal = name, "not upgraded: {why}");
                    }
                    Some(Err(NotUpgraded::Failed { problems, .. })) => {
                        error!(signal = name, "not upgraded: {}", problems.join("; "));
                    }
                    None => {
                        info!(signal = name, "signal ignored: there is nothing to upgrade");
                    }
                }
                stage
            }
            (Self::Starting(stop), Meaning::End | Meaning::HangUp) => {
                if !lock(served).drains {
                    // Does not come back: it is a signal that ends a process.
                    let _ = low_level::emulate_default_handler(signal);
                }
                info!(
                    signal = name,
                    "draining: finishing what is running; a second SIGTERM or Ctrl-C ends it at once"
                );
                let _ = stop.send(());
                Self::Draining(Instant::now())
            }
            (Self::Draining(since), Meaning::End) if since.elapsed() > ECHO => {
                warn!(
                    signal = name,
                    "ended at once, by a second signal: what was running is cut off"
                );
                let _ = telemetry.flush(LAST_LINE);
                low_level::exit(CUT_SHORT.into())
            }
            (stage @ Self::Draining(_), Meaning::End | Meaning::HangUp | Meaning::Reload) => {
                info!(signal = name, "draining already");
                stage
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Meaning {
    End,
    HangUp,
    Reload,
    Upgrade,
    Nothing,
}

fn meaning(signal: i32, terminal: &Terminal) -> Meaning {
    match signal {
        SIGTERM | SIGINT => Meaning::End,
        SIGHUP if terminal.has_gone() => Meaning::HangUp,
        SIGHUP => Meaning::Reload,
        SIGUSR2 => Meaning::Upgrade,
        _ => Meaning::Nothing,
    }
}

/// The terminal that the process was started on, if it was. When it goes, the kernel and the shell say so with
/// the signal that otherwise means another thing.
struct Terminal {
    was_there: bool,
}

impl Terminal {
    fn now() -> Self {
        Self {
            was_there: Self::is_there(),
        }
    }

    /// Whether the process has one. It cannot be opened once it was hung up.
    fn is_there() -> bool {
        File::open("/dev/tty").is_ok()
    }

    fn has_gone(&self) -> bool {
        self.was_there && !Self::is_there()
    }
}

fn lock(served: &Mutex<Served>) -> MutexGuard<'_, Served> {
    served.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the process was started with this signal ignored. Where that cannot be told, it was not.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
