//! The signals that a server hears, and what each does.
//!
//! | signal | while functions start | while it serves | while it drains |
//! |---|---|---|---|
//! | SIGTERM, SIGINT | ends it | drains | ends it at once |
//! | SIGHUP | ends it | drains | nothing |
//! | SIGUSR1, SIGUSR2 | nothing | nothing | nothing |
//!
//! SIGQUIT is left to the system: it ends the process at once and leaves a core dump, where those are
//! wanted. A SIGHUP that is ignored at the start stays so: that is what nohup does.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
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
use tracing::info;
use tracing::warn;

use super::Failure;
use super::failure::CUT_SHORT;
use crate::telemetry::Telemetry;

/// Within it, a signal that comes again is the same one: timeout(1) and npm pass on to their child what
/// the terminal has sent it already.
const ECHO: Duration = Duration::from_millis(300);
/// How long the line about an end at once may take to be written.
const LAST_LINE: Duration = Duration::from_millis(500);

/// The signals of the process, heard on a thread of their own: no other one is sure to have time.
#[derive(Debug)]
pub(super) struct Signals {
    stop: oneshot::Receiver<()>,
    is_serving: Arc<AtomicBool>,
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
        let is_serving = Arc::new(AtomicBool::new(false));
        let (sender, stop) = oneshot::channel();
        let of_thread = is_serving.clone();
        let listening = thread::Builder::new()
            .name("holm-signals".into())
            .spawn(move || {
                let mut stage = Stage::Starting(sender);
                for signal in incoming.forever() {
                    let is_serving = of_thread.load(Ordering::SeqCst);
                    stage = stage.after(signal, is_serving, &telemetry);
                }
            });
        // The thread listens as long as the process lives; there is nothing of it to wait for.
        drop(listening.map_err(cannot)?);
        Ok(Self { stop, is_serving })
    }

    /// Resolves when the server is to drain. Before it is called (not: polled), there is nothing to
    /// drain, and signals that end the process do so at once.
    pub(super) fn drain(self) -> impl Future<Output = ()> {
        self.is_serving.store(true, Ordering::SeqCst);
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
    fn after(self, signal: i32, is_serving: bool, telemetry: &Telemetry) -> Self {
        let name = low_level::signal_name(signal).unwrap_or("?");
        match (self, meaning(signal)) {
            (stage, Meaning::Nothing) => {
                info!(signal = name, "signal ignored: it means nothing to Holm");
                stage
            }
            (Self::Starting(stop), Meaning::End | Meaning::HangUp) => {
                if !is_serving {
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
            (stage @ Self::Draining(_), Meaning::End | Meaning::HangUp) => {
                info!(signal = name, "draining already");
                stage
            }
        }
    }
}

enum Meaning {
    End,
    HangUp,
    Nothing,
}

fn meaning(signal: i32) -> Meaning {
    match signal {
        SIGTERM | SIGINT => Meaning::End,
        SIGHUP => Meaning::HangUp,
        _ => Meaning::Nothing,
    }
}

/// Whether the process was started with this signal ignored. Where that cannot be told, it was not.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
