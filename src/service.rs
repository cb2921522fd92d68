//! What the service manager is told: systemd's `Type=notify` and `notify-reload` (sd_notify(3)). Where nobody asks
//! for it (`NOTIFY_SOCKET`), nobody is told.

use sd_notify::NotifyState;
use tracing::debug;

/// The node serves: it has started, or a reload is over.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// What the node does, in words for `systemctl status`.
pub(crate) fn status(words: &str) {
    tell(&[NotifyState::Status(words)]);
}

/// The configuration is read again, because somebody has asked for it. [`ready`] follows.
pub(crate) fn reloading() {
    // systemd takes it for an answer to its signal only if it says when it was.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "the service manager is not told of a reload"),
    }
}

/// The node ends.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// Another process is the service from now on. In one message, since what comes behind it from this process counts
/// no more.
pub(crate) fn replaced_by(pid: u32) {
    tell(&[
        NotifyState::MainPid(pid),
        NotifyState::Ready,
        NotifyState::Status("serving"),
    ]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager cannot be told");
    }
}
