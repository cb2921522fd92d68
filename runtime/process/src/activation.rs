//! Sockets that a service manager opened for this process: systemd's socket activation (sd_listen_fds(3)).
//!
//! `LISTEN_PID` says for which process they are, `LISTEN_FDS` how many there are, from descriptor 3 up, and
//! `LISTEN_FDNAMES` what they are called. The variables stay: whoever starts other programs leaves them out.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::sys;

/// The variables, for whoever starts a program for which they are not meant.
pub const VARIABLES: [&str; 5] = [
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_FDS_FIRST_FD",
];

/// Descriptors have one owner each, and these are the process's.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A descriptor that the process was started with, and what it is called. It may be no socket.
#[derive(Debug)]
pub struct Given {
    /// Of the unit, if the unit does not say.
    pub name: String,
    /// It is closed by exec.
    pub fd: OwnedFd,
}

/// What the process was started with; nothing the second time. To be called before anything else is opened.
///
/// # Errors
/// The variables are for this process, and do not say what is true.
pub fn given() -> io::Result<Vec<Given>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    // Where they are for another process, so are their names, of which the crate would find too many.
    if sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    let given = sd_notify::listen_fds_with_names()?;
    Ok(given
        .map(|(number, name)| Given {
            name,
            fd: sys::own_descriptor(number),
        })
        .collect())
}
