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
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use holm_model::message::FromCell;
use holm_model::message::put;
use holm_model::start::StartError;
use holm_process::page::Page;

use crate::sys;

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

/// The cell's page; none in other processes.
pub(crate) fn page() -> Option<&'static Page> {
    PAGE.get()
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
        fail(&socket, StartError::Limit { limit });
    }
    sys::write_rest();
    holm_process::exit(OUT_OF_MEMORY)
}

/// Bytes of RAM from which on an `abort` is taken for want of memory: half of what the function may have. C++ code
/// that gets no memory, as V8's parsers may be, says nothing before it ends the process.
static MUCH: AtomicU64 = AtomicU64::new(u64::MAX);

/// The function may have so many bytes.
pub(crate) fn judge_aborts(memory: u64) {
    MUCH.store(memory / 2, Ordering::Relaxed);
    sys::on_abort(|| {
        if let Some(page) = PAGE.get()
            && sys::peak_memory() >= MUCH.load(Ordering::Relaxed)
        {
            page.set_out_of_memory();
        }
    });
}

/// The system refuses memory. Ends the process if a function runs in it.
#[cold]
pub(crate) fn refused() {
    if PAGE.get().is_some() {
        out_of_memory();
    }
}

/// From here on, what libraries print goes to `nowhere`: V8 prints a page when it is out of memory, and a function
/// could have it do so again and again, or forge lines of the node's log.
///
/// # Errors
/// There are no more descriptors.
pub(crate) fn hush(nowhere: OwnedFd) -> io::Result<()> {
    Ok(rustix::stdio::dup2_stderr(&nowhere)?)
}

/// Leaves a line where the node finds it: on the page of a cell, as the reason why a function does not start, or on
/// standard error, where that leads somewhere.
pub(crate) fn say(line: &str) {
    if let Some(page) = PAGE.get() {
        page.set_last_words(line);
        return;
    }
    if let Ok(mut starting) = STARTING.try_lock()
        && let Some((socket, _)) = starting.take()
    {
        fail(&socket, StartError::Crashed(format!(": {line}")));
        return;
    }
    // Nobody may read it.
    let _ = rustix::io::write(
        rustix::stdio::stderr(),
        format!("holm: {line}\n").as_bytes(),
    );
}

/// Tells the node that the function does not start.
fn fail(socket: &OwnedFd, error: StartError) {
    let mut wire = Vec::new();
    put(&mut wire, &FromCell::StartFailed(error), b"");
    // The node reads, or is gone.
    let _ = rustix::io::write(socket, &wire);
}

/// Has panics leave one line. They end the process, by unwinding or in the middle of V8.
pub(crate) fn shorten_panics() {
    static SAID: AtomicBool = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        // Where unwinding is not possible, there is a second panic about the first.
        if !SAID.swap(true, Ordering::Relaxed) {
            let text = info.payload_as_str().unwrap_or_default();
            let text: String = text.chars().take(200).filter(|c| !c.is_control()).collect();
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            say(&format!("its process panicked at {place}: {text}"));
        }
    }));
}
