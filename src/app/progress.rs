//! How far loading has come, for whoever waits.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use tracing::info;

/// Time between two words in the log about a load that takes long.
const WORD: Duration = Duration::from_secs(2);

/// How far loading has come: a bar for people who wait for the start, lines in the log else. Neither appears
/// before it takes longer than a moment.
pub(super) struct Progress {
    bar: ProgressBar,
    done: AtomicUsize,
    all: usize,
}

impl Progress {
    /// Of `all` functions; `is_start`: nothing is served meanwhile.
    pub(super) fn new(all: usize, is_start: bool) -> Self {
        let bar = if is_start && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("starting functions {bar:30} {pos}/{len}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(all as u64).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            done: AtomicUsize::new(0),
            all,
        }
    }

    /// One more is done.
    pub(super) fn one(&self) {
        self.bar.inc(1);
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Says so in the log, every now and then.
    pub(super) async fn tell(&self) -> Infallible {
        let mut ticks = tokio::time::interval(WORD);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.bar.is_hidden() {
                let done = self.done.load(Ordering::Relaxed);
                info!(done, of = self.all, "loading functions");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
