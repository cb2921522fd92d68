//! What a process says before it ends in the middle of things.
//!
//! V8 finds out that memory is used up where nothing can be unwound, in callbacks that are given nothing
//! of ours. So what they need lies in statics, and the process ends there.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use holm_model::message::FromCell;
use holm_model::message::put;
use holm_model::start::StartError;
use holm_process::page::Page;

/// Exit code of a process whose memory is used up: that of one that was killed for it.
const OUT_OF_MEMORY: i32 = 137;

/// The page that is shared with the edge, in a cell.
static PAGE: OnceLock<Page> = OnceLock::new();

/// While a function starts: where it is told that it does not, and the limit in words.
static STARTING: Mutex<Option<(OwnedFd, String)>> = Mutex::new(None);

/// Keeps the cell's page for the life of the process.
pub(crate) fn keep(page: Page) -> &'static Page {
    PAGE.get_or_init(|| page)
}

/// The function starts: out of memory is told over `socket` from now on.
pub(crate) fn starting(socket: BorrowedFd<'_>, limit: String) {
    // Without a descriptor the node sees an end without a word, as after a crash.
    if let Ok(socket) = socket.try_clone_to_owned() {
        debug_assert!(socket.as_raw_fd() > 2);
        *STARTING.lock().unwrap_or_else(PoisonError::into_inner) = Some((socket, limit));
    }
}

/// It has started, or does not.
pub(crate) fn started() {
    *STARTING.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Ends the process because its memory is used up.
pub(crate) fn out_of_memory() -> ! {
    if let Some(page) = PAGE.get() {
        page.set_out_of_memory();
    }
    if let Ok(mut starting) = STARTING.try_lock()
        && let Some((socket, limit)) = starting.take()
    {
        let mut wire = Vec::new();
        let failed = StartError::Limit { limit };
        put(&mut wire, &FromCell::StartFailed(failed), b"");
        // The node reads, or is gone.
        let _ = rustix::io::write(&socket, &wire);
    }
    holm_process::exit(OUT_OF_MEMORY)
}

/// The system refuses memory. Ends the process if a function runs in it.
#[cold]
pub(crate) fn refused() {
    if PAGE.get().is_some() {
        out_of_memory();
    }
}

/// Standard error as the edge knows it, in a process whose own leads nowhere.
static ERRORS: OnceLock<OwnedFd> = OnceLock::new();

/// From here on, what C libraries print goes to `nowhere`: V8 prints a page when it is out of memory, and a function
/// could have it do so again and again.
///
/// # Errors
/// There are no more descriptors.
pub(crate) fn hush(nowhere: OwnedFd) -> io::Result<()> {
    let errors = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    // In a copy of a process that has done so, there is nothing left to do.
    let _ = ERRORS.set(errors);
    Ok(())
}

/// Leaves a line on standard error.
pub(crate) fn say(line: &str) {
    let line = format!("holm: {line}\n");
    // Nobody may read it.
    let _ = match ERRORS.get() {
        Some(errors) => rustix::io::write(errors, line.as_bytes()),
        None => rustix::io::write(rustix::stdio::stderr(), line.as_bytes()),
    };
}

/// Has panics leave one line on standard error. They end the process, by unwinding or in the middle of V8.
pub(crate) fn shorten_panics() {
    static SAID: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        // Where unwinding is not possible, there is a second panic about the first.
        if !SAID.swap(true, Ordering::Relaxed) {
            let text = info.payload_as_str().unwrap_or_default();
            let text: String = text.chars().take(200).filter(|c| !c.is_control()).collect();
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            say(&format!("a process panicked at {place}: {text}"));
        }
    }));
}
